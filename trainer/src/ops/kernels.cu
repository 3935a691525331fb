// The operations of this folder on an NVIDIA GPU, each with the formula of the file that is named
// above it; attention and LayerNorm are in files of their own. Compiled at run time by NVRTC, so
// that building needs no nvcc for them.
//
// Matrices are [rows, width], row by row. No kernel adds floats up with atomics: the same numbers
// give the same bits on the same GPU.

#define WARP 32
#define FULL 0xffffffffu
typedef unsigned int u32;
typedef unsigned long long u64;

__device__ __forceinline__ float warp_sum(float x) {
    for (int step = WARP / 2; step > 0; step /= 2) x += __shfl_xor_sync(FULL, x, step);
    return x;
}

// --- fake_quantize.rs: one warp per row ---

extern "C" __global__ void fake_quantize(const float* __restrict__ x, float* __restrict__ y, u32 rows, u32 width, float steps) {
    u32 row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= rows) return;
    x += (size_t)row * width; y += (size_t)row * width;
    float largest = 0.f;
    for (u32 i = threadIdx.x % WARP; i < width; i += WARP) largest = fmaxf(largest, fabsf(x[i]));
    for (int step = WARP / 2; step > 0; step /= 2) largest = fmaxf(largest, __shfl_xor_sync(FULL, largest, step));
    float step = largest / steps, inverse = largest > 0.f ? steps / largest : 0.f;
    for (u32 i = threadIdx.x % WARP; i < width; i += WARP) y[i] = rintf(x[i] * inverse) * step;
}

// --- sums of columns: blocks of 32 columns × 8 rows, each with a part of the rows ---

// The sum over the eight rows of a block is written to its column's place.
__device__ __forceinline__ void store_sum(float sum, float* to, u32 column, u32 width) {
    __shared__ float sums[8][WARP + 1];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && column < width) {
        for (int i = 1; i < 8; i++) sum += sums[i][threadIdx.x];
        to[column] = sum;
    }
}

extern "C" __global__ void column_sums(const float* x, float* partial, u32 rows, u32 width, u32 rows_each) {
    u32 column = blockIdx.x * WARP + threadIdx.x;
    u32 end = min(rows, (blockIdx.y + 1) * rows_each);
    float sum = 0.f;
    if (column < width)
        for (u32 row = blockIdx.y * rows_each + threadIdx.y; row < end; row += 8) sum += x[(size_t)row * width + column];
    store_sum(sum, partial + (size_t)blockIdx.y * width, column, width);
}

// The sums of what was found in parts, of several matrices: the table has four numbers for each,
// then its number and first column for each block.
struct Parts { const float* x; float* sums; u64 rows; u64 width; };
extern "C" __global__ void add_parts(const Parts* table, u32 matrices) {
    u64 block = ((const u64*)(table + matrices))[blockIdx.x];
    Parts it = table[block >> 32];
    u32 column = (u32)block + threadIdx.x;
    float sum = 0.f;
    if (column < it.width) {
        #pragma unroll 4
        for (u64 row = threadIdx.y; row < it.rows; row += 8) sum += it.x[row * it.width + column];
    }
    store_sum(sum, it.sums, column, it.width);
}

// Σ|x| of each column, row by row: as on the CPU, to the bit. One thread per column.
extern "C" __global__ void column_magnitudes(const float* x, float* sums, u32 rows, u32 width) {
    u32 column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    float sum = 0.f;
    #pragma unroll 16
    for (u32 row = 0; row < rows; row++) sum += fabsf(x[(size_t)row * width + column]);
    sums[column] = sum;
}

// --- linear.rs ---

// x + bias, value by value: store gets the position and the sum. Four at a time, all read before
// the first is written.
template <typename Store>
__device__ __forceinline__ void with_bias(const float* x, const float* bias, u32 count, u32 width, Store store) {
    u32 stride = gridDim.x * blockDim.x;
    for (size_t first = blockIdx.x * blockDim.x + threadIdx.x; first < count; first += 4 * (size_t)stride) {
        float sums[4];
        #pragma unroll
        for (int k = 0; k < 4; k++) {
            size_t i = first + k * (size_t)stride;
            if (i < count) sums[k] = x[i] + bias[(u32)i % width];
        }
        #pragma unroll
        for (int k = 0; k < 4; k++) {
            size_t i = first + k * (size_t)stride;
            if (i < count) store(i, sums[k]);
        }
    }
}

extern "C" __global__ void add_bias(float* __restrict__ y, const float* __restrict__ bias, u32 count, u32 width) {
    with_bias(y, bias, count, width, [=](size_t i, float sum) { y[i] = sum; });
}

// --- activation.rs: nothing overlaps, so that reads need not wait for writes ---

enum Activation { RELU, GELU };

// GELU is max(0, x) less a bump: the runtime's function with its constants (GELU_END, and
// GELU_A to GELU_D of the cubic, come from there), rounded as there, without fused operations.
struct Bump { float t, left, cubic; };

__device__ __forceinline__ Bump bump(float x) {
    float t = fabsf(x) < GELU_END ? fabsf(x) : GELU_END;
    float cubic = __fadd_rn(GELU_C, __fmul_rn(t, GELU_D));
    cubic = __fadd_rn(GELU_B, __fmul_rn(t, cubic));
    cubic = __fadd_rn(GELU_A, __fmul_rn(t, cubic));
    return {t, __fsub_rn(GELU_END, t), cubic};
}

__device__ __forceinline__ float activated(float x, u32 kind) {
    float positive = x <= 0.f ? 0.f : x;
    switch (kind) {
    case GELU: {
        Bump b = bump(x);
        return __fsub_rn(positive, __fmul_rn(__fmul_rn(b.cubic, b.t), __fmul_rn(b.left, b.left)));
    }
    case RELU: return positive;
    }
    __trap();
    return 0.f;
}

__device__ __forceinline__ float slope(float x, u32 kind) {
    switch (kind) {
    case GELU: {
        Bump b = bump(x);
        float cubic_slope = GELU_B + b.t * (2.f * GELU_C + b.t * (3.f * GELU_D));
        float bump_slope = b.left * (b.left * (b.cubic + b.t * cubic_slope) - 2.f * (b.cubic * b.t));
        return x > 0.f ? 1.f - bump_slope : bump_slope;
    }
    case RELU: return x > 0.f ? 1.f : 0.f;
    }
    __trap();
    return 0.f;
}

extern "C" __global__ void activation(const float* __restrict__ x, float* __restrict__ y, u32 count, u32 kind) {
    #pragma unroll 4
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) y[i] = activated(x[i], kind);
}

// After a product without its bias: x gets it, y is the function of that.
extern "C" __global__ void bias_and_activate(float* __restrict__ x, const float* __restrict__ bias, float* __restrict__ y, u32 count, u32 width, u32 kind) {
    with_bias(x, bias, count, width, [=](size_t i, float sum) { x[i] = sum; y[i] = activated(sum, kind); });
}

// The gradient of x, and the sums of the columns of each part of the rows, as in column_sums.
extern "C" __global__ void activation_backward(const float* __restrict__ x, const float* __restrict__ gradient, float* __restrict__ grad_x, float* __restrict__ partial, u32 rows, u32 width, u32 rows_each, u32 kind) {
    u32 column = blockIdx.x * WARP + threadIdx.x;
    u32 end = min(rows, (blockIdx.y + 1) * rows_each);
    float sum = 0.f;
    if (column < width) {
        #pragma unroll 4
        for (u32 row = blockIdx.y * rows_each + threadIdx.y; row < end; row += 8) {
            size_t at = (size_t)row * width + column;
            float of = gradient[at] * slope(x[at], kind);
            grad_x[at] = of;
            sum += of;
        }
    }
    store_sum(sum, partial + (size_t)blockIdx.y * width, column, width);
}

// --- rows.rs: one block per row ---

extern "C" __global__ void gather_rows(const float* table, const u32* ids, float* y, u32 width) {
    const float* from = table + (size_t)ids[blockIdx.x] * width;
    float* to = y + (size_t)blockIdx.x * width;
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) to[i] = from[i];
}

// Rows of the gradient that belong to one row of the table, in the order of the batch.
// The others of the table are zero beforehand.
extern "C" __global__ void scatter_rows(const float* gradient, const u32* distinct, const u32* starts, const u32* places, float* grad_table, u32 width) {
    float* to = grad_table + (size_t)distinct[blockIdx.x] * width;
    u32 begin = starts[blockIdx.x], end = starts[blockIdx.x + 1];
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        float sum = 0.f;
        for (u32 k = begin; k < end; k++) sum += gradient[(size_t)places[k] * width + i];
        to[i] = sum;
    }
}

// --- mean.rs: one block per sequence ---

extern "C" __global__ void mean_rows(const float* x, const u32* offsets, float* y, u32 width) {
    u32 begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        float sum = 0.f;
        for (u32 row = begin; row < end; row++) sum += x[(size_t)row * width + i];
        y[(size_t)blockIdx.x * width + i] = sum * (1.f / (end - begin));
    }
}

extern "C" __global__ void mean_rows_backward(const float* gradient, const u32* offsets, float* grad_x, u32 width) {
    u32 begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    float inverse = 1.f / (end - begin);
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        float g = gradient[(size_t)blockIdx.x * width + i] * inverse;
        for (u32 row = begin; row < end; row++) grad_x[(size_t)row * width + i] = g;
    }
}

// --- recurrence.rs: one block per sequence, a thread for some of the columns ---

// The token at `step` of a sequence, in this direction.
__device__ __forceinline__ u32 token_at(u32 begin, u32 end, u32 step, u32 backward) {
    return backward ? end - 1 - step : begin + step;
}

// pairs[t] = (x[t-1], x[t]) in this direction; pairs has 2·width columns.
extern "C" __global__ void with_neighbours(const float* x, const u32* offsets, float* pairs, u32 width, u32 backward) {
    u32 begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        float before = 0.f;
        for (u32 step = 0; step < end - begin; step++) {
            size_t token = token_at(begin, end, step, backward);
            pairs[token * 2 * width + i] = before;
            before = x[token * width + i];
            pairs[token * 2 * width + width + i] = before;
        }
    }
}

extern "C" __global__ void with_neighbours_backward(const float* gradient, const u32* offsets, float* grad_x, u32 width, u32 backward) {
    u32 begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        float after = 0.f;
        for (u32 step = end - begin; step-- > 0;) {
            size_t token = token_at(begin, end, step, backward);
            grad_x[token * width + i] = gradient[token * 2 * width + width + i] + after;
            after = gradient[token * 2 * width + i];
        }
    }
}

__device__ __forceinline__ float forget_gate(float y) { return fminf(fmaxf(y * 0.25f + 0.5f, 0.f), 1.f); }
__device__ __forceinline__ float candidate(float y) { return fminf(fmaxf(y, -1.f), 1.f); }

// States of one direction, which are one half of the columns of states.
extern "C" __global__ void recurrence(const float* gates, const u32* offsets, float* states, u32 width, u32 backward) {
    u32 begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1], half = width / 2;
    for (u32 i = threadIdx.x; i < half; i += blockDim.x) {
        float state = 0.f;
        for (u32 step = 0; step < end - begin; step++) {
            size_t token = token_at(begin, end, step, backward);
            float f = forget_gate(gates[token * width + i]), z = candidate(gates[token * width + half + i]);
            state = z + f * (state - z);
            states[token * width + backward * half + i] = state;
        }
    }
}

extern "C" __global__ void recurrence_backward(const float* gates, const float* states, const float* gradient, const u32* offsets, float* grad_gates, u32 width, u32 backward) {
    u32 begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1], half = width / 2;
    for (u32 i = threadIdx.x; i < half; i += blockDim.x) {
        float carried = 0.f;
        for (u32 step = end - begin; step-- > 0;) {
            size_t token = token_at(begin, end, step, backward);
            float y_f = gates[token * width + i], y_z = gates[token * width + half + i];
            float f = forget_gate(y_f), z = candidate(y_z), before = 0.f;
            if (step > 0) before = states[(size_t)token_at(begin, end, step - 1, backward) * width + backward * half + i];
            float g = gradient[token * width + backward * half + i] + carried;
            grad_gates[token * width + i] = fabsf(y_f) < 2.f ? g * (before - z) * 0.25f : 0.f;
            grad_gates[token * width + half + i] = fabsf(y_z) < 1.f ? g * (1.f - f) : 0.f;
            carried = g * f;
        }
    }
}

// --- loss.rs ---

// Log of softmax of a row that is scaled: its largest value and the log of the sum, which are both
// subtracted.
__device__ __forceinline__ float normalizer(const float* x, u32 width, float scale) {
    float largest = __int_as_float(0xff800000), sum = 0.f; // −∞
    for (u32 i = threadIdx.x % WARP; i < width; i += WARP) largest = fmaxf(largest, x[i] * scale);
    for (int step = WARP / 2; step > 0; step /= 2) largest = fmaxf(largest, __shfl_xor_sync(FULL, largest, step));
    for (u32 i = threadIdx.x % WARP; i < width; i += WARP) sum += expf(x[i] * scale - largest);
    return largest + logf(warp_sum(sum));
}

// value[0] += weight·mean of −Σ targets·log softmax(scale·logits), grad_logits += its gradient; where
// answers are asked for, targets are logits too, and softmax(scale·targets) is the target. One
// block for all rows: there are few.
extern "C" __global__ void cross_entropy(const float* logits, const float* targets, float* value, float* grad_logits, u32 rows, u32 width, float scale, float weight, u32 answers) {
    __shared__ float losses[WARP];
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    float loss = 0.f;
    for (u32 row = warp; row < rows; row += warps) {
        size_t start = (size_t)row * width;
        float own = normalizer(logits + start, width, scale);
        float shown = answers ? normalizer(targets + start, width, scale) : 0.f;
        float sum = 0.f;
        for (u32 i = lane; i < width; i += WARP) {
            float target = targets[start + i];
            if (answers) target = expf(target * scale - shown);
            float logarithm = logits[start + i] * scale - own;
            sum -= target * logarithm;
            grad_logits[start + i] += weight * scale / rows * (expf(logarithm) - target);
        }
        loss += warp_sum(sum);
    }
    if (lane == 0) losses[warp] = loss;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (u32 k = 1; k < warps; k++) loss += losses[k];
        value[0] += weight / rows * loss;
    }
}

// gradient = 2·weight·(own − shown); partial, one number per block, is of the squares.
extern "C" __global__ void squared_distance(const float* __restrict__ own, const float* __restrict__ shown, float* __restrict__ gradient, float* __restrict__ partial, u32 count, float weight) {
    __shared__ float sums[WARP];
    float sum = 0.f;
    #pragma unroll 4
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        float d = own[i] - shown[i];
        gradient[i] = 2.f * weight * d;
        sum += d * d;
    }
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) sums[threadIdx.x / WARP] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (u32 k = 1; k < blockDim.x / WARP; k++) sum += sums[k];
        partial[blockIdx.x] = sum;
    }
}

// value[0] += weight·Σ partial, in one warp.
extern "C" __global__ void add_up(const float* partial, float* value, u32 count, float weight) {
    float sum = 0.f;
    for (u32 i = threadIdx.x; i < count; i += WARP) sum += partial[i];
    sum = warp_sum(sum);
    if (threadIdx.x == 0) value[0] += weight * sum;
}

// --- adamw.rs: AdamW over all tensors in one launch ---

struct Slot { float* weight; float* first; float* second; const float* gradient; const float* mask; float* sensitivity; u64 count; u64 decays; };

// The decays and ε are those of adamw.rs.
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

// --- choice.rs, selection.rs: groups of weights by their place in the order ---

// A matrix and its groups, numbered through all matrices, here from first. costs_of: 0 all cost 1,
// 1 one per row, 2 one per column.
struct Groups { const float* scores; float* mask; const float* costs; u64 costs_of; u64 cols; u64 in_row; u64 count; u64 first; };
enum Score { SENSITIVITY, MAGNITUDE, MOVEMENT };
// As Selection::VALUES.
#define DIGIT_VALUES 2048

__device__ __forceinline__ u32 weights_of_group(const Groups& it, u32 group, u32 width) {
    return width == 1 ? 1 : min(width, (u32)it.cols - group % (u32)it.in_row * width);
}

// A removed group has key 0; others that of their score, with the order of f32::total_cmp. Among
// equal keys the first is kept longest.
__device__ __forceinline__ u64 place_of(u32 key, u32 position) { return (u64)key << 32 | (u32)~position; }

// chunks holds (matrix, first group) pairs; a block takes CHUNK groups. Every operation
// rounds as that of the CPU does.
extern "C" __global__ void group_keys(const Groups* matrices, const u32* chunks, u32* keys, u32 width, u32 score) {
    Groups it = matrices[chunks[blockIdx.x * 2]];
    u32 begin = chunks[blockIdx.x * 2 + 1], end = min((u64)it.count, (u64)begin + CHUNK);
    for (u32 group = begin + threadIdx.x; group < end; group += blockDim.x) {
        u32 row = group / (u32)it.in_row, first = group % (u32)it.in_row * width;
        u32 weights = min(width, (u32)it.cols - first), key = 0;
        size_t at = (size_t)row * it.cols + first;
        if (it.mask[at] != 0.f) {
            float sum = 0.f;
            double squares = 0.;
            for (u32 i = 0; i < weights; i++) {
                float s = it.scores[at + i];
                if (score == MAGNITUDE) s = fabsf(s);
                if (it.costs_of) {
                    float cost = it.costs[it.costs_of == 1 ? row : first + i];
                    s = s < 0.f ? __fmul_rn(s, cost) : __fdiv_rn(s, cost);
                }
                sum = i ? __fadd_rn(sum, s) : s;
                squares = __dadd_rn(squares, __dmul_rn(s, s));
            }
            float value = score == MOVEMENT ? __fdiv_rn(sum, weights)
                : weights == 1 ? fabsf(sum)
                : __double2float_rn(__dsqrt_rn(__ddiv_rn(squares, weights)));
            u32 bits = __float_as_uint(value);
            key = max(1u, bits >> 31 ? ~bits : bits | 0x80000000u);
        }
        keys[it.first + group] = key;
    }
}

// Weights by value of a digit, of the groups whose known bits are prefix. Whole numbers:
// their sums do not depend on the order.
extern "C" __global__ void group_histogram(const Groups* matrices, const u32* chunks, const u32* keys, u32* weights, u32 width, u64 known, u64 prefix, u32 shift, u32 values) {
    __shared__ u32 sums[DIGIT_VALUES];
    for (u32 i = threadIdx.x; i < values; i += blockDim.x) sums[i] = 0;
    __syncthreads();
    const Groups& it = matrices[chunks[blockIdx.x * 2]];
    u32 begin = chunks[blockIdx.x * 2 + 1], end = min((u64)it.count, (u64)begin + CHUNK), before = it.first;
    for (u32 group = begin + threadIdx.x; group < end; group += blockDim.x) {
        u32 key = keys[before + group];
        u64 place = place_of(key, before + group);
        if (key && (place & known) == prefix) atomicAdd(&sums[place >> shift & (values - 1)], weights_of_group(it, group, width));
    }
    __syncthreads();
    for (u32 i = threadIdx.x; i < values; i += blockDim.x) if (sums[i]) atomicAdd(&weights[i], sums[i]);
}

// Zeroes the mask of groups after the last that is kept.
extern "C" __global__ void remove_groups(const Groups* matrices, const u32* chunks, const u32* keys, u32 width, u64 last) {
    const Groups& it = matrices[chunks[blockIdx.x * 2]];
    u32 begin = chunks[blockIdx.x * 2 + 1], end = min((u64)it.count, (u64)begin + CHUNK), before = it.first;
    for (u32 group = begin + threadIdx.x; group < end; group += blockDim.x) {
        u32 key = keys[before + group];
        if (!key || place_of(key, before + group) >= last) continue;
        float* mask = it.mask + (size_t)(group / (u32)it.in_row) * it.cols + group % (u32)it.in_row * width;
        u32 weights = weights_of_group(it, group, width);
        for (u32 i = 0; i < weights; i++) mask[i] = 0.f;
    }
}
