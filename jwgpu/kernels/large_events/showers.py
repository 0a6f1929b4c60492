"""Showers: find extended emission in each difference, then flag around it.

Images stay on the device; the few numbers of each region are worked on here, on the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np

from jwgpu.backends import implementation, namespace_of
from jwgpu.kernels.ellipses import mark_ellipses
from jwgpu.kernels.jump import find_full_groups
from jwgpu.kernels.large_events import ShowerNoise, ShowerSettings
from jwgpu.kernels.large_events.snowballs import enlarged
from jwgpu.kernels.regions import Regions, Search, find_regions
from jwgpu.kernels.regions.official_rounding import round_officially
from jwgpu.kernels.ring_convolution import margin_of, mark_bright, ring_offsets
from jwgpu.models.flags import DO_NOT_USE, SATURATED

#: Least differences, over all integrations, of which showers are searched.
MIN_DIFFERENCES = 10
#: The value of a bright pixel.
_BRIGHT = 1


def are_enough(n_ints: int, n_groups: int, n_unusable: int) -> bool:
    """Return whether an exposure with so many unusable groups has differences to search."""
    return n_ints * (n_groups - 1) - n_unusable >= MIN_DIFFERENCES


def noise_of_showers(
    data: Any, groupdq: Any, gain: Any, readnoise: Any, settings: ShowerSettings
) -> ShowerNoise:
    """Return centre and noise of the differences, of some rows of all integrations."""
    body = implementation(__package__, data, groupdq, gain, readnoise)
    n_ints, n_groups, *image = data.shape
    xp = namespace_of(data)
    is_clipping = n_ints >= settings.minimum_sigclip_groups
    shape = (n_groups if is_clipping else 1, *image)
    noise = ShowerNoise(xp.zeros(shape, "float32"), xp.zeros(shape, "float32"))
    searched = settings.jumps_were_searched
    if not is_clipping:
        frames, images = settings.frames_averaged, (noise.center[0], noise.sigma[0])
        body.find_noise(data, groupdq, gain, readnoise, frames, searched, *images)
        return noise
    for group in range(1, n_groups):
        images = (noise.center[group], noise.sigma[group])
        body.clip_noise(data, groupdq, group, gain, searched, *images)
    return noise


def flag_showers(
    data: Any, groupdq: Any, pixeldq: Any, gain: Any, readnoise: Any, settings: ShowerSettings,
    noise: ShowerNoise | None = None,
) -> int | None:  # fmt: skip
    """See the package."""
    n_ints, n_groups = data.shape[:2]
    body = implementation(__package__, data, groupdq, pixeldq, gain, readnoise)
    if noise is None:
        n_unusable = int(find_full_groups(groupdq, DO_NOT_USE).sum())
        if not are_enough(n_ints, n_groups, n_unusable):
            return None
        noise = noise_of_showers(data, groupdq, gain, readnoise, settings)
    found = list(find_showers(data, groupdq, pixeldq, gain, settings, noise))
    regions = round_officially([showers for _, _, showers in found])
    showers: dict[int, list[tuple[int, Regions]]] = {}
    for (integration, group, _), rounded in zip(found, regions, strict=True):
        showers.setdefault(integration, []).append((group, rounded))
    for integration, of_integration in showers.items():
        planes = groupdq[integration]
        marks = namespace_of(groupdq).zeros(((n_groups + 7) // 8, *planes.shape[1:]), "uint8")
        for group, rounded in of_integration:
            ellipses = enlarged(rounded, settings.expansion, settings.largest_axis, planes.shape)
            stop = min(group + settings.following_groups + 1, n_groups)
            mark_ellipses(marks, planes, group, stop, ellipses, unless=SATURATED)
        body.flag_marked(data[integration], planes, pixeldq, gain, marks, settings.largest_change)
    return sum(len(rounded) for rounded in regions)


def find_showers(
    data: Any, groupdq: Any, pixeldq: Any, gain: Any, settings: ShowerSettings, noise: ShowerNoise
) -> Iterator[tuple[int, int, Regions]]:
    """Yield integration, group and regions wherever there are showers."""
    body = implementation(__package__, data, groupdq, pixeldq, gain)
    xp = namespace_of(data)
    n_ints, n_groups, n_rows, n_columns = data.shape
    offsets = ring_offsets(settings.inner_radius, settings.outer_radius)
    margin = margin_of(offsets)
    at_once = min(body.images_at_once(n_rows, n_columns), n_ints * n_groups)
    # Beyond the edge there are good pixels without signal.
    padded = (at_once, n_rows + 2 * margin, n_columns + 2 * margin)
    ratio, is_good = xp.zeros(padded, "float32"), xp.ones(padded, "uint8")
    is_bright = xp.empty((at_once, n_rows, n_columns), "uint8")
    is_clipping = noise.center.shape[0] > 1
    is_usable = body.find_usable_groups(groupdq, pixeldq)
    for places in differences_to_search(is_usable, at_once, is_clipping):
        which = places[0][1] if is_clipping else 0
        images = (noise.center[which], noise.sigma[which], settings.jumps_were_searched)
        body.find_ratios(data, groupdq, places, pixeldq, gain, *images, ratio, is_good)
        n = len(places)
        mark_bright(ratio[:n], is_good[:n], offsets, settings.threshold, is_bright[:n])
        searches = [Search(k, _BRIGHT, settings.min_area) for k in range(n)]
        for place, regions in zip(places, find_regions(is_bright, searches), strict=True):
            if len(regions):
                yield *place, regions


def differences_to_search(
    is_usable: Any, at_once: int, is_clipping: bool
) -> Iterator[list[tuple[int, int]]]:
    """Yield integrations and groups, some at a time; if clipped, those of one group.

    Parameters
    ----------
    is_usable : ndarray, (ints, groups) bool
        In the first such group of an integration nothing is searched, nor before it.
    at_once : int
    is_clipping : bool
    """
    n_ints, n_groups = is_usable.shape
    first = np.argmax(is_usable, axis=1).tolist()
    places = [(k, group) for group in range(1, n_groups) for k in range(n_ints) if group > first[k]]
    for _, together in groupby(places, key=lambda place: place[1] if is_clipping else 0):
        some = list(together)
        for start in range(0, len(some), at_once):
            yield some[start : start + at_once]
