"""The light that falls on a detector: sky, stars and cosmic rays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jwgpu.simulate.detector_maps import DetectorMaps, FloatImage, full_well
from jwgpu.simulate.geometry import reference_pixels
from jwgpu.simulate.settings import Settings

COSMIC_RAY = np.dtype(
    [
        ("integration", np.int32),
        ("group", np.int32),  # first group that shows the charge
        ("frame", np.int32),  # of the integration, from 0, dropped ones counted
        ("y", np.int32),
        ("x", np.int32),
        ("electrons", np.float32),
    ]
)
"""One pixel struck by one cosmic ray."""

# How often generators are used, so that no two draw the same numbers.
SCENE, NOISE, PEDESTAL, COSMIC_RAYS, REFERENCE_OUTPUT = range(5)

# NIRSpec windows without reference pixels, whose edges see no light; the reference pixel
# correction uses those instead.
_EDGELESS = ("SUB512", "SUB512S", "SUB32")
_DARK_EDGE = 4

_MEDIAN_HIT = 2500.0  # e-
_HIT_SPREAD = 1.2  # of the logarithm
_MEAN_TRACK = 2.5  # pixels


def generator(settings: Settings, *purpose: int) -> np.random.Generator:
    """Return the random generator for one purpose, always the same for the same settings."""
    sequence = np.random.SeedSequence(settings.seed, spawn_key=purpose)
    return np.random.Generator(np.random.SFC64(sequence))


def count_rates(settings: Settings, maps: DetectorMaps) -> FloatImage:
    """Make an image of sky and stars.

    Returns
    -------
    ndarray, float32, shape (y, x)
        Photo-electrons a second; the flux of a star falls on pixels by a Gaussian.
    """
    rng = generator(settings, SCENE)
    height, width = settings.place.shape
    image = np.full((height, width), settings.sky, dtype=np.float32)
    count = max(3, height * width // 2000) if settings.n_stars is None else settings.n_stars
    y_centres = rng.uniform(0, height - 1, count)
    x_centres = rng.uniform(0, width - 1, count)
    faintest, brightest = np.log(settings.star_peaks)
    peaks = np.exp(rng.uniform(faintest, brightest, count))
    sigma = settings.psf_sigma
    # As far as the brightest star reaches a ten-thousandth of a full well.
    reach = int(np.ceil(sigma * np.sqrt(2.0 * np.log(max(2.0, settings.star_peaks[1] * 1e4)))))
    for y, x, peak in zip(y_centres, x_centres, peaks, strict=True):
        top, left = max(0, round(y) - reach), max(0, round(x) - reach)
        stamp = image[top : round(y) + reach + 1, left : round(x) + reach + 1]
        dy = np.arange(top, top + stamp.shape[0]) - y
        dx = np.arange(left, left + stamp.shape[1]) - x
        profile = np.exp(-0.5 * (dy[:, None] ** 2 + dx[None, :] ** 2) / sigma**2)
        stamp += (peak * profile).astype(np.float32)
    image *= np.float32(full_well(settings.camera) / settings.integration_time)
    image *= maps.efficiency
    if settings.place.name in _EDGELESS and settings.camera.instrument == "NIRSPEC":
        image[:, :_DARK_EDGE] = 0.0
        image[:, -_DARK_EDGE:] = 0.0
    return image


def share_with_neighbours(image: FloatImage, coupling: float) -> FloatImage:
    """Let every pixel show a part of its four neighbours' charge (inter-pixel capacitance)."""
    if coupling == 0.0:
        return image
    alpha = np.float32(coupling)
    shared = image * (np.float32(1.0) - np.float32(4.0) * alpha)
    padded = np.pad(image, 1, mode="edge")
    shared += alpha * padded[:-2, 1:-1]
    shared += alpha * padded[2:, 1:-1]
    shared += alpha * padded[1:-1, :-2]
    shared += alpha * padded[1:-1, 2:]
    return shared


def group_of_frame(settings: Settings, frame: NDArray[np.int_]) -> NDArray[np.int_]:
    """Return the first group that contains a frame or comes after it."""
    nframes, gap = settings.pattern.nframes, settings.pattern.groupgap
    return np.maximum(0, -((nframes - 1 - frame) // (nframes + gap)))


def cosmic_rays(settings: Settings, integration: int) -> NDArray[np.void]:
    """Draw the cosmic rays of one integration.

    Returns
    -------
    ndarray of `COSMIC_RAY`
        By frame; a track strikes several pixels in a line, each an entry of its own. Reference
        pixels see none.
    """
    rng = generator(settings, COSMIC_RAYS, integration)
    height, width = settings.place.shape
    count = int(rng.poisson(settings.cosmic_rays * height * width))
    frame = rng.integers(0, settings.total_frames, count)
    y, x = rng.uniform(0, height, count), rng.uniform(0, width, count)
    angle = rng.uniform(0, 2 * np.pi, count)
    length = rng.geometric(1.0 / _MEAN_TRACK, count)
    electrons = _MEDIAN_HIT * np.exp(_HIT_SPREAD * rng.standard_normal(count))

    hit = np.repeat(np.arange(count), length)
    step = np.arange(hit.size) - np.repeat(np.cumsum(length) - length, length)
    rows = np.floor(y[hit] + step * np.sin(angle[hit])).astype(np.int32)
    columns = np.floor(x[hit] + step * np.cos(angle[hit])).astype(np.int32)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns, hit = rows[inside], columns[inside], hit[inside]
    sensitive = ~reference_pixels(settings.camera, settings.place)[rows, columns]
    rows, columns, hit = rows[sensitive], columns[sensitive], hit[sensitive]

    events = np.zeros(hit.size, dtype=COSMIC_RAY)
    events["integration"] = integration
    events["frame"] = frame[hit]
    events["group"] = group_of_frame(settings, frame[hit])
    events["y"], events["x"] = rows, columns
    events["electrons"] = electrons[hit]
    ordered: NDArray[np.void] = events[np.argsort(events["frame"], kind="stable")]
    return ordered


def share_cosmic_rays(events: NDArray[np.void], settings: Settings) -> NDArray[np.void]:
    """Spread each hit over its neighbours by inter-pixel capacitance.

    Returns
    -------
    ndarray of `COSMIC_RAY`
        By frame, five entries for one (fewer at the edges).
    """
    if settings.ipc == 0.0 or events.size == 0:
        return events
    height, width = settings.place.shape
    parts = []
    places = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
    for dy, dx in places:
        part = events.copy()
        part["y"] += dy
        part["x"] += dx
        part["electrons"] *= settings.ipc if dy or dx else 1.0 - 4.0 * settings.ipc
        inside = (part["y"] >= 0) & (part["y"] < height) & (part["x"] >= 0) & (part["x"] < width)
        parts.append(part[inside])
    spread = np.concatenate(parts)
    # Charge that would show in a reference pixel is lost.
    blind = reference_pixels(settings.camera, settings.place)[spread["y"], spread["x"]]
    spread = spread[~blind]
    by_frame: NDArray[np.void] = spread[np.argsort(spread["frame"], kind="stable")]
    return by_frame
