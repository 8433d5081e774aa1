// Attention of sequences that stand one behind the other as rows, as plain pointers. Filled in by bind/span_attention.cpp.
#pragma once

#include <cstdint>

namespace recurra {

constexpr int SPAN_THREADS = 64;

// Of one sequence: its rows among the queries, and its rows among the keys.
struct Span {
    std::int64_t first_query, queries, first_key, keys;
};

// softmax(scale Q K^T) V of each head of each sequence, with dropout of the weights; or its gradients.
struct SpanAttentionJob {
    const Span* spans;  // (sequences,)
    long sequences, heads, size;  // size: numbers of a head
    const float *q, *k, *v;       // rows of heads * size numbers, so many floats apart:
    long q_row, k_row, v_row;
    float* out;       // (queries, heads * size)
    float* log_sums;  // (queries, heads): ln of the sum of exp of a query's scores
    float scale;
    bool causal;          // query i of L sees the keys up to i + keys - L
    long window;          // of these the last so many; 0: all
    std::uint32_t dropped;  // of 2^31: how often a weight is dropped
    std::uint64_t seed;     // what is dropped is a function of seed, query, head and key
    // (keys, size) cosines and sines by which queries and keys are turned, or null: a key by its place in its span, query i of L as key
    // i + keys - L
    const float* turns;
    const float* d_out;
    float *d_q, *d_k, *d_v;  // (rows, heads * size), every row of which is written
    int threads;
    char* scratch;
};

// y = x without those numbers that are dropped, the rest scaled. What is dropped is a function of seed and place.
struct DropJob {
    const float* x;
    float* y;
    long count;
    std::uint32_t dropped;  // of 2^31
    std::uint64_t seed;
};

struct SpanAttentionEngine {
    const char* isa;
    long (*bytes)(const SpanAttentionJob&);  // of scratch
    void (*attend)(const SpanAttentionJob&);
    void (*gradients)(const SpanAttentionJob&);
    void (*drop)(const DropJob&);
};

extern const SpanAttentionEngine span_attention_portable;
#if defined(__x86_64__)
extern const SpanAttentionEngine span_attention_avx2;
extern const SpanAttentionEngine span_attention_avx512;
#endif

}  // namespace recurra
