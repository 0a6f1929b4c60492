// Saturation flags. A pixel's onset is its first saturated group; see the body for the CPU.
// Threads take one pixel (along x) of one integration (along y).
#include "flags.cuh"
#include "onset.cuh"

constexpr float UNREACHABLE = 65536.0f;  // DN: one more than the 16-bit converter can give
constexpr int NO_GROUP = -1;
constexpr int AT_ONCE = 4;  // samples that are on their way at the same time

__device__ bool is_checked(float threshold, unsigned int threshold_dq)
{
    return (threshold_dq & NO_SAT_CHECK) == 0 && !isnan(threshold);
}

// Find each pixel's onset, and flag the converter's floor.
extern "C" __global__ void find_onset(
    const float* __restrict__ data,         // (ints, groups, pixels)
    unsigned char* __restrict__ groupdq,    // (ints, groups, pixels), changed
    const float* __restrict__ threshold, const unsigned int* __restrict__ threshold_dq,
    unsigned short* __restrict__ onset,     // (ints, pixels), written
    unsigned int* __restrict__ seen,        // (pixels), SATURATED and AD_FLOOR are added
    unsigned int* __restrict__ flagged_before,  // 1 if a sample was SATURATED when it came
    const int n_groups, const int n_pixels)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    const long long ramp = (long long)blockIdx.y * n_groups * n_pixels + pixel;
    const float limit =
        is_checked(threshold[pixel], threshold_dq[pixel]) ? threshold[pixel] : UNREACHABLE;
    unsigned int first = NEVER;
    unsigned int found = 0;
    for (int group = 0; group < n_groups; group += AT_ONCE) {
        float sample[AT_ONCE];
        unsigned int flags[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k)
            if (group + k < n_groups) {
                sample[k] = data[ramp + (long long)(group + k) * n_pixels];
                flags[k] = groupdq[ramp + (long long)(group + k) * n_pixels];
            }
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            if (group + k >= n_groups) continue;
            if (sample[k] >= limit) first = min(first, (unsigned int)(group + k));
            found |= flags[k];
            if (sample[k] <= 0.0f) {
                groupdq[ramp + (long long)(group + k) * n_pixels] =
                    flags[k] | AD_FLOOR | DO_NOT_USE;
                found |= AD_FLOOR;
            }
        }
    }
    onset[(long long)blockIdx.y * n_pixels + pixel] = first;
    if (found & SATURATED) atomicOr(flagged_before, 1u);
    if (found & (SATURATED | AD_FLOOR)) atomicOr(&seen[pixel], found & (SATURATED | AD_FLOOR));
}

// Make an onset plane of the SATURATED flags that one group has already.
extern "C" __global__ void take_flagged(
    const unsigned char* __restrict__ groupdq, unsigned short* __restrict__ onset,
    const int group, const int n_groups, const int n_pixels)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    const long long at = ((long long)blockIdx.y * n_groups + group) * n_pixels + pixel;
    onset[(long long)blockIdx.y * n_pixels + pixel] = groupdq[at] & SATURATED ? 0 : NEVER;
}

// Flag groups from the grown onset on, between two groups; keep the grown onset if asked to.
extern "C" __global__ void flag_onset(
    unsigned char* __restrict__ groupdq,         // (ints, groups, pixels), changed
    const unsigned short* __restrict__ onset,    // (ints, pixels)
    unsigned short* __restrict__ grown_onset,    // (ints, pixels), or null
    unsigned int* __restrict__ seen,             // (pixels), SATURATED is added
    const int grow, const int first_group, const int stop_group,
    const int n_groups, const int n_y, const int n_x)
{
    const int n_pixels = n_y * n_x;
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    const long long plane = (long long)blockIdx.y * n_pixels;
    const unsigned int grown = grow_onset(onset + plane, pixel, n_y, n_x, grow);
    if (grown_onset) grown_onset[plane + pixel] = grown;
    const int first = max((int)grown, first_group);
    for (int group = first; group < stop_group; ++group)
        groupdq[plane * n_groups + (long long)group * n_pixels + pixel] |= SATURATED;
    if (first < stop_group) atomicOr(&seen[pixel], (unsigned int)SATURATED);
}

// Turn the grown onset in `partial` into the group before it that is partly saturated. With
// `only_group` the onset is not needed: that group is tested in every pixel.
extern "C" __global__ void find_partial(
    const float* __restrict__ data, const unsigned char* __restrict__ groupdq,
    const float* __restrict__ threshold, const unsigned int* __restrict__ threshold_dq,
    unsigned short* __restrict__ partial,  // (ints, pixels), changed
    const int frames, const int only_group, const int n_groups, const int n_pixels)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    const long long plane = (long long)blockIdx.y * n_pixels;
    const int group = only_group == NO_GROUP ? (int)partial[plane + pixel] - 1 : only_group;
    unsigned int result = NEVER;
    if (group >= 0 && group < n_groups - 1) {
        float limit = UNREACHABLE;
        double ratio = 1.0;
        if (is_checked(threshold[pixel], threshold_dq[pixel])) {
            limit = threshold[pixel];
            const double middle = (double)((long long)group * frames) + (frames + 1) / 2.0;
            ratio = middle / (double)(((long long)group + 1) * frames);
        }
        const long long at = plane * n_groups + (long long)group * n_pixels + pixel;
        if ((groupdq[at + n_pixels] & SATURATED) != 0
            && (groupdq[at] & (SATURATED | DO_NOT_USE)) == 0
            && (double)data[at] >= (double)limit * ratio)
            result = group;
    }
    partial[plane + pixel] = result;
}

// Flag the partly saturated group of each pixel, in the pixel and its neighbours.
extern "C" __global__ void flag_partial(
    unsigned char* __restrict__ groupdq, const unsigned short* __restrict__ partial,
    const int grow, const int n_groups, const int n_y, const int n_x)
{
    const int n_pixels = n_y * n_x;
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    const long long plane = (long long)blockIdx.y * n_pixels;
    const int y = pixel / n_x;
    const int x = pixel % n_x;
    for (int near = max(y - grow, 0); near <= min(y + grow, n_y - 1); ++near)
        for (int beside = max(x - grow, 0); beside <= min(x + grow, n_x - 1); ++beside) {
            const unsigned int group = partial[plane + (long long)near * n_x + beside];
            if (group != NEVER)
                groupdq[plane * n_groups + (long long)group * n_pixels + pixel] |= DO_NOT_USE;
        }
}

// Flag second groups that hide a saturated frame.
extern "C" __global__ void check_second_group(
    const float* __restrict__ data, unsigned char* __restrict__ groupdq,
    const float* __restrict__ threshold, const unsigned int* __restrict__ threshold_dq,
    const float* __restrict__ bias,  // (pixels), or null
    const int frames, const int n_groups, const int n_pixels)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    const long long first = (long long)blockIdx.y * n_groups * n_pixels + pixel;
    const long long second = first + n_pixels;
    const unsigned int flags = groupdq[second];
    if ((groupdq[second + n_pixels] & SATURATED) == 0 || (flags & SATURATED) != 0) return;
    const float limit =
        is_checked(threshold[pixel], threshold_dq[pixel]) ? threshold[pixel] : UNREACHABLE;
    const float pedestal = bias ? bias[pixel] : 0.0f;
    if (hides_saturation(data[first], data[second], limit, pedestal, frames))
        groupdq[second] = flags | DO_NOT_USE;
}
