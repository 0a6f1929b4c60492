"""What the simulated reference files are made from, and how each kind is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.models import flags as dq
from jwgpu.simulate import irs2
from jwgpu.simulate.detector_maps import DetectorMaps, full_well
from jwgpu.simulate.exposure import RESET_DECAY, reset_effect
from jwgpu.simulate.geometry import Window, reference_pixels
from jwgpu.simulate.keywords import exposure_type
from jwgpu.simulate.readout import READ_PATTERNS
from jwgpu.simulate.response import forward_coefficients, inverse_coefficients
from jwgpu.simulate.settings import Settings
from jwgpu.simulate.subarrays import subarrays

# A pixel counts as saturated a little before it stops growing.
_THRESHOLD = 0.95

# Which flags each reference file carries, in the order of the bits of its own DQ_DEF table,
# which is not that of the official flags.
OWN_FLAGS = {
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

_RSCD_GROUPS = (1, 3)  # to skip in the first integration and in later ones
_RESET_GROUPS = 15
_MIRI_INTEGRATIONS = 2  # that MIRI's dark and reset tell apart
_SIRS_ROWS = 2048  # of a SIRS kernel before it is cut
_SIRS_SMOOTHING = 3.0  # rows


@dataclass(frozen=True)
class Recipe:
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
        for name in OWN_FLAGS[reftype]:
            bits |= np.uint32(dq.PIXEL[name])
        return self.maps.flags & bits


def _odd_ones(flagged: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Choose every second of the flagged pixels: those that also hold no number."""
    chosen = np.zeros_like(flagged)
    rows, columns = np.nonzero(flagged)
    chosen[rows[::2], columns[::2]] = True
    return chosen


def mask(recipe: Recipe, models: Any) -> Any:
    """Make the mask of bad pixels."""
    flags = recipe.own_flags("mask")
    if recipe.settings.pattern.is_irs2:
        flags = irs2.interleaved_flags(recipe.settings, flags)
    return models.MaskModel(dq=flags)


def saturation(recipe: Recipe, models: Any) -> Any:
    """Make the counts at which pixels saturate."""
    maps = recipe.maps
    threshold = np.float32(_THRESHOLD) * maps.well
    if not recipe.settings.camera.is_mid_infrared:
        # The step looks at raw counts, bias and all.
        threshold += maps.superbias
    flags = recipe.own_flags("saturation")
    flags[reference_pixels(recipe.settings.camera, recipe.window)] |= np.uint32(dq.NO_SAT_CHECK)
    threshold[_odd_ones((maps.flags & dq.NO_SAT_CHECK) != 0)] = np.nan
    return models.SaturationModel(data=threshold, dq=flags)


def superbias(recipe: Recipe, models: Any) -> Any:
    """Make the bias of each pixel."""
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


def ipc(recipe: Recipe, models: Any) -> Any:
    """Invert the coupling to second order, so that correcting gives the light back."""
    alpha = recipe.settings.ipc
    kernel = np.array([[0, -alpha, 0], [-alpha, 1 + 4 * alpha, -alpha], [0, -alpha, 0]])
    if recipe.ipc_per_pixel:
        shape = (3, 3, *recipe.window.shape)
        kernel = np.broadcast_to(kernel[:, :, None, None], shape)
    return models.IPCModel(data=np.ascontiguousarray(kernel, dtype=np.float32))


def linearity(recipe: Recipe, models: Any) -> Any:
    """Make the polynomials that straighten the response."""
    maps = recipe.maps
    coefficients = forward_coefficients(maps.nonlinearity)
    flags = recipe.own_flags("linearity")
    coefficients[:, _odd_ones((flags & dq.NO_LIN_CORR) != 0)] = np.nan
    model = models.LinearityModel(coeffs=coefficients, dq=flags)
    if recipe.inverse_linearity:
        model.inv_coeffs = inverse_coefficients(maps.nonlinearity)
    return model


def dark(recipe: Recipe, models: Any) -> Any:
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


def reset(recipe: Recipe, models: Any) -> Any:
    """Make what the reset leaves in the first groups."""
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


def rscd(recipe: Recipe, models: Any) -> Any:
    """Make the table of groups that the reset switch disturbs."""
    rows = [
        (name, pattern.name, *_RSCD_GROUPS)
        for name in subarrays(recipe.settings.camera)
        for pattern in READ_PATTERNS.values()
        if pattern.instrument == "MIRI"
    ]
    model = models.RSCDModel()
    model.rscd_group_skip_table = np.array(rows, dtype=model.get_dtype("rscd_group_skip_table"))
    return model


def gain(recipe: Recipe, models: Any) -> Any:
    """Make the electrons that a count stands for."""
    gain = recipe.maps.gain.copy()
    gain[(recipe.maps.flags & dq.NO_GAIN_VALUE) != 0] = np.nan
    model = models.GainModel(data=gain)
    if recipe.settings.gain_factor is not None:
        model.meta.exposure.gain_factor = recipe.settings.gain_factor
    return model


def readnoise(recipe: Recipe, models: Any) -> Any:
    """Noise of the difference of two reads, as the files of CRDS have it."""
    scale = np.float32(np.sqrt(2.0) * (recipe.settings.read_noise or 1.0))
    return models.ReadnoiseModel(data=recipe.maps.read_noise * scale)


def refpix(recipe: Recipe, models: Any) -> Any:
    """Make the filters of IRS2, and its bad reference pixels."""
    model = models.IRS2Model()
    model.irs2_table = irs2.filter_table(model.get_dtype("irs2_table"))
    rows = irs2.bad_reference_pixels(recipe.settings)
    model.dq_table = np.array(rows, dtype=model.get_dtype("dq_table"))
    return model


def write_sirs_kernels(settings: Settings, path: Path) -> None:
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
