"""Snowballs: what to flag, from the regions of jumps and of saturation.

Images stay on the device; the few numbers of each region are worked on here, on the host.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jwgpu.kernels.ellipses import Ellipses, draw_ellipses, flag_ellipses, joined, replace_flags
from jwgpu.kernels.large_events import SnowballSettings
from jwgpu.kernels.regions import Regions, Search, find_regions
from jwgpu.kernels.regions.official_rounding import round_officially
from jwgpu.models.flags import JUMP_DET, SATURATED

#: Allowance for rounding errors before a closer look.
_CLOSE = 1e-7
#: More than one over the square root of two: no minor axis is longer, of a sum of squares.
_HALF_AT_LEAST = 0.7072


class Found(NamedTuple):
    """Regions of one group: of jumps, and newly saturated in it and in the next one."""

    jumps: Regions
    saturating: Regions | None = None
    following: Regions | None = None


def flag_snowballs(
    groupdq: Any, settings: SnowballSettings, cores_before: list[Ellipses] | None = None
) -> int:
    """See the package.

    Integrations are searched together, so that a device is waited for no oftener when there are
    many of them.
    """
    n_ints, n_groups = groupdq.shape[:2]
    count = 0
    cores: list[list[Ellipses]] = [[] for _ in range(n_ints)]
    known: list[Regions | None] = [None] * n_ints
    for group in range(1, n_groups):
        found = find_in_group(groupdq, group, known, settings)
        chosen = choose_regions(found, settings, groupdq.shape)
        for integration, (jumps, large) in enumerate(chosen):
            flag_group(groupdq[integration], group, jumps, large, settings)
            count += len(jumps)
            known[integration] = found[integration].following
            if len(large):
                cores[integration].append(drawn(large, large.minor, large.major, groupdq.shape))
                # What was widened is not newly saturated in the next group.
                known[integration] = None
    # Integrations have been searched before the cores of the one before are flagged in them.
    stop = max(settings.following_groups, 1)
    for integration, before in enumerate([cores_before or [], *cores[:-1]]):
        if before and stop > 1:
            flag_ellipses(groupdq[integration, 1:stop], joined(before), JUMP_DET)
    if cores_before is not None:
        cores_before[:] = cores[-1]
    return count


def find_in_group(
    groupdq: Any, group: int, known: list[Regions | None], settings: SnowballSettings
) -> list[Found]:
    """Find the regions of one group of each integration.

    Parameters
    ----------
    groupdq : array, (ints, groups, y, x) uint8
    group : int
    known : list of Regions or None
        What is newly saturated in this group of each integration, where it is known.
    settings : SnowballSettings
    """
    n_ints, n_groups = groupdq.shape[:2]
    places = [integration * n_groups + group for integration in range(n_ints)]
    searches = [Search(place, JUMP_DET, settings.min_jump_area) for place in places]
    later: list[int] = []
    unknown: list[int] = []
    if settings.needs_core:
        unknown = [place for place, regions in zip(places, known, strict=True) if regions is None]
        later = [place + 1 for place in places] if group + 1 < n_groups else []
    for place in unknown + later:
        searches.append(Search(place, SATURATED, settings.min_core_area, unless=place - 1))
    jumps = find_regions(groupdq.reshape(-1, *groupdq.shape[2:]), searches)
    saturated = dict(zip(unknown + later, jumps[n_ints:], strict=True))
    saturated |= {
        k: regions for k, regions in zip(places, known, strict=True) if regions is not None
    }
    return [
        Found(jumps[k], saturated.get(place), saturated.get(place + 1))
        for k, place in enumerate(places)
    ]


def choose_regions(
    found: list[Found], settings: SnowballSettings, shape: tuple[int, ...]
) -> list[tuple[Regions, Regions]]:
    """Return the snowballs and the large cores of one group of each integration."""
    least = settings.min_core_size
    chosen: list[Regions] = []
    for jumps, saturating, following in found:
        if saturating is None:
            chosen += [jumps, jumps[:0]]
            continue
        chosen.append(jumps[are_snowballs(jumps, saturating, following, settings, shape)])
        large = saturating[saturating.largest_extent * _HALF_AT_LEAST - 1 > least - _CLOSE]
        chosen.append(large[large.minor > least - _CLOSE])
    chosen = round_officially(chosen)
    large_cores = (regions[regions.minor > least] for regions in chosen[1::2])
    return list(zip(chosen[::2], large_cores, strict=True))


def flag_group(
    planes: Any, group: int, jumps: Regions, large: Regions, settings: SnowballSettings
) -> None:
    """Flag snowballs and large cores of one group in (groups, y, x)."""
    if len(large):
        replace_flags(planes[group:], widened(large, settings, planes.shape), SATURATED)
    if len(jumps):
        ellipses = enlarged(jumps, settings.expansion, settings.largest_axis, planes.shape)
        flag_ellipses(planes[group : group + 1], ellipses, JUMP_DET, unless=SATURATED)


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
    reach = np.maximum(jumps.largest_extent - 1, 1) / 2 * (1 + _CLOSE)
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
