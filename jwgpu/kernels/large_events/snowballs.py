"""Snowballs: what to flag, from the regions of jumps and of saturation.

Images stay on the device; the few numbers of each region are worked on here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.ellipses import Ellipses, draw_ellipses, flag_ellipses, replace_flags
from jwgpu.kernels.large_events import SnowballSettings
from jwgpu.kernels.regions import Regions, find_regions
from jwgpu.models.flags import JUMP_DET, SATURATED

#: Allowance for rounding errors before a closer look.
_CLOSE = 1e-7


def flag_snowballs(groupdq: Any, settings: SnowballSettings) -> int:
    """See the package."""
    count = 0
    last_cores: list[Ellipses] = []
    for planes in groupdq:
        found, cores = flag_snowballs_of_integration(planes, settings)
        count += found
        for ellipses in last_cores:
            flag_ellipses(planes[1 : max(settings.following_groups, 1)], ellipses, JUMP_DET)
        last_cores = cores
    return count


def flag_snowballs_of_integration(
    planes: Any, settings: SnowballSettings
) -> tuple[int, list[Ellipses]]:
    """Flag the snowballs in (groups, y, x); return their number, and the large cores."""
    n_groups, shape = len(planes), planes.shape
    cores: list[Ellipses] = []
    count = 0
    saturating: Regions | None = None
    for group in range(1, n_groups):
        jumps = find_regions(planes[group], JUMP_DET, settings.min_jump_area)
        if settings.needs_core:
            if saturating is None:
                saturating = newly_saturated(planes, group, settings)
            following = None
            if group + 1 < n_groups:
                following = newly_saturated(planes, group + 1, settings)
            jumps = jumps[are_snowballs(jumps, saturating, following, settings, shape)]
            large = saturating[saturating.minor > settings.min_core_size - _CLOSE]
            large = large.as_rounded_officially()
            large = large[large.minor > settings.min_core_size]
            # What was widened is not newly saturated in the next group.
            saturating = None if len(large) else following
            if len(large):
                replace_flags(planes[group:], widened(large, settings, shape), SATURATED)
                cores.append(drawn(large, large.minor, large.major, shape))
        count += len(jumps)
        jumps = jumps.as_rounded_officially()
        ellipses = enlarged(jumps, settings.expansion, settings.largest_axis, shape)
        flag_ellipses(planes[group : group + 1], ellipses, JUMP_DET, unless=SATURATED)
    return count, cores


def newly_saturated(planes: Any, group: int, settings: SnowballSettings) -> Regions:
    """Return the regions that are saturated in this group and not in the one before."""
    return find_regions(planes[group], SATURATED, settings.min_core_area, unless=planes[group - 1])


def are_snowballs(
    jumps: Regions,
    saturating: Regions,
    following: Regions | None,
    settings: SnowballSettings,
    shape: tuple[int, ...],
) -> Any:
    """Say, (n,) bool, which regions of jumps have a core, or need none."""
    # Quirk: the limit of the last columns, too, is counted from the number of rows.
    low, high = settings.edge_size, max(0, shape[-2] - settings.edge_size)
    result = (jumps.x < low) | (jumps.y < low) | (jumps.x > high) | (jumps.y > high)
    for cores in (saturating, following):
        if cores is not None:
            result |= have_inside(jumps, cores)
    return result


def have_inside(jumps: Regions, cores: Regions) -> Any:
    """Say, (n,) bool, which ellipses have the centroid of a core inside, or on their outline."""
    # Only cores in the rows of an ellipse are looked at, in order of rows.
    order = np.argsort(cores.y, kind="stable")
    rows = cores.y[order]
    reach = np.maximum(abs(jumps.minor), abs(jumps.major)) / 2 * (1 + _CLOSE)
    first = np.searchsorted(rows, jumps.y - reach)
    n_cores = np.searchsorted(rows, jumps.y + reach, side="right") - first
    jump = np.repeat(np.arange(len(jumps)), n_cores)
    core = order[np.arange(len(jump)) - np.repeat(np.cumsum(n_cores) - n_cores - first, n_cores)]
    is_near = abs(cores.x[core] - jumps.x[jump]) <= reach[jump]
    jump, core = jump[is_near], core[is_near]
    distance = squared_distance(jumps[jump], cores.x[core], cores.y[core])
    is_close = abs(distance - 1) < _CLOSE
    if is_close.any():
        close = jumps[jump[is_close]].as_rounded_officially()
        x, y = cores.x[core[is_close]], cores.y[core[is_close]]
        distance[is_close] = squared_distance(close, x, y)
    result = np.zeros(len(jumps), bool)
    result[jump[distance <= 1]] = True
    return result


def squared_distance(ellipses: Regions, x: Any, y: Any) -> Any:
    """Return, (n,), how far a point is from each ellipse's centre, squared; 1 on the outline.

    Quirk: the official package takes the angle with the columns for one with the rows: it tests
    against the ellipse mirrored in the diagonal, x and y exchanged.
    """
    angle = np.radians(180 - ellipses.degrees())
    cosine, sine = np.cos(angle), np.sin(angle)
    x, y = x - ellipses.x, y - ellipses.y
    u = x * cosine - y * sine
    v = x * sine + y * cosine
    along, across = ellipses.major * 0.5, ellipses.minor * 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        return u**2 / along**2 + v**2 / across**2


def drawn(regions: Regions, minor: Any, major: Any, shape: tuple[int, ...]) -> Ellipses:
    """Return the ellipses of regions with other axes."""
    return draw_ellipses(regions.x, regions.y, minor, major, regions.degrees(), shape)


def widened(regions: Regions, settings: SnowballSettings, shape: tuple[int, ...]) -> Ellipses:
    """Return ellipses whose axes are longer by some pixels."""
    minor = np.minimum(regions.minor + settings.core_widening, settings.largest_axis)
    major = np.minimum(regions.major + settings.core_widening, settings.largest_axis)
    return drawn(regions, minor, major, shape)


def enlarged(
    regions: Regions, expansion: float, largest_axis: float, shape: tuple[int, ...]
) -> Ellipses:
    """Return ellipses whose minor axis is longer by a factor, the major one by as much."""
    minor = np.minimum(regions.minor * expansion, largest_axis)
    major = np.minimum(regions.major + (expansion - 1.0) * regions.minor, largest_axis)
    return drawn(regions, minor, major, shape)
