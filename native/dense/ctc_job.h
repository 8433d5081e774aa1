// Connectionist temporal classification, as plain pointers. Filled in by bind/ctc.cpp.
#pragma once

#include <cstdint>

namespace recurra {

// -ln p(target | logits) of each row, over all ways to spread a target over the frames; and the gradient of each.
struct CtcJob {
    const float* logits;                 // (T, N, C)
    const std::int64_t* lengths;         // (N,) frames
    const std::int64_t* targets;         // (N, U) units, none of them the blank
    const std::int64_t* target_lengths;  // (N,)
    long T, N, C, U, blank;
    float* nats;      // (N,)
    float* d_logits;  // (T, N, C), every number of which is written; null: not wanted
    int threads;
    char* scratch;
};

struct CtcEngine {
    const char* isa;
    long (*bytes)(const CtcJob&);  // of scratch
    void (*loss)(const CtcJob&);
};

extern const CtcEngine ctc_portable;
#if defined(__x86_64__)
extern const CtcEngine ctc_avx2;
extern const CtcEngine ctc_avx512;
#endif

}  // namespace recurra
