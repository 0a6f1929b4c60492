// Drizzle: a block has a tile of the output, a thread one of its pixels. It adds what falls on it in
// the order of the input's pixels, so that its sums are those of the CPU.
//
// First, each input pixel finds its box of output pixels, and what of it falls on each if the box is
// small: that is most of the arithmetic, done once. Pixels are then listed by tile (and sorted, by
// the library), so that a block reads the boxes of its own ones.
#include "centres.cuh"

constexpr int TILE = 16;  // rows and columns of a block
constexpr int THREADS = TILE * TILE;

struct Output {
    int n_y, n_x;

    __device__ int tiles_across() const { return (n_x + TILE - 1) / TILE; }
};

// The tiles that a box meets: first column and row, and how many.
__device__ Box tiles_of(const Box& box, const Output& output)
{
    const int left = max(box.left, 0), bottom = max(box.bottom, 0);
    const int right = min(box.left + box.columns, output.n_x);
    const int top = min(box.bottom + box.rows, output.n_y);
    if (left >= right || bottom >= top) return {0, 0, 0, 0};
    const Box tiles = {left / TILE, bottom / TILE, 0, 0};
    return {tiles.left, tiles.bottom, (right - 1) / TILE - tiles.left + 1,
            (top - 1) / TILE - tiles.bottom + 1};
}

__device__ long long number_of(const Box& tiles) { return (long long)tiles.columns * tiles.rows; }

// Find the box of each quadrangle, the shares of those that are small, and how many tiles they meet.
extern "C" __global__ void place_quadrangles(
    const double* __restrict__ pixel_map, const float* __restrict__ weight, int n_y, int n_x,
    int left, int bottom, int columns, int rows, double half, int n_out_y, int n_out_x,
    int* __restrict__ boxes,         // (pixels, 4)
    float* __restrict__ shares,      // (9, pixels)
    long long* __restrict__ counts)  // (pixels)
{
    const Input input = {pixel_map, weight, n_y, n_x, left, bottom, columns, rows};
    const long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= input.size()) return;
    Quadrangle quadrangle;
    const Box box = place_quadrangle(input, (int)k, half, quadrangle);
    ((Box*)boxes)[k] = box;
    counts[k] = number_of(tiles_of(box, {n_out_y, n_out_x}));
    if (counts[k] > 0 && box.columns <= SMALL && box.rows <= SMALL)
        write_shares(quadrangle, shares + k, input.size());
}

// Find the box of each drop, and how many tiles it meets.
extern "C" __global__ void place_drops(
    const double* __restrict__ pixel_map, const float* __restrict__ weight, int n_y, int n_x,
    int left, int bottom, int columns, int rows, double reach, int n_out_y, int n_out_x,
    int* __restrict__ boxes,         // (pixels, 4)
    long long* __restrict__ counts)  // (pixels)
{
    const Input input = {pixel_map, weight, n_y, n_x, left, bottom, columns, rows};
    const long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= input.size()) return;
    const Box box = place_drop(input, (int)k, reach);
    ((Box*)boxes)[k] = box;
    counts[k] = number_of(tiles_of(box, {n_out_y, n_out_x}));
}

// Write for each tile that a pixel meets a number that sorts by tile, then by pixel.
extern "C" __global__ void list_tiles(
    const int* __restrict__ boxes, const long long* __restrict__ ends, long long n_pixels,
    int n_out_y, int n_out_x, long long* __restrict__ entries)
{
    const long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n_pixels) return;
    const Output output = {n_out_y, n_out_x};
    const Box tiles = tiles_of(((const Box*)boxes)[k], output);
    long long at = ends[k] - number_of(tiles);
    for (int row = 0; row < tiles.rows; ++row)
        for (int column = 0; column < tiles.columns; ++column) {
            const long long tile =
                (long long)(tiles.bottom + row) * output.tiles_across() + tiles.left + column;
            entries[at++] = tile << 32 | k;
        }
}

__device__ bool is_in(const Box& box, int column, int row)
{
    return column >= box.left && column < box.left + box.columns && row >= box.bottom
           && row < box.bottom + box.rows;
}

// What of a quadrangle falls on a pixel of its box: as it was kept, or found now.
__device__ float share_of_quadrangle(
    const Input& input, int k, double half, const float* shares, const Box& box, int column,
    int row)
{
    column -= box.left;
    row -= box.bottom;
    if (box.columns <= SMALL && box.rows <= SMALL)
        return shares[(SMALL * row + column) * input.size() + k];
    Quadrangle quadrangle;
    place_quadrangle(input, k, half, quadrangle);
    return share_in(quadrangle, column, row);
}

// What an image adds to an output pixel: the data, another image, the roots of three variances, and
// the weight; of this image alone what has an _here.
struct Totals {
    float data, other, errors_here[3], weight, weight_here, positive_here;
    unsigned int flags;
};

struct Image {
    const float *data, *other, *variances[3];  // null: there is none
    const unsigned int* flags;
    float level;

    __device__ void add(long long place, float share, Totals& totals) const
    {
        totals.data += share * (data[place] - level);
        if (other) totals.other += share * other[place];
        for (int part = 0; part < 3; ++part) {
            const float* variance = variances[part];
            totals.errors_here[part] += share * (variance ? sqrtf(variance[place]) : nanf(""));
        }
        totals.weight += share;
        totals.weight_here += share;
        if (flags) totals.flags |= flags[place];
    }
};

struct Sums {
    float *data, *other, *weights;
    int* context;
    unsigned int* flags;
    float *variances, *variance_weights;  // (3, n_y, n_x), or null
    int mask;
    double time;

    // The weight of an image where variances are averaged; 0 for none.
    __device__ double weight_of_image(const Totals& totals) const
    {
        const float error = totals.errors_here[0] / totals.weight_here;
        const float variance = error * error;
        const bool is_known = variance > 0.0f && !isinf(variance);
        return time != 0.0 ? time : is_known ? (double)(1.0f / variance) : 0.0;
    }

    __device__ void add_variances(const Totals& totals, long long place, long long n_pixels) const
    {
        const double weight = weight_of_image(totals);
        for (int part = 0; part < 3; ++part) {
            const float error = totals.errors_here[part] / totals.weight_here;
            const float variance = error * error;
            const bool counts = weight > 0.0 && variance >= 0.0f && !isinf(variance);
            float& sum = variances[part * n_pixels + place];
            if (!variance_weights) {  // of one image alone
                if (totals.weight_here != 0.0f) sum = counts ? variance : nanf("");
                continue;
            }
            if (!counts) continue;
            float& sum_weights = variance_weights[part * n_pixels + place];
            sum = (float)((double)sum + (double)variance * weight * weight);
            sum_weights = (float)((double)sum_weights + weight);
        }
    }

    __device__ Totals open(long long place) const
    {
        return {data[place], other ? other[place] : 0.0f, {0.0f, 0.0f, 0.0f}, weights[place], 0.0f,
                0.0f, flags ? flags[place] : 0u};
    }

    __device__ void close(const Totals& totals, long long place, long long n_pixels) const
    {
        data[place] = totals.data;
        if (other) other[place] = totals.other;
        weights[place] = totals.weight;
        if (context && totals.positive_here > 0.0f) context[place] |= mask;
        if (flags) flags[place] = totals.flags;
        if (variances) add_variances(totals, place, n_pixels);
    }
};

// Add what falls on each pixel of the output. `reach` of quadrangles is half their side.
extern "C" __global__ void add_pixels(
    const double* __restrict__ pixel_map, const float* __restrict__ weight, int n_y, int n_x,
    int left, int bottom, int columns, int rows, int kind, double reach, double height,
    double steepness, const float* __restrict__ table, int n_table,
    const float* __restrict__ data, const float* __restrict__ other,
    const float* __restrict__ first_variance, const float* __restrict__ second_variance,
    const float* __restrict__ third_variance, const unsigned int* __restrict__ flags, float level,
    float* values, int n_values, float* weights, int* context, unsigned int* sum_flags,
    float* variances, float* variance_weights, int mask, double time, int n_out_y, int n_out_x,
    const int* __restrict__ boxes, const float* __restrict__ shares,
    const long long* __restrict__ entries, const long long* __restrict__ starts)
{
    __shared__ Box boxes_here[THREADS];
    __shared__ int pixels_here[THREADS];
    const long long first = starts[blockIdx.x], stop = starts[blockIdx.x + 1];
    if (first == stop) return;
    const Input input = {pixel_map, weight, n_y, n_x, left, bottom, columns, rows};
    const Drop drop = {kind, reach, height, steepness, table, n_table};
    const Image image = {
        data, other, {first_variance, second_variance, third_variance}, flags, level};
    const Output output = {n_out_y, n_out_x};
    const long long n_out = (long long)n_out_y * n_out_x;
    const Sums sums = {values, n_values > 1 ? values + n_out : nullptr, weights, context,
                       sum_flags, variances, variance_weights, mask, time};
    const int tile_row = blockIdx.x / output.tiles_across();
    const int tile_column = blockIdx.x % output.tiles_across();
    const int column = tile_column * TILE + threadIdx.x % TILE;
    const int row = tile_row * TILE + threadIdx.x / TILE;
    const bool exists = column < n_out_x && row < n_out_y;
    const long long place = (long long)row * n_out_x + column;
    Totals totals = {};
    if (exists) totals = sums.open(place);
    for (long long begin = first; begin < stop; begin += THREADS) {
        const int n = (int)min(stop - begin, (long long)THREADS);
        __syncthreads();
        if ((int)threadIdx.x < n) {
            const int k = (int)(entries[begin + threadIdx.x] & 0xffffffffll);
            pixels_here[threadIdx.x] = k;
            boxes_here[threadIdx.x] = ((const Box*)boxes)[k];
        }
        __syncthreads();
        for (int i = 0; exists && i < n; ++i) {
            const Box box = boxes_here[i];
            if (!is_in(box, column, row)) continue;
            const int k = pixels_here[i];
            const float share = kind == SQUARE
                ? share_of_quadrangle(input, k, reach, shares, box, column, row)
                : share_of_drop(drop, input, k, column, row);
            if (share == 0.0f) continue;
            image.add(input.place(k), share, totals);
            // Of drops it counts whether there was a share above 0, not what they add up to.
            if (kind == SQUARE) totals.positive_here += share;
            else if (share > 0.0f) totals.positive_here = 1.0f;
        }
    }
    if (exists) sums.close(totals, place, n_out);
}

// Turn sums into means, variances and errors: a thread a pixel.
extern "C" __global__ void finish(
    float* values, const float* weights, float* variances, const float* variance_weights,
    float* errors, int n_values, long long n_pixels, float fill, double scaling)
{
    const long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n_pixels) return;
    const float weight = weights[k];
    for (int plane = 0; plane < n_values; ++plane) {
        float& value = values[plane * n_pixels + k];
        value = weight != 0.0f ? value / weight : fill;
    }
    if (!variances) return;
    float total = 0.0f;
    bool is_known = false;
    for (int part = 0; part < 3; ++part) {
        float& variance = variances[part * n_pixels + k];
        if (variance_weights) {
            const double sum_weights = variance_weights[part * n_pixels + k];
            variance = (float)((double)variance * scaling / (sum_weights * sum_weights));
        } else {
            variance = weight != 0.0f ? (float)((double)variance * scaling) : nanf("");
        }
        if (isnan(variance)) continue;
        total += variance;
        is_known = true;
    }
    errors[k] = is_known ? sqrtf(total) : nanf("");
}
