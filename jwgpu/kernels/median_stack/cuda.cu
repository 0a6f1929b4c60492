// The median of each pixel over a stack of images: a thread a pixel. Neighbours read neighbours, and
// any number of images will do, since the bits of the median are found one after the other.
#include "ordered.cuh"

extern "C" __global__ void median_stack(
    const float* __restrict__ images,  // (n_images, n_pixels)
    float* __restrict__ medians,       // (n_pixels)
    int n_images, int n_pixels)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    int count = 0;
    for (int k = 0; k < n_images; ++k) count += !isnan(images[(long long)k * n_pixels + pixel]);
    if (count == 0) {
        medians[pixel] = nanf("");
        return;
    }
    // The largest key that no more than count / 2 values lie below: the upper one of the middle two.
    unsigned int found = 0;
    int below = 0;
    for (unsigned int bit = 0x80000000u; bit; bit >>= 1) {
        int fewer = 0;
        for (int k = 0; k < n_images; ++k) {
            const float value = images[(long long)k * n_pixels + pixel];
            fewer += !isnan(value) && key_of(value) < (found | bit);
        }
        if (fewer <= count / 2) {
            found |= bit;
            below = fewer;
        }
    }
    const float upper = value_of(found);
    float lower = upper;
    if (count % 2 == 0 && below == count / 2) {
        unsigned int nearest = 0;
        for (int k = 0; k < n_images; ++k) {
            const float value = images[(long long)k * n_pixels + pixel];
            if (!isnan(value) && key_of(value) < found) nearest = max(nearest, key_of(value));
        }
        lower = value_of(nearest);
    }
    medians[pixel] = (lower + upper) / 2.0f;
}
