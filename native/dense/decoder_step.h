// A step of a Transformer's decoder: all layers, and the log-probabilities of what comes next, in one call.
//
// Weights are packed before the first step. Rows know nothing of each other, so each thread takes some through all layers.
#pragma once

#include <algorithm>
#include <cstring>

#include "../simd/transpose.h"
#include "../threads.h"
#include "attention.h"
#include "transformer_parts.h"

namespace recurra::RECURRA_ISA::transformer {

inline long whole_vectors(long count) { return (count + VL - 1) / VL * VL; }

inline float largest(const float* x, long count) {
    V most = splat(-__builtin_inff());
    long i = 0;
    for (; i + VL <= count; i += VL) most = maximum(load(x + i), most);
    float found = most[0];
    for (int k = 1; k < VL; ++k)
        if (most[k] > found || most[k] != most[k]) found = most[k];
    for (; i < count; ++i)
        if (x[i] > found || x[i] != x[i]) found = x[i];
    return found;
}

// Scores to weights whose sum is 1; behind the last, up to a whole vector, they are minus infinity.
inline void weigh(float* scores, long count) {
    const long end = whole_vectors(count);
    const float most = largest(scores, end);
    V sums{};
    for (long s = 0; s < end; s += VL) {
        const V e = exp_negative(load(scores + s) - most);
        store(scores + s, e);
        sums += e;
    }
    const float factor = 1.0f / lane_sum(sums);
    for (long s = 0; s < end; s += VL) store(scores + s, load(scores + s) * factor);
}

// One query over the keys at key(0) to key(count - 1), whichever memory that is, head by head.
template <typename Where>
class Query {
public:
    Query(long heads, long size, long count, float* scores, const Where& at)
        : heads_(heads), size_(size), count_(count), scores_(scores), at_(at) {}

    // turns: cosines and sines (size,) of each distance, the last key's first; null: nothing is turned.
    void attend(const float* q, const float* keys, const float* values, float scale, float* out, const float* turns = nullptr) const {
        for (long h = 0; h < heads_; ++h) {
            const long first = h * size_;
            if (turns)
                for (long s = 0; s < count_; ++s)
                    scores_[s] = scale * turned_dot(q + first, keys + first + at_(s), turns + (count_ - 1 - s) * size_);
            else if (size_ % VL == 0)
                score_vectors(q + first, keys + first, scale);
            else
                for (long s = 0; s < count_; ++s) scores_[s] = scale * dot(q + first, keys + first + at_(s), size_);
            for (long s = count_; s < whole_vectors(count_); ++s) scores_[s] = -__builtin_inff();
            weigh(scores_, count_);
            take(values + first, out + first);
        }
    }

    // One head's sum of values, by the weights in `scores`.
    void take(const float* values, float* out) const {
        long i = 0;
        for (; i + 4 * VL <= size_; i += 4 * VL) take_vectors<4>(values + i, out + i);
        for (; i + 2 * VL <= size_; i += 2 * VL) take_vectors<2>(values + i, out + i);
        for (; i + VL <= size_; i += VL) take_vectors<1>(values + i, out + i);
        for (; i < size_; ++i) {
            float sum = 0.0f;
            for (long s = 0; s < count_; ++s) sum += scores_[s] * values[at_(s) + i];
            out[i] = sum;
        }
    }

private:
    const long heads_, size_, count_;
    float* const scores_;
    const Where& at_;

    // Of a query and a key that stand as far apart as `turn` says: only the distance counts of where both are
    // (Su et al. 2021, arXiv:2104.09864, equation 16).
    float turned_dot(const float* q, const float* key, const float* turn) const {
        const long half = size_ / 2;
        V sum{};
        long i = 0;
        for (; i + VL <= half; i += VL) {
            const V a = load(q + i), b = load(q + half + i), c = load(key + i), d = load(key + half + i);
            sum += load(turn + i) * (a * c + b * d) + load(turn + half + i) * (a * d - b * c);
        }
        float total = lane_sum(sum);
        for (; i < half; ++i)
            total += turn[i] * (q[i] * key[i] + q[half + i] * key[half + i]) + turn[half + i] * (q[i] * key[half + i] - q[half + i] * key[i]);
        return total;
    }

    // As many keys as a vector has lanes at once.
    void score_vectors(const float* q, const float* keys, float scale) const {
        float sums[VL * VL];
        for (long first = 0; first < count_; first += VL) {
            for (long k = 0; k < VL; ++k) {
                V sum{};
                if (first + k < count_) {
                    const float* const key = keys + at_(first + k);
                    for (long i = 0; i < size_; i += VL) sum += load(q + i) * load(key + i);
                }
                store(sums + k * VL, sum);
            }
            store(scores_ + first, folded(sums) * scale);
        }
    }

    template <int Vectors>
    void take_vectors(const float* values, float* out) const {
        V sum[Vectors]{};
        for (long s = 0; s < count_; ++s) {
            const float* const value = values + at_(s);
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) sum[v] += scores_[s] * load(value + v * VL);
        }
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) store(out + v * VL, sum[v]);
    }
};

// ln of the sum of exp, given the largest.
inline float log_sum(const float* x, float most, long count) {
    V sums{};
    long i = 0;
    for (; i + VL <= count; i += VL) sums += exp_negative(load(x + i) - most);
    float sum = lane_sum(sums);
    for (; i < count; ++i) sum += exp_negative(splat(x[i] - most))[0];
    return most + log(splat(sum))[0];
}

inline void log_softmax(float* x, long count) {
    const float less = log_sum(x, largest(x, count), count);
    long i = 0;
    for (; i + VL <= count; i += VL) store(x + i, load(x + i) - less);
    for (; i < count; ++i) x[i] -= less;
}

// Logits whose largest is known together: only where that is among the `best` of such maxima is a number that counts.
constexpr long TOGETHER = 16 * VL;

inline long maxima_of(long count) { return (count + TOGETHER - 1) / TOGETHER; }

// Puts a number into its place among the greatest, behind its equals.
inline void keep(float x, std::int64_t place, long best, long& known, float* values, std::int64_t* places) {
    if (known == best && !(x > values[best - 1])) return;
    long k = known < best ? known++ : best - 1;
    for (; k > 0 && x > values[k - 1]; --k) values[k] = values[k - 1], places[k] = places[k - 1];
    values[k] = x, places[k] = place;
}

// The greatest log-probabilities of a row of logits, and where they are; NaN where one is.
inline void tell_best(const float* x, long count, long best, float* maxima, float* values, std::int64_t* places) {
    float most = -__builtin_inff();
    long known = 0;
    for (long m = 0; m < maxima_of(count); ++m) {
        const float here = largest(x + m * TOGETHER, std::min(TOGETHER, count - m * TOGETHER));
        maxima[m] = here;
        if (here > most || here != here) most = here;
        keep(here, m, best, known, values, places);
    }
    const float least = known < best ? -__builtin_inff() : values[best - 1], less = log_sum(x, most, count);
    known = 0;
    for (long m = 0; m < maxima_of(count); ++m) {
        if (maxima[m] < least) continue;
        for (long i = m * TOGETHER; i < std::min(count, (m + 1) * TOGETHER); ++i) keep(x[i], i, best, known, values, places);
    }
    for (long k = 0; k < best; ++k) values[k] = less != less ? less : values[k] - less;
}

// Rows whose logits are held at once, of a step that tells the best alone.
constexpr long TOLD_ROWS = 28;

// Some rows of a step, by one thread.
class StepRows {
public:
    StepRows(const DecoderJob& job, long first, long rows, char* scratch)
        : job_(job), first_(first), rows_(rows), size_(job.d / job.heads), bump_(scratch), x_(room(job.d)), y_(room(job.d)),
          said_(room(job.d)), wide_(room(widest(job))), edge_(bump_.floats(rows * PANEL)),
          scores_(bump_.floats(most_keys(job) + VL)), told_(bump_.floats(job.best ? std::min(rows, TOLD_ROWS) * job.vocabulary : 0)),
          maxima_(bump_.floats(maxima_of(job.vocabulary))), at_(reinterpret_cast<long*>(bump_.floats(2 * rows * (job.step + 1)))) {}

    static long bytes(const DecoderJob& job, long rows) { return StepRows(job, 0, rows, nullptr).bump_.used(); }

    void run() {
        embed();
        locate();
        for (long k = 0; k < job_.num_layers; ++k) {
            const TransformerLayer& layer = job_.layers[k];
            attend_itself(layer, job_.keys[k]);
            attend_source(layer, job_.keys[k]);
            feed_forward(layer);
        }
        tell(normed(job_.norm, x_, rows_, y_, job_.d));
    }

private:
    const DecoderJob& job_;
    const long first_, rows_, size_;
    Bump bump_;
    const Rows x_, y_, said_, wide_;
    float *const edge_, *const scores_, *const told_, *const maxima_;
    long* const at_;

    // Rows with room for whole panels.
    Rows room(long numbers) {
        const long stride = row_stride(padded(numbers));
        return {bump_.floats(stride * (rows_ > 0 ? rows_ : 1)), stride};
    }

    static long widest(const DecoderJob& job) {
        long most = 0;
        for (long k = 0; k < job.num_layers; ++k) {
            const TransformerLayer& layer = job.layers[k];
            most = std::max({most, layer.projection.outputs, layer.first.outputs});
        }
        return most;
    }

    static long most_keys(const DecoderJob& job) {
        long most = job.step + 1;
        for (long b = 0; b < job.rows; ++b) most = std::max<long>(most, job.places[2 * job.source[b] + 1]);
        return most;
    }

    void embed() const {
        for (long n = 0; n < rows_; ++n) {
            const float* const vector = job_.table + job_.tokens[first_ + n] * job_.d;
            float* const x = x_.row(n);
            for (long i = 0; i < job_.d; ++i) x[i] = vector[i] * job_.scale + job_.place[i];
        }
    }

    // Where the steps of each row are in keys and values: the same in every layer.
    void locate() const {
        for (long n = 0; n < rows_; ++n) {
            long* const at = at_ + n * (job_.step + 1);
            for (long s = 0; s < job_.step; ++s) at[s] = (s * job_.room + job_.held[s * job_.rows + first_ + n]) * job_.d;
            at[job_.step] = (job_.step * job_.room + first_ + n) * job_.d;
        }
    }

    Rows before(const TransformerLayer& layer, int part) const {
        return layer.norm_first ? normed(layer.norms[part], x_, rows_, y_, job_.d) : x_;
    }

    void attend_itself(const TransformerLayer& layer, const Keys& keys) const {
        apply(layer.projection, before(layer, 0), rows_, wide_);
        const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(size_));
        for (long n = 0; n < rows_; ++n) {
            float *const q = wide_.row(n), *const k = q + job_.d;
            if (job_.turn) rotate(q, job_.turn, job_.heads, size_), rotate(k, job_.turn, job_.heads, size_);
            const long* const steps = at_ + n * (job_.step + 1);
            std::memcpy(keys.keys + steps[job_.step], k, job_.d * 4);
            std::memcpy(keys.values + steps[job_.step], k + job_.d, job_.d * 4);
            const auto at = [&](long s) { return steps[s]; };
            Query(job_.heads, size_, job_.step + 1, scores_, at).attend(q, keys.keys, keys.values, scale, said_.row(n));
        }
        apply(layer.out, said_, rows_, y_);
        add_part(layer, layer.norms[0], x_, y_, rows_, job_.d);
    }

    void attend_source(const TransformerLayer& layer, const Keys& keys) const {
        apply(layer.query, before(layer, 1), rows_, wide_);
        const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(size_));
        for (long n = 0; n < rows_; ++n) {
            const std::int64_t* const place = job_.places + 2 * job_.source[first_ + n];
            if (!place[1]) {
                std::memset(said_.row(n), 0, job_.d * 4);
                continue;
            }
            const auto at = [&](long s) { return (place[0] + s) * job_.d; };
            Query(job_.heads, size_, place[1], scores_, at)
                .attend(wide_.row(n), keys.source_keys, keys.source_values, scale, said_.row(n));
        }
        apply(layer.across, said_, rows_, y_);
        add_part(layer, layer.norms[1], x_, y_, rows_, job_.d);
    }

    void feed_forward(const TransformerLayer& layer) const {
        apply(layer.first, before(layer, 2), rows_, wide_);
        for (long n = 0; n < rows_; ++n) activate(layer, wide_.row(n), wide_.row(n));
        apply(layer.second, wide_, rows_, y_);
        add_part(layer, layer.norms[2], x_, y_, rows_, job_.d);
    }

    void tell(Rows x) const {
        if (!job_.best) return logits(x, 0, rows_, job_.log_probs + first_ * job_.vocabulary, true);
        for (long row = 0; row < rows_; row += TOLD_ROWS) {
            const long rows = std::min(TOLD_ROWS, rows_ - row);
            logits(x, row, rows, told_, false);
            for (long n = 0; n < rows; ++n) {
                const long to = (first_ + row + n) * job_.best;
                tell_best(told_ + n * job_.vocabulary, job_.vocabulary, job_.best, maxima_, job_.log_probs + to, job_.best_tokens + to);
            }
        }
    }

    // What is no whole panel is made beside, since rows lie close.
    void logits(Rows x, long row, long rows, float* to, bool normal) const {
        const long V_ = job_.vocabulary, whole = V_ / PANEL, rest = V_ - whole * PANEL;
        multiply_panels(job_.output, x.row(row), x.stride, rows, to, V_, 0, whole);
        if (rest) multiply_panels(job_.output, x.row(row), x.stride, rows, edge_ - whole * PANEL, PANEL, whole, whole + 1);
        for (long n = 0; n < rows; ++n) {
            if (rest) std::memcpy(to + n * V_ + whole * PANEL, edge_ + n * PANEL, rest * 4);
            if (normal) log_softmax(to + n * V_, V_);
        }
    }
};

inline long share(const DecoderJob& job) { return (job.rows + job.threads - 1) / job.threads; }

inline long step_bytes(const DecoderJob& job) { return StepRows::bytes(job, share(job)) * job.threads; }

inline void step(const DecoderJob& job) {
    const long each = StepRows::bytes(job, share(job));
    parallel(job.threads, [&](int thread, int threads, Barrier&) {
        const long first = job.rows * thread / threads, last = job.rows * (thread + 1) / threads;
        // A smaller team than asked for takes more rows each than there is room for: it goes on in pieces.
        for (long row = first; row < last; row += share(job)) {
            const long rows = std::min(share(job), last - row);
            StepRows(job, row, rows, job.scratch + thread * each).run();
        }
    });
}

}  // namespace recurra::RECURRA_ISA::transformer
