// Sums that the threads of a block find together; all of them take part.
#pragma once
#include "lanes.cuh"

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / LANES;

// The sum over the threads, in every thread; of doubles in a fixed order.
template <typename T>
__device__ T sum_of_block(T value)
{
    __shared__ T of_warps[WARPS];
    for (int step = LANES / 2; step > 0; step /= 2)
        value += __shfl_down_sync(ALL_LANES, value, step);
    __syncthreads();
    if (threadIdx.x % LANES == 0) of_warps[threadIdx.x / LANES] = value;
    __syncthreads();
    T total = of_warps[0];
    for (int warp = 1; warp < WARPS; ++warp) total += of_warps[warp];
    return total;
}
