// One time step of one layer after another, for Python and for what takes steps of a whole decoder.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "kept.h"
#include "rows.h"

namespace recurra {

// What the matrices consist of, and the scales of their rows where it is int8.
inline void describe_weights(Job& job, int precision, const Addresses& scales) {
    if (precision < FLOAT32 || precision > BFLOAT16_PRODUCTS) throw std::invalid_argument("no such precision");
    if (scales.size() != JOB_PARAMETERS) throw std::invalid_argument("wrong number of scales");
    job.precision = static_cast<Precision>(precision);
    for (std::size_t k = 0; k < scales.size(); ++k) job.scales[k] = at<const float>(scales[k]);
    for (int k = 0; k < JOB_PARAMETERS; ++k)
        if ((precision == INT8 && Kernel::is_matrix(k) && job.parameters[k]) != (job.scales[k] != nullptr))
            throw std::invalid_argument("scales are for matrices of int8");
}

// One time step of one layer after another: what does not change from step to step is made once.
class Stepper {
public:
    // sizes: I, H, P. The parameters are copied, or those of `kept` shared, where they are the same.
    Stepper(const Kernel& kernel, const std::vector<long>& sizes, const Addresses& parameters, int precision, const Addresses& scales, Kept* kept)
        : kernel_(kernel), engine_(kernel.engine()) {
        job_.plan = kernel.plan();
        job_.T = 1, job_.I = sizes.at(0), job_.H = sizes.at(1), job_.P = sizes.at(2);
        for (std::size_t k = 0; k < JOB_PARAMETERS; ++k) job_.parameters[k] = at<const float>(parameters.at(k));
        describe_weights(job_, precision, scales);
        if (kept) met_ = kept->last = meet_packed(kept->last, kernel, job_);
        if (!met_) packed_ = std::make_unique<Memory>(Memory::exactly(engine_.weight_bytes(job_)));
        job_.weights = met_ ? met_->packed() : packed_->at();
        if (!met_) engine_.pack(job_);
        for (auto& parameter : job_.parameters) parameter = nullptr;
        for (auto& scale : job_.scales) scale = nullptr;
        job_.packed = true;
    }

    // x (N, I); states and made (N, width). The first new state is the output too.
    void step(long N, int threads, Address x, const Addresses& states, const Addresses& made) {
        const std::shared_ptr<const Rows> rows = rows_of(N);
        const nanobind::gil_scoped_release other_threads;
        run(*rows, N, threads, x, states, made);
    }

    // With Python's lock: what `run` needs without it, while another thread may step other rows.
    std::shared_ptr<const Rows> rows_of(long N) {
        if (!rows_ || rows_N_ != N) rows_ = std::make_shared<const Rows>(1, N, nullptr), rows_N_ = N;
        return rows_;
    }

    void run(const Rows& rows, long N, int threads, Address x, const Addresses& states, const Addresses& made) const {
        if (states.size() > JOB_STATES || made.size() != states.size()) throw std::invalid_argument("wrong number of states");
        Job job = job_;
        job.N = N;
        job.rank = rows.rank.data(), job.active = rows.active.data(), job.token = rows.token.data();
        job.threads = usable(threads);
        job.x = at<const float>(x);
        for (std::size_t k = 0; k < states.size(); ++k) {
            job.states[k] = at<const float>(states[k]);
            job.finals[k] = at<float>(made[k]);
        }
        job.output = job.finals[0];
        const Memory scratch(engine_.forward_bytes(job));
        job.scratch = scratch.at();
        engine_.forward(job);
    }

    long inputs() const { return job_.I; }
    int states() const { return kernel_.states(); }
    long width(int state) const { return kernel_.width(job_, state); }

    // Of the packed weights.
    std::size_t bytes() const { return met_ ? met_->bytes() : packed_->bytes(); }

private:
    const Kernel& kernel_;
    const Engine& engine_;
    LastMet met_;
    std::unique_ptr<Memory> packed_;
    std::shared_ptr<const Rows> rows_;
    long rows_N_ = -1;
    Job job_{};
};

}  // namespace recurra
