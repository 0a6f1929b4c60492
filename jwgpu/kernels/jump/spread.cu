// What is flagged around jumps, and groups that are of no use; as spread_cpu.py and cpu.py.
#include "ramp.cuh"

// Flags what is beside a noted jump or the jump itself. marks (words, pixels): one bit a sample,
// the lowest for the first; rows have n_columns pixels.
extern "C" __global__ void flag_neighbors(
    const unsigned char* __restrict__ marks, unsigned char* __restrict__ groupdq, const int n_words,
    const long long n_pixels, const int n_columns)
{
    const long long p = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (p >= n_pixels) return;
    const int x = (int)(p % n_columns);
    const bool has_above = p + n_columns < n_pixels, has_below = p >= n_columns;
    for (int word = 0; word < n_words; ++word) {
        const unsigned char* here = marks + word * n_pixels + p;
        unsigned int bits = here[0];
        if (has_above) bits |= here[n_columns];
        if (has_below) bits |= here[-n_columns];
        if (x > 0) bits |= here[-1];
        if (x < n_columns - 1) bits |= here[1];
        for (long long at = 8 * word * n_pixels + p; bits != 0; at += n_pixels, bits >>= 1) {
            if ((bits & 1) && !(groupdq[at] & UNUSABLE)) groupdq[at] |= JUMP_DET;
        }
    }
}

// Flags the groups that follow large jumps. centers (pixels,): the median difference of each pixel,
// NaN if there is none.
extern "C" __global__ void flag_after_jumps(
    const float* __restrict__ data, unsigned char* __restrict__ groupdq,
    const float* __restrict__ gain, const double* __restrict__ centers, const int n_samples,
    const int n_groups, const long long n_pixels, const double electrons_1, const int groups_1,
    const double electrons_2, const int groups_2)
{
    const long long p = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (p >= n_pixels) return;
    const Ramp ramp = { data + p, groupdq + p, n_pixels, n_samples, n_groups, gain[p] };
    const double center = centers[p];
    for (int start = 0; start < n_samples; start += n_groups) {
        int last = 0;
        for (int group = 1; group < n_groups; ++group) {
            const int s = start + group;
            const unsigned int flags = ramp.groupdq[s * n_pixels];
            if (flags & JUMP_DET) {
                const double size = (double)ramp.difference(s) - center;
                if (size >= electrons_1) last = max(last, group + groups_1);
                if (size >= electrons_2) last = max(last, group + groups_2);
            }
            if (group <= last && !(flags & UNUSABLE)) {
                ramp.groupdq[s * n_pixels] = (unsigned char)(flags | JUMP_DET);
            }
        }
    }
}

// Takes JUMP_DET off samples that are of no use.
extern "C" __global__ void clear_unusable(
    unsigned char* __restrict__ groupdq, const long long n_samples)
{
    const long long s = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (s >= n_samples) return;
    const unsigned int flags = groupdq[s];
    if ((flags & UNUSABLE) && (flags & JUMP_DET)) groupdq[s] = (unsigned char)(flags & ~JUMP_DET);
}

// Says of planes whether each of some pixels, a stride apart, has one of the flags: is_full
// (planes,) becomes 0 where one has not. Planes that are 0 in `candidates` are not looked at.
// A block looks at some pixels of one plane; blocks that follow each other look at the next plane.
extern "C" __global__ void check_planes(
    const unsigned char* __restrict__ groupdq, const int flags, const long long n_pixels,
    const long long n_planes, const long long stride, const int n_each,
    const unsigned int* __restrict__ candidates, unsigned int* __restrict__ is_full)
{
    const long long plane = blockIdx.x % n_planes;
    if (candidates != nullptr && candidates[plane] == 0) {
        if (threadIdx.x == 0) atomicAnd(&is_full[plane], 0u);
        return;
    }
    const long long first = blockIdx.x / n_planes * n_each * blockDim.x + threadIdx.x;
    bool all_have = true;
    for (int i = 0; i < n_each; ++i) {
        const long long p = (first + (long long)i * blockDim.x) * stride;
        if (p < n_pixels && !(groupdq[plane * n_pixels + p] & flags)) all_have = false;
    }
    if (!all_have) atomicAnd(&is_full[plane], 0u);
}

// Takes JUMP_DET, if alone, off the planes in which each sample is JUMP_DET or DO_NOT_USE.
extern "C" __global__ void clear_full_groups(
    unsigned char* __restrict__ groupdq, const bool* __restrict__ is_full, const int n_planes,
    const long long n_pixels)
{
    const long long p = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (p >= n_pixels) return;
    for (int plane = 0; plane < n_planes; ++plane) {
        if (!is_full[plane]) continue;
        unsigned char& flags = groupdq[plane * n_pixels + p];
        if (flags == JUMP_DET) flags = 0;
    }
}
