// Statistics of regions of an image. A warp takes a row of a region, or a region: its lanes add up what
// the lanes of the CPU do. The columns of `state` and of `rows` are those of cpu.py.
#include "lanes.cuh"
#include "ordered.cuh"

constexpr int COUNT = 0, MEAN = 1, STDDEV = 2, LOWEST = 3, HIGHEST = 4, LOW = 5, HIGH = 6;
constexpr int FIRST = 7, LOWER = 8, UPPER = 9, DONE = 10, N_STATE = 11;
constexpr int N_SUMS = 5;
constexpr int RANKS = 2;

struct Image {
    const float* values;
    const int* spans;  // (regions, y, spans, 2)
    int n_regions, n_y, n_x, n_spans;

    __device__ const float* row(int y) const { return values + (long long)y * n_x; }

    __device__ const int* spans_of(int region, int y) const
    {
        return spans + ((long long)region * n_y + y) * n_spans * 2;
    }
};

inline __device__ double lowest_of_lanes(double value)
{
    for (int step = LANES / 2; step > 0; step /= 2)
        value = fmin(value, __shfl_xor_sync(ALL_LANES, value, step));
    return value;
}

inline __device__ double highest_of_lanes(double value)
{
    for (int step = LANES / 2; step > 0; step /= 2)
        value = fmax(value, __shfl_xor_sync(ALL_LANES, value, step));
    return value;
}

// The first value of each region, which the first sums are taken around: a warp a region.
extern "C" __global__ void start_regions(
    const float* values, const int* spans, int n_regions, int n_y, int n_x, int n_spans,
    double* state)
{
    const Image image = {values, spans, n_regions, n_y, n_x, n_spans};
    const int lane = threadIdx.x % LANES;
    const int region = (blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    if (region >= n_regions) return;
    float first = nanf("");
    for (int y = 0; y < n_y && isnan(first); ++y) {
        const int* of_row = image.spans_of(region, y);
        for (int k = 0; k < n_spans; ++k) {
            for (int start = of_row[2 * k]; start < of_row[2 * k + 1]; start += LANES) {
                const int x = start + lane;
                const float value = x < of_row[2 * k + 1] ? image.row(y)[x] : nanf("");
                const unsigned int found = __ballot_sync(ALL_LANES, !isnan(value));
                if (found && isnan(first)) first = __shfl_sync(ALL_LANES, value, __ffs(found) - 1);
            }
        }
    }
    if (lane != 0) return;
    double* of_region = state + (long long)region * N_STATE;
    for (int i = 0; i < N_STATE; ++i) of_region[i] = (double)nanf("");
    of_region[COUNT] = 0.0;
    of_region[MEAN] = of_region[FIRST] = first;
    of_region[LOW] = -infinity();
    of_region[HIGH] = infinity();
    of_region[DONE] = isnan(first) ? 1.0 : 0.0;
}

// The sums of each row of each region: a warp a row.
extern "C" __global__ void sum_rows(
    const float* values, const int* spans, int n_regions, int n_y, int n_x, int n_spans,
    const double* state, double* rows)
{
    const Image image = {values, spans, n_regions, n_y, n_x, n_spans};
    const int lane = threadIdx.x % LANES;
    const long long warp = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    if (warp >= (long long)n_regions * n_y) return;
    const int region = (int)(warp / n_y), y = (int)(warp % n_y);
    const double* of_region = state + (long long)region * N_STATE;
    if (of_region[DONE] > 0.0) return;
    const float low = (float)of_region[LOW], high = (float)of_region[HIGH];
    const double centre = of_region[MEAN];
    const int* of_row = image.spans_of(region, y);
    const float* row = image.row(y);
    int count = 0;
    double sum = 0.0, squares = 0.0;
    float lowest = infinity(), highest = -infinity();
    for (int k = 0; k < n_spans; ++k) {
        for (int x = of_row[2 * k] + lane; x < of_row[2 * k + 1]; x += LANES) {
            const float value = row[x];
            if (!(value >= low && value <= high)) continue;
            const double deviation = (double)value - centre;
            count += 1;
            sum += deviation;
            squares += deviation * deviation;
            lowest = value < lowest ? value : lowest;
            highest = value > highest ? value : highest;
        }
    }
    const double n = sum_of_lanes((double)count);
    sum = sum_of_lanes(sum);
    squares = sum_of_lanes(squares);
    const double least = lowest_of_lanes(lowest), most = highest_of_lanes(highest);
    if (lane != 0) return;
    double* result = rows + warp * N_SUMS;
    result[0] = n;
    result[1] = sum;
    result[2] = squares;
    result[3] = least;
    result[4] = most;
}

// The limits that hold before any clipping; false if no value is within. Single precision, as
// officially; NaN where the user gave none.
__device__ bool set_limits(float lower, float upper, double* state)
{
    const float lowest = (float)state[LOWEST], highest = (float)state[HIGHEST];
    if (lower > highest || upper < lowest) return false;
    state[LOWER] = isnan(lower) ? lowest : lower;
    state[UPPER] = isnan(upper) ? highest : upper;
    state[LOW] = state[LOWER];
    state[HIGH] = state[UPPER];
    return true;
}

// The limits around the mean; the region is done if they stay as they are.
__device__ void narrow(double lsigma, double usigma, double* state)
{
    const double mean = state[MEAN], stddev = state[STDDEV];
    double low = state[LOWER], high = state[UPPER];
    if (!isnan(stddev)) {  // else the outer limits
        low = fmax(low, (double)(float)(mean - lsigma * stddev));
        high = fmin(high, (double)(float)(mean + usigma * stddev));
    }
    if (low == state[LOW] && high == state[HIGH]) state[DONE] = 1.0;
    state[LOW] = low;
    state[HIGH] = high;
}

// The moments of a region from the sums of its rows, and the next limits: a warp a region.
extern "C" __global__ void finish_regions(
    const double* rows, int n_regions, int n_y, float lower, float upper, double lsigma,
    double usigma, int is_first, int narrows, double* state)
{
    const int lane = threadIdx.x % LANES;
    const int region = (blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    if (region >= n_regions) return;
    double* of_region = state + (long long)region * N_STATE;
    if (of_region[DONE] > 0.0) return;
    double n = 0.0, total = 0.0, squares = 0.0, lowest = infinity(), highest = -infinity();
    for (int y = lane; y < n_y; y += LANES) {
        const double* row = rows + ((long long)region * n_y + y) * N_SUMS;
        n += row[0];
        total += row[1];
        squares += row[2];
        lowest = fmin(lowest, row[3]);
        highest = fmax(highest, row[4]);
    }
    n = sum_of_lanes(n);
    total = sum_of_lanes(total);
    squares = sum_of_lanes(squares);
    lowest = lowest_of_lanes(lowest);
    highest = highest_of_lanes(highest);
    if (lane != 0) return;
    of_region[COUNT] = n;
    if (n == 0.0) {
        of_region[DONE] = 1.0;
        return;
    }
    const double before = of_region[MEAN];
    const double mean = (double)(float)(before + total / n);
    const double shift = mean - before;
    const double square = squares - 2.0 * shift * total + n * shift * shift;
    of_region[MEAN] = mean;
    of_region[STDDEV] = (double)nanf("");
    if (n > 1.0) of_region[STDDEV] = (double)(float)sqrt(fmax(square / (n - 1.0), 0.0));
    // Quirk: the search for the lowest value begins with the first pixel, or with the limit.
    const double first = of_region[FIRST];
    of_region[LOWEST] = first < of_region[LOW] ? of_region[LOW] : lowest;
    of_region[HIGHEST] = first > of_region[HIGH] ? of_region[HIGH] : highest;
    if (is_first && !set_limits(lower, upper, of_region)) {
        of_region[COUNT] = 0.0;
        of_region[DONE] = 1.0;
    } else if (narrows) {
        narrow(lsigma, usigma, of_region);
    }
}

// Values of each region in bins: a warp a row; a block counts in its shared memory what fits there.
extern "C" __global__ void count_values(
    const float* values, const int* spans, int n_regions, int n_y, int n_x, int n_spans,
    const float* starts, const float* widths, const int* n_bins, int most_bins, int shared_bins,
    int rows_of_block, unsigned int* counts)
{
    extern __shared__ unsigned int shared[];
    const Image image = {values, spans, n_regions, n_y, n_x, n_spans};
    const int region = blockIdx.y;
    const int n = n_bins[region];
    const bool is_shared = n <= shared_bins;
    unsigned int* of_region = counts + (long long)region * most_bins;
    for (int i = threadIdx.x; is_shared && i < n; i += blockDim.x) shared[i] = 0u;
    __syncthreads();
    const float start = starts[region], width = widths[region];
    const float end = width * (float)n + start, scale = 1.0f / width;
    const int lane = threadIdx.x % LANES, n_warps = blockDim.x / LANES;
    const int first = blockIdx.x * rows_of_block, stop = min(first + rows_of_block, n_y);
    for (int y = first + threadIdx.x / LANES; n > 0 && y < stop; y += n_warps) {
        const int* of_row = image.spans_of(region, y);
        const float* row = image.row(y);
        for (int k = 0; k < n_spans; ++k) {
            for (int x = of_row[2 * k] + lane; x < of_row[2 * k + 1]; x += LANES) {
                const float value = row[x];
                if (!(value >= start && value < end)) continue;
                const unsigned int place = (unsigned int)((value - start) * scale);
                if (place < (unsigned int)n)
                    atomicAdd(is_shared ? &shared[place] : &of_region[place], 1u);
            }
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; is_shared && i < n; i += blockDim.x)
        if (shared[i]) atomicAdd(&of_region[i], shared[i]);
}

// How many values within limits lie below each of two keys, in each row of each region: a warp a row.
extern "C" __global__ void count_below(
    const float* values, const int* spans, int n_regions, int n_y, int n_x, int n_spans,
    const float* low, const float* high, const unsigned int* keys, unsigned int bit, int* rows)
{
    const Image image = {values, spans, n_regions, n_y, n_x, n_spans};
    const int lane = threadIdx.x % LANES;
    const long long warp = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    if (warp >= (long long)n_regions * n_y) return;
    const int region = (int)(warp / n_y), y = (int)(warp % n_y);
    const unsigned int lower = keys[RANKS * region] | bit, upper = keys[RANKS * region + 1] | bit;
    const int* of_row = image.spans_of(region, y);
    const float* row = image.row(y);
    int counts[RANKS + 1] = {0, 0, 0};
    for (int k = 0; k < n_spans; ++k) {
        for (int x = of_row[2 * k] + lane; x < of_row[2 * k + 1]; x += LANES) {
            const float value = row[x];
            if (!(value >= low[region] && value <= high[region])) continue;
            counts[0] += key_of(value) < lower;
            counts[1] += key_of(value) < upper;
            counts[2] += 1;
        }
    }
    for (int i = 0; i <= RANKS; ++i) {
        for (int step = LANES / 2; step > 0; step /= 2)
            counts[i] += __shfl_xor_sync(ALL_LANES, counts[i], step);
        if (lane == 0) rows[warp * (RANKS + 1) + i] = counts[i];
    }
}

// The next bit of the keys of both values in the middle; the median once the last one is known: a
// warp a region. The key of a rank is the largest that no more keys than that lie below.
extern "C" __global__ void find_bit(
    const int* rows, int n_regions, int n_y, unsigned int bit, unsigned int* keys, float* result)
{
    const int lane = threadIdx.x % LANES;
    const int region = (blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    if (region >= n_regions) return;
    int counts[RANKS + 1] = {0, 0, 0};
    for (int y = lane; y < n_y; y += LANES)
        for (int i = 0; i <= RANKS; ++i)
            counts[i] += rows[((long long)region * n_y + y) * (RANKS + 1) + i];
    for (int i = 0; i <= RANKS; ++i)
        for (int step = LANES / 2; step > 0; step /= 2)
            counts[i] += __shfl_xor_sync(ALL_LANES, counts[i], step);
    if (lane != 0) return;
    const int n = counts[RANKS];
    unsigned int* of_region = keys + RANKS * region;
    if (n > 0 && counts[0] <= (n - 1) / 2) of_region[0] |= bit;
    if (n > 0 && counts[1] <= n / 2) of_region[1] |= bit;
    if (bit == 1u)
        result[region] = n > 0 ? (value_of(of_region[0]) + value_of(of_region[1])) / 2.0f : nanf("");
}
