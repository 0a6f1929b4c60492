// One ramp: what is known of it, and its part of the workspace. Twin of block_cpu.py and cpu.py.
#pragma once
#include "flags.cuh"
#include "sorting.cuh"

// Factors of the covariance matrix, as in readout.py.
enum Factor { TIME, BY_PHOTON, BY_READ, NEXT_PHOTON, NEXT_READ, HAS_PAIRS };

struct Readout {
    const double* factors;  // (6, n)
    double frames;          // in the first group, where the zero frame is taken out of it; else 0
    int n;                  // differences
    bool has_pairs;         // some group has several reads

    __device__ double operator()(Factor factor, int k) const { return factors[factor * n + k]; }
};

struct Exposure {
    const float* data;          // (ints, groups, y, x), DN
    unsigned char* groupdq;     // (ints, groups, y, x)
    const unsigned int* pixeldq;  // (y, x)
    const float* gain;          // (y, x), electron/DN
    const float* readnoise;     // (y, x), DN
    const float* zeroframe;     // (ints, y, x), DN, or null
    const float* dark;          // (y, x), DN/s, or null
    int groups;
    long long n_pixels;
};

// Rows of the workspace, n + 1 numbers each. Those of the second line take the place of those of
// the first, which are not needed any more.
enum Row { DIFFERENCE, TAIL, TAIL_ONES, TAIL_DATA, BESIDE, N_ROWS };
enum { STEPS = TAIL, DIAGONAL = TAIL, ROW_ONES = TAIL_ONES, ROW_DATA = TAIL_DATA };

// Beside the flags of a ramp's groups, which are bits 0 to 7.
constexpr int HAS_DROPS = 1 << 8, ALL_UNUSABLE = 1 << 9;

struct Ramp {
    double* rows;         // (N_ROWS, n + 1, lanes), from this lane on
    unsigned char* uses;  // (n, lanes), from this lane on
    long long lanes;
    int n;
    int seen;             // flags of any group, HAS_DROPS, ALL_UNUSABLE
    double photon;        // estimated rate over gain, DN^2/s
    double read;          // square of the noise of a read, DN^2
    double rate;          // most likely rate, DN/s
    double dark, gain;    // DN/s, electron/DN
    double scale;         // of the covariance matrix
    double head_n;        // determinant of the scaled matrix
    double data_data, data_ones, ones_ones;  // A, B and C of Brandt 2024
    double chi_square;

    __device__ double& at(int row, int k) const
    {
        return rows[((long long)row * (n + 1) + k) * lanes];
    }
    __device__ double used(int k) const { return uses[k * lanes]; }
    __device__ void stop_using(int k) { uses[k * lanes] = 0; }
    __device__ double masked(int k) const { return at(DIFFERENCE, k) * used(k); }
};

// Take the differences of the groups of a ramp. `first` is where its first group is.
__device__ inline void gather(const Exposure& exposure, const Readout& readout, long long pixel,
                              long long first, long long integration, Ramp& ramp)
{
    const long long step_of_group = exposure.n_pixels;
    const float* data = exposure.data + first;
    const unsigned char* groupdq = exposure.groupdq + first;
    const int extra = readout.frames > 0.0 ? 1 : 0;
    int seen = ALL_UNUSABLE;
    float sample = 0.0f;
    int flags = 0;
#pragma unroll 1
    for (int g = 0; g < exposure.groups; ++g) {
        const float next = data[g * step_of_group];
        const int next_flags = groupdq[g * step_of_group];
        const int is_unusable = next_flags & (DO_NOT_USE | SATURATED) ? ALL_UNUSABLE : 0;
        seen = (seen | next_flags) & (~ALL_UNUSABLE | is_unusable);
        if (g > 0) {
            const int k = g - 1 + extra;
            // Samples are float32 and so is their difference, as in the official package.
            ramp.at(DIFFERENCE, k) = (double)(next - sample) / readout(TIME, k);
            ramp.uses[k * ramp.lanes] = (flags | next_flags) == 0;
        }
        sample = next;
        flags = next_flags;
    }
    ramp.seen = seen;
    if (extra == 0) return;
    // The zero frame is a group before the first, with the flags of that.
    const float n_frames = (float)readout.frames;
    const float zero = exposure.zeroframe[integration * exposure.n_pixels + pixel];
    const float others = (data[0] * n_frames - zero) / (n_frames - 1.0f);
    ramp.at(DIFFERENCE, 0) = (double)(others - zero) / readout(TIME, 0);
    ramp.at(DIFFERENCE, 1) = (double)(data[step_of_group] - others) / readout(TIME, 1);
    ramp.uses[0] = groupdq[0] == 0;
}

// Estimate the noise: that of photons from the median of all differences, used or not.
__device__ inline void guess_rates(const Exposure& exposure, long long pixel, Ramp& ramp)
{
    const int n = ramp.n, half = n / 2;
    bool is_unknown = false;
#pragma unroll 1
    for (int k = 0; k < n; ++k) {
        const double value = ramp.at(DIFFERENCE, k);
        ramp.at(STEPS, k) = value;
        is_unknown = is_unknown || value != value;
    }
    auto step_at = [&](int k) -> double& { return ramp.at(STEPS, k); };
    sort_in_memory(step_at, n, Smaller());
    double middle = ramp.at(STEPS, half);
    if ((n & 1) == 0) middle = (ramp.at(STEPS, half - 1) + middle) / 2.0;
    if (is_unknown) middle = nan("");
    const double guess = middle * (middle > 0.0 ? 1.0 : 0.0);
    const double noise = (double)exposure.readnoise[pixel] / 1.4142135623730951;
    ramp.gain = exposure.gain[pixel];
    ramp.photon = guess / ramp.gain;
    ramp.read = noise * noise;
    ramp.dark = exposure.dark ? exposure.dark[pixel] : 0.0;
}

// Estimate the noise of photons from the rate that was found without the jumps.
__device__ inline void estimate_photons(Ramp& ramp)
{
    const double found = ramp.rate;
    ramp.photon = (found * (found > 0.0 ? 1.0 : 0.0) + ramp.dark) / ramp.gain;
}

// Flag the sample after each difference that was dropped.
__device__ inline void flag_jumps(const Exposure& exposure, const Readout& readout,
                                  long long first, Ramp& ramp)
{
    unsigned char* groupdq = exposure.groupdq + first;
    const int extra = readout.frames > 0.0 ? 1 : 0;
    // From the end, so that flags set here do not make a difference look unusable.
#pragma unroll 1
    for (int k = ramp.n - 1; k >= 0; --k) {
        const int after = k + 1 - extra, before = after > 0 ? after - 1 : 0;
        unsigned char& flags = groupdq[after * exposure.n_pixels];
        if (ramp.used(k) == 0.0 && (groupdq[before * exposure.n_pixels] | flags) == 0) {
            flags |= JUMP_DET;
            ramp.seen |= JUMP_DET;
        }
    }
}
