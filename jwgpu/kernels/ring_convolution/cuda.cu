// Smoothing with a ring: a thread takes one pixel.

// The sum of what lies on the ring around a pixel: rows above and below first, then columns, as the
// rows are added on the CPU. Sample points at the pixel.
template <typename Sum, typename Sample>
__device__ Sum add_ring(const Sample* sample, const long long width, const int* ring, const int n)
{
    Sum sum = 0;
    for (int first = 0; first < n;) {
        const int aside = ring[2 * first];
        Sum left = 0, right = 0;
        for (; first < n && ring[2 * first] == aside; ++first) {
            const int distance = ring[2 * first + 1];
            const Sample* above = sample - distance * width;
            const Sample* below = sample + distance * width;
            if (distance) {
                left += (Sum)above[-aside] + (Sum)below[-aside];
                right += (Sum)above[aside] + (Sum)below[aside];
            } else {
                left += (Sum)sample[-aside];
                right += (Sum)sample[aside];
            }
        }
        sum += aside ? left + right : left;
    }
    return sum;
}

extern "C" __global__ void mark_bright(
    const float* __restrict__ values,           // (images, y + margins, x + margins)
    const unsigned char* __restrict__ is_good,  // the same
    const int* __restrict__ ring,               // (n, 2): columns and rows away, in one quadrant
    unsigned char* __restrict__ is_bright,      // (images, y, x)
    const int n_ring, const int margin, const int n_images, const int n_rows, const int n_columns,
    const double threshold)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const long long row = (long long)blockIdx.y * blockDim.y + threadIdx.y;
    const int image = (int)(row / n_rows), y = (int)(row % n_rows);
    if (x >= n_columns || image >= n_images) return;
    const long long width = n_columns + 2 * margin, height = n_rows + 2 * margin;
    const long long at = (image * height + y + margin) * width + x + margin;
    unsigned char bright = 0;
    if (is_good[at]) {
        const double total = add_ring<double>(values + at, width, ring, n_ring);
        const int count = add_ring<int>(is_good + at, width, ring, n_ring);
        // No good pixel gives 0 / 0, which is not above anything.
        bright = total / (double)count > threshold;
    }
    is_bright[row * n_columns + x] = bright;
}
