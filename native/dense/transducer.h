// RNN-T (Graves 2012): forward and backward variables of one row after another, with the joint network inside.
//
// A cell (t, u) is frame t behind u units: its blank leads to (t + 1, u), its unit to (t, u + 1). Cells of one diagonal
// t + u do not wait for one another. So probabilities are stored by diagonals, and a vector has VL neighbours of one:
//   alpha_{d+1}(u) = alpha_d(u) blank_d(u) + alpha_d(u - 1) unit_d(u - 1)     (equation 16)
// Numbers have exponents of their own (scaled.h). Of a frame's logits, (U + 1, V) at a time, two probabilities and the
// normaliser stay; the backward pass makes them again.
//
// A row is the work of one thread, and gradients of the weights are summed in groups of rows (transducer_job.h).
#pragma once

#include <atomic>
#include <cmath>
#include <cstring>

#include "../memory.h"
#include "../simd/transpose.h"
#include "../threads.h"
#include "parts.h"
#include "scaled.h"
#include "span_attention.h"
#include "transducer_job.h"

namespace recurra::RECURRA_ISA::transducer {

using spans::product;
using spans::whole;  // columns of whole tiles

constexpr float LEAST_SHARE = 1e-20f;
constexpr float LEAST_DELTA = 1e-30f;

// From one cell to another of a frame, without that one.
struct Span {
    long begin, end;
};

// What all threads read, and what groups add up.
class Weights {
public:
    Weights(const TransducerJob& job, char* scratch)
        : job_(job), vocabulary_(row_stride(whole(job.V))), width_(row_stride(whole(job.D))), bump_(scratch),
          turned_(job.weight ? bump_.floats(job.D * vocabulary_) : nullptr),
          rows_(job.weight ? bump_.floats(job.V * width_) : nullptr), bias_(job.weight ? bump_.floats(vocabulary_) : nullptr),
          d_turned_(wanted() ? bump_.floats(TRANSDUCER_GROUPS * job.D * vocabulary_) : nullptr),
          d_bias_(wanted() ? bump_.floats(TRANSDUCER_GROUPS * vocabulary_) : nullptr) {}

    static long bytes(const TransducerJob& job) { return Weights(job, nullptr).bump_.used(); }

    void pack() const {
        if (!job_.weight) return;
        std::memset(turned_, 0, static_cast<std::size_t>(job_.D * vocabulary_) * 4);
        std::memset(rows_, 0, static_cast<std::size_t>(job_.V * width_) * 4);
        transpose(job_.weight, job_.D, job_.V, job_.D, turned_, vocabulary_);
        for (long v = 0; v < job_.V; ++v) std::memcpy(rows_ + v * width_, job_.weight + v * job_.D, job_.D * 4);
        for (long v = 0; v < vocabulary_; ++v)
            bias_[v] = v >= job_.V ? -__builtin_inff() : job_.bias ? job_.bias[v] : 0.0f;
        if (!wanted()) return;
        std::memset(d_turned_, 0, static_cast<std::size_t>(TRANSDUCER_GROUPS * job_.D * vocabulary_) * 4);
        std::memset(d_bias_, 0, static_cast<std::size_t>(TRANSDUCER_GROUPS * vocabulary_) * 4);
    }

    // Adds the groups in order.
    void finish() const {
        if (!wanted()) return;
        for (int g = 1; g < TRANSDUCER_GROUPS; ++g) {
            add(d_turned(0), d_turned(g), job_.D * vocabulary_);
            add(d_bias(0), d_bias(g), vocabulary_);
        }
        for (long v = 0; v < job_.V; ++v)
            for (long d = 0; d < job_.D; ++d) job_.d_weight[v * job_.D + d] = d_turned_[d * vocabulary_ + v];
        if (job_.d_bias) std::memcpy(job_.d_bias, d_bias_, static_cast<std::size_t>(job_.V) * 4);
    }

    const float* turned() const { return turned_; }  // (D, V)
    const float* rows() const { return rows_; }      // (V, D)
    const float* bias() const { return bias_; }      // minus infinity behind the last
    float* d_turned(int group) const { return d_turned_ + group * job_.D * vocabulary_; }
    float* d_bias(int group) const { return d_bias_ + group * vocabulary_; }

private:
    const TransducerJob& job_;
    const long vocabulary_, width_;
    Bump bump_;
    float *const turned_, *const rows_, *const bias_, *const d_turned_, *const d_bias_;

    bool wanted() const { return job_.weight && job_.d_left; }

    static void add(float* to, const float* from, long count) {
        for (long i = 0; i < count; i += VL) store(to + i, load(to + i) + load(from + i));
    }
};

// Mantissas and exponents of cells: rows are diagonals, and cell u stands one place further on, behind a place where nothing
// is.
struct Cells {
    float* m;
    std::int32_t* e;
    long row;

    Scaled load(long diagonal, long u) const { return load_scaled(m + diagonal * row + u, e + diagonal * row + u); }
    void store(long diagonal, long u, Scaled a) { store_scaled(m + diagonal * row + u, e + diagonal * row + u, a); }
    void clear(long diagonals) {
        for (long i = 0; i < diagonals * row; i += VL) store_scaled(m + i, e + i, {V{}, M{} + NOTHING});
    }
};

// What one thread holds while it is at one row.
class Row {
public:
    Row(const TransducerJob& job, const Weights& weights, char* scratch)
        : job_(job), weights_(weights), cells_((job.U + 1 + VL - 1) / VL * VL), row_(cells_ + VL),
          columns_(whole(job.V)), features_(whole(job.D)), vocabulary_(row_stride(columns_)), width_(row_stride(features_)), bump_(scratch), blanks_(cells(job.T + job.U + 1)), units_(cells(job.T + job.U + 1)),
          alpha_(cells(job.T + job.U + 1)), beta_(cells(1)), scales_(bump_.floats(job.T + job.U + 1)),
          most_(bump_.floats(job.T * cells_)), parts_(bump_.floats(job.T * cells_)),
          logits_(bump_.floats(cells_ * vocabulary_)), hidden_(job.weight ? bump_.floats(cells_ * width_) : nullptr),
          d_hidden_(job.weight ? bump_.floats(cells_ * width_) : nullptr), d_right_(bump_.floats(cells_ * width_)),
          d_left_(bump_.floats(width_)), places_(reinterpret_cast<std::int32_t*>(bump_.floats(cells_))) {}

    static long bytes(const TransducerJob& job, const Weights& weights) { return Row(job, weights, nullptr).bump_.used(); }

    void run(long n, int group) {
        begin(n);
        group_ = group;
        bool finite = true;
        for (long t = 0; t < T_; ++t) {
            make_logits(t, {0, U_ + 1});
            finite &= weigh(t);
        }
        const Scaled p = forward();
        job_.nats[n] = !finite ? __builtin_nanf("") : !(p.m[0] > 0.0f) ? __builtin_inff() : nats(p);
        if (!job_.d_left) return;
        if (finite && p.m[0] > 0.0f)
            backward(p);
        else
            spoil();
        write_gradients();
    }

private:
    const TransducerJob& job_;
    const Weights& weights_;
    const long cells_, row_;
    const long columns_, features_, vocabulary_, width_;  // of whole tiles; and floats from row to row
    Bump bump_;
    Cells blanks_, units_, alpha_, beta_;
    float *const scales_, *const most_, *const parts_, *const logits_, *const hidden_, *const d_hidden_, *const d_right_,
        *const d_left_;
    std::int32_t* const places_;  // of the next unit's logit, from the first of its cell
    long n_ = 0, T_ = 0, U_ = 0;
    int group_ = 0;
    float lowest_ = 0;

    Cells cells(long diagonals) {
        float* const m = bump_.floats(diagonals * row_);
        return {m, reinterpret_cast<std::int32_t*>(bump_.floats(diagonals * row_)), row_};
    }

    void begin(long n) {
        n_ = n, T_ = job_.lengths[n], U_ = job_.target_lengths[n];
        lowest_ = lowest_log(T_ + U_);
        for (long u = 0; u < cells_; ++u)
            places_[u] = static_cast<std::int32_t>(u < U_ ? job_.targets[n * job_.U + u] : job_.blank);
        blanks_.clear(T_ + U_ + 1), units_.clear(T_ + U_ + 1), alpha_.clear(T_ + U_ + 1), beta_.clear(1);
    }

    const float* left(long t) const { return job_.left + (t * job_.N + n_) * job_.D; }
    const float* right(long u) const { return job_.right + (u * job_.N + n_) * job_.D; }
    float* logits(long u) const { return logits_ + u * vocabulary_; }

    // Of some cells of a frame: (cells, V), minus infinity behind the last.
    void make_logits(long t, Span cells) const {
        const float* const x = left(t);
        if (!job_.weight) {
            for (long u = cells.begin; u < cells.end; ++u)
                for (long v = 0; v < columns_; v += VL)
                    store(logits(u) + v, v < job_.V ? load_part(x + v, job_.V - v) + load_part(right(u) + v, job_.V - v)
                                                    : splat(-__builtin_inff()));
            return;
        }
        for (long u = cells.begin; u < cells.end; ++u)
            for (long d = 0; d < job_.D; d += VL) {
                const V sum = load_part(x + d, job_.D - d) + load_part(right(u) + d, job_.D - d);
                store(hidden_ + u * width_ + d, tail(tanh(sum), job_.D - d));
            }
        product(cells.end - cells.begin, columns_, job_.D, {hidden_ + cells.begin * width_, width_, 1}, weights_.turned(),
                vocabulary_, logits(cells.begin), vocabulary_, false);
        for (long u = cells.begin; u < cells.end; ++u)
            for (long v = 0; v < columns_; v += VL) store(logits(u) + v, load(logits(u) + v) + load(weights_.bias() + v));
    }

    // Normalisers of a frame's cells, and the probabilities of their blanks and units, on their diagonals.
    bool weigh(long t) const {
        float *const most = most_ + t * cells_, *const parts = parts_ + t * cells_;
        bool finite = true;
        for (long u = 0; u <= U_; ++u) {
            most[u] = largest(logits(u), columns_);
            const float sum = sum_of_exp(logits(u), columns_, most[u]);
            finite &= sum >= 0.5f;
            parts[u] = 1.0f / sum;
        }
        for (long u = 0; u <= U_; u += VL) {
            float blank[VL], unit[VL];
            for (long k = 0; k < VL; ++k) {
                const long at = u + k <= U_ ? u + k : U_;
                blank[k] = logits(at)[job_.blank], unit[k] = logits(at)[places_[at]];
            }
            place(blanks_, t, u, exp_scaled(load(blank), load(most + u), lowest_), load(parts + u), U_ + 1);
            place(units_, t, u, exp_scaled(load(unit), load(most + u), lowest_), load(parts + u), U_);
        }
        return finite;
    }

    void place(const Cells& to, long t, long u, Scaled p, V part, long end) const {
        const Scaled q = normal(p.m * part, p.e);
        for (long k = 0; k < VL && u + k < end; ++k) {
            const long at = (t + u + k) * row_ + u + k + 1;
            to.m[at] = q.m[k], to.e[at] = q.e[k];
        }
    }

    // The probability of the target: of the cell behind the last frame, all units said.
    Scaled forward() {
        alpha_.m[1] = 1.0f, alpha_.e[1] = 0;
        const long last = T_ + U_;
        for (long d = 0; d < last; ++d)
            for (long u = 0; u <= U_; u += VL) {
                const Scaled stays = times(alpha_.load(d, u + 1), blanks_.load(d, u + 1));
                const Scaled moves = times(alpha_.load(d, u), units_.load(d, u));
                const Scaled made = sum(stays, moves);
                alpha_.store(d + 1, u + 1, normal(made.m, made.e));
            }
        const long at = last * row_ + U_ + 1;
        return {splat(alpha_.m[at]), M{} + alpha_.e[at]};
    }

    static float nats(Scaled p) {
        return static_cast<float>(-std::log(static_cast<double>(p.m[0])) - static_cast<double>(p.e[0]) * 0.693147180559945309);
    }

    // Shares of paths that go through each blank and unit take the place of their probabilities; then a frame after another.
    void backward(Scaled p) {
        beta_.m[U_ + 1] = 1.0f, beta_.e[U_ + 1] = 0;
        for (long d = T_ + U_ - 1; d >= 0; --d) {
            V total{};
            for (long u = 0; u <= U_; u += VL) {
                const Scaled before = alpha_.load(d, u + 1);
                const Scaled stays = times(beta_.load(0, u + 1), blanks_.load(d, u + 1));
                const Scaled moves = times(beta_.load(0, u + 2), units_.load(d, u + 1));
                const V blank = share(before, stays, p), unit = share(before, moves, p);
                total += blank + unit;
                store(blanks_.m + d * row_ + u + 1, blank);
                store(units_.m + d * row_ + u + 1, unit);
                const Scaled made = sum(stays, moves);
                beta_.store(0, u + 1, normal(made.m, made.e));
            }
            scales_[d] = 1.0f / lane_sum(total);  // a path goes through each diagonal once
        }
        std::memset(d_right_, 0, static_cast<std::size_t>((U_ + 1) * width_) * 4);
        for (long t = 0; t < T_; ++t) gradient(t);
    }

    static V share(Scaled before, Scaled after, Scaled p) {
        return before.m * after.m * two_to(before.e + after.e - p.e);
    }

    // Cells of a frame that paths go through. What is left out is 1e-20 of them, below what a sum would notice; and numbers
    // that are not normal would take a hundred times as long to multiply.
    Span travelled(long t) const {
        const auto share = [&](long u) {
            const long at = (t + u) * row_ + u + 1;
            return (blanks_.m[at] + units_.m[at]) * scales_[t + u];
        };
        Span cells{0, U_ + 1};
        while (cells.begin < cells.end && share(cells.begin) < LEAST_SHARE) ++cells.begin;
        while (cells.begin < cells.end && share(cells.end - 1) < LEAST_SHARE) --cells.end;
        return cells;
    }

    void gradient(long t) {
        const Span cells = travelled(t);
        make_logits(t, cells);
        for (long u = cells.begin; u < cells.end; ++u) make_delta(t, u);
        std::memset(d_left_, 0, static_cast<std::size_t>(width_) * 4);
        job_.weight ? add_through_joint(cells) : add(logits_, vocabulary_, cells);
        std::memcpy(job_.d_left + (t * job_.N + n_) * job_.D, d_left_, static_cast<std::size_t>(job_.D) * 4);
    }

    // Logits of a cell to their gradient.
    void make_delta(long t, long u) const {
        const long at = (t + u) * row_ + u + 1;
        const float scale = scales_[t + u] * (job_.row_weights ? job_.row_weights[n_] : 1.0f);
        const float blank = blanks_.m[at] * scale, unit = units_.m[at] * scale * (1.0f + job_.fast_emit);
        float* const d = logits(u);
        const float most = most_[t * cells_ + u], part = parts_[t * cells_ + u] * (blank + unit);
        for (long v = 0; v < columns_; v += VL) {
            const V by = exp_negative(load(d + v) - most) * part;
            store(d + v, select(magnitude(by) < LEAST_DELTA, V{}, by));
        }
        d[job_.blank] -= blank;
        d[places_[u]] -= unit;
    }

    // Both sides of a sum have its gradient.
    void add(const float* d, long row, Span cells) const {
        for (long u = cells.begin; u < cells.end; ++u)
            for (long k = 0; k < features_; k += VL) {
                const V by = load(d + u * row + k);
                store(d_left_ + k, load(d_left_ + k) + by);
                store(d_right_ + u * width_ + k, load(d_right_ + u * width_ + k) + by);
            }
    }

    void add_through_joint(Span cells) const {
        const long count = cells.end - cells.begin, at = cells.begin * width_;
        const float* const delta = logits(cells.begin);
        product(count, features_, job_.V, {delta, vocabulary_, 1}, weights_.rows(), width_, d_hidden_ + at, width_, false);
        for (long u = cells.begin; u < cells.end; ++u)
            for (long i = u * width_; i < u * width_ + features_; i += VL) {
                const V h = load(hidden_ + i);
                store(d_hidden_ + i, load(d_hidden_ + i) * (1.0f - h * h));
            }
        add(d_hidden_, width_, cells);
        product(job_.D, columns_, count, {hidden_ + at, 1, width_}, delta, vocabulary_, weights_.d_turned(group_), vocabulary_,
                true);
        float* const d_bias = weights_.d_bias(group_);
        for (long u = cells.begin; u < cells.end; ++u)
            for (long v = 0; v < columns_; v += VL) store(d_bias + v, load(d_bias + v) + load(logits(u) + v));
    }

    // No number anywhere.
    void spoil() const {
        std::memset(d_right_, 0xFF, static_cast<std::size_t>((U_ + 1) * width_) * 4);
        for (long t = 0; t < T_; ++t)
            std::memset(job_.d_left + (t * job_.N + n_) * job_.D, 0xFF, static_cast<std::size_t>(job_.D) * 4);
        if (!job_.weight) return;
        std::memset(weights_.d_turned(group_), 0xFF, static_cast<std::size_t>(job_.D * vocabulary_) * 4);
        std::memset(weights_.d_bias(group_), 0xFF, static_cast<std::size_t>(vocabulary_) * 4);
    }

    void write_gradients() const {
        const auto bytes = static_cast<std::size_t>(job_.D) * 4;
        for (long u = 0; u <= job_.U; ++u) {
            float* const to = job_.d_right + (u * job_.N + n_) * job_.D;
            if (u <= U_)
                std::memcpy(to, d_right_ + u * width_, bytes);
            else
                std::memset(to, 0, bytes);
        }
        for (long t = T_; t < job_.T; ++t) std::memset(job_.d_left + (t * job_.N + n_) * job_.D, 0, bytes);
    }
};

inline long bytes(const TransducerJob& job) {
    const Weights weights(job, nullptr);
    return Weights::bytes(job) + job.threads * Row::bytes(job, weights);
}

inline void loss(const TransducerJob& job) {
    const Weights weights(job, job.scratch);
    weights.pack();
    std::atomic<int> next{0};
    const long shared = Weights::bytes(job), each = Row::bytes(job, weights);
    parallel(job.threads, [&](int thread, int, Barrier&) {
        Row row(job, weights, job.scratch + shared + thread * each);
        for (int group; (group = next.fetch_add(1)) < TRANSDUCER_GROUPS;)
            for (long n = group; n < job.N; n += TRANSDUCER_GROUPS) row.run(n, group);
    });
    weights.finish();
}

}  // namespace recurra::RECURRA_ISA::transducer
