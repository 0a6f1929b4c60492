"""The most likely rates of the ramps of a block.

Equations: Brandt 2024, PASP 136, 045004 (paper 1), section 4; 045005 (paper 2), section 3. The
operations are in the order of the official package: where few differences are left, rounding
decides (see `jwgpu.kernels.likelihood_fit`).
"""

from __future__ import annotations

from math import sqrt

from jwgpu.kernels.likelihood_fit.block_cpu import (
    ALPHA,
    BETA,
    CHI_SQUARE,
    DATA_DATA,
    DATA_ONES,
    DIFFERENCE,
    FITTED_ERR,
    FITTED_PHOTON,
    FITTED_RATE,
    FITTED_READ,
    HEAD,
    HEAD_DATA,
    HEAD_ONES,
    INVERSE,
    JOINT,
    MASKED,
    ONES_ONES,
    PHOTON,
    READ,
    ROW_ONES,
    SCALE,
    TAIL,
    TAIL_DATA,
    TAIL_ONES,
    USED,
    Numbers,
)
from jwgpu.kernels.likelihood_fit.readout import (
    BY_PHOTON,
    BY_READ,
    NEXT_PHOTON,
    NEXT_READ,
    Readout,
)
from jwgpu.kernels.likelihood_fit.root_cpu import find_roots
from jwgpu.kernels.ramp_fit.parts_cpu import part

#: Rows after which the running determinant is brought back to 1, against overflow.
_ROWS_TO_RESCALE = 10


@part
def prepare_covariance(ramps: Numbers, width: int, readout: Readout, work: Numbers) -> None:
    """Work out the covariance matrix, and leave out the differences that are not used."""
    photon, read = ramps.lanes[PHOTON], ramps.lanes[READ]
    difference, used, masked = ramps.rows[DIFFERENCE], ramps.rows[USED], work.rows[MASKED]
    alpha, beta = work.rows[ALPHA], work.rows[BETA]
    n = used.shape[0]
    for k in range(n):
        for x in range(width):
            masked[k, x] = difference[k, x] * used[k, x]
    for k in range(n):
        by_photon, by_read = readout.factors[BY_PHOTON, k], readout.factors[BY_READ, k]
        for x in range(width):
            alpha[k, x] = photon[x] * by_photon + read[x] * by_read
    for k in range(n - 1):
        by_photon, by_read = readout.factors[NEXT_PHOTON, k], readout.factors[NEXT_READ, k]
        for x in range(width):
            beta[k, x] = photon[x] * by_photon + read[x] * by_read


@part
def rescale_covariance(ramps: Numbers, width: int, work: Numbers) -> None:
    """Scale the covariance matrix to determinant 1, and cut it where differences are not used.

    The scale is the n-th root of the determinant, found row by row; HEAD is overwritten.
    """
    used, scale, root = ramps.rows[USED], work.lanes[SCALE], work.lanes[JOINT]
    alpha, beta, head = work.rows[ALPHA], work.rows[BETA], work.rows[HEAD]
    n = used.shape[0]
    for x in range(width):
        scale[x] = 1.0
        head[0, x] = 1.0
        head[1, x] = alpha[0, x]
    for i in range(2, n + 1):
        if i <= _ROWS_TO_RESCALE:
            # The scale is 1 as yet.
            for x in range(width):
                b = beta[i - 2, x]
                head[i, x] = alpha[i - 1, x] * head[i - 1, x] - b * b * head[i - 2, x]
        else:
            for x in range(width):
                a, b, s = alpha[i - 1, x], beta[i - 2, x], scale[x]
                head[i, x] = a / s * head[i - 1, x] - b * b / (s * s) * head[i - 2, x]
        if i % _ROWS_TO_RESCALE == 0 or i == n:
            find_roots(head[i], width, i, root)
            for x in range(width):
                head[i - 1, x] /= head[i, x] / root[x]
                scale[x] *= root[x]
                head[i, x] = 1.0
    for k in range(n):
        for x in range(width):
            alpha[k, x] /= scale[x]
    for k in range(n - 1):
        for x in range(width):
            beta[k, x] = beta[k, x] / scale[x] * used[k + 1, x] * used[k, x]


@part
def sum_heads(ramps: Numbers, width: int, work: Numbers, with_data: bool) -> None:
    """Run through the matrix from its head (paper 1, equations 38 to 40, 47, 48)."""
    alpha, beta, masked = work.rows[ALPHA], work.rows[BETA], work.rows[MASKED]
    head, ones, data = work.rows[HEAD], work.rows[HEAD_ONES], work.rows[HEAD_DATA]
    n = ramps.rows.shape[1]
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


@part
def sum_tails(ramps: Numbers, width: int, work: Numbers, with_data: bool) -> None:
    """Run through the matrix from its tail (paper 1, equations 41 to 43, 46; paper 2, 4)."""
    alpha, beta, masked = work.rows[ALPHA], work.rows[BETA], work.rows[MASKED]
    tail, ones, data = work.rows[TAIL], work.rows[TAIL_ONES], work.rows[TAIL_DATA]
    n = ramps.rows.shape[1]
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


@part
def multiply_out(ramps: Numbers, width: int, work: Numbers) -> None:
    """Set `row_ones`, `data_ones`, `ones_ones` (paper 1, equations 62, 63; paper 2, 71)."""
    head, tail, used, masked = work.rows[HEAD], work.rows[TAIL], ramps.rows[USED], work.rows[MASKED]
    head_ones, tail_ones, row_ones = work.rows[HEAD_ONES], work.rows[TAIL_ONES], work.rows[ROW_ONES]
    data_ones, ones_ones = work.lanes[DATA_ONES], work.lanes[ONES_ONES]
    inverse = work.lanes[INVERSE]
    n = used.shape[0]
    for x in range(width):
        inverse[x] = 1.0 / head[n, x]
    for x in range(width):
        data_ones[x] = 0.0
    for x in range(width):
        ones_ones[x] = 0.0
    for k in range(n):
        sign = 1.0 if k & 1 else -1.0
        for x in range(width):
            row_ones[k, x] = tail[k + 1, x] * head_ones[k, x] + head[k, x] * tail_ones[k, x]
        for x in range(width):
            row_ones[k, x] = sign * inverse[x] * row_ones[k, x] * used[k, x]
        for x in range(width):
            data_ones[x] += masked[k, x] * row_ones[k, x]
        for x in range(width):
            ones_ones[x] += row_ones[k, x]


@part
def find_chi_square(ramps: Numbers, width: int, work: Numbers) -> None:
    """Set `data_data` (paper 1, equation 61) and `chi_square`."""
    beta, head, tail, head_data = (
        work.rows[BETA],
        work.rows[HEAD],
        work.rows[TAIL],
        work.rows[HEAD_DATA],
    )
    masked, data_data, crossed = work.rows[MASKED], work.lanes[DATA_DATA], work.lanes[JOINT]
    n = ramps.rows.shape[1]
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
    data_ones, ones_ones, scale = work.lanes[DATA_ONES], work.lanes[ONES_ONES], work.lanes[SCALE]
    chi_square = work.lanes[CHI_SQUARE]
    for x in range(width):
        data_data[x] = 2.0 * crossed[x] + data_data[x]
    for x in range(width):
        chi_square[x] = (data_data[x] - data_ones[x] * data_ones[x] / ones_ones[x]) / scale[x]


@part
def find_variances(ramps: Numbers, width: int, readout: Readout, work: Numbers) -> None:
    """Set, in the lanes, rates, their errors, their variances by photons and by read noise.

    `row_ones` becomes the weights of the differences.
    """
    weights, fitted = work.rows[ROW_ONES], work.lanes
    data_ones, ones_ones, scale = work.lanes[DATA_ONES], work.lanes[ONES_ONES], work.lanes[SCALE]
    n = ramps.rows.shape[1]
    for x in range(width):
        fitted[FITTED_RATE, x] = data_ones[x] * (1.0 / ones_ones[x])
    for x in range(width):
        fitted[FITTED_ERR, x] = sqrt(scale[x] / ones_ones[x])
    for x in range(width):
        fitted[FITTED_PHOTON, x] = 0.0
    for x in range(width):
        fitted[FITTED_READ, x] = 0.0
    for k in range(n):
        by_photon, by_read = readout.factors[BY_PHOTON, k], readout.factors[BY_READ, k]
        # Each covariance counts twice; the first difference has none before it.
        shared_photon = 2.0 * readout.factors[NEXT_PHOTON, k - 1] if k > 0 else 0.0
        shared_read = 2.0 * readout.factors[NEXT_READ, k - 1] if k > 0 else 0.0
        before = max(k - 1, 0)
        for x in range(width):
            weights[k, x] /= ones_ones[x]
        for x in range(width):
            w = weights[k, x]
            fitted[FITTED_PHOTON, x] += w * (w * by_photon + weights[before, x] * shared_photon)
        for x in range(width):
            w = weights[k, x]
            fitted[FITTED_READ, x] += w * (w * by_read + weights[before, x] * shared_read)
    for x in range(width):
        fitted[FITTED_PHOTON, x] *= ramps.lanes[PHOTON, x]
    for x in range(width):
        fitted[FITTED_READ, x] *= ramps.lanes[READ, x]
