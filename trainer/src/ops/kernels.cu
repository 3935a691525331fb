// The operations of this folder on an NVIDIA GPU, each the formula of the file that is
// named before it. Compiled at run time by NVRTC, so that building needs no nvcc for them.
//
// Matrices are [rows, width], row by row. No kernel adds up with atomics: the same numbers
// give the same bits on the same GPU. HEAD_WIDTH is a constant of the compilation.

#define WARP 32
#define FULL 0xffffffffu
#define BELOW_ALL __int_as_float(0xff800000)
typedef unsigned int u32;
typedef unsigned long long u64;

__device__ __forceinline__ float warp_sum(float x) {
    for (int step = WARP / 2; step > 0; step /= 2) x += __shfl_xor_sync(FULL, x, step);
    return x;
}

__device__ __forceinline__ float warp_max(float x) {
    for (int step = WARP / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(FULL, x, step));
    return x;
}

// --- layer_norm.rs: a warp a row ---

// Mean and 1/√(variance + ε) of a row.
__device__ __forceinline__ void moments(const float* x, u32 width, float epsilon, float* mean, float* inverse) {
    u32 lane = threadIdx.x % WARP;
    float sum = 0.f;
    for (u32 i = lane; i < width; i += WARP) sum += x[i];
    *mean = warp_sum(sum) / width;
    float squares = 0.f;
    for (u32 i = lane; i < width; i += WARP) { float d = x[i] - *mean; squares += d * d; }
    *inverse = 1.f / sqrtf(warp_sum(squares) / width + epsilon);
}

extern "C" __global__ void layer_norm(const float* x, const float* gain, const float* shift, float* y, u32 rows, u32 width, float epsilon) {
    u32 row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= rows) return;
    x += (size_t)row * width; y += (size_t)row * width;
    float mean, inverse;
    moments(x, width, epsilon, &mean, &inverse);
    for (u32 i = threadIdx.x % WARP; i < width; i += WARP) y[i] = (x[i] - mean) * inverse * gain[i] + shift[i];
}

extern "C" __global__ void layer_norm_backward(const float* x, const float* gain, const float* gradient, float* of_x, u32 rows, u32 width, float epsilon) {
    u32 row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= rows) return;
    size_t start = (size_t)row * width;
    x += start; gradient += start; of_x += start;
    float mean, inverse, sum = 0.f, product = 0.f;
    moments(x, width, epsilon, &mean, &inverse);
    for (u32 i = threadIdx.x % WARP; i < width; i += WARP) {
        float h = gradient[i] * gain[i];
        sum += h;
        product += h * (x[i] - mean) * inverse;
    }
    sum = warp_sum(sum) / width;
    product = warp_sum(product) / width;
    for (u32 i = threadIdx.x % WARP; i < width; i += WARP)
        of_x[i] = inverse * (gradient[i] * gain[i] - sum - (x[i] - mean) * inverse * product);
}

// Leaves mean and inverse of each row in stats, [rows, 2].
extern "C" __global__ void row_moments(const float* x, float* stats, u32 rows, u32 width, float epsilon) {
    u32 row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= rows) return;
    float mean, inverse;
    moments(x + (size_t)row * width, width, epsilon, &mean, &inverse);
    if (threadIdx.x % WARP == 0) { stats[row * 2] = mean; stats[row * 2 + 1] = inverse; }
}

// --- sums of columns: blocks of 32 columns × 8 rows, a part of the rows each ---

__device__ __forceinline__ void store_partial(float sum, float* partial, u32 width) {
    __shared__ float sums[8][WARP + 1];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    u32 column = blockIdx.x * WARP + threadIdx.x;
    if (threadIdx.y == 0 && column < width) {
        for (int i = 1; i < 8; i++) sum += sums[i][threadIdx.x];
        partial[(size_t)blockIdx.y * width + column] = sum;
    }
}

extern "C" __global__ void column_sums(const float* x, float* partial, u32 rows, u32 width, u32 rows_each) {
    u32 column = blockIdx.x * WARP + threadIdx.x;
    u32 end = min(rows, (blockIdx.y + 1) * rows_each);
    float sum = 0.f;
    if (column < width)
        for (u32 row = blockIdx.y * rows_each + threadIdx.y; row < end; row += 8) sum += x[(size_t)row * width + column];
    store_partial(sum, partial, width);
}

// Σ gradient·x̂ of each column: what the gain of LayerNorm gets.
extern "C" __global__ void column_sums_normalized(const float* x, const float* stats, const float* gradient, float* partial, u32 rows, u32 width, u32 rows_each) {
    u32 column = blockIdx.x * WARP + threadIdx.x;
    u32 end = min(rows, (blockIdx.y + 1) * rows_each);
    float sum = 0.f;
    if (column < width)
        for (u32 row = blockIdx.y * rows_each + threadIdx.y; row < end; row += 8) {
            size_t at = (size_t)row * width + column;
            sum += gradient[at] * (x[at] - stats[row * 2]) * stats[row * 2 + 1];
        }
    store_partial(sum, partial, width);
}

extern "C" __global__ void add_partials(const float* partial, float* sums, u32 parts, u32 width) {
    u32 column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    float sum = 0.f;
    for (u32 part = 0; part < parts; part++) sum += partial[(size_t)part * width + column];
    sums[column] = sum;
}

// --- linear.rs ---

extern "C" __global__ void add_bias(float* y, const float* bias, u32 count, u32 width) {
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) y[i] += bias[i % width];
}

// --- activation.rs ---

#define SLOPE 1.595769f
#define CUBIC 0.044715f

__device__ __forceinline__ float gate(float x) { return 1.f / (1.f + expf(-SLOPE * (x + CUBIC * x * x * x))); }

extern "C" __global__ void gelu(const float* x, float* y, u32 count) {
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) y[i] = x[i] * gate(x[i]);
}

extern "C" __global__ void gelu_backward(const float* x, const float* gradient, float* of_x, u32 count) {
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        float v = x[i], s = gate(v);
        of_x[i] = gradient[i] * (s + v * s * (1.f - s) * SLOPE * (1.f + 3.f * CUBIC * v * v));
    }
}

extern "C" __global__ void relu(const float* x, float* y, u32 count) {
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) y[i] = fmaxf(x[i], 0.f);
}

extern "C" __global__ void relu_backward(const float* x, const float* gradient, float* of_x, u32 count) {
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) of_x[i] = x[i] > 0.f ? gradient[i] : 0.f;
}

// --- rows.rs: a block a row ---

extern "C" __global__ void gather_rows(const float* table, const u32* ids, float* y, u32 width) {
    const float* from = table + (size_t)ids[blockIdx.x] * width;
    float* to = y + (size_t)blockIdx.x * width;
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) to[i] = from[i];
}

// Rows of the gradient that belong to one row of the table, in the order of the batch.
// The others of the table are zero before.
extern "C" __global__ void scatter_rows(const float* gradient, const u32* distinct, const u32* starts, const u32* places, float* of_table, u32 width) {
    float* to = of_table + (size_t)distinct[blockIdx.x] * width;
    u32 begin = starts[blockIdx.x], end = starts[blockIdx.x + 1];
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        float sum = 0.f;
        for (u32 k = begin; k < end; k++) sum += gradient[(size_t)places[k] * width + i];
        to[i] = sum;
    }
}

// --- mean.rs: a block a sequence ---

extern "C" __global__ void mean_rows(const float* x, const u32* offsets, float* y, u32 width) {
    u32 begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        float sum = 0.f;
        for (u32 row = begin; row < end; row++) sum += x[(size_t)row * width + i];
        y[(size_t)blockIdx.x * width + i] = sum * (1.f / (end - begin));
    }
}

extern "C" __global__ void mean_rows_backward(const float* gradient, const u32* offsets, float* of_x, u32 width) {
    u32 begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    float inverse = 1.f / (end - begin);
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        float g = gradient[(size_t)blockIdx.x * width + i] * inverse;
        for (u32 row = begin; row < end; row++) of_x[(size_t)row * width + i] = g;
    }
}

// --- optimizer.rs: AdamW over all tensors in one launch ---

struct Slot { float* weight; float* first; float* second; const float* gradient; const float* mask; float* sensitivity; u64 count; u64 decays; };

// The decays and ε are those of optimizer.rs.
// chunks holds (slot, first element) pairs; a block takes CHUNK elements. A loss that is
// not finite changes nothing.
#define CHUNK 8192
extern "C" __global__ void adamw(const Slot* slots, const u32* chunks, const float* loss, float rate, float decay, float first_correction, float second_correction, float memory, u32 is_movement) {
    if (!isfinite(*loss)) return;
    Slot slot = slots[chunks[blockIdx.x * 2]];
    u64 begin = (u64)chunks[blockIdx.x * 2 + 1];
    u64 end = min(slot.count, begin + CHUNK);
    if (!slot.decays) decay = 0.f;
    for (u64 i = begin + threadIdx.x; i < end; i += blockDim.x) {
        float w = slot.weight[i], g = slot.gradient[i];
        if (slot.mask) {
            g *= slot.mask[i];
            float s = slot.sensitivity[i];
            slot.sensitivity[i] = is_movement ? s - w * g : memory * s + (1.f - memory) * fabsf(w * g);
        }
        float first = 0.9f * slot.first[i] + (1.f - 0.9f) * g;
        float second = 0.999f * slot.second[i] + (1.f - 0.999f) * (g * g);
        slot.first[i] = first;
        slot.second[i] = second;
        slot.weight[i] = w - rate * (first * first_correction / (sqrtf(second * second_correction) + 1e-8f) + decay * w);
    }
}

// --- attention.rs: a block a tile of queries (or keys), head and sequence ---

#ifdef HEAD_WIDTH
#define W HEAD_WIDTH
#define TILE 32
#define KEYS 64
#define THREADS 128
#define DIMS ((W + 31) / 32)

// [rows, W] of one part of the projection (0 query, 1 key, 2 value) into shared memory.
__device__ __forceinline__ void load(float (*to)[W + 1], const float* from, size_t stride, u32 first, u32 length, u32 rows) {
    for (u32 i = threadIdx.x; i < rows * W; i += THREADS) {
        u32 row = i / W, column = i % W;
        to[row][column] = first + row < length ? from[(size_t)(first + row) * stride + column] : 0.f;
    }
}

// TILE × KEYS products: thread (ty, tx) has rows ty·4.. and columns tx, tx+16, …
__device__ __forceinline__ void products(const float (*a)[W + 1], const float (*b)[W + 1], float sums[4][4]) {
    u32 tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) sums[i][j] = 0.f;
    for (int w = 0; w < W; w++) {
        float x[4], y[4];
        for (int i = 0; i < 4; i++) x[i] = a[ty * 4 + i][w];
        for (int j = 0; j < 4; j++) y[j] = b[tx + 16 * j][w];
        for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) sums[i][j] += x[i] * y[j];
    }
}

// Scores of TILE queries over all keys into shared memory, softmax of each row.
__device__ void weights_of(const float (*q)[W + 1], float (*tile)[W + 1], float* scores, u32 stride, const float* keys, size_t step, u32 length, float scale, float* log_sums) {
    u32 tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    for (u32 first = 0; first < length; first += KEYS) {
        __syncthreads();
        load(tile, keys, step, first, length, KEYS);
        __syncthreads();
        float sums[4][4];
        products(q, tile, sums);
        for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) scores[(ty * 4 + i) * stride + first + tx + 16 * j] = sums[i][j] * scale;
    }
    __syncthreads();
    u32 warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    for (u32 row = warp; row < TILE; row += THREADS / WARP) {
        float* s = scores + row * stride;
        float largest = BELOW_ALL, sum = 0.f;
        for (u32 k = lane; k < length; k += WARP) largest = fmaxf(largest, s[k]);
        largest = warp_max(largest);
        for (u32 k = lane; k < length; k += WARP) { s[k] = expf(s[k] - largest); sum += s[k]; }
        sum = warp_sum(sum);
        for (u32 k = lane; k < length; k += WARP) s[k] /= sum;
        if (log_sums && lane == 0) log_sums[row] = largest + logf(sum);
    }
    __syncthreads();
}

// Σ weights·rows of TILE queries: thread has dimensions lane + 32·j and queries warp·8..
__device__ __forceinline__ void mix(const float* weights, u32 stride, float (*tile)[W + 1], const float* from, size_t step, u32 length, float sums[8][DIMS]) {
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (int i = 0; i < 8; i++) for (int j = 0; j < DIMS; j++) sums[i][j] = 0.f;
    for (u32 first = 0; first < length; first += KEYS) {
        __syncthreads();
        load(tile, from, step, first, length, KEYS);
        __syncthreads();
        u32 count = min((u32)KEYS, length - first);
        for (u32 k = 0; k < count; k++) {
            float v[DIMS];
            for (int j = 0; j < DIMS; j++) v[j] = lane + 32 * j < W ? tile[k][lane + 32 * j] : 0.f;
            for (int i = 0; i < 8; i++) {
                float p = weights[(warp * 8 + i) * stride + first + k];
                for (int j = 0; j < DIMS; j++) sums[i][j] += p * v[j];
            }
        }
    }
}

__device__ __forceinline__ void store(float* to, size_t step, u32 first, u32 length, const float sums[8][DIMS]) {
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (int i = 0; i < 8; i++) {
        u32 row = first + warp * 8 + i;
        if (row < length) for (int j = 0; j < DIMS; j++) if (lane + 32 * j < W) to[(size_t)row * step + lane + 32 * j] = sums[i][j];
    }
}

extern "C" __global__ void attention(const float* projected, const u32* offsets, float* context, u32 heads, u32 stride, float scale) {
    u32 begin = offsets[blockIdx.z], length = offsets[blockIdx.z + 1] - begin, first = blockIdx.x * TILE, head = blockIdx.y;
    if (first >= length) return;
    extern __shared__ float shared[];
    float (*q)[W + 1] = (float (*)[W + 1])shared;
    float (*tile)[W + 1] = q + TILE;
    float* scores = (float*)(tile + KEYS);
    size_t columns = (size_t)heads * W, step = 3 * columns;
    const float* base = projected + (size_t)begin * step + head * W;
    load(q, base, step, first, length, TILE);
    weights_of(q, tile, scores, stride, base + columns, step, length, scale, 0);
    float sums[8][DIMS];
    mix(scores, stride, tile, base + 2 * columns, step, length, sums);
    store(context + (size_t)begin * columns + head * W, columns, first, length, sums);
}

// Gradient of the queries. Leaves log Σ exp(scores) and Σ gradient·context of each query
// in stats, [tokens, heads, 2].
extern "C" __global__ void attention_backward_queries(const float* projected, const float* context, const float* gradient, const u32* offsets, float* result, float* stats, u32 heads, u32 stride, float scale) {
    u32 begin = offsets[blockIdx.z], length = offsets[blockIdx.z + 1] - begin, first = blockIdx.x * TILE, head = blockIdx.y;
    if (first >= length) return;
    extern __shared__ float shared[];
    float (*q)[W + 1] = (float (*)[W + 1])shared;
    float (*g)[W + 1] = q + TILE;
    float (*tile)[W + 1] = g + TILE;
    float* scores = (float*)(tile + KEYS);
    __shared__ float log_sums[TILE], means[TILE];
    size_t columns = (size_t)heads * W, step = 3 * columns;
    const float* base = projected + (size_t)begin * step + head * W;
    const float* of_context = gradient + (size_t)begin * columns + head * W;
    const float* of_result = context + (size_t)begin * columns + head * W;
    load(q, base, step, first, length, TILE);
    load(g, of_context, columns, first, length, TILE);
    weights_of(q, tile, scores, stride, base + columns, step, length, scale, log_sums);
    u32 warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    for (u32 row = warp; row < TILE; row += THREADS / WARP) {
        float sum = 0.f;
        if (first + row < length)
            for (u32 w = lane; w < W; w += WARP) sum += g[row][w] * of_result[(size_t)(first + row) * columns + w];
        sum = warp_sum(sum);
        if (lane == 0) {
            means[row] = sum;
            if (first + row < length) {
                size_t at = ((size_t)(begin + first + row) * heads + head) * 2;
                stats[at] = log_sums[row];
                stats[at + 1] = sum;
            }
        }
    }
    u32 tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    for (u32 from = 0; from < length; from += KEYS) {
        __syncthreads();
        load(tile, base + 2 * columns, step, from, length, KEYS);
        __syncthreads();
        float sums[4][4];
        products(g, tile, sums);
        for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) {
            float* p = scores + (ty * 4 + i) * stride + from + tx + 16 * j;
            *p = *p * (sums[i][j] - means[ty * 4 + i]) * scale;
        }
    }
    __syncthreads();
    float sums[8][DIMS];
    mix(scores, stride, tile, base + columns, step, length, sums);
    store(result + (size_t)begin * step + head * W, step, first, length, sums);
}

// Gradients of the keys and values of a tile of 32 keys, query tile by query tile.
extern "C" __global__ void attention_backward_keys(const float* projected, const float* gradient, const float* stats, const u32* offsets, float* result, u32 heads, float scale) {
    u32 begin = offsets[blockIdx.z], length = offsets[blockIdx.z + 1] - begin, first = blockIdx.x * TILE, head = blockIdx.y;
    if (first >= length) return;
    extern __shared__ float shared[];
    float (*k)[W + 1] = (float (*)[W + 1])shared;
    float (*v)[W + 1] = k + TILE;
    float (*q)[W + 1] = v + TILE;
    float (*g)[W + 1] = q + TILE;
    float (*weights)[TILE + 1] = (float (*)[TILE + 1])(g + TILE);
    float (*slopes)[TILE + 1] = weights + TILE;
    size_t columns = (size_t)heads * W, step = 3 * columns;
    const float* base = projected + (size_t)begin * step + head * W;
    const float* of_context = gradient + (size_t)begin * columns + head * W;
    load(k, base + columns, step, first, length, TILE);
    load(v, base + 2 * columns, step, first, length, TILE);
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    float of_keys[8][DIMS], of_values[8][DIMS];
    for (int i = 0; i < 8; i++) for (int j = 0; j < DIMS; j++) of_keys[i][j] = of_values[i][j] = 0.f;
    for (u32 from = 0; from < length; from += TILE) {
        __syncthreads();
        load(q, base, step, from, length, TILE);
        load(g, of_context, columns, from, length, TILE);
        __syncthreads();
        // Thread: query lane, keys warp·8..
        float s[8], d[8];
        for (int i = 0; i < 8; i++) s[i] = d[i] = 0.f;
        for (int w = 0; w < W; w++) {
            float x = q[lane][w], y = g[lane][w];
            for (int i = 0; i < 8; i++) { s[i] += x * k[warp * 8 + i][w]; d[i] += y * v[warp * 8 + i][w]; }
        }
        bool is_query = from + lane < length;
        size_t at = ((size_t)(begin + from + lane) * heads + head) * 2;
        float log_sum = is_query ? stats[at] : 0.f, mean = is_query ? stats[at + 1] : 0.f;
        for (int i = 0; i < 8; i++) {
            float p = is_query ? expf(s[i] * scale - log_sum) : 0.f;
            weights[warp * 8 + i][lane] = p;
            slopes[warp * 8 + i][lane] = p * (d[i] - mean) * scale;
        }
        __syncthreads();
        for (int o = 0; o < TILE; o++) {
            float y[DIMS], x[DIMS];
            for (int j = 0; j < DIMS; j++) {
                bool is_there = lane + 32 * j < W;
                y[j] = is_there ? g[o][lane + 32 * j] : 0.f;
                x[j] = is_there ? q[o][lane + 32 * j] : 0.f;
            }
            for (int i = 0; i < 8; i++) {
                float p = weights[warp * 8 + i][o], slope = slopes[warp * 8 + i][o];
                for (int j = 0; j < DIMS; j++) { of_values[i][j] += p * y[j]; of_keys[i][j] += slope * x[j]; }
            }
        }
    }
    float* to = result + (size_t)begin * step + head * W;
    store(to + columns, step, first, length, of_keys);
    store(to + 2 * columns, step, first, length, of_values);
}
#endif
