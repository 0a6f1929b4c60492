// Outliers: a thread a pixel; in a series of images it takes all of them. Rows count theirs by integer
// atomics, which come out the same in any order.
#include "flags.cuh"
#include "ordered.cuh"

constexpr unsigned int FLAGS = DO_NOT_USE | OUTLIER;

// An error, 0 for NaN and the largest number for infinity.
inline __device__ float finite_error(float error)
{
    const float most = 3.40282347e38f;
    if (error != error) return 0.0f;
    return fminf(fmaxf(error, -most), most);
}

inline __device__ bool is_beyond(float distance, float slope, float error, float snr, float scale)
{
    return distance > scale * slope + snr * finite_error(error);
}

// An image beside what others see there, interpolated.
struct Comparison {
    const float *data, *err, *blotted;
    float sky;
    int rows, columns;

    __device__ long long place(int y, int x) const { return (long long)y * columns + x; }

    // The largest difference of a pixel to one of its four neighbours.
    __device__ float slope_at(int y, int x) const
    {
        const float here = blotted[place(y, x)];
        float slope = here == here ? 0.0f : here;  // no difference is above NaN
        if (y > 0) {
            // Quirk: officially an infinite difference counts, but not this one.
            const float step = fabsf(here - blotted[place(y - 1, x)]);
            slope = step < infinity() ? step : slope;
        }
        if (y + 1 < rows) slope = larger(slope, here, blotted[place(y + 1, x)]);
        if (x > 0) slope = larger(slope, here, blotted[place(y, x - 1)]);
        if (x + 1 < columns) slope = larger(slope, here, blotted[place(y, x + 1)]);
        return slope;
    }

    static __device__ float larger(float slope, float here, float other)
    {
        const float step = fabsf(here - other);
        return step > slope ? step : slope;
    }

    __device__ bool is_beyond_at(int y, int x, float snr, float scale) const
    {
        const long long at = place(y, x);
        const float distance = fabsf(data[at] - blotted[at] - sky);
        return is_beyond(distance, slope_at(y, x), err[at], snr, scale);
    }
};

extern "C" __global__ void flag_blotted(
    const float* __restrict__ data,     // (rows, columns)
    const float* __restrict__ err,
    const float* __restrict__ blotted,
    unsigned int* __restrict__ dq,      // changed
    int* __restrict__ counts,           // (rows), changed
    float sky, float snr, float snr_around, float scale, float scale_around, int rows, int columns)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x >= columns || y >= rows) return;
    const Comparison comparison{data, err, blotted, sky, rows, columns};
    if (!comparison.is_beyond_at(y, x, snr_around, scale_around)) return;
    for (int j = max(y - 1, 0); j < min(y + 2, rows); ++j)
        for (int i = max(x - 1, 0); i < min(x + 2, columns); ++i)
            if (comparison.is_beyond_at(j, i, snr, scale)) {
                dq[comparison.place(y, x)] |= FLAGS;
                atomicAdd(&counts[y], 1);
                return;
            }
}

extern "C" __global__ void flag_stacked(
    const float* __restrict__ data,     // (planes, rows, columns)
    const float* __restrict__ err,
    const float* __restrict__ medians,  // (rows, columns)
    unsigned int* __restrict__ dq,      // changed
    int* __restrict__ counts,           // (rows), changed
    float snr, int planes, int rows, int columns)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x >= columns || y >= rows) return;
    const float median = medians[(long long)y * columns + x];
    int n_flagged = 0;
    for (int plane = 0; plane < planes; ++plane) {
        const long long place = ((long long)plane * rows + y) * columns + x;
        const float distance = fabsf(data[place] - median);
        if (distance > snr * finite_error(err[place])) {
            dq[place] |= FLAGS;
            ++n_flagged;
        }
    }
    if (n_flagged) atomicAdd(&counts[y], n_flagged);
}

// The samples of a pixel; what is not usable is NaN.
struct Series {
    const float* data;
    const bool* is_usable;
    long long first, step;

    __device__ float operator[](int k) const
    {
        const long long place = first + k * step;
        return is_usable[place] ? data[place] : nanf("");
    }
};

// Walk from a guess to the value of a rank in a window without NaN; count those below it.
inline __device__ float value_of_rank(
    const Series& values, int first, int width, int rank, float guess, int& below)
{
    float found = guess;
    for (;;) {
        int not_above = 0;
        float lower = -infinity(), upper = infinity();
        below = 0;
        for (int k = first; k < first + width; ++k) {
            const float value = values[k];
            below += value < found;
            not_above += value <= found;
            if (lower < value && value < found) lower = value;
            if (found < value && value < upper) upper = value;
        }
        if (rank < below) found = lower;
        else if (rank >= not_above) found = upper;
        else return found;
    }
}

// The median of a window in double precision; ``guess`` becomes its upper middle value.
inline __device__ double window_median(const Series& values, int first, int width, float& guess)
{
    int below;
    const float upper = value_of_rank(values, first, width, width / 2, guess, below);
    guess = upper;
    if (width % 2 == 1 || below < width / 2) return (double)upper;
    float lower = -infinity();
    for (int k = first; k < first + width; ++k) {
        const float value = values[k];
        if (lower < value && value < upper) lower = value;
    }
    return ((double)lower + (double)upper) / 2.0;
}

// The first of the images that a window's median is for, and the one after the last.
inline __device__ void span_of(int start, int width, int n, int& first, int& stop)
{
    const int half = width / 2;
    first = start == 0 ? 0 : start + half;
    stop = start == n - width ? n : start + half + 1;
    if (width == 2) {
        // Quirk: officially the last median of pairs is that of all images.
        first = 0;
        stop = start == n - width ? stop : 0;
    }
}

extern "C" __global__ void flag_rolling(
    const float* __restrict__ data,      // (n, rows, columns)
    const float* __restrict__ err,
    const bool* __restrict__ is_usable,
    unsigned int* __restrict__ dq,       // changed
    int* __restrict__ counts,            // (rows), changed
    float* __restrict__ medians,         // (n, rows, columns) or null
    float snr, int width, int n, int rows, int columns)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x >= columns || y >= rows) return;
    const long long pixel = (long long)y * columns + x, n_pixels = (long long)rows * columns;
    const Series values{data, is_usable, pixel, n_pixels};
    int n_invalid = 0, n_flagged = 0;
    float guess = nanf("");
    for (int k = 0; k < width - 1; ++k) n_invalid += isnan(values[k]);
    for (int start = 0; start <= n - width; ++start) {
        n_invalid += isnan(values[start + width - 1]);
        double median = nan("");
        if (n_invalid == 0) {
            if (isnan(guess)) guess = values[start];
            median = window_median(values, start, width, guess);
        }
        n_invalid -= isnan(values[start]);
        int first, stop;
        span_of(start, width, n, first, stop);
        for (int k = first; k < stop; ++k) {
            const long long place = pixel + k * n_pixels;
            if (medians) medians[place] = (float)median;
            const double limit = (double)(snr * finite_error(err[place]));
            if (fabs((double)data[place] - median) > limit) {
                dq[place] |= FLAGS;
                ++n_flagged;
            }
        }
    }
    if (n_flagged) atomicAdd(&counts[y], n_flagged);
}
