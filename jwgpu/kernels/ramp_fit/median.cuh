// The median rate of a ramp; see median_cpu.py. With STEPS > 0 as many differences are sorted in
// registers; with STEPS = 0 there may be any number, and the median is searched for.
#pragma once
#include "flags.cuh"
#include "ordered.cuh"
#include "segment.cuh"
#include "sorting.cuh"

// The differences of successive samples, in DN/s, one after the other.
struct Differences {
    const Ramp& ramp;
    double group_time;
    double before;
    unsigned int lost_before;

    __device__ Differences(const Ramp& ramp, double group_time)
        : ramp(ramp), group_time(group_time), before((double)ramp.sample(0) / group_time),
          lost_before(ramp.flag(0) & DO_NOT_USE)
    {
    }

    // Give the difference to a group from the one before it; tell whether it is usable and no jump.
    // Divided before subtracting, as in the official package: a median that ought to be 0 decides
    // by its sign.
    __device__ bool take(int group, double& step)
    {
        const double now = (double)ramp.sample(group) / group_time;
        const unsigned int flag = ramp.flag(group);
        const unsigned int lost = lost_before | (flag & (DO_NOT_USE | JUMP_DET));
        step = now - before;
        before = now;
        lost_before = flag & DO_NOT_USE;
        return !isnan(step) && lost == 0;
    }
};

#if STEPS > 0

// Find the middle of the usable differences; tell whether there is any.
__device__ bool find_middle(const Ramp& ramp, double group_time, double& middle)
{
    Differences differences(ramp, group_time);
    double steps[STEPS];
    int known = 0;
#pragma unroll
    for (int k = 0; k < STEPS; ++k) {
        steps[k] = infinity();
        double step;
        if (k + 1 < ramp.n_groups && differences.take(k + 1, step)) {
            steps[k] = step;
            ++known;
        }
    }
    if (known == 0) return false;
    sort_in_registers(steps, Smaller());
    // Not looked up by place: an array whose places are not known to the compiler is put into
    // memory. In a sorted one, the largest of the first values is the last of them.
    double lower = -infinity();
    double upper = infinity();
#pragma unroll
    for (int k = 0; k < STEPS; ++k) {
        if (k <= (known - 1) / 2) lower = max(lower, steps[k]);
        if (k >= known / 2) upper = min(upper, steps[k]);
    }
    middle = known & 1 ? upper : 0.5 * (upper + lower);
    return true;
}

#else

constexpr double LARGEST = 1.7976931348623157e308;

// What the usable differences say of a bound: how many are not above it, the largest of those and
// the smallest of the others.
struct Division {
    int below;
    double low, high;
};

__device__ Division divide(const Ramp& ramp, double group_time, double bound)
{
    Division result = {0, -infinity(), infinity()};
    Differences differences(ramp, group_time);
#pragma unroll 1
    for (int group = 1; group < ramp.n_groups; ++group) {
        double step;
        if (!differences.take(group, step)) continue;
        if (step <= bound) {
            ++result.below;
            result.low = max(result.low, step);
        } else {
            result.high = min(result.high, step);
        }
    }
    return result;
}

// How many usable differences there are, the smallest and the largest.
struct Range {
    int known;
    double low, high;
};

__device__ Range find_range(const Ramp& ramp, double group_time)
{
    Range result = {0, infinity(), -infinity()};
    Differences differences(ramp, group_time);
#pragma unroll 1
    for (int group = 1; group < ramp.n_groups; ++group) {
        double step;
        if (!differences.take(group, step)) continue;
        ++result.known;
        result.low = min(result.low, step);
        result.high = max(result.high, step);
    }
    return result;
}

// The usable difference of a rank, from 0. Each round divides the range that it is in where the
// rank should be if differences were spread evenly, and shrinks it to differences that there are:
// so rounds come to an end.
__device__ double find_ranked(const Ramp& ramp, double group_time, int rank, Range range)
{
    int lower = 0;            // differences below the range,
    int upper = range.known;  // and those that are not above it
    while (range.low < range.high) {
        const double even = (rank - lower + 0.5) / (double)(upper - lower);
        const double share = min(max(even, 0.02), 0.98);
        double bound = (1.0 - share) * max(range.low, -LARGEST) + share * min(range.high, LARGEST);
        if (!(bound >= range.low && bound < range.high)) bound = range.low;
        const Division division = divide(ramp, group_time, bound);
        if (rank < division.below) {
            range.high = division.low;
            upper = division.below;
        } else {
            range.low = division.high;
            lower = division.below;
        }
    }
    return range.high;
}

// Find the middle of the usable differences; tell whether there is any.
__device__ bool find_middle(const Ramp& ramp, double group_time, double& middle)
{
    const Range range = find_range(ramp, group_time);
    if (range.known == 0) return false;
    const int rank = (range.known - 1) / 2;
    middle = find_ranked(ramp, group_time, rank, range);
    if (range.known & 1) return true;
    const Division division = divide(ramp, group_time, middle);
    const double upper = division.below > rank + 1 ? middle : division.high;
    middle = 0.5 * (upper + middle);
    return true;
}

#endif

// The median of a ramp's differences, in DN/s. The first sample stands in where there is no
// difference; 0 where there is none either.
__device__ double median_rate(const Ramp& ramp, double group_time)
{
    double median;
    if (!find_middle(ramp, group_time, median)) {
        if (ramp.flag(0) & DO_NOT_USE) return 0.0;
        median = (double)ramp.sample(0) / group_time;
    }
    return isnan(median) ? 0.0 : median;
}
