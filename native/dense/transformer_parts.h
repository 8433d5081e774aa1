// What the layers of a Transformer are made of: norms, the functions between two linear maps, products with packed weights.
//
// All is done row by row, and each number is one chain in an order that depends on the sizes alone: so a row has the same bits
// whatever rows are beside it.
#pragma once

#include "../memory.h"
#include "../simd/fold.h"
#include "../simd/math.h"
#include "../simd/transpose.h"
#include "gemm.h"
#include "transformer_job.h"

namespace recurra::RECURRA_ISA::transformer {

// Panels of two vectors; behind the last row of the weights they have zeros.
inline long panels_of(long outputs) { return (outputs + PANEL - 1) / PANEL; }
inline long padded(long outputs) { return panels_of(outputs) * PANEL; }

inline long packed_bytes(const Linear& linear) {
    Bump bump(nullptr);
    bump.floats(panels_of(linear.outputs) * linear.inputs * PANEL);
    bump.floats(padded(linear.outputs));
    return bump.used();
}

inline void pack(Linear& linear, char* to) {
    Bump bump(to);
    const int gates[1] = {0};
    float* const panels = bump.floats(panels_of(linear.outputs) * linear.inputs * PANEL);
    float* const start = bump.floats(padded(linear.outputs));
    const Matrix matrix{linear.weight, linear.outputs, linear.inputs};
    const long vectors = (linear.outputs + VL - 1) / VL;
    for (long p = 0; p < panels_of(linear.outputs); ++p)
        pack_panel(matrix, gates, 1, vectors, p, panels + p * linear.inputs * PANEL);
    for (long v = 0; v < padded(linear.outputs); ++v) start[v] = linear.bias && v < linear.outputs ? linear.bias[v] : 0.0f;
    linear.panels = panels, linear.start = start;
}

// Rows of numbers, `stride` floats apart.
struct Rows {
    float* at;
    long stride;
    float* row(long n) const { return at + n * stride; }
};

// Panels first to last of y = W x + b; y has room for whole panels.
inline void multiply_panels(const Linear& linear, const float* x, long x_row, long rows, float* y, long y_row, long first,
                            long last) {
    const int starts[1] = {0};
    const Left left{x, x_row, static_cast<int>(linear.inputs), 1, 0};
    multiply<false>(left, rows, linear.panels, 2 * first, 2 * last, Target{y, y_row, 1, 0, 1, starts, linear.start, 1});
}

inline void apply(const Linear& linear, Rows x, long rows, Rows y) {
    multiply_panels(linear, x.at, x.stride, rows, y.at, y.stride, 0, panels_of(linear.outputs));
}

inline float sum_of(const float* x, long count) {
    V sum{};
    long i = 0;
    for (; i + VL <= count; i += VL) sum += load(x + i);
    float total = lane_sum(sum);
    for (; i < count; ++i) total += x[i];
    return total;
}

// Of the squares of x - mean.
inline float squares_of(const float* x, float mean, long count) {
    V sum{};
    long i = 0;
    for (; i + VL <= count; i += VL) {
        const V d = load(x + i) - mean;
        sum += d * d;
    }
    float total = lane_sum(sum);
    for (; i < count; ++i) total += (x[i] - mean) * (x[i] - mean);
    return total;
}

// Sums of VL vectors that lie one behind the other, side by side, each added lane by lane as `lane_sum` does.
inline V folded(const float* vectors) {
    V lanes[VL];
#pragma GCC unroll 16
    for (int i = 0; i < VL; ++i) lanes[i] = load(vectors + i * VL);
    return lane_sums(lanes);
}

// y = (x - mean) / sqrt(variance + eps) w + b (Ba et al. 2016, arXiv:1607.06450), or x / sqrt(mean of squares + eps) w
// (Zhang & Sennrich 2019, arXiv:1910.07467). y may be x.
inline void normalize(const Norm& norm, const float* x, float* y, long d) {
    const auto count = static_cast<float>(d);
    const float mean = norm.kind == LAYER_NORM ? sum_of(x, d) / count : 0.0f;
    const float factor = 1.0f / __builtin_sqrtf(squares_of(x, mean, d) / count + norm.eps);
    long i = 0;
    for (; i + VL <= d; i += VL) {
        V v = (load(x + i) - mean) * factor;
        if (norm.weight) v *= load(norm.weight + i);
        if (norm.bias) v += load(norm.bias + i);
        store(y + i, v);
    }
    for (; i < d; ++i) {
        const float v = (x[i] - mean) * factor * (norm.weight ? norm.weight[i] : 1.0f);
        y[i] = norm.bias ? v + norm.bias[i] : v;
    }
}

// The normed rows, or x itself where there is no norm.
inline Rows normed(const Norm& norm, Rows x, long rows, Rows y, long d) {
    if (norm.kind == NO_NORM) return x;
    for (long n = 0; n < rows; ++n) normalize(norm, x.row(n), y.row(n), d);
    return y;
}

inline void add(float* x, const float* y, long d) {
    long i = 0;
    for (; i + VL <= d; i += VL) store(x + i, load(x + i) + load(y + i));
    for (; i < d; ++i) x[i] += y[i];
}

// Behind a part: x + y, and its norm where that comes behind.
inline void add_part(const TransformerLayer& layer, const Norm& norm, Rows x, Rows y, long rows, long d) {
    for (long n = 0; n < rows; ++n) {
        add(x.row(n), y.row(n), d);
        if (!layer.norm_first && norm.kind != NO_NORM) normalize(norm, x.row(n), x.row(n), d);
    }
}

// erf x = 1 - e^(-q(|x|) |x|), q fitted for the least largest error of erf; with float32 it is below 2e-7.
inline V erf(V x) {
    const V b = at_most(magnitude(x), 4.0f);
    V q = b * 3.14401877e-05f - 0.00030880241f;
    q = q * b + 0.00103240251f;
    q = q * b + 0.00053693197f;
    q = q * b - 0.0195839591f;
    q = q * b + 0.102919616f;
    q = q * b + 0.636597753f;
    q = q * b + 1.1283803f;
    return with_sign_of(x, 1.0f - exp_negative(-(q * b)));
}

// The first numbers of a vector, zeros behind them: nothing beyond is read.
inline V first_of(const float* x, long count) {
    V v{};
    for (long i = 0; i < count; ++i) v[i] = x[i];
    return v;
}

// Hendrycks & Gimpel 2016, arXiv:1606.08415: x Phi(x), and with tanh.
inline V gelu(V x) { return x * 0.5f * (1.0f + erf(x * 0.70710678118654752f)); }
// (1 + tanh u) / 2 is the sigmoid of 2 u, which keeps its digits where tanh is near -1.
inline V gelu_tanh_share(V x) { return sigmoid(1.5957691216057308f * (x + 0.044715f * x * x * x)); }
inline V gelu_tanh(V x) { return x * gelu_tanh_share(x); }
inline V silu(V x) { return x * sigmoid(x); }

template <typename Function>
void activate(const Function& f, bool gated, const float* x, float* y, long units) {
    long i = 0;
    if (gated)
        for (; i + VL <= units; i += VL) store(y + i, f(load(x + i)) * load(x + units + i));
    else
        for (; i + VL <= units; i += VL) store(y + i, f(load(x + i)));
    if (i == units) return;
    V v = f(first_of(x + i, units - i));
    if (gated) v *= first_of(x + units + i, units - i);
    for (long k = 0; i + k < units; ++k) y[i + k] = v[k];
}

// The function of a layer's units, or of a gated one its product with the second half; y may be x.
inline void activate(const TransformerLayer& layer, const float* x, float* y) {
    const long units = layer.second.inputs;
    switch (layer.activation) {
        case RELU: return activate([](V v) { return relu(v); }, layer.gated, x, y, units);
        case GELU: return activate([](V v) { return gelu(v); }, layer.gated, x, y, units);
        case GELU_TANH: return activate([](V v) { return gelu_tanh(v); }, layer.gated, x, y, units);
        default: return activate([](V v) { return silu(v); }, layer.gated, x, y, units);
    }
}

// Each head (x_i, x_{i + size/2}) turned by its angle (Su et al. 2021, arXiv:2104.09864, equation 15). turn: cosines and sines
inline void rotate(float* x, const float* turn, long heads, long size) {
    const long half = size / 2;
    for (long h = 0; h < heads; ++h, x += size)
        for (long i = 0; i < half; ++i) {
            const float a = x[i], b = x[i + half];
            x[i] = a * turn[i] - b * turn[half + i];
            x[i + half] = a * turn[half + i] + b * turn[i];
        }
}

}  // namespace recurra::RECURRA_ISA::transformer
