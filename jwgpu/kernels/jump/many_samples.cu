// Finding the jumps of pixels with more samples than fit into registers; as cpu.py.
//
// A thread has a pixel. It reads the ramp once to see whether there may be any jump, twice to find
// the median, and once more to flag; nothing is kept in between but a few values, so that the
// number of samples has no limit.
#include "ranks.cuh"

// What is to be flagged of a pixel.
struct Verdict {
    bool is_iterative, is_single_pass;
    float low, high;       // iterative: sizes outside of these are jumps
    double center, sigma;  // of all differences
    double rejection;

    __device__ bool is_jump(float difference) const
    {
        const float size = fabsf(difference);
        if (is_iterative) return size < low || size > high;
        if (!is_single_pass) return false;
        return ratio_of(difference, center, sigma) > rejection && size < infinity();
    }
};

// Decides by the iterative method; false if there is no jump.
inline __device__ bool decide_iteratively(
    Verdict& verdict, const Ramp& ramp, const Census& census, unsigned int* counts,
    double read_variance, const Limits& limits)
{
    const int n = census.n_usable;
    if (n < 2) return false;
    Ranks sorted(ramp, census, true, counts);
    if (!may_have_jumps(sorted[0], sorted[n - 1], read_variance, limits)) return false;
    int first, stop;
    find_jumps_in_one_ramp(sorted, n, read_variance, limits, first, stop);
    if (stop - first == n) return false;
    verdict.low = stop > first ? sorted[first] : infinity();
    verdict.high = stop > first ? sorted[stop - 1] : -infinity();
    return true;
}

// Whether one end or the other is beyond the threshold.
inline __device__ bool decide_at_once(const Verdict& verdict, const Census& census)
{
    if (census.n_usable == 0) return false;
    const bool has_low = census.n_negative_infinite > 0, has_high = census.n_positive_infinite > 0;
    const float low = has_low ? -infinity() : census.least;
    const float high = has_high ? infinity() : census.greatest;
    return ratio_of(low, verdict.center, verdict.sigma) > verdict.rejection
        || ratio_of(high, verdict.center, verdict.sigma) > verdict.rejection;
}

// Arguments as those of find_jumps; shared memory: BINS unsigned int for each thread.
extern "C" __global__ void find_jumps_in_many(
    const float* __restrict__ data, unsigned char* __restrict__ groupdq,
    const float* __restrict__ gain, const float* __restrict__ readnoise, const int n_samples,
    const int n_groups, const long long n_pixels, const int n_columns, const int method,
    const double frames_averaged, const double rejection, const double three_differences,
    const double two_differences, const double neighbors_above, const double neighbors_below,
    unsigned char* __restrict__ marks, double* __restrict__ centers,
    unsigned long long* __restrict__ n_jumps)
{
    extern __shared__ unsigned int counts[];
    const long long p = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (p >= n_pixels) return;
    const Limits limits = { method, frames_averaged, rejection, three_differences, two_differences,
        neighbors_above, neighbors_below };
    const Ramp ramp = { data + p, groupdq + p, n_pixels, n_samples, n_groups, gain[p] };
    const double read_variance = variance_of_reading(readnoise[p], gain[p], limits);

    Census census;
    int n_here = 0;
    ramp.for_each([&](int s, float difference, unsigned char flags) {
        census.add(difference);
        if (!(flags & JUMP_DET)) return;
        ++n_here;
        if (flags & UNUSABLE) groupdq[s * n_pixels + p] = flags & ~JUMP_DET;
    });

    Verdict verdict = { method == ITERATIVE, method == SINGLE_PASS, 0.0f, 0.0f, nan(""), nan(""),
        rejection };
    bool has_jumps = false;
    if (method == ITERATIVE) {
        has_jumps = decide_iteratively(verdict, ramp, census, counts, read_variance, limits);
    }
    const bool is_marked_at_all = marks != nullptr && (n_here > 0 || has_jumps);
    if (method == SINGLE_PASS || is_marked_at_all || centers != nullptr) {
        Ranks sorted(ramp, census, false, counts);
        verdict.center = median_of_sorted(sorted, 0, census.n_usable);
        verdict.sigma = deviation(verdict.center, read_variance);
    }
    if (method == SINGLE_PASS) has_jumps = decide_at_once(verdict, census);
    if (centers != nullptr) centers[p] = verdict.center;

    if (has_jumps || (marks != nullptr && n_here > 0)) {
        unsigned int word = 0;
        ramp.for_each([&](int s, float difference, unsigned char flags) {
            bool is_jump = flags & JUMP_DET;
            if (!is_jump && has_jumps && verdict.is_jump(difference)) {
                is_jump = true;
                ++n_here;
                groupdq[s * n_pixels + p] = flags | JUMP_DET;
            }
            if (marks == nullptr) return;
            if (is_jump) {
                const double ratio = ratio_of(difference, verdict.center, verdict.sigma);
                if (is_marked(ratio, limits)) word |= 1u << s % 8;
            }
            if (s % 8 == 7 || s == n_samples - 1) {
                marks[s / 8 * n_pixels + p] = (unsigned char)word;
                word = 0;
            }
        });
    } else if (marks != nullptr) {
        for (int word = 0; word < (n_samples + 7) / 8; ++word) marks[word * n_pixels + p] = 0;
    }
    if (n_here > 0) atomicAdd(&n_jumps[p / n_columns], (unsigned long long)n_here);
}
