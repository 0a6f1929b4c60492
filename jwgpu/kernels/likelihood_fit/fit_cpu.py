"""The most likely rates of the ramps of a block.

Equations: Brandt 2024, PASP 136, 045004 (paper 1), section 4; 045005 (paper 2), section 3. The
operations are in the order of the official package: where few differences are left, rounding
decides (see `jwgpu.kernels.likelihood_fit`).
"""

from __future__ import annotations

from math import sqrt

from jwgpu.kernels.compiled import compiled
from jwgpu.kernels.likelihood_fit.block_cpu import Ramps, Work
from jwgpu.kernels.likelihood_fit.readout import Readout

#: Rows after which the running determinant is brought back to 1, against overflow.
_ROWS_TO_RESCALE = 10


@compiled
def prepare_covariance(ramps: Ramps, width: int, readout: Readout, work: Work) -> None:
    """Work out the covariance matrix: `alpha`, `beta`, scaled by `scale` to determinant 1."""
    photon, read, used = ramps.photon, ramps.read, ramps.used
    alpha, beta, scale = work.alpha, work.beta, work.scale
    n = used.shape[0]
    for k in range(n):
        by_photon, by_read = readout.photon[k], readout.read[k]
        for x in range(width):
            alpha[k, x] = photon[x] * by_photon + read[x] * by_read
    for k in range(n - 1):
        by_photon, by_read = readout.photon_next[k], readout.read_next[k]
        for x in range(width):
            beta[k, x] = photon[x] * by_photon + read[x] * by_read
    find_scale(n, width, work)
    for k in range(n):
        for x in range(width):
            alpha[k, x] /= scale[x]
    for k in range(n - 1):
        for x in range(width):
            beta[k, x] = beta[k, x] / scale[x] * used[k + 1, x] * used[k, x]


@compiled
def find_scale(n: int, width: int, work: Work) -> None:
    """Set `scale` to the n-th root of the determinant, row by row; `head` is overwritten."""
    alpha, beta, scale, head = work.alpha, work.beta, work.scale, work.head
    for x in range(width):
        scale[x] = 1.0
        head[0, x] = 1.0
        head[1, x] = alpha[0, x]
    for i in range(2, n + 1):
        if i <= _ROWS_TO_RESCALE:
            for x in range(width):
                b = beta[i - 2, x]
                head[i, x] = alpha[i - 1, x] * head[i - 1, x] - b * b * head[i - 2, x]
        else:
            for x in range(width):
                b, s = beta[i - 2, x], scale[x]
                head[i, x] = (
                    alpha[i - 1, x] / s * head[i - 1, x] - b * b / (s * s) * head[i - 2, x]
                )
        if i % _ROWS_TO_RESCALE == 0 or i == n:
            power = 1.0 / i
            for x in range(width):
                root = head[i, x] ** power
                rest = head[i, x] / root
                scale[x] *= root
                head[i - 1, x] /= rest
                head[i - 2, x] /= rest / root
                head[i, x] = 1.0


@compiled
def sum_heads(ramps: Ramps, width: int, work: Work, with_data: bool) -> None:
    """Run through the matrix from its head (paper 1, equations 38 to 40, 47, 48)."""
    alpha, beta, masked = work.alpha, work.beta, work.masked
    head, ones, data = work.head, work.head_ones, work.head_data
    n = ramps.used.shape[0]
    for x in range(width):
        head[0, x] = 1.0
    for x in range(width):
        head[1, x] = alpha[0, x]
    for x in range(width):
        ones[0, x] = -1.0
    for k in range(1, n):
        sign = 1.0 if k & 1 else -1.0
        for x in range(width):
            b = beta[k - 1, x]
            head[k + 1, x] = alpha[k, x] * head[k, x] - b * b * head[k - 1, x]
        for x in range(width):
            ones[k, x] = ones[k - 1, x] * beta[k - 1, x] + sign * head[k, x]
    if not with_data:
        return
    for x in range(width):
        data[0, x] = 0.0
    for x in range(width):
        data[1, x] = -masked[0, x]
    for k in range(1, n):
        sign = 1.0 if k & 1 else -1.0
        for x in range(width):
            data[k + 1, x] = beta[k - 1, x] * data[k, x] + sign * masked[k, x] * head[k, x]


@compiled
def sum_tails(ramps: Ramps, width: int, work: Work, with_data: bool) -> None:
    """Run through the matrix from its tail (paper 1, equations 41 to 43, 46; paper 2, 4)."""
    alpha, beta, masked = work.alpha, work.beta, work.masked
    tail, ones, data = work.tail, work.tail_ones, work.tail_data
    n = ramps.used.shape[0]
    for x in range(width):
        tail[n, x] = 1.0
    for x in range(width):
        tail[n - 1, x] = alpha[n - 1, x]
    for x in range(width):
        ones[n - 1, x] = 0.0
    for x in range(width):
        data[n - 1, x] = 0.0
    for k in range(n - 2, -1, -1):
        sign = -1.0 if k & 1 else 1.0  # of the next row
        for x in range(width):
            b = beta[k, x]
            tail[k, x] = alpha[k, x] * tail[k + 1, x] - b * b * tail[k + 2, x]
        for x in range(width):
            b = beta[k, x]
            ones[k, x] = ones[k + 1, x] * b + sign * b * tail[k + 2, x]
        if with_data:
            for x in range(width):
                data[k, x] = (data[k + 1, x] + sign * masked[k + 1, x] * tail[k + 2, x]) * beta[
                    k, x
                ]


@compiled
def multiply_out(ramps: Ramps, width: int, work: Work) -> None:
    """Set `row_ones`, `data_ones`, `ones_ones` (paper 1, equations 62, 63; paper 2, 71)."""
    head, tail, used, masked = work.head, work.tail, ramps.used, work.masked
    head_ones, tail_ones, row_ones = work.head_ones, work.tail_ones, work.row_ones
    data_ones, ones_ones = work.data_ones, work.ones_ones
    n = used.shape[0]
    for x in range(width):
        data_ones[x] = 0.0
    for x in range(width):
        ones_ones[x] = 0.0
    for k in range(n):
        sign = 1.0 if k & 1 else -1.0
        for x in range(width):
            row_ones[k, x] = (
                sign
                / head[n, x]
                * (tail[k + 1, x] * head_ones[k, x] + head[k, x] * tail_ones[k, x])
                * used[k, x]
            )
        for x in range(width):
            data_ones[x] += masked[k, x] * row_ones[k, x]
        for x in range(width):
            ones_ones[x] += row_ones[k, x]


@compiled
def find_chi_square(ramps: Ramps, width: int, work: Work) -> None:
    """Set `data_data` (paper 1, equation 61) and `chi_square`."""
    beta, head, tail, head_data = work.beta, work.head, work.tail, work.head_data
    masked, data_data, crossed = work.masked, work.data_data, work.joint
    n = ramps.used.shape[0]
    for x in range(width):
        # An infinite difference leaves nothing to be known.
        crossed[x] = masked[0, x] * 0.0
    for x in range(width):
        data_data[x] = 0.0
    for k in range(1, n):
        sign = 1.0 if k & 1 else -1.0
        for x in range(width):
            crossed[x] += (
                masked[k, x] * sign / head[n, x] * beta[k - 1, x] * tail[k + 1, x] * head_data[k, x]
            )
    for k in range(n):
        for x in range(width):
            data_data[x] += masked[k, x] * masked[k, x] * head[k, x] * tail[k + 1, x] / head[n, x]
    data_ones, ones_ones, scale = work.data_ones, work.ones_ones, work.scale
    chi_square = work.chi_square
    for x in range(width):
        data_data[x] = 2.0 * crossed[x] + data_data[x]
    for x in range(width):
        chi_square[x] = (data_data[x] - data_ones[x] * data_ones[x] / ones_ones[x]) / scale[x]


@compiled
def fit_ramps_of_block(
    ramps: Ramps, width: int, readout: Readout, work: Work, with_data: bool
) -> None:
    """Fit the first ramps of a block, with the differences that are used.

    Parameters
    ----------
    ramps : Ramps
    width : int
        How many.
    readout : Readout
    work : Work
        Filled in: the covariance matrix, what its inverse gives with ones and differences, and,
        if `with_data`, chi-square and what is needed to leave out differences.
    with_data : bool
    """
    difference, used, masked = ramps.difference, ramps.used, work.masked
    for k in range(used.shape[0]):
        for x in range(width):
            masked[k, x] = difference[k, x] * used[k, x]
    prepare_covariance(ramps, width, readout, work)
    sum_heads(ramps, width, work, with_data)
    sum_tails(ramps, width, work, with_data)
    multiply_out(ramps, width, work)
    if with_data:
        find_chi_square(ramps, width, work)


@compiled
def variances(
    x: int, ramps: Ramps, readout: Readout, work: Work
) -> tuple[float, float, float, float]:
    """Rate of one ramp, its error, and its variances by photons and by read noise."""
    row_ones, total = work.row_ones, work.ones_ones[x]
    by_photons, by_read = 0.0, 0.0
    next_photons, next_read = 0.0, 0.0
    before = 0.0
    for k in range(ramps.used.shape[0]):
        weight = row_ones[k, x] / total
        by_photons += weight * weight * readout.photon[k]
        by_read += weight * weight * readout.read[k]
        if k > 0:
            next_photons += weight * before * readout.photon_next[k - 1]
            next_read += weight * before * readout.read_next[k - 1]
        before = weight
    return (
        work.data_ones[x] * (1.0 / total),
        sqrt(work.scale[x] / total),
        ramps.photon[x] * (by_photons + 2.0 * next_photons),
        ramps.read[x] * (by_read + 2.0 * next_read),
    )
