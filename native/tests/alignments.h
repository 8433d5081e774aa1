// CTC and RNN-T on random rows, for the battery: one thread against several, and one instruction set against the portable one, in
// memory of exactly the promised sizes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "../dense/ctc_job.h"
#include "../dense/transducer_job.h"

namespace recurra::battery {

// Numbers that are not finite must be so on both sides.
inline double furthest(const std::vector<float>& a, const std::vector<float>& b) {
    double most = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
        if (!std::isfinite(a[k]) && std::isnan(a[k]) == std::isnan(b[k]) && std::isinf(a[k]) == std::isinf(b[k])) continue;
        const double size = std::max(1.0, std::fabs(static_cast<double>(b[k])));
        const double off = std::fabs(static_cast<double>(a[k]) - static_cast<double>(b[k])) / size;
        most = std::isfinite(off) ? std::max(most, off) : INFINITY;
    }
    return most;
}

template <typename Job>
void run_poisoned(void (*work)(const Job&), long bytes, Job& job) {
    std::vector<char> scratch(static_cast<std::size_t>(bytes) + 128, static_cast<char>(0xFF));
    job.scratch = scratch.data() + 128 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 128;
    work(job);
}

struct CtcProblem {
    long T, N, C, U, blank;
    std::vector<float> logits;
    std::vector<std::int64_t> lengths, targets, target_lengths;

    CtcProblem(long round, std::mt19937& random) {
        const auto up_to = [&](long most) { return static_cast<long>(random() % static_cast<unsigned long>(most + 1)); };
        T = up_to(round % 4 ? 20 : 90), N = up_to(5), C = 2 + up_to(round % 3 ? 9 : 60), U = up_to(T / 2), blank = up_to(C - 1);
        std::normal_distribution<float> normal(0.0f, round % 5 ? 2.0f : 30.0f);
        for (long k = 0; k < T * N * C; ++k) logits.push_back(round % 7 || random() % 40 ? normal(random) : -INFINITY);
        for (long n = 0; n < N; ++n) {
            lengths.push_back(up_to(T));
            target_lengths.push_back(std::min(up_to(U), lengths.back() / 2));
            for (long u = 0; u < U; ++u) targets.push_back((blank + 1 + up_to(C - 2)) % C);
        }
    }

    std::vector<float> solve(const CtcEngine& engine, int threads) const {
        std::vector<float> nats(static_cast<std::size_t>(N)), d(logits.size());
        CtcJob job{logits.data(), lengths.data(), targets.data(), target_lengths.data(), T, N, C, U, blank, nats.data(), d.data(),
                   threads, nullptr};
        run_poisoned(engine.loss, engine.bytes(job), job);
        nats.insert(nats.end(), d.begin(), d.end());
        return nats;
    }
};

inline int check_ctc(const std::vector<const CtcEngine*>& engines, const CtcProblem& p) {
    const std::vector<float> expected = p.solve(*engines.back(), 1);
    int failures = 0;
    for (const CtcEngine* engine : engines) {
        const std::vector<float> got = p.solve(*engine, 1), shared = p.solve(*engine, 3);
        const bool same = got.empty() || std::memcmp(got.data(), shared.data(), got.size() * 4) == 0;
        if (furthest(got, expected) < 1e-4 && same) continue;
        ++failures;
        std::printf("ctc %s T%ld N%ld C%ld U%ld: %s (%g)\n", engine->isa, p.T, p.N, p.C, p.U,
                    same ? "differs from the portable engine" : "differs by threads", furthest(got, expected));
    }
    return failures;
}

struct TransducerProblem {
    long T, N, D, V, U;
    bool joint;
    std::vector<float> left, right, weight, bias;
    std::vector<std::int64_t> lengths, targets, target_lengths;

    TransducerProblem(long round, std::mt19937& random) {
        const auto up_to = [&](long most) { return static_cast<long>(random() % static_cast<unsigned long>(most + 1)); };
        joint = round % 2;
        T = 1 + up_to(12), N = up_to(11), D = 2 + up_to(40), V = joint ? 2 + up_to(40) : D, U = up_to(20);
        std::normal_distribution<float> normal(0.0f, round % 5 ? 1.0f : 20.0f);
        const auto fill = [&](std::vector<float>& to, long count) {
            for (long k = 0; k < count; ++k) to.push_back(normal(random));
        };
        fill(left, T * N * D), fill(right, (U + 1) * N * D), fill(weight, V * D), fill(bias, V);
        for (long n = 0; n < N; ++n) {
            lengths.push_back(1 + up_to(T - 1)), target_lengths.push_back(up_to(U));
            for (long u = 0; u < U; ++u) targets.push_back(1 + up_to(V - 2));
        }
    }

    std::vector<float> solve(const TransducerEngine& engine, int threads) const {
        std::vector<float> nats(static_cast<std::size_t>(N)), l(left.size()), r(right.size()), w(weight.size()), b(bias.size());
        TransducerJob job{left.data(), right.data(), joint ? weight.data() : nullptr, joint ? bias.data() : nullptr,
                          lengths.data(), targets.data(), target_lengths.data(), nullptr, T, N, D, V, U, 0, 0.1f,
                          nats.data(), l.data(), r.data(), joint ? w.data() : nullptr, joint ? b.data() : nullptr,
                          threads, nullptr};
        run_poisoned(engine.loss, engine.bytes(job), job);
        for (const auto* part : {&l, &r, &w, &b}) nats.insert(nats.end(), part->begin(), part->end());
        return nats;
    }
};

inline int check_transducer(const std::vector<const TransducerEngine*>& engines, const TransducerProblem& p) {
    const std::vector<float> expected = p.solve(*engines.back(), 1);
    int failures = 0;
    for (const TransducerEngine* engine : engines) {
        const std::vector<float> got = p.solve(*engine, 1), shared = p.solve(*engine, 3);
        const bool same = std::memcmp(got.data(), shared.data(), got.size() * 4) == 0;
        if (furthest(got, expected) < 1e-3 && same) continue;
        ++failures;
        std::printf("transducer %s T%ld N%ld D%ld V%ld U%ld: %s (%g)\n", engine->isa, p.T, p.N, p.D, p.V, p.U,
                    same ? "differs from the portable engine" : "differs by threads", furthest(got, expected));
    }
    return failures;
}

}  // namespace recurra::battery
