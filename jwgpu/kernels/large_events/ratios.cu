// How far differences are from the centre, and which groups are usable.
#include "samples.cuh"

// Say of each plane whether a pixel is usable. A block takes a plane, and stops where it finds one.
extern "C" __global__ void find_usable_groups(
    const unsigned char* __restrict__ groupdq,  // (planes, pixels)
    const unsigned int* __restrict__ pixeldq,   // (pixels)
    unsigned char* __restrict__ is_usable,      // (planes)
    const int n_pixels)
{
    constexpr int AHEAD = 4;
    const unsigned char* plane = groupdq + (long long)blockIdx.x * n_pixels;
    int found = 0;
    for (int first = 0; first < n_pixels && !found; first += AHEAD * blockDim.x) {
        int usable = 0;
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            const int pixel = first + k * blockDim.x + threadIdx.x;
            // Quirk: reference pixels count as unusable, but only those without any other flag.
            if (pixel < n_pixels)
                usable |= !(plane[pixel] & DO_NOT_USE) && pixeldq[pixel] != REFERENCE_PIXEL;
        }
        found = __syncthreads_or(usable);
    }
    if (threadIdx.x == 0) is_usable[blockIdx.x] = found != 0;
}

// The ratios of some differences; a thread takes a pixel of one.
extern "C" __global__ void find_ratios(
    const float* __restrict__ data,             // (ints, groups, y, x)
    const unsigned char* __restrict__ groupdq,  // the same
    const int* __restrict__ places,             // (differences, 2): integration and group
    const unsigned int* __restrict__ pixeldq,   // (y, x)
    const float* __restrict__ gain, const float* __restrict__ center,
    const float* __restrict__ sigma,
    float* __restrict__ ratio,             // (differences, y + margins, x + margins)
    unsigned char* __restrict__ is_good,   // the same
    const int n_groups, const int n_rows, const int n_columns, const int margin,
    const int n_differences, const unsigned char unusable)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const long long row = (long long)blockIdx.y * blockDim.y + threadIdx.y;
    const int k = (int)(row / n_rows), y = (int)(row % n_rows);
    if (x >= n_columns || k >= n_differences) return;
    const long long pixel = (long long)y * n_columns + x, n_pixels = (long long)n_rows * n_columns;
    const int integration = places[2 * k], group = places[2 * k + 1];
    const Ramp ramp = {data, groupdq, n_groups, n_pixels, pixel, gain[pixel], unusable};
    const float value = fabsf(ramp.difference(integration, group) - center[pixel]) / sigma[pixel];
    const unsigned int dq = pixeldq[pixel];
    const unsigned int flags =
        groupdq[((long long)integration * n_groups + group) * n_pixels + pixel] | dq;
    const bool is_masked = flags & (DO_NOT_USE | SATURATED | JUMP_DET) || dq == REFERENCE_PIXEL;
    const bool good = isfinite(value) && !is_masked;
    const long long height = n_rows + 2 * margin, width = n_columns + 2 * margin;
    const long long at = (k * height + y + margin) * width + x + margin;
    ratio[at] = good ? value : 0.0f;
    is_good[at] = good;
}
