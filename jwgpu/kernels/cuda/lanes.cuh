// Sums of a warp in a fixed order, as kernels/lanes.py makes them. All 32 threads take part.
#pragma once

constexpr int LANES = 32;
constexpr unsigned int ALL_LANES = 0xffffffffu;

// The sum over the lanes, in every lane.
inline __device__ double sum_of_lanes(double value)
{
    for (int step = LANES / 2; step > 0; step /= 2)
        value += __shfl_down_sync(ALL_LANES, value, step);
    return __shfl_sync(ALL_LANES, value, 0);
}
