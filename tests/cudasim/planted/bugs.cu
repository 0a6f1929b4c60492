// Kernels with one bug each, which the emulator must find; and one that is right.

__device__ float block_sum(float value)
{
    __shared__ float sums[32];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    for (int step = 16; step > 0; step >>= 1) value += __shfl_down_sync(0xffffffffu, value, step);
    if (lane == 0) sums[warp] = value;
    __syncthreads();
    const int n_warps = (blockDim.x + 31) >> 5;
    value = threadIdx.x < n_warps ? sums[lane] : 0.0f;
    if (warp == 0)
        for (int step = 16; step > 0; step >>= 1)
            value += __shfl_down_sync(0xffffffffu, value, step);
    return value;  // in thread 0
}

extern "C" __global__ void right(const float* in, float* out)
{
    const float sum = block_sum(in[threadIdx.x]);
    if (threadIdx.x == 0) out[0] = sum;
}

extern "C" __global__ void write_past_the_end(float* out, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= n) out[i] = 1.0f;  // BUG
}

extern "C" __global__ void read_before_the_start(const float* in, float* out, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = in[i - 1];  // BUG
}

extern "C" __global__ void read_far_beyond(const float* in, float* out, long long far)
{
    out[threadIdx.x] = in[far];  // BUG
}

extern "C" __global__ void shared_past_the_end(float* out)
{
    __shared__ float values[64];
    values[threadIdx.x + 1] = 1.0f;  // BUG
    __syncthreads();
    out[threadIdx.x] = values[threadIdx.x];
}

extern "C" __global__ void local_past_the_end(float* out, int n)
{
    float values[8];
    for (int i = 0; i <= n; ++i) values[i] = i;  // BUG
    out[threadIdx.x] = values[threadIdx.x & 7];
}

extern "C" __global__ void too_little_dynamic_shared(float* out, int n)
{
    extern __shared__ float values[];
    values[threadIdx.x] = threadIdx.x;  // BUG
    __syncthreads();
    out[threadIdx.x] = values[n - 1 - threadIdx.x];
}

extern "C" __global__ void missing_barrier(const float* in, float* out)
{
    __shared__ float values[128];
    values[threadIdx.x] = in[threadIdx.x];
    out[threadIdx.x] = values[127 - threadIdx.x];
}

extern "C" __global__ void sum_twice(const float* in, float* out)
{
    const float first = block_sum(in[threadIdx.x]);
    const float second = block_sum(2.0f * in[threadIdx.x]);  // BUG: no barrier before, sums is in use
    if (threadIdx.x == 0) {
        out[0] = first;
        out[1] = second;
    }
}

extern "C" __global__ void blocks_race(float* out)
{
    if (threadIdx.x == 0) out[0] = blockIdx.x;
}

extern "C" __global__ void shared_not_set(float* out)
{
    __shared__ float values[32];
    if (threadIdx.x < 31) values[threadIdx.x] = 1.0f;
    __syncthreads();
    out[threadIdx.x] = values[threadIdx.x];
}

extern "C" __global__ void divergent_barrier(float* out)
{
    if (threadIdx.x < 16) __syncthreads();
    else { out[threadIdx.x] = 1; __syncthreads(); }  // BUG
}

extern "C" __global__ void part_of_a_warp(float* out)
{
    if (threadIdx.x < 20)
        out[threadIdx.x] = __shfl_down_sync(0xffffffffu, (float)threadIdx.x, 1);  // BUG
    else __syncthreads();
}

extern "C" __global__ void index_of_nan(const float* in, float* out, int n)
{
    const int i = (int)floorf(in[threadIdx.x]);  // BUG: 0 on a GPU, INT_MIN on x86
    if (i >= 0 && i < n) atomicAdd(&out[i], 1.0f);
}

extern "C" __global__ void int_overflow(float* out, int nx, int ny)
{
    out[0] = (float)(nx * ny);  // BUG
}

extern "C" __global__ void shift_too_far(unsigned int* out, int bits)
{
    out[0] = 1u << bits;  // BUG
}

extern "C" __global__ void misaligned(float* out)
{
    reinterpret_cast<float4*>(out + 1)[0] = make_float4(1.0f, 2.0f, 3.0f, 4.0f);  // BUG
}

extern "C" __global__ void divide_by_zero(int* out, int n)
{
    out[0] = 7 / n;  // BUG
}

extern "C" __global__ void write_to_const(const float* in)
{
    const_cast<float*>(in)[0] = 3.0f;
}

extern "C" __global__ void huge_local_array(float* out)
{  // BUG
    volatile float values[200000];
    values[threadIdx.x] = 1;
    out[threadIdx.x] = values[0];
}

extern "C" __global__ void racy_sum(const float* in, float* out)
{
    out[0] += in[threadIdx.x];  // BUG: which only the race detector sees
}
