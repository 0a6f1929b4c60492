// Parts of the search for saturation that other readouts share. A pixel's onset is its first
// saturated group.
#pragma once

constexpr unsigned int NEVER = 65535;

// The earliest onset within `grow` pixels of a pixel.
inline __device__ unsigned int grow_onset(
    const unsigned short* onset, int pixel, int n_y, int n_x, int grow)
{
    const int y = pixel / n_x;
    const int x = pixel % n_x;
    unsigned int earliest = NEVER;
    for (int near = max(y - grow, 0); near <= min(y + grow, n_y - 1); ++near)
        for (int beside = max(x - grow, 0); beside <= min(x + grow, n_x - 1); ++beside)
            earliest = min(earliest, (unsigned int)onset[(long long)near * n_x + beside]);
    return earliest;
}

// Tell whether the second group, before a saturated third one, may hide a saturated frame.
inline __device__ bool hides_saturation(
    float value_1, float value_2, float threshold, float bias, int frames)
{
    const double foretold =
        (double)(value_1 - bias) / ((frames + 1) / 2.0) * (3 * frames) + (double)bias;
    const float step = value_2 - value_1;
    const float room = (threshold - value_1) / (float)frames;
    return foretold < (double)threshold && step > room;
}
