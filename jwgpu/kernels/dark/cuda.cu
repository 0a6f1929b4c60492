// Subtracting an averaged dark: a thread takes one pixel in one group of all integrations.

constexpr int AT_ONCE = 4;  // samples that are on their way at the same time

extern "C" __global__ void subtract_dark(
    float* __restrict__ data,        // (ints, groups, pixels), changed
    const float* __restrict__ dark,  // (frames, pixels)
    const int n_ints, const int n_groups, const int n_pixels, const int n_frames,
    const int n_averaged, const int step)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    const int group = blockIdx.y;
    if (pixel >= n_pixels) return;
    const int first_frame = min(group * step, n_frames);
    const int stop_frame = min(group * step + n_averaged, n_frames);
    float mean = 0.0f;
    for (int frame = first_frame; frame < stop_frame; ++frame) {
        const float value = dark[(long long)frame * n_pixels + pixel];
        mean += isnan(value) ? 0.0f : value;
    }
    if (stop_frame - first_frame != 1) mean /= (float)(stop_frame - first_frame);

    const long long between = (long long)n_groups * n_pixels;
    float* sample = data + (long long)group * n_pixels + pixel;
    for (int i = 0; i < n_ints; i += AT_ONCE) {
        float value[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k)
            if (i + k < n_ints) value[k] = sample[(i + k) * between];
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k)
            if (i + k < n_ints) sample[(i + k) * between] = value[k] - mean;
    }
}

// A pixel of the dark, past its last frame on the line through the last two; NaN as zero.
__device__ double extrapolated_value(
    const float* dark, int n_frames, int n_pixels, int frame)
{
    const int last = n_frames - 1;
    double value;
    if (frame <= last) {
        value = dark[(long long)frame * n_pixels];
    } else {
        const float at_end = dark[(long long)last * n_pixels];
        const float rate = at_end - dark[(long long)(last - 1) * n_pixels];
        value = (double)(frame - last) * (double)rate + (double)at_end;
    }
    return isnan(value) ? 0.0 : value;
}

extern "C" __global__ void subtract_extrapolated_dark(
    float* __restrict__ data,        // (ints, groups, pixels), changed
    const float* __restrict__ dark,  // (frames, pixels)
    const int n_ints, const int n_groups, const int n_pixels, const int n_frames,
    const int n_averaged, const int step, const int n_extrapolated)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    const int group = blockIdx.y;
    if (pixel >= n_pixels) return;
    const int first_frame = min(group * step, n_frames + n_extrapolated);
    const int stop_frame = min(group * step + n_averaged, n_frames + n_extrapolated);
    double mean = 0.0;
    for (int frame = first_frame; frame < stop_frame; ++frame)
        mean += extrapolated_value(dark + pixel, n_frames, n_pixels, frame);
    mean /= (double)(stop_frame - first_frame);
    // An averaged dark is stored in float32; a dark that is used as it is, is not.
    if (n_averaged > 1 || step > 1) mean = (double)(float)mean;
    for (int i = 0; i < n_ints; ++i) {
        const long long at = ((long long)i * n_groups + group) * n_pixels + pixel;
        data[at] = (float)((double)data[at] - mean);
    }
}
