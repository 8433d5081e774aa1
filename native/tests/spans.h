// Attention of spans with its gradients, and units of feed-forward parts, on random shapes, for the battery: one thread against several
// (bits), one instruction set against the portable one, in arrays of exactly the promised sizes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "../dense/span_attention_job.h"
#include "../dense/transformer_job.h"
#include "word_vectors.h"

namespace recurra::battery {

// Poisoned: NaN where it is read unwritten.
inline Floats unwritten(long count) { return Floats(static_cast<std::size_t>(count), NAN); }

inline Floats drawn(long count, std::mt19937& random) {
    std::normal_distribution<float> normal;
    Floats made(static_cast<std::size_t>(count));
    for (float& v : made) v = normal(random);
    return made;
}

class SpanProblem {
public:
    SpanProblem(long kind, std::mt19937& random) {
        const auto up_to = [&](long most) { return 1 + static_cast<long>(random() % most); };
        turned_ = random() % 2, causal_ = random() % 2, window_ = causal_ && random() % 2 ? up_to(60) : 0;
        heads_ = up_to(3), size_ = up_to(kind % 3 ? 20 : 70);
        size_ += turned_ && size_ % 2;
        dropped_ = random() % 3 ? 0 : static_cast<std::uint32_t>(random() % (1u << 31)), seed_ = random();
        for (long n = up_to(4); n > 0; --n) {
            const long count = up_to(kind % 4 ? 20 : 130), before = static_cast<long>(random() % 50);
            const long others = causal_ && random() % 4 == 0 ? static_cast<long>(random() % count) : count + before;
            spans_.push_back({queries_, count, keys_, others});
            queries_ += count, keys_ += others, most_ = std::max(most_, others);
        }
        const long d = heads_ * size_;
        q_row_ = d + static_cast<long>(random() % 6), k_row_ = d + static_cast<long>(random() % 6);
        q_ = rows(queries_, q_row_, random), k_ = rows(keys_, k_row_, random), v_ = rows(keys_, k_row_, random);
        d_out_ = drawn(queries_ * d, random), turns_ = drawn(std::max(most_, 1L) * size_, random);
    }

    // What is said, and the gradients.
    Floats made(const SpanAttentionEngine& engine, int threads) const {
        const long d = heads_ * size_;
        Floats out = unwritten(queries_ * d), sums = unwritten(queries_ * heads_), d_q = unwritten(queries_ * d), d_k = unwritten(keys_ * d), d_v = d_k;
        SpanAttentionJob job{};
        job.spans = spans_.data(), job.sequences = static_cast<long>(spans_.size()), job.heads = heads_, job.size = size_;
        job.q = q_.data(), job.k = k_.data(), job.v = v_.data(), job.q_row = q_row_, job.k_row = job.v_row = k_row_;
        job.out = out.data(), job.log_sums = sums.data(), job.scale = 1.0f / std::sqrt(static_cast<float>(size_));
        job.causal = causal_, job.window = window_, job.dropped = dropped_, job.seed = seed_, job.threads = threads;
        job.turns = turned_ ? turns_.data() : nullptr;
        Floats scratch = unwritten(engine.bytes(job) / 4 + 32);
        job.scratch = reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(scratch.data()) + 127) / 128 * 128);
        engine.attend(job);
        std::memset(job.scratch, 0xFF, static_cast<std::size_t>(engine.bytes(job)));
        job.d_out = d_out_.data(), job.d_q = d_q.data(), job.d_k = d_k.data(), job.d_v = d_v.data();
        engine.gradients(job);
        for (const Floats* one : {&sums, &d_q, &d_k, &d_v}) out.insert(out.end(), one->begin(), one->end());
        return out;
    }

private:
    long heads_, size_, queries_ = 0, keys_ = 0, most_ = 0, window_, q_row_, k_row_;
    bool turned_, causal_;
    std::uint32_t dropped_;
    std::uint64_t seed_;
    std::vector<Span> spans_;
    Floats q_, k_, v_, d_out_, turns_;

    // Behind the last row's numbers there is nothing.
    Floats rows(long count, long row, std::mt19937& random) const {
        return drawn(count ? (count - 1) * row + heads_ * size_ : 0, random);
    }
};

class UnitsProblem {
public:
    UnitsProblem(long kind, std::mt19937& random)
        : rows_(1 + random() % 9), units_(1 + random() % (kind % 3 ? 40 : 300)), function_(static_cast<int>(kind % 4)), gated_(random() % 2),
          x_(drawn(rows_ * units_ * (1 + gated_), random)), d_y_(drawn(rows_ * units_, random)) {}

    Floats made(const TransformerEngine& engine, int threads) const {
        Floats y = unwritten(rows_ * units_), d_x = unwritten(static_cast<long>(x_.size()));
        const UnitsJob job{x_.data(), rows_, units_, function_, gated_, y.data(), d_y_.data(), d_x.data(), threads};
        engine.units(job);
        engine.unit_gradients(job);
        y.insert(y.end(), d_x.begin(), d_x.end());
        return y;
    }

private:
    long rows_, units_;
    int function_;
    bool gated_;
    Floats x_, d_y_;
};

template <typename Engine, typename Problem>
int check_made(const std::vector<const Engine*>& engines, const Problem& problem, const char* what, long kind) {
    int failures = 0;
    const Floats portable = problem.made(*engines.back(), 1);
    for (const Engine* engine : engines) {
        const Floats one = problem.made(*engine, 1), three = problem.made(*engine, 3);
        const bool near = apart(one, portable) < 1e-3, same = std::memcmp(one.data(), three.data(), one.size() * 4) == 0;
        if (near && same) continue;
        ++failures;
        std::printf("%s %s, problem %ld: differs %s\n", what, engine->isa, kind, near ? "by threads" : "from the portable engine");
    }
    return failures;
}

}  // namespace recurra::battery
