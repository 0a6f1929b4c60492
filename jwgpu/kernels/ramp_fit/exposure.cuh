// Reading an exposure, ramp by ramp.
#pragma once
#include "median.cuh"
#include "stock.cuh"

constexpr int AT_ONCE = 4;  // samples that are on their way at the same time

// What all kernels of the fit are given.
#define EXPOSURE_PARAMETERS                                                                        \
    const float* __restrict__ data,            /* (ints, groups, pixels) */                        \
    const unsigned char* __restrict__ groupdq, /* (ints, groups, pixels) */                        \
    const unsigned int* __restrict__ pixeldq, const float* __restrict__ gain,                      \
    const float* __restrict__ readnoise,                                                           \
    const float* __restrict__ zeroframe,       /* (ints, pixels), or null */                       \
    const float* __restrict__ dark,            /* (pixels), or null */                             \
    float* __restrict__ sample_space,          /* (groups, slots); null: shared memory is used */  \
    unsigned char* __restrict__ flag_space,    /* (groups, slots); null, too */                    \
    const int n_ints, const int n_groups_in_all, const int first_group, const int n_groups,        \
    const int n_pixels, const int n_slots, const double group_time, const double frame_time,       \
    const double first_read_time, const double noise_scale, const double reads_before,             \
    const bool suppress_one_group

#define EXPOSURE_ARGUMENTS                                                                         \
    {data, groupdq, pixeldq, gain, readnoise, zeroframe, dark, n_ints, n_groups_in_all,            \
     first_group, n_pixels}

#define SETUP_ARGUMENTS                                                                            \
    {group_time, frame_time, first_read_time, noise_scale, reads_before, suppress_one_group,       \
     first_group > 0}

// The input arrays; see EXPOSURE_PARAMETERS.
struct Exposure {
    const float* data;
    const unsigned char* groupdq;
    const unsigned int* pixeldq;
    const float* gain;
    const float* readnoise;
    const float* zeroframe;
    const float* dark;
    int n_ints, n_groups_in_all, first_group, n_pixels;

    __device__ long long start_of_ramp(int i, int pixel) const
    {
        return ((long long)i * n_groups_in_all + first_group) * n_pixels + pixel;
    }
};

// Where a thread keeps the ramp that it works on: its slot of the space in device memory or, if
// there is none, of the block's shared memory.
__device__ Ramp make_ramp(
    float* sample_space, unsigned char* flag_space, float* shared, int n_groups, int n_slots)
{
    if (sample_space) {
        const int slot = blockIdx.x * blockDim.x + threadIdx.x;
        return {sample_space + slot, flag_space + slot, n_slots, n_groups};
    }
    const int stride = blockDim.x;
    unsigned char* flags = reinterpret_cast<unsigned char*>(shared + n_groups * stride);
    return {shared + threadIdx.x, flags + threadIdx.x, stride, n_groups};
}

// Copy a ramp's samples and flags, or its flags alone; return the flags of any group.
template <bool WITH_SAMPLES>
__device__ unsigned int gather(const Ramp& ramp, const Exposure& exposure, int i, int pixel)
{
    const long long start = exposure.start_of_ramp(i, pixel);
    unsigned int seen = 0;
#pragma unroll 1
    for (int group = 0; group < ramp.n_groups; group += AT_ONCE) {
        float sample[AT_ONCE];
        unsigned char flag[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k)
            if (group + k < ramp.n_groups) {
                const long long at = start + (long long)(group + k) * exposure.n_pixels;
                if (WITH_SAMPLES) sample[k] = exposure.data[at];
                flag[k] = exposure.groupdq[at];
            }
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k)
            if (group + k < ramp.n_groups) {
                if (WITH_SAMPLES) ramp.sample(group + k) = sample[k];
                ramp.flag(group + k) = flag[k];
                seen |= flag[k];
            }
    }
    return seen;
}

// What a pixel is like; without gain it has no rate.
__device__ Pixel take_pixel(const Exposure& exposure, int pixel, const Setup& setup)
{
    const double gain = exposure.gain[pixel];
    const double noise = (double)exposure.readnoise[pixel] * (gain / setup.noise_scale);
    unsigned int dq = exposure.pixeldq[pixel];
    if (gain <= 0.0 || isnan(gain)) dq |= DO_NOT_USE | NO_GAIN_VALUE;
    // Rounded to float32 as in the official package.
    return {gain, (double)(float)noise, exposure.dark ? (double)exposure.dark[pixel] : 0.0, dq};
}

// Frame zero of a ramp; 0 if there is none.
__device__ float take_zeroframe(const Exposure& exposure, int i, int pixel)
{
    return exposure.zeroframe ? exposure.zeroframe[(long long)i * exposure.n_pixels + pixel] : 0.0f;
}

// The rate that a ramp adds to the mean that photon noise is estimated from, in DN/s.
__device__ double estimate_rate(const Ramp& ramp, const Stock& stock, const Setup& setup)
{
    if (ramp.n_groups == 1) return (double)ramp.sample(0) / setup.first_read_time;
    if (stock.kind == WHOLE_GROUP) return median_rate(ramp, setup.group_time);
    const double rate = (double)ramp.sample(0) / segment_time(1, stock.kind, setup);
    return isnan(rate) ? 0.0 : rate;
}
