// The middle of some values, found by a warp together: they are counted, not moved about.
#pragma once
#include "lanes.cuh"
#include "ordered.cuh"

// What stands for a value that does not count.
constexpr unsigned int NONE = 0xffffffffu;

inline __device__ int count_of_lanes(int value)
{
    for (int step = LANES / 2; step > 0; step /= 2)
        value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
}

inline __device__ int count_below(
    const unsigned int* keys, int size, unsigned int limit, int lane)
{
    int count = 0;
    for (int i = lane; i < size; i += LANES) count += keys[i] < limit;
    return count_of_lanes(count);
}

// The two values in the middle of the n that count among some keys: the same one twice if n is
// odd. A lane reads the keys that it has written itself, and no others.
inline __device__ void middle_pair(
    const unsigned int* keys, int size, int n, int lane, float& lower, float& upper)
{
    // The largest key that no more than n / 2 keys lie below, bit by bit.
    unsigned int found = 0;
    for (unsigned int bit = 0x80000000u; bit; bit >>= 1)
        if (count_below(keys, size, found | bit, lane) <= n / 2) found |= bit;
    upper = lower = value_of(found);
    if (n % 2 == 1 || count_below(keys, size, found, lane) < n / 2) return;
    unsigned int below = 0;
    for (int i = lane; i < size; i += LANES)
        if (keys[i] < found) below = max(below, keys[i]);
    for (int step = LANES / 2; step > 0; step /= 2)
        below = max(below, __shfl_xor_sync(ALL_LANES, below, step));
    lower = value_of(below);
}

// The median as float32, as NumPy rounds it.
inline __device__ float median(const unsigned int* keys, int size, int n, int lane)
{
    float lower, upper;
    middle_pair(keys, size, n, lane, lower, upper);
    return n % 2 ? upper : (lower + upper) / 2.0f;
}
