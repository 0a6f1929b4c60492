// Smoothing with a ring: a thread takes one pixel.

// The sum of two samples as far above as below one, or of the one alone.
template <typename Sum, typename Sample>
__device__ Sum mirrored(const Sample* sample, const long long width, const int distance)
{
    if (distance == 0) return (Sum)*sample;
    return (Sum)sample[-distance * width] + (Sum)sample[distance * width];
}

// The sum of what lies on the ring around a pixel, to which sample points: rows first, two by two,
// then columns, as the CPU adds them.
template <typename Sum, typename Sample>
__device__ Sum add_ring(const Sample* sample, const long long width, const int* ring, const int n)
{
    Sum sum = 0;
    for (int first = 0; first < n;) {
        const int aside = ring[2 * first];
        Sum left = 0, right = 0;
        while (first < n && ring[2 * first] == aside) {
            const int distance = ring[2 * first + 1];
            Sum on_left = mirrored<Sum>(sample - aside, width, distance);
            Sum on_right = mirrored<Sum>(sample + aside, width, distance);
            ++first;
            if (first < n && ring[2 * first] == aside) {
                on_left += mirrored<Sum>(sample - aside, width, ring[2 * first + 1]);
                on_right += mirrored<Sum>(sample + aside, width, ring[2 * first + 1]);
                ++first;
            }
            left += on_left;
            right += on_right;
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
