// Word vectors from a text, as plain pointers. Filled in by bind/words.cpp.
#pragma once

#include <cstdint>

namespace recurra {

constexpr int WORDS_GROUP = 16;

// Skip-gram or CBOW, with negative samples or a tree, over a piece of a text (Mikolov et al. 2013).
struct WordsJob {
    const std::int32_t* tokens;  // (count,) numbers of words, -1 between sentences
    long count;
    std::uint64_t position;      // of the first token in the whole training: what is drawn is a function of it
    std::uint64_t seed;
    long V, D;                   // words, numbers of a vector
    float* inputs;               // (V, stride), or as many rows as the bags name
    float* outputs;              // (V, stride), or of a tree (V - 1, stride)
    const std::uint32_t* keep;   // (V,) of 2^32: how often a word stays in the text, or null for always
    const std::uint32_t* share;  // (V,) of 2^32, and
    const std::int32_t* other;   // (V,): the distribution of negative samples as Walker's aliases
    const std::int32_t* begins;  // (V + 1,): where the path of each word begins in `paths`; null: negative samples
    const std::int32_t* paths;   // the inner nodes from the root to each word, each times 2, plus 1 where right goes on
    const std::int64_t* bag_begins;  // (V + 1,): where the rows of each word begin in `bags`; null: a word is its own row
    const std::int32_t* bags;        // rows of inputs, whose mean a word is (Bojanowski et al. 2017)
    bool mean;                   // CBOW: the mean of the words around is told from others, not each of them
    bool fixed;                  // every window has `window` words on each side
    int window, negatives;       // negatives: of a tree, nodes of the longest path less one
    int group;                   // windows whose products are made at once, at most WORDS_GROUP
    float rate;
    int threads;
    double nats;                 // out: the sum of the loss
    std::int64_t pairs;          // out: how many words were told from others
};

struct WordsEngine {
    const char* isa;
    long (*stride)(long D);      // numbers from one row to the next; what is behind D must be zero
    void (*train)(WordsJob&);
};

extern const WordsEngine words_portable;
#if defined(__x86_64__)
extern const WordsEngine words_avx2;
extern const WordsEngine words_avx512;
#endif

}  // namespace recurra
