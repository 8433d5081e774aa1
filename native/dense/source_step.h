// What a step of a recurrent decoder does beside its cells: each row's attention to its source, and what the output layer reads.
//
// Row by row, and each number is one chain in an order that depends on the sizes and the row's source alone: so a row has the same
// bits whatever rows are beside it, and however far their sources are padded.
#pragma once

#include <algorithm>
#include <cstring>

#include "../threads.h"
#include "decoder_step.h"
#include "source_step_job.h"

namespace recurra::RECURRA_ISA::transformer {

// Up to such numbers, e^2q e^2k is between 2^-99 and 2^99, so `inverse` is right for 1 + e^2q e^2k.
constexpr float RAISED = 17.0f;

// 1 / b for 1 <= b < 2^100, to two units in the last place.
inline V inverse(V b) {
#if defined(__AVX512F__)
    const V r = reinterpret_cast<V>(_mm512_rcp14_ps(reinterpret_cast<__m512>(b)));  // relative error below 2^-14
    return r + r * (1.0f - r * b);
#else
    return 1.0f / b;
#endif
}

// Whole vectors, and of the last one what is there.
inline V load_some(const float* x, long count) { return count < VL ? first_of(x, count) : load(x); }
inline void store_some(float* x, V v, long count) {
    if (count >= VL) return store(x, v);
    for (long k = 0; k < count; ++k) x[k] = v[k];
}

// Whether none is further from zero than RAISED; false where one is NaN.
inline bool are_moderate(const float* x, long count) {
    M far{};
    for (long i = 0; i < count; i += VL) {
        const V size = magnitude(load_some(x + i, count - i));
        far |= (size > RAISED) | (size != size);
    }
    for (int k = 0; k < VL; ++k)
        if (far[k]) return false;
    return true;
}

// Keys k as e^2k, source by source, where all of a source's are moderate: then tanh(q + k) = 1 - 2 / (1 + e^2q e^2k) takes no tanh.
// Others as they are; what is behind a source's last is not written.
inline void raise(const float* keys, const std::int64_t* lengths, long N, long T, long K, float* to, std::uint8_t* raised) {
    for (long n = 0; n < N; ++n) {
        const float* const own = keys + n * T * K;
        float* const made = to + n * T * K;
        const long count = lengths[n] * K;
        raised[n] = are_moderate(own, count);
        if (!raised[n]) std::memcpy(made, own, count * 4);
        for (long i = 0; raised[n] && i < count; i += VL) {
            const V k = load_some(own + i, count - i);
            store_some(made + i, exp(k + k), count - i);
        }
    }
}

// Rows that are taken at once: what they need stays in an L2 cache.
constexpr long SOURCE_ROWS = 4 * MAX_ROWS;

// One query after another over the keys of its source.
class Looks {
public:
    Looks(const LookJob& job, char* scratch)
        : job_(job), bump_(scratch), vectors_(whole_vectors(job.sources.K)), energy_(bump_.floats(vectors_)), query_(bump_.floats(vectors_)),
          scores_(bump_.floats(job.sources.T + VL)), mapped_{bump_.floats(SOURCE_ROWS * stride()), stride()} {}

    static long bytes(const LookJob& job) { return Looks(job, nullptr).bump_.used(); }

    void run(long first, long last) const {
        // v . tanh(q + k) is the sum of v, which is the same for all keys and so nothing to a softmax, minus that of 2 v / (1 + e^2(q + k)).
        for (long i = 0; i < vectors_; ++i) energy_[i] = job_.energy && i < job_.sources.K ? -2.0f * job_.energy[i] : 0.0f;
        for (long row = first; row < last; row += SOURCE_ROWS) {
            const long rows = std::min(SOURCE_ROWS, last - row);
            const Rows states{const_cast<float*>(job_.states) + row * job_.size, job_.size};
            if (job_.query.inputs) apply(job_.query, states, rows, mapped_);
            for (long n = 0; n < rows; ++n) look(job_.query.inputs ? mapped_.row(n) : states.row(n), row + n);
        }
    }

private:
    const LookJob& job_;
    Bump bump_;
    const long vectors_;
    float *const energy_, *const query_, *const scores_;
    const Rows mapped_;

    long stride() const { return row_stride(padded(job_.query.inputs ? job_.query.outputs : 1)); }

    void look(const float* query, long row) const {
        const Sources& from = job_.sources;
        const long n = job_.source[row], count = from.lengths[n];
        float* const to = job_.contexts + row * job_.context_row;
        if (!count) {
            std::memset(to, 0, from.M * 4);
            return;
        }
        const float* const keys = from.keys + n * from.T * from.K;
        score_all(keys, count, job_.energy && from.raised[n], query);
        for (long s = count; s < whole_vectors(count); ++s) scores_[s] = -__builtin_inff();
        weigh(scores_, count);
        const auto at = [&](long s) { return s * from.M; };
        Query(1, from.M, count, scores_, at).take(from.values + n * from.T * from.M, to);
    }

    void score_all(const float* keys, long count, bool raised, const float* query) const {
        const bool moderate = raised && are_moderate(query, job_.sources.K);
        for (long i = 0; i < vectors_; i += VL) {
            const V q = load_some(query + i, job_.sources.K - i);
            store(query_ + i, raised ? exp(q + q) : q);
        }
        const auto q = [&](long i) { return load(query_ + i); };
        const auto v = [&](long i) { return load(energy_ + i); };
        if (job_.score == DOT_SCORE) return score(keys, count, job_.scale, [&](V sum, long i, V k) { return sum + q(i) * k; });
        if (!raised) return score(keys, count, -0.5f, [&](V sum, long i, V k) { return sum + v(i) * tanh(q(i) + k); });
        if (moderate) return score(keys, count, 1.0f, [&](V sum, long i, V k) { return sum + v(i) * inverse(1.0f + q(i) * k); });
        // e^2q may be 0 or infinite, and then so is the product.
        score(keys, count, 1.0f, [&](V sum, long i, V k) { return sum + v(i) / (1.0f + q(i) * k); });
    }

    // As many keys as a vector has lanes: their sums side by side, four at a time, so that one need not wait for another.
    template <typename Add>
    void score(const float* keys, long count, float scale, const Add& add) const {
        constexpr int ABREAST = 4;
        const long K = job_.sources.K;
        float sums[VL * VL];
        for (long first = 0; first < count; first += VL) {
            for (long k = 0; k < VL; k += ABREAST) {
                V sum[ABREAST]{};
                if (first + k < count) {
                    const float* key[ABREAST];
                    for (int j = 0; j < ABREAST; ++j) key[j] = keys + std::min(first + k + j, count - 1) * K;
                    long i = 0;
                    for (; i + VL <= K; i += VL)
#pragma GCC unroll 4
                        for (int j = 0; j < ABREAST; ++j) sum[j] = add(sum[j], i, load(key[j] + i));
                    if (i < K)
                        for (int j = 0; j < ABREAST; ++j) sum[j] = add(sum[j], i, first_of(key[j] + i, K - i));
                }
                for (int j = 0; j < ABREAST; ++j) store(sums + (k + j) * VL, sum[j]);
            }
            store(scores_ + first, folded(sums) * scale);
        }
    }
};

// What the output layer reads, of some rows.
class Reads {
public:
    Reads(const ReadJob& job, char* scratch)
        : job_(job), bump_(scratch), joined_(room(job.H + job.E + job.M)), wide_(room(job.joint.outputs)) {}

    static long bytes(const ReadJob& job) { return Reads(job, nullptr).bump_.used(); }

    void run(long first, long last) const {
        for (long row = first; row < last; row += SOURCE_ROWS) {
            const long rows = std::min(SOURCE_ROWS, last - row);
            for (long n = 0; n < rows; ++n) join(row + n, joined_.row(n));
            apply(job_.joint, joined_, rows, wide_);
            for (long n = 0; n < rows; ++n) finish(wide_.row(n), job_.to + (row + n) * job_.D);
        }
    }

private:
    const ReadJob& job_;
    Bump bump_;
    const Rows joined_, wide_;

    Rows room(long numbers) {
        const long stride = row_stride(padded(numbers));
        return {bump_.floats(SOURCE_ROWS * stride), stride};
    }

    void join(long row, float* to) const {
        const float *const h = job_.h + row * job_.H, *const context = job_.contexts + row * job_.context_row;
        if (job_.kind == TANH_READOUT) {
            std::memcpy(to, context, job_.M * 4);
            std::memcpy(to + job_.M, h, job_.H * 4);
            return;
        }
        std::memcpy(to, h, job_.H * 4);
        std::memcpy(to + job_.H, job_.x + row * job_.x_row, job_.E * 4);
        std::memcpy(to + job_.H + job_.E, context, job_.M * 4);
    }

    void finish(const float* wide, float* to) const {
        for (long i = 0; i < job_.D; i += VL) {
            const long left = job_.D - i;
            const V a = load_some(wide + i, left);
            const V v = job_.kind == TANH_READOUT ? tanh(a) : maximum(load_some(wide + job_.D + i, left), a);
            store_some(to + i, v, left);
        }
    }
};

template <typename Part, typename Job>
long part_bytes(const Job& job) {
    return Part::bytes(job) * job.threads;
}

template <typename Part, typename Job>
void run_part(const Job& job) {
    const long each = Part::bytes(job);
    parallel(job.threads, [&](int thread, int threads, Barrier&) {
        Part(job, job.scratch + thread * each).run(job.rows * thread / threads, job.rows * (thread + 1) / threads);
    });
}

}  // namespace recurra::RECURRA_ISA::transformer
