"""Write the reference files that describe a simulated detector, in the formats of CRDS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.errors import ParameterError
from jwgpu.simulate import recipes
from jwgpu.simulate.detector_maps import detector_maps
from jwgpu.simulate.geometry import Window, full_frame
from jwgpu.simulate.interference import emicorr_reference
from jwgpu.simulate.picture_frame import picture_frame_reference
from jwgpu.simulate.readout import READ_PATTERNS, frame_time
from jwgpu.simulate.recipes import OWN_FLAGS, Recipe, write_sirs_kernels
from jwgpu.simulate.settings import Settings
from jwgpu.simulate.stripes import StripedWindow, window_for
from jwgpu.simulate.writing import quiet_models, save_reproducibly

NEAR_INFRARED_TYPES = (
    "mask", "saturation", "superbias", "ipc", "linearity", "dark", "gain", "readnoise",
)  # fmt: skip
MID_INFRARED_TYPES = (
    "mask", "saturation", "ipc", "reset", "linearity", "rscd", "dark", "gain", "readnoise",
)  # fmt: skip

#: Those that are not in FITS.
_IN_ASDF = ("sirskernel", "emicorr")

_MAKERS: dict[str, Callable[[Recipe, Any], Any]] = {
    "mask": recipes.mask,
    "saturation": recipes.saturation,
    "superbias": recipes.superbias,
    "ipc": recipes.ipc,
    "linearity": recipes.linearity,
    "dark": recipes.dark,
    "reset": recipes.reset,
    "rscd": recipes.rscd,
    "gain": recipes.gain,
    "emicorr": emicorr_reference,
    "pictureframe": picture_frame_reference,
    "readnoise": recipes.readnoise,
    "refpix": recipes.refpix,
}


def _flag_definitions(names: Iterable[str], dtype: np.dtype[Any]) -> NDArray[np.void]:
    rows = [(bit, 1 << bit, name, name.replace("_", " ").lower()) for bit, name in enumerate(names)]
    return np.array(rows, dtype=dtype)


def _describe(model: Any, reftype: str, settings: Settings, window: Window) -> None:
    """Set the keywords by which CRDS chooses a reference file."""
    detector = settings.camera
    meta = model.meta
    meta.reftype = reftype.upper()
    meta.author = "jwgpu"
    meta.pedigree = "SIMULATION"
    meta.description = f"Simulated {reftype} of {detector.name}"
    meta.useafter = "2015-01-01T00:00:00"
    meta.instrument.name = detector.instrument
    meta.instrument.detector = detector.name
    if reftype in OWN_FLAGS:
        model.dq_def = _flag_definitions(OWN_FLAGS[reftype], model.get_dtype("dq_def"))
    depends_on_readout = ("dark", "reset", "superbias", "readnoise", "refpix")
    if reftype in depends_on_readout or (reftype == "mask" and settings.pattern.is_irs2):
        # Frames are frames: one file serves every pattern of one frame time.
        alike = [
            pattern.name
            for pattern in READ_PATTERNS.values()
            if pattern.instrument == detector.instrument
            and frame_time(detector, settings.place, pattern) == settings.frame_time
        ]
        meta.exposure.readpatt = settings.pattern.name
        meta.exposure.p_readpatt = "".join(f"{name}|" for name in alike)
    if reftype in ("ipc", "rscd", "refpix", "emicorr", "pictureframe"):
        return
    meta.subarray.name = window.name
    meta.subarray.xstart, meta.subarray.ystart = window.xstart, window.ystart
    meta.subarray.xsize, meta.subarray.ysize = window.xsize, window.ysize
    meta.subarray.fastaxis = detector.fast_axis
    meta.subarray.slowaxis = detector.slow_axis


def write_references(
    settings: Settings,
    folder: str | Path,
    *,
    full_frame_references: bool = False,
    types: Iterable[str] | None = None,
    inverse_linearity: bool = False,
    ipc_per_pixel: bool = False,
    dark_frames: int | None = None,
    average_dark_current: str = "none",
) -> dict[str, Path]:
    """Write the reference files that calibrate a simulated exposure.

    Parameters
    ----------
    settings : Settings
        What was simulated.
    folder : str or Path
        Where to; made if it is not there. Files are named
        ``jwst_<instrument>_<reftype>_<detector>_<window>.fits``.
    full_frame_references : bool
        Cover the full frame (SUBARRAY says GENERIC), not only the window that is read.
    types : iterable of str, optional
        Kinds of reference files; by default all that the instrument needs, and not
        ``sirskernel`` (near-infrared), which only an option of refpix does.
    inverse_linearity : bool
        Whether the linearity file has INV_COEFFS too.
    ipc_per_pixel : bool
        Whether the ipc file has a kernel for each pixel (4-D), not one for all.
    dark_frames : int, optional
        Frames of the dark; by default as many as an integration of the exposure.
    average_dark_current : str
        ``none``, ``keyword`` or ``image``: what the dark says of its mean, in e-/s.

    Returns
    -------
    dict
        Reference type to file.

    Raises
    ------
    ParameterError
        If a type is not one of this instrument's.
    """
    wanted = _wanted_types(settings, types)
    window, label = _covered(settings, full_frame_references)
    frames = dark_frames or settings.total_frames
    options = inverse_linearity, ipc_per_pixel, frames, average_dark_current
    recipes_of = _recipes(settings, window, wanted, options)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for reftype, recipe in recipes_of.items():
        written[reftype] = folder / _name_of(reftype, settings, label)
        _write(reftype, recipe, written[reftype])
    return written


def _covered(settings: Settings, is_full_frame: bool) -> tuple[Window, str]:
    """Return what references cover, and how their names tell it."""
    if is_full_frame:
        # Times and brightnesses stay those of the exposure; only the window grows.
        return replace(full_frame(settings.camera), name="GENERIC"), "GENERIC"
    words = [settings.place.name, *(str(number) for number in settings.window or ())]
    return settings.place, "_".join(words)


def _recipes(
    settings: Settings, window: Window, types: Sequence[str], options: tuple[bool, bool, int, str]
) -> dict[str, Recipe]:
    """Return what each file is made by; that of stripes depends on the type.

    ``options`` are the last ones of a recipe.
    """
    stripes = settings.place if isinstance(settings.place, StripedWindow) else None

    def recipe_for(reftype: str) -> Recipe:
        place = window if stripes is None else window_for(reftype, stripes, window)
        return Recipe(settings, place, detector_maps(settings, place), *options)

    chosen = dict.fromkeys(types, recipe_for("mask"))
    if stripes is not None and "dark" in chosen:
        chosen["dark"] = recipe_for("dark")
    return chosen


def _wanted_types(settings: Settings, types: Iterable[str] | None) -> tuple[str, ...]:
    """Return the kinds to write.

    Raises
    ------
    ParameterError
        If one is not of this instrument.
    """
    is_mid_infrared = settings.camera.is_mid_infrared
    usual = MID_INFRARED_TYPES if is_mid_infrared else NEAR_INFRARED_TYPES
    if settings.pattern.is_irs2:
        usual = (*usual, "refpix")
    if settings.interference:
        usual = (*usual, "emicorr")
    if settings.picture_frame:
        usual = (*usual, "pictureframe")
    known = usual if is_mid_infrared else (*usual, "sirskernel")
    wanted = tuple(usual if types is None else types)
    for reftype in wanted:
        if reftype not in known:
            raise ParameterError(
                f"{settings.camera.instrument} has no reference type {reftype!r} here; choose "
                "from: " + ", ".join(known)
            )
    return wanted


def _name_of(reftype: str, settings: Settings, label: str) -> str:
    detector = settings.camera
    words = ["jwst", detector.instrument, reftype, detector.name, label, settings.pattern.name]
    return "_".join(words).lower() + (".asdf" if reftype in _IN_ASDF else ".fits")


def _write(reftype: str, recipe: Recipe, path: Path) -> None:
    from stdatamodels.jwst import datamodels

    if reftype == "sirskernel":
        write_sirs_kernels(recipe.settings, path)
        return
    with quiet_models(), _MAKERS[reftype](recipe, datamodels) as model:
        _describe(model, reftype, recipe.settings, recipe.window)
        save_reproducibly(model, path)
