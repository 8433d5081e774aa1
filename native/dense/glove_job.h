// GloVe's least squares, as plain pointers. Filled in by bind/glove.cpp.
#pragma once

#include <cstdint>

namespace recurra {

// Rows and columns are divided into so many parts, by their number modulo it. A stratum has the pairs of each part of rows
// with one part of columns, another one each: what two threads move never meets (Gemulla et al. 2011).
constexpr int GLOVE_PARTS = 8;

struct GlovePair {
    std::int32_t row, column;
    float log, weight;  // of the count x: ln x, and f(x)
};

struct GloveJob {
    const GlovePair* pairs;      // of one stratum, in parts
    const std::int64_t* begins;  // (GLOVE_PARTS + 1,)
    long D;
    float *words, *others;              // (V, stride): vectors, and the bias behind them, in column D
    float *word_squares, *other_squares;  // the same: what was added of AdaGrad's squares
    float rate;
    bool moves;                  // otherwise the loss alone
    int threads;
    double loss;                 // out: the sum of f(x) (w c + b + b' - ln x)^2 / 2
};

struct GloveEngine {
    const char* isa;
    void (*train)(GloveJob&);
};

extern const GloveEngine glove_portable;
#if defined(__x86_64__)
extern const GloveEngine glove_avx2;
extern const GloveEngine glove_avx512;
#endif

}  // namespace recurra
