// The fit of one segment of a ramp; see segment_cpu.py.
#pragma once

// When a segment of a single group was exposed: from a group to the next, up to the mean time of
// the reads of the first group, or up to the first frame.
enum Kind { WHOLE_GROUP, FIRST_READ, FRAME_ZERO };

// A variance this large means that nothing is known: the products then hold 0.
constexpr double NO_VARIANCE = 1.0e6;

// Powers that the weights are made for.
constexpr int N_POWERS = 6;

// What is the same for all pixels; see setup.py.
struct Setup {
    double group_time, frame_time, first_read_time, noise_scale, reads_before;
    bool suppress_one_group, ignore_first_jump;
};

// One pixel: gain (electron/DN), noise of a group (electron), dark current (DN/s), flags.
struct Pixel {
    double gain, noise, dark;
    unsigned int dq;
};

// One ramp, as the fit sees it: in shared memory, or in a space of device memory.
struct Ramp {
    float* samples;
    unsigned char* flags;
    int stride;  // from one group to the next
    int n_groups;

    __device__ float& sample(int group) const { return samples[group * stride]; }
    __device__ unsigned char& flag(int group) const { return flags[group * stride]; }
};

// The variance, or 0 for one that says that nothing is known.
__device__ double limited(double variance) { return variance >= NO_VARIANCE ? 0.0 : variance; }

// Exposure time from group to group, or of a single group.
__device__ double segment_time(int length, int kind, const Setup& setup)
{
    if (length == 1 && kind == FIRST_READ) return setup.first_read_time;
    if (length == 1 && kind == FRAME_ZERO) return setup.frame_time;
    return setup.group_time;
}

// Variance of a segment's slope by read noise. Quirk: without gain it is 0 from three groups on,
// but infinite or NaN for fewer.
__device__ double read_variance(int length, double time, const Pixel& pixel)
{
    const double noise = pixel.noise / time;
    if (length < 3) return 2.0 * noise * noise / (pixel.gain * pixel.gain);
    if (pixel.gain <= 0.0 || isnan(pixel.gain)) return 0.0;
    const long long n = length;
    return 12.0 * noise * noise / ((double)(n * n * n - n) * pixel.gain * pixel.gain);
}

// Variance of a segment's slope by photons, given the rate that they are estimated from, in DN/s.
__device__ double photon_variance(int length, double time, double median, const Pixel& pixel)
{
    const double rate = median > 0.0 ? median + pixel.dark : pixel.dark;
    return rate / (time * pixel.gain * (double)max(length - 1, 1));
}

// Index of the power of the weights, by the signal to noise of a segment's rise; NaN: last.
__device__ int choose_power(double rise, const Pixel& pixel)
{
    const double signal = rise * pixel.gain;
    const double variance = pixel.noise * pixel.noise + signal;
    if (variance <= 0.0 || pixel.gain == 0.0) return 0;
    const double snr = signal / sqrt(variance);
    if (snr < 5.0) return 0;
    if (snr < 10.0) return 1;
    if (snr < 20.0) return 2;
    if (snr < 50.0) return 3;
    if (snr < 100.0) return 4;
    return 5;
}

// Where the weights of a segment begin in a table (lengths, powers, longest / 2 + 1).
__device__ long long weights_of(int length, int power, int longest)
{
    return ((long long)length * N_POWERS + power) * (longest / 2 + 1);
}

// Slope of three samples or more, in DN a group: a sum over pairs of samples at the same distance
// from the middle. A NaN sample counts as 0, as in the official package.
__device__ double fit_slope(
    const Ramp& ramp, int first, int stop, const Pixel& pixel, const double* levers)
{
    const int length = stop - first;
    const double rise = (double)ramp.sample(stop - 1) - (double)ramp.sample(first);
    const double* lever = levers + weights_of(length, choose_power(rise, pixel), ramp.n_groups);
    double slope = 0.0;
#pragma unroll 1
    for (int k = 0; k < length / 2; ++k) {
        double low = ramp.sample(first + k);
        double high = ramp.sample(stop - 1 - k);
        low = isnan(low) ? 0.0 : low;
        high = isnan(high) ? 0.0 : high;
        slope += lever[k] * (high - low);
    }
    // Infinite weights or an infinite sample leave no slope; the middle sample is not in the sum.
    const double square = pixel.noise * pixel.noise;
    const bool usable = square > 0.0 && isfinite(square) && isfinite(slope);
    if (usable && !isinf(ramp.sample(first + length / 2))) return slope;
    return nan("");
}

// Slope of the groups first:stop of a ramp, in DN/s.
__device__ double segment_slope(
    const Ramp& ramp, int first, int stop, double time, const Pixel& pixel, const double* levers)
{
    const int length = stop - first;
    double slope;
    if (length == 1)
        slope = ramp.sample(first);
    else if (length == 2)
        slope = (double)ramp.sample(first + 1) - (double)ramp.sample(first);
    else
        slope = fit_slope(ramp, first, stop, pixel, levers);
    return slope / time;
}
