// CTC on random rows, for the battery: one thread against several, and one instruction set against the portable one, in
// memory of exactly the promised sizes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "../dense/ctc_job.h"

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

}  // namespace recurra::battery
