// Medians of the lines and boxes of an image: a warp each. Keys is scratch.
#include "keys.cuh"

__device__ long long warp_number()
{
    return ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
}

// Write the keys of what counts in part of a line; return how many do.
__device__ int take_keys(
    const float* values, const bool* mask, int size, int lane, unsigned int* keys)
{
    int n = 0;
    for (int i = lane; i < size; i += LANES) {
        keys[i] = mask[i] ? key_of(values[i]) : NONE;
        n += mask[i];
    }
    return count_of_lanes(n);
}

// The median of each piece of each row, 0 if it is empty.
extern "C" __global__ void line_medians(
    const float* image, const bool* mask, int rows, int columns, int channels,
    unsigned int* keys, float* medians)
{
    const long long line = warp_number();
    if (line >= (long long)rows * channels) return;
    const int lane = threadIdx.x % LANES, length = columns / channels;
    const long long first = line / channels * columns + line % channels * length;
    const int n = take_keys(image + first, mask + first, length, lane, keys + first);
    const float found = n ? median(keys + first, length, n, lane) : 0.0f;
    if (lane == 0) medians[line] = found;
}

// Each line with its outliers replaced by its median, and with zeros where the mask is False.
extern "C" __global__ void fill_outliers(
    const float* image, const bool* mask, int rows, int length, float threshold,
    unsigned int* keys, float* result)
{
    const long long line = warp_number();
    if (line >= rows) return;
    const int lane = threadIdx.x % LANES;
    const long long first = line * length;
    const float* values = image + first;
    keys += first;
    const int n = take_keys(values, mask + first, length, lane, keys);
    float middle = 0.0f, low = 0.0f, high = 0.0f;
    if (n) {
        middle = median(keys, length, n, lane);
        for (int x = lane; x < length; x += LANES)
            if (keys[x] != NONE) keys[x] = key_of(fabsf(values[x] - middle));
        const float sigma = 1.4826f * median(keys, length, n, lane);
        low = middle - threshold * sigma;
        high = middle + threshold * sigma;
    }
    for (int x = lane; x < length; x += LANES) {
        const float value = values[x];
        const float kept = value >= low && value <= high ? value : middle;
        result[first + x] = mask[first + x] ? kept : 0.0f;
    }
}

// Drop the outliers of some keys; return how many keys are left of n.
__device__ int clip(unsigned int* keys, int size, int n, int lane)
{
    for (int round = 0; round < 5 && n > 0; ++round) {
        float lower, upper;
        middle_pair(keys, size, n, lane, lower, upper);
        const double middle = 0.5 * ((double)upper + (double)lower);
        double sum = 0.0;
        for (int i = lane; i < size; i += LANES)
            if (keys[i] != NONE) sum += (double)value_of(keys[i]);
        const double mean = sum_of_lanes(sum) / n;
        double squares = 0.0;
        for (int i = lane; i < size; i += LANES)
            if (keys[i] != NONE) {
                const double distance = (double)value_of(keys[i]) - mean;
                squares += distance * distance;
            }
        const double reach = 3.0 * sqrt(sum_of_lanes(squares) / n);
        int kept = 0;
        for (int i = lane; i < size; i += LANES) {
            if (keys[i] == NONE) continue;
            const float value = value_of(keys[i]);
            if (value >= middle - reach && value <= middle + reach) ++kept;
            else keys[i] = NONE;
        }
        kept = count_of_lanes(kept);
        if (kept == n) return n;
        n = kept;
    }
    return n;
}

// The median of each box after sigma clipping, NaN for an empty one, and of how many pixels it is.
extern "C" __global__ void box_medians(
    const float* image, const bool* mask, int rows, int columns, int box_rows, int box_columns,
    int boxes_across, int boxes, unsigned int* keys, float* medians, long long* counts)
{
    const long long box = warp_number();
    if (box >= boxes) return;
    const int lane = threadIdx.x % LANES;
    const int top = (int)(box / boxes_across) * box_rows;
    const int left = (int)(box % boxes_across) * box_columns;
    const int size = box_rows * box_columns;
    keys += box * size;
    int n = 0;
    for (int i = lane; i < size; i += LANES) {
        const int y = top + i / box_columns, x = left + i % box_columns;
        const long long place = (long long)y * columns + x;
        const bool is_used =
            y < rows && x < columns && mask[place] && isfinite(image[place]);
        keys[i] = is_used ? key_of(image[place]) : NONE;
        n += is_used;
    }
    n = clip(keys, size, count_of_lanes(n), lane);
    const float found = n ? median(keys, size, n, lane) : nanf("");
    if (lane == 0) {
        medians[box] = found;
        counts[box] = n;
    }
}
