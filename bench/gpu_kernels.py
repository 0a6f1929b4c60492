"""What bench/gpu.py measures of the kernels: one case a line in `CASES`; add yours here.

Inputs are made on the host, seeded. Each input is read once and each output written once by a
perfect kernel: those are the bytes that a case counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gpu_imaging_kernels as imaging
import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels import emi, flicker_noise
from jwgpu.kernels.dark import subtract_dark
from jwgpu.kernels.emi import joint
from jwgpu.kernels.ipc import deconvolve
from jwgpu.kernels.irs2 import subtract_reference
from jwgpu.kernels.irs2.layout import LINES, ROWS, interleaved_layout
from jwgpu.kernels.jump import JumpSettings, find_jumps
from jwgpu.kernels.large_events import (
    ShowerSettings,
    SnowballSettings,
    flag_showers,
    flag_snowballs,
)
from jwgpu.kernels.likelihood_fit import fit_ramps_by_likelihood
from jwgpu.kernels.linearity import straighten
from jwgpu.kernels.ramp_fit import Timing, fit_ramps
from jwgpu.kernels.reference_pixels import subtract_drift, subtract_drift_from_differences
from jwgpu.kernels.reference_pixels.layout import (
    Placement,
    four_amplifier_layout,
    mid_infrared_sections,
)
from jwgpu.kernels.saturation import flag_saturation
from jwgpu.models.flags import JUMP_DET, SATURATED

Arrays = dict[str, Any]

#: Full frames: ints, groups, y, x.
NIRCAM, MIRI = (1, 10, 2048, 2048), (2, 40, 1024, 1032)
#: What an emulator does in a moment.
SMALL, SMALL_MIRI = (1, 6, 24, 96), (1, 8, 64, 72)


@dataclass(frozen=True)
class Case:
    """One computation of one kernel.

    Attributes
    ----------
    name : str
        The kernel's folder, and what of it.
    make : callable
        Makes the host arrays for a shape, by name; dataclasses of arrays as well.
    run : callable
        Computes, given them on a device; returns what it makes anew.
    shape, small : tuple of int
        The shape to measure, and one for tests; None where there is no small one.
    changed : tuple of str
        What is changed in place, and restored before each run.
    """

    name: str
    make: Callable[[tuple[int, ...]], dict[str, Any]]
    run: Callable[..., Any]
    shape: tuple[int, ...] = NIRCAM
    small: tuple[int, ...] | None = SMALL
    changed: tuple[str, ...] = ("data",)


def bytes_of(case: Case, given: dict[str, Any], made: Any) -> int:
    """Return the bytes that a perfect kernel reads and writes."""
    written = [given[name] for name in case.changed]
    return sum(array.nbytes for array in arrays_in((*given.values(), *written, made)))


def arrays_in(value: Any) -> list[Any]:
    """Return all arrays in an array, a tuple, a dataclass of arrays, or something else."""
    if hasattr(value, "nbytes") and hasattr(value, "shape"):
        return [value]
    if dataclasses.is_dataclass(value):
        value = tuple(vars(value).values())
    if not isinstance(value, tuple):
        return []
    return [array for part in value for array in arrays_in(part)]


def ramps(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return ramps of many rates, a hit in one sample of a thousand, and the references."""
    random = np.random.default_rng(1)
    image = shape[2:]
    rate = random.uniform(0, 50, image).astype(np.float32)
    data = np.empty(shape, np.float32)
    for integration in data:
        signal = np.full(image, 500, np.float32)
        for group in integration:
            signal += 10 * rate + 500 * (random.random(image, np.float32) < 1e-3)
            group[...] = signal + 7 * random.standard_normal(image, np.float32)
    return {
        "data": data,
        "groupdq": np.zeros(shape, np.uint8),
        "pixeldq": np.zeros(image, np.uint32),
        "gain": np.full(image, 1.8, np.float32),
        "readnoise": np.full(image, 10.0, np.float32),
    }


def flagged_ramps(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return ramps whose jumps are found: one sample in a hundred."""
    given = ramps(shape)
    random = np.random.default_rng(2)
    for group in given["groupdq"].reshape(-1, *shape[2:]):
        group[random.random(shape[2:], np.float32) < 0.01] = JUMP_DET
    return given


def straight_ramps(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return samples and polynomials of degree five, so weak that many rounds do no harm."""
    coefficients = np.zeros((6, *shape[2:]), np.float32)
    coefficients[1], coefficients[2] = 1, 1e-9
    given = {name: ramps(shape)[name] for name in ("data", "groupdq", "pixeldq")}
    return {**given, "coefficients": coefficients, "dq": np.zeros(shape[2:], np.uint32)}


def run_straighten(data: Any, groupdq: Any, pixeldq: Any, coefficients: Any, dq: Any) -> None:
    straighten(data, groupdq, pixeldq, coefficients, dq)


def dark_ramps(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"data": ramps(shape)["data"], "dark": np.full(shape[1:], 1e-3, np.float32)}


def saturating_ramps(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return ramps of which six in a hundred saturate."""
    rate = np.random.default_rng(1).exponential(18000 / shape[1], shape[2:]).astype(np.float32)
    time = np.arange(1, shape[1] + 1, dtype=np.float32)[:, None, None]
    return {
        "data": np.ascontiguousarray(np.broadcast_to(10000 + rate * time, shape)),
        "groupdq": np.zeros(shape, np.uint8),
        "threshold": np.full(shape[2:], 60000, np.float32),
        "dq": np.zeros(shape[2:], np.uint32),
    }


def run_saturation(data: Any, groupdq: Any, threshold: Any, dq: Any) -> None:
    flag_saturation(data, groupdq, threshold, dq)


def coupled_pixels(shape: tuple[int, ...]) -> dict[str, Any]:
    kernel = np.full((3, 3), -0.001, np.float32)
    kernel[1, 1] += 1 - kernel.sum()
    return {"data": ramps(shape)["data"], "kernel": kernel}


def near_infrared_images(shape: tuple[int, ...]) -> dict[str, Any]:
    rows, columns = shape[2:]
    place = Placement(rows, columns, 0, 0, 1, 2)
    usable = np.ones((rows, columns), bool)
    layout = four_amplifier_layout(usable, place, odd_even=True, use_sides=True)
    return {"data": ramps(shape)["data"].reshape(-1, rows, columns), "layout": layout}


def run_drift(data: Any, layout: Any) -> None:
    subtract_drift(data, layout, 3.0, 11, 1.0)


def mid_infrared_images(shape: tuple[int, ...]) -> dict[str, Any]:
    sections = mid_infrared_sections(np.ones(shape[2:], bool), odd_even=True)
    return {"data": ramps(shape)["data"], "sections": sections}


def run_drift_of_differences(data: Any, sections: Any) -> None:
    subtract_drift_from_differences(data, sections, 3.0)


def interleaved_images(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return images of the interleaved readout, always whole, and its weights."""
    random = np.random.default_rng(1)
    images = random.standard_normal((shape[1], ROWS, LINES), dtype=np.float32) * 9 + 100
    weights = np.full((4, 712, 1025), 0.1, np.complex64)
    offset = np.full((ROWS, LINES), 100.0)
    return {"data": images, "offset": offset, "alpha": weights, "beta": weights}


def run_interleaved(data: Any, offset: Any, alpha: Any, beta: Any) -> None:
    layout = interleaved_layout(namespace_of(data), False)
    subtract_reference(data, offset, alpha, beta, layout)


def run_jumps(data: Any, groupdq: Any, gain: Any, readnoise: Any, **others: Any) -> None:
    del others
    find_jumps(data, groupdq, gain, readnoise, JumpSettings())


def run_showers(data: Any, groupdq: Any, pixeldq: Any, gain: Any, readnoise: Any) -> None:
    settings = ShowerSettings(following_groups=5, largest_change=30.0)
    flag_showers(data, groupdq, pixeldq, gain, readnoise, settings)


def snowballs(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return flags of single hits, and of snowballs with saturated cores, a dozen a group."""
    random = np.random.default_rng(1)
    flags = np.zeros(shape, np.uint8)
    size = min(61, *shape[2:])
    rows, columns = np.mgrid[:size, :size] - size // 2
    distance = np.hypot(rows, columns)
    for group in range(1, shape[1]):
        flags[:, group][:, random.random(shape[2:]) < 5e-3] = JUMP_DET
        for _ in range(12):
            y, x = (int(random.integers(0, length - size + 1)) for length in shape[2:])
            radius = random.uniform(4, size / 2)
            flags[:, group, y : y + size, x : x + size][:, distance < radius] |= JUMP_DET
            flags[:, group:, y : y + size, x : x + size][..., distance < radius / 3] = SATURATED
    return {"groupdq": flags}


def run_snowballs(groupdq: Any) -> None:
    flag_snowballs(groupdq, SnowballSettings())


def run_least_squares(**given: Any) -> Any:
    return fit_ramps(*given.values(), Timing(10, 10, 1, 0))


def run_likelihood(**given: Any) -> Any:
    times = [[10.0 * k] for k in range(given["data"].shape[1])]
    return fit_ramps_by_likelihood(*given.values(), times)


def waves(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return MIRI ramps and the waveform of the interference."""
    given = ramps(shape)
    turn = 2 * np.pi * (np.arange(500) + 0.5) / 500
    pieces = joint.waveform_pieces(np.sin(turn))
    return {"data": given["data"], "pixeldq": given["pixeldq"], "pieces": pieces}


def _clock(data: Any) -> emi.Clock:
    rows = data.shape[2]
    clocks = emi.MIRI_CLOCKS["FULL_FAST" if rows == 1024 else "SUB64"]
    return emi.Clock(clocks[0], 1, clocks[1], rows, data.shape[1])


def run_sums_by_phase(data: Any, pixeldq: Any, pieces: Any) -> Any:
    del pieces
    return emi.sum_by_phase(data, pixeldq, _clock(data), emi.period_of(10.039216), 500)


def run_subtract_waveform(data: Any, pixeldq: Any, pieces: Any) -> None:
    del pixeldq
    xp = namespace_of(data)
    numbers = xp.full(data.shape[0], 2.0), xp.full(data.shape[0], 0.3)
    emi.subtract_waveform(data, _clock(data), emi.period_of(10.039216), pieces, *numbers)


def striped_image(shape: tuple[int, ...]) -> dict[str, Any]:
    image = ramps((1, 1, *shape[2:]))["data"][0, 0]
    return {"data": image, "mask": image < 700}


def run_stripes(data: Any, mask: Any) -> Any:
    return flicker_noise.stripes(data, mask, flicker_noise.Lines(1))


CASES = (
    Case("linearity", straight_ramps, run_straighten, changed=("data", "pixeldq")),
    Case("dark", dark_ramps, subtract_dark),
    Case("saturation", saturating_ramps, run_saturation, changed=("groupdq",)),
    Case("ipc", coupled_pixels, deconvolve),
    Case("reference_pixels", near_infrared_images, run_drift, small=(1, 2, 2048, 64)),
    Case(
        "reference_pixels, MIRI",
        mid_infrared_images,
        run_drift_of_differences,
        MIRI,
        (1, 2, 16, 1032),
    ),
    Case("irs2", interleaved_images, run_interleaved, small=None),
    Case("jump", ramps, run_jumps, changed=("groupdq",)),
    Case("jump, MIRI", ramps, run_jumps, MIRI, SMALL_MIRI, ("groupdq",)),
    Case("large_events, snowballs", snowballs, run_snowballs, changed=("groupdq",)),
    Case("large_events, showers", ramps, run_showers, MIRI, SMALL_MIRI, ("groupdq",)),
    Case("ramp_fit", flagged_ramps, run_least_squares, changed=()),
    Case("ramp_fit, MIRI", flagged_ramps, run_least_squares, MIRI, SMALL_MIRI, ()),
    Case("likelihood_fit", ramps, run_likelihood, changed=("groupdq",)),
    Case("likelihood_fit, MIRI", ramps, run_likelihood, MIRI, SMALL_MIRI, ("groupdq",)),
    Case("emi, sums by phase", waves, run_sums_by_phase, MIRI, SMALL_MIRI, ()),
    Case("emi, subtraction", waves, run_subtract_waveform, MIRI, SMALL_MIRI),
    Case("flicker_noise, stripes", striped_image, run_stripes, changed=()),
    Case("pixel_map", imaging.series, imaging.run_evaluate, changed=()),
    Case("drizzle, square", imaging.mapped_image, imaging.run_square, changed=()),
    Case("drizzle, gaussian", imaging.mapped_image, imaging.run_gaussian, changed=()),
    Case("blot", imaging.seen_image, imaging.run_blot, changed=()),
    Case("median_stack", imaging.stack, imaging.run_median_stack, changed=()),
    Case("outliers", imaging.blotted_image, imaging.run_outliers, changed=("dq",)),
    Case("sky_statistics", imaging.sky, imaging.run_sky, changed=()),
)
