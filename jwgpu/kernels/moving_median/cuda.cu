// The median of the window around each pixel: a thread a pixel, by bisection of what is possible.
// Neighbours read almost the same values, which the caches keep.
#include "flicker_noise/keys.cuh"

struct Window {
    const float* image;
    int rows, columns, top, left, height, width;

    // How many values there are that have a number, and how many of them lie below a key. Beyond
    // its edges the image is zero.
    __device__ int count_below(unsigned int limit, int& n) const
    {
        int below = 0;
        n = 0;
        for (int y = top; y < top + height; ++y)
            for (int x = left; x < left + width; ++x) {
                const float value = at(y, x);
                if (isnan(value)) continue;
                ++n;
                below += key_of(value) < limit;
            }
        return below;
    }

    __device__ float at(int y, int x) const
    {
        const bool is_inside = y >= 0 && y < rows && x >= 0 && x < columns;
        return is_inside ? image[(long long)y * columns + x] : 0.0f;
    }
};

extern "C" __global__ void moving_median(
    const float* image, int rows, int columns, int height, int width, float* result)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x >= columns || y >= rows) return;
    const Window window{image, rows, columns, y - height / 2, x - width / 2, height, width};
    const long long place = (long long)y * columns + x;
    int n;
    window.count_below(0, n);
    if (n == 0) {
        result[place] = nanf("");
        return;
    }
    // The key that n / 2 values lie below at most, bit by bit: the upper one of the middle two.
    unsigned int found = 0;
    for (unsigned int bit = 0x80000000u; bit; bit >>= 1)
        if (window.count_below(found | bit, n) <= n / 2) found |= bit;
    const float upper = value_of(found);
    float lower = upper;
    if (n % 2 == 0 && window.count_below(found, n) == n / 2) {
        unsigned int below = 0;
        for (int j = window.top; j < window.top + height; ++j)
            for (int i = window.left; i < window.left + width; ++i) {
                const float value = window.at(j, i);
                if (!isnan(value) && key_of(value) < found) below = max(below, key_of(value));
            }
        lower = value_of(below);
    }
    result[place] = (lower + upper) / 2.0f;
}
