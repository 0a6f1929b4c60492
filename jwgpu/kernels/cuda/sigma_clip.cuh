// Selection by rank, and sigma clipping, of one pixel's values; as jump/sigma_clip_cpu.py.
#pragma once

// Values of one pixel that lie a step apart, as in a workspace [value][pixel].
struct Column {
    float* first;
    long long step;

    __device__ float& operator[](int k) const { return first[k * step]; }
};

// The value of that rank among the first n, which are put in another order: Hoare's FIND. The order
// it leaves matters to the last bit of sums made afterwards.
inline __device__ double select(Column values, int n, int rank)
{
    int left = 0, right = n - 1;
    while (left < right) {
        const float pivot = values[rank];
        int i = left, j = right;
        while (i <= j) {
            while (values[i] < pivot) ++i;
            while (pivot < values[j]) --j;
            if (i <= j) {
                const float value = values[i];
                values[i] = values[j];
                values[j] = value;
                ++i;
                --j;
            }
        }
        if (j < rank) left = i;
        if (rank < i) right = j;
    }
    return (double)values[rank];
}

// The bounds that sigma clipping around the median leaves for n finite values, which are
// overwritten. The sums run in the order that finding the median leaves the values in.
inline __device__ void clipping_bounds(
    Column values, int n, double rejection, double& low, double& high)
{
    low = nan("");
    high = nan("");
    for (int round = 0; round < 5 && n > 0; ++round) {
        double center = select(values, n, n / 2);
        if (n % 2 == 0) center = 0.5 * (center + select(values, n, n / 2 - 1));
        double mean = 0.0;
        for (int k = 0; k < n; ++k) mean += (double)values[k];
        mean /= n;
        double variance = 0.0;
        for (int k = 0; k < n; ++k) {
            const double distance = (double)values[k] - mean;
            variance += distance * distance;
        }
        const double sigma = sqrt(variance / n);
        low = center - rejection * sigma;
        high = center + rejection * sigma;
        int kept = 0;
        for (int k = 0; k < n; ++k) {
            const float value = values[k];
            if (value >= low && value <= high) values[kept++] = value;
        }
        if (kept == n) break;
        n = kept;
    }
}
