// Flagging the pixels inside ellipses: a thread takes one pixel, and all planes. It does not matter
// in which order the ellipses are drawn, so that a pixel is flagged if it is inside any.
#include "ellipse.cuh"

extern "C" __global__ void flag_ellipses(
    unsigned char* __restrict__ planes,   // (planes, y, x), changed
    const double* __restrict__ ellipses,  // (n, 10)
    const int n_ellipses, const int n_planes, const int n_rows, const int n_columns,
    const int top, const int bottom, const int left, const int right,
    const unsigned char flag, const unsigned char unless, const unsigned char is_replacing)
{
    const int first_x = left + blockIdx.x * blockDim.x, first_y = top + blockIdx.y * blockDim.y;
    const int x = first_x + threadIdx.x, y = first_y + threadIdx.y;
    const bool inside = is_inside_any(
        x, y, ellipses, n_ellipses, first_x, first_y, first_x + blockDim.x, first_y + blockDim.y);
    if (!inside || x >= right || y >= bottom) return;
    for (int plane = 0; plane < n_planes; ++plane) {
        const long long at = ((long long)plane * n_rows + y) * n_columns + x;
        const unsigned char flags = planes[at];
        if (flags & unless) break;
        planes[at] = is_replacing ? flag : flags | flag;
    }
}

extern "C" __global__ void mark_ellipses(
    unsigned char* __restrict__ marks,         // (words, y, x), changed
    const unsigned char* __restrict__ planes,  // (groups, y, x)
    const double* __restrict__ ellipses,       // (n, 10)
    const int n_ellipses, const int n_rows, const int n_columns,
    const int top, const int bottom, const int left, const int right,
    const int first_group, const int stop_group, const unsigned char unless)
{
    const int first_x = left + blockIdx.x * blockDim.x, first_y = top + blockIdx.y * blockDim.y;
    const int x = first_x + threadIdx.x, y = first_y + threadIdx.y;
    const bool inside = is_inside_any(
        x, y, ellipses, n_ellipses, first_x, first_y, first_x + blockDim.x, first_y + blockDim.y);
    if (!inside || x >= right || y >= bottom) return;
    const long long image = (long long)n_rows * n_columns, pixel = (long long)y * n_columns + x;
    for (int group = first_group; group < stop_group; ++group) {
        if (planes[group * image + pixel] & unless) break;
        marks[group / 8 * image + pixel] |= 1 << (group % 8);
    }
}
