// attention.rs on the matrix units of an NVIDIA GPU (compute capability 8.0 or newer): one block
// per tile of 64 queries (or keys), head and sequence, one warp per 16 of them. Products are in
// TF32, rounded to nearest; sums, softmax and everything else in f32.
//
// No score leaves its registers: the forward goes through the keys once and corrects what
// it has when a larger score comes (Milakov & Gimelshein 2018; Dao et al. 2022), the
// backward computes the weights again. Nothing is added up with atomics: the same numbers give the
// same bits. HEAD_WIDTH is a constant of the compilation.
//
// Lane 4g + t of a warp has, of the products' matrices (PTX ISA, mma.m16n8k8):
//   left [16, 8]     (g, t) (g + 8, t) (g, t + 4) (g + 8, t + 4)
//   right [8, 8]     (t, g) (t + 4, g)
//   result [16, 8]   (g, 2t) (g, 2t + 1) (g + 8, 2t) (g + 8, 2t + 1)

#define W HEAD_WIDTH
// Products over a head's width; what is after it is zero.
#define STEPS ((W + 7) / 8)
#define TILE 64
#define THREADS 128
#define EIGHTS (TILE / 8)
// An odd multiple of 4: neither order of reading has two lanes on one bank.
#define PITCH (STEPS * 8 + 4)
#define FULL 0xffffffffu
#define BELOW_ALL __int_as_float(0xff800000)
typedef unsigned int u32;

__device__ __forceinline__ u32 lane() { return threadIdx.x % 32; }
__device__ __forceinline__ u32 g() { return lane() / 4; }
__device__ __forceinline__ u32 t() { return lane() % 4; }

__device__ __forceinline__ u32 tf32(float x) {
    u32 rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(x));
    return rounded;
}

__device__ __forceinline__ void multiply_add(float sums[4], const u32 left[4], u32 right0, u32 right1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}

// Over the four lanes of a row.
__device__ __forceinline__ float row_sum(float x) { x += __shfl_xor_sync(FULL, x, 1); return x + __shfl_xor_sync(FULL, x, 2); }
__device__ __forceinline__ float row_max(float x) { x = fmaxf(x, __shfl_xor_sync(FULL, x, 1)); return fmaxf(x, __shfl_xor_sync(FULL, x, 2)); }

// TILE rows of one part of the projection into shared memory.
__device__ __forceinline__ void load(u32* to, const float* from, size_t step, u32 first, u32 length) {
#if W % 4 == 0
    for (u32 i = threadIdx.x; i < TILE * STEPS * 2; i += THREADS) {
        u32 row = i / (STEPS * 2), column = i % (STEPS * 2) * 4;
        float4 x = make_float4(0.f, 0.f, 0.f, 0.f);
        if (first + row < length && column < W) x = *(const float4*)(from + (first + row) * step + column);
        *(uint4*)(to + row * PITCH + column) = make_uint4(tf32(x.x), tf32(x.y), tf32(x.z), tf32(x.w));
    }
#else
    for (u32 i = threadIdx.x; i < TILE * STEPS * 8; i += THREADS) {
        u32 row = i / (STEPS * 8), column = i % (STEPS * 8);
        to[row * PITCH + column] = first + row < length && column < W ? tf32(from[(first + row) * step + column]) : 0;
    }
#endif
}

// This lane's part of 16 rows as a left matrix.
__device__ __forceinline__ void load_left(u32 left[STEPS][4], const float* from, size_t step, u32 first, u32 length) {
    #pragma unroll
    for (int s = 0; s < STEPS; s++)
        #pragma unroll
        for (int i = 0; i < 4; i++) {
            u32 row = first + g() + i % 2 * 8, column = s * 8 + t() + i / 2 * 4;
            left[s][i] = row < length && column < W ? tf32(from[row * step + column]) : 0;
        }
}

// sums [16, 8] += left · eight rows of a tile, transposed.
__device__ __forceinline__ void add_products(float sums[4], const u32 left[STEPS][4], const u32* eight) {
    #pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const u32* right = eight + g() * PITCH + s * 8 + t();
        multiply_add(sums, left[s], right[0], right[4]);
    }
}

// sums [16, W] += weights [16, 8] · eight rows of a tile. A sum may be in any order: weight
// 2t is taken for column t and 2t + 1 for t + 4, so that a result is a left matrix as it is.
__device__ __forceinline__ void add_mix(float sums[STEPS][4], const float weights[4], const u32* eight) {
    u32 left[4] = { tf32(weights[0]), tf32(weights[2]), tf32(weights[1]), tf32(weights[3]) };
    #pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const u32* right = eight + 2 * t() * PITCH + s * 8 + g();
        multiply_add(sums[s], left, right[0], right[PITCH]);
    }
}

__device__ __forceinline__ void store(float* to, size_t step, u32 first, u32 length, const float sums[STEPS][4]) {
    #pragma unroll
    for (int s = 0; s < STEPS; s++)
        #pragma unroll
        for (int i = 0; i < 4; i++) {
            u32 row = first + g() + i / 2 * 8, column = s * 8 + 2 * t() + i % 2;
            if (row < length && column < W) to[row * step + column] = sums[s][i];
        }
}

__device__ __forceinline__ void clear(float sums[STEPS][4]) {
    #pragma unroll
    for (int s = 0; s < STEPS; s++) sums[s][0] = sums[s][1] = sums[s][2] = sums[s][3] = 0.f;
}

// exp(score − largest) of 16 queries over a tile of keys, largest being that of all keys up
// to here; adds them to this lane's part of the sum. What was added before shrinks by factor.
__device__ __forceinline__ void soften(float scores[EIGHTS][4], const u32 queries[STEPS][4], const u32* keys, u32 left_over, float scale, float largest[2], float sum[2], float factor[2]) {
    #pragma unroll
    for (int j = 0; j < EIGHTS; j++) {
        scores[j][0] = scores[j][1] = scores[j][2] = scores[j][3] = 0.f;
        if (j * 8 < left_over) add_products(scores[j], queries, keys + j * 8 * PITCH);
        #pragma unroll
        for (int i = 0; i < 4; i++) scores[j][i] = j * 8 + 2 * t() + i % 2 < left_over ? scores[j][i] * scale : BELOW_ALL;
    }
    #pragma unroll
    for (int r = 0; r < 2; r++) {
        float most = largest[r];
        #pragma unroll
        for (int j = 0; j < EIGHTS; j++) most = fmaxf(most, fmaxf(scores[j][2 * r], scores[j][2 * r + 1]));
        most = row_max(most);
        factor[r] = expf(largest[r] - most);
        largest[r] = most;
        sum[r] *= factor[r];
        #pragma unroll
        for (int j = 0; j < EIGHTS; j++)
            #pragma unroll
            for (int i = 2 * r; i < 2 * r + 2; i++) { scores[j][i] = expf(scores[j][i] - most); sum[r] += scores[j][i]; }
    }
}

// What every kernel begins with: its tile, or nothing after the end of a sequence.
#define BEGIN(offsets) \
    u32 begin = offsets[blockIdx.z], length = offsets[blockIdx.z + 1] - begin, head = blockIdx.y; \
    if (blockIdx.x * TILE >= length) return; \
    u32 mine = blockIdx.x * TILE + threadIdx.x / 32 * 16; \
    size_t columns = (size_t)heads * W, step = 3 * columns; \
    extern __shared__ uint4 shared[]; \
    u32* tiles[2] = { (u32*)shared, (u32*)shared + TILE * PITCH };

extern "C" __global__ void __launch_bounds__(THREADS) attention(const float* projected, const u32* offsets, float* context, u32 heads, float scale) {
    BEGIN(offsets)
    const float* base = projected + begin * step + head * W;
    u32 queries[STEPS][4];
    load_left(queries, base, step, mine, length);
    float sums[STEPS][4], largest[2] = { BELOW_ALL, BELOW_ALL }, sum[2] = { 0.f, 0.f };
    clear(sums);
    for (u32 from = 0; from < length; from += TILE) {
        __syncthreads();
        load(tiles[0], base + columns, step, from, length);
        load(tiles[1], base + 2 * columns, step, from, length);
        __syncthreads();
        if (mine >= length) continue;
        float weights[EIGHTS][4], factor[2];
        soften(weights, queries, tiles[0], length - from, scale, largest, sum, factor);
        #pragma unroll
        for (int s = 0; s < STEPS; s++)
            #pragma unroll
            for (int i = 0; i < 4; i++) sums[s][i] *= factor[i / 2];
        #pragma unroll
        for (int j = 0; j < EIGHTS; j++) if (j * 8 < length - from) add_mix(sums, weights[j], tiles[1] + j * 8 * PITCH);
    }
    #pragma unroll
    for (int r = 0; r < 2; r++) sum[r] = 1.f / row_sum(sum[r]);
    #pragma unroll
    for (int s = 0; s < STEPS; s++)
        #pragma unroll
        for (int i = 0; i < 4; i++) sums[s][i] *= sum[i / 2];
    store(context + begin * columns + head * W, columns, mine, length, sums);
}

// Gradient of the queries. Leaves log Σ exp(scores) and Σ gradient·context of each query
// in stats, [tokens, heads, 2].
extern "C" __global__ void __launch_bounds__(THREADS) attention_backward_queries(const float* projected, const float* context, const float* gradient, const u32* offsets, float* result, float* stats, u32 heads, float scale) {
    BEGIN(offsets)
    const float* base = projected + begin * step + head * W;
    const float* grad_context = gradient + begin * columns + head * W;
    const float* grad_result = context + begin * columns + head * W;
    u32 queries[STEPS][4], slopes[STEPS][4];
    load_left(queries, base, step, mine, length);
    load_left(slopes, grad_context, columns, mine, length);
    float largest[2] = { BELOW_ALL, BELOW_ALL }, sum[2] = { 0.f, 0.f }, mean[2] = { 0.f, 0.f };
    for (u32 from = 0; from < length; from += TILE) {
        __syncthreads();
        load(tiles[0], base + columns, step, from, length);
        __syncthreads();
        if (mine >= length) continue;
        float scores[EIGHTS][4], factor[2];
        soften(scores, queries, tiles[0], length - from, scale, largest, sum, factor);
    }
    float log_sum[2];
    #pragma unroll
    for (int r = 0; r < 2; r++) {
        u32 row = mine + g() + r * 8;
        if (row < length) for (u32 w = t(); w < W; w += 4) mean[r] += grad_context[row * columns + w] * grad_result[row * columns + w];
        mean[r] = row_sum(mean[r]);
        log_sum[r] = largest[r] + logf(row_sum(sum[r]));
        if (row < length && t() == 0) {
            size_t at = ((size_t)(begin + row) * heads + head) * 2;
            stats[at] = log_sum[r];
            stats[at + 1] = mean[r];
        }
    }
    float of_queries[STEPS][4];
    clear(of_queries);
    for (u32 from = 0; from < length; from += TILE) {
        __syncthreads();
        load(tiles[0], base + columns, step, from, length);
        load(tiles[1], base + 2 * columns, step, from, length);
        __syncthreads();
        if (mine >= length) continue;
        #pragma unroll 2
        for (u32 j = 0; j < TILE && j < length - from; j += 8) {
            float scores[4] = { 0.f, 0.f, 0.f, 0.f }, of_weights[4] = { 0.f, 0.f, 0.f, 0.f };
            add_products(scores, queries, tiles[0] + j * PITCH);
            add_products(of_weights, slopes, tiles[1] + j * PITCH);
            #pragma unroll
            for (int i = 0; i < 4; i++) {
                float weight = from + j + 2 * t() + i % 2 < length ? expf(scores[i] * scale - log_sum[i / 2]) : 0.f;
                scores[i] = weight * (of_weights[i] - mean[i / 2]) * scale;
            }
            add_mix(of_queries, scores, tiles[0] + j * PITCH);
        }
    }
    store(result + begin * step + head * W, step, mine, length, of_queries);
}

// Gradients of the keys and values, query tile by query tile.
extern "C" __global__ void __launch_bounds__(THREADS) attention_backward_keys(const float* projected, const float* gradient, const float* stats, const u32* offsets, float* result, u32 heads, float scale) {
    BEGIN(offsets)
    __shared__ float log_sums[TILE], means[TILE];
    const float* base = projected + begin * step + head * W;
    const float* grad_context = gradient + begin * columns + head * W;
    u32 keys[STEPS][4], values[STEPS][4];
    load_left(keys, base + columns, step, mine, length);
    load_left(values, base + 2 * columns, step, mine, length);
    float of_keys[STEPS][4], of_values[STEPS][4];
    clear(of_keys);
    clear(of_values);
    for (u32 from = 0; from < length; from += TILE) {
        __syncthreads();
        load(tiles[0], base, step, from, length);
        load(tiles[1], grad_context, columns, from, length);
        if (threadIdx.x < TILE && from + threadIdx.x < length) {
            size_t at = ((size_t)(begin + from + threadIdx.x) * heads + head) * 2;
            log_sums[threadIdx.x] = stats[at];
            means[threadIdx.x] = stats[at + 1];
        }
        __syncthreads();
        if (mine >= length) continue;
        #pragma unroll 2
        for (u32 j = 0; j < TILE && j < length - from; j += 8) {
            float weights[4] = { 0.f, 0.f, 0.f, 0.f }, slopes[4] = { 0.f, 0.f, 0.f, 0.f };
            add_products(weights, keys, tiles[0] + j * PITCH);
            add_products(slopes, values, tiles[1] + j * PITCH);
            #pragma unroll
            for (int i = 0; i < 4; i++) {
                u32 query = j + 2 * t() + i % 2;
                bool is_there = from + query < length;
                weights[i] = is_there ? expf(weights[i] * scale - log_sums[query]) : 0.f;
                slopes[i] = is_there ? weights[i] * (slopes[i] - means[query]) * scale : 0.f;
            }
            add_mix(of_values, weights, tiles[1] + j * PITCH);
            add_mix(of_keys, slopes, tiles[0] + j * PITCH);
        }
    }
    float* to = result + begin * step + head * W;
    store(to + columns, step, mine, length, of_keys);
    store(to + 2 * columns, step, mine, length, of_values);
}
