// CUDA C++ device language on the host: force-included before a kernel file
// (g++ -include cudasim.hpp) so that the unmodified .cu runs on the CPU.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define CUDASIM 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __constant__ static
#define __align__(n) alignas(n)
// one block at a time per OS thread, so thread-local is block-local
#define __shared__ static thread_local

struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

namespace cudasim {
struct Thread { uint3 tid, bid; dim3 bdim, gdim; unsigned linear; };
enum Op { SHFL, BALLOT, SYNC };
extern "C" {
extern __attribute__((tls_model("initial-exec"))) thread_local Thread* cudasim_cur;
void cudasim_syncthreads(const char* file, int line);
int cudasim_syncthreads_count(int pred, const char* file, int line);
// all lanes of mask meet; every lane's value is copied to vals[32]
void cudasim_warp(Op op, unsigned mask, uint64_t v, uint64_t* vals,
                unsigned* present, const char* file, int line);
void* cudasim_dynamic_shared();
[[noreturn]] void cudasim_fail(const char* what, const char* file, int line);
int cudasim_launch(void (*body)(void*), void* ctx, const unsigned* grid,
                 const unsigned* block, size_t smem, char* err, size_t nerr);
}
template <class T> uint64_t pack(T v)
{
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value, "");
    uint64_t u = 0;
    std::memcpy(&u, &v, sizeof(T));
    return u;
}
template <class T> T unpack(uint64_t u) { T v; std::memcpy(&v, &u, sizeof(T)); return v; }
}  // namespace cudasim

#define threadIdx (cudasim::cudasim_cur->tid)
#define blockIdx (cudasim::cudasim_cur->bid)
#define blockDim (cudasim::cudasim_cur->bdim)
#define gridDim (cudasim::cudasim_cur->gdim)
static constexpr int warpSize = 32;

#define CUDASIM_AT const char* file = __builtin_FILE(), int line = __builtin_LINE()
// --- barriers ----------------------------------------------------------
inline void __syncthreads(CUDASIM_AT) { cudasim::cudasim_syncthreads(file, line); }
inline int __syncthreads_count(int p, CUDASIM_AT) { return cudasim::cudasim_syncthreads_count(p, file, line); }
inline int __syncthreads_or(int p, CUDASIM_AT) { return cudasim::cudasim_syncthreads_count(p, file, line) != 0; }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
// --- warps -------------------------------------------------------------
inline void __syncwarp(unsigned mask = 0xffffffffu, CUDASIM_AT)
{ uint64_t v[32]; unsigned p; cudasim::cudasim_warp(cudasim::SYNC, mask, 0, v, &p, file, line); }
inline unsigned __ballot_sync(unsigned mask, int pred, CUDASIM_AT)
{
    uint64_t v[32]; unsigned p, r = 0;
    cudasim::cudasim_warp(cudasim::BALLOT, mask, pred != 0, v, &p, file, line);
    for (int i = 0; i < 32; ++i) if ((p >> i & 1) && v[i]) r |= 1u << i;
    return r;
}
inline int __any_sync(unsigned m, int p, CUDASIM_AT) { return __ballot_sync(m, p, file, line) != 0; }
inline int __all_sync(unsigned m, int p, CUDASIM_AT) { return __ballot_sync(m, !p, file, line) == 0; }
namespace cudasim {
template <class T, class F>
T shfl(unsigned mask, T v, F src_of, const char* file, int line)
{
    uint64_t vals[32]; unsigned present;
    cudasim_warp(SHFL, mask, pack(v), vals, &present, file, line);
    const int lane = cudasim_cur->linear & 31, src = src_of(lane);
    if (src < 0) return v;                        // out of the segment: own value
    if (!(present >> src & 1)) return unpack<T>(~0ull);   // undefined on a GPU: poison
    return unpack<T>(vals[src]);
}
}
template <class T> T __shfl_sync(unsigned m, T v, int s, int w = 32, CUDASIM_AT)
{ return cudasim::shfl(m, v, [=](int l) { return (l & ~(w - 1)) + (s & (w - 1)); }, file, line); }
template <class T> T __shfl_down_sync(unsigned m, T v, unsigned d, int w = 32, CUDASIM_AT)
{ return cudasim::shfl(m, v, [=](int l) { return (l & (w - 1)) + (int)d < w ? l + (int)d : -1; }, file, line); }
template <class T> T __shfl_up_sync(unsigned m, T v, unsigned d, int w = 32, CUDASIM_AT)
{ return cudasim::shfl(m, v, [=](int l) { return (l & (w - 1)) >= (int)d ? l - (int)d : -1; }, file, line); }
template <class T> T __shfl_xor_sync(unsigned m, T v, int x, int w = 32, CUDASIM_AT)
{ return cudasim::shfl(m, v, [=](int l) { return (l ^ x) < (l & ~(w - 1)) + w ? (l ^ x) : -1; }, file, line); }
// --- atomics: real ones, so that blocks may run on several OS threads ---
template <class T> struct cudasim_same { typedef T type; };
template <class T, class F> T cudasim_rmw(T* p, F f)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "atomics are 4 or 8 bytes");
    T old, val;
    __atomic_load(p, &old, __ATOMIC_RELAXED);
    do val = f(old);
    while (!__atomic_compare_exchange(p, &old, &val, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}
#define CUDASIM_ATOMIC(NAME, EXPR) \
    template <class T> T NAME(T* p, typename cudasim_same<T>::type v) \
    { return cudasim_rmw(p, [=](T o) -> T { return EXPR; }); }
CUDASIM_ATOMIC(atomicAdd, o + v)
CUDASIM_ATOMIC(atomicSub, o - v)
CUDASIM_ATOMIC(atomicMin, v < o ? v : o)
CUDASIM_ATOMIC(atomicMax, v > o ? v : o)
CUDASIM_ATOMIC(atomicExch, ((void)o, v))
CUDASIM_ATOMIC(atomicAnd, o & v)
CUDASIM_ATOMIC(atomicOr, o | v)
CUDASIM_ATOMIC(atomicXor, o ^ v)
template <class T> T atomicCAS(T* p, typename cudasim_same<T>::type c, typename cudasim_same<T>::type v)
{ return cudasim_rmw(p, [=](T o) { return o == c ? v : o; }); }
// --- arithmetic intrinsics ----------------------------------------------
using std::isnan; using std::isinf; using std::isfinite;
template <class A, class B, class = std::enable_if_t<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value>>
constexpr auto max(A a, B b)
{
    typedef std::common_type_t<A, B> C;
    if constexpr (std::is_floating_point<C>::value) return std::fmax((C)a, (C)b);
    else return (C)a > (C)b ? (C)a : (C)b;
}
template <class A, class B, class = std::enable_if_t<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value>>
constexpr auto min(A a, B b)
{
    typedef std::common_type_t<A, B> C;
    if constexpr (std::is_floating_point<C>::value) return std::fmin((C)a, (C)b);
    else return (C)a < (C)b ? (C)a : (C)b;
}
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float __fmul_rn(float a, float b) { volatile float r = a * b; return r; }
inline float __fadd_rn(float a, float b) { volatile float r = a + b; return r; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __float_as_int(float x) { return cudasim::unpack<int>(cudasim::pack(x)); }
inline float __int_as_float(int x) { return cudasim::unpack<float>(cudasim::pack(x)); }
inline unsigned __float_as_uint(float x) { return cudasim::unpack<unsigned>(cudasim::pack(x)); }
inline float __uint_as_float(unsigned x) { return cudasim::unpack<float>(cudasim::pack(x)); }
inline long long __double_as_longlong(double x) { return cudasim::unpack<long long>(cudasim::pack(x)); }
inline double __longlong_as_double(long long x) { return cudasim::unpack<double>(cudasim::pack(x)); }
template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T, class V> void __stcs(T* p, V v) { *p = (T)v; }

// --- what the loader appends for every __global__ function ---------------
namespace cudasim {
template <class T> struct code {
    static constexpr char kind = std::is_pointer<T>::value ? 'p' :
        std::is_same<T, bool>::value ? 'b' : std::is_floating_point<T>::value ? 'f' :
        std::is_signed<T>::value ? 'i' : std::is_unsigned<T>::value ? 'u' : 'V';
};
template <class T> int describe(char* s)       // e.g. "*cf4" = const float*
{
    int n = 0;
    typedef std::remove_cv_t<std::remove_pointer_t<T>> E;
    if (std::is_pointer<T>::value) {
        s[n++] = '*';
        if (std::is_const<std::remove_pointer_t<T>>::value) s[n++] = 'c';
    }
    s[n++] = code<E>::kind;
    s[n++] = '0' + (char)sizeof(E);
    s[n++] = ' ';
    return n;
}
template <class... A> struct Kernel {
    void (*fn)(A...);
    void** args;
    template <size_t... I> void call(std::index_sequence<I...>)
    { fn(*static_cast<std::remove_cv_t<std::remove_reference_t<A>>*>(args[I])...); }
    static void body(void* self)
    { static_cast<Kernel*>(self)->call(std::index_sequence_for<A...>()); }
    static void signature(char* s) { int n = 0; ((n += describe<A>(s + n)), ...); s[n] = 0; }
};
template <class... A> Kernel<A...> bind(void (*f)(A...), void** a = nullptr) { return {f, a}; }
}
#define CUDASIM_EXPORT(NAME) \
    extern "C" int cudasim_launch_##NAME(const unsigned* g, const unsigned* b, size_t smem, \
                                       void** args, char* err, size_t nerr) \
    { auto k = cudasim::bind(NAME, args); return cudasim::cudasim_launch(k.body, &k, g, b, smem, err, nerr); } \
    extern "C" void cudasim_signature_##NAME(char* s) { cudasim::bind(NAME).signature(s); }
