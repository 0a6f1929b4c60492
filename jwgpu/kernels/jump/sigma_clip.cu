// Finding jumps by sigma clipping, where there are many integrations; as sigma_clip_cpu.py.
//
// Clipping needs the differences in an array of their own, and the sums in a certain order. But
// most pixels have no jump: a first kernel reads the differences once or twice, and lists those
// sets of them in which clipping may find something; a second one clips what is on the list. Which
// thread clips a set changes nothing.
//
// unordered: list_sets
#include "sigma_clip.cuh"
#include "ramp.cuh"

// In standard deviations: how near the mean the median is in most sets that have no jump.
constexpr double NEAR = 0.3;

// The samples of a pixel whose differences are compared: those of all groups, or those of one group
// in each integration. There are 1 or as many such sets as differences in an integration.
struct Set {
    int first, step, n_groups;
    bool has_all;

    __device__ Set(int set, int n_sets, int n_groups)
        : first(set + 1), step(n_sets == 1 ? 1 : n_groups), n_groups(n_groups),
          has_all(n_sets == 1)
    {
    }

    // The sample after s. The first of an integration has no difference.
    __device__ int next(int s) const
    {
        s += step;
        return has_all && s % n_groups == 0 ? s + 1 : s;
    }
};

// Whether clipping may find anything. Median and mean are never farther apart than the standard
// deviation; where they are nearer can be counted.
inline __device__ bool may_clip(const Ramp& ramp, const Set& set, double rejection)
{
    int n = 0;
    float origin = 0.0f, least = infinity(), greatest = -infinity();
    double sum = 0.0, squares = 0.0;
    for (int s = set.first; s < ramp.n_samples; s = set.next(s)) {
        const float difference = ramp.difference(s);
        if (!(fabsf(difference) < infinity())) continue;
        if (n++ == 0) origin = difference;
        const double distance = (double)difference - (double)origin;
        sum += distance;
        squares += distance * distance;
        least = fminf(least, difference);
        greatest = fmaxf(greatest, difference);
    }
    if (n == 0) return false;
    const double shift = sum / n, variance = squares / n - shift * shift;
    const double sigma = variance > 0.0 ? sqrt(variance) : 0.0;
    const double mean = (double)origin + shift;
    const double above = (double)greatest - mean, below = mean - (double)least;
    const double farthest = above > below ? above : below;
    if (farthest <= (rejection > 1.0 ? rejection - 1.0 : 0.0) * CAREFUL * sigma) return false;
    if (!(farthest <= (rejection > NEAR ? rejection - NEAR : 0.0) * CAREFUL * sigma)) return true;
    int n_low = 0, n_high = 0;
    for (int s = set.first; s < ramp.n_samples; s = set.next(s)) {
        const float difference = ramp.difference(s);
        if (!(fabsf(difference) < infinity())) continue;
        n_low += (double)difference < mean - NEAR * sigma;
        n_high += (double)difference > mean + NEAR * sigma;
    }
    return 2 * n_low >= n || 2 * n_high >= n;
}

// Lists the sets in which clipping may find something, as pixel * n_sets + set, in any order. A
// block has some pixels and one set; blocks that follow each other have the same pixels, whose
// samples are then at hand.
extern "C" __global__ void list_sets(
    const float* __restrict__ data, unsigned char* __restrict__ groupdq,
    const float* __restrict__ gain, const int n_samples, const int n_groups,
    const long long n_pixels, const int n_sets, const double rejection,
    unsigned long long* __restrict__ n_listed, long long* __restrict__ listed)
{
    const int set = (int)(blockIdx.x % n_sets);
    const long long p = (long long)(blockIdx.x / n_sets) * blockDim.x + threadIdx.x;
    if (p >= n_pixels) return;
    const Ramp ramp = { data + p, groupdq + p, n_pixels, n_samples, n_groups, gain[p] };
    if (may_clip(ramp, Set(set, n_sets, n_groups), rejection)) {
        listed[atomicAdd(n_listed, 1ull)] = p * n_sets + set;
    }
}

// Clips what is on the list. `workspace` (differences, threads), or null: then it is shared memory,
// (differences, threads of the block). A difference beyond the bounds flags its second sample.
extern "C" __global__ void clip_listed(
    const float* __restrict__ data, unsigned char* __restrict__ groupdq,
    const float* __restrict__ gain, const int n_samples, const int n_groups,
    const long long n_pixels, const int n_sets, const double rejection,
    const unsigned long long* __restrict__ n_listed, const long long* __restrict__ listed,
    float* __restrict__ workspace)
{
    extern __shared__ float shared[];
    const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const long long n_threads = (long long)gridDim.x * blockDim.x;
    Column values = { shared + threadIdx.x, blockDim.x };
    if (workspace != nullptr) values = { workspace + thread, n_threads };
    for (long long entry = thread; entry < (long long)*n_listed; entry += n_threads) {
        const long long p = listed[entry] / n_sets;
        const Set set((int)(listed[entry] % n_sets), n_sets, n_groups);
        const Ramp ramp = { data + p, groupdq + p, n_pixels, n_samples, n_groups, gain[p] };
        int n = 0;
        for (int s = set.first; s < n_samples; s = set.next(s)) {
            const float difference = ramp.difference(s);
            if (fabsf(difference) < infinity()) values[n++] = difference;
        }
        double low, high;
        clipping_bounds(values, n, rejection, low, high);
        for (int s = set.first; s < n_samples; s = set.next(s)) {
            const float difference = ramp.difference(s);
            if (!(fabsf(difference) < infinity())) continue;
            if (difference < low || difference > high) ramp.groupdq[s * n_pixels] |= JUMP_DET;
        }
    }
}
