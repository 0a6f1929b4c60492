// Median and scatter of one difference over the integrations; a thread takes one pixel.
#include "samples.cuh"
#include "sigma_clip.cuh"

extern "C" __global__ void clip_noise(
    const float* __restrict__ data,             // (ints, groups, pixels)
    const unsigned char* __restrict__ groupdq,  // the same
    const float* __restrict__ gain,             // (pixels)
    float* __restrict__ work,                   // (ints, some pixels)
    float* __restrict__ center,                 // (pixels)
    float* __restrict__ sigma,                  // (pixels)
    const int n_ints, const int n_groups, const int n_pixels, const int group,
    const int first_pixel, const int n_some, const double rejection,
    const unsigned char unusable)
{
    const int own = blockIdx.x * blockDim.x + threadIdx.x;
    const int pixel = first_pixel + own;
    if (own >= n_some) return;
    const Ramp ramp = {data, groupdq, n_groups, n_pixels, pixel, gain[pixel], unusable};
    const Column values = {work + own, n_some};
    int n = 0;
    for (int integration = 0; integration < n_ints; ++integration) {
        const float difference = ramp.difference(integration, group);
        if (isfinite(difference)) values[n++] = difference;
    }
    double low, high;
    clipping_bounds(values, n, rejection, low, high);
    n = 0;
    float total = 0.0f;
    for (int integration = 0; integration < n_ints; ++integration) {
        const float difference = ramp.difference(integration, group);
        if (!(difference >= low && difference <= high)) continue;
        values[n++] = difference;
        total += difference;
    }
    center[pixel] = sigma[pixel] = nanf("");
    if (n == 0) return;
    const float mean = (float)((double)total / n);
    float squares = 0.0f;
    for (int k = 0; k < n; ++k) squares += (values[k] - mean) * (values[k] - mean);
    sigma[pixel] = sqrtf((float)((double)squares / n));
    const float upper = (float)select(values, n, n / 2);
    const float lower = (float)select(values, n, (n - 1) / 2);
    center[pixel] = (lower + upper) * 0.5f;
}
