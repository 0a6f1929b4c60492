"""Showers: find extended emission in each difference, then flag around it.

Images stay on the device; the few numbers of each region are worked on here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jwgpu.backends import implementation, namespace_of
from jwgpu.kernels.ellipses import mark_ellipses
from jwgpu.kernels.large_events import ShowerSettings
from jwgpu.kernels.large_events.snowballs import enlarged
from jwgpu.kernels.regions import Regions, find_regions
from jwgpu.kernels.ring_convolution import margin_of, mark_bright, ring_offsets
from jwgpu.models.flags import DO_NOT_USE, SATURATED

#: Least differences, over all integrations, of which showers are searched.
MIN_DIFFERENCES = 10
#: The value of a bright pixel.
_BRIGHT = 1


def flag_showers(
    data: Any, groupdq: Any, pixeldq: Any, gain: Any, readnoise: Any, settings: ShowerSettings
) -> int | None:
    """See the package."""
    n_ints, n_groups = data.shape[:2]
    body = implementation(__package__, data, groupdq, pixeldq, gain, readnoise)
    n_unusable = int(body.find_full_groups(groupdq, DO_NOT_USE).sum())
    if n_ints * (n_groups - 1) - n_unusable < MIN_DIFFERENCES:
        return None
    showers: dict[int, list[tuple[int, Regions]]] = {}
    count = 0
    for integration, group, regions in find_showers(
        data, groupdq, pixeldq, gain, readnoise, settings
    ):
        showers.setdefault(integration, []).append((group, regions))
        count += len(regions)
    for integration, found in showers.items():
        planes = groupdq[integration]
        marks = namespace_of(groupdq).zeros(((n_groups + 7) // 8, *planes.shape[1:]), "uint8")
        for group, regions in found:
            regions = regions.as_rounded_officially()
            ellipses = enlarged(regions, settings.expansion, settings.largest_axis, planes.shape)
            stop = min(group + settings.following_groups + 1, n_groups)
            mark_ellipses(marks, planes, group, stop, ellipses, unless=SATURATED)
        body.flag_marked(data[integration], planes, pixeldq, gain, marks, settings.largest_change)
    return count


def find_showers(
    data: Any, groupdq: Any, pixeldq: Any, gain: Any, readnoise: Any, settings: ShowerSettings
) -> Iterator[tuple[int, int, Regions]]:
    """Yield integration, group and regions wherever there are showers."""
    body = implementation(__package__, data, groupdq, pixeldq, gain, readnoise)
    xp = namespace_of(data)
    n_ints, n_groups, n_rows, n_columns = data.shape
    offsets = ring_offsets(settings.inner_radius, settings.outer_radius)
    margin = margin_of(offsets)
    # Beyond the edge there are good pixels without signal.
    padded = (n_rows + 2 * margin, n_columns + 2 * margin)
    ratio, is_good = xp.zeros(padded, "float64"), xp.ones(padded, "uint8")
    is_bright = xp.empty((n_rows, n_columns), "uint8")
    center, sigma = (xp.empty((n_rows, n_columns), "float32") for _ in range(2))
    is_clipping = n_ints >= settings.minimum_sigclip_groups
    noise = (readnoise, settings.frames_averaged, settings.jumps_were_searched, center, sigma)
    if not is_clipping:
        body.find_noise(data, groupdq, gain, *noise)
    first_groups = [body.first_usable_group(planes, pixeldq) + 1 for planes in groupdq]
    for group in range(min(first_groups), n_groups):
        if is_clipping:
            samples = slice(group - 1, group + 1)
            body.clip_noise(data[:, samples], groupdq[:, samples], gain, *noise[2:])
        for integration in range(n_ints):
            if group < first_groups[integration]:
                continue
            body.find_ratios(
                data[integration, group - 1 : group + 1],
                groupdq[integration, group - 1 : group + 1],
                pixeldq,
                gain,
                center,
                sigma,
                settings.jumps_were_searched,
                ratio,
                is_good,
            )
            mark_bright(ratio, is_good, offsets, settings.threshold, is_bright)
            regions = find_regions(is_bright, _BRIGHT, settings.min_area)
            if len(regions):
                yield integration, group, regions
