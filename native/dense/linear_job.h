// The work of a linear layer, and of one with cross-entropy behind it, as plain pointers. Filled in by bind/linear.cpp.
#pragma once

#include <cstdint>

namespace recurra {

constexpr int LINEAR_THREADS = 64;

// y = x W^T + b, or its gradients.
struct LinearJob {
    long M, D, V;
    int threads;
    const float* x;       // (M, D)
    const float* weight;  // (V, D)
    const float* bias;    // (V,) or null
    float* y;             // (M, V)
    const float* d_y;     // (M, V)
    float* d_x;           // null if not wanted
    float* d_weight;
    float* d_bias;
    char* scratch;
};

// -log softmax(x W^T + b) at the targets, in nats, and the gradients of the rows' weighted sum. Logits of some rows at
// a time are all that is ever held.
struct LossJob {
    long M, D, V;
    int threads;
    const float* x;              // (M, D)
    const float* weight;         // (V, D)
    const float* bias;           // (V,) or null
    const std::int64_t* targets; // (M,), 0 <= target < V
    float smoothing;             // this share of the target is spread evenly over the vocabulary
    const float* row_weights;    // (M,) or null for ones; they touch d_weight and d_bias alone
    float* nats;                 // (M,)
    float* d_x;                  // (M, D): of each row's own nats; null if not wanted
    float* d_weight;             // (V, D): of the weighted sum; null if not wanted
    float* d_bias;               // (V,): of the weighted sum; null if not wanted
    char* scratch;
};

// Both for one instruction set.
struct LinearEngine {
    const char* isa;
    long (*linear_bytes)(const LinearJob&);
    void (*linear)(const LinearJob&);            // fills y
    void (*linear_gradients)(const LinearJob&);  // fills d_x, d_weight, d_bias
    long (*loss_bytes)(const LossJob&);
    void (*loss)(const LossJob&);
};

extern const LinearEngine linear_portable;
#if defined(__x86_64__)
extern const LinearEngine linear_avx2;
extern const LinearEngine linear_avx512;
#endif

}  // namespace recurra
