// The most likely rate of one ramp. Twin of fit_cpu.py: the same operations on each number in the
// same order; what that keeps in rows is worked out again here, or carried from row to row.
// Equations: Brandt 2024, PASP 136, 045004 (paper 1), section 4; 045005 (paper 2), section 3.
#pragma once
#include "ramp.cuh"
#include "root.cuh"

constexpr int ROWS_TO_RESCALE = 10;

// 1 where k is odd, else -1.
__device__ inline double sign_of(int k) { return k & 1 ? 1.0 : -1.0; }

// The covariance matrix: its diagonal and what stands beside it.
__device__ inline double variance(const Ramp& ramp, const Readout& readout, int k)
{
    return ramp.photon * readout(BY_PHOTON, k) + ramp.read * readout(BY_READ, k);
}

__device__ inline double covariance(const Ramp& ramp, const Readout& readout, int k)
{
    return ramp.photon * readout(NEXT_PHOTON, k) + ramp.read * readout(NEXT_READ, k);
}

// The scaled covariance matrix, cut where differences are not used.
__device__ inline double alpha(const Ramp& ramp, const Readout& readout, int k)
{
    return variance(ramp, readout, k) / ramp.scale;
}

__device__ inline double beta(const Ramp& ramp, const Readout& readout, int k)
{
    return covariance(ramp, readout, k) / ramp.scale * ramp.used(k + 1) * ramp.used(k);
}

// Find the scale that gives the covariance matrix determinant 1, row by row.
__device__ inline void rescale_covariance(const Readout& readout, Ramp& ramp)
{
    double scale = 1.0, before = 1.0, head = variance(ramp, readout, 0);
#pragma unroll 1
    for (int i = 2; i <= ramp.n; ++i) {
        const double a = variance(ramp, readout, i - 1), b = covariance(ramp, readout, i - 2);
        double next = a / scale * head - b * b / (scale * scale) * before;
        if (i % ROWS_TO_RESCALE == 0 || i == ramp.n) {
            const double root = power_of(next, 1.0 / i);
            scale *= root;
            head /= next / root;
            next = 1.0;
        }
        before = head;
        head = next;
    }
    ramp.scale = scale;
}

// Run through the matrix from its head, for its determinant only.
__device__ inline void find_determinant(const Readout& readout, Ramp& ramp)
{
    double before = 1.0, head = alpha(ramp, readout, 0);
#pragma unroll 1
    for (int k = 1; k < ramp.n; ++k) {
        const double b = beta(ramp, readout, k - 1);
        const double next = alpha(ramp, readout, k) * head - b * b * before;
        before = head;
        head = next;
    }
    ramp.head_n = head;
}

// Run through the matrix from its tail (paper 1, equations 41 to 43, 46; paper 2, 4).
__device__ inline void sum_tails(const Readout& readout, bool with_data, Ramp& ramp)
{
    const int n = ramp.n;
    double after = 1.0, tail = alpha(ramp, readout, n - 1), ones = 0.0, data = 0.0;
    ramp.at(TAIL, n) = after;
    ramp.at(TAIL, n - 1) = tail;
    ramp.at(TAIL_ONES, n - 1) = ones;
    ramp.at(TAIL_DATA, n - 1) = data;
#pragma unroll 1
    for (int k = n - 2; k >= 0; --k) {
        const double sign = -sign_of(k);  // of the next row
        const double b = beta(ramp, readout, k);
        const double next = alpha(ramp, readout, k) * tail - b * b * after;
        ones = ones * b + sign * b * after;
        if (with_data) {
            data = (data + sign * ramp.masked(k + 1) * after) * b;
            ramp.at(TAIL_DATA, k) = data;
        }
        after = tail;
        tail = next;
        ramp.at(TAIL, k) = tail;
        ramp.at(TAIL_ONES, k) = ones;
    }
}

// Run through the matrix from its head (paper 1, equations 38 to 40, 47, 48) and multiply out
// (equations 61 to 63; paper 2, 71). What leaving out differences needs of a row takes the place
// of a tail that is not needed any more.
__device__ inline void sum_heads(const Readout& readout, bool with_data, Ramp& ramp)
{
    const int n = ramp.n;
    const double head_n = ramp.head_n, inverse = 1.0 / head_n;
    double before = 0.0, head = 1.0, ones = -1.0, data = 0.0, b = 0.0;
    double data_ones = 0.0, ones_ones = 0.0, data_data = 0.0;
    // An infinite difference leaves nothing to be known.
    double crossed = ramp.masked(0) * 0.0;
#pragma unroll 1
    for (int k = 0; k < n; ++k) {
        const double sign = sign_of(k), used = ramp.used(k), masked = ramp.masked(k);
        const double tail = ramp.at(TAIL, k + 1), a = alpha(ramp, readout, k);
        const double next = k > 0 ? a * head - b * b * before : a;
        const double next_b = k + 1 < n ? beta(ramp, readout, k) : 0.0;
        if (k > 0) ones = ones * b + sign * head;
        const double row_ones =
            sign * inverse * (tail * ones + head * ramp.at(TAIL_ONES, k)) * used;
        data_ones += masked * row_ones;
        ones_ones += row_ones;
        ramp.at(ROW_ONES, k) = row_ones;
        if (with_data) {
            if (k > 0) crossed += masked * sign / head_n * b * tail * data;
            data_data += masked * masked * head * tail / head_n;
            data = k > 0 ? b * data + sign * masked * head : -masked;
            ramp.at(ROW_DATA, k) =
                sign * inverse * (tail * data + head * ramp.at(TAIL_DATA, k));
            ramp.at(DIAGONAL, k) = head * tail / head_n * used;
            if (k + 1 < n) ramp.at(BESIDE, k) = -next_b * head * ramp.at(TAIL, k + 2) / head_n;
        }
        before = head;
        head = next;
        b = next_b;
    }
    ramp.data_ones = data_ones;
    ramp.ones_ones = ones_ones;
    if (!with_data) return;
    ramp.data_data = 2.0 * crossed + data_data;
    ramp.chi_square = (ramp.data_data - data_ones * data_ones / ones_ones) / ramp.scale;
}

__device__ inline void fit_once(const Readout& readout, bool with_data, Ramp& ramp)
{
    rescale_covariance(readout, ramp);
    find_determinant(readout, ramp);
    sum_tails(readout, with_data, ramp);
    sum_heads(readout, with_data, ramp);
}

struct Fitted {
    double rate, err, by_photons, by_read;
};

// Work out the rate, its error, its variances by photons and by read noise.
__device__ inline Fitted find_variances(const Readout& readout, const Ramp& ramp)
{
    Fitted fitted = {ramp.data_ones * (1.0 / ramp.ones_ones),
                     sqrt(ramp.scale / ramp.ones_ones), 0.0, 0.0};
    double before = 0.0;
#pragma unroll 1
    for (int k = 0; k < ramp.n; ++k) {
        const double w = ramp.at(ROW_ONES, k) / ramp.ones_ones;
        // Each covariance counts twice; the first difference has none before it.
        const double shared_photon = k > 0 ? 2.0 * readout(NEXT_PHOTON, k - 1) : 0.0;
        const double shared_read = k > 0 ? 2.0 * readout(NEXT_READ, k - 1) : 0.0;
        if (k == 0) before = w;
        fitted.by_photons += w * (w * readout(BY_PHOTON, k) + before * shared_photon);
        fitted.by_read += w * (w * readout(BY_READ, k) + before * shared_read);
        before = w;
    }
    fitted.by_photons *= ramp.photon;
    fitted.by_read *= ramp.read;
    return fitted;
}
