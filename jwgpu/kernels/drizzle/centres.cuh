// Drops that are a function of the distance from where a pixel's centre falls; as cpu.py.
#pragma once
#include "overlap.cuh"

enum Kind { SQUARE, POINT, TURBO, GAUSSIAN, LANCZOS2, LANCZOS3 };

struct Drop {
    int kind;
    double reach, height, steepness;
    const float* table;  // of a sinc
    int n_table;
};

// Round to the nearest integer, halves away from zero.
inline __device__ int rounded(double value)
{
    return value >= 0.0 ? (int)floor(value + 0.5) : -(int)floor(0.5 - value);
}

// The output pixels that the drop of a pixel may fall on.
inline __device__ Box place_drop(const Input& input, int k, double reach)
{
    const double across = input.at(input.y(k), input.x(k), 0);
    const double along = input.at(input.y(k), input.x(k), 1);
    Box box = {0, 0, 0, 0};
    if (input.weight[input.place(k)] == 0.0f || !(fabs(across) < FAR && fabs(along) < FAR))
        return box;
    box.left = rounded(across - reach);
    box.bottom = rounded(along - reach);
    box.columns = rounded(across + reach) - box.left + 1;
    box.rows = rounded(along + reach) - box.bottom + 1;
    return box;
}

// How much of an interval lies in a pixel, along one axis.
inline __device__ double overlap(double low, double high, int pixel)
{
    return max(min(high, pixel + 0.5) - max(low, pixel - 0.5), 0.0);
}

// The share of an output pixel.
inline __device__ float share_of_drop(
    const Drop& drop, const Input& input, int k, int column, int row)
{
    const double across = input.at(input.y(k), input.x(k), 0);
    const double along = input.at(input.y(k), input.x(k), 1);
    double part = 1.0;
    if (drop.kind == TURBO) {
        part = drop.height
               * (overlap(across - drop.reach, across + drop.reach, column)
                  * overlap(along - drop.reach, along + drop.reach, row));
    } else if (drop.kind == GAUSSIAN) {
        const double dx = across - column, dy = along - row;
        part = drop.height * exp(-(dx * dx + dy * dy) * drop.steepness);
    } else if (drop.kind >= LANCZOS2) {
        const int step_x = rounded(fabs(across - column) * drop.steepness);
        const int step_y = rounded(fabs(along - row) * drop.steepness);
        const bool is_inside = step_x < drop.n_table && step_y < drop.n_table;
        part = is_inside ? (double)(drop.table[step_x] * drop.table[step_y]) : 0.0;
    }
    return (float)(part * input.weight[input.place(k)]);
}
