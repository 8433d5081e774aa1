// Layers of a Transformer on random shapes, for the battery: one thread against several (bits), one instruction set against the
// portable one, in arrays of exactly the promised sizes.
#pragma once

#include <cstdio>
#include <cstring>
#include <deque>
#include <random>
#include <vector>

#include "../dense/transformer_job.h"
#include "word_vectors.h"

namespace recurra::battery {

class TransformerProblem {
public:
    TransformerProblem(long kind, std::mt19937& random) : random_(random), kind_(kind) {
        const auto up_to = [&](long most) { return 1 + static_cast<long>(random() % most); };
        heads_ = up_to(3), size_ = 2 * up_to(kind % 3 ? 9 : 40), d_ = heads_ * size_, vocabulary_ = up_to(kind % 4 ? 70 : 900);
        rows_ = up_to(kind % 5 ? 9 : 40), steps_ = static_cast<long>(random() % 40), room_ = rows_ + static_cast<long>(random() % 3);
        layers_ = up_to(2), units_ = up_to(60), best_ = kind % 2 ? std::min(up_to(6), vocabulary_) : 0;
        rotary_ = random() % 2, gated_ = random() % 2, norm_first_ = random() % 2;
        norm_kind_ = norm_first_ ? 1 + static_cast<int>(random() % 2) : LAYER_NORM;
        for (long k = 0; k < layers_; ++k) made_.push_back(layer());
        output_ = linear(d_, vocabulary_), last_ = norm();
        table_ = numbers(vocabulary_ * d_), place_ = numbers(d_), turn_ = numbers((steps_ + 60) * size_);
        const long sources = up_to(4);
        long first = 0;
        for (long n = 0; n < sources; ++n) {
            const long count = static_cast<long>(random() % 20);
            places_.insert(places_.end(), {first, count}), first += count;
        }
        for (long b = 0; b < rows_; ++b) {
            tokens_.push_back(static_cast<long>(random() % vocabulary_)), source_.push_back(static_cast<long>(random() % sources));
            const long count = up_to(60);
            spans_.push_back({encoder_rows_, count, encoder_rows_, count});
            for (long s = 0; s < count; ++s) at_.push_back(s);
            encoder_rows_ += count;
        }
        for (long k = 0; k < steps_ * rows_; ++k) held_.push_back(static_cast<long>(random() % room_));
        for (long k = 0; k < 4 * layers_; ++k) keys_.push_back(numbers(k % 4 < 2 ? (steps_ + 1) * room_ * d_ : first * d_));
        x_ = numbers(encoder_rows_ * d_);
        for (long k = 0; k < 2 * layers_; ++k) old_.push_back(numbers(rows_ * (steps_ + 1) * d_));
        for (long b = 0; b < rows_; ++b) seen_.push_back(kind % 5 ? static_cast<long>(random() % (2 * steps_ + 2)) : 0);
    }

    // What a step says, and the keys that it writes.
    Floats step(const TransformerEngine& engine, int threads) const {
        std::vector<TransformerLayer> layers = made_;
        Linear output = output_;
        std::deque<std::vector<char>> packed;
        const auto pack = [&](Linear& one) { engine.pack(one, aligned(packed.emplace_back(engine.packed_bytes(one) + 128))); };
        for (TransformerLayer& one : layers)
            for (Linear* part : {&one.projection, &one.out, &one.query, &one.across, &one.first, &one.second}) pack(*part);
        pack(output);
        std::vector<Floats> keys = keys_;
        std::vector<Keys> each;
        for (std::size_t k = 0; k < keys.size(); k += 4) each.push_back({keys[k].data(), keys[k + 1].data(), keys[k + 2].data(), keys[k + 3].data()});
        Floats said(static_cast<std::size_t>(rows_ * (best_ ? best_ : vocabulary_)));
        std::vector<std::int64_t> told(static_cast<std::size_t>(rows_ * best_));
        DecoderJob job{};
        job.layers = layers.data(), job.keys = each.data(), job.num_layers = layers_, job.d = d_, job.heads = heads_;
        job.vocabulary = vocabulary_, job.norm = last_, job.output = output, job.threads = threads, job.rows = rows_;
        job.tokens = tokens_.data(), job.table = table_.data(), job.scale = 2.0f, job.place = place_.data();
        job.turn = rotary_ ? turn_.data() : nullptr, job.step = steps_, job.room = room_, job.held = held_.data();
        job.source = source_.data(), job.places = places_.data(), job.best = best_, job.log_probs = said.data(), job.best_tokens = told.data();
        run(engine.step, engine.step_bytes(job), job);
        for (const std::int64_t token : told) said.push_back(static_cast<float>(token));
        for (std::size_t k = 0; k < keys.size(); ++k)
            if (k % 4 < 2) said.insert(said.end(), keys[k].begin(), keys[k].end());
        return said;
    }

    // Whether steps of up to 300 rows need no less room for each row more: a thread has room for the most rows, and may take fewer.
    bool room_grows(const TransformerEngine& engine) const {
        const std::vector<std::int64_t> source(300);
        DecoderJob job{};
        job.layers = made_.data(), job.num_layers = layers_, job.d = d_, job.heads = heads_, job.vocabulary = 5000, job.threads = 1;
        job.source = source.data(), job.places = places_.data(), job.best = 1;
        long before = 0;
        for (job.rows = 1; job.rows <= 300; ++job.rows) {
            const long bytes = engine.step_bytes(job);
            if (bytes < before) return false;
            before = bytes;
        }
        return true;
    }

    // Rows through an encoder of the same layers.
    Floats encode(const TransformerEngine& engine, int threads) const {
        Floats x = x_;
        EncoderJob job{};
        job.layers = made_.data(), job.num_layers = layers_, job.d = d_, job.heads = heads_, job.norm = last_, job.threads = threads;
        job.rows = encoder_rows_, job.x = x.data(), job.spans = spans_.data(), job.sequences = rows_;
        job.causal = kind_ % 3 == 0, job.window = kind_ % 6 == 0 ? 5 : 0;
        job.turns = rotary_ ? turn_.data() : nullptr, job.steps = at_.data();
        run(engine.encode, engine.encoder_bytes(job), job);
        return x;
    }

    // A step of a causal encoder of the same layers, from keys that are kept, or from none, and what it keeps.
    Floats encoder_step(const TransformerEngine& engine, int threads) const {
        std::vector<TransformerLayer> layers = made_;
        std::deque<std::vector<char>> packed;
        for (TransformerLayer& one : layers)
            for (Linear* part : {&one.projection, &one.out, &one.first, &one.second})
                engine.pack(*part, aligned(packed.emplace_back(engine.packed_bytes(*part) + 128)));
        const long window = steps_ + 1, each = rows_ * window * d_;
        std::vector<Floats> kept(static_cast<std::size_t>(2 * layers_), Floats(static_cast<std::size_t>(each)));
        std::vector<KeptKeys> keys;
        for (long k = 0; k < layers_; ++k) {
            const bool begins = kind_ % 5 == 0;
            keys.push_back({begins ? nullptr : old_[2 * k].data(), begins ? nullptr : old_[2 * k + 1].data(), kept[2 * k].data(),
                            kept[2 * k + 1].data()});
        }
        Floats x(x_.begin(), x_.begin() + rows_ * d_);
        EncoderStepJob job{};
        job.layers = layers.data(), job.kept = keys.data(), job.num_layers = layers_, job.d = d_, job.heads = heads_, job.norm = last_;
        job.threads = threads, job.rows = rows_, job.window = window, job.x = x.data(), job.seen = seen_.data();
        job.turns = rotary_ ? turn_.data() : nullptr;
        run(engine.encoder_step, engine.encoder_step_bytes(job), job);
        for (const Floats& one : kept) x.insert(x.end(), one.begin(), one.end());
        return x;
    }

private:
    std::mt19937& random_;
    long kind_, heads_, size_, d_, vocabulary_, rows_, steps_, room_, layers_, units_, best_, encoder_rows_ = 0;
    bool rotary_, gated_, norm_first_;
    int norm_kind_;
    std::deque<Floats> weights_;
    std::vector<TransformerLayer> made_;
    Linear output_{};
    Norm last_{};
    Floats table_, place_, turn_, x_;
    std::vector<std::int64_t> tokens_, source_, places_, held_, at_, seen_;
    std::vector<Span> spans_;
    std::vector<Floats> keys_, old_;

    Floats numbers(long count) {
        std::normal_distribution<float> normal;
        Floats made(static_cast<std::size_t>(count));
        for (float& v : made) v = normal(random_);
        return made;
    }

    Linear linear(long inputs, long outputs) {
        Floats& weight = weights_.emplace_back(numbers(inputs * outputs));
        for (float& v : weight) v /= std::sqrt(static_cast<float>(inputs));
        const float* const bias = random_() % 4 ? weights_.emplace_back(numbers(outputs)).data() : nullptr;
        return {weight.data(), bias, inputs, outputs, nullptr, nullptr};
    }

    Norm norm() {
        const float* const weight = weights_.emplace_back(numbers(d_)).data();
        return {norm_kind_, weight, norm_kind_ == LAYER_NORM ? weights_.emplace_back(numbers(d_)).data() : nullptr, 1e-5f};
    }

    TransformerLayer layer() {
        TransformerLayer made{};
        made.projection = linear(d_, 3 * d_), made.out = linear(d_, d_), made.query = linear(d_, d_), made.across = linear(d_, d_);
        made.first = linear(d_, units_ * (1 + gated_)), made.second = linear(units_, d_);
        for (Norm& one : made.norms) one = norm();
        made.activation = static_cast<int>(random_() % 4), made.gated = gated_, made.norm_first = norm_first_;
        return made;
    }

    static char* aligned(std::vector<char>& memory) {
        return memory.data() + 128 - reinterpret_cast<std::uintptr_t>(memory.data()) % 128;
    }

    template <typename Job>
    static void run(void (*work)(const Job&), long bytes, Job& job) {
        std::vector<char> scratch(static_cast<std::size_t>(bytes) + 128, static_cast<char>(0xFF));  // poisoned: NaN where read unwritten
        job.scratch = aligned(scratch);
        work(job);
    }
};

inline int check_transformer(const std::vector<const TransformerEngine*>& engines, const TransformerProblem& problem, long kind) {
    int failures = 0;
    const auto expect = [&](bool holds, const char* isa, const char* what, const char* fault) {
        if (holds) return;
        ++failures;
        std::printf("transformer %s, problem %ld: %s %s\n", isa, kind, what, fault);
    };
    const auto check = [&](const char* what, const auto& made) {
        const Floats portable = made(*engines.back(), 1);
        for (const TransformerEngine* engine : engines) {
            const Floats one = made(*engine, 1), three = made(*engine, 3);
            expect(apart(one, portable) < 1e-3, engine->isa, what, "differs from the portable engine");
            expect(std::memcmp(one.data(), three.data(), one.size() * 4) == 0, engine->isa, what, "differs by threads");
        }
    };
    check("a decoder's step", [&](const TransformerEngine& engine, int threads) { return problem.step(engine, threads); });
    for (const TransformerEngine* engine : engines)
        expect(problem.room_grows(*engine), engine->isa, "the room of a decoder's step", "is less for more rows");
    check("an encoder", [&](const TransformerEngine& engine, int threads) { return problem.encode(engine, threads); });
    check("an encoder's step", [&](const TransformerEngine& engine, int threads) { return problem.encoder_step(engine, threads); });
    return failures;
}

}  // namespace recurra::battery
