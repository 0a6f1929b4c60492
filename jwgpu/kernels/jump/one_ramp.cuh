// Finding the jumps of one pixel: the scalar bodies; as one_ramp_cpu.py.
#pragma once
#include "flags.cuh"
#include "ordered.cuh"
#include "sorting.cuh"

// As in limits.py.
enum Method { ITERATIVE = 0, SINGLE_PASS = 1, MARK_ONLY = 2 };

constexpr unsigned int UNUSABLE = DO_NOT_USE | SATURATED;
// Allowance for rounding in quick tests, far larger than the errors of any order of sums.
constexpr double CAREFUL = 1.0 - 1e-5;

struct Limits {
    int method;
    double frames_averaged, rejection, three_differences, two_differences;
    double neighbors_above, neighbors_below;
};

// Sort values without NaN by their size, whatever their sign.
template <int N>
__device__ void sort_by_size(float (&values)[N])
{
    sort_in_registers(values, [](float& a, float& b) {
        const float low = a, high = b;
        const bool is_swapped = fabsf(low) > fabsf(high);
        a = is_swapped ? high : low;
        b = is_swapped ? low : high;
    });
}

// The variance of a difference from read noise, in square electrons.
inline __device__ double variance_of_reading(float readnoise, float gain, const Limits& limits)
{
    const float noise = readnoise * gain;
    return (double)(noise * noise) / limits.frames_averaged;
}

// The standard deviation of a difference, in electrons; NaN if it would be zero.
inline __device__ double deviation(double center, double read_variance)
{
    const double sigma = sqrt(fabs(center) + read_variance);
    return sigma != 0.0 ? sigma : nan("");
}

// How far a difference is from the centre, in standard deviations.
inline __device__ double ratio_of(float difference, double center, double sigma)
{
    return fabs((double)difference - center) / sigma;
}

// Whether the neighbours of a jump are to be flagged.
inline __device__ bool is_marked(double ratio, const Limits& limits)
{
    return ratio < limits.neighbors_below && ratio > limits.neighbors_above;
}

// The median of sorted values[first:stop]; NaN if there are none.
template <class Sorted>
__device__ double median_of_sorted(Sorted& values, int first, int stop)
{
    const int n = stop - first;
    if (n <= 0) return nan("");
    const double upper = values[first + n / 2];
    if (n % 2) return upper;
    return 0.5 * ((double)values[first + n / 2 - 1] + upper);
}

// The centre of sorted absolute differences values[first:stop], two or more. Of four or more, all
// that equal the largest are left out; two are represented by the smaller.
template <class Sorted>
__device__ double clipped_median(Sorted& values, int first, int stop)
{
    if (stop - first == 2) return values[first];
    if (stop - first >= 4) {
        const float largest = values[stop - 1];
        while (stop > first && values[stop - 1] == largest) --stop;
    }
    return median_of_sorted(values, first, stop);
}

// Whether the iterative method may find anything between the smallest and the largest of the
// absolute differences: none is farther from the centre than from the other end, and no noise is
// less than that of the smallest.
inline __device__ bool may_have_jumps(
    float low, float high, double read_variance, const Limits& limits)
{
    double threshold = limits.rejection;
    if (limits.two_differences < threshold) threshold = limits.two_differences;
    if (limits.three_differences < threshold) threshold = limits.three_differences;
    threshold *= CAREFUL;
    const double spread = (double)high - (double)low;
    const double variance = (double)low + read_variance;
    return spread * spread > threshold * threshold * variance;
}

// Finds the jumps of one pixel by the iterative method: values[first:stop], of n sorted absolute
// differences, are none; all others are.
template <class Sorted>
__device__ void find_jumps_in_one_ramp(
    Sorted& values, int n, double read_variance, const Limits& limits, int& first, int& stop)
{
    first = 0;
    stop = n;
    bool center_is_rounded = false;
    while (stop - first >= 2) {
        double center = clipped_median(values, first, stop);
        if (center_is_rounded) center = (double)(float)center;
        const float below = (float)fabs((double)values[first] - center);
        const float above = (float)fabs((double)values[stop - 1] - center);
        const float farthest = below > above ? below : above;
        double threshold = limits.two_differences;
        if (stop - first >= 4) threshold = limits.rejection;
        else if (stop - first == 3) threshold = limits.three_differences;
        if (!((double)farthest / deviation(center, read_variance) > threshold)) break;
        while (first < stop && (float)fabs((double)values[first] - center) == farthest) ++first;
        while (first < stop && (float)fabs((double)values[stop - 1] - center) == farthest) --stop;
        center_is_rounded = true;
    }
}
