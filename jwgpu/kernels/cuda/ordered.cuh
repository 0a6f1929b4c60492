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

inline __device__ unsigned long long key_of(double value)
{
    const long long bits = __double_as_longlong(value);
    const unsigned long long sign = 0x8000000000000000ull;
    return bits < 0 ? ~(unsigned long long)bits : (unsigned long long)bits | sign;
}

inline __device__ double value_of(unsigned long long key)
{
    const unsigned long long sign = 0x8000000000000000ull;
    return __longlong_as_double((long long)(key & sign ? key ^ sign : ~key));
}

// Above all other values; in double precision, too.
inline __device__ float infinity() { return __int_as_float(0x7f800000); }
