// Medians of a few values that cannot be put in order in place: by bisection of what is possible.
#pragma once
#include "ordered.cuh"

// The median of the n values that are not missing; there is at least one, and no NaN.
template <typename Window>
__device__ double median(const Window& window, int n)
{
    unsigned long long low = ~0ull, high = 0;
    for (int k = 0; k < window.size(); ++k) {
        const double value = window[k];
        if (value == infinity()) continue;
        low = min(low, key_of(value));
        high = max(high, key_of(value));
    }
    // The smallest key that more than (n - 1) / 2 values do not exceed.
    int n_below = n;
    while (low < high) {
        const unsigned long long middle = low + (high - low) / 2;
        int n_here = 0;
        for (int k = 0; k < window.size(); ++k) n_here += key_of(window[k]) <= middle;
        if (n_here > (n - 1) / 2) {
            high = middle;
            n_below = n_here;
        } else {
            low = middle + 1;
        }
    }
    if (n_below > n / 2) return 0.5 * (value_of(low) + value_of(low));
    unsigned long long next = ~0ull;
    for (int k = 0; k < window.size(); ++k) {
        const unsigned long long key = key_of(window[k]);
        if (key > low) next = min(next, key);
    }
    return 0.5 * (value_of(low) + value_of(next));
}
