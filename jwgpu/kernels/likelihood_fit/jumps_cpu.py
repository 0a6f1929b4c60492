"""The search for jumps: differences without which the others are far likelier.

Equations: Brandt 2024, PASP 136, 045005, sections 3.1 and 3.2.
"""

from __future__ import annotations

from jwgpu.kernels.likelihood_fit.block_cpu import (
    BESIDE,
    BEST_ONE,
    BEST_TWO,
    BETA,
    CHI_ONE,
    CHI_SQUARE,
    CHI_TWO,
    DATA_DATA,
    DATA_ONES,
    DIAGONAL,
    DIFFERENCE,
    HAS_DROPS,
    HEAD,
    HEAD_DATA,
    INVERSE,
    JOINT,
    JUMP_ONE,
    JUMP_TWO,
    LEVER,
    MINOR,
    N_USED,
    ONES_ONES,
    ORIGIN,
    PHOTON,
    RATE,
    RATE_ONE,
    RATE_TWO,
    READ,
    ROW_DATA,
    ROW_ONES,
    SCALE,
    TAIL,
    TAIL_DATA,
    USED,
    Block,
    Numbers,
)
from jwgpu.kernels.likelihood_fit.readout import (
    HAS_PAIRS,
    Readout,
)
from jwgpu.kernels.ramp_fit.parts_cpu import (
    part,
)

#: A ramp of so few differences is not searched again after a jump was found.
_FEWEST = 3


@part
def invert_covariance(ramps: Numbers, width: int, work: Numbers) -> None:
    """Set what leaving out differences needs of the inverse covariance matrix."""
    used, beta, head, tail = ramps.rows[USED], work.rows[BETA], work.rows[HEAD], work.rows[TAIL]
    diagonal, beside, row_ones, row_data = (
        work.rows[DIAGONAL],
        work.rows[BESIDE],
        work.rows[ROW_ONES],
        work.rows[ROW_DATA],
    )
    minor, lever, inverse = work.rows[MINOR], work.rows[LEVER], work.lanes[INVERSE]
    data_ones, ones_ones = work.lanes[DATA_ONES], work.lanes[ONES_ONES]
    head_data, tail_data = work.rows[HEAD_DATA], work.rows[TAIL_DATA]
    n = used.shape[0]
    for k in range(n):
        sign = 1.0 if k & 1 else -1.0
        for x in range(width):
            row_data[k, x] = tail[k + 1, x] * head_data[k + 1, x] + head[k, x] * tail_data[k, x]
        for x in range(width):
            row_data[k, x] = sign * inverse[x] * row_data[k, x]
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


@part
def leave_out_one(ramps: Numbers, width: int, work: Numbers) -> None:
    """Set `rate_one` and `chi_one`, without each difference; one that is not used changes none."""
    used, diagonal, row_ones, row_data = (
        ramps.rows[USED],
        work.rows[DIAGONAL],
        work.rows[ROW_ONES],
        work.rows[ROW_DATA],
    )
    data_data, data_ones, ones_ones = (
        work.lanes[DATA_DATA],
        work.lanes[DATA_ONES],
        work.lanes[ONES_ONES],
    )
    minor, rate, chi = work.rows[MINOR], work.rows[RATE_ONE], work.rows[CHI_ONE]
    chi_square, scale = work.lanes[CHI_SQUARE], work.lanes[SCALE]
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


@part
def needs_pairs(ramps: Numbers, width: int, work: Numbers, readout: Readout) -> bool:
    """Return whether leaving out two differences has any effect in some ramp.

    Quirk: where chi-square without some pair is not known, no jump is found at all; even if no
    pair may be left out. That is so where the matrix without the pair has no inverse.
    """
    used, n_used = ramps.rows[USED], work.lanes[N_USED]
    minor, row_ones, ones_ones = work.rows[MINOR], work.rows[ROW_ONES], work.lanes[ONES_ONES]
    beside, singular = work.rows[BESIDE], work.lanes[JOINT]
    n = used.shape[0]
    for k in range(n):
        if readout.factors[HAS_PAIRS, k] != 0.0:
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


@part
def leave_out_two(ramps: Numbers, width: int, work: Numbers) -> None:
    """Set `rate_two` and `chi_two`, without each difference and the next.

    Where one of the two is not used, it is as without the other one.
    """
    used, diagonal, beside = ramps.rows[USED], work.rows[DIAGONAL], work.rows[BESIDE]
    row_ones, row_data, minor, lever = (
        work.rows[ROW_ONES],
        work.rows[ROW_DATA],
        work.rows[MINOR],
        work.rows[LEVER],
    )
    data_data, data_ones, ones_ones = (
        work.lanes[DATA_DATA],
        work.lanes[DATA_ONES],
        work.lanes[ONES_ONES],
    )
    joint, jump_one, jump_two = work.lanes[JOINT], work.lanes[JUMP_ONE], work.lanes[JUMP_TWO]
    rate, chi, scale = work.rows[RATE_TWO], work.rows[CHI_TWO], work.lanes[SCALE]
    rate_one, chi_one = work.rows[RATE_ONE], work.rows[CHI_ONE]
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


@part
def find_largest_falls(
    ramps: Numbers, width: int, work: Numbers, readout: Readout, with_pairs: bool
) -> None:
    """Set `best_one` and `best_two`; NaN where one of the falls is."""
    chi_square, chi_one, chi_two = work.lanes[CHI_SQUARE], work.rows[CHI_ONE], work.rows[CHI_TWO]
    best_one, best_two = work.lanes[BEST_ONE], work.lanes[BEST_TWO]
    n = ramps.rows.shape[1]
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
        factor = readout.factors[HAS_PAIRS, k]
        for x in range(width):
            fall = (chi_square[x] - chi_two[k, x]) * factor
            is_first = k == 0
            is_better = (fall > best_two[x]) | (fall != fall) | is_first
            best_two[x] = fall if is_better else best_two[x]


@part
def drop_differences(x: int, fall: float, is_one: bool, ramps: Numbers, work: Numbers) -> bool:
    """Stop using those differences of a ramp without which chi-square falls by so much.

    Returns
    -------
    bool
        Whether the ramp is to be searched again.
    """
    used = ramps.rows[USED]
    n = used.shape[0]
    rate, left = 0.0, 0.0
    if is_one:
        for k in range(n):
            is_it = work.lanes[CHI_SQUARE, x] - work.rows[CHI_ONE, k, x] == fall
            rate += work.rows[RATE_ONE, k, x] * (1.0 if is_it else 0.0)
            used[k, x] *= 0.0 if is_it else 1.0
    else:
        for k in range(n - 1):
            is_it = work.lanes[CHI_SQUARE, x] - work.rows[CHI_TWO, k, x] == fall
            rate += work.rows[RATE_TWO, k, x] * (1.0 if is_it else 0.0)
            used[k, x] *= 0.0 if is_it else 1.0
            used[k + 1, x] *= 0.0 if is_it else 1.0
    ramps.lanes[RATE, x] = ramps.lanes[RATE, x] * 0.0 + rate
    for k in range(n):
        left += used[k, x]
    return left > _FEWEST


@part
def drop_worst(
    ramps: Numbers,
    width: int,
    thresholds: tuple[float, float],
    block: Block,
) -> int:
    """Drop from each ramp the difference, or two, without which chi-square falls most.

    Parameters
    ----------
    ramps : Numbers
        Those of the block, or those of them that are searched again.
    block : Block
        Its ramps get the result; those to be searched again are copied into `again`.

    Returns
    -------
    int
        How many are in `again`.
    """
    work, again, result = block.work, block.again, block.ramps
    n_again = 0
    for x in range(width):
        one, two = work.lanes[BEST_ONE, x], work.lanes[BEST_TWO, x]
        is_one = one - thresholds[0] > two - thresholds[1]
        # Infinite or unknown falls end as NaN, and are left alone.
        fall = one * (1.0 if one > thresholds[0] else 0.0) * (1.0 if is_one else 0.0)
        fall += two * (1.0 if two > thresholds[1] else 0.0) * (0.0 if is_one else 1.0)
        if fall == 0.0 or fall != fall:
            continue
        is_searched = drop_differences(x, fall, is_one, ramps, work)
        home = int(ramps.lanes[ORIGIN, x])
        block.seen[home] |= HAS_DROPS
        result.lanes[RATE, home] = ramps.lanes[RATE, x]
        for k in range(ramps.rows.shape[1]):
            result.rows[USED, k, home] = ramps.rows[USED, k, x]
        if is_searched:
            copy_ramp(ramps, x, again, n_again)
            n_again += 1
    return n_again


@part
def copy_ramp(source: Numbers, x: int, target: Numbers, to: int) -> None:
    """Copy one ramp."""
    for k in range(source.rows.shape[1]):
        target.rows[DIFFERENCE, k, to] = source.rows[DIFFERENCE, k, x]
        target.rows[USED, k, to] = source.rows[USED, k, x]
    target.lanes[PHOTON, to] = source.lanes[PHOTON, x]
    target.lanes[READ, to] = source.lanes[READ, x]
    target.lanes[RATE, to] = source.lanes[RATE, x]
    target.lanes[ORIGIN, to] = source.lanes[ORIGIN, x]
