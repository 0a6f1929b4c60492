// Reference-pixel correction: offsets by a warp each, side signals by a thread each, then one pass.
#include "lanes.cuh"
#include "reference_pixels/median.cuh"

// The reference pixels of one section at one edge of a flat image, less those of another image.
struct Values {
    const float* image;
    const float* first;  // null: the image itself
    const int* pixels;
    int n;

    __device__ double operator[](int i) const
    {
        const int pixel = pixels[i];
        return first ? image[pixel] - first[pixel] : image[pixel];
    }
};

// The mean of the values within `limit` standard deviations, in every lane. What was clipped once
// stays out: a value counts that lies within all limits so far.
__device__ double clipped_mean(const Values& values, double limit, int lane)
{
    double lowest = -infinity(), highest = infinity();
    int n_within = values.n;
    bool is_first = true;
    while (n_within > 0) {
        // The first time all count: NaN makes the mean NaN, and the standard deviation.
        double sum = 0.0;
        for (int i = lane; i < values.n; i += LANES) {
            const double value = values[i];
            if (is_first || (value >= lowest && value <= highest)) sum += value;
        }
        const double mean = sum_of_lanes(sum) / n_within;
        sum = 0.0;
        for (int i = lane; i < values.n; i += LANES) {
            const double value = values[i];
            if (is_first || (value >= lowest && value <= highest))
                sum += (value - mean) * (value - mean);
        }
        const double sigma = sqrt(sum_of_lanes(sum) / n_within);
        if (sigma == 0.0) return mean;
        if (isnan(sigma)) return nan("");
        lowest = max(lowest, mean - limit * sigma);
        highest = min(highest, mean + limit * sigma);
        const int n_before = n_within;
        n_within = 0;
        is_first = false;
        for (int first = 0; first < values.n; first += LANES) {
            const int i = first + lane;
            const bool is_within = i < values.n && values[i] >= lowest && values[i] <= highest;
            n_within += __popc(__ballot_sync(ALL_LANES, is_within));
        }
        if (n_within == n_before) return mean;
    }
    return nan("");
}

// Offsets (images, sections). With `groups`, those of the differences to the first of so many
// images, which itself gets none.
extern "C" __global__ void find_offsets(
    const float* images, const int* pixels, const int* bounds, int n_images, long long n_pixels,
    int groups, int n_edges, int n_sections, double limit, double* offsets)
{
    const int lane = threadIdx.x % LANES;
    const long long task = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    if (task >= (long long)n_images * n_sections) return;
    const int i = (int)(task / n_sections), section = (int)(task % n_sections);
    const bool is_initial = groups > 0 && i % groups == 0;
    const float* image = images + i * n_pixels;
    const float* first = groups > 0 ? images + (i - i % groups) * n_pixels : nullptr;
    double total = 0.0;
    int edges = 0;
    for (int edge = 0; edge < n_edges && !is_initial; ++edge) {
        const int* bound = bounds + 2 * (edge * n_sections + section);
        const Values values = {image, first, pixels + bound[0], bound[1] - bound[0]};
        if (values.n == 0) continue;
        total += clipped_mean(values, limit, lane);
        ++edges;
    }
    if (lane == 0) offsets[task] = edges > 0 ? total / edges : 0.0;
}

// Side pixels (images, 2, 4, rows of the detector) less the offsets; inf where there is none.
extern "C" __global__ void read_side_pixels(
    const float* images, const int* side_pixels, const int* section_of_line, const double* offsets,
    int n_images, long long n_pixels, int n_columns, int n_sections, int n_rows, int width,
    bool fast_along_x, double* values)
{
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    const int j = blockIdx.y % width, side = blockIdx.y / width;
    const int i = blockIdx.z;
    if (row >= n_rows || side > 1 || i >= n_images) return;
    const int pixel = side_pixels[((long long)side * n_rows + row) * width + j];
    double value = infinity();
    if (pixel >= 0) {
        const int line = fast_along_x ? pixel % n_columns : pixel / n_columns;
        value = images[i * n_pixels + pixel] - offsets[i * n_sections + section_of_line[line]];
    }
    values[(((long long)i * 2 + side) * width + j) * n_rows + row] = value;
}

// Side pixels of the rows around one row, mirrored about the first and the last row.
struct Window {
    const double* values;  // (width, rows)
    int n_rows, width, first, length;

    __device__ int size() const { return length * width; }

    __device__ double operator[](int k) const
    {
        const int j = k / length, row = first + k - j * length, last = n_rows - 1;
        const int source = row <= last ? abs(row) : 2 * last - row;
        return values[(long long)j * n_rows + source];
    }
};

// The median of a window without what is missing (inf); NaN if nothing is left, or a NaN.
__device__ double find_side_signal(const Window& window)
{
    int n = 0;
    for (int k = 0; k < window.size(); ++k) {
        const double value = window[k];
        if (isnan(value)) return nan("");
        n += value != infinity();
    }
    return n == 0 ? nan("") : median(window, n);
}

// What the side pixels say of each stored line along the fast axis: of_row (images, lines).
extern "C" __global__ void find_side_signals(
    const double* values, const int* row_of_line, int n_images, int n_lines, int n_rows, int width,
    int length, double gain, double* of_row)
{
    const int line = blockIdx.x * blockDim.x + threadIdx.x;
    const int i = blockIdx.y;
    if (line >= n_lines || i >= n_images) return;
    const int first = row_of_line[line] - length / 2;
    const double* of_image = values + (long long)i * 2 * width * n_rows;
    double left = find_side_signal({of_image, n_rows, width, first, length});
    double right = find_side_signal(
        {of_image + (long long)width * n_rows, n_rows, width, first, length});
    if (isnan(left)) left = right;
    if (isnan(right)) right = left;
    of_row[(long long)i * n_lines + line] = isnan(left) ? 0.0 : gain * (0.5 * (left + right));
}

// Subtract the offset of its section and the signal of its row (0 without one) from each pixel.
extern "C" __global__ void subtract_sum(
    float* images, const double* offsets, const int* section_of_line, const double* of_row,
    int n_images, int n_y, int n_x, int n_sections, bool fast_along_x)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    const int i = blockIdx.z;
    if (x >= n_x || y >= n_y || i >= n_images) return;
    const int line = fast_along_x ? x : y, row = fast_along_x ? y : x;
    const long long n_lines = fast_along_x ? n_y : n_x;
    const double signal = of_row ? of_row[i * n_lines + row] : 0.0;
    const double offset = offsets[(long long)i * n_sections + section_of_line[line]];
    float* pixel = images + ((long long)i * n_y + y) * n_x + x;
    *pixel = (float)(*pixel - (signal + offset));
}

// Subtract the offset of its section from the difference of each pixel to the first group; each
// operation is rounded to single precision, as the official package stores each result.
extern "C" __global__ void subtract_from_difference(
    float* images, const double* offsets, int n_images, int groups, int n_y, int n_x,
    int n_sections)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    const int i = blockIdx.z;
    if (x >= n_x || y >= n_y || i >= n_images || i % groups == 0) return;
    const int parities = n_sections / 4;
    const float offset =
        (float)offsets[(long long)i * n_sections + (x % 4) * parities + y % parities];
    const long long place = (long long)y * n_x + x, size = (long long)n_y * n_x;
    const float initial = images[(i - i % groups) * size + place];
    float* pixel = images + i * size + place;
    *pixel = ((*pixel - initial) - offset) + initial;
}
