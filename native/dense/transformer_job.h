// Layers of a Transformer as plain pointers: a decoder's step, an encoder's rows, and its step. Filled in by bind/transformer.cpp.
#pragma once

#include <cstdint>

#include "span_attention_job.h"

namespace recurra {

constexpr int TRANSFORMER_THREADS = 64;

// y = W x + b; W (outputs, inputs), b (outputs,) or null. panels, start: packed, where they are.
struct Linear {
    const float *weight, *bias;
    long inputs, outputs;
    const float *panels, *start;
};

enum NormKind : int { NO_NORM, LAYER_NORM, RMS_NORM };

// weight, bias: (d,) or null.
struct Norm {
    int kind;
    const float *weight, *bias;
    float eps;
};

enum Activation : int { RELU, GELU, GELU_TANH, SILU };

// Parts of a layer in their order; query and across are of attention to a source, which an encoder's layer has not.
struct TransformerLayer {
    Linear projection, out, query, across, first, second;
    Norm norms[3];  // of attention, of attention to the source, of the feed-forward part
    int activation;
    bool gated;       // f(a) b of the halves of what `first` gives
    bool norm_first;  // x + f(norm(x)), else norm(x + f(x))
};

// Keys and values of one layer: what has been written (steps, room, d), and the sources' rows (R, d).
struct Keys {
    float *keys, *values;
    const float *source_keys, *source_values;
};

// One step of B rows: tokens to log-probabilities of the next.
struct DecoderJob {
    const TransformerLayer* layers;
    const Keys* keys;  // (num_layers,)
    long num_layers, d, heads, vocabulary;
    Norm norm;
    Linear output;
    int threads;
    long rows;
    const std::int64_t* tokens;  // (B,)
    const float* table;          // (V, d)
    float scale;                 // of a token's vector
    const float* place;          // (d,) what is added to it
    const float* turn;           // cosines and sines (size,) of rotary positions, or null
    long step, room;             // steps that have been, and rows of each in `keys`
    const std::int64_t* held;    // (step, B): in which row of a step each row's is
    const std::int64_t* source;  // (B,): which source a row reads
    const std::int64_t* places;  // (N, 2): the first row of a source, and how many it has
    long best;                   // 0: all log-probabilities; else so many, the greatest first, of equals that of the first token
    float* log_probs;            // (B, V), or (B, best)
    std::int64_t* best_tokens;   // (B, best): whose they are
    char* scratch;
};

// Rows of sequences through all layers of an encoder, in place. Of a layer's norms the first two are those of its parts.
struct EncoderJob {
    const TransformerLayer* layers;
    long num_layers, d, heads;
    Norm norm;
    int threads;
    long rows;
    float* x;           // (rows, d)
    const Span* spans;  // (sequences,), keys as queries
    long sequences;
    bool causal;
    long window;               // of a causal one: keys that a query sees, 0: all
    const float* turns;        // (positions, size) cosines and sines of rotary positions, or null
    const std::int64_t* steps; // (rows,): the position of each
    char* scratch;
};

// Keys and values of one layer (rows, window, d), the latest last: those before a step, null where there are none, and behind it.
struct KeptKeys {
    const float *old_keys, *old_values;
    float *keys, *values;
};

// One step of rows through a causal encoder, in place.
struct EncoderStepJob {
    const TransformerLayer* layers;
    const KeptKeys* kept;  // (num_layers,)
    long num_layers, d, heads;
    Norm norm;
    int threads;
    long rows, window;         // a step sees so many, itself among them
    float* x;                  // (rows, d)
    const std::int64_t* seen;  // (rows,): how many steps there have been
    const float* turns;        // (window, size) cosines and sines of distances, for rotary positions, or null
    char* scratch;
};

// y = f(a), or with a second half of each row f(a) b; or the gradients.
struct UnitsJob {
    const float* x;  // (rows, units), or (rows, 2 units)
    long rows, units;
    int function;
    bool gated;
    float* y;          // (rows, units)
    const float* d_y;  // (rows, units)
    float* d_x;        // as x
    int threads;
};

struct TransformerEngine {
    const char* isa;
    long (*packed_bytes)(const Linear&);
    void (*pack)(Linear&, char*);  // sets panels and start
    long (*step_bytes)(const DecoderJob&);
    void (*step)(const DecoderJob&);
    long (*encoder_bytes)(const EncoderJob&);
    void (*encode)(const EncoderJob&);
    long (*encoder_step_bytes)(const EncoderStepJob&);
    void (*encoder_step)(const EncoderStepJob&);
    void (*units)(const UnitsJob&);
    void (*unit_gradients)(const UnitsJob&);
};

extern const TransformerEngine transformer_portable;
#if defined(__x86_64__)
extern const TransformerEngine transformer_avx2;
extern const TransformerEngine transformer_avx512;
#endif

}  // namespace recurra
