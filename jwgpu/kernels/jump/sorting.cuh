// Sorting in registers: which values are compared does not depend on them.
#pragma once

// One round of Batcher's odd-even merge sort (Knuth, The Art of Computer Programming 3, 5.2.2), and
// those after it. All indices are known when it is compiled, so that no value leaves its register.
template <int N, int MERGED, int DISTANCE>
__device__ void merge_from(float (&values)[N])
{
#pragma unroll
    for (int i = DISTANCE % MERGED; i < N - DISTANCE; ++i) {
        const int k = i + DISTANCE;
        const bool is_pair = (i - DISTANCE % MERGED) % (2 * DISTANCE) < DISTANCE
            && i / (2 * MERGED) == k / (2 * MERGED);
        if (!is_pair) continue;
        const float a = values[i], b = values[k];
        const bool is_swapped = fabsf(a) > fabsf(b);
        values[i] = is_swapped ? b : a;
        values[k] = is_swapped ? a : b;
    }
    if constexpr (DISTANCE > 1) merge_from<N, MERGED, DISTANCE / 2>(values);
    else if constexpr (2 * MERGED < N) merge_from<N, 2 * MERGED, 2 * MERGED>(values);
}

// Sorts values without NaN by their size, whatever their sign.
template <int N>
__device__ void sort_by_size(float (&values)[N])
{
    merge_from<N, 1, 1>(values);
}
