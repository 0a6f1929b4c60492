// Combining the integrations of a pixel: a thread a pixel. Twin of combine_cpu.py; what that keeps
// for each integration is worked out again here.
#include "flags.cuh"
#include "ordered.cuh"

constexpr int ROUNDS = 2;

struct Integrations {
    const float* values;  // (4, ints, y, x), from this pixel on
    int ints;
    long long n_pixels;

    __device__ float at(int kind, int i) const { return values[(kind * ints + i) * n_pixels]; }
    __device__ float rate(int i) const { return at(0, i); }
    __device__ float by_photons(int i) const { return at(2, i); }
    __device__ float by_read(int i) const { return at(3, i); }
};

// Return the known rate that `rank` others come before, found bit by bit.
__device__ float rate_of_rank(const Integrations& pixel, int rank)
{
    unsigned int found = 0;
    for (int bit = 31; bit >= 0; --bit) {
        const unsigned int middle = found | 1u << bit;
        int n_below = 0;
        for (int i = 0; i < pixel.ints; ++i) {
            const float value = pixel.rate(i);
            n_below += !isnan(value) && key_of(value) < middle;
        }
        if (n_below <= rank) found = middle;
    }
    return value_of(found);
}

// Return the median of the rates without NaN.
__device__ float median_of_known(const Integrations& pixel)
{
    int n = 0;
    for (int i = 0; i < pixel.ints; ++i) n += !isnan(pixel.rate(i));
    if (n == 0) return nanf("");
    const float above = rate_of_rank(pixel, n / 2);
    if (n & 1) return above;
    return (rate_of_rank(pixel, n / 2 - 1) + above) / 2.0f;
}

// Return the variance by photons that goes with the mean rate, so that a rate that happens to be
// low does not count for more.
__device__ float photons_of(const Integrations& pixel, int i, float slope)
{
    float factor = slope / pixel.rate(i);
    if (!isfinite(factor) || factor < 0.0f) factor = 0.0f;
    return pixel.by_photons(i) * factor;
}

struct Combined {
    float slope, by_photons, by_read;
};

// Combine the rates of one pixel, weighted by their variances.
__device__ Combined combine_one_pixel(const Integrations& pixel)
{
    float slope = median_of_known(pixel), guess = slope, total = 0.0f;
    for (int round = 0; round < ROUNDS; ++round) {
        guess = slope;
        total = 0.0f;
        for (int i = 0; i < pixel.ints; ++i) {
            const float weight = 1.0f / (photons_of(pixel, i, guess) + pixel.by_read(i));
            total += isnan(weight) ? 0.0f : weight;
        }
        slope = 0.0f;
        int n = 0;
        for (int i = 0; i < pixel.ints; ++i) {
            const float weight = 1.0f / (photons_of(pixel, i, guess) + pixel.by_read(i)) / total;
            const float part = pixel.rate(i) * weight;
            if (isnan(part)) continue;
            slope += part;
            ++n;
        }
        if (n == 0) slope = nanf("");
    }
    Combined sums = {slope, 0.0f, 0.0f};
    int n_photons = 0, n_read = 0;
    for (int i = 0; i < pixel.ints; ++i) {
        const float photons = photons_of(pixel, i, guess);
        const float weight = 1.0f / (photons + pixel.by_read(i)) / total;
        const float square = weight * weight;
        const float photon = photons * square, read = pixel.by_read(i) * square;
        sums.by_photons += isnan(photon) ? 0.0f : photon;
        sums.by_read += isnan(read) ? 0.0f : read;
        n_photons += !isnan(photon);
        n_read += !isnan(read);
    }
    if (n_photons == 0) sums.by_photons = nanf("");
    if (n_read == 0) sums.by_read = nanf("");
    return sums;
}

// Chi-square of the integrations is summed in float32, as in the official package.
__device__ float summed(const float* chi_square, int ints, long long n_pixels)
{
    float total = 0.0f;
    for (int i = 0; i < ints; ++i) total += chi_square[i * n_pixels];
    return total;
}

extern "C" __global__ void combine(const float* values, const unsigned int* dq,
                                   const float* chi_square, int ints, long long n_pixels,
                                   float* rate, unsigned int* rate_dq, float* total)
{
    const long long pixel = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    unsigned int some = 0, every = 0xffffffffu;
    for (int i = 0; i < ints; ++i) {
        some |= dq[i * n_pixels + pixel];
        every &= dq[i * n_pixels + pixel];
    }
    // Unusable only where all integrations are.
    rate_dq[pixel] = (some & ~DO_NOT_USE) | (every & DO_NOT_USE);
    if (chi_square) total[pixel] = summed(chi_square + pixel, ints, n_pixels);
    if (ints == 1) {
        for (int kind = 0; kind < 4; ++kind)
            rate[kind * n_pixels + pixel] = values[kind * n_pixels + pixel];
        return;
    }
    const Combined found = combine_one_pixel({values + pixel, ints, n_pixels});
    rate[pixel] = found.slope;
    rate[n_pixels + pixel] = sqrtf(found.by_photons + found.by_read);
    rate[2 * n_pixels + pixel] = found.by_photons;
    rate[3 * n_pixels + pixel] = found.by_read;
}
