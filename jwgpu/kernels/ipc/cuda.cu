// Undoing interpixel capacitance: one thread a pixel. The images as they were are in a copy, because
// neighbours are read after they are corrected.

struct Part {
    const int* rows;  // stored rows of the science part; null: they follow each other
    int first_row, left;
    int n_y, n_x;     // of the science part
    int columns;      // of the stored image

    __device__ long long place(int y, int x) const
    {
        const int row = rows ? rows[first_row + y] : first_row + y;
        return (long long)row * columns + left + x;
    }

    __device__ float sample(const float* image, int y, int x) const
    {
        return y < 0 || y >= n_y || x < 0 || x >= n_x ? 0.0f : image[place(y, x)];
    }
};

// The kernel (ky, kx, rows, columns); one row and column: the same for all pixels.
struct Weights {
    const float* values;
    int size_y, size_x;
    long long step;   // from one element to the next
    long long pixel;  // where this pixel's weights begin

    __device__ float of(int j, int i) const { return values[(j * size_x + i) * step + pixel]; }
};

// SIZE_Y and SIZE_X: sides of the kernel that the compiler may know; 0: it does not.
template <int SIZE_Y, int SIZE_X>
__device__ float convolve_pixel(const float* image, const Part& part, const Weights& weights,
                                int y, int x)
{
    const int size_y = SIZE_Y ? SIZE_Y : weights.size_y, size_x = SIZE_X ? SIZE_X : weights.size_x;
    const int centre_y = size_y / 2, centre_x = size_x / 2;
    float result = 0.0f;
    for (int j = 0; j < size_y; ++j) {
        for (int i = 0; i < size_x; ++i) {
            if (j == centre_y && i == centre_x) continue;
            const int near_y = y + size_y - 1 - j - centre_y, near_x = x + size_x - 1 - i - centre_x;
            result += weights.of(j, i) * part.sample(image, near_y, near_x);
        }
    }
    // The centre of an even side is off by half, but not for its own sample.
    return result + weights.of(centre_y, centre_x) * part.sample(image, y, x);
}

extern "C" __global__ void deconvolve(
    float* images, const float* before, const float* kernel, const int* rows, int n_images,
    int stored_rows, int columns, int bottom, int left, int n_y, int n_x, int size_y, int size_x,
    int kernel_rows, int kernel_columns)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    const int i = blockIdx.z;
    if (x >= n_x || y >= n_y || i >= n_images) return;
    const Part part = {rows, bottom, left, n_y, n_x, columns};
    const bool varies = (long long)kernel_rows * kernel_columns > 1;
    const Weights weights = {kernel, size_y, size_x, (long long)kernel_rows * kernel_columns,
                             varies ? (long long)(bottom + y) * kernel_columns + left + x : 0};
    const long long first = (long long)i * stored_rows * columns;
    const float* image = before + first;
    float result;
    if (size_y == 3 && size_x == 3) result = convolve_pixel<3, 3>(image, part, weights, y, x);
    else if (size_y == 5 && size_x == 5) result = convolve_pixel<5, 5>(image, part, weights, y, x);
    else result = convolve_pixel<0, 0>(image, part, weights, y, x);
    images[first + part.place(y, x)] = result;
}
