// Straightening samples one by one: a thread takes one pixel in some planes (ints x groups).
// build: TERMS=8
// build: TERMS=16
// build: TERMS=32
#include "polynomial.cuh"

constexpr int AT_ONCE = 4;  // samples that are on their way at the same time

extern "C" __global__ void straighten(
    float* __restrict__ data,                   // (planes, pixels), changed
    const unsigned char* __restrict__ groupdq,  // (planes, pixels); null for frame zero
    unsigned int* __restrict__ pixeldq,         // (pixels), changed; null for frame zero
    const float* __restrict__ coefficients,     // (terms, pixels)
    const unsigned int* __restrict__ coefficients_dq,
    const int n_terms, const int n_planes, const int n_pixels, const int planes_each)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    const int first = blockIdx.y * planes_each;
    if (pixel >= n_pixels) return;
    Polynomial polynomial;
    const unsigned int dq = coefficients_dq[pixel];
    const bool usable =
        take_coefficients(polynomial, coefficients, dq, n_terms, pixel, n_pixels);
    if (first == 0 && pixeldq) pixeldq[pixel] |= usable ? dq : dq | NO_LIN_CORR;

    const int stop = min(first + planes_each, n_planes);
    for (int plane = first; plane < stop; plane += AT_ONCE) {
        float sample[AT_ONCE];
        bool is_left_alone[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            is_left_alone[k] = true;
            if (plane + k >= stop) continue;
            const long long at = (long long)(plane + k) * n_pixels + pixel;
            sample[k] = data[at];
            // In frame zero, 0 marks a bad value.
            is_left_alone[k] = groupdq ? (groupdq[at] & SATURATED) != 0 : sample[k] == 0.0f;
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k)
            if (!is_left_alone[k])
                data[(long long)(plane + k) * n_pixels + pixel] = evaluate(sample[k], polynomial);
    }
}
