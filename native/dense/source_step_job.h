// What a step of a recurrent decoder does beside its cells, as plain pointers: each row's attention to its source, and the readout.
// Filled in by bind/recurrent_decoder.cpp.
#pragma once

#include <cstdint>

#include "transformer_job.h"

namespace recurra {

enum ScoreKind : int { DOT_SCORE, FEED_FORWARD_SCORE };
enum ReadoutKind : int { STATE_READOUT, TANH_READOUT, MAXOUT_READOUT };

// What is looked at, once for all rows that read a source.
struct Sources {
    const float* keys;             // (N, T, K)
    const float* values;           // (N, T, M)
    const std::int64_t* lengths;   // (N,): of the T positions, how many are real
    const std::uint8_t* raised;    // (N,), of FEED_FORWARD_SCORE: whether keys k stand there as e^2k
    long T, K, M;
};

// Contexts of rows: sums of their source's values, weighted by the softmax of scores.
struct LookJob {
    int score;
    float scale;          // of scores, of DOT_SCORE
    Linear query;         // from a state to what keys are compared with; without inputs: the state itself
    const float* energy;  // (K,), of FEED_FORWARD_SCORE
    Sources sources;
    int threads;
    long rows, size;            // numbers of a state
    const float* states;        // (rows, size)
    const std::int64_t* source; // (rows,): which source each row reads
    float* contexts;            // (rows, M), `context_row` floats apart
    long context_row;
    char* scratch;
};

// What the output layer reads of state h, token's vector x and context (H, E and M numbers).
struct ReadJob {
    int kind;
    Linear joint;  // from [context; h] of TANH_READOUT, [h; x; context] of MAXOUT_READOUT
    long H, E, M;
    int threads;
    long rows;
    const float *h, *x, *contexts;  // rows are H, x_row and context_row floats apart
    long x_row, context_row;
    float* to;  // (rows, D)
    long D;
    char* scratch;
};

struct SourceStepEngine {
    const char* isa;
    void (*raise)(const float* keys, const std::int64_t* lengths, long N, long T, long K, float* to, std::uint8_t* raised);
    long (*look_bytes)(const LookJob&);
    void (*look)(const LookJob&);
    long (*read_bytes)(const ReadJob&);
    void (*read)(const ReadJob&);
};

extern const SourceStepEngine source_step_portable;
#if defined(__x86_64__)
extern const SourceStepEngine source_step_avx2;
extern const SourceStepEngine source_step_avx512;
#endif

}  // namespace recurra
