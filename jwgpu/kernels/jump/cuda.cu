// Finding the jumps of pixels with few samples: all of them are kept in registers. As cpu.py.
//
// A thread has a pixel, and reads each of its samples once. The places of samples are bits of one
// number, which is why there are 64 at most.
//
// build: SAMPLES=8
// build: SAMPLES=12
// build: SAMPLES=16
// build: SAMPLES=24
// build: SAMPLES=32
// build: SAMPLES=48
// build: SAMPLES=64
#include "one_ramp.cuh"

typedef unsigned long long Bits;

// The differences of a pixel, and what is known of them without sorting.
struct Differences {
    float values[SAMPLES];  // NaN for the first of an integration, and where a sample is unusable
    Bits was_jump, is_useless;
    int n_usable, n_negative;
    float least, greatest;

    __device__ void take(const float* data, const unsigned char* groupdq, long long n_pixels,
        int n_samples, int n_groups, float gain)
    {
        unsigned char flags[SAMPLES];
#pragma unroll
        for (int s = 0; s < SAMPLES; ++s) {
            flags[s] = s < n_samples ? groupdq[s * n_pixels] : (unsigned char)0;
            values[s] = s < n_samples ? data[s * n_pixels] : nanf("");
        }
        was_jump = is_useless = 0;
        n_usable = n_negative = 0;
        least = infinity();
        greatest = -infinity();
        float previous = nanf("");
        int group = 0;
#pragma unroll
        for (int s = 0; s < SAMPLES; ++s) {
            if (flags[s] & JUMP_DET) was_jump |= (Bits)1 << s;
            if (flags[s] & UNUSABLE) is_useless |= (Bits)1 << s;
            const float sample = flags[s] & UNUSABLE ? nanf("") : values[s] * gain;
            const float difference = group == 0 ? nanf("") : sample - previous;
            values[s] = difference;
            n_usable += difference == difference;
            n_negative += difference < 0.0f;
            least = fminf(least, difference);
            greatest = fmaxf(greatest, difference);
            previous = sample;
            if (++group == n_groups) group = 0;
        }
    }

    // Sorts a copy by size, with infinity behind what is usable.
    __device__ void sort(float (&by_size)[SAMPLES]) const
    {
#pragma unroll
        for (int s = 0; s < SAMPLES; ++s) {
            by_size[s] = values[s] == values[s] ? values[s] : infinity();
        }
        sort_by_size(by_size);
    }
};

// The value of a rank where only the sizes are sorted: negative ones come first, the largest before
// all others.
inline __device__ float value_by_sign(const float (&by_size)[SAMPLES], int rank, int n_negative)
{
    const bool is_negative = rank < n_negative;
    int left = is_negative ? n_negative - 1 - rank : rank - n_negative;
    float value = 0.0f;
#pragma unroll
    for (int s = 0; s < SAMPLES; ++s) {
        const bool is_one = (by_size[s] < 0.0f) == is_negative;
        if (is_one && left == 0) value = by_size[s];
        left -= is_one;
    }
    return value;
}

// The median of n differences; `by_size` has them sorted by size.
inline __device__ double signed_median(const float (&by_size)[SAMPLES], int n, int n_negative)
{
    if (n == 0) return nan("");
    const double upper = value_by_sign(by_size, n / 2, n_negative);
    if (n % 2) return upper;
    return 0.5 * ((double)value_by_sign(by_size, n / 2 - 1, n_negative) + upper);
}

// The jumps of a pixel by the iterative method.
inline __device__ Bits find_iteratively(const Differences& differences,
    const float (&by_size)[SAMPLES], double read_variance, const Limits& limits)
{
    const int n = differences.n_usable;
    const float greatest = fmaxf(fabsf(differences.least), fabsf(differences.greatest));
    if (n < 2 || !may_have_jumps(fabsf(by_size[0]), greatest, read_variance, limits)) return 0;
    float sizes[SAMPLES];
#pragma unroll
    for (int s = 0; s < SAMPLES; ++s) sizes[s] = fabsf(by_size[s]);
    int first, stop;
    find_jumps_in_one_ramp(sizes, n, read_variance, limits, first, stop);
    if (stop - first == n) return 0;
    const float low = stop > first ? sizes[first] : infinity();
    const float high = stop > first ? sizes[stop - 1] : -infinity();
    Bits found = 0;
#pragma unroll
    for (int s = 0; s < SAMPLES; ++s) {
        const float size = fabsf(differences.values[s]);
        if (size < low || size > high) found |= (Bits)1 << s;
    }
    return found;
}

// Adds to `found` what is beyond the threshold, if `is_searched`; returns which jumps have
// neighbours to be flagged.
inline __device__ Bits look_at_ratios(const Differences& differences, int n_samples, double center,
    double sigma, const Limits& limits, bool is_searched, Bits& found)
{
    float values[SAMPLES];  // in memory: what has an index cannot be in registers
#pragma unroll
    for (int s = 0; s < SAMPLES; ++s) values[s] = differences.values[s];
    Bits marked = 0;
#pragma unroll 1
    for (int s = 0; s < n_samples; ++s) {
        const Bits bit = (Bits)1 << s;
        if (!is_searched && !((found | differences.was_jump) & bit)) continue;
        const double ratio = ratio_of(values[s], center, sigma);
        if (is_searched && ratio > limits.rejection && fabsf(values[s]) < infinity()) found |= bit;
        if (((found | differences.was_jump) & bit) && is_marked(ratio, limits)) marked |= bit;
    }
    return marked;
}

// data, groupdq (samples, pixels), samples of all integrations in turn. `marks`, if not null,
// (samples / 8 rounded up, pixels), gets a bit for each sample whose neighbours are to be flagged;
// `centers`, if not null, the median difference of each pixel; `n_jumps` (rows,) gets more by the
// jumps of each row, those that were there before among them.
extern "C" __global__ void find_jumps(
    const float* __restrict__ data, unsigned char* __restrict__ groupdq,
    const float* __restrict__ gain, const float* __restrict__ readnoise, const int n_samples,
    const int n_groups, const long long n_pixels, const int n_columns, const int method,
    const double frames_averaged, const double rejection, const double three_differences,
    const double two_differences, const double neighbors_above, const double neighbors_below,
    unsigned char* __restrict__ marks, double* __restrict__ centers,
    unsigned long long* __restrict__ n_jumps)
{
    const long long p = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (p >= n_pixels) return;
    const Limits limits = { method, frames_averaged, rejection, three_differences, two_differences,
        neighbors_above, neighbors_below };
    Differences differences;
    differences.take(data + p, groupdq + p, n_pixels, n_samples, n_groups, gain[p]);
    const double read_variance = variance_of_reading(readnoise[p], gain[p], limits);

    float by_size[SAMPLES];
    const bool has_old_marks = marks != nullptr && differences.was_jump != 0;
    if (method != MARK_ONLY || has_old_marks || centers != nullptr) differences.sort(by_size);
    Bits found = 0;
    if (method == ITERATIVE) found = find_iteratively(differences, by_size, read_variance, limits);
    const bool has_marks = has_old_marks || (marks != nullptr && found != 0);
    double center = nan(""), sigma = nan("");
    if (method == SINGLE_PASS || has_marks || centers != nullptr) {
        center = signed_median(by_size, differences.n_usable, differences.n_negative);
        sigma = deviation(center, read_variance);
    }
    if (centers != nullptr) centers[p] = center;
    const bool is_searched = method == SINGLE_PASS
        && (ratio_of(differences.least, center, sigma) > rejection
            || ratio_of(differences.greatest, center, sigma) > rejection);
    Bits marked = 0;
    if (is_searched || has_marks) {
        marked = look_at_ratios(differences, n_samples, center, sigma, limits, is_searched, found);
    }
    if (marks != nullptr) {
        for (int word = 0; word < (n_samples + 7) / 8; ++word) {
            marks[word * n_pixels + p] = (unsigned char)(marked >> (8 * word) & 255);
        }
    }

    Bits added = found & ~differences.was_jump;
    Bits removed = differences.was_jump & differences.is_useless;
    const int n_here = __popcll(differences.was_jump) + __popcll(added);
    if (n_here > 0) atomicAdd(&n_jumps[p / n_columns], (unsigned long long)n_here);
    for (long long at = p; (added | removed) != 0; at += n_pixels, added >>= 1, removed >>= 1) {
        if (added & 1) groupdq[at] |= JUMP_DET;
        if (removed & 1) groupdq[at] &= ~JUMP_DET;
    }
}
