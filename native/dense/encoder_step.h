// A step of a causal Transformer: all layers in one call, from the keys and values of the steps before to those behind it.
//
// Keys are kept as they are, and turned by how far back they stand: so a row may go on for ever. Rows know nothing of each
// other, so each thread takes some through all layers.
#pragma once

#include "decoder_step.h"

namespace recurra::RECURRA_ISA::transformer {

// Some rows of a step, by one thread.
class EncoderStepRows {
public:
    EncoderStepRows(const EncoderStepJob& job, long first, long rows, char* scratch)
        : job_(job), first_(first), rows_(rows), size_(job.d / job.heads), bump_(scratch), x_(room(job.d)), y_(room(job.d)),
          said_(room(job.d)), wide_(room(widest(job))), scores_(bump_.floats(whole_vectors(job.window) + VL)) {}

    static long bytes(const EncoderStepJob& job, long rows) { return EncoderStepRows(job, 0, rows, nullptr).bump_.used(); }

    void run() const {
        for (long n = 0; n < rows_; ++n) std::memcpy(x_.row(n), job_.x + (first_ + n) * job_.d, job_.d * 4);
        for (long k = 0; k < job_.num_layers; ++k) {
            const TransformerLayer& layer = job_.layers[k];
            attend(layer, job_.kept[k]);
            apply(layer.first, before(layer, 1), rows_, wide_);
            for (long n = 0; n < rows_; ++n) activate(layer, wide_.row(n), wide_.row(n));
            apply(layer.second, wide_, rows_, y_);
            add_part(layer, layer.norms[1], x_, y_, rows_, job_.d);
        }
        const Rows said = normed(job_.norm, x_, rows_, y_, job_.d);
        for (long n = 0; n < rows_; ++n) std::memcpy(job_.x + (first_ + n) * job_.d, said.row(n), job_.d * 4);
    }

private:
    const EncoderStepJob& job_;
    const long first_, rows_, size_;
    Bump bump_;
    const Rows x_, y_, said_, wide_;
    float* const scores_;

    // Rows with room for whole panels.
    Rows room(long numbers) {
        const long stride = row_stride(padded(numbers));
        return {bump_.floats(stride * (rows_ > 0 ? rows_ : 1)), stride};
    }

    static long widest(const EncoderStepJob& job) {
        long most = 0;
        for (long k = 0; k < job.num_layers; ++k)
            most = std::max({most, job.layers[k].projection.outputs, job.layers[k].first.outputs});
        return most;
    }

    Rows before(const TransformerLayer& layer, int part) const {
        return layer.norm_first ? normed(layer.norms[part], x_, rows_, y_, job_.d) : x_;
    }

    // What was kept one place on, and what is new behind it.
    void keep(const float* old, float* kept, const float* came) const {
        const long rest = (job_.window - 1) * job_.d;
        if (old)
            std::memcpy(kept, old + job_.d, rest * 4);
        else
            std::memset(kept, 0, rest * 4);
        std::memcpy(kept + rest, came, job_.d * 4);
    }

    void attend(const TransformerLayer& layer, const KeptKeys& kept) const {
        apply(layer.projection, before(layer, 0), rows_, wide_);
        const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(size_));
        const auto at = [&](long s) { return s * job_.d; };
        for (long n = 0; n < rows_; ++n) {
            const long row = (first_ + n) * job_.window * job_.d;
            const float* const q = wide_.row(n);
            keep(kept.old_keys ? kept.old_keys + row : nullptr, kept.keys + row, q + job_.d);
            keep(kept.old_values ? kept.old_values + row : nullptr, kept.values + row, q + 2 * job_.d);
            const long count = std::min<long>(job_.seen[first_ + n] + 1, job_.window), from = row + (job_.window - count) * job_.d;
            Query(job_.heads, size_, count, scores_, at)
                .attend(q, kept.keys + from, kept.values + from, scale, said_.row(n), job_.turns);
        }
        apply(layer.out, said_, rows_, y_);
        add_part(layer, layer.norms[0], x_, y_, rows_, job_.d);
    }
};

inline long encoder_step_share(const EncoderStepJob& job) { return (job.rows + job.threads - 1) / job.threads; }

inline long encoder_step_bytes(const EncoderStepJob& job) {
    return EncoderStepRows::bytes(job, encoder_step_share(job)) * job.threads;
}

inline void encoder_step(const EncoderStepJob& job) {
    const long most = encoder_step_share(job), each = EncoderStepRows::bytes(job, most);
    parallel(job.threads, [&](int thread, int threads, Barrier&) {
        const long last = job.rows * (thread + 1) / threads;
        // A smaller team than asked for takes more rows each than there is room for: it goes on in pieces.
        for (long row = job.rows * thread / threads; row < last; row += most)
            EncoderStepRows(job, row, std::min(most, last - row), job.scratch + thread * each).run();
    });
}

}  // namespace recurra::RECURRA_ISA::transformer
