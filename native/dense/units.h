// Units of a feed-forward part, y = f(a), or gated ones, y = f(a) b (Shazeer 2020, arXiv:2002.05202), and the gradients.
#pragma once

#include "../threads.h"
#include "transformer_parts.h"

namespace recurra::RECURRA_ISA::transformer {

struct WithSlope {
    V value, slope;
};

inline WithSlope relu_with_slope(V v) { return {relu(v), select(v <= 0.0f, V{}, splat(1.0f))}; }
inline WithSlope gelu_with_slope(V v) {
    const V below = 0.5f * (1.0f + erf(v * 0.70710678118654752f));
    return {v * below, below + v * exp_negative(-0.5f * v * v) * 0.39894228040143268f};
}
inline WithSlope gelu_tanh_with_slope(V v) {
    const V s = gelu_tanh_share(v);
    return {v * s, s + v * s * (1.0f - s) * (1.5957691216057308f + 0.21406444881780074f * v * v)};
}
inline WithSlope silu_with_slope(V v) {
    const V s = sigmoid(v);
    return {v * s, s * (1.0f + v * (1.0f - s))};
}

// One row: d_a, and where there is a second half d_b, for the gradient d of f(a) b.
template <bool Gated, typename Function>
void unit_gradients(const Function& f, const float* x, const float* d, float* d_x, long units) {
    const auto all = [&](long i, const auto& read, const auto& write) {
        const WithSlope a = f(read(x + i));
        const V given = read(d + i);
        if constexpr (Gated) {
            write(d_x + i, masked(given * read(x + units + i), a.slope));
            write(d_x + units + i, given * a.value);
        } else {
            write(d_x + i, masked(given, a.slope));
        }
    };
    long i = 0;
    for (; i + VL <= units; i += VL) all(i, load, store);
    const long left = units - i;
    const auto write_first = [&](float* to, V v) {
        for (long k = 0; k < left; ++k) to[k] = v[k];
    };
    if (left) all(i, [&](const float* from) { return first_of(from, left); }, write_first);
}

// Some rows by each thread.
template <typename Work>
void each_row(const UnitsJob& job, const Work& work) {
    parallel(job.threads, [&](int thread, int threads, Barrier&) {
        for (long n = job.rows * thread / threads; n < job.rows * (thread + 1) / threads; ++n) work(n);
    });
}

inline void units(const UnitsJob& job) {
    TransformerLayer layer{};
    layer.activation = job.function, layer.gated = job.gated, layer.second.inputs = job.units;
    const long row = job.units * (1 + job.gated);
    each_row(job, [&](long n) { activate(layer, job.x + n * row, job.y + n * job.units); });
}

inline void unit_gradients(const UnitsJob& job) {
    const long row = job.units * (1 + job.gated);
    const auto all = [&](const auto& f) {
        each_row(job, [&](long n) {
            const auto of_row = job.gated ? unit_gradients<true, decltype(f)> : unit_gradients<false, decltype(f)>;
            of_row(f, job.x + n * row, job.d_y + n * job.units, job.d_x + n * row, job.units);
        });
    };
    switch (job.function) {
        case RELU: return all([](V v) { return relu_with_slope(v); });
        case GELU: return all([](V v) { return gelu_with_slope(v); });
        case GELU_TANH: return all([](V v) { return gelu_tanh_with_slope(v); });
        default: return all([](V v) { return silu_with_slope(v); });
    }
}

}  // namespace recurra::RECURRA_ISA::transformer
