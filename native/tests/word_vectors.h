// Word vectors and GloVe on random texts, for the battery: one thread against several, and one instruction set against the
// portable one, in tables of exactly the promised sizes.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "../dense/cooccurrences.h"
#include "../dense/glove_job.h"
#include "../dense/words_job.h"

namespace recurra::battery {

using Floats = std::vector<float>;

inline Floats table(long rows, long D, long stride, std::mt19937& random) {
    std::uniform_real_distribution<float> even(-0.5f, 0.5f);
    Floats made(static_cast<std::size_t>(rows * stride));
    for (long r = 0; r < rows; ++r)
        for (long d = 0; d < D; ++d) made[static_cast<std::size_t>(r * stride + d)] = even(random);
    return made;
}

// The numbers of a table without what is behind each row: strides differ by instruction set.
inline Floats without_stride(const Floats& from, long D, long stride) {
    Floats made;
    for (std::size_t at = 0; at < from.size(); at += static_cast<std::size_t>(stride))
        made.insert(made.end(), from.begin() + static_cast<long>(at), from.begin() + static_cast<long>(at) + D);
    return made;
}

inline double apart(const Floats& a, const Floats& b) {
    double most = a.size() == b.size() ? 0 : INFINITY;
    for (std::size_t k = 0; k < a.size() && most < INFINITY; ++k)
        most = std::max(most, std::isfinite(a[k]) ? std::fabs(static_cast<double>(a[k]) - static_cast<double>(b[k])) : INFINITY);
    return most;
}

struct TextProblem {
    long V, D;
    int window, negatives;
    bool mean, fixed, tree, bags;
    std::uint32_t seed;
    std::vector<std::int32_t> tokens;

    TextProblem(long V, long D, int window, int negatives, int kind, std::mt19937& random)
        : V(V), D(D), window(window), negatives(negatives), mean(kind % 4 == 1), fixed(kind % 3 == 0), tree(kind % 4 == 2),
          bags(kind % 4 == 3), seed(random()) {
        for (long k = 0; k < 700; ++k) tokens.push_back(random() % 19 ? static_cast<std::int32_t>(random() % V) : -1);
    }

    // Both tables after a pass, and the loss.
    Floats solve(const WordsEngine& engine, int threads, int group) const {
        std::mt19937 random(seed);
        const long stride = engine.stride(D), rows = bags ? V + 9 : V;
        Floats inputs = table(rows, D, stride, random), outputs = table(V, D, stride, random);
        std::vector<std::uint32_t> share(static_cast<std::size_t>(V), 1u << 31), keep(share.size(), 3u << 30);
        std::vector<std::int32_t> other, begins{0}, paths, bagged;
        std::vector<std::int64_t> bag_begins{0};
        for (long word = 0; word < V; ++word) {
            other.push_back(static_cast<std::int32_t>(V - 1 - word));
            for (long node = 0; node <= std::min(word, 6L) && node < V - 1; ++node)
                paths.push_back(static_cast<std::int32_t>(2 * node + static_cast<long>(random() % 2)));
            begins.push_back(static_cast<std::int32_t>(paths.size()));
            bagged.push_back(static_cast<std::int32_t>(word));
            for (std::uint32_t more = random() % 5; more; --more) bagged.push_back(static_cast<std::int32_t>(V + random() % 9));
            bag_begins.push_back(static_cast<std::int64_t>(bagged.size()));
        }
        WordsJob job{};
        job.tokens = tokens.data(), job.count = static_cast<long>(tokens.size()), job.position = 5, job.seed = seed;
        job.V = V, job.D = D, job.inputs = inputs.data(), job.outputs = outputs.data(), job.keep = keep.data();
        job.share = share.data(), job.other = other.data();
        if (tree) job.begins = begins.data(), job.paths = paths.data();
        if (bags) job.bag_begins = bag_begins.data(), job.bags = bagged.data();
        job.mean = mean, job.fixed = fixed, job.window = window, job.negatives = tree ? 6 : negatives;
        job.group = group, job.rate = 0.02f, job.threads = threads;
        engine.train(job);
        Floats all = without_stride(inputs, D, stride), second = without_stride(outputs, D, stride);
        all.insert(all.end(), second.begin(), second.end());
        all.push_back(static_cast<float>(job.nats / static_cast<double>(std::max<std::int64_t>(job.pairs, 1))));
        return all;
    }
};

struct CountedProblem {
    const TextProblem& text;
    bool symmetric;

    Floats solve(const GloveEngine& engine, long stride, int threads, std::size_t memory) const {
        Cooccurrences counted("/tmp", text.V, text.window, symmetric, true, static_cast<long>(text.tokens.size()), memory, text.seed);
        const long half = static_cast<long>(text.tokens.size()) / 2;
        counted.add(text.tokens.data(), half);
        counted.add(text.tokens.data() + half, static_cast<long>(text.tokens.size()) - half);
        counted.finish();
        std::mt19937 random(text.seed);
        Floats words = table(text.V, text.D + 1, stride, random), others = table(text.V, text.D + 1, stride, random);
        Floats squares(words.size()), other_squares(words.size());
        std::vector<GlovePair> pairs(97);
        std::int64_t begins[GLOVE_PARTS + 1];
        while (const long found = counted.read(pairs.data(), 97, begins, 10.0, 0.75)) {
            const std::vector<GlovePair> exact(pairs.begin(), pairs.begin() + found);
            GloveJob job{exact.data(), begins, text.D, words.data(), others.data(), squares.data(), other_squares.data(),
                         0.05f, true, threads, 0};
            engine.train(job);
        }
        Floats all = without_stride(words, text.D + 1, stride), second = without_stride(others, text.D + 1, stride);
        all.insert(all.end(), second.begin(), second.end());
        return all;
    }
};

// How many checks of a random problem failed.
inline int check_words(const std::vector<const WordsEngine*>& engines, const std::vector<const GloveEngine*>& gloves,
                       const TextProblem& p) {
    int failures = 0;
    const auto expect = [&](bool holds, const char* isa, const char* what) {
        if (holds) return;
        ++failures;
        std::printf("words %s V%ld D%ld window%d: %s\n", isa, p.V, p.D, p.window, what);
    };
    const int group = p.bags ? 1 : 3;
    const Floats expected = p.solve(*engines.back(), 1, group);
    for (const WordsEngine* engine : engines) {
        const Floats got = p.solve(*engine, 1, group), shared = p.solve(*engine, 3, group);
        expect(apart(got, expected) < 1e-3, engine->isa, "differs from the portable engine");
        expect(std::memcmp(got.data(), shared.data(), got.size() * 4) == 0, engine->isa, "differs by threads");
    }
    const CountedProblem counted{p, p.fixed};
    const Floats all = counted.solve(*gloves.back(), engines.back()->stride(p.D + 1), 1, 1 << 20);
    for (std::size_t k = 0; k < gloves.size(); ++k) {
        const long stride = engines[k]->stride(p.D + 1);
        const Floats got = counted.solve(*gloves[k], stride, 1, 1 << 20), shared = counted.solve(*gloves[k], stride, 3, 2000);
        expect(apart(got, all) < 1e-3, gloves[k]->isa, "GloVe differs from the portable engine");
        expect(std::memcmp(got.data(), shared.data(), got.size() * 4) == 0, gloves[k]->isa, "GloVe differs by threads or memory");
    }
    return failures;
}

}  // namespace recurra::battery
