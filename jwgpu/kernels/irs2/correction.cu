// IRS2: time series of images, and their correction. A series has a value for each time of an image,
// in the order of time; transforms are made between these kernels, by the array library.
#include "pairs.cuh"

constexpr int TILE = 32;  // lines and times that a block turns round

// An image and how its outputs are read; see the layout.
struct Exposure {
    const float* images;    // (images, rows, lines)
    const double* offset;   // (rows, lines)
    const int* row_at;      // (outputs, times), -1 where nothing is read
    int rows, lines, times;
    bool is_reversed;

    __device__ int row(int output, int time) const { return row_at[output * times + time]; }
    __device__ long long place(int row, int line) const
    {
        return (long long)row * lines + (is_reversed ? lines - 1 - line : line);
    }
    __device__ long long image(int i) const { return (long long)i * rows * lines; }
    __device__ float mid_time(int line, int time) const
    {
        return (float)(line * times + time - (double)((long long)lines * times - 1) / 2);
    }
};

// A straight line in time: its value at mid-time, and its slope.
struct Drift {
    float level, slope;
};

// The tile of a block, and the series that it is part of: blockIdx.z counts through the outputs of
// each image.
struct Tile {
    int first_time, first_line, image, output;
    Drift drift;  // of the output

    __device__ Tile(const float* drifts, int first_output, int n_outputs, int outputs)
        : first_time(blockIdx.x * TILE), first_line(blockIdx.y * TILE),
          image(blockIdx.z / n_outputs), output(first_output + blockIdx.z % n_outputs)
    {
        const long long task = (long long)image * outputs + output;
        drift = {drifts[2 * task], drifts[2 * task + 1]};
    }
};

// A sample less its offset and, if that is not exactly zero, less the drift.
__device__ float remainder_of(float value, double offset, float t, Drift drift)
{
    const float rest = (float)(value - offset);
    const float is_read = rest != 0.0f ? 1.0f : 0.0f;
    return rest - (drift.level + t * drift.slope) * is_read;
}

// Fit a line to the outermost lines of an output: a warp for each output of each image. Operations
// are those of the CPU, in its order: a sample that lies on the line counts as not read afterwards.
extern "C" __global__ void fit_drift(
    const float* images, const double* offset, const int* row_at, int n_images, int outputs,
    int rows, int lines, int times, bool is_reversed, int border, float* workspace, float* drift)
{
    const int lane = threadIdx.x % LANES;
    const long long task = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    if (task >= (long long)n_images * outputs) return;
    const int i = (int)(task / outputs), output = (int)(task % outputs);
    const Exposure from = {images, offset, row_at, rows, lines, times, is_reversed};
    float* x = workspace + task * 4 * border * times;
    float* y = x + 2 * border * times;
    int n = 0;
    for (int which = 0; which < 2 * border; ++which) {
        const int line = which < border ? which : lines - 2 * border + which;
        for (int begin = 0; begin < times; begin += LANES) {
            const int time = begin + lane;
            const int row = time < times ? from.row(output, time) : -1;
            float value = 0.0f;
            if (row >= 0) {
                const long long place = from.place(row, line);
                value = (float)(images[from.image(i) + place] - offset[place]);
            }
            const unsigned int kept = __ballot_sync(ALL_LANES, value != 0.0f);
            if (value != 0.0f) {
                const int mine = n + __popc(kept & ((1u << lane) - 1));
                x[mine] = from.mid_time(line, time);
                y[mine] = value;
            }
            n += __popc(kept);
        }
    }
    __syncwarp();
    const float number = (float)n;
    const float xy = sum_in_pairs([=](int k) { return x[k] * y[k]; }, n, lane);
    const float xx = sum_in_pairs([=](int k) { return x[k] * x[k]; }, n, lane);
    const float mean_x = sum_in_pairs([=](int k) { return x[k]; }, n, lane) / number;
    const float mean_y = sum_in_pairs([=](int k) { return y[k]; }, n, lane) / number;
    if (lane > 0) return;
    const float slope =
        (xy - number * mean_x * mean_y) / (xx - number * (mean_x * mean_x));
    drift[2 * task] = n ? mean_y - slope * mean_x : 0.0f;
    drift[2 * task + 1] = n ? slope : 0.0f;
}

// Lay outputs out in time, less offset and drift: series (images, n_outputs, lines, times).
// `source_time` says from which time of the line each value is taken; -1: it is 0.
extern "C" __global__ void lay_out_in_time(
    const float* images, const double* offset, const int* row_at, const int* source_time,
    const float* drift, int n_images, int first_output, int n_outputs, int outputs, int rows,
    int lines, int times, bool is_reversed, float* series)
{
    __shared__ float tile[TILE][TILE + 1];
    const Exposure from = {images, offset, row_at, rows, lines, times, is_reversed};
    const Tile own(drift, first_output, n_outputs, outputs);
    for (int k = threadIdx.y; k < TILE; k += blockDim.y) {
        const int time = own.first_time + k, line = own.first_line + threadIdx.x;
        if (time >= times || line >= lines) continue;
        const int source = source_time[time];
        const int row = source >= 0 ? from.row(own.output, source) : -1;
        float value = 0.0f;
        if (row >= 0) {
            const long long place = from.place(row, line);
            value = remainder_of(images[from.image(own.image) + place], offset[place],
                                 from.mid_time(line, source), own.drift);
        }
        tile[k][threadIdx.x] = value;
    }
    __syncthreads();
    for (int k = threadIdx.y; k < TILE; k += blockDim.y) {
        const int line = own.first_line + k, time = own.first_time + threadIdx.x;
        if (time >= times || line >= lines) continue;
        series[((long long)blockIdx.z * lines + line) * times + time] = tile[threadIdx.x][k];
    }
}

// Copy series with the zeros replaced by the weighted mean of what is near and not zero.
extern "C" __global__ void interpolate_zeros(
    const float* series, const double* window, int reach, int n_series, int length, float* filled)
{
    const int t = blockIdx.x * blockDim.x + threadIdx.x;
    const int i = blockIdx.y;
    if (t >= length || i >= n_series) return;
    const float* values = series + (long long)i * length;
    float result = values[t];
    if (result == 0.0f) {
        double total = 0.0, weight = 0.0;
        for (int k = 0; k <= 2 * reach; ++k) {
            int near = t + k - reach;
            if (near < 0) near += length;
            if (near >= length) near -= length;
            const float value = values[near];
            if (value != 0.0f) {
                total += window[k] * value;
                weight += window[k];
            }
        }
        if ((float)weight != 0.0f) result = (float)total / (float)weight;
    }
    filled[(long long)i * length + t] = result;
}

// Take over the filtered series at the times when no pixels of the detector are read.
extern "C" __global__ void fill_gaps(
    float* filled, const float* filtered, const bool* is_science_time, int n_series, int length,
    int times)
{
    const int t = blockIdx.x * blockDim.x + threadIdx.x;
    const int i = blockIdx.y;
    if (t >= length || i >= n_series || is_science_time[t % times]) return;
    filled[(long long)i * length + t] = filtered[(long long)i * length + t];
}

struct Complex {
    float real, imaginary;

    __device__ Complex operator*(Complex other) const
    {
        return {real * other.real - imaginary * other.imaginary,
                real * other.imaginary + imaginary * other.real};
    }
    __device__ Complex operator+(Complex other) const
    {
        return {real + other.real, imaginary + other.imaginary};
    }
};

__device__ Complex complex_at(const float* values, long long place)
{
    return {values[2 * place], values[2 * place + 1]};
}

// A filter at a frequency; of those above half of the lines' it has the mirrored ones, conjugate.
__device__ Complex filter_at(const float* filter, int frequency, int lines, int times)
{
    const int half = lines / 2 + 1;
    int k = frequency / lines, i = frequency % lines;
    const bool is_mirrored = i >= half;
    if (is_mirrored) {
        k = times - 1 - k;
        i = lines - i;
    }
    const Complex value = complex_at(filter, (long long)k * half + i);
    return {value.real, is_mirrored ? -value.imaginary : value.imaginary};
}

// Make of the spectra of the amplifiers those of their corrections. Complex numbers are pairs.
extern "C" __global__ void combine(
    const float* reference, const float* alpha, const float* beta, int n_images, int amplifiers,
    int frequencies, int lines, int times, float* spectra)
{
    const int frequency = blockIdx.x * blockDim.x + threadIdx.x;
    const int amplifier = blockIdx.y;
    const int i = blockIdx.z;
    if (frequency >= frequencies || amplifier >= amplifiers || i >= n_images) return;
    const long long size = 2ll * amplifier * times * (lines / 2 + 1);
    const long long place = ((long long)i * amplifiers + amplifier) * frequencies + frequency;
    const Complex output = complex_at(reference, (long long)i * frequencies + frequency);
    const Complex result =
        complex_at(spectra, place) * filter_at(beta + size, frequency, lines, times)
        + output * filter_at(alpha + size, frequency, lines, times);
    spectra[2 * place] = result.real;
    spectra[2 * place + 1] = result.imaginary;
}

// Write the amplifiers, less drift and correction, back into the images at the times wanted: those
// of the detector's pixels, and with `keep_reference` those of the reference pixels.
extern "C" __global__ void subtract_correction(
    float* images, const double* offset, const int* row_at, const bool* is_science_time,
    const float* drift, const float* correction, int n_images, int first_output, int n_outputs,
    int outputs, int rows, int lines, int times, bool is_reversed, bool keep_reference)
{
    __shared__ float tile[TILE][TILE + 1];
    const Exposure to = {images, offset, row_at, rows, lines, times, is_reversed};
    const Tile own(drift, first_output, n_outputs, outputs);
    for (int k = threadIdx.y; k < TILE; k += blockDim.y) {
        const int line = own.first_line + k, time = own.first_time + threadIdx.x;
        if (time >= times || line >= lines) continue;
        tile[k][threadIdx.x] = correction[((long long)blockIdx.z * lines + line) * times + time];
    }
    __syncthreads();
    for (int k = threadIdx.y; k < TILE; k += blockDim.y) {
        const int time = own.first_time + k, line = own.first_line + threadIdx.x;
        if (time >= times || line >= lines) continue;
        const int row = to.row(own.output, time);
        const bool is_science = is_science_time[time];
        if (row < 0 || !(is_science || keep_reference)) continue;
        const long long place = to.place(row, line);
        float* pixel = images + to.image(own.image) + place;
        const float rest =
            remainder_of(*pixel, offset[place], to.mid_time(line, time), own.drift)
            - tile[threadIdx.x][k];
        *pixel = is_science ? (float)(rest + offset[place]) : rest;
    }
}

// Write the gapless reference output, the first one, into the images.
extern "C" __global__ void write_output(
    float* images, const double* offset, const int* row_at, const float* filled, int n_images,
    int rows, int lines, int times, bool is_reversed)
{
    const int line = blockIdx.x * blockDim.x + threadIdx.x;
    const int time = blockIdx.y;
    const int i = blockIdx.z;
    if (line >= lines || time >= times || i >= n_images) return;
    const Exposure to = {images, offset, row_at, rows, lines, times, is_reversed};
    const int row = to.row(0, time);
    if (row < 0) return;
    const long long place = to.place(row, line);
    const float value = filled[((long long)i * lines + line) * times + time];
    images[to.image(i) + place] = (float)(value + offset[place]);
}
