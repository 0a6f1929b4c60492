// Ramp fitting: a thread takes all integrations of a pixel; see cpu.py and one_ramp_cpu.py.
// build: STEPS=0
// build: STEPS=9
// build: STEPS=16
#include "exposure.cuh"

// Rates; see Fit in the package.
struct Fit {
    float* data;
    unsigned int* dq;
    float* err;
    float* var_poisson;
    float* var_rnoise;
};

// What the integrations of a pixel add up to.
struct Sums {
    double slopes = 0.0;      // slope over variance by read noise
    double by_noise = 0.0;    // reciprocal of that variance
    double by_photons = 0.0;  // reciprocal of the variance by photons
    double median = 0.0;      // estimated rate, in DN/s
    unsigned int seen = 0;    // flags of any group
    int unusable = 0;         // integrations that are not usable,
    int from_start = 0;       // that are saturated from the start,
    int saturated = 0;        // that have a saturated group
};

// What the second pass must know of a ramp: whether it has segments, and a rate.
constexpr unsigned int HAS_NO_RATE = 0x100;

// Fit one ramp, but for what depends on its photon noise. Returns its flags and whether it has no
// rate, see HAS_NO_RATE.
__device__ unsigned int fit_one_ramp(
    const Ramp& ramp, const Stock& stock, const Pixel& pixel, const Setup& setup,
    const double* levers, long long at, const Fit& rateints, Sums& sums)
{
    const int n_groups = ramp.n_groups;
    unsigned int dq = pixel.dq | (stock.seen & (JUMP_DET | PERSISTENCE));
    if (stock.seen != 0 && (ramp.flag(0) & SATURATED) != 0) dq |= DO_NOT_USE | SATURATED;
    if (stock.unusable == n_groups) dq |= DO_NOT_USE;
    if (stock.unusable == n_groups && stock.saturated == n_groups) dq |= SATURATED;
    const bool has_rate = (dq & UNUSABLE) == 0;

    double slopes = 0.0;
    double by_noise = 0.0;
    bool has_segments = false;
    int first, stop;
    Segments<Ramp> segments = segments_to_fit(ramp, stock);
#pragma unroll 1
    while (segments.next(first, stop)) {
        const double time = segment_time(stop - first, stock.kind, setup);
        const double slope = segment_slope(ramp, first, stop, time, pixel, levers);
        const double weight = 1.0 / read_variance(stop - first, time, pixel);
        slopes += slope * weight;
        by_noise += weight;
        has_segments = true;
    }
    sums.slopes += slopes;
    sums.by_noise += by_noise;
    sums.unusable += (dq & DO_NOT_USE) != 0;
    sums.from_start += (dq & SATURATED) != 0;
    sums.saturated += stock.saturated > 0;
    sums.seen |= stock.seen;

    const double var_rnoise = has_rate && has_segments ? limited(1.0 / by_noise) : 0.0;
    double rate = has_rate ? 0.0 : nan("");
    if (has_rate && has_segments) rate = slopes * var_rnoise;
    rateints.data[at] = (float)rate;
    // A ramp that saturates on the way has a rate nevertheless.
    rateints.dq[at] = stock.saturated > 0 ? dq | SATURATED : dq;
    rateints.var_rnoise[at] = (float)var_rnoise;
    return has_rate ? 0 : HAS_NO_RATE;
}

// Work out what depends on photon noise.
__device__ void add_photons(
    const Ramp& ramp, const Stock& stock, const Pixel& pixel, const Setup& setup, bool has_rate,
    long long at, const Fit& rateints, Sums& sums)
{
    double by_photons = 0.0;
    double by_both = 0.0;
    bool has_segments = false;
    int first, stop;
    Segments<Ramp> segments = segments_to_fit(ramp, stock);
#pragma unroll 1
    while (segments.next(first, stop)) {
        const double time = segment_time(stop - first, stock.kind, setup);
        const double photons = photon_variance(stop - first, time, sums.median, pixel);
        if (photons > 0.0) by_photons += 1.0 / photons;
        by_both += 1.0 / (photons + read_variance(stop - first, time, pixel));
        has_segments = true;
    }
    sums.by_photons += by_photons;
    double err = 0.0;
    double var_poisson = 0.0;
    if (has_rate && has_segments) {
        if (by_photons > 0.0) var_poisson = limited(1.0 / by_photons);
        const double variance = 1.0 / by_both;
        err = variance > NO_VARIANCE ? 0.0 : sqrt(variance);
    }
    rateints.err[at] = (float)err;
    rateints.var_poisson[at] = (float)var_poisson;
}

// The flags of a ramp as if groups flagged CHARGELOSS had been used.
struct LostCharge {
    const unsigned char* groupdq;
    int n_pixels;

    __device__ unsigned int flag(int group) const
    {
        const unsigned int flag = groupdq[(long long)group * n_pixels];
        return flag & CHARGELOSS ? flag ^ (CHARGELOSS | DO_NOT_USE) : flag;
    }
};

// Work out a ramp's variance by read noise as if groups flagged CHARGELOSS had been used, if there
// are any; return its reciprocal, 0 if there is none. See count_lost_charge in lost_charge_cpu.py.
__device__ double count_lost_charge(
    const LostCharge& flags, int n_groups, const Stock& stock, const Pixel& pixel,
    const Setup& setup, float& var_rnoise)
{
    if ((stock.seen & CHARGELOSS) == 0)
        return var_rnoise > 0.0f ? 1.0 / (double)var_rnoise : 0.0;
    double by_noise = 0.0;
    int first, stop;
    Segments<LostCharge> segments = find_segments(flags, n_groups);
#pragma unroll 1
    while (segments.next(first, stop)) {
        const double time = segment_time(stop - first, stock.kind, setup);
        const double variance = read_variance(stop - first, time, pixel);
        if (variance > 0.0) by_noise += 1.0 / variance;
    }
    var_rnoise = (float)limited(1.0 / by_noise);
    return by_noise;
}

// Combine the integrations of one pixel. `by_noise_with_lost` takes the place of the variance by
// read noise where it is not 0.
__device__ void combine(
    const Sums& sums, const Pixel& pixel, int n_ints, double by_noise_with_lost, int at,
    const Fit& rate)
{
    unsigned int dq = pixel.dq | (sums.seen & (JUMP_DET | PERSISTENCE));
    if (sums.unusable == n_ints) dq |= DO_NOT_USE;
    if (sums.from_start == n_ints) dq |= SATURATED;
    double slope = nan("");
    double err = 0.0;
    double var_poisson = 0.0;
    double var_rnoise = 0.0;
    if ((dq & UNUSABLE) == 0) {
        if (sums.by_photons > 0.0) var_poisson = limited(1.0 / sums.by_photons);
        var_rnoise = sums.by_noise > 0.0 ? limited(1.0 / sums.by_noise) : sums.by_noise;
        // Quirk: not the error that a single integration gets.
        err = sqrt(var_poisson + var_rnoise);
        slope = sums.slopes * var_rnoise;
    }
    if (by_noise_with_lost > 0.0) var_rnoise = limited(1.0 / by_noise_with_lost);
    rate.data[at] = (float)slope;
    rate.dq[at] = sums.saturated > 0 ? dq | SATURATED : dq;
    rate.err[at] = (float)err;
    rate.var_poisson[at] = (float)var_poisson;
    rate.var_rnoise[at] = (float)var_rnoise;
}

// Fit all ramps of a pixel. The samples are read once; the flags once more, of ramps that have any,
// where there are several integrations: photon noise is estimated from all of them.
__device__ void fit_pixel(
    const Ramp& ramp, const Exposure& exposure, const Setup& setup, const double* levers,
    int at_pixel, const Fit& rate, const Fit& rateints)
{
    const int n_ints = exposure.n_ints;
    const Pixel pixel = take_pixel(exposure, at_pixel, setup);
    Sums sums;
    Stock stock;
    unsigned int known = 0;
#pragma unroll 1
    for (int i = 0; i < n_ints; ++i) {
        const long long at = (long long)i * exposure.n_pixels + at_pixel;
        const unsigned int seen = gather<true>(ramp, exposure, i, at_pixel);
        stock = take_stock(ramp, seen, take_zeroframe(exposure, i, at_pixel), setup);
        sums.median += estimate_rate(ramp, stock, setup);
        known = stock.seen
            | fit_one_ramp(ramp, stock, pixel, setup, levers, at, rateints, sums);
        // Kept for the second pass, which writes the variance.
        if (n_ints > 1) rateints.var_poisson[at] = (float)known;
    }
    sums.median /= (double)n_ints;

    double by_noise_with_lost = 0.0;
#pragma unroll 1
    for (int i = 0; i < n_ints; ++i) {
        const long long at = (long long)i * exposure.n_pixels + at_pixel;
        if (n_ints > 1) {
            known = (unsigned int)rateints.var_poisson[at];
            unsigned int seen = known & 0xFFu;
            if (seen != 0) seen = gather<false>(ramp, exposure, i, at_pixel);
            stock = take_stock(ramp, seen, take_zeroframe(exposure, i, at_pixel), setup);
        }
        add_photons(ramp, stock, pixel, setup, (known & HAS_NO_RATE) == 0, at, rateints, sums);
        if (sums.seen & CHARGELOSS) {
            const LostCharge flags = {
                exposure.groupdq + exposure.start_of_ramp(i, at_pixel), exposure.n_pixels};
            by_noise_with_lost += count_lost_charge(
                flags, ramp.n_groups, stock, pixel, setup, rateints.var_rnoise[at]);
        }
    }
    combine(sums, pixel, n_ints, by_noise_with_lost, at_pixel, rate);
}

extern "C" __global__ void fit_ramps(
    EXPOSURE_PARAMETERS,
    const double* __restrict__ levers,  // (groups + 1, powers, groups / 2 + 1)
    float* __restrict__ rate_data, unsigned int* __restrict__ rate_dq,  // (pixels)
    float* __restrict__ rate_err, float* __restrict__ rate_var_poisson,
    float* __restrict__ rate_var_rnoise,
    float* __restrict__ rateints_data, unsigned int* __restrict__ rateints_dq,  // (ints, pixels)
    float* __restrict__ rateints_err, float* __restrict__ rateints_var_poisson,
    float* __restrict__ rateints_var_rnoise)
{
    extern __shared__ float shared[];
    const int slot = blockIdx.x * blockDim.x + threadIdx.x;
    if (slot >= n_slots) return;
    const Exposure exposure = EXPOSURE_ARGUMENTS;
    const Setup setup = SETUP_ARGUMENTS;
    const Ramp ramp = make_ramp(sample_space, flag_space, shared, n_groups, n_slots);
    const Fit rate = {rate_data, rate_dq, rate_err, rate_var_poisson, rate_var_rnoise};
    const Fit rateints = {
        rateints_data, rateints_dq, rateints_err, rateints_var_poisson, rateints_var_rnoise};
#pragma unroll 1
    for (int pixel = slot; pixel < n_pixels; pixel += n_slots)
        fit_pixel(ramp, exposure, setup, levers, pixel, rate, rateints);
}
