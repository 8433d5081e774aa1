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

// Of a row of queries or keys: pairs (x_i, x_{i + size/2}) turned by its angles (Su et al. 2021, arXiv:2104.09864, equation
// 15). turn: cosines, and sines behind them. back: by the opposite angles, which is the gradient
inline void turn_row(const float* x, const float* turn, long size, bool back, float* y) {
    const long half = size / 2;
    const float sign = back ? -1.0f : 1.0f;
    long i = 0;
    for (; i + VL <= half; i += VL) {
        const V a = load(x + i), b = load(x + half + i), cosine = load(turn + i), sine = load(turn + half + i) * sign;
        store(y + i, a * cosine - b * sine);
        store(y + half + i, a * sine + b * cosine);
    }
    for (; i < half; ++i) {
        const float a = x[i], b = x[half + i], cosine = turn[i], sine = turn[half + i] * sign;
        y[i] = a * cosine - b * sine;
        y[half + i] = a * sine + b * cosine;
    }
}

// What one thread holds while it is at one head of one sequence.
class Head {
public:
    Head(const SpanAttentionJob& job, long most_keys, char* scratch)
        : job_(job), keys_(row_stride(whole(most_keys) + VL)), size_(whole(job.size)), bump_(scratch),
          turned_keys_(bump_.floats(job.size * keys_)), turned_values_(bump_.floats(job.size * keys_)),
          rows_(bump_.floats(keys_ * size_)), d_keys_(bump_.floats(keys_ * size_)),
          d_values_(bump_.floats(keys_ * size_)), scores_(bump_.floats(QUERIES * keys_)),
          d_scores_(bump_.floats(QUERIES * keys_)), queries_(bump_.floats(QUERIES * size_)),
          d_out_(bump_.floats(QUERIES * size_)), said_(bump_.floats(QUERIES * size_)) {}

    static long bytes(const SpanAttentionJob& job, long most_keys) { return Head(job, most_keys, nullptr).bump_.used(); }

    void attend(const Span& span, long head) {
        begin(span, head);
        const float* keys = job_.k + span.first_key * job_.k_row + head_ * job_.size;
        if (job_.turns) {
            turn_rows(keys, job_.k_row, 0, span.keys, rows_);
            transpose(rows_, size_, turned_keys_);
        } else {
            transpose(keys, job_.k_row, turned_keys_);
        }
        copy_rows(job_.v + span.first_key * job_.v_row + head_ * job_.size, job_.v_row, span.keys, rows_, whole(span.keys));
        for (long first = 0; first < span.queries; first += QUERIES) {
            const long count = span.queries - first < QUERIES ? span.queries - first : QUERIES;
            const float* queries = job_.q + (span.first_query + first) * job_.q_row + head_ * job_.size;
            if (job_.turns) turn_rows(queries, job_.q_row, first + before(), count, queries_);
            score(first, count, turned_keys_, {job_.turns ? queries_ : queries, job_.turns ? size_ : job_.q_row, 1}, scores_);
            const Seen all = block(first, count);
            float factors[QUERIES];
            for (long i = 0; i < count; ++i) factors[i] = weigh(first + i, scores_ + i * keys_, all);
            add_values(first, count, scores_);
            for (long i = 0; i < count; ++i) write(said_ + i * size_, factors[i], job_.out + place(span.first_query + first + i));
        }
    }

    void gradients(const Span& span, long head) {
        begin(span, head);
        const long at = head_ * job_.size, keys = whole(span.keys);
        transpose(job_.v + span.first_key * job_.v_row + at, job_.v_row, turned_values_);
        copy_rows(job_.k + span.first_key * job_.k_row + at, job_.k_row, span.keys, rows_, keys);
        if (job_.turns) turn_rows(rows_, size_, 0, span.keys, rows_);
        transpose(rows_, size_, turned_keys_);
        std::memset(d_keys_, 0, keys * size_ * 4);
        std::memset(d_values_, 0, keys * size_ * 4);
        for (long first = 0; first < span.queries; first += QUERIES)
            add_gradients(first, span.queries - first < QUERIES ? span.queries - first : QUERIES);
        if (job_.turns) turn_rows(d_keys_, size_, 0, span.keys, d_keys_, true);
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

    // Keys before a query's own place.
    long before() const { return span_.keys - span_.queries; }

    // Rows of queries or keys from a position on, turned by it, `size_` apart. A query before the first key sees nothing, whatever its turn.
    void turn_rows(const float* from, long row, long position, long count, float* to, bool back = false) const {
        for (long i = 0; i < count; ++i) {
            const long at = position + i < 0 ? 0 : position + i;
            turn_row(from + i * row, job_.turns + at * job_.size, job_.size, back, to + i * size_);
        }
    }

    // (size, keys) of rows of keys or values, zeros behind them.
    void transpose(const float* from, long row, float* to) const {
        RECURRA_ISA::transpose(from, row, span_.keys, job_.size, to, keys_);
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

    // A row of what is said, times a number.
    void write(const float* from, float factor, float* to) const {
        for (long i = 0; i < job_.size; ++i) to[i] = from[i] * factor;
    }

    // Rows of a tile see nearly the same keys: what none of them sees is not computed.
    Seen tile_of(long first, long count, long i) const { return block(first + i, count - i < TALL ? count - i : TALL); }

    // (count, keys) of some queries: left rows times keys or values as `transpose` has them.
    void score(long first, long count, const float* turned, Factor left, float* to) const {
        const Seen all = block(first, count);
        Seen seen[(QUERIES + TALL - 1) / TALL];
        for (long i = 0; i < count; i += TALL) seen[i / TALL] = tile_of(first, count, i);
        for (long j = all.low; j < all.high; j += WIDE)
            for (long i = 0; i < count; i += TALL)
                if (seen[i / TALL].low <= j && j < seen[i / TALL].high)
                    product(count - i < TALL ? count - i : TALL, WIDE, job_.size, {left.at + i * left.row, left.row, 1}, turned + j,
                            keys_, to + i * keys_ + j, keys_, false);
    }

    // said = weights times the rows of keys or values.
    void add_values(long first, long count, const float* weights) const {
        for (long i = 0; i < count; i += TALL) {
            const Seen seen = tile_of(first, count, i);
            product(count - i < TALL ? count - i : TALL, size_, seen.high - seen.low, {weights + i * keys_ + seen.low, keys_, 1},
                    rows_ + seen.low * size_, size_, said_ + i * size_, size_, false);
        }
    }

    // Queries of a block that see one of some keys.
    Seen see(long first, long count, long key, long keys) const {
        if (!job_.causal) return {0, count};
        const long low = key - before() - first, high = job_.window ? low + keys - 1 + job_.window : count;
        return {low < 0 ? 0 : low, high < count ? high : count};
    }

    // to += weights, turned, times rows of queries.
    void add_queries(long first, long count, const float* weights, const float* queries, float* to) const {
        const Seen all = block(first, count);
        for (long j = all.low; j < all.high; j += TALL) {
            const long keys = all.high - j < TALL ? all.high - j : TALL;
            const Seen by = see(first, count, j, keys);
            if (by.low < by.high)
                product(keys, size_, by.high - by.low, {weights + by.low * keys_ + j, 1, keys_}, queries + by.low * size_, size_,
                        to + j * size_, size_, true);
        }
    }

    Kept kept(long query) const {
        return Kept(job_.dropped, job_.seed, static_cast<std::uint64_t>((span_.first_query + query) * job_.heads + head_));
    }

    // Zeros where a row of scores has keys that are not seen.
    static void clear(float* row, Seen mine, Seen all) {
        std::memset(row + all.low, 0, (mine.low - all.low) * 4);
        std::memset(row + mine.high, 0, (all.high - mine.high) * 4);
    }

    // Each vector of the keys that are seen, and how many lanes of it: from the first, as which lane a key is in must not depend
    // on how many there are before it. Rows have room for one vector more.
    template <typename Function>
    static void each_vector(Seen mine, const Function& f) {
        long j = mine.low;
        for (; j + VL <= mine.high; j += VL) f(j, [](V v) { return v; });
        if (j < mine.high) f(j, [&](V v) { return first_lanes(v, mine.high - j); });
    }

    // Scores of a query to weights of its values, and what they are to be multiplied with. Of one that sees nothing all is zero.
    float weigh(long query, float* row, Seen all) const {
        const Seen mine = seen(query);
        float& log_sum = job_.log_sums[(span_.first_query + query) * job_.heads + head_];
        if (mine.low >= mine.high) {
            std::memset(row + all.low, 0, (all.high - all.low) * 4);
            log_sum = 0.0f;
            return 0.0f;
        }
        const float most = largest(row, mine);
        V sum{};
        each_vector(mine, [&](long j, auto real) {
            const V weight = real(exp_negative((load(row + j) - most) * job_.scale));
            store(row + j, weight);
            sum += weight;
        });
        const float total = lane_sum(sum);
        log_sum = most * job_.scale + log(splat(total))[0];
        clear(row, mine, all);
        if (!job_.dropped) return 1.0f / total;
        const Kept stays = kept(query);
        each_vector(mine, [&](long j, auto real) { store(row + j, select(stays.at(j), real(load(row + j)), V{})); });
        return stays.scale() / total;
    }

    static float largest(const float* row, Seen mine) {
        float found = -__builtin_inff();
        long j = mine.low;
        if (j + VL <= mine.high) {
            V most = load(row + j);
            for (j += VL; j + VL <= mine.high; j += VL) {
                const V x = load(row + j);
                most = select(x > most, x, most);
            }
            for (int i = 0; i < VL; ++i) found = most[i] > found ? most[i] : found;
        }
        for (; j < mine.high; ++j) found = row[j] > found ? row[j] : found;
        return found;
    }

    void add_gradients(long first, long count) const {
        const long row = job_.heads * job_.size, at = place(span_.first_query + first);
        const Seen all = block(first, count);
        copy_rows(job_.q + (span_.first_query + first) * job_.q_row + head_ * job_.size, job_.q_row, count, queries_, count);
        if (job_.turns) turn_rows(queries_, size_, first + before(), count, queries_);
        copy_rows(job_.d_out + at, row, count, d_out_, count);
        score(first, count, turned_keys_, {queries_, size_, 1}, scores_);
        score(first, count, turned_values_, {d_out_, size_, 1}, d_scores_);
        for (long i = 0; i < count; ++i) weigh_gradient(first + i, scores_ + i * keys_, d_scores_ + i * keys_, all);
        add_values(first, count, d_scores_);
        if (job_.turns) turn_rows(said_, size_, first + before(), count, said_, true);
        for (long i = 0; i < count; ++i) std::memcpy(job_.d_q + at + i * row, said_ + i * size_, job_.size * 4);
        add_queries(first, count, scores_, d_out_, d_values_);
        add_queries(first, count, d_scores_, queries_, d_keys_);
    }

    // Scores to weights, as they were, and their gradients to those of the scores.
    void weigh_gradient(long query, float* row, float* d_row, Seen all) const {
        const Seen mine = seen(query);
        const long at = span_.first_query + query;
        const float delta = dot(job_.d_out + place(at), job_.out + place(at), job_.size);
        const float log_sum = job_.log_sums[at * job_.heads + head_];
        const Kept stays = kept(query);
        each_vector(mine, [&](long j, auto real) {
            const V weight = real(exp_negative(load(row + j) * job_.scale - log_sum)), d_weight = load(d_row + j);
            if (!job_.dropped) {
                store(row + j, weight);
                store(d_row + j, real(weight * (d_weight - delta) * job_.scale));
                return;
            }
            const M stay = stays.at(j);
            store(row + j, select(stay, weight * stays.scale(), V{}));
            store(d_row + j, real(weight * (select(stay, d_weight * stays.scale(), V{}) - delta) * job_.scale));
        });
        clear(row, mine, all);
        clear(d_row, mine, all);
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
