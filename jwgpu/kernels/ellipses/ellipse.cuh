// Which pixels are inside ellipses.
#pragma once

// What the host says of an ellipse: its box, and the numbers that decide within it.
struct Ellipse {
    double top, bottom, left, right;  // first row, row after the last, the same of columns
    double x, y, across, along, sine, cosine;
};

// Whether a pixel's centre is inside an ellipse, the outline excluded. Each operation as in the
// official package: of the pixels that lie exactly on the outline, rounding decides.
inline __device__ bool is_inside(const int x, const int y, const Ellipse& shape)
{
    const double column = x - shape.x, row = y - shape.y;
    const double u = (row * shape.cosine + column * shape.sine) / shape.along;
    const double v = (row * shape.sine - column * shape.cosine) / shape.across;
    return u * u + v * v < 1.0;
}

// Most ellipses that are looked at together.
constexpr int AT_ONCE = 256;

// Whether the pixel of this thread is inside one of n ellipses. All threads of a block must call it.
// They first choose together those of which the box meets the block, of any size and shape, which
// begins at a column and a row and ends before others.
inline __device__ bool is_inside_any(
    const int x, const int y, const double* numbers, const int n,
    const int first_x, const int first_y, const int stop_x, const int stop_y)
{
    __shared__ int chosen[AT_ONCE];
    __shared__ int n_chosen;
    const Ellipse* ellipses = (const Ellipse*)numbers;
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    const int n_threads = blockDim.x * blockDim.y;
    bool inside = false;
    for (int start = 0; start < n; start += AT_ONCE) {
        if (thread == 0) n_chosen = 0;
        __syncthreads();
        for (int k = start + thread; k < min(start + AT_ONCE, n); k += n_threads) {
            const Ellipse& shape = ellipses[k];
            if (shape.top < stop_y && shape.bottom > first_y && shape.left < stop_x &&
                shape.right > first_x)
                chosen[atomicAdd(&n_chosen, 1)] = k;
        }
        __syncthreads();
        for (int k = 0; k < n_chosen && !inside; ++k) {
            const Ellipse& shape = ellipses[chosen[k]];
            if (y >= shape.top && y < shape.bottom && x >= shape.left && x < shape.right)
                inside = is_inside(x, y, shape);
        }
        __syncthreads();
    }
    return inside;
}
