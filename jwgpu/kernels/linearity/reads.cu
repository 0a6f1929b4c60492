// Straightening groups of several frames frame by frame: a thread takes one pixel in some
// integrations.
// build: TERMS=8
// build: TERMS=16
// build: TERMS=32
#include "polynomial.cuh"

// Mean number of the frames in a group; the first frame of the ramp is number 1.
__device__ double mean_frame(long long group, long long frames)
{
    return (double)(group * frames * frames + frames * (frames + 1) / 2) / (double)frames;
}

struct Line {
    float start;   // true counts in the first group
    double slope;  // true counts a frame
};

// The straight line of a ramp: see the body for the CPU.
__device__ Line find_slope(
    const float* samples, const unsigned char* flags, int n_groups, int n_pixels,
    const Polynomial& polynomial, int frames)
{
    int unsaturated = 0;
    for (int group = 0; group < n_groups; ++group)
        unsaturated += (flags[(long long)group * n_pixels] & SATURATED) == 0;
    const int last = max(unsaturated - 2, 1);
    const float early = samples[0];
    const float late = samples[(long long)last * n_pixels];
    const bool is_first_saturated = (flags[0] & SATURATED) != 0;
    const bool is_last_saturated = (flags[(long long)last * n_pixels] & SATURATED) != 0;
    Line line;
    line.start = is_first_saturated ? early : evaluate(early, polynomial);
    const float late_straight = is_last_saturated ? late : evaluate(late, polynomial);
    const double elapsed = mean_frame(last, frames) - mean_frame(0, frames);
    line.slope = (double)(late_straight - line.start) / elapsed;
    return line;
}

// The counts that the line foretells for a frame, as they would be measured.
__device__ double foretell_read(Line line, const Polynomial& inverse, long long number, int frames)
{
    const double elapsed = (double)(number + 1) - mean_frame(0, frames);
    return evaluate((double)line.start + line.slope * elapsed, inverse);
}

// The mean of the straightened frames of a group. The frames are foretold twice, which takes less
// than keeping any number of them would.
__device__ double straighten_group(
    float sample, Line line, const Polynomial& polynomial, const Polynomial& inverse,
    int group, int frames)
{
    const long long first = (long long)group * frames;
    double offset = 0.0;
    for (int frame = 0; frame < frames; ++frame)
        offset = foretell_read(line, inverse, first + frame, frames) + offset;
    offset = (double)sample - offset / frames;
    double total = 0.0;
    for (int frame = 0; frame < frames; ++frame)
        total += evaluate(foretell_read(line, inverse, first + frame, frames) + offset, polynomial);
    return total / frames;
}

extern "C" __global__ void straighten_reads(
    float* __restrict__ data,                           // (ints, groups, pixels), changed
    const unsigned char* __restrict__ groupdq,          // (ints, groups, pixels)
    unsigned int* __restrict__ pixeldq,                 // (pixels), changed
    const float* __restrict__ coefficients,             // (terms, pixels)
    const float* __restrict__ inverse_coefficients,     // (inverse terms, pixels)
    const unsigned int* __restrict__ coefficients_dq,
    const int n_terms, const int n_inverse_terms, const int frames,
    const int n_ints, const int n_groups, const int n_pixels, const int ints_each)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    const int first = blockIdx.y * ints_each;
    if (pixel >= n_pixels) return;
    Polynomial polynomial, inverse;
    const unsigned int dq = coefficients_dq[pixel];
    bool usable = take_coefficients(polynomial, coefficients, dq, n_terms, pixel, n_pixels);
    usable &= take_coefficients(
        inverse, inverse_coefficients, dq, n_inverse_terms, pixel, n_pixels);
    if (first == 0) pixeldq[pixel] |= usable ? dq : dq | NO_LIN_CORR;

    const int stop = min(first + ints_each, n_ints);
    for (int i = first; i < stop; ++i) {
        const long long ramp = (long long)i * n_groups * n_pixels + pixel;
        const Line line =
            find_slope(data + ramp, groupdq + ramp, n_groups, n_pixels, polynomial, frames);
        for (int group = 0; group < n_groups; ++group) {
            const long long at = ramp + (long long)group * n_pixels;
            if (groupdq[at] & SATURATED) continue;
            data[at] = (float)straighten_group(data[at], line, polynomial, inverse, group, frames);
        }
    }
}
