// Gated linear units: a function of some numbers times others, y = f(a) b (Shazeer 2020, arXiv:2002.05202), and the gradients.
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
inline WithSlope silu_with_slope(V v) {
    const V s = sigmoid(v);
    return {v * s, s * (1.0f + v * (1.0f - s))};
}

// One row: d_a and d_b for the gradient d of f(a) b.
template <typename Function>
void gate_gradients(const Function& f, const float* x, const float* d, float* d_x, long units) {
    for (long i = 0; i < units; i += VL) {
        const long left = units - i;
        const bool whole = left >= VL;
        const WithSlope a = f(whole ? load(x + i) : first_of(x + i, left));
        const V b = whole ? load(x + units + i) : first_of(x + units + i, left), given = whole ? load(d + i) : first_of(d + i, left);
        const V d_a = given * b * a.slope, d_b = given * a.value;
        if (whole) {
            store(d_x + i, d_a);
            store(d_x + units + i, d_b);
            continue;
        }
        for (long k = 0; k < left; ++k) d_x[i + k] = d_a[k], d_x[units + i + k] = d_b[k];
    }
}

// Some rows by each thread.
template <typename Work>
void each_row(const GateJob& job, const Work& work) {
    parallel(job.threads, [&](int thread, int threads, Barrier&) {
        for (long n = job.rows * thread / threads; n < job.rows * (thread + 1) / threads; ++n) work(n);
    });
}

inline void gate(const GateJob& job) {
    TransformerLayer layer{};
    layer.activation = job.function, layer.gated = true, layer.second.inputs = job.units;
    each_row(job, [&](long n) { activate(layer, job.x + 2 * n * job.units, job.y + n * job.units); });
}

inline void gate_gradients(const GateJob& job) {
    const auto all = [&](const auto& f) {
        each_row(job, [&](long n) {
            gate_gradients(f, job.x + 2 * n * job.units, job.d_y + n * job.units, job.d_x + 2 * n * job.units, job.units);
        });
    };
    switch (job.function) {
        case RELU: return all(relu_with_slope);
        case GELU: return all(gelu_with_slope);
        default: return all(silu_with_slope);
    }
}

}  // namespace recurra::RECURRA_ISA::transformer
