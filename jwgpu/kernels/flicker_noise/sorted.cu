// Clipped statistics of the sorted values of an image, as buckets_cpu.py makes them of its buckets:
// an interval of values is one of places, and its sums are those of whole chunks and of its ends.
#include "block.cuh"
#include "ordered.cuh"

constexpr int CHUNK = 1024;
constexpr int ROUNDS = 5;
constexpr double LOWER_HALF_SIGMA = 3.0;

struct Sorted {
    const float* values;
    long long n;
    const double* moments;  // sum, and sum of squares, of each chunk from `origin`
    long long chunks;

    __device__ double origin() const { return n ? (double)values[n / 2] : 0.0; }

    // The first place whose value is not below a limit, or (after) is above it.
    __device__ long long first_from(double limit, bool is_after) const
    {
        long long low = 0, high = n;
        while (low < high) {
            const long long middle = (low + high) / 2;
            const double here = values[middle];
            if (here < limit || (is_after && here == limit)) low = middle + 1;
            else high = middle;
        }
        return low;
    }

    __device__ double median(long long first, long long stop) const
    {
        const long long n_here = stop - first;
        const double lower = values[first + (n_here - 1) / 2];
        return 0.5 * (lower + (double)values[first + n_here / 2]);
    }

    // Sum and sum of squares, from `origin`, of the values at some places.
    __device__ void sum(long long first, long long stop, double& total, double& squares) const
    {
        const double from = origin();
        const long long whole = (first + CHUNK - 1) / CHUNK, end = stop / CHUNK;
        double own = 0.0, own_squares = 0.0;
        auto add = [&](long long begin, long long before) {
            for (long long i = begin + threadIdx.x; i < before; i += THREADS) {
                const double distance = (double)values[i] - from;
                own += distance;
                own_squares += distance * distance;
            }
        };
        if (whole >= end) {
            add(first, stop);
        } else {
            add(first, whole * CHUNK);
            add(end * CHUNK, stop);
            for (long long k = whole + threadIdx.x; k < end; k += THREADS) {
                own += moments[k];
                own_squares += moments[chunks + k];
            }
        }
        total = sum_of_block(own);
        squares = sum_of_block(own_squares);
    }
};

// Mean, median and standard deviation after sigma clipping; see `clipped` in buckets_cpu.py.
__device__ void clipped(
    const Sorted& all, double sigma, double& mean, double& median, double& std)
{
    mean = median = std = nan("");
    long long first = 0, stop = all.n;
    double lower = 0.0, upper = 0.0, total, squares;
    for (int round = 0; round < ROUNDS; ++round) {
        const long long n = stop - first;
        if (n <= 0) return;
        const double middle = all.median(first, stop);
        all.sum(first, stop, total, squares);
        const double center = total / n;
        const double reach = sigma * sqrt(max(squares / n - center * center, 0.0));
        lower = middle - reach;
        upper = middle + reach;
        first = max(first, all.first_from(lower, false));
        stop = min(stop, all.first_from(upper, true));
        if (stop - first == n || stop <= first) break;
    }
    // Quirk: all values are judged by the last limits, those that went before included.
    first = all.first_from(lower, false);
    stop = all.first_from(upper, true);
    const long long n = stop - first;
    if (n <= 0) return;
    all.sum(first, stop, total, squares);
    const double center = total / n;
    mean = center + all.origin();
    median = all.median(first, stop);
    std = sqrt(max(squares / n - center * center, 0.0));
}

// The standard deviation from a center of the values below; see `clipped_lower_half`.
__device__ double clipped_lower_half(const Sorted& all, double center)
{
    const double shift = center - all.origin();
    const long long stop = all.first_from(center, true);
    long long first = 0;
    double lower = 0.0, total, squares;
    for (int round = 0; round < ROUNDS; ++round) {
        const long long n = stop - first;
        if (n <= 0) return nan("");
        all.sum(first, stop, total, squares);
        const double variance = (squares - 2.0 * shift * total) / n + shift * shift;
        lower = center - LOWER_HALF_SIGMA * sqrt(max(variance, 0.0));
        first = max(first, all.first_from(lower, false));
        if (stop - first == n || stop <= first) break;
    }
    first = all.first_from(lower, false);
    const long long n = stop - first;
    if (n <= 0) return nan("");
    all.sum(first, stop, total, squares);
    return sqrt(max((squares - 2.0 * shift * total) / n + shift * shift, 0.0));
}

// Write the values that count, infinity in place of the others, and add up how many there are.
extern "C" __global__ void __launch_bounds__(THREADS) gather(
    const float* image, const bool* mask, long long size, float* values,
    unsigned long long* count)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    bool is_used = false;
    if (i < size) {
        is_used = mask[i] && isfinite(image[i]);
        values[i] = is_used ? image[i] : infinity();
    }
    const int n = sum_of_block((int)is_used);
    if (threadIdx.x == 0 && n) atomicAdd(count, (unsigned long long)n);
}

// The sums of each chunk: a warp a chunk.
extern "C" __global__ void sum_chunks(
    const float* values, const long long* count, long long chunks, double* moments)
{
    const int lane = threadIdx.x % LANES;
    const long long k = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    if (k >= chunks) return;
    const double from = *count ? (double)values[*count / 2] : 0.0;
    const long long stop = min((k + 1) * CHUNK, *count);
    double total = 0.0, squares = 0.0;
    for (long long i = k * CHUNK + lane; i < stop; i += LANES) {
        const double distance = (double)values[i] - from;
        total += distance;
        squares += distance * distance;
    }
    total = sum_of_lanes(total);
    squares = sum_of_lanes(squares);
    if (lane == 0) {
        moments[k] = total;
        moments[chunks + k] = squares;
    }
}

// Between which values the background lies: found = low, high, center, sigma. One block.
extern "C" __global__ void __launch_bounds__(THREADS) find_limits(
    const float* values, const long long* count, const double* moments, long long chunks,
    double clip, double sigma_lower, double sigma_upper, bool uses_mean, bool lower_half_only,
    double* found)
{
    const Sorted all{values, *count, moments, chunks};
    double mean, median, sigma;
    clipped(all, clip, mean, median, sigma);
    const double center = uses_mean ? mean : median;
    if (lower_half_only && isfinite(center)) sigma = clipped_lower_half(all, center);
    if (threadIdx.x == 0) {
        found[0] = center - sigma_lower * sigma;
        found[1] = center + sigma_upper * sigma;
        found[2] = center;
        found[3] = sigma;
    }
}

// The median of the values within limits (null: of all) as NumPy rounds it, and their places.
extern "C" __global__ void find_median(
    const float* values, const long long* count, const double* limits, float* median,
    long long* places)
{
    const Sorted all{values, *count, nullptr, 0};
    const long long first = limits ? all.first_from(limits[0], false) : 0;
    const long long stop = limits ? all.first_from(limits[1], true) : all.n;
    const long long n = limits && isnan(limits[0]) ? 0 : stop - first;
    *median = nanf("");
    if (n > 0) {
        const float upper = values[first + n / 2];
        *median = n % 2 ? upper : (values[first + n / 2 - 1] + upper) / 2.0f;
    }
    places[0] = first;
    places[1] = max(n, 0ll);
}

// The values at some places less an offset, infinity after them.
extern "C" __global__ void shift_kept(
    const float* values, const long long* places, const float* offset, long long size,
    float* result)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    result[i] = i < places[1] ? values[places[0] + i] - *offset : infinity();
}
