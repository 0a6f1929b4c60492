// What the flags of a ramp say: its good groups and its segments; see flags_cpu.py.
#pragma once
#include "flags.cuh"
#include "segment.cuh"

constexpr unsigned int UNUSABLE = DO_NOT_USE | SATURATED;
constexpr unsigned int ALL_BUT_PERSISTENCE = 0xFFu & ~PERSISTENCE;

// Flags of any group, saturated groups, unusable groups, and when a single group was exposed.
struct Stock {
    unsigned int seen;
    int saturated, unusable, kind;
};

// Count what is flagged in a ramp, blank its saturated samples, give it up if it has a single good
// group that may not be used, and put frame zero where it is due. `seen` are the flags of any
// group; without any, the flags are not looked at.
__device__ Stock take_stock(const Ramp& ramp, unsigned int seen, float zeroframe, const Setup& setup)
{
    const int n_groups = ramp.n_groups;
    Stock stock = {seen, 0, 0, WHOLE_GROUP};
    int good = n_groups;
    if (seen != 0) {
        unsigned int given_up = 0;
        if (setup.suppress_one_group) {
            int unflagged = 0;
#pragma unroll 1
            for (int group = 0; group < n_groups; ++group)
                unflagged += (ramp.flag(group) & ALL_BUT_PERSISTENCE) == 0;
            if (unflagged == 1) given_up = DO_NOT_USE;
        }
        stock.seen = 0;
        good = 0;
#pragma unroll 1
        for (int group = 0; group < n_groups; ++group) {
            unsigned int flag = ramp.flag(group) | given_up;
            if (group == 0 && setup.ignore_first_jump) flag &= ~JUMP_DET;
            ramp.flag(group) = flag;
            stock.seen |= flag;
            good += flag == 0;
            stock.unusable += (flag & UNUSABLE) != 0;
            if (flag & SATURATED) {
                ++stock.saturated;
                ramp.sample(group) = nanf("");
            }
        }
    }
    if (setup.suppress_one_group) return stock;
    if (good == 1 && (seen == 0 || ramp.flag(0) == 0)) {
        stock.kind = FIRST_READ;
    } else if (good == 0 && zeroframe != 0.0f) {
        stock.kind = FRAME_ZERO;
        ramp.sample(0) = zeroframe;
        ramp.flag(0) = 0;
        --stock.unusable;
        if (stock.saturated == n_groups) --stock.saturated;
    }
    return stock;
}

// The runs of good groups, one after the other. The jump before a run, if it has no other flag,
// belongs to it. Runs of two groups or more or, where there are none, the first single group.
template <class Flags>
struct Segments {
    Flags flags;      // flag(group)
    int n_groups;
    int group;        // where to go on
    bool is_whole;    // no group has a flag, and none is looked at
    int kept = 0;
    int singles = 0;
    int single = 0;
    bool gave_single = false;

    __device__ bool is_good(int at) const { return (flags.flag(at) & ALL_BUT_PERSISTENCE) == 0; }

    // Give the next segment: its first group, and the one after its last.
    __device__ bool next(int& first, int& stop)
    {
        if (is_whole) {
            is_whole = false;
            first = 0;
            stop = group = n_groups;
            kept = 1;
            return true;
        }
#pragma unroll 1
        while (group < n_groups) {
            if (!is_good(group)) {
                ++group;
                continue;
            }
            first = group;
            if (group > 0 && (flags.flag(group - 1) & ALL_BUT_PERSISTENCE) == JUMP_DET)
                first = group - 1;
#pragma unroll 1
            while (group < n_groups && is_good(group)) ++group;
            stop = group;
            if (stop - first > 1) {
                ++kept;
                return true;
            }
            if (singles++ == 0) single = first;
        }
        if (kept > 0 || singles == 0 || gave_single) return false;
        gave_single = true;
        first = single;
        stop = single + 1;
        return true;
    }
};

// All segments that the flags of any source make.
template <class Flags>
__device__ Segments<Flags> find_segments(const Flags& flags, int n_groups)
{
    return {flags, n_groups, 0, false};
}

// The segments of a ramp that are fitted.
__device__ Segments<Ramp> segments_to_fit(const Ramp& ramp, const Stock& stock)
{
    const int n_groups = ramp.n_groups;
    if (stock.seen == 0) return {ramp, n_groups, 0, true};
    const bool is_lost = (ramp.flag(0) & SATURATED) != 0 || stock.unusable == n_groups;
    return {ramp, n_groups, is_lost ? n_groups : 0, false};
}
