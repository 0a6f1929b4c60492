// Areas of regions, what they enclose included. A block takes one region: it joins the pixels
// around it, in its box and one pixel of margin, to sets; what is not in the set of the margin is
// enclosed.
#include "run.cuh"
#include "union.cuh"

constexpr int TAKEN = -1;

extern "C" __global__ void fill_regions(
    const int* __restrict__ runs,
    const long long* __restrict__ starts,
    const int* __restrict__ regions,
    const long long* __restrict__ boxes,   // (n, 6): region, box, where its pixels begin
    int* __restrict__ pixels,              // the boxes with their margins, one after the other
    unsigned long long* __restrict__ areas)  // (n), 0 at first
{
    const long long* own = boxes + 6LL * blockIdx.x;
    const int region = (int)own[0], top = (int)own[1], left = (int)own[3];
    const int n_rows = (int)own[2] - top + 3, n_columns = (int)own[4] - left + 3;
    const int n_pixels = n_rows * n_columns;
    int* parents = pixels + own[5];
    for (int k = threadIdx.x; k < n_pixels; k += blockDim.x) parents[k] = k;
    __syncthreads();
    const int first_run = (int)starts[top], stop_run = (int)starts[own[2] + 1];
    for (int k = first_run + threadIdx.x; k < stop_run; k += blockDim.x) {
        if (regions[k] != region) continue;
        const Run run = ((const Run*)runs)[k];
        int* row = parents + (run.row - top + 1) * n_columns + 1 - left;
        for (int x = run.first; x <= run.last; ++x) row[x] = TAKEN;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < n_pixels; k += blockDim.x) {
        if (parent_of(parents, k) == TAKEN) continue;
        const int y = k / n_columns, x = k % n_columns;
        if (x > 0 && parent_of(parents, k - 1) != TAKEN) join(parents, k, k - 1);
        for (int beside = max(x - 1, 0); y > 0 && beside <= min(x + 1, n_columns - 1); ++beside) {
            const int other = k - n_columns + beside - x;
            if (parent_of(parents, other) != TAKEN) join(parents, k, other);
        }
    }
    __syncthreads();
    // The first pixel belongs to the margin, and is the smallest of its set.
    unsigned long long n_inside = 0;
    for (int k = threadIdx.x; k < n_pixels; k += blockDim.x)
        n_inside += parent_of(parents, k) == TAKEN || flatten(parents, k) != 0;
    atomicAdd(areas + blockIdx.x, n_inside);
}
