// Values by their rank among the differences of one pixel, which are neither sorted nor kept.
//
// Sorting many differences would move each of them many times. But few are asked for: the median,
// and what is next to it and to the ends after some are left out. So the differences are counted in
// bins, and those of a few bins around the rank are kept, sorted: reading the ramp twice settles
// most ranks that will be asked for. The result is that of sorting.
#pragma once
#include "ramp.cuh"

constexpr int BINS = 64;    // counters of each thread in shared memory
constexpr int SPOTS = 32;   // differences looked at to see where the bins should be
constexpr int MARGIN = 8;   // ranks among them by which they may be misleading
constexpr int KEPT = 32;    // values kept around a rank
constexpr int WINDOWS = 3;  // ranks around which they are kept: near both ends and the middle

// What is known of the differences of a pixel after reading them once.
struct Census {
    int n_usable = 0, n_negative_infinite = 0, n_positive_infinite = 0;
    // Of the finite ones.
    float least = infinity(), greatest = -infinity();
    float least_size = infinity(), greatest_size = 0.0f;

    __device__ void add(float difference)
    {
        if (difference != difference) return;
        ++n_usable;
        n_negative_infinite += difference == -infinity();
        n_positive_infinite += difference == infinity();
        const float size = fabsf(difference);
        if (size == infinity()) return;
        least = fminf(least, difference);
        greatest = fmaxf(greatest, difference);
        least_size = fminf(least_size, size);
        greatest_size = fmaxf(greatest_size, size);
    }
};

// Some values of neighbouring ranks.
struct Window {
    int first, size;
    bool is_constant;  // all have the same value; then there may be more than KEPT
    float values[KEPT];

    __device__ void add(float value, int n)
    {
        int k = n;
        for (; k > 0 && values[k - 1] > value; --k) values[k] = values[k - 1];
        values[k] = value;
    }
};

// The finite differences between two values, and how they are shared out to bins: by their size, or
// by their exponents where all are above zero. Then a jump does not put all others into one bin.
struct Range {
    float low, high, scale;
    bool has_exponents;

    __device__ Range(float low, float high)
        : low(low), high(high), has_exponents(low > 0.0f)
    {
        scale = BINS / place(high);
    }

    // Halved, so that it is finite.
    __device__ float place(float value) const
    {
        if (has_exponents) return (float)(__float_as_int(value) - __float_as_int(low));
        return value * 0.5f - low * 0.5f;
    }

    // Never less for a larger value; low and high are in different bins if they differ.
    __device__ int bin(float value) const
    {
        if (value <= low) return 0;
        if (value >= high) return BINS - 1;
        return (int)fminf(place(value) * scale, (float)(BINS - 1));
    }
};

class Ranks {
public:
    // `counts` is shared memory, BINS for each thread of the block.
    __device__ Ranks(const Ramp& ramp, const Census& census, bool is_absolute, unsigned int* counts)
        : ramp(ramp), is_absolute(is_absolute), counts(counts + threadIdx.x)
    {
        const int n_infinite = census.n_negative_infinite + census.n_positive_infinite;
        n_finite = census.n_usable - n_infinite;
        n_before = is_absolute ? 0 : census.n_negative_infinite;
        least = is_absolute ? census.least_size : census.least;
        greatest = is_absolute ? census.greatest_size : census.greatest;
        for (int i = 0; i < WINDOWS; ++i) windows[i].first = windows[i].size = 0;
        is_surveyed = false;
    }

    // The value of a rank, 0 for the least.
    __device__ float operator[](int rank)
    {
        const int r = rank - n_before;
        if (r < 0) return -infinity();
        if (r >= n_finite) return infinity();
        if (r == 0) return least;
        if (r == n_finite - 1) return greatest;
        Window& window = windows[r < n_finite / 4 ? 0 : r < n_finite - n_finite / 4 ? 1 : 2];
        if (r < window.first || r >= window.first + window.size) fill(window, r);
        return window.values[window.is_constant ? 0 : r - window.first];
    }

private:
    const Ramp& ramp;
    const bool is_absolute;
    unsigned int* const counts;
    int n_finite, n_before;
    float least, greatest;
    bool is_surveyed;
    int n_spots;
    float spots[SPOTS];
    Window windows[WINDOWS];

    __device__ float key(float difference) const
    {
        return is_absolute ? fabsf(difference) : difference;
    }

    // Sorts a few differences from all over the ramp.
    __device__ void survey()
    {
        float sorted[SPOTS];
        n_spots = 0;
#pragma unroll
        for (int i = 0; i < SPOTS; ++i) {
            int s = (int)((2 * i + 1) * (long long)ramp.n_samples / (2 * SPOTS));
            if (s % ramp.n_groups == 0) ++s;
            const float value = key(ramp.difference(s));
            const bool is_finite = fabsf(value) < infinity();
            sorted[i] = is_finite ? value : infinity();
            n_spots += is_finite;
        }
        sort_by_size(sorted);
        // Those below zero come first, the largest before all others.
        int n_negative = 0;
#pragma unroll
        for (int i = 0; i < SPOTS; ++i) n_negative += sorted[i] < 0.0f;
        int next_negative = n_negative - 1, next_positive = n_negative;
#pragma unroll
        for (int i = 0; i < SPOTS; ++i) {
            spots[sorted[i] < 0.0f ? next_negative-- : next_positive++] = sorted[i];
        }
        is_surveyed = true;
    }

    // Where the value of a rank is to be looked for.
    __device__ Range likely_range(int r)
    {
        if (!is_surveyed) survey();
        const int spot = (int)((long long)r * n_spots / n_finite);
        const float low = spot >= MARGIN ? spots[spot - MARGIN] : least;
        return Range(low, spot + MARGIN < n_spots ? spots[spot + MARGIN] : greatest);
    }

    // Counts what is in each bin, and returns how many values are below all of them.
    __device__ int count(const Range& range)
    {
        for (int bin = 0; bin < BINS; ++bin) counts[bin * blockDim.x] = 0;
        int n_below = 0;
        ramp.for_each([&](int, float difference, unsigned char) {
            const float value = key(difference);
            n_below += value < range.low && value > -infinity();
            if (value >= range.low && value <= range.high) ++counts[range.bin(value) * blockDim.x];
        });
        return n_below;
    }

    // Keeps values around a rank.
    __noinline__ __device__ void fill(Window& window, int r)
    {
        Range range = likely_range(r);
        for (;;) {
            int before = count(range);
            if (r < before) {  // the survey was misleading
                range = Range(least, range.low);
                continue;
            }
            int first = 0;
            while (first < BINS && before + (int)counts[first * blockDim.x] <= r) {
                before += counts[first++ * blockDim.x];
            }
            if (first == BINS) {
                range = Range(range.high, greatest);
                continue;
            }
            int last = first, size = counts[first * blockDim.x];
            widen(before, first, last, size);
            window.first = before;
            window.size = size;
            if (keep(window, range, first, last)) return;
            // Too many in one bin: what lies in it is shared out anew.
            range = Range(window.values[0], window.values[1]);
        }
    }

    // Takes neighbouring bins in as long as there is room for what they hold.
    __device__ void widen(int& before, int& first, int& last, int& size) const
    {
        for (bool is_wider = true; is_wider;) {
            is_wider = false;
            if (first > 0 && size + (int)counts[(first - 1) * blockDim.x] <= KEPT) {
                const int n = counts[--first * blockDim.x];
                size += n;
                before -= n;
                is_wider = true;
            }
            if (last < BINS - 1 && size + (int)counts[(last + 1) * blockDim.x] <= KEPT) {
                size += counts[++last * blockDim.x];
                is_wider = true;
            }
        }
    }

    // Keeps the values of some bins; false if there are too many: then the first two values are
    // the least and the greatest of them.
    __device__ bool keep(Window& window, const Range& range, int first, int last) const
    {
        int n = 0;
        const bool has_room = window.size <= KEPT;
        float low = infinity(), high = -infinity();
        ramp.for_each([&](int, float difference, unsigned char) {
            const float value = key(difference);
            if (!(value >= range.low && value <= range.high)) return;
            const int bin = range.bin(value);
            if (bin < first || bin > last) return;
            if (has_room) window.add(value, n++);
            low = fminf(low, value);
            high = fmaxf(high, value);
        });
        window.is_constant = low == high;
        if (window.is_constant) window.values[0] = low;
        if (has_room || window.is_constant) return true;
        window.values[0] = low;
        window.values[1] = high;
        return false;
    }
};
