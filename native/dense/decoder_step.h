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

// NaN is passed over: what is made with exp(x - largest) is NaN all the same.
inline float largest(const float* x, long count) {
    V most[4];
    for (V& one : most) one = splat(-__builtin_inff());
    long i = 0;
    for (; i + 4 * VL <= count; i += 4 * VL)
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) most[k] = greater(load(x + i + k * VL), most[k]);
    for (; i + VL <= count; i += VL) most[0] = greater(load(x + i), most[0]);
    float found = lane_maximum(greater(greater(most[0], most[1]), greater(most[2], most[3])));
    for (; i < count; ++i)
        if (x[i] > found) found = x[i];
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
        switch (size_ / VL) {
            case 1: return score_of<1>(q, keys, scale);
            case 2: return score_of<2>(q, keys, scale);
            case 4: return score_of<4>(q, keys, scale);
            default: return score_of<0>(q, keys, scale);
        }
    }

    // Vectors: of a head, 0: as many as it has.
    template <int Vectors>
    void score_of(const float* q, const float* keys, float scale) const {
        const long vectors = Vectors ? Vectors : size_ / VL;
        for (long first = 0; first < count_; first += VL) {
            V sums[VL];
#pragma GCC unroll 16
            for (long k = 0; k < VL; ++k) {
                sums[k] = V{};
                if (first + k >= count_) continue;
                const float* const key = keys + at_(first + k);
                for (long i = 0; i < vectors; ++i) sums[k] += load(q + i * VL) * load(key + i * VL);
            }
            store(scores_ + first, lane_sums(sums) * scale);
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

// So many logits are one group: what is known of it, its largest and the sum of exp(x - largest), depends on nothing beside it. So the
// logarithm of the sum has the same bits whether all logits of a row stand in memory or a few groups at a time.
constexpr long GROUP = 16 * VL;

inline long groups_of(long count) { return (count + GROUP - 1) / GROUP; }

// Of exp(x - most); of nothing but minus infinity 0, or NaN where that is among it.
inline float sum_of_exp(const float* x, float most, long count) {
    if (most == -__builtin_inff()) return std::any_of(x, x + count, [](float one) { return one != one; }) ? __builtin_nanf("") : 0.0f;
    V sums[2]{};
    long i = 0;
    for (; i + 2 * VL <= count; i += 2 * VL) {
        sums[0] += exp_negative(load(x + i) - most);
        sums[1] += exp_negative(load(x + i + VL) - most);
    }
    if (i + VL <= count) sums[0] += exp_negative(load(x + i) - most), i += VL;
    float sum = lane_sum(sums[0] + sums[1]);
    for (; i < count; ++i) sum += exp_negative(splat(x[i] - most))[0];
    return sum;
}

// ln of the sum of exp of all groups. maxima, sums: of each; behind the last there is room for a vector.
inline float log_sum(float* maxima, float* sums, long groups) {
    for (long m = groups; m < whole_vectors(groups); ++m) maxima[m] = -__builtin_inff(), sums[m] = 0.0f;
    const float most = largest(maxima, groups);
    V sum{};
    for (long m = 0; m < groups; m += VL) sum += load(sums + m) * exp_negative(load(maxima + m) - most);
    return most + log(splat(lane_sum(sum)))[0];
}

// maxima, sums: room for all groups, and a vector.
inline void log_softmax(float* x, long count, float* maxima, float* sums) {
    for (long m = 0; m < groups_of(count); ++m) {
        const long here = std::min(GROUP, count - m * GROUP);
        maxima[m] = largest(x + m * GROUP, here);
        sums[m] = sum_of_exp(x + m * GROUP, maxima[m], here);
    }
    const float less = log_sum(maxima, sums, groups_of(count));
    long i = 0;
    for (; i + VL <= count; i += VL) store(x + i, load(x + i) - less);
    for (; i < count; ++i) x[i] -= less;
}

// The greatest numbers of a row, and where they are; of equals the first is first.
struct Greatest {
    long best, known;
    float* values;
    std::int64_t* places;

    bool has_room() const { return known < best; }
    float least() const { return values[best - 1]; }

    // Puts a number into its place, behind its equals.
    void keep(float x, std::int64_t place) {
        if (!has_room() && !(x > least())) return;
        long k = has_room() ? known++ : best - 1;
        for (; k > 0 && x > values[k - 1]; --k) values[k] = values[k - 1], places[k] = places[k - 1];
        values[k] = x, places[k] = place;
    }

    // Numbers that follow those before, and their largest.
    void keep_all(const float* x, long count, float most, std::int64_t place) {
        if (!has_room() && !(most > least())) return;
        for (long i = 0; i < count; i += VL) {
            const long end = std::min<long>(i + VL, count);
            if (!has_room() && end - i == VL && !any(load(x + i) > least())) continue;
            for (long k = i; k < end; ++k) keep(x[k], place + k);
        }
    }
};

// Bytes of logits that are held at once, of a step that tells the best alone: they stay in an L2 cache, and all rows of a thread are
// multiplied with weights that are read once.
constexpr long TOLD_BYTES = 512 * 1024;

constexpr long TOLD_GROUPS = TOLD_BYTES / 4 / GROUP;

// Logits of so many rows that are held at once, of each: whole groups.
inline long told_at_once(long rows, long vocabulary) {
    return std::min(std::max(1L, TOLD_GROUPS / std::max(1L, rows)), groups_of(vocabulary)) * GROUP;
}

inline long told_row(long rows, long vocabulary) { return row_stride(padded(told_at_once(rows, vocabulary))); }

// Floats for the logits that these rows hold, and for those of any fewer rows, which may hold more than they: 102 rows hold five groups
// each where 103 hold four.
inline long told_room(long rows, long vocabulary) {
    const long groups = std::min(std::max(TOLD_GROUPS, rows), rows * groups_of(vocabulary));
    return groups * GROUP + rows * (row_stride(padded(GROUP)) - GROUP);
}

// Some rows of a step, by one thread.
class StepRows {
public:
    StepRows(const DecoderJob& job, long first, long rows, char* scratch)
        : job_(job), first_(first), rows_(rows), size_(job.d / job.heads), bump_(scratch), x_(room(job.d)), y_(room(job.d)),
          said_(room(job.d)), wide_(room(widest(job))), edge_(bump_.floats(rows * PANEL)),
          scores_(bump_.floats(most_keys(job) + VL)), told_(bump_.floats(job.best ? told_room(rows, job.vocabulary) : 0)), groups_(groups_of(job.vocabulary) + VL),
          maxima_(bump_.floats((job.best ? rows : 1) * groups_)), sums_(bump_.floats((job.best ? rows : 1) * groups_)), at_(reinterpret_cast<long*>(bump_.floats(2 * rows * (job.step + 1)))) {}

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
    float *const edge_, *const scores_, *const told_;
    const long groups_;  // of a row, and a vector
    float *const maxima_, *const sums_;
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
        if (!job_.best) return logits(x, job_.log_probs + first_ * job_.vocabulary);
        const long V_ = job_.vocabulary, most = told_at_once(rows_, V_), row = told_row(rows_, V_), best = job_.best;
        for (long from = 0; from < V_; from += most) {
            const long count = std::min(most, V_ - from), first = from / PANEL;
            multiply_panels(job_.output, x.at, x.stride, rows_, told_ - from, row, first, first + panels_of(count));
            for (long n = 0; n < rows_; ++n) note(n, told_ + n * row, from, count);
        }
        for (long n = 0; n < rows_; ++n) {
            const float less = log_sum(maxima_ + n * groups_, sums_ + n * groups_, groups_of(V_));
            float* const values = job_.log_probs + (first_ + n) * best;
            for (long k = 0; k < best; ++k) values[k] = less != less ? less : values[k] - less;
        }
    }

    // What there is to know of some of a row's logits, which begin with a group.
    void note(long n, const float* x, long from, long count) const {
        const long to = (first_ + n) * job_.best;
        Greatest greatest{job_.best, std::min(from, job_.best), job_.log_probs + to, job_.best_tokens + to};
        for (long i = 0; i < count; i += GROUP) {
            const long here = std::min(GROUP, count - i), m = n * groups_ + (from + i) / GROUP;
            maxima_[m] = largest(x + i, here);
            sums_[m] = sum_of_exp(x + i, maxima_[m], here);
            greatest.keep_all(x + i, here, maxima_[m], from + i);
        }
    }

    // What is no whole panel is made beside, since rows lie close.
    void logits(Rows x, float* to) const {
        const long V_ = job_.vocabulary, whole = V_ / PANEL, rest = V_ - whole * PANEL;
        multiply_panels(job_.output, x.at, x.stride, rows_, to, V_, 0, whole);
        if (rest) multiply_panels(job_.output, x.at, x.stride, rows_, edge_ - whole * PANEL, PANEL, whole, whole + 1);
        for (long n = 0; n < rows_; ++n) {
            if (rest) std::memcpy(to + n * V_ + whole * PANEL, edge_ + n * PANEL, rest * 4);
            log_softmax(to + n * V_, V_, maxima_, sums_);
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
