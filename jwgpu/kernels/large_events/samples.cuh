// What is used of ramps in the search for showers.
#pragma once
#include "flags.cuh"

// A sample in electrons, NaN if it is not to be used. Quirk: of flags that jump detection does not
// heed itself, only those that stand alone make a sample unusable.
inline __device__ float usable_sample(
    const float sample, const unsigned char flags, const float gain, const unsigned char unusable)
{
    const bool stands_alone = flags > 0 && flags <= (JUMP_DET | DO_NOT_USE);
    return flags & unusable || stands_alone ? nanf("") : sample * gain;
}

// Of one pixel of a ramp (ints, groups, pixels).
struct Ramp {
    const float* data;
    const unsigned char* groupdq;
    int n_groups;
    long long n_pixels, pixel;
    float gain;
    unsigned char unusable;

    __device__ float sample(const int integration, const int group) const
    {
        const long long at = ((long long)integration * n_groups + group) * n_pixels + pixel;
        return usable_sample(data[at], groupdq[at], gain, unusable);
    }

    // Between a group and the one before.
    __device__ float difference(const int integration, const int group) const
    {
        return sample(integration, group) - sample(integration, group - 1);
    }
};
