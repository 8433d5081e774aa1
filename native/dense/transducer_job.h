// The loss of a recurrent neural network transducer, as plain pointers. Filled in by bind/transducer.cpp.
#pragma once

#include <cstdint>

namespace recurra {

// Rows are divided into so many groups, whose gradients of the weights are added in order: the bits are those of any number
// of threads.
constexpr int TRANSDUCER_GROUPS = 8;

// -ln p(target | logits) of each row. Logits of frame t behind u units are left_t + right_u, or, with a weight,
// W tanh(left_t + right_u) + b: they are made frame by frame, and never all in memory.
struct TransducerJob {
    const float *left, *right;           // (T, N, D), (U + 1, N, D); without a weight D is V
    const float *weight, *bias;          // (V, D), (V,), or null
    const std::int64_t* lengths;         // (N,) frames, at least 1
    const std::int64_t* targets;         // (N, U) units, none of them the blank
    const std::int64_t* target_lengths;  // (N,)
    const float* row_weights;            // (N,) of the gradients of each row; null: 1
    long T, N, D, V, U, blank;
    float fast_emit;  // gradients of units are 1 + this times as large
    float* nats;      // (N,)
    float *d_left, *d_right, *d_weight, *d_bias;  // like the above, every number of which is written; d_left null: none
    int threads;
    char* scratch;
};

struct TransducerEngine {
    const char* isa;
    long (*bytes)(const TransducerJob&);  // of scratch
    void (*loss)(const TransducerJob&);
};

extern const TransducerEngine transducer_portable;
#if defined(__x86_64__)
extern const TransducerEngine transducer_avx2;
extern const TransducerEngine transducer_avx512;
#endif

}  // namespace recurra
