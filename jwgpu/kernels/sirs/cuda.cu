// SIRS: what the side reference pixels of an image say of each row, and its subtraction.
#include "lanes.cuh"
#include "reference_pixels/median.cuh"

constexpr int SIDES = 2;

// The median of n values, found by a warp together; NaN if one of them is. `distance_to`: of the
// distances to that value; null: of the values themselves.
__device__ double median_of_warp(const double* values, int n, const double* distance_to, int lane)
{
    unsigned long long low = ~0ull, high = 0;
    double n_nan = 0.0;
    auto key = [=](int i) {
        return key_of(distance_to ? fabs(values[i] - *distance_to) : values[i]);
    };
    for (int i = lane; i < n; i += LANES) {
        n_nan += isnan(distance_to ? values[i] - *distance_to : values[i]);
        low = min(low, key(i));
        high = max(high, key(i));
    }
    if (sum_of_lanes(n_nan) > 0.0) return nan("");
    for (int step = LANES / 2; step > 0; step /= 2) {
        low = min(low, __shfl_xor_sync(ALL_LANES, low, step));
        high = max(high, __shfl_xor_sync(ALL_LANES, high, step));
    }
    // The smallest key that more than (n - 1) / 2 values do not exceed.
    double n_below = n;
    while (low < high) {
        const unsigned long long middle = low + (high - low) / 2;
        double n_here = 0.0;
        for (int i = lane; i < n; i += LANES) n_here += key(i) <= middle;
        n_here = sum_of_lanes(n_here);
        if (n_here > (n - 1) / 2) {
            high = middle;
            n_below = n_here;
        } else {
            low = middle + 1;
        }
    }
    if (n_below > n / 2) return 0.5 * (value_of(low) + value_of(low));
    unsigned long long next = ~0ull;
    for (int i = lane; i < n; i += LANES)
        if (key(i) > low) next = min(next, key(i));
    for (int step = LANES / 2; step > 0; step /= 2)
        next = min(next, __shfl_xor_sync(ALL_LANES, next, step));
    return 0.5 * (value_of(low) + value_of(next));
}

// The middle of the values of each side, and how far good ones are from it at most: a warp a side.
extern "C" __global__ void find_limits(
    const double* values, int n_sides, int n, double sigmas, double* middles, double* reaches)
{
    const int lane = threadIdx.x % LANES;
    const long long side = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    if (side >= n_sides) return;
    const double* of_side = values + side * n;
    const double middle = median_of_warp(of_side, n, nullptr, lane);
    const double reach = sigmas * median_of_warp(of_side, n, &middle, lane);
    if (lane == 0) {
        middles[side] = middle;
        reaches[side] = reach;
    }
}

// Average the side pixels of each row that are near the middle, and tell which share is.
extern "C" __global__ void leave_out(
    const double* values, const double* middles, const double* reaches, int n_sides, int rows,
    int width, double* signal, double* share)
{
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    const int side = blockIdx.y;
    if (row >= rows || side >= n_sides) return;
    const long long place = (long long)side * rows + row;
    double total = 0.0, n_good = 0.0;
    for (int j = 0; j < width; ++j) {
        const double value = values[place * width + j];
        const double is_good = fabs(value - middles[side]) <= reaches[side] ? 1.0 : 0.0;
        total += value * is_good;  // NaN stays
        n_good += is_good;
    }
    signal[place] = total / width;
    share[place] = n_good / width;
}

// Convolve both sides: template (images, amplifiers, rows). The weight of what is left out goes to
// the others.
extern "C" __global__ void make_template(
    const double* signal, const double* share, const double* kernels, int n_images, int amplifiers,
    int rows, int length, double* result)
{
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    const int amplifier = blockIdx.y;
    const int i = blockIdx.z;
    if (row >= rows || amplifier >= amplifiers || i >= n_images) return;
    double total = 0.0;
    for (int side = 0; side < SIDES; ++side) {
        const double* kernel = kernels + ((long long)side * amplifiers + amplifier) * length;
        const long long first = ((long long)i * SIDES + side) * rows;
        double smooth = 0.0, present = 0.0, whole = 0.0;
        for (int k = 0; k < length; ++k) {
            const int near = row + (length - 1) / 2 - k;
            if (near < 0 || near >= rows) continue;
            const double weight = kernel[k];
            smooth += weight * signal[first + near];
            present += weight * share[first + near];
            whole += weight;
        }
        total += smooth * (whole / present);
    }
    result[((long long)i * amplifiers + amplifier) * rows + row] = total;
}

// Subtract what the template, in the detector's order, has for the row and amplifier of a pixel.
extern "C" __global__ void subtract(
    float* images, const double* result, int n_images, int n_y, int n_x, int amplifiers,
    bool fast_along_x, bool fast_mirrored, bool slow_mirrored)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    const int i = blockIdx.z;
    if (x >= n_x || y >= n_y || i >= n_images) return;
    const int n_fast = fast_along_x ? n_x : n_y, rows = fast_along_x ? n_y : n_x;
    int fast = fast_along_x ? x : y, row = fast_along_x ? y : x;
    if (fast_mirrored) fast = n_fast - 1 - fast;
    if (slow_mirrored) row = rows - 1 - row;
    const int amplifier = fast * amplifiers / n_fast;
    float* pixel = images + ((long long)i * n_y + y) * n_x + x;
    *pixel = (float)(*pixel - result[((long long)i * amplifiers + amplifier) * rows + row]);
}
