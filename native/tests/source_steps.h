// Attention of a recurrent decoder's step to its source, readouts, and convolutions over pictures with their gradients, on random shapes, for the battery: one
// thread against several (bits), a row alone against the same among others (bits), one instruction set against the portable one, in
// arrays of exactly the promised sizes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <random>
#include <vector>

#include "../dense/convolution_job.h"
#include "../dense/source_step_job.h"
#include "word_vectors.h"

namespace recurra::battery {

// What belongs to one instruction set.
struct SourceEngines {
    const TransformerEngine* dense;
    const SourceStepEngine* steps;
    const ConvolutionEngine* pictures;
};

class SourceProblem {
public:
    SourceProblem(long kind, std::mt19937& random) : random_(random) {
        const auto up_to = [&](long most) { return 1 + static_cast<long>(random() % most); };
        N_ = up_to(4), T_ = up_to(kind % 3 ? 9 : 50), rows_ = up_to(kind % 5 ? 9 : 60);
        H_ = up_to(40), E_ = up_to(20), M_ = up_to(kind % 2 ? 20 : 70), D_ = up_to(40);
        feed_forward_ = random() % 2, mapped_ = random() % 2, far_ = feed_forward_ && random() % 3 == 0;
        K_ = mapped_ ? up_to(50) : H_;
        keys_ = numbers(N_ * T_ * K_, far_ ? 20.0f : 1.0f), values_ = numbers(N_ * T_ * M_, 1.0f);
        for (long n = 0; n < N_; ++n) lengths_.push_back(static_cast<std::int64_t>(random() % (T_ + 1)));
        for (long b = 0; b < rows_; ++b) source_.push_back(static_cast<std::int64_t>(random() % N_));
        states_ = numbers(rows_ * H_, 1.0f), x_ = numbers(rows_ * E_, 1.0f), energy_ = numbers(K_, 1.0f);
        query_ = linear(H_, K_), tanh_ = linear(H_ + M_, D_), maxout_ = linear(H_ + E_ + M_, 2 * D_);
        high_ = up_to(12), wide_ = up_to(kind % 4 ? 9 : 40), channels_ = up_to(kind % 2 ? 8 : 40), outputs_ = up_to(kind % 3 ? 20 : 70);
        kernel_ = std::min({1 + 2 * static_cast<long>(random() % 3), high_, wide_}), padding_ = random() % 2 ? kernel_ / 2 : 0;
        line_ = random() % 3 == 0, stride_ = up_to(3), norm_ = random() % 2, relu_ = random() % 2, added_ = random() % 2, pictures_ = up_to(3);
        filter_ = linear((line_ ? 1 : kernel_) * kernel_ * channels_, outputs_);
        weight_ = numbers(channels_, 1.0f), bias_ = numbers(channels_, 1.0f);
        image_ = numbers(pictures_ * high_ * wide_ * channels_, 1.0f), beside_ = numbers(pictures_ * out_size(), 1.0f);
    }

    // Contexts of rows first to last.
    Floats look(const SourceEngines& engine, int threads, long first, long last) const {
        Floats raised_keys(keys_.size());
        std::vector<std::uint8_t> raised(static_cast<std::size_t>(N_));
        if (feed_forward_) engine.steps->raise(keys_.data(), lengths_.data(), N_, T_, K_, raised_keys.data(), raised.data());
        std::vector<char> memory;
        LookJob job{};
        job.score = feed_forward_ ? FEED_FORWARD_SCORE : DOT_SCORE, job.scale = 0.3f, job.energy = feed_forward_ ? energy_.data() : nullptr;
        if (mapped_) job.query = packed(engine, query_, memory);
        job.sources = {feed_forward_ ? raised_keys.data() : keys_.data(), values_.data(), lengths_.data(), raised.data(), T_, K_, M_};
        const Floats states(states_.begin() + first * H_, states_.begin() + last * H_);
        job.threads = threads, job.rows = last - first, job.size = H_, job.states = states.data(), job.source = source_.data() + first;
        Floats contexts(static_cast<std::size_t>(job.rows * M_));
        job.contexts = contexts.data(), job.context_row = M_;
        run(engine.steps->look, engine.steps->look_bytes(job), job);
        return contexts;
    }

    Floats read(const SourceEngines& engine, int threads, long first, long last, bool tanh) const {
        std::vector<char> memory;
        ReadJob job{};
        job.kind = tanh ? TANH_READOUT : MAXOUT_READOUT, job.joint = packed(engine, tanh ? tanh_ : maxout_, memory);
        job.H = H_, job.E = E_, job.M = M_, job.threads = threads, job.rows = last - first, job.D = D_;
        const Floats contexts(values_.begin(), values_.begin() + M_);  // the same for all rows
        job.h = states_.data() + first * H_, job.x = x_.data() + first * E_, job.x_row = E_, job.contexts = contexts.data(), job.context_row = 0;
        Floats made(static_cast<std::size_t>(job.rows * D_));
        job.to = made.data();
        run(engine.steps->read, engine.steps->read_bytes(job), job);
        return made;
    }

    Floats convolve(const SourceEngines& engine, int threads, long first, long last) const {
        std::vector<char> memory;
        ConvolutionJob job{};
        job.weights = packed(engine, filter_, memory), job.rows = rows_of_kernel(), job.columns = {kernel_, padding_}, job.stride = stride_;
        job.pictures = last - first, job.height = high_, job.width = wide_, job.channels = channels_, job.relu = relu_, job.threads = threads;
        job.norm = {norm_ ? LAYER_NORM : NO_NORM, weight_.data(), bias_.data(), 1e-5f};
        const long each = high_ * wide_ * channels_;
        const Floats x(image_.begin() + first * each, image_.begin() + last * each);
        const Floats beside(beside_.begin() + first * out_size(), beside_.begin() + last * out_size());
        Floats y(beside.size());
        job.x = x.data(), job.beside = added_ ? beside.data() : nullptr, job.y = y.data();
        run(engine.pictures->run, engine.pictures->bytes(job), job);
        return y;
    }

    // Of pictures first to last: of x, or of the kernels, their bias, and the norm, one behind the other.
    Floats gradients(const SourceEngines& engine, int threads, long first, long last, bool of_x) const {
        ConvolutionGradients job{};
        ConvolutionJob& c = job.convolution;
        c.weights = filter_, c.rows = rows_of_kernel(), c.columns = {kernel_, padding_}, c.stride = stride_;
        c.pictures = last - first, c.height = high_, c.width = wide_, c.channels = channels_, c.relu = relu_, c.threads = threads;
        c.norm = {norm_ ? LAYER_NORM : NO_NORM, weight_.data(), bias_.data(), 1e-5f};
        const long each = high_ * wide_ * channels_, square = c.taps();
        const Floats x(image_.begin() + first * each, image_.begin() + last * each);
        const Floats d_y(beside_.begin() + first * out_size(), beside_.begin() + last * out_size());
        Floats d_x(x.size()), d_weight(static_cast<std::size_t>(square * channels_ * outputs_)), d_bias(static_cast<std::size_t>(outputs_));
        Floats d_norm(static_cast<std::size_t>(channels_)), d_norm_bias(d_norm.size());
        c.x = x.data(), job.d_y = d_y.data(), job.weight = filter_.weight, job.d_x = d_x.data();
        if (!of_x) job.d_weight = d_weight.data(), job.d_bias = d_bias.data();
        if (!of_x && norm_) job.d_norm_weight = d_norm.data(), job.d_norm_bias = d_norm_bias.data();
        std::vector<char> scratch(static_cast<std::size_t>(engine.pictures->gradient_bytes(job)) + 128, static_cast<char>(0xFF));
        c.scratch = aligned(scratch);
        engine.pictures->gradients(job);
        if (of_x) return d_x;
        for (const Floats* more : {&d_bias, &d_norm, &d_norm_bias}) d_weight.insert(d_weight.end(), more->begin(), more->end());
        return d_weight;
    }

    long rows() const { return rows_; }
    long pictures() const { return pictures_; }

private:
    std::mt19937& random_;
    long N_, T_, K_, H_, E_, M_, D_, rows_, high_, wide_, channels_, outputs_, kernel_, padding_, stride_, pictures_;
    bool feed_forward_, mapped_, far_, line_, norm_, relu_, added_;
    std::deque<Floats> weights_;
    Linear query_{}, tanh_{}, maxout_{}, filter_{};
    Floats keys_, values_, states_, x_, energy_, weight_, bias_, image_, beside_;
    std::vector<std::int64_t> lengths_, source_;

    Side rows_of_kernel() const { return line_ ? Side{1, 0} : Side{kernel_, padding_}; }

    long out_size() const { return rows_of_kernel().places(high_, stride_) * Side{kernel_, padding_}.places(wide_, stride_) * outputs_; }

    Floats numbers(long count, float size) {
        std::normal_distribution<float> normal(0.0f, size);
        Floats made(static_cast<std::size_t>(count));
        for (float& v : made) v = normal(random_);
        return made;
    }

    Linear linear(long inputs, long outputs) {
        Floats& weight = weights_.emplace_back(numbers(inputs * outputs, 1.0f / std::sqrt(static_cast<float>(inputs))));
        const float* const bias = random_() % 4 ? weights_.emplace_back(numbers(outputs, 1.0f)).data() : nullptr;
        return {weight.data(), bias, inputs, outputs, nullptr, nullptr};
    }

    static char* aligned(std::vector<char>& memory) { return memory.data() + 128 - reinterpret_cast<std::uintptr_t>(memory.data()) % 128; }

    static Linear packed(const SourceEngines& engine, Linear one, std::vector<char>& memory) {
        memory.resize(static_cast<std::size_t>(engine.dense->packed_bytes(one)) + 128);
        engine.dense->pack(one, aligned(memory));
        return one;
    }

    template <typename Job>
    static void run(void (*work)(const Job&), long bytes, Job& job) {
        std::vector<char> scratch(static_cast<std::size_t>(bytes) + 128, static_cast<char>(0xFF));  // poisoned: NaN where read unwritten
        job.scratch = aligned(scratch);
        work(job);
    }
};

inline int check_sources(const std::vector<SourceEngines>& engines, const SourceProblem& problem, long kind) {
    int failures = 0;
    const auto expect = [&](bool holds, const char* isa, const char* what, const char* fault) {
        if (holds) return;
        ++failures;
        std::printf("sources %s, problem %ld: %s %s\n", isa, kind, what, fault);
    };
    const auto check = [&](const char* what, long count, const auto& made) {
        const Floats portable = made(engines.back(), 1, 0, count);
        for (const SourceEngines& engine : engines) {
            const Floats one = made(engine, 1, 0, count), three = made(engine, 3, 0, count), last = made(engine, 1, count - 1, count);
            expect(apart(one, portable) < 1e-3, engine.steps->isa, what, "differs from the portable engine");
            expect(std::memcmp(one.data(), three.data(), one.size() * 4) == 0, engine.steps->isa, what, "differs by threads");
            expect(std::memcmp(one.data() + one.size() - last.size(), last.data(), last.size() * 4) == 0, engine.steps->isa, what,
                   "differs alone");
        }
    };
    check("contexts", problem.rows(), [&](const auto& e, int threads, long first, long last) { return problem.look(e, threads, first, last); });
    for (const bool tanh : {true, false})
        check(tanh ? "a readout" : "a maxout readout", problem.rows(),
              [&](const auto& e, int threads, long first, long last) { return problem.read(e, threads, first, last, tanh); });
    check("a convolution", problem.pictures(),
          [&](const auto& e, int threads, long first, long last) { return problem.convolve(e, threads, first, last); });
    check("the gradient of a convolution's pictures", problem.pictures(),
          [&](const auto& e, int threads, long first, long last) { return problem.gradients(e, threads, first, last, true); });
    const Floats portable = problem.gradients(engines.back(), 1, 0, problem.pictures(), false);
    for (const SourceEngines& engine : engines) {
        const Floats one = problem.gradients(engine, 1, 0, problem.pictures(), false);
        const Floats three = problem.gradients(engine, 3, 0, problem.pictures(), false);
        const char* const what = "the gradient of a convolution's weights";
        expect(apart(one, portable) < 1e-3, engine.steps->isa, what, "differs from the portable engine");
        expect(std::memcmp(one.data(), three.data(), one.size() * 4) == 0, engine.steps->isa, what, "differs by threads");
    }
    return failures;
}

}  // namespace recurra::battery
