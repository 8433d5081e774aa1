// Attention, head by head: a few queries at a time, whose scores stay in the cache, forward and backward.
//
// Each sequence and head is computed by one thread, and each number is one chain of multiply-adds in order, so bits depend
// neither on threads nor on what else is in the batch; nor, with causal attention, on the keys behind a query.
#pragma once

#include <atomic>
#include <cstring>

#include "../memory.h"
#include "../simd/math.h"
#include "../simd/transpose.h"
#include "../threads.h"
#include "span_attention_job.h"
#include "drop.h"

namespace recurra::RECURRA_ISA::spans {

constexpr int WIDE = 2 * VL;               // columns of a tile
constexpr int TALL = VL == 16 ? 12 : 6;    // its rows, at most: with the columns they fill the registers
constexpr long QUERIES = 48;               // whose scores are held at once

inline long whole(long count) { return (count + WIDE - 1) / WIDE * WIDE; }

// Where the left factor's number (i, k) is: rows are `row` apart, steps of the depth `step`.
struct Factor {
    const float* at;
    long row, step;
};

template <int R>
inline void tile(Factor a, const float* b, long b_row, long depth, float* c, long c_row, bool add) {
    V sum[R][2];
#pragma GCC unroll 12
    for (int i = 0; i < R; ++i) {
        sum[i][0] = add ? load(c + i * c_row) : V{};
        sum[i][1] = add ? load(c + i * c_row + VL) : V{};
    }
    for (long k = 0; k < depth; ++k, a.at += a.step, b += b_row) {
        const V low = load(b), high = load(b + VL);
#pragma GCC unroll 12
        for (int i = 0; i < R; ++i) {
            const V x = splat(a.at[i * a.row]);
            sum[i][0] += x * low;
            sum[i][1] += x * high;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < R; ++i) {
        store(c + i * c_row, sum[i][0]);
        store(c + i * c_row + VL, sum[i][1]);
    }
}

template <int R>
inline void rest(long rows, Factor a, const float* b, long b_row, long depth, float* c, long c_row, bool add) {
    if constexpr (R > 0) {
        if (rows == R) return tile<R>(a, b, b_row, depth, c, c_row, add);
        rest<R - 1>(rows, a, b, b_row, depth, c, c_row, add);
    }
}

// C = A B, or C + A B: (rows, columns), columns a multiple of WIDE.
inline void product(long rows, long columns, long depth, Factor a, const float* b, long b_row, float* c, long c_row,
                    bool add) {
    for (long j = 0; j < columns; j += WIDE)
        for (long i = 0; i < rows; i += TALL) {
            const Factor left{a.at + i * a.row, a.row, a.step};
            float* const to = c + i * c_row + j;
            if (rows - i >= TALL)
                tile<TALL>(left, b + j, b_row, depth, to, c_row, add);
            else
                rest<TALL - 1>(rows - i, left, b + j, b_row, depth, to, c_row, add);
        }
}

inline float dot(const float* a, const float* b, long count) {
    V sum{};
    long i = 0;
    for (; i + VL <= count; i += VL) sum += load(a + i) * load(b + i);
    float total = lane_sum(sum);
    for (; i < count; ++i) total += a[i] * b[i];
    return total;
}

// Keys from `low` to `high`, without that one.
struct Seen {
    long low, high;
};

// What one thread holds while it is at one head of one sequence.
class Head {
public:
    Head(const SpanAttentionJob& job, long most_keys, char* scratch)
        : job_(job), keys_(whole(most_keys)), size_(whole(job.size)), bump_(scratch),
          turned_keys_(bump_.floats(job.size * keys_)), turned_values_(bump_.floats(job.size * keys_)),
          rows_(bump_.floats(keys_ * size_)), d_keys_(bump_.floats(keys_ * size_)),
          d_values_(bump_.floats(keys_ * size_)), scores_(bump_.floats(QUERIES * keys_)),
          d_scores_(bump_.floats(QUERIES * keys_)), queries_(bump_.floats(QUERIES * size_)),
          d_out_(bump_.floats(QUERIES * size_)), said_(bump_.floats(QUERIES * size_)) {}

    static long bytes(const SpanAttentionJob& job, long most_keys) { return Head(job, most_keys, nullptr).bump_.used(); }

    void attend(const Span& span, long head) {
        begin(span, head);
        turn(job_.k + span.first_key * job_.k_row + head_ * job_.size, job_.k_row, turned_keys_);
        copy_rows(job_.v + span.first_key * job_.v_row + head_ * job_.size, job_.v_row, span.keys, rows_, whole(span.keys));
        for (long first = 0; first < span.queries; first += QUERIES) {
            const long count = span.queries - first < QUERIES ? span.queries - first : QUERIES;
            const Seen all = block(first, count);
            score(first, count, all, turned_keys_, job_.q, job_.q_row, scores_);
            for (long i = 0; i < count; ++i) weigh(first + i, scores_ + i * keys_, all);
            product(count, size_, all.high - all.low, {scores_ + all.low, keys_, 1}, rows_ + all.low * size_, size_, said_,
                    size_, false);
            for (long i = 0; i < count; ++i)
                std::memcpy(job_.out + place(span.first_query + first + i), said_ + i * size_, job_.size * 4);
        }
    }

    void gradients(const Span& span, long head) {
        begin(span, head);
        const long at = head_ * job_.size, keys = whole(span.keys);
        turn(job_.k + span.first_key * job_.k_row + at, job_.k_row, turned_keys_);
        turn(job_.v + span.first_key * job_.v_row + at, job_.v_row, turned_values_);
        copy_rows(job_.k + span.first_key * job_.k_row + at, job_.k_row, span.keys, rows_, keys);
        std::memset(d_keys_, 0, keys * size_ * 4);
        std::memset(d_values_, 0, keys * size_ * 4);
        for (long first = 0; first < span.queries; first += QUERIES)
            add_gradients(first, span.queries - first < QUERIES ? span.queries - first : QUERIES);
        for (long j = 0; j < span.keys; ++j) {
            std::memcpy(job_.d_k + place(span.first_key + j), d_keys_ + j * size_, job_.size * 4);
            std::memcpy(job_.d_v + place(span.first_key + j), d_values_ + j * size_, job_.size * 4);
        }
    }

private:
    const SpanAttentionJob& job_;
    const long keys_, size_;
    Bump bump_;
    float *const turned_keys_, *const turned_values_, *const rows_, *const d_keys_, *const d_values_, *const scores_,
        *const d_scores_, *const queries_, *const d_out_, *const said_;
    Span span_{};
    long head_ = 0;

    void begin(const Span& span, long head) { span_ = span, head_ = head; }

    // Of a row of queries or keys in what is made: all heads side by side.
    long place(long row) const { return (row * job_.heads + head_) * job_.size; }

    // (size, keys) of rows of keys or values, zeros behind them.
    void turn(const float* from, long row, float* to) const {
        transpose(from, row, span_.keys, job_.size, to, keys_);
        const long end = whole(span_.keys);
        for (long d = 0; d < job_.size; ++d) std::memset(to + d * keys_ + span_.keys, 0, (end - span_.keys) * 4);
    }

    // Rows of whole tiles, zeros behind them.
    void copy_rows(const float* from, long row, long count, float* to, long rows) const {
        for (long i = 0; i < rows; ++i) {
            const long real = i < count ? job_.size : 0;
            if (real) std::memcpy(to + i * size_, from + i * row, real * 4);
            std::memset(to + i * size_ + real, 0, (size_ - real) * 4);
        }
    }

    Seen seen(long query) const {
        if (!job_.causal) return {0, span_.keys};
        const long high = query + 1 + span_.keys - span_.queries, low = job_.window ? high - job_.window : 0;
        return {low > 0 ? low : 0, high > 0 ? high : 0};
    }

    // Keys of whole tiles that some queries see.
    Seen block(long first, long count) const {
        const Seen one = seen(first), last = seen(first + count - 1);
        return {one.low / WIDE * WIDE, whole(last.high)};
    }

    void score(long first, long count, Seen all, const float* turned, const float* left, long row, float* to) const {
        const float* const at = left + (span_.first_query + first) * row + head_ * job_.size;
        product(count, all.high - all.low, job_.size, {at, row, 1}, turned + all.low, keys_, to + all.low, keys_, false);
    }

    Kept kept(long query) const {
        return Kept(job_.dropped, job_.seed, static_cast<std::uint64_t>((span_.first_query + query) * job_.heads + head_));
    }

    // -1 in lanes of keys that are seen.
    static M sees(Seen seen, long j) {
        M lane;
        for (int i = 0; i < VL; ++i) lane[i] = i;
        return (lane >= static_cast<std::int32_t>(seen.low - j)) & (lane < static_cast<std::int32_t>(seen.high - j));
    }

    // Scores of a query to the weights of its values; of one that sees nothing they are zero.
    void weigh(long query, float* row, Seen all) const {
        const Seen mine = seen(query);
        float& log_sum = job_.log_sums[(span_.first_query + query) * job_.heads + head_];
        if (mine.low >= mine.high) {
            std::memset(row + all.low, 0, (all.high - all.low) * 4);
            log_sum = 0.0f;
            return;
        }
        const float most = largest(row, mine);
        for (long j = all.low; j < all.high; j += VL)
            store(row + j, select(sees(mine, j), exp_negative((load(row + j) - most) * job_.scale), V{}));
        // From the first key that is seen: which lane a key is in must not depend on how many there are before.
        V sum{};
        for (long j = mine.low; j < mine.high; j += VL) sum += tail(load(row + j), mine.high - j);
        const float total = lane_sum(sum);
        log_sum = most * job_.scale + log(splat(total))[0];
        scale_row(row, all, query, 1.0f / total);
    }

    static float largest(const float* row, Seen mine) {
        V most = splat(-__builtin_inff());
        for (long j = mine.low / VL * VL; j < mine.high; j += VL) {
            const V x = select(sees(mine, j), load(row + j), splat(-__builtin_inff()));
            most = select((x > most) | (x != x), x, most);
        }
        float found = most[0];
        for (int i = 1; i < VL; ++i)
            if (most[i] > found || most[i] != most[i]) found = most[i];
        return found;
    }

    void scale_row(float* row, Seen all, long query, float factor) const {
        if (!job_.dropped) {
            for (long j = all.low; j < all.high; j += VL) store(row + j, load(row + j) * factor);
            return;
        }
        const Kept stays = kept(query);
        for (long j = all.low; j < all.high; j += VL)
            store(row + j, select(stays.at(j), load(row + j) * (factor * stays.scale()), V{}));
    }

    void add_gradients(long first, long count) const {
        const long row = job_.heads * job_.size, at = place(span_.first_query + first);
        const Seen all = block(first, count);
        const long seen_keys = all.high - all.low;
        score(first, count, all, turned_keys_, job_.q, job_.q_row, scores_);
        score(first, count, all, turned_values_, job_.d_out, row, d_scores_);
        copy_rows(job_.q + (span_.first_query + first) * job_.q_row + head_ * job_.size, job_.q_row, count, queries_, count);
        copy_rows(job_.d_out + at, row, count, d_out_, count);
        for (long i = 0; i < count; ++i) weigh_gradient(first + i, scores_ + i * keys_, d_scores_ + i * keys_, all);
        product(count, size_, seen_keys, {d_scores_ + all.low, keys_, 1}, rows_ + all.low * size_, size_, said_, size_, false);
        for (long i = 0; i < count; ++i) std::memcpy(job_.d_q + at + i * row, said_ + i * size_, job_.size * 4);
        product(seen_keys, size_, count, {scores_ + all.low, 1, keys_}, d_out_, size_, d_values_ + all.low * size_, size_, true);
        product(seen_keys, size_, count, {d_scores_ + all.low, 1, keys_}, queries_, size_, d_keys_ + all.low * size_, size_, true);
    }

    // Scores to weights, as they were, and their gradients to those of the scores.
    void weigh_gradient(long query, float* row, float* d_row, Seen all) const {
        const Seen mine = seen(query);
        const long at = span_.first_query + query;
        const float delta = dot(job_.d_out + place(at), job_.out + place(at), job_.size);
        const float log_sum = job_.log_sums[at * job_.heads + head_];
        const Kept stays = kept(query);
        for (long j = all.low; j < all.high; j += VL) {
            const V weight = select(sees(mine, j), exp(load(row + j) * job_.scale - log_sum), V{});
            V factor = splat(1.0f);
            if (job_.dropped) factor = select(stays.at(j), splat(stays.scale()), V{});
            const V d_weight = masked(load(d_row + j), factor);
            store(row + j, weight * factor);
            store(d_row + j, select(sees(mine, j), weight * (d_weight - delta) * job_.scale, V{}));
        }
    }
};

inline long most_keys(const SpanAttentionJob& job) {
    long most = 1;
    for (long n = 0; n < job.sequences; ++n) most = job.spans[n].keys > most ? job.spans[n].keys : most;
    return most;
}

inline long attention_bytes(const SpanAttentionJob& job) { return Head::bytes(job, most_keys(job)) * job.threads; }

// Heads of sequences, each by the thread that is free next.
template <typename Work>
void each_head(const SpanAttentionJob& job, const Work& work) {
    const long most = most_keys(job), each = Head::bytes(job, most);
    std::atomic<long> next{0};
    parallel(job.threads, [&](int thread, int, Barrier&) {
        Head head(job, most, job.scratch + thread * each);
        for (long k; (k = next++) < job.sequences * job.heads;) work(head, job.spans[k / job.heads], k % job.heads);
    });
}

inline void attend(const SpanAttentionJob& job) {
    each_head(job, [](Head& head, const Span& span, long which) { head.attend(span, which); });
}

inline void attention_gradients(const SpanAttentionJob& job) {
    each_head(job, [](Head& head, const Span& span, long which) { head.gradients(span, which); });
}

}  // namespace recurra::RECURRA_ISA::spans
