"""The search for jumps: differences without which the others are far likelier.

Equations: Brandt 2024, PASP 136, 045005, sections 3.1 and 3.2.
"""

from __future__ import annotations

from jwgpu.kernels.compiled import compiled
from jwgpu.kernels.likelihood_fit.block_cpu import HAS_DROPS, Block, Ramps, Work
from jwgpu.kernels.likelihood_fit.fit_cpu import fit_ramps_of_block
from jwgpu.kernels.likelihood_fit.readout import Readout

#: A ramp of so few differences is not searched again after a jump was found.
_FEWEST = 3


@compiled
def invert_covariance(ramps: Ramps, width: int, work: Work) -> None:
    """Set what leaving out differences needs of the inverse covariance matrix."""
    used, beta, head, tail = ramps.used, work.beta, work.head, work.tail
    diagonal, beside, row_ones, row_data = work.diagonal, work.beside, work.row_ones, work.row_data
    minor, lever = work.minor, work.lever
    data_ones, ones_ones = work.data_ones, work.ones_ones
    head_data, tail_data = work.head_data, work.tail_data
    n = used.shape[0]
    for k in range(n):
        sign = 1.0 if k & 1 else -1.0
        for x in range(width):
            row_data[k, x] = (
                sign
                / head[n, x]
                * (tail[k + 1, x] * head_data[k + 1, x] + head[k, x] * tail_data[k, x])
            )
        for x in range(width):
            diagonal[k, x] = head[k, x] * tail[k + 1, x] / head[n, x] * used[k, x]
        for x in range(width):
            c = row_ones[k, x]
            minor[k, x] = c * c - ones_ones[x] * diagonal[k, x]
        for x in range(width):
            lever[k, x] = data_ones[x] * row_ones[k, x] - row_data[k, x] * ones_ones[x]
    for k in range(n - 1):
        for x in range(width):
            beside[k, x] = -beta[k, x] * head[k, x] * tail[k + 2, x] / head[n, x]


@compiled
def leave_out_one(ramps: Ramps, width: int, work: Work) -> None:
    """Set `rate_one` and `chi_one`, without each difference; one that is not used changes none."""
    used, diagonal, row_ones, row_data = ramps.used, work.diagonal, work.row_ones, work.row_data
    data_data, data_ones, ones_ones = work.data_data, work.data_ones, work.ones_ones
    minor, rate, chi = work.minor, work.rate_one, work.chi_one
    chi_square, scale = work.chi_square, work.scale
    for k in range(used.shape[0]):
        for x in range(width):
            found = diagonal[k, x] * data_ones[x] - row_data[k, x] * row_ones[k, x]
            # From 0, so that 0 keeps its sign.
            rate[k, x] = found / (0.0 - minor[k, x])
        for x in range(width):
            a, c, r = rate[k, x], row_ones[k, x], row_data[k, x]
            b = (r - a * c) / diagonal[k, x]
            chi[k, x] = (
                data_data[x]
                + a * a * ones_ones[x]
                - 2.0 * a * data_ones[x]
                + b * b * diagonal[k, x]
                - 2.0 * b * r
                + 2.0 * a * b * c
            )
        for x in range(width):
            chi[k, x] = chi[k, x] / scale[x] if used[k, x] != 0.0 else chi_square[x]
        for x in range(width):
            found = data_ones[x] * (1.0 / ones_ones[x])
            rate[k, x] = rate[k, x] if used[k, x] != 0.0 else found


@compiled
def needs_pairs(ramps: Ramps, width: int, work: Work, readout: Readout) -> bool:
    """Return whether leaving out two differences has any effect in some ramp.

    Quirk: where chi-square without some pair is not known, no jump is found at all; even if no
    pair may be left out. That is so where the matrix without the pair has no inverse.
    """
    used, n_used = ramps.used, work.n_used
    minor, row_ones, ones_ones = work.minor, work.row_ones, work.ones_ones
    beside, singular = work.beside, work.joint
    n = used.shape[0]
    for k in range(n):
        if readout.has_pairs[k] != 0.0:
            return True
    for x in range(width):
        n_used[x] = 0.0
        singular[x] = 0.0
    for k in range(n):
        for x in range(width):
            n_used[x] += used[k, x]
    for k in range(n - 1):
        for x in range(width):
            joint = row_ones[k, x] * row_ones[k + 1, x] - ones_ones[x] * beside[k, x]
            is_singular = (joint == 0.0) | (minor[k, x] == 0.0)
            singular[x] += 1.0 if is_singular else 0.0
    suspects = 0
    for x in range(width):
        suspects += (n_used[x] <= _FEWEST) | (singular[x] != 0.0)
    return suspects > 0


@compiled
def leave_out_two(ramps: Ramps, width: int, work: Work) -> None:
    """Set `rate_two` and `chi_two`, without each difference and the next.

    Where one of the two is not used, it is as without the other one.
    """
    used, diagonal, beside = ramps.used, work.diagonal, work.beside
    row_ones, row_data, minor, lever = work.row_ones, work.row_data, work.minor, work.lever
    data_data, data_ones, ones_ones = work.data_data, work.data_ones, work.ones_ones
    joint, jump_one, jump_two = work.joint, work.jump_one, work.jump_two
    rate, chi, scale = work.rate_two, work.chi_two, work.scale
    rate_one, chi_one = work.rate_one, work.chi_one
    for k in range(used.shape[0] - 1):
        for x in range(width):
            joint[x] = row_ones[k, x] * row_ones[k + 1, x] - ones_ones[x] * beside[k, x]
        for x in range(width):
            first, second = minor[k, x], minor[k + 1, x]
            c = lever[k, x] / first - lever[k + 1, x] / joint[x]
            jump_two[x] = c / (joint[x] / first - second / joint[x])
        for x in range(width):
            jump_one[x] = (lever[k, x] - jump_two[x] * joint[x]) / minor[k, x]
        for x in range(width):
            b, c = jump_one[x], jump_two[x]
            a = data_ones[x] - b * row_ones[k, x] - c * row_ones[k + 1, x]
            rate[k, x] = a / ones_ones[x]
        for x in range(width):
            a, b, c = rate[k, x], jump_one[x], jump_two[x]
            chi[k, x] = (
                data_data[x]
                + a * a * ones_ones[x]
                + b * b * diagonal[k, x]
                + c * c * diagonal[k + 1, x]
            )
        for x in range(width):
            a, b, c = rate[k, x], jump_one[x], jump_two[x]
            chi[k, x] -= (
                2.0 * a * data_ones[x] + 2.0 * b * row_data[k, x] + 2.0 * c * row_data[k + 1, x]
            )
        for x in range(width):
            a, b, c = rate[k, x], jump_one[x], jump_two[x]
            ones = 2.0 * a * b * row_ones[k, x] + 2.0 * a * c * row_ones[k + 1, x]
            chi[k, x] += ones + 2.0 * b * c * beside[k, x]
        for x in range(width):
            both = chi[k, x] / scale[x]
            kept = chi_one[k, x] if used[k + 1, x] == 0.0 else both
            chi[k, x] = chi_one[k + 1, x] if used[k, x] == 0.0 else kept
        for x in range(width):
            kept = rate_one[k, x] if used[k + 1, x] == 0.0 else rate[k, x]
            rate[k, x] = rate_one[k + 1, x] if used[k, x] == 0.0 else kept


@compiled
def find_largest_falls(
    ramps: Ramps, width: int, work: Work, readout: Readout, with_pairs: bool
) -> None:
    """Set `best_one` and `best_two`; NaN where one of the falls is."""
    chi_square, chi_one, chi_two = work.chi_square, work.chi_one, work.chi_two
    best_one, best_two = work.best_one, work.best_two
    n = ramps.used.shape[0]
    for x in range(width):
        best_one[x] = chi_square[x] - chi_one[0, x]
    for x in range(width):
        best_two[x] = 0.0
    for k in range(1, n):
        for x in range(width):
            fall = chi_square[x] - chi_one[k, x]
            best_one[x] = fall if (fall > best_one[x]) | (fall != fall) else best_one[x]
    if not with_pairs:
        return
    for k in range(n - 1):
        factor = readout.has_pairs[k]
        for x in range(width):
            fall = (chi_square[x] - chi_two[k, x]) * factor
            is_first = k == 0
            is_better = (fall > best_two[x]) | (fall != fall) | is_first
            best_two[x] = fall if is_better else best_two[x]


@compiled
def drop_differences(x: int, fall: float, is_one: bool, ramps: Ramps, work: Work) -> bool:
    """Stop using those differences of a ramp without which chi-square falls by so much.

    Returns
    -------
    bool
        Whether the ramp is to be searched again.
    """
    used = ramps.used
    n = used.shape[0]
    rate, left = 0.0, 0.0
    if is_one:
        for k in range(n):
            is_it = work.chi_square[x] - work.chi_one[k, x] == fall
            rate += work.rate_one[k, x] * (1.0 if is_it else 0.0)
            used[k, x] *= 0.0 if is_it else 1.0
    else:
        for k in range(n - 1):
            is_it = work.chi_square[x] - work.chi_two[k, x] == fall
            rate += work.rate_two[k, x] * (1.0 if is_it else 0.0)
            used[k, x] *= 0.0 if is_it else 1.0
            used[k + 1, x] *= 0.0 if is_it else 1.0
    ramps.rate[x] = ramps.rate[x] * 0.0 + rate
    for k in range(n):
        left += used[k, x]
    return left > _FEWEST


@compiled
def drop_worst(
    ramps: Ramps,
    width: int,
    readout: Readout,
    thresholds: tuple[float, float],
    block: Block,
) -> int:
    """Drop from each ramp the difference, or two, without which chi-square falls most.

    Parameters
    ----------
    ramps : Ramps
        Those of the block, or those of them that are searched again.
    block : Block
        Its ramps get the result; those to be searched again are copied into `again`.

    Returns
    -------
    int
        How many are in `again`.
    """
    work, again, result = block.work, block.again, block.ramps
    with_pairs = needs_pairs(ramps, width, work, readout)
    if with_pairs:
        leave_out_two(ramps, width, work)
    find_largest_falls(ramps, width, work, readout, with_pairs)
    n_again = 0
    for x in range(width):
        one, two = work.best_one[x], work.best_two[x]
        is_one = one - thresholds[0] > two - thresholds[1]
        # Infinite or unknown falls end as NaN, and are left alone.
        fall = one * (1.0 if one > thresholds[0] else 0.0) * (1.0 if is_one else 0.0)
        fall += two * (1.0 if two > thresholds[1] else 0.0) * (0.0 if is_one else 1.0)
        if fall == 0.0 or fall != fall:
            continue
        is_searched = drop_differences(x, fall, is_one, ramps, work)
        home = ramps.origin[x]
        block.seen[home] |= HAS_DROPS
        result.rate[home] = ramps.rate[x]
        for k in range(ramps.used.shape[0]):
            result.used[k, home] = ramps.used[k, x]
        if is_searched:
            copy_ramp(ramps, x, again, n_again)
            n_again += 1
    return n_again


@compiled
def copy_ramp(source: Ramps, x: int, target: Ramps, to: int) -> None:
    """Copy one ramp."""
    for k in range(source.used.shape[0]):
        target.difference[k, to] = source.difference[k, x]
        target.used[k, to] = source.used[k, x]
    target.photon[to] = source.photon[x]
    target.read[to] = source.read[x]
    target.rate[to] = source.rate[x]
    target.origin[to] = source.origin[x]


@compiled
def mask_jumps(
    block: Block, width: int, readout: Readout, thresholds: tuple[float, float]
) -> None:
    """Leave out differences with jumps, one or two at a time, until no more are found.

    Parameters
    ----------
    block : Block
        Of its ramps, `used` and `rate` are set; HAS_DROPS is added to `seen`.
    width : int
        How many ramps.
    readout, thresholds
        As in `jwgpu.kernels.likelihood_fit`.
    """
    ramps, work = block.ramps, block.work
    count = width
    for attempt in range(ramps.used.shape[0]):
        fit_ramps_of_block(ramps, count, readout, work, True)
        if attempt == 0:
            for x in range(width):
                ramps.rate[x] = work.data_ones[x] * (1.0 / work.ones_ones[x])
                ramps.origin[x] = x
        invert_covariance(ramps, count, work)
        leave_out_one(ramps, count, work)
        count = drop_worst(ramps, count, readout, thresholds, block)
        ramps = block.again
        if count == 0:
            break
