// The samples of one pixel in device memory, and their differences.
#pragma once
#include "one_ramp.cuh"

// How many samples are asked for before the first is used: memory answers late.
constexpr int AHEAD = 4;

struct Ramp {
    const float* data;  // of this pixel, its samples n_pixels apart
    unsigned char* groupdq;
    long long n_pixels;
    int n_samples, n_groups;
    float gain;

    // In electrons; NaN if it is of no use.
    __device__ float sample(int s) const
    {
        if (groupdq[s * n_pixels] & UNUSABLE) return nanf("");
        return data[s * n_pixels] * gain;
    }

    // Of a sample that is not the first of its integration.
    __device__ float difference(int s) const { return sample(s) - sample(s - 1); }

    // Calls visit(sample, difference, flags) for each sample. The first of an integration has NaN.
    template <class Visitor>
    __device__ void for_each(Visitor visit) const
    {
        float previous = nanf("");
        int group = 0;
        for (int start = 0; start < n_samples; start += AHEAD) {
            float samples[AHEAD];
            unsigned char flags[AHEAD];
#pragma unroll
            for (int i = 0; i < AHEAD; ++i) {
                const int s = start + i < n_samples ? start + i : n_samples - 1;
                samples[i] = data[s * n_pixels];
                flags[i] = groupdq[s * n_pixels];
            }
#pragma unroll
            for (int i = 0; i < AHEAD; ++i) {
                if (start + i >= n_samples) break;
                const float sample = flags[i] & UNUSABLE ? nanf("") : samples[i] * gain;
                visit(start + i, group == 0 ? nanf("") : sample - previous, flags[i]);
                previous = sample;
                if (++group == n_groups) group = 0;
            }
        }
    }
};
