// IRS2: the mean of the groups, and statistics of pairs of readings.
#include "lanes.cuh"

// The mean of images, summed in order: one thread a pixel.
extern "C" __global__ void mean_image(
    const float* images, int n_images, long long n_pixels, double* mean)
{
    const long long pixel = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    double total = 0.0;
    for (int i = 0; i < n_images; ++i) total += images[i * n_pixels + pixel];
    mean[pixel] = total / n_images;
}

// Describe pairs of rows, one warp a pair: result (pairs, 3).
extern "C" __global__ void describe_pairs(
    const float* images, const int* rows, int n_pairs, int n_images, int n_y, int width,
    double* result)
{
    const int lane = threadIdx.x % LANES;
    const long long pair = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    if (pair >= n_pairs) return;
    const long long n = (long long)n_images * width, size = (long long)n_y * width;
    const float* first = images + (long long)rows[pair] * width;
    double differences = 0.0, total = 0.0;
    for (int i = 0; i < n_images; ++i)
        for (int x = lane; x < width; x += LANES) {
            const float a = first[i * size + x], b = first[i * size + width + x];
            differences += fabsf(b - a);
            total += (double)a + (double)b;
        }
    const double difference = sum_of_lanes(differences) / n;
    const double mean = sum_of_lanes(total) / (2 * n);
    double squares = 0.0;
    for (int i = 0; i < n_images; ++i)
        for (int x = lane; x < width; x += LANES) {
            const double low = first[i * size + x] - mean, high = first[i * size + width + x] - mean;
            squares += low * low + high * high;
        }
    squares = sum_of_lanes(squares);
    if (lane > 0) return;
    result[3 * pair] = difference;
    result[3 * pair + 1] = mean;
    result[3 * pair + 2] = sqrt(squares / (2 * n));
}
