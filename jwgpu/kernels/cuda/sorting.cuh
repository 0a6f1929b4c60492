// Sorting by a network, Batcher's merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2,
// algorithm M): which values are compared does not depend on them. An exchange gets two values, and
// puts the one first that is to come first.
#pragma once

// The largest power of 2 below n, or 1.
constexpr __device__ int power_below(int n)
{
    int power = 1;
    while (2 * power < n) power *= 2;
    return power;
}

template <int SIZE, int STRIDE, int DISTANCE, int REMAINDER, int N, class Value, class Exchange>
__device__ void merge_exchange(Value (&values)[N], Exchange exchange)
{
#pragma unroll
    for (int k = 0; k < N - DISTANCE; ++k)
        if ((k & SIZE) == REMAINDER) exchange(values[k], values[k + DISTANCE]);
    if constexpr (STRIDE != SIZE)
        merge_exchange<SIZE, STRIDE / 2, STRIDE - SIZE, SIZE>(values, exchange);
    else if constexpr (SIZE > 1)
        merge_exchange<SIZE / 2, power_below(N), SIZE / 2, 0>(values, exchange);
}

// Sort values in registers: all indices are known when it is compiled.
template <int N, class Value, class Exchange>
__device__ void sort_in_registers(Value (&values)[N], Exchange exchange)
{
    constexpr int top = power_below(N);
    merge_exchange<top, top, top, 0>(values, exchange);
}

// Sort `length` values in memory, where `at` gives the one of an index.
template <class At, class Exchange>
__device__ void sort_in_memory(At at, int length, Exchange exchange)
{
    const int top = power_below(length);
    for (int size = top; size > 0; size /= 2) {
        int distance = size, stride = top, remainder = 0;
        while (true) {
            for (int k = 0; k < length - distance; ++k)
                if ((k & size) == remainder) exchange(at(k), at(k + distance));
            if (stride == size) break;
            distance = stride - size;
            stride /= 2;
            remainder = size;
        }
    }
}

// The smaller value comes first; as in the networks of the CPU.
struct Smaller {
    __device__ void operator()(double& a, double& b) const
    {
        const double low = a, high = b;
        a = low < high ? low : high;
        b = high < low ? low : high;
    }
};
