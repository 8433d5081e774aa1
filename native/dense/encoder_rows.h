// Rows of sequences through the layers of a Transformer's encoder, all in one call.
//
// Weights are read as they lie, since packing them takes as long as multiplying a few dozen rows. Threads share the columns or the
// rows of each product, the heads of sequences, and the rows of all else, and meet after each.
#pragma once

#include <algorithm>
#include <cstring>

#include "linear.h"
#include "span_attention.h"
#include "transformer_parts.h"

namespace recurra::RECURRA_ISA::transformer {

// Rows that go through a feed-forward part at once, which is where they are widest.
constexpr long WIDE_ROWS = 1024;

inline long most_keys(const EncoderJob& job) {
    long most = 1;
    for (long n = 0; n < job.sequences; ++n) most = std::max<long>(most, job.spans[n].keys);
    return most;
}

// What all threads write to: rows that are normed or said of, queries with keys and values or units, what attention says.
struct EncoderBuffers {
    float *y, *wide, *said, *units, *log_sums;
    SpanAttentionJob attention{};
    long keys, shared, own;  // bytes of all of it, and of what each thread has for itself

    EncoderBuffers(const EncoderJob& job, char* scratch) : keys(most_keys(job)) {
        const long at_once = std::min(job.rows, WIDE_ROWS);
        long widest = 0, units_of_gated = 0;
        for (long k = 0; k < job.num_layers; ++k) {
            widest = std::max(widest, job.layers[k].first.outputs);
            if (job.layers[k].gated) units_of_gated = std::max(units_of_gated, job.layers[k].second.inputs);
        }
        Bump bump(scratch);
        y = bump.floats(job.rows * job.d);
        wide = bump.floats(std::max(job.rows * 3 * job.d, at_once * widest));
        said = bump.floats(job.rows * job.d);
        units = bump.floats(at_once * units_of_gated);
        log_sums = bump.floats(job.rows * job.heads);
        shared = bump.used();
        set_attention(job);
        Bump mine(nullptr);
        const PackedOperands packed(mine);
        own = mine.used() + spans::Head::bytes(attention, keys);
    }

private:
    void set_attention(const EncoderJob& job) {
        attention.spans = job.spans, attention.sequences = job.sequences, attention.heads = job.heads, attention.size = job.d / job.heads;
        attention.q = wide, attention.k = wide + job.d, attention.v = wide + 2 * job.d;
        attention.q_row = attention.k_row = attention.v_row = 3 * job.d;
        attention.out = said, attention.log_sums = log_sums;
        attention.scale = 1.0f / __builtin_sqrtf(static_cast<float>(attention.size));
        attention.causal = job.causal, attention.window = job.window;
    }
};

// One thread's part.
class EncoderThread {
public:
    EncoderThread(const EncoderJob& job, const EncoderBuffers& shared, char* own, int thread, int threads, Barrier& barrier)
        : job_(job), shared_(shared), bump_(own), packed_(bump_), head_(shared.attention, shared.keys, own + bump_.used()),
          thread_(thread), threads_(threads), barrier_(barrier) {}

    void run() {
        for (long k = 0; k < job_.num_layers; ++k) {
            const TransformerLayer& layer = job_.layers[k];
            attend(layer);
            const float* const from = before(layer, layer.norms[1]);
            for (long first = 0; first < job_.rows; first += WIDE_ROWS)
                feed_forward(layer, from, first, std::min(WIDE_ROWS, job_.rows - first));
        }
        if (job_.norm.kind != NO_NORM) each(job_.rows, [&](long n) { normalize(job_.norm, x(n), x(n), job_.d); });
    }

private:
    const EncoderJob& job_;
    const EncoderBuffers& shared_;
    Bump bump_;
    const PackedOperands packed_;
    spans::Head head_;
    const int thread_, threads_;
    Barrier& barrier_;

    float* x(long n) const { return job_.x + n * job_.d; }

    // Of so many rows some by each thread; then all wait.
    template <typename Work>
    void each(long rows, const Work& work) const {
        const long last = rows * (thread_ + 1) / threads_;
        for (long n = rows * thread_ / threads_; n < last; ++n) work(n);
        barrier_.wait();
    }

    void product(const Linear& linear, const float* from, long rows, float* to) const {
        const Multiplication m{rows, linear.outputs, linear.inputs, from, linear.weight, false, true, linear.bias, to};
        multiply(m, packed_, thread_, threads_);
        barrier_.wait();
    }

    // What a part reads: x, or its normed rows.
    const float* before(const TransformerLayer& layer, const Norm& norm) const {
        if (!layer.norm_first || norm.kind == NO_NORM) return job_.x;
        each(job_.rows, [&](long n) { normalize(norm, x(n), shared_.y + n * job_.d, job_.d); });
        return shared_.y;
    }

    void attend(const TransformerLayer& layer) {
        product(layer.projection, before(layer, layer.norms[0]), job_.rows, shared_.wide);
        if (job_.turns) {
            const long size = job_.d / job_.heads;
            each(job_.rows, [&](long n) {  // keys are behind queries
                rotate(shared_.wide + 3 * n * job_.d, job_.turns + job_.steps[n] * size, 2 * job_.heads, size);
            });
        }
        for (long k = thread_; k < job_.sequences * job_.heads; k += threads_) head_.attend(job_.spans[k / job_.heads], k % job_.heads);
        barrier_.wait();
        product(layer.out, shared_.said, job_.rows, shared_.y);
        add(layer, layer.norms[0], 0, job_.rows, shared_.y);
    }

    void feed_forward(const TransformerLayer& layer, const float* from, long first, long rows) const {
        product(layer.first, from + first * job_.d, rows, shared_.wide);
        const long width = layer.first.outputs, units = layer.second.inputs;
        float* const to = layer.gated ? shared_.units : shared_.wide;
        each(rows, [&](long n) { activate(layer, shared_.wide + n * width, to + n * units); });
        product(layer.second, to, rows, shared_.said);
        add(layer, layer.norms[1], first, rows, shared_.said);
    }

    // Rows of a part to x, from the first of them on.
    void add(const TransformerLayer& layer, const Norm& norm, long first, long rows, float* part) const {
        each(rows, [&](long n) { add_part(layer, norm, {x(first + n), 0}, {part + n * job_.d, 0}, 1, job_.d); });
    }
};

inline long encoder_bytes(const EncoderJob& job) {
    const EncoderBuffers shared(job, nullptr);
    return shared.shared + job.threads * shared.own;
}

inline void encode(const EncoderJob& job) {
    const EncoderBuffers shared(job, job.scratch);
    parallel(job.threads, [&](int thread, int threads, Barrier& barrier) {
        EncoderThread(job, shared, job.scratch + shared.shared + thread * shared.own, thread, threads, barrier).run();
    });
}

}  // namespace recurra::RECURRA_ISA::transformer
