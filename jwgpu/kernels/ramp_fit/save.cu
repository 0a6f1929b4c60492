// The optional product of ramp fitting: every segment of every ramp; see save_cpu.py.
// build: STEPS=0
#include "exposure.cuh"

// The official package's square root of 2.
constexpr double SQRT2 = 1.41421356;

// Find the most segments and the most jumps of a ramp.
extern "C" __global__ void count_segments(EXPOSURE_PARAMETERS, int* __restrict__ most)
{
    extern __shared__ float shared[];
    const int slot = blockIdx.x * blockDim.x + threadIdx.x;
    if (slot >= n_slots) return;
    const Exposure exposure = EXPOSURE_ARGUMENTS;
    const Setup setup = SETUP_ARGUMENTS;
    const Ramp ramp = make_ramp(sample_space, flag_space, shared, n_groups, n_slots);
    int most_segments = 0;
    int most_jumps = 0;
    for (int pixel = slot; pixel < n_pixels; pixel += n_slots)
        for (int i = 0; i < n_ints; ++i) {
            const unsigned int seen = gather<false>(ramp, exposure, i, pixel);
            const Stock stock =
                take_stock(ramp, seen, take_zeroframe(exposure, i, pixel), setup);
            int first, stop;
            Segments<Ramp> segments = segments_to_fit(ramp, stock);
            while (segments.next(first, stop)) continue;
            // Quirk: the official package counts all single groups where there is nothing longer.
            most_segments = max(most_segments, segments.kept > 0 ? segments.kept : segments.singles);
            int jumps = 0;
            for (int group = 1; group < n_groups; ++group)
                jumps += (ramp.flag(group) & JUMP_DET) != 0;
            most_jumps = max(most_jumps, jumps);
        }
    atomicMax(&most[0], most_segments);
    atomicMax(&most[1], most_jumps);
}

// Weights of every length of segment and every power; see weights.py.
struct Weights {
    const double* levers;
    const double* outer;
    const double* total;
    const double* spread;
};

struct Intercept {
    double sigslope;  // error of the slope, in electron a group
    double yint;      // signal at group 0, in DN
    double sigyint;   // its error, in electron
};

// Quirks: these errors leave photon noise out, and are in electrons; a segment of two groups has
// those of its samples; one of a single group has none of these values.
__device__ Intercept intercept(
    const Ramp& ramp, int first, int stop, const Pixel& pixel, const Weights& weights)
{
    const int length = stop - first;
    if (length == 1) return {0.0, 0.0, 0.0};
    const double low = ramp.sample(first);
    const double high = ramp.sample(stop - 1);
    if (length == 2) {
        const double error = SQRT2 * pixel.noise;
        return {error, low * (first + 1.0) - high * first, error};
    }
    const int power = choose_power(high - low, pixel);
    const double* outer = weights.outer + weights_of(length, power, ramp.n_groups);
    double mean = 0.0;
    for (int k = 0; k < length; ++k) {
        const double sample = ramp.sample(first + k);
        if (!isnan(sample)) mean += outer[min(k, length - 1 - k)] * sample;
    }
    const double total = weights.total[length * N_POWERS + power];
    const double spread = weights.spread[length * N_POWERS + power];
    const double middle = first + 0.5 * (length - 1);
    const double slope = fit_slope(ramp, first, stop, pixel, weights.levers);
    double square = pixel.noise * pixel.noise;
    if (!(square > 0.0 && isfinite(square))) square = nan("");  // infinite weights
    const double error = sqrt(square * (1.0 / total + middle * middle / spread));
    return {sqrt(square / spread), mean / total - slope * middle, error};
}

// Where the segments go; see Segments in the package. 0 where nothing is written.
struct Saved {
    float* slope;
    float* sigslope;
    float* var_poisson;
    float* var_rnoise;
    float* yint;
    float* sigyint;
    float* weights;
};

// Write the size of each jump of a ramp, as it is before its saturated samples are blanked; NaN
// next to saturated samples.
__device__ void measure_jumps(const Ramp& ramp, float* crmag, int n_pixels)
{
    for (int group = 1; group < ramp.n_groups; ++group) {
        if ((ramp.flag(group) & JUMP_DET) == 0) continue;
        double size = (double)ramp.sample(group) - (double)ramp.sample(group - 1);
        if ((ramp.flag(group) | ramp.flag(group - 1)) & SATURATED) size = nan("");
        *crmag = (float)size;
        crmag += n_pixels;
    }
}

// Write the segments of one ramp, from `at` on, and its pedestal.
__device__ void save_ramp(
    const Ramp& ramp, const Stock& stock, const Pixel& pixel, const Setup& setup, double median,
    const Weights& weights, long long at, int n_pixels, const Saved& saved, float* pedestal)
{
    double slopes = 0.0;
    double by_noise = 0.0;
    int first, stop;
    Segments<Ramp> segments = segments_to_fit(ramp, stock);
    bool has_segments = false;
    for (; segments.next(first, stop); at += n_pixels) {
        const double time = segment_time(stop - first, stock.kind, setup);
        const double slope = segment_slope(ramp, first, stop, time, pixel, weights.levers);
        const double noise = read_variance(stop - first, time, pixel);
        const Intercept found = intercept(ramp, first, stop, pixel, weights);
        slopes += slope / noise;
        by_noise += 1.0 / noise;
        saved.slope[at] = (float)slope;
        saved.sigslope[at] = (float)found.sigslope;
        saved.var_poisson[at] = (float)photon_variance(stop - first, time, median, pixel);
        saved.var_rnoise[at] = (float)noise;
        saved.yint[at] = (float)found.yint;
        saved.sigyint[at] = (float)found.sigyint;
        saved.weights[at] = (float)(1.0 / noise);
        has_segments = true;
    }
    if (!pedestal) return;
    const double rate = has_segments ? slopes * limited(1.0 / by_noise) : 0.0;
    const double value = (double)ramp.sample(0) - rate * setup.reads_before;
    *pedestal = isnan(value) ? 0.0f : (float)value;
}

// Write the segments of all ramps.
extern "C" __global__ void save_segments(
    EXPOSURE_PARAMETERS,
    const double* __restrict__ levers, const double* __restrict__ outer,
    const double* __restrict__ total, const double* __restrict__ spread,
    const float* __restrict__ rates,  // (ints, pixels), NaN where there is none
    const int n_segments, const int n_jumps,
    float* __restrict__ slope, float* __restrict__ sigslope,  // (ints, segments, pixels)
    float* __restrict__ var_poisson, float* __restrict__ var_rnoise,
    float* __restrict__ yint, float* __restrict__ sigyint, float* __restrict__ weights_by_noise,
    float* __restrict__ pedestal,  // (ints, pixels)
    float* __restrict__ crmag)     // (ints, jumps, pixels)
{
    extern __shared__ float shared[];
    const int slot = blockIdx.x * blockDim.x + threadIdx.x;
    if (slot >= n_slots) return;
    const Exposure exposure = EXPOSURE_ARGUMENTS;
    const Setup setup = SETUP_ARGUMENTS;
    const Ramp ramp = make_ramp(sample_space, flag_space, shared, n_groups, n_slots);
    const Weights weights = {levers, outer, total, spread};
    const Saved saved = {slope, sigslope, var_poisson, var_rnoise, yint, sigyint,
                         weights_by_noise};
    for (int at = slot; at < n_pixels; at += n_slots) {
        const Pixel pixel = take_pixel(exposure, at, setup);
        double median = 0.0;
        for (int i = 0; i < n_ints; ++i) {
            const unsigned int seen = gather<true>(ramp, exposure, i, at);
            const Stock stock = take_stock(ramp, seen, take_zeroframe(exposure, i, at), setup);
            median += estimate_rate(ramp, stock, setup);
        }
        median /= (double)n_ints;
        for (int i = 0; i < n_ints; ++i) {
            const unsigned int seen = gather<true>(ramp, exposure, i, at);
            measure_jumps(ramp, crmag + (long long)i * n_jumps * n_pixels + at, n_pixels);
            const Stock stock = take_stock(ramp, seen, take_zeroframe(exposure, i, at), setup);
            const long long plane = (long long)i * n_pixels + at;
            save_ramp(ramp, stock, pixel, setup, median, weights,
                      (long long)i * n_segments * n_pixels + at, n_pixels, saved,
                      isnan(rates[plane]) ? nullptr : pedestal + plane);
        }
    }
}
