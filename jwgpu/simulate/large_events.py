"""Large cosmic-ray events: snowballs in the near infrared, showers in the mid infrared.

What they look like: a snowball leaves, at once, more charge than a full well in a round core and a
halo that falls off over some core radii; a shower is a faint patch of a few hundred pixels whose
emission fades over some frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jwgpu.simulate.detector_maps import full_well
from jwgpu.simulate.geometry import reference_pixels
from jwgpu.simulate.scene import COSMIC_RAY, generator, group_of_frame
from jwgpu.simulate.settings import Settings

LARGE_EVENT = np.dtype(
    [
        ("integration", np.int32),
        ("group", np.int32),  # first group that shows the charge
        ("frame", np.int32),  # of the integration, from 0, dropped ones counted
        ("y", np.float32),  # centre
        ("x", np.float32),
        ("major", np.float32),  # snowball: radius of the core; shower: width, in pixels
        ("minor", np.float32),
        ("angle", np.float32),  # of the major axis with the rows, in radians
        ("electrons", np.float32),  # of the brightest pixel in the first frame
    ]
)
"""One snowball or shower."""

# How often its generator is used (see `jwgpu.simulate.scene`).
_SNOWBALLS, _SHOWERS = 40, 41

_CORE_RADII = (2.0, 9.0)  # pixels
_CORE_CHARGE = 1.5  # full wells
_HALO_CHARGE = 0.05  # full wells, at the edge of the core
_HALO_WIDTH = 0.7  # core radii in which the halo falls off
_HALO_END = 6.0  # core radii

_SHOWER_WIDTHS = (5.0, 12.0)  # pixels, standard deviation
_SHOWER_PEAK = 3.0  # noise of a difference of two frames
_SHOWER_FADING = 3.0  # frames
_SHOWER_END = 3.0  # widths, and times of fading


def draw_large_events(
    settings: Settings, integration: int
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Draw the large events of one integration.

    Returns
    -------
    events : ndarray of `LARGE_EVENT`
    struck : ndarray of `jwgpu.simulate.scene.COSMIC_RAY`
        Every pixel and frame in which they leave charge, by frame. Reference pixels see none.
    """
    snowballs = _draw(settings, integration, _SNOWBALLS, settings.snowballs)
    showers = _draw(settings, integration, _SHOWERS, settings.showers)
    parts = [np.zeros(0, COSMIC_RAY)]
    parts += [_snowball(settings, event) for event in snowballs]
    parts += [_shower(settings, event) for event in showers]
    struck = np.concatenate(parts)
    blind = reference_pixels(settings.camera, settings.place)[struck["y"], struck["x"]]
    struck = struck[~blind]
    events: NDArray[np.void] = np.concatenate([snowballs, showers])
    return events, struck[np.argsort(struck["frame"], kind="stable")]


def _draw(settings: Settings, integration: int, kind: int, mean: float) -> NDArray[np.void]:
    rng = generator(settings, kind, integration)
    height, width = settings.place.shape
    events = np.zeros(rng.poisson(mean) if mean else 0, LARGE_EVENT)
    n = events.size
    events["integration"] = integration
    # Not in the first group: what is there from the start cannot be seen.
    first = settings.pattern.nframes + settings.pattern.groupgap
    events["frame"] = rng.integers(min(first, settings.total_frames - 1), settings.total_frames, n)
    events["group"] = group_of_frame(settings, events["frame"])
    events["y"], events["x"] = rng.uniform(0, height - 1, n), rng.uniform(0, width - 1, n)
    if kind == _SNOWBALLS:
        events["major"] = events["minor"] = rng.uniform(*_CORE_RADII, n)
        events["electrons"] = _CORE_CHARGE * full_well(settings.camera)
    else:
        events["major"] = rng.uniform(*_SHOWER_WIDTHS, n)
        events["minor"] = events["major"] * rng.uniform(0.5, 0.95, n)
        events["angle"] = rng.uniform(0, np.pi, n)
        sky = settings.sky * full_well(settings.camera) / settings.integration_time
        noise = np.hypot(settings.camera.read_noise, np.sqrt(sky * settings.frame_time))
        events["electrons"] = _SHOWER_PEAK * noise
    return events


def _stamp(
    settings: Settings, event: np.void, reach: float
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Return rows (n, 1) and columns (1, m) around an event, inside the window."""
    height, width = settings.place.shape
    y, x = float(event["y"]), float(event["x"])
    rows = np.arange(max(0, int(y - reach)), min(height, int(y + reach) + 2))
    columns = np.arange(max(0, int(x - reach)), min(width, int(x + reach) + 2))
    return rows[:, None], columns[None, :]


def _struck(
    event: np.void,
    settings: Settings,
    frame: int,
    pixels: tuple[NDArray[np.int_], NDArray[np.int_]],
    electrons: NDArray[np.float64],
) -> NDArray[np.void]:
    """Return the pixels of a stamp that get charge in one frame."""
    rows, columns = np.broadcast_arrays(*pixels)
    lit = electrons > 0
    struck = np.zeros(np.count_nonzero(lit), COSMIC_RAY)
    struck["integration"] = event["integration"]
    struck["frame"] = frame
    struck["group"] = group_of_frame(settings, np.array(frame))
    struck["y"], struck["x"] = rows[lit], columns[lit]
    struck["electrons"] = electrons[lit]
    return struck


def _snowball(settings: Settings, event: np.void) -> NDArray[np.void]:
    core = float(event["major"])
    pixels = _stamp(settings, event, _HALO_END * core)
    radius = np.hypot(pixels[0] - event["y"], pixels[1] - event["x"])
    halo = np.exp(-(radius - core) / (_HALO_WIDTH * core))
    electrons = np.where(
        radius <= core, event["electrons"], _HALO_CHARGE * full_well(settings.camera) * halo
    )
    electrons[radius > _HALO_END * core] = 0
    return _struck(event, settings, int(event["frame"]), pixels, electrons)


def _shower(settings: Settings, event: np.void) -> NDArray[np.void]:
    pixels = _stamp(settings, event, _SHOWER_END * float(event["major"]))
    dy, dx = pixels[0] - event["y"], pixels[1] - event["x"]
    sine, cosine = np.sin(event["angle"]), np.cos(event["angle"])
    along = (dx * cosine + dy * sine) / event["major"]
    across = (dy * cosine - dx * sine) / event["minor"]
    distance = np.hypot(along, across)
    profile = np.where(distance <= _SHOWER_END, np.exp(-0.5 * distance**2), 0)
    first = int(event["frame"])
    stop = min(settings.total_frames, first + int(_SHOWER_END * _SHOWER_FADING))
    parts = [
        _struck(
            event,
            settings,
            frame,
            pixels,
            event["electrons"] * np.exp(-(frame - first) / _SHOWER_FADING) * profile,
        )
        for frame in range(first, stop)
    ]
    return np.concatenate(parts)
