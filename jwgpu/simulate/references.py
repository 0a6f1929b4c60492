"""Write the reference files that describe a simulated detector, in the formats of CRDS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.errors import ParameterError
from jwgpu.models import flags as dq
from jwgpu.simulate import irs2
from jwgpu.simulate.detector_maps import DetectorMaps, detector_maps, full_well
from jwgpu.simulate.exposure import RESET_DECAY, reset_effect
from jwgpu.simulate.geometry import Window, full_frame, reference_pixels
from jwgpu.simulate.interference import emicorr_reference
from jwgpu.simulate.keywords import exposure_type
from jwgpu.simulate.picture_frame import picture_frame_reference
from jwgpu.simulate.readout import READ_PATTERNS, frame_time
from jwgpu.simulate.response import forward_coefficients, inverse_coefficients
from jwgpu.simulate.settings import Settings
from jwgpu.simulate.stripes import StripedWindow, window_for
from jwgpu.simulate.subarrays import subarrays
from jwgpu.simulate.writing import quiet_models, save_reproducibly

# A pixel counts as saturated a little before it stops growing.
_THRESHOLD = 0.95

# Which flags each reference file carries, in the order of the bits of its own DQ_DEF table,
# which is not that of the official flags.
_OWN_FLAGS = {
    "mask": (
        "DO_NOT_USE", "NON_SCIENCE", "DEAD", "HOT", "WARM", "LOW_QE", "RC", "BAD_REF_PIXEL",
        "REFERENCE_PIXEL",
    ),
    "saturation": ("DO_NOT_USE", "NO_SAT_CHECK"),
    "superbias": ("DO_NOT_USE", "UNRELIABLE_BIAS"),
    "linearity": ("DO_NOT_USE", "NO_LIN_CORR", "NONLINEAR"),
    "dark": ("DO_NOT_USE", "HOT", "WARM", "UNRELIABLE_DARK"),
    "reset": ("DO_NOT_USE", "UNRELIABLE_DARK"),
}  # fmt: skip

NEAR_INFRARED_TYPES = (
    "mask", "saturation", "superbias", "ipc", "linearity", "dark", "gain", "readnoise",
)  # fmt: skip
MID_INFRARED_TYPES = (
    "mask", "saturation", "ipc", "reset", "linearity", "rscd", "dark", "gain", "readnoise",
)  # fmt: skip

_RSCD_GROUPS = (1, 3)  # to skip in the first integration and in later ones
_RESET_GROUPS = 15
_MIRI_INTEGRATIONS = 2  # that MIRI's dark and reset tell apart
_SIRS_ROWS = 2048  # of a SIRS kernel before it is cut
_SIRS_SMOOTHING = 3.0  # rows


@dataclass(frozen=True)
class _Recipe:
    """What a reference file is made from."""

    settings: Settings
    window: Window
    maps: DetectorMaps
    inverse_linearity: bool
    ipc_per_pixel: bool
    dark_frames: int
    average_dark_current: str

    def own_flags(self, reftype: str) -> NDArray[np.uint32]:
        """Return the flags that one kind of reference file carries: (y, x)."""
        bits = np.uint32(0)
        for name in _OWN_FLAGS[reftype]:
            bits |= np.uint32(dq.PIXEL[name])
        return self.maps.flags & bits


def _odd_ones(flagged: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Choose every second of the flagged pixels: those that also hold no number."""
    chosen = np.zeros_like(flagged)
    rows, columns = np.nonzero(flagged)
    chosen[rows[::2], columns[::2]] = True
    return chosen


def _mask(recipe: _Recipe, models: Any) -> Any:
    flags = recipe.own_flags("mask")
    if recipe.settings.pattern.is_irs2:
        flags = irs2.interleaved_flags(recipe.settings, flags)
    return models.MaskModel(dq=flags)


def _saturation(recipe: _Recipe, models: Any) -> Any:
    maps = recipe.maps
    threshold = np.float32(_THRESHOLD) * maps.well
    if not recipe.settings.camera.is_mid_infrared:
        # The step looks at raw counts, bias and all.
        threshold += maps.superbias
    flags = recipe.own_flags("saturation")
    flags[reference_pixels(recipe.settings.camera, recipe.window)] |= np.uint32(dq.NO_SAT_CHECK)
    threshold[_odd_ones((maps.flags & dq.NO_SAT_CHECK) != 0)] = np.nan
    return models.SaturationModel(data=threshold, dq=flags)


def _superbias(recipe: _Recipe, models: Any) -> Any:
    level = recipe.maps.superbias.copy()
    flags = recipe.own_flags("superbias")
    level[_odd_ones((flags & dq.UNRELIABLE_BIAS) != 0)] = np.nan
    if recipe.settings.pattern.is_irs2:
        level = irs2.interleaved_level(recipe.settings, level)
        own = np.zeros(level.shape, np.uint32)
        own[irs2.layout_of(recipe.settings).science_rows] = flags
        flags = own
    model = models.SuperBiasModel(data=level, dq=flags)
    model.err = np.full_like(level, 0.5)
    return model


def _ipc(recipe: _Recipe, models: Any) -> Any:
    """Invert the coupling to second order, so that correcting gives the light back."""
    alpha = recipe.settings.ipc
    kernel = np.array([[0, -alpha, 0], [-alpha, 1 + 4 * alpha, -alpha], [0, -alpha, 0]])
    if recipe.ipc_per_pixel:
        shape = (3, 3, *recipe.window.shape)
        kernel = np.broadcast_to(kernel[:, :, None, None], shape)
    return models.IPCModel(data=np.ascontiguousarray(kernel, dtype=np.float32))


def _linearity(recipe: _Recipe, models: Any) -> Any:
    maps = recipe.maps
    coefficients = forward_coefficients(maps.nonlinearity)
    flags = recipe.own_flags("linearity")
    coefficients[:, _odd_ones((flags & dq.NO_LIN_CORR) != 0)] = np.nan
    model = models.LinearityModel(coeffs=coefficients, dq=flags)
    if recipe.inverse_linearity:
        model.inv_coeffs = inverse_coefficients(maps.nonlinearity)
    return model


def _dark(recipe: _Recipe, models: Any) -> Any:
    """Dark signal frame by frame, in linear counts above the bias."""
    settings, maps = recipe.settings, recipe.maps
    per_frame = maps.dark * np.float32(
        full_well(settings.camera) * settings.frame_time / settings.integration_time
    )
    per_frame /= maps.gain
    frames = np.arange(1, recipe.dark_frames + 1, dtype=np.float32)
    cube = frames[:, None, None] * per_frame
    flags = recipe.own_flags("dark")
    cube[:, _odd_ones((flags & dq.UNRELIABLE_DARK) != 0)] = np.nan
    if settings.camera.is_mid_infrared:
        cubes = np.stack([cube * np.float32(1 + 0.01 * n) for n in range(_MIRI_INTEGRATIONS)])
        each = np.broadcast_to(flags, (_MIRI_INTEGRATIONS, 1, *flags.shape))
        model = models.DarkMIRIModel(data=cubes, dq=np.ascontiguousarray(each))
        model.meta.exposure.nints = _MIRI_INTEGRATIONS
    elif settings.camera.instrument == "NIRSPEC":
        model = models.DarkNirspecModel(data=cube, dq=flags)
    else:
        model = models.DarkModel(data=cube, dq=flags)
    electrons = maps.dark * np.float32(full_well(settings.camera) / settings.integration_time)
    if recipe.average_dark_current == "image":
        model.average_dark_current = electrons
    elif recipe.average_dark_current == "keyword":
        model.meta.exposure.average_dark_current = float(np.median(electrons))
    model.meta.exposure.nframes = 1
    model.meta.exposure.groupgap = 0
    model.meta.exposure.ngroups = recipe.dark_frames
    model.meta.exposure.type = exposure_type(settings)
    return model


def _reset(recipe: _Recipe, models: Any) -> Any:
    settings = recipe.settings
    groups = min(settings.ngroups, _RESET_GROUPS, int(8 * RESET_DECAY))
    effect = np.array(
        [[reset_effect(i, g) for g in range(groups)] for i in range(_MIRI_INTEGRATIONS)],
        dtype=np.float32,
    )
    model = models.ResetModel(
        data=effect[:, :, None, None] * recipe.maps.settling, dq=recipe.own_flags("reset")
    )
    model.meta.exposure.nints = _MIRI_INTEGRATIONS
    model.meta.exposure.ngroups = groups
    return model


def _rscd(recipe: _Recipe, models: Any) -> Any:
    rows = [
        (name, pattern.name, *_RSCD_GROUPS)
        for name in subarrays(recipe.settings.camera)
        for pattern in READ_PATTERNS.values()
        if pattern.instrument == "MIRI"
    ]
    model = models.RSCDModel()
    model.rscd_group_skip_table = np.array(rows, dtype=model.get_dtype("rscd_group_skip_table"))
    return model


def _gain(recipe: _Recipe, models: Any) -> Any:
    gain = recipe.maps.gain.copy()
    gain[(recipe.maps.flags & dq.NO_GAIN_VALUE) != 0] = np.nan
    model = models.GainModel(data=gain)
    if recipe.settings.gain_factor is not None:
        model.meta.exposure.gain_factor = recipe.settings.gain_factor
    return model


def _readnoise(recipe: _Recipe, models: Any) -> Any:
    """Noise of the difference of two reads, as the files of CRDS have it."""
    scale = np.float32(np.sqrt(2.0) * (recipe.settings.read_noise or 1.0))
    return models.ReadnoiseModel(data=recipe.maps.read_noise * scale)


def _refpix(recipe: _Recipe, models: Any) -> Any:
    model = models.IRS2Model()
    model.irs2_table = irs2.filter_table(model.get_dtype("irs2_table"))
    rows = irs2.bad_reference_pixels(recipe.settings)
    model.dq_table = np.array(rows, dtype=model.get_dtype("dq_table"))
    return model


def _write_sirs_kernels(settings: Settings, path: Path) -> None:
    """Write an ASDF file of kernels that average both sides over some rows."""
    import asdf

    frequency = np.arange(_SIRS_ROWS // 2 + 1) / _SIRS_ROWS
    one = 0.5 * np.exp(-2.0 * (np.pi * _SIRS_SMOOTHING * frequency) ** 2)
    coefficients = np.tile(one, (4, 1)).astype(np.complex128)
    tree = {
        "meta": {
            "telescope": "JWST",
            "reftype": "sirskernel",
            "model_type": "SIRSKernelModel",
            "author": "jwgpu",
            "pedigree": "SIMULATION",
            "description": f"Simulated sirskernel of {settings.camera.name}",
            "useafter": "2015-01-01T00:00:00",
            "date": "2022-08-10T00:00:00.000",
            "instrument": {
                "name": settings.camera.instrument,
                "detector": settings.camera.name,
            },
        },
        settings.camera.name.lower(): {"gamma": coefficients, "zeta": coefficients.copy()},
    }
    asdf.AsdfFile(tree).write_to(path)


_MAKERS: dict[str, Callable[[_Recipe, Any], Any]] = {
    "mask": _mask,
    "saturation": _saturation,
    "superbias": _superbias,
    "ipc": _ipc,
    "linearity": _linearity,
    "dark": _dark,
    "reset": _reset,
    "rscd": _rscd,
    "gain": _gain,
    "emicorr": emicorr_reference,
    "pictureframe": picture_frame_reference,
    "readnoise": _readnoise,
    "refpix": _refpix,
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
    if reftype in _OWN_FLAGS:
        model.dq_def = _flag_definitions(_OWN_FLAGS[reftype], model.get_dtype("dq_def"))
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
    from stdatamodels.jwst import datamodels

    infrared = settings.camera.is_mid_infrared
    usual = MID_INFRARED_TYPES if infrared else NEAR_INFRARED_TYPES
    if settings.pattern.is_irs2:
        usual = (*usual, "refpix")
    if settings.interference:
        usual = (*usual, "emicorr")
    if settings.picture_frame:
        usual = (*usual, "pictureframe")
    known = usual if infrared else (*usual, "sirskernel")
    wanted = tuple(usual if types is None else types)
    for reftype in wanted:
        if reftype not in known:
            raise ParameterError(
                f"{settings.camera.instrument} has no reference type {reftype!r} here; choose "
                "from: " + ", ".join(known)
            )
    window, label = settings.place, settings.place.name
    stripes = window if isinstance(window, StripedWindow) else None
    if full_frame_references:
        # Times and brightnesses stay those of the exposure; only the window grows.
        window = replace(full_frame(settings.camera), name="GENERIC")
        label = window.name
    elif settings.window is not None:
        label += "_" + "_".join(str(number) for number in settings.window)

    def recipe_for(reftype: str) -> _Recipe:
        place = window if stripes is None else window_for(reftype, stripes, window)
        return _Recipe(
            settings,
            place,
            detector_maps(settings, place),
            inverse_linearity,
            ipc_per_pixel,
            dark_frames or settings.total_frames,
            average_dark_current,
        )

    recipes = dict.fromkeys(wanted, recipe_for("mask"))
    if stripes is not None and "dark" in recipes:
        recipes["dark"] = recipe_for("dark")
    detector, pattern = settings.camera, settings.pattern
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for reftype in wanted:
        words = ["jwst", detector.instrument, reftype, detector.name, label, pattern.name]
        path = folder / ("_".join(words).lower() + ".fits")
        if reftype in ("sirskernel", "emicorr"):
            path = path.with_suffix(".asdf")
        written[reftype] = path
        if reftype == "sirskernel":
            _write_sirs_kernels(settings, written[reftype])
            continue
        recipe = recipes[reftype]
        with quiet_models(), _MAKERS[reftype](recipe, datamodels) as model:
            _describe(model, reftype, settings, recipe.window)
            save_reproducibly(model, path)
    return written
