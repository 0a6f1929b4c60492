// How much of a quadrangle lies in each pixel of a grid; as overlap_cpu.py, which says how. There a
// loop goes over the quadrangles, here each thread has one.
#pragma once

constexpr int SMALL = 3;           // rows and columns of a box whose shares are kept
constexpr double NOISE = 1e-13;    // area, in pixels, below which what is left of a sum is rounding
constexpr double FAR = 1e9;        // places, in pixels, beyond which there are none

// The pixels of an image that are used, and where their centres fall.
struct Input {
    const double* pixel_map;  // (n_y, n_x, 2)
    const float* weight;      // (n_y, n_x)
    int n_y, n_x;
    int left, bottom, columns, rows;  // the window

    __device__ long long size() const { return (long long)columns * rows; }
    __device__ int x(int k) const { return left + k % columns; }
    __device__ int y(int k) const { return bottom + k / columns; }
    __device__ long long place(int k) const { return (long long)y(k) * n_x + x(k); }
    // Of an image of a single row or column, that is its own neighbour.
    __device__ double at(int row, int column, int axis) const
    {
        return pixel_map[2 * ((long long)max(row, 0) * n_x + max(column, 0)) + axis];
    }
};

// Output pixels that the light of an input pixel may fall on; none if there are no columns.
struct alignas(16) Box {
    int left, bottom, columns, rows;
};

// Where a corner falls that lies dx and dy beside the centre of a pixel.
inline __device__ void find_corner(
    const Input& input, int y, int x, double dy, double dx, double& across, double& along)
{
    const int j = min(max(y + (int)floor(dy), 0), input.n_y - 2);
    const double v = y - j + dy;
    const int left = x + (int)floor(dx);
    const bool is_inner = left >= 0 && left < input.n_x - 1;
    const int i = is_inner ? left : left < 0 ? min(0, input.n_x - 2) : input.n_x - 2;
    const double u = is_inner ? dx - floor(dx) : left - i + dx - floor(dx);
    for (int axis = 0; axis < 2; ++axis) {
        const double below = input.at(j, i, axis) * (1.0 - u) + input.at(j, i + 1, axis) * u;
        const double above =
            input.at(j + 1, i, axis) * (1.0 - u) + input.at(j + 1, i + 1, axis) * u;
        (axis ? along : across) = below * (1.0 - v) + above * v;
    }
}

// A shrunken pixel on the output, counted from the corner of its box.
struct Quadrangle {
    double x[4], y[4];
    double scale;  // the weight of an area of 1
};

// The smallest and the largest of four numbers, none of which is NaN.
inline __device__ void find_range(const double (&values)[4], double& low, double& high)
{
    low = min(min(values[0], values[1]), min(values[2], values[3]));
    high = max(max(values[0], values[1]), max(values[2], values[3]));
}

// Find the quadrangle of a pixel and its box.
inline __device__ Box place_quadrangle(
    const Input& input, int k, double half, Quadrangle& quadrangle)
{
    const int x = input.x(k), y = input.y(k);
    double(&xs)[4] = quadrangle.x;
    double(&ys)[4] = quadrangle.y;
    find_corner(input, y, x, half, -half, xs[0], ys[0]);
    find_corner(input, y, x, half, half, xs[1], ys[1]);
    find_corner(input, y, x, -half, half, xs[2], ys[2]);
    find_corner(input, y, x, -half, -half, xs[3], ys[3]);
    // The sum is NaN if any is, which a minimum may pass over.
    const double sum = (xs[0] + xs[1] + xs[2] + xs[3]) + (ys[0] + ys[1] + ys[2] + ys[3]);
    double x_low, x_high, y_low, y_high;
    find_range(xs, x_low, x_high);
    find_range(ys, y_low, y_high);
    Box box = {0, 0, 0, 0};
    if (!(fabs(sum) < FAR && x_low > -FAR && x_high < FAR && y_low > -FAR && y_high < FAR))
        return box;
    const double jacobian =
        0.5 * fabs((xs[1] - xs[3]) * (ys[0] - ys[2]) - (xs[0] - xs[2]) * (ys[1] - ys[3]));
    quadrangle.scale = (double)input.weight[input.place(k)] / jacobian;
    if (quadrangle.scale == 0.0) return box;
    const double column = floor(x_low + 0.5), row = floor(y_low + 0.5);
    const double dx = 0.5 - column, dy = 0.5 - row;
    for (int corner = 0; corner < 4; ++corner) {
        xs[corner] += dx;
        ys[corner] += dy;
    }
    box.left = (int)column;
    box.bottom = (int)row;
    box.columns = (int)(x_high + dx) + 1;
    box.rows = (int)(y_high + dy) + 1;
    return box;
}

// An edge of a quadrangle, and what of it is left of a column's edge.
struct Edge {
    double x0, y0, x1, y1, slope, back;

    __device__ Edge(const Quadrangle& of, int corner)
        : x0(of.x[corner]), y0(of.y[corner]), x1(of.x[(corner + 1) % 4]), y1(of.y[(corner + 1) % 4])
    {
        const double run = x1 - x0, rise = y1 - y0;
        slope = rise / (run != 0.0 ? run : 1.0);
        back = run / (rise != 0.0 ? rise : 1.0);
    }
};

struct Clipped {
    double start, end, width, back;

    __device__ Clipped(const Edge& of, double edge)
    {
        const double at_edge = of.y0 + (edge - of.x0) * of.slope;
        start = of.x0 < edge ? of.y0 : at_edge;
        end = of.x1 < edge ? of.y1 : at_edge;
        width = (of.x1 < edge ? of.x1 : edge) - (of.x0 < edge ? of.x0 : edge);
        back = of.back;
    }
    // The integral along it of what is above a row's lower edge.
    __device__ double above(int row) const
    {
        if (row == 0) return 0.5 * (start + end) * width;
        const double height = row;
        const double low = start > height ? start - height : 0.0;
        const double high = end > height ? end - height : 0.0;
        const bool crosses = (start > height) != (end > height);
        return 0.5 * (low + high) * (crosses ? (high - low) * back : width);
    }
};

inline __device__ float share_of(double area, double scale)
{
    area = fabs(area);
    return (float)(area > NOISE ? area * scale : 0.0);
}

// The shares of all pixels of a small box, `step` apart.
inline __device__ void write_shares(const Quadrangle& of, float* shares, long long step)
{
    double sums[SMALL][SMALL];  // of what is left of the right edge of a column, above a row
#pragma unroll
    for (int corner = 0; corner < 4; ++corner) {
        const Edge edge(of, corner);
#pragma unroll
        for (int column = 0; column < SMALL; ++column) {
            const Clipped part(edge, column + 1.0);
#pragma unroll
            for (int row = 0; row < SMALL; ++row) {
                const double more = part.above(row);
                sums[column][row] = corner ? sums[column][row] + more : more;
            }
        }
    }
#pragma unroll
    for (int row = 0; row < SMALL; ++row)
#pragma unroll
        for (int column = 0; column < SMALL; ++column) {
            const bool has_above = row + 1 < SMALL;
            double area = column ? sums[column][row] - sums[column - 1][row] : sums[column][row];
            if (has_above)
                area -= column ? sums[column][row + 1] - sums[column - 1][row + 1]
                               : sums[column][row + 1];
            shares[(SMALL * row + column) * step] = share_of(area, of.scale);
        }
}

// The share of one pixel of a box of any size.
inline __device__ float share_in(const Quadrangle& of, int column, int row)
{
    double here = 0.0, before = 0.0, above = 0.0, above_before = 0.0;
#pragma unroll
    for (int corner = 0; corner < 4; ++corner) {
        const Edge edge(of, corner);
        const Clipped part(edge, column + 1.0);
        here += part.above(row);
        above += part.above(row + 1);
        if (column == 0) continue;
        const Clipped left(edge, (double)column);
        before += left.above(row);
        above_before += left.above(row + 1);
    }
    return share_of((here - before) - (above - above_before), of.scale);
}
