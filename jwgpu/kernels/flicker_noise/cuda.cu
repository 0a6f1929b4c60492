// Flicker noise, pixel by pixel: differences, masks, and putting an image together again.

// What was collected since the previous image, and which pixels of it can be used.
extern "C" __global__ void take_difference(
    float* image, bool* mask, const float* current, const float* previous, const bool* scene,
    const unsigned char* groupdq, int unusable, const float* flat, long long n)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float value = current[i];
    if (previous) value = value - previous[i];
    if (flat) value = value / flat[i];
    image[i] = value;
    mask[i] = scene[i] && value == value && !(groupdq && (groupdq[i] & unusable));
}

// Drop what lies outside limits, which are numbers or places where they stand.
extern "C" __global__ void mask_outside(
    const float* image, bool* mask, long long n, const double* low_at, const double* high_at,
    double low, double high)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float value = image[i];
    if (value < (low_at ? *low_at : low) || value > (high_at ? *high_at : high)) mask[i] = false;
}

// Subtract an offset; drop pixels outside limits before and after (null: none) from the mask.
extern "C" __global__ void subtract_offset(
    float* image, bool* mask, long long n, const float* offset, const double* before,
    const double* after)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float value = image[i];
    const float less = value - *offset;
    image[i] = less;
    bool is_out = value < before[0] || value > before[1];
    if (after) is_out = is_out || less < after[0] || less > after[1];
    if (is_out) mask[i] = false;
}

// See `restore`; noise is constant in boxes of pixels. A thread a pixel.
extern "C" __global__ void restore(
    float* target, const float* image, int rows, int columns, const float* noise, int box_rows,
    int box_columns, const float* background, const float* level_at, float level,
    const float* flat, const float* base)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y;
    if (x >= columns || y >= rows) return;
    const long long i = (long long)y * columns + x;
    float value = image[i];
    if (noise)
        value = value - noise[(long long)(y / box_rows) * (columns / box_columns) + x / box_columns];
    if (background) value = value + background[i];
    else value = value + (level_at ? *level_at : level);
    if (flat) value = value * flat[i];
    if (base) value = base[i] + value;
    target[i] = value;
}
