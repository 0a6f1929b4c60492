// Saturation of interleaved images: the onset planes of the saturation kernel, of the detector's own
// rows. Threads take one pixel of the detector (along x) of one integration (along y).
#include "flags.cuh"
#include "saturation/onset.cuh"

// Where an interleaved image (groups, stored rows, columns) has a pixel of the detector.
struct Pixels {
    const int* rows;
    int n_groups, stored_rows, columns;

    __device__ long long first_sample(int pixel) const
    {
        const int row = rows[pixel / columns];
        return (long long)blockIdx.y * n_groups * group() + (long long)row * columns
               + pixel % columns;
    }
    __device__ long long group() const { return (long long)stored_rows * columns; }
};

// Find when each pixel of an integration saturates, and flag the converter's floor.
extern "C" __global__ void find_onsets(
    const float* data, unsigned char* groupdq, const float* threshold, const int* rows,
    int n_groups, int stored_rows, int columns, int n_pixels, unsigned short* onset,
    unsigned int* seen)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    const Pixels pixels = {rows, n_groups, stored_rows, columns};
    unsigned int first = NEVER, found = 0;
    long long at = pixels.first_sample(pixel);
    for (int group = 0; group < n_groups; ++group, at += pixels.group()) {
        const float sample = data[at];
        if (sample >= threshold[pixel]) first = min(first, (unsigned int)group);
        if (sample <= 0.0f) {
            groupdq[at] |= AD_FLOOR | DO_NOT_USE;
            found |= AD_FLOOR;
        }
    }
    onset[(long long)blockIdx.y * n_pixels + pixel] = first;
    if (found) atomicOr(&seen[pixel], found);
}

// Mark (0, else NEVER) pixels whose second group hides a saturated frame.
extern "C" __global__ void find_hidden(
    const float* data, const float* threshold, const float* bias, const int* rows, int frames,
    int n_groups, int stored_rows, int columns, int n_pixels, unsigned short* hidden)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    const Pixels pixels = {rows, n_groups, stored_rows, columns};
    const long long at = pixels.first_sample(pixel);
    unsigned int result = NEVER;
    if (data[at + 2 * pixels.group()] >= threshold[pixel]) {
        const float pedestal =
            bias ? bias[(long long)rows[pixel / columns] * columns + pixel % columns] : 0.0f;
        const float value_1 = data[at], value_2 = data[at + pixels.group()];
        if (hides_saturation(value_1, value_2, threshold[pixel], pedestal, frames)) result = 0;
    }
    hidden[(long long)blockIdx.y * n_pixels + pixel] = result;
}

// Flag groups first_group…stop_group of a pixel from the earliest onset nearby on.
extern "C" __global__ void flag_grown(
    unsigned char* groupdq, const unsigned short* onset, const int* rows, int grow,
    int first_group, int stop_group, int n_groups, int stored_rows, int columns, int n_pixels,
    unsigned int* seen)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    const Pixels pixels = {rows, n_groups, stored_rows, columns};
    const unsigned short* plane = onset + (long long)blockIdx.y * n_pixels;
    const unsigned int grown = grow_onset(plane, pixel, n_pixels / columns, columns, grow);
    const int first = max((int)grown, first_group);
    const long long at = pixels.first_sample(pixel);
    for (int group = first; group < stop_group; ++group)
        groupdq[at + group * pixels.group()] |= SATURATED;
    if (first < stop_group) atomicOr(&seen[pixel], (unsigned int)SATURATED);
}
