// The search for jumps in one ramp: differences without which the others are far likelier. Twin of
// jumps_cpu.py. Equations: Brandt 2024, PASP 136, 045005, sections 3.1 and 3.2.
#pragma once
#include "ramp.cuh"

// A ramp of so few differences is not searched again after a jump was found.
constexpr int FEWEST = 3;

struct Thresholds {
    double one, two;
};

// A difference: what leaving it out needs of the inverse covariance matrix; rate and chi-square
// without it.
struct Step {
    bool used;
    double diagonal, ones, data, minor, lever, rate, chi;
};

// Leave out one difference; one that is not used changes nothing.
__device__ inline Step leave_out_one(const Ramp& ramp, int k)
{
    Step step;
    step.used = ramp.used(k) != 0.0;
    step.diagonal = ramp.at(DIAGONAL, k);
    step.ones = ramp.at(ROW_ONES, k);
    step.data = ramp.at(ROW_DATA, k);
    const double c = step.ones, r = step.data;
    step.minor = c * c - ramp.ones_ones * step.diagonal;
    step.lever = ramp.data_ones * c - r * ramp.ones_ones;
    step.rate = ramp.data_ones * (1.0 / ramp.ones_ones);
    step.chi = ramp.chi_square;
    if (!step.used) return step;
    // From 0, so that 0 keeps its sign.
    const double a = (step.diagonal * ramp.data_ones - r * c) / (0.0 - step.minor);
    const double b = (r - a * c) / step.diagonal;
    const double chi = ramp.data_data + a * a * ramp.ones_ones - 2.0 * a * ramp.data_ones
                       + b * b * step.diagonal - 2.0 * b * r + 2.0 * a * b * c;
    step.rate = a;
    step.chi = chi / ramp.scale;
    return step;
}

struct Without {
    double rate, chi;
};

// Zero where the matrix without two differences has no inverse.
__device__ inline double joint_minor(const Ramp& ramp, const Step& one, const Step& two, int k)
{
    return one.ones * two.ones - ramp.ones_ones * ramp.at(BESIDE, k);
}

// Leave out difference k and the next. Where one of the two is not used, it is as without the
// other one.
__device__ inline Without leave_out_two(const Ramp& ramp, const Step& one, const Step& two, int k)
{
    if (!one.used) return {two.rate, two.chi};
    if (!two.used) return {one.rate, one.chi};
    const double joint = joint_minor(ramp, one, two, k);
    const double over = one.lever / one.minor - two.lever / joint;
    const double c = over / (joint / one.minor - two.minor / joint);
    const double b = (one.lever - c * joint) / one.minor;
    const double a = (ramp.data_ones - b * one.ones - c * two.ones) / ramp.ones_ones;
    double chi = ramp.data_data + a * a * ramp.ones_ones + b * b * one.diagonal
                 + c * c * two.diagonal;
    chi -= 2.0 * a * ramp.data_ones + 2.0 * b * one.data + 2.0 * c * two.data;
    const double ones = 2.0 * a * b * one.ones + 2.0 * a * c * two.ones;
    chi += ones + 2.0 * b * c * ramp.at(BESIDE, k);
    return {a, chi / ramp.scale};
}

// Return by how much chi-square falls at most without one difference; NaN where one of the falls
// is. `is_suspect` tells whether leaving out two can have an effect where no group has several
// reads. Quirk: where chi-square without some pair is not known, no jump is found at all; even if
// no pair may be left out. That is so where the matrix without the pair has no inverse.
__device__ inline double largest_fall_of_one(const Ramp& ramp, bool& is_suspect)
{
    int n_used = 0;
    bool is_singular = false;
    double best = 0.0;
    Step before = {};
#pragma unroll 1
    for (int k = 0; k < ramp.n; ++k) {
        const Step step = leave_out_one(ramp, k);
        const double fall = ramp.chi_square - step.chi;
        if (k == 0 || fall > best || fall != fall) best = fall;
        if (k > 0) {
            const double joint = joint_minor(ramp, before, step, k - 1);
            is_singular = is_singular || joint == 0.0 || before.minor == 0.0;
        }
        n_used += step.used;
        before = step;
    }
    is_suspect = n_used <= FEWEST || is_singular;
    return best;
}

// The same without a difference and the next, of those pairs that a single jump can spoil.
__device__ inline double largest_fall_of_two(const Readout& readout, const Ramp& ramp)
{
    double best = 0.0;
    Step before = {};
#pragma unroll 1
    for (int k = 0; k < ramp.n; ++k) {
        const Step step = leave_out_one(ramp, k);
        if (k > 0) {
            const double chi = leave_out_two(ramp, before, step, k - 1).chi;
            const double fall = (ramp.chi_square - chi) * readout(HAS_PAIRS, k - 1);
            if (k == 1 || fall > best || fall != fall) best = fall;
        }
        before = step;
    }
    return best;
}

// Stop using those differences without which chi-square falls by so much. Return whether the ramp
// is to be searched again.
__device__ inline bool drop_differences(double fall, bool is_one, Ramp& ramp)
{
    double rate = 0.0;
    Step before = {};
#pragma unroll 1
    for (int k = 0; k < ramp.n; ++k) {
        const Step step = leave_out_one(ramp, k);
        if (is_one || k > 0) {
            const Without without =
                is_one ? Without{step.rate, step.chi} : leave_out_two(ramp, before, step, k - 1);
            const bool is_it = ramp.chi_square - without.chi == fall;
            rate += without.rate * (is_it ? 1.0 : 0.0);
            if (is_it) ramp.stop_using(k);
            if (is_it && !is_one) ramp.stop_using(k - 1);
        }
        before = step;
    }
    ramp.rate = ramp.rate * 0.0 + rate;
    int left = 0;
    for (int k = 0; k < ramp.n; ++k) left += ramp.used(k) != 0.0;
    return left > FEWEST;
}

// Drop the difference, or two, without which chi-square falls most. Return whether the ramp is to
// be searched again.
__device__ inline bool drop_worst(const Readout& readout, const Thresholds& limits, Ramp& ramp)
{
    bool is_suspect;
    const double one = largest_fall_of_one(ramp, is_suspect);
    const double two = readout.has_pairs || is_suspect ? largest_fall_of_two(readout, ramp) : 0.0;
    const bool is_one = one - limits.one > two - limits.two;
    // Infinite or unknown falls end as NaN, and are left alone.
    double fall = one * (one > limits.one ? 1.0 : 0.0) * (is_one ? 1.0 : 0.0);
    fall += two * (two > limits.two ? 1.0 : 0.0) * (is_one ? 0.0 : 1.0);
    if (fall == 0.0 || fall != fall) return false;
    ramp.seen |= HAS_DROPS;
    return drop_differences(fall, is_one, ramp);
}
