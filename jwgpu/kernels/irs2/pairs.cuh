// Sums of single precision in the order of numpy's, which the official package uses: halves of
// halves, down to 128 values, and those in eight partial sums.
#pragma once
#include "lanes.cuh"

constexpr int LEAF = 128;

// The sum of values first…first + n, at most 128 of them.
template <typename Value>
__device__ float sum_of_leaf(const Value& value, int first, int n)
{
    float result = 0.0f;
    int i = 0;
    if (n >= 8) {
        float part[8];
        for (int k = 0; k < 8; ++k) part[k] = value(first + k);
        for (i = 8; i < n - n % 8; i += 8)
            for (int k = 0; k < 8; ++k) part[k] += value(first + i + k);
        result = ((part[0] + part[1]) + (part[2] + part[3]))
                 + ((part[4] + part[5]) + (part[6] + part[7]));
    }
    for (; i < n; ++i) result += value(first + i);
    return result;
}

__device__ inline int half_of(int n) { return n / 2 - n / 2 % 8; }

// The sum of n values by a warp together; the result is that of lane 0. Up to 7688 values, since
// beyond those a part that was halved six times may still be larger than a leaf.
template <typename Value>
__device__ float sum_in_pairs(const Value& value, int n, int lane)
{
    // Each lane goes down to a part of its own; parts that are small already are not halved.
    int first = 0, size = n;
    for (int bit = LANES / 2; bit > 0; bit /= 2) {
        const bool is_right = lane & bit;
        const int left = size > LEAF ? half_of(size) : size;
        first += is_right ? left : 0;
        size = is_right ? size - left : left;
    }
    float result;
    if (size > LEAF) {
        const int left = half_of(size);
        result = sum_of_leaf(value, first, left) + sum_of_leaf(value, first + left, size - left);
    } else {
        result = sum_of_leaf(value, first, size);
    }
    for (int step = 1; step < LANES; step *= 2)
        result += __shfl_down_sync(ALL_LANES, result, step);
    return result;
}
