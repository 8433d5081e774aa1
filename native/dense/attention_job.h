// One query after another over rows of keys and values, as plain pointers. Filled in by bind/attention.cpp.
#pragma once

#include <cstdint>

namespace recurra {

// out_b = sum over its rows r of softmax(q_b k_r scale) v_r, head by head; zeros for a query without rows.
struct AttendJob {
    long queries, heads, size;  // size: of a head; a row has heads * size numbers
    int threads;
    float scale;
    const float* q;            // (queries, heads * size)
    const float* keys;         // rows of heads * size
    const float* values;       // likewise
    const std::int64_t* rows;  // of each query, one behind the other
    const std::int64_t* ends;  // (queries + 1,): the rows of query b are ends[b] to ends[b + 1]
    float* out;                // (queries, heads * size)
};

struct AttentionEngine {
    const char* isa;
    void (*attend)(const AttendJob&);
};

extern const AttentionEngine attention_portable;
#if defined(__x86_64__)
extern const AttentionEngine attention_avx2;
extern const AttentionEngine attention_avx512;
#endif

}  // namespace recurra
