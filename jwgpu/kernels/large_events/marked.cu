// Flagging what is marked, unless it changes the mean difference much; a thread takes one pixel.
#include "flags.cuh"

struct Pixel {
    const float* data;           // at its first group
    const unsigned char* flags;  // the same
    const unsigned char* marks;  // its first word
    long long n_pixels;
    float gain;

    __device__ bool is_marked(const int group) const
    {
        return marks[group / 8 * n_pixels] >> (group % 8) & 1;
    }

    __device__ bool is_invalid(const int group, const bool with_marks) const
    {
        return (flags[group * n_pixels] & (DO_NOT_USE | SATURATED | JUMP_DET)) != 0 ||
               (with_marks && is_marked(group));
    }

    // The mean of the differences in which no sample is invalid, summed in the order of groups and
    // in float, as the official package does.
    __device__ float mean_difference(const int n_groups, const bool with_marks) const
    {
        float total = 0.0f, previous = data[0] * gain;
        int count = 0;
        bool was_invalid = is_invalid(0, with_marks);
        for (int group = 1; group < n_groups; ++group) {
            const float sample = data[group * n_pixels] * gain;
            const bool invalid = is_invalid(group, with_marks);
            const float difference = sample - previous;
            if (!invalid && !was_invalid && !isnan(difference)) {
                total += difference;
                ++count;
            }
            previous = sample;
            was_invalid = invalid;
        }
        return count ? (float)((double)total / count) : nanf("");
    }
};

extern "C" __global__ void flag_marked(
    const float* __restrict__ data,           // (groups, pixels)
    unsigned char* __restrict__ planes,       // (groups, pixels), changed
    const unsigned int* __restrict__ pixeldq, // (pixels)
    const float* __restrict__ gain,           // (pixels)
    const unsigned char* __restrict__ marks,  // (words, pixels)
    const int n_groups, const int n_pixels, const float largest_change)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n_pixels) return;
    bool is_marked = false;
    for (int word = 0; word < (n_groups + 7) / 8; ++word)
        is_marked |= marks[(long long)word * n_pixels + k] != 0;
    if (!is_marked || pixeldq[k] == REFERENCE_PIXEL) return;
    const Pixel pixel = {data + k, planes + k, marks + k, n_pixels, gain[k]};
    const float before = pixel.mean_difference(n_groups, false);
    const float after = pixel.mean_difference(n_groups, true);
    if (!(fabsf(before - after) <= largest_change)) return;
    for (int group = 0; group < n_groups; ++group)
        if (pixel.is_marked(group)) planes[(long long)group * n_pixels + k] |= JUMP_DET;
}
