// Numbers that are ordered as values are.
#pragma once

// A number that grows with the value, and back.
inline __device__ unsigned int key_of(float value)
{
    const unsigned int bits = __float_as_uint(value);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

inline __device__ float value_of(unsigned int key)
{
    return __uint_as_float(key >> 31 ? key & 0x7fffffffu : ~key);
}
