// layer_norm.rs on an NVIDIA GPU: one warp per row, which it holds in its registers. WIDTH, the
// values of a row, and WARPS, those of a block, are constants of the compilation.

#define WARP 32
#define FULL 0xffffffffu
// Of a row, in each lane: places lane, lane + 32, …
#define VALUES ((WIDTH + WARP - 1) / WARP)
#define EACH(k, i) \
    _Pragma("unroll") for (u32 k = 0; k < VALUES; k++) \
        if (u32 i = k * WARP + threadIdx.x % WARP; WIDTH % WARP == 0 || i < WIDTH)
typedef unsigned int u32;

__device__ __forceinline__ float warp_sum(float x) {
    for (int step = WARP / 2; step > 0; step /= 2) x += __shfl_xor_sync(FULL, x, step);
    return x;
}

// Mean and 1/√(variance + ε).
__device__ __forceinline__ void moments(const float x[VALUES], float epsilon, float* mean, float* inverse) {
    float sum = 0.f, squares = 0.f;
    EACH(k, i) sum += x[k];
    *mean = warp_sum(sum) / WIDTH;
    EACH(k, i) { float d = x[k] - *mean; squares += d * d; }
    *inverse = 1.f / sqrtf(warp_sum(squares) / WIDTH + epsilon);
}

__device__ __forceinline__ void normalize(const float x[VALUES], const float* gain, const float* shift, float* y, float epsilon) {
    float mean, inverse;
    moments(x, epsilon, &mean, &inverse);
    EACH(k, i) y[i] = (x[k] - mean) * inverse * gain[i] + shift[i];
}

extern "C" __global__ void __launch_bounds__(WARPS * WARP) layer_norm(const float* __restrict__ x, const float* __restrict__ gain, const float* __restrict__ shift, float* __restrict__ y, u32 rows, float epsilon) {
    u32 row = blockIdx.x * WARPS + threadIdx.x / WARP;
    if (row >= rows) return;
    size_t start = (size_t)row * WIDTH;
    float own[VALUES];
    EACH(k, i) own[k] = x[start + i];
    normalize(own, gain, shift, y + start, epsilon);
}

// After a product without its bias, next to a residual: x becomes their sum, y is its LayerNorm.
extern "C" __global__ void __launch_bounds__(WARPS * WARP) add_and_normalize(float* __restrict__ x, const float* __restrict__ bias, const float* __restrict__ residual, const float* __restrict__ gain, const float* __restrict__ shift, float* __restrict__ y, u32 rows, float epsilon) {
    u32 row = blockIdx.x * WARPS + threadIdx.x / WARP;
    if (row >= rows) return;
    size_t start = (size_t)row * WIDTH;
    float sum[VALUES];
    EACH(k, i) sum[k] = residual[start + i] + (x[start + i] + bias[i]);
    EACH(k, i) x[start + i] = sum[k];
    normalize(sum, gain, shift, y + start, epsilon);
}

// The gradient of the result is a, or a + b, or a + b + c; the others are null.
struct Addends { const float* a; const float* b; const float* c; };

// Adds up what each lane has of the columns' sums, over all warps of the block.
__device__ __forceinline__ void add_up(const float of[VALUES], float* sums) {
    __shared__ float all[WARPS][WIDTH];
    __syncthreads();
    EACH(k, i) all[threadIdx.x / WARP][i] = of[k];
    __syncthreads();
    for (u32 i = threadIdx.x; i < WIDTH; i += WARPS * WARP) {
        float sum = 0.f;
        #pragma unroll
        for (u32 warp = 0; warp < WARPS; warp++) sum += all[warp][i];
        sums[i] = sum;
    }
}

// The gradient of x, and for each block of threads the sums of the columns of its rows: partial is
// [blocks, 3, WIDTH], for gain, shift, and a bias that was added to x.
extern "C" __global__ void __launch_bounds__(WARPS * WARP) layer_norm_backward(const float* __restrict__ x, const float* __restrict__ gain, Addends grad_y, float* __restrict__ grad_x, float* __restrict__ partial, u32 rows, float epsilon) {
    float grad_gain[VALUES] = {}, grad_shift[VALUES] = {}, grad_bias[VALUES] = {};
    for (u32 row = blockIdx.x * WARPS + threadIdx.x / WARP; row < rows; row += gridDim.x * WARPS) {
        size_t start = (size_t)row * WIDTH;
        float own[VALUES], g[VALUES];
        EACH(k, i) own[k] = x[start + i];
        EACH(k, i) g[k] = grad_y.a[start + i];
        if (grad_y.b) EACH(k, i) g[k] += grad_y.b[start + i];
        if (grad_y.c) EACH(k, i) g[k] += grad_y.c[start + i];
        float mean, inverse, sum = 0.f, product = 0.f;
        moments(own, epsilon, &mean, &inverse);
        EACH(k, i) {
            own[k] = (own[k] - mean) * inverse;
            grad_gain[k] += g[k] * own[k];
            grad_shift[k] += g[k];
            g[k] *= gain[i];
            sum += g[k];
            product += g[k] * own[k];
        }
        sum = warp_sum(sum) / WIDTH;
        product = warp_sum(product) / WIDTH;
        EACH(k, i) {
            float of = inverse * (g[k] - sum - own[k] * product);
            grad_x[start + i] = of;
            grad_bias[k] += of;
        }
    }
    partial += (size_t)blockIdx.x * 3 * WIDTH;
    add_up(grad_gain, partial);
    add_up(grad_shift, partial + WIDTH);
    add_up(grad_bias, partial + 2 * WIDTH);
}
