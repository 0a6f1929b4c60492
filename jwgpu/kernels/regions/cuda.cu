// Connected regions: runs of flagged pixels in rows, joined to regions with those of the row above.
// Rows are counted through all searches. What is found does not depend on the order of threads:
// the number of a region is that of its first run, and its sums are integers. Only which run points
// at which on the way to the first one does.
// unordered: join_runs
#include "run.cuh"
#include "union.cuh"

// A search: the plane to look at, the one to leave out (-1: none), the flag, the least area.
struct Search {
    long long plane, unless, flag, least_area;
};

// Columns that a warp reads before it looks at them: 32 each.
constexpr int AHEAD = 4;
constexpr unsigned int ALL = 0xffffffffu;

// Count the runs of each row, or write them to where its runs start. A warp takes a row.
extern "C" __global__ void scan_rows(
    const unsigned char* __restrict__ planes,  // (planes, y, x)
    const long long* __restrict__ searches,    // (searches, 4)
    const long long* __restrict__ starts,      // (rows + 1)
    long long* __restrict__ counts,            // (rows + 1): the first stays 0; or null
    int* __restrict__ runs,                    // (runs, 3); or null
    const int n_searches, const int n_rows, const int n_columns)
{
    const int lane = threadIdx.x % 32;
    const long long row = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= (long long)n_searches * n_rows) return;
    const Search search = ((const Search*)searches)[row / n_rows];
    const long long image = (long long)n_rows * n_columns, offset = row % n_rows * n_columns;
    const unsigned char* pixels = planes + search.plane * image + offset;
    const unsigned char* beside = search.unless < 0 ? 0 : planes + search.unless * image + offset;
    Run* own = runs ? (Run*)runs + starts[row] : 0;
    const unsigned int before_lane = (1u << lane) - 1u;
    int n_begun = 0, n_ended = 0;
    unsigned int carry = 0;
    // Beyond the last column a run ends that reaches it.
    for (int left = 0; left <= n_columns; left += 32 * AHEAD) {
        bool is_set[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            const int x = left + 32 * k + lane;
            is_set[k] = x < n_columns && (pixels[x] & search.flag) &&
                        !(beside && (beside[x] & search.flag));
        }
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            const unsigned int set = __ballot_sync(ALL, is_set[k]);
            const unsigned int shifted = set << 1 | carry;
            const unsigned int begins = set & ~shifted, ends = ~set & shifted;
            const int x = left + 32 * k + lane;
            if (own && begins >> lane & 1u) {
                Run& run = own[n_begun + __popc(begins & before_lane)];
                run.row = (int)row;
                run.first = x;
            }
            if (own && ends >> lane & 1u) own[n_ended + __popc(ends & before_lane)].last = x - 1;
            n_begun += __popc(begins);
            n_ended += __popc(ends);
            carry = set >> 31;
        }
    }
    if (counts && lane == 0) counts[row + 1] = n_begun;
}

// Begin with each run as a region of its own.
extern "C" __global__ void begin_regions(
    const int* __restrict__ runs,
    int* __restrict__ parents,     // (runs)
    long long* __restrict__ sums,  // (runs, 6)
    int* __restrict__ boxes,       // (runs, 4)
    const int n_runs)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n_runs) return;
    const Run run = ((const Run*)runs)[k];
    parents[k] = k;
    for (int i = 0; i < 6; ++i) sums[6LL * k + i] = 0;
    int* box = boxes + 4LL * k;
    box[0] = box[1] = run.row;
    box[2] = run.first;
    box[3] = run.last;
}

// Join each run with those of the row above that it touches, across corners too.
extern "C" __global__ void join_runs(
    const int* __restrict__ runs,
    const long long* __restrict__ starts,
    int* __restrict__ parents,
    const int n_rows, const int n_runs)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n_runs) return;
    const Run* all = (const Run*)runs;
    const Run run = all[k];
    if (run.row % n_rows == 0) return;
    int other = (int)starts[run.row - 1];
    const int stop = (int)starts[run.row];
    for (int end = stop; other < end;) {
        const int middle = other + (end - other) / 2;
        if (all[middle].last < run.first - 1)
            other = middle + 1;
        else
            end = middle;
    }
    for (; other < stop && all[other].first <= run.last + 1; ++other) join(parents, k, other);
}

// Make each run point at the first one of its region.
extern "C" __global__ void flatten_regions(int* __restrict__ parents, const int n_runs)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k < n_runs) flatten(parents, k);
}

// Sum up the moments of each region, at its first run, and find its box.
extern "C" __global__ void measure_regions(
    const int* __restrict__ runs,
    const int* __restrict__ regions,  // (runs): the first run of the region of each
    long long* __restrict__ sums,
    int* __restrict__ boxes,
    const int n_rows, const int n_runs)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n_runs) return;
    const Run run = ((const Run*)runs)[k];
    const int region = regions[k];
    const long long y = run.row % n_rows, left = run.first, right = run.last;
    const long long n = right - left + 1;
    const long long sum_x = n * (left + right) / 2;
    const long long before = (left - 1) * left * (2 * left - 1) / 6;
    unsigned long long* own = (unsigned long long*)sums + 6LL * region;
    atomicAdd(own, (unsigned long long)n);
    atomicAdd(own + 1, (unsigned long long)sum_x);
    atomicAdd(own + 2, (unsigned long long)(n * y));
    atomicAdd(own + 3, (unsigned long long)(right * (right + 1) * (2 * right + 1) / 6 - before));
    atomicAdd(own + 4, (unsigned long long)(sum_x * y));
    atomicAdd(own + 5, (unsigned long long)(n * y * y));
    int* box = boxes + 4LL * region;
    atomicMax(box + 1, run.row);
    atomicMin(box + 2, run.first);
    atomicMax(box + 3, run.last);
}

// Say of each run whether it is the first one of a region that is large (1), or that may be if it
// has holes (2).
extern "C" __global__ void judge_regions(
    const int* __restrict__ runs,
    const int* __restrict__ regions,
    const long long* __restrict__ sums,
    const int* __restrict__ boxes,
    const long long* __restrict__ searches,
    unsigned char* __restrict__ verdicts,  // (runs)
    const int least_area_with_hole, const int n_rows, const int n_runs)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n_runs) return;
    unsigned char verdict = 0;
    if (regions[k] == k) {
        const long long least = ((const Search*)searches)[((const Run*)runs)[k].row / n_rows].least_area;
        const long long area = sums[6LL * k];
        const int* box = boxes + 4LL * k;
        const long long box_area = (box[1] - box[0] + 1LL) * (box[3] - box[2] + 1LL);
        if (area >= least)
            verdict = 1;
        else if (area >= least_area_with_hole && box_area >= least)
            verdict = 2;
    }
    verdicts[k] = verdict;
}

// Gather the numbers of some regions, for the host.
extern "C" __global__ void gather_regions(
    const long long* __restrict__ chosen,  // (n)
    const unsigned char* __restrict__ verdicts,
    const long long* __restrict__ sums,
    const int* __restrict__ boxes,
    long long* __restrict__ table,  // (n, 12): region, verdict, sums, box
    const int n)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n) return;
    const long long region = chosen[k];
    long long* row = table + 12LL * k;
    row[0] = region;
    row[1] = verdicts[region];
    for (int i = 0; i < 6; ++i) row[2 + i] = sums[6 * region + i];
    for (int i = 0; i < 4; ++i) row[8 + i] = boxes[4 * region + i];
}
