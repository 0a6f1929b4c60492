// Median and noise of all differences of a pixel; a thread takes one pixel.
#include "ordered.cuh"
#include "samples.cuh"

constexpr unsigned int NOTHING = 0xffffffffu;

// Keys of NaN, whatever its bits, are the largest.
__device__ unsigned int key_of_difference(const float value)
{
    return isnan(value) ? NOTHING : key_of(value);
}

// The key of that rank, found two bits at a time: as many keys are smaller as the rank says.
__device__ unsigned int select_key(
    const unsigned int* keys, const int n, const long long step, const int rank)
{
    unsigned int found = 0;
    for (int shift = 30; shift >= 0; shift -= 2) {
        const unsigned int one = found | 1u << shift, two = found | 2u << shift;
        const unsigned int three = found | 3u << shift;
        int below_one = 0, below_two = 0, below_three = 0;
        for (int k = 0; k < n; ++k) {
            const unsigned int key = keys[k * step];
            below_one += key < one;
            below_two += key < two;
            below_three += key < three;
        }
        const unsigned int digit =
            (below_one <= rank) + (below_two <= rank) + (below_three <= rank);
        found |= digit << shift;
    }
    return found;
}

extern "C" __global__ void find_noise(
    const float* __restrict__ data,             // (ints, groups, pixels)
    const unsigned char* __restrict__ groupdq,  // the same
    const float* __restrict__ gain,             // (pixels)
    const float* __restrict__ readnoise,        // (pixels)
    unsigned int* __restrict__ keys,            // (differences, some pixels)
    float* __restrict__ center,                 // (pixels)
    float* __restrict__ sigma,                  // (pixels)
    const int n_ints, const int n_groups, const int n_pixels,
    const int first_pixel, const int n_some, const float frames_averaged,
    const unsigned char unusable)
{
    const int own = blockIdx.x * blockDim.x + threadIdx.x;
    const int pixel = first_pixel + own;
    if (own >= n_some) return;
    const long long step = n_some;
    const float electrons = gain[pixel];
    const Ramp ramp = {data, groupdq, n_groups, n_pixels, pixel, electrons, unusable};
    unsigned int* mine = keys + own;
    int n = 0, n_all = 0;
    for (int integration = 0; integration < n_ints; ++integration) {
        float previous = ramp.sample(integration, 0);
        for (int group = 1; group < n_groups; ++group) {
            const float sample = ramp.sample(integration, group);
            const unsigned int key = key_of_difference(sample - previous);
            n += key != NOTHING;
            mine[n_all++ * step] = key;
            previous = sample;
        }
    }
    float median = nanf("");
    if (n) {
        const unsigned int lower = select_key(mine, n_all, step, (n - 1) / 2);
        int n_below = 0;
        unsigned int upper = NOTHING;
        for (int k = 0; k < n_all; ++k) {
            const unsigned int key = mine[k * step];
            n_below += key <= lower;
            if (key > lower) upper = min(upper, key);
        }
        if (n_below > n / 2) upper = lower;
        median = (value_of(lower) + value_of(upper)) * 0.5f;
    }
    const float noise = readnoise[pixel] * electrons;
    const float variance = fabsf(median) + noise * noise / frames_averaged;
    center[pixel] = median;
    sigma[pixel] = sqrtf(variance);
}
