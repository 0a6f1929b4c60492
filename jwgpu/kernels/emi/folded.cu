// What is left of the samples when ramps are taken away, by phase; and a table's subtraction.
#include "lanes.cuh"
#include "ordered.cuh"
#include "sigma_clip.cuh"

constexpr int CLIP_ROUNDS = 5;
constexpr double CLIP_SIGMA = 3.0;

// The median of n values, or of few the least, NaN left out; see folded_cpu.py.
__device__ float bias_of(Column values, int n, bool is_few)
{
    int kept = 0;
    float least = infinity();
    for (int i = 0; i < n; ++i) {
        const float value = values[i];
        if (value != value) continue;
        values[kept++] = value;
        least = value < least ? value : least;
    }
    if (kept == 0) return nanf("");
    if (is_few) return least;
    const float upper = (float)select(values, kept, kept / 2);
    if (kept % 2 == 1) return upper;
    const float lower = (float)select(values, kept, kept / 2 - 1);
    return (lower + upper) / 2.0f;
}

// What a straight line and a bias leave of each pixel of some rows of one integration: left and
// scratch are (groups, pixels). A thread a pixel.
extern "C" __global__ void take_ramps(
    const float* data, int groups, long long pixels, long long first, long long n_pixels,
    float* left, float* scratch)
{
    const long long pixel = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    const float* samples = data + first + pixel;
    const int n = groups - 2;
    const double sum_t = (double)((long long)n * (n - 1) / 2);
    const double sum_tt = (double)((long long)(n - 1) * n * (2 * n - 1) / 6);
    double slope = 0.0, mean = 0.0;
    for (int t = 0; t < n; ++t) {
        const double value = (double)samples[(t + 1) * pixels];
        slope += t * value;
        mean += value;
    }
    slope = (n * slope - sum_t * mean) / (n * sum_tt - sum_t * sum_t);
    const Column tile{scratch + pixel, n_pixels};
    for (int group = 0; group < groups; ++group) {
        const float value = (float)(samples[group * pixels] - slope * group);
        left[group * n_pixels + pixel] = value;
        if (group > 0 && group <= n) tile[group - 1] = value;
    }
    const float bias = bias_of(tile, n, n <= 2);
    for (int group = 0; group < groups; ++group) left[group * n_pixels + pixel] -= bias;
}

__device__ float mean_of_four(const float* four)
{
    float total = four[0] + four[1];
    total = total + four[2] + four[3];
    return total / 4.0f;
}

// The mean of the four samples that are read at one time; the second and third of a row are not to
// be trusted. A thread a time; residuals are (groups, places) of all rows.
extern "C" __global__ void join_amplifiers(
    const float* left, int groups, int quarter, long long first, long long n_places,
    long long all_places, float* residuals)
{
    const long long place = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const int group = blockIdx.y;
    if (place >= n_places || group >= groups) return;
    const int k = (int)(place % quarter);
    const float* line = left + (group * n_places + place - k) * 4;
    const bool is_mended = k == 1 || k == 2;
    residuals[group * all_places + first + place] =
        is_mended ? (mean_of_four(line) + mean_of_four(line + 12)) / 2.0f
                  : mean_of_four(line + 4 * k);
}

// The phase of a time, in turns below 1.
__device__ double phase_at(double time, double period)
{
    const double turns = time / period;
    return turns - floor(turns);
}

// The bin, open below and closed above, of a phase; -1 for a phase of zero.
__device__ int bin_of(double phase, int n_bins)
{
    int found = (int)ceil(phase * n_bins) - 1;
    while (found >= 0 && phase <= (double)found / n_bins) --found;
    while (found >= -1 && found < n_bins - 1 && phase > (double)(found + 1) / n_bins) ++found;
    return found;
}

// When a pixel is read, in cycles.
__device__ double time_of(
    long long y, int k, int quarter, long long start, int row_clocks, int samples_a_pixel,
    long long delay)
{
    long long time = start + y * row_clocks + (long long)k * samples_a_pixel;
    if (k == quarter - 1) time += delay;
    return (double)time;
}

// A number for each residual that sorts by bin, then by value; the largest for what is in no bin.
extern "C" __global__ void make_keys(
    const float* residuals, const float* medians, int groups, int quarter, long long places,
    long long start, long long frame_clocks, int row_clocks, int samples_a_pixel, long long delay,
    double period, int n_bins, unsigned long long* keys)
{
    const long long place = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const int group = blockIdx.y;
    if (place >= places || group >= groups) return;
    const long long begin = start + group * frame_clocks;
    const double time = time_of(
        place / quarter, (int)(place % quarter), quarter, begin, row_clocks, samples_a_pixel,
        delay);
    const int bin = bin_of(phase_at(time, period), n_bins);
    const float value = residuals[group * places + place] - medians[group];
    unsigned long long key = ~0ull;
    if (bin >= 0 && isfinite(value)) key = (unsigned long long)bin << 32 | key_of(value);
    keys[group * places + place] = key;
}

// The value in a key.
__device__ double value_in(unsigned long long key) { return (double)value_of((unsigned int)key); }

// The first of some sorted keys that is not below a value, or (after) above it.
__device__ long long first_from(
    const unsigned long long* keys, long long low, long long high, double value, bool is_after)
{
    while (low < high) {
        const long long middle = (low + high) / 2;
        const double here = value_in(keys[middle]);
        if (here < value || (is_after && here == value)) low = middle + 1;
        else high = middle;
    }
    return low;
}

// The mean of each bin after clipping about the median: a warp a bin.
extern "C" __global__ void clip_bins(
    const unsigned long long* keys, const long long* starts, int n_bins, double* means)
{
    const int lane = threadIdx.x % LANES;
    const int bin = (blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    if (bin >= n_bins) return;
    long long first = starts[bin], stop = starts[bin + 1];
    double mean = nan("");
    for (int round = 0; first < stop; ++round) {
        const long long n = stop - first;
        double sum = 0.0;
        for (long long i = first + lane; i < stop; i += LANES) sum += value_in(keys[i]);
        mean = sum_of_lanes(sum) / n;
        if (round == CLIP_ROUNDS) break;
        double squares = 0.0;
        for (long long i = first + lane; i < stop; i += LANES) {
            const double distance = value_in(keys[i]) - mean;
            squares += distance * distance;
        }
        const double reach = CLIP_SIGMA * sqrt(sum_of_lanes(squares) / n);
        const double median =
            (value_in(keys[first + (n - 1) / 2]) + value_in(keys[first + n / 2])) / 2;
        const long long from = first_from(keys, first, stop, median - reach, false);
        stop = first_from(keys, from, stop, median + reach, true);
        first = from;
        if (stop - first == n) break;
        mean = nan("");
    }
    if (lane == 0) means[bin] = mean;
}

// Subtract the entry of a table from the four samples that are read at one time.
extern "C" __global__ void subtract_table(
    float* data, int groups, int height, int width, long long start, long long integration_clocks,
    long long frame_clocks, int row_clocks, int samples_a_pixel, long long delay, double period,
    const double* table)
{
    const int quarter = width / 4;
    const long long place = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const int group = blockIdx.y, i = blockIdx.z;
    if (place >= (long long)height * quarter || group >= groups) return;
    const long long begin = start + i * integration_clocks + group * frame_clocks;
    const double time = time_of(
        place / quarter, (int)(place % quarter), quarter, begin, row_clocks, samples_a_pixel,
        delay);
    const double wave = table[(int)(phase_at(time, period) * period)];
    float* line = data + (((long long)i * groups + group) * height * quarter + place) * 4;
    for (int x = 0; x < 4; ++x) line[x] = (float)(line[x] - wave);
}
