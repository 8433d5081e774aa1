// Linear layer and cross-entropy in one: nats of each row, and gradients, without the (M, V) matrix.
//
// Rows are taken some at a time (a chunk). Everything of a chunk is transposed: logits lie in panels of rows,
// [panel][v][PANEL], so that W is read as it lies (as the left operand), the sums over the vocabulary run lane by lane,
// and the same panels are the right operand of dL/dx^T = W^T delta and the left one of dL/dW = delta^T x.
//
// Each number is one chain: a logit over D, a gradient of x over V, a gradient of W over M, all in order. The sum of
// exponentials is made by blocks of VOCABULARY words, and the blocks are added in order. Threads divide the numbers.
#pragma once

#include <cstring>

#include "../memory.h"
#include "../simd/math.h"
#include "../simd/transpose.h"
#include "../threads.h"
#include "gemm.h"
#include "linear_job.h"

namespace recurra::RECURRA_ISA {

constexpr long VOCABULARY = 256;              // words at once: their logits for a chunk stay in the L2 cache
constexpr long MOST_ROWS = 256;               // of a chunk: x^T stays in the L2 cache. And where gradients are wanted,
constexpr long LOGIT_BYTES = 32l << 20;       // at most this for its logits,
constexpr long FEWEST_ROWS = 96;              // and half of the rows, but not so few: each chunk reads all of W
constexpr long WORDS_PACKED = 128;            // words whose weights are packed at once for dL/dx
// Floats from strip to strip: no power of two, or they would share cache sets.
constexpr long STRIP = WORDS_PACKED * MAX_ROWS + 16;
constexpr float LOWEST = -3.402823466e38f;

inline bool wants_gradient(const LossJob& job) { return job.d_x || job.d_weight || job.d_bias; }
inline long blocks_of(const LossJob& job) { return (job.V + VOCABULARY - 1) / VOCABULARY; }

// Rows at once: even chunks of whole panels, by shape alone.
inline long chunk_of(const LossJob& job) {
    long most = MOST_ROWS;
    if (wants_gradient(job)) {
        const long half = job.M / 2 < FEWEST_ROWS ? FEWEST_ROWS : job.M / 2, fit = LOGIT_BYTES / (4 * job.V);
        most = half < most ? half : most;
        most = fit < most ? fit : most;
    }
    most = most < PANEL ? PANEL : most / PANEL * PANEL;
    const long chunks = (job.M + most - 1) / most, rows = (job.M + chunks - 1) / chunks;
    return (rows + PANEL - 1) / PANEL * PANEL;
}

struct LossMemory {
    long rows, words;               // of a chunk; words whose logits are held
    float* x;                       // [panel][d][PANEL]: x^T
    float* x_rows;                  // [panel of d][row][PANEL]: x times the rows' weights
    float* weights;                 // by row: its weight, 0 behind the last
    float* logits[LINEAR_THREADS];  // [panel][word][PANEL]; all threads' are one if the gradient is wanted
    float *maximum, *sum, *total;   // [block][row]: of logits, of exp(logit - maximum), of logits
    float* target;                  // by row: the logit of its target
    float* d_x;                     // [panel][d][PANEL]: dL/dx^T
    float* own[LINEAR_THREADS];     // a thread's biases of a block, or its tile at the edge
    float* strips;                  // of some words' W^T: [strip][word][height]

    LossMemory(const LossJob& job, Bump& bump) {
        rows = chunk_of(job);
        const bool gradient = wants_gradient(job);
        words = gradient ? job.V : VOCABULARY;
        x = bump.floats(rows * job.D);
        x_rows = job.d_weight ? bump.floats(rows * ((job.D + PANEL - 1) / PANEL * PANEL)) : nullptr;
        weights = bump.floats(rows);
        for (int t = 0; t < job.threads; ++t) logits[t] = gradient && t ? logits[0] : bump.floats(rows * words);
        maximum = bump.floats(rows * blocks_of(job));
        sum = bump.floats(rows * blocks_of(job));
        total = bump.floats(rows * blocks_of(job));
        target = bump.floats(rows);
        d_x = job.d_x ? bump.floats(rows * job.D) : nullptr;
        static_assert(VOCABULARY * VL >= MAX_ROWS * PANEL);
        for (int t = 0; t < job.threads; ++t) own[t] = bump.floats(VOCABULARY * VL);
        strips = job.d_x ? bump.floats(RowTiles(job.D).count * STRIP) : nullptr;
    }
};

// One thread's part of one call.
class Loss {
public:
    Loss(const LossJob& job, const LossMemory& memory, int thread, int threads, Barrier& barrier)
        : job_(job), m_(memory), thread_(thread), threads_(threads), barrier_(barrier), blocks_(blocks_of(job)),
          logits_(memory.logits[thread]), own_(memory.own[thread]) {}

    void run() {
        for (first_ = 0; first_ < job_.M; first_ += m_.rows) {
            rows_ = job_.M - first_ < m_.rows ? job_.M - first_ : m_.rows;
            panels_ = (rows_ + PANEL - 1) / PANEL;
            pack_rows();
            barrier_.wait();
            for (long b = begin(blocks_); b < end(blocks_); ++b) make_logits(b);
            barrier_.wait();
            for (long v = thread_; v < panels_ * 2; v += threads_) finish_rows(v * VL);
            if (!wants_gradient(job_)) continue;
            barrier_.wait();
            for (long b = begin(blocks_); b < end(blocks_); ++b) make_delta(b);
            barrier_.wait();
            if (job_.d_x) make_input_gradient();
        }
    }

private:
    const LossJob& job_;
    const LossMemory& m_;
    const int thread_, threads_;
    Barrier& barrier_;
    const long blocks_;
    float *logits_, *own_;
    long first_, rows_, panels_;

    long begin(long count) const { return count * thread_ / threads_; }
    long end(long count) const { return count * (thread_ + 1) / threads_; }
    long word(long block) const { return block * VOCABULARY; }
    long words(long block) const { return job_.V - word(block) < VOCABULARY ? job_.V - word(block) : VOCABULARY; }
    // The logits of panel p and a block; whole panels lie `skip` apart.
    long skip() const { return m_.words * PANEL; }
    float* logits(long p, long block) const {
        return logits_ + p * skip() + (m_.words == job_.V ? word(block) * PANEL : 0);
    }

    void pack_rows() {
        for (long p = thread_; p < panels_; p += threads_) pack_columns(p);
        for (long row = thread_; row < panels_ * PANEL; row += threads_) m_.weights[row] = weight(row);
        const long panels = job_.d_weight ? (job_.D + PANEL - 1) / PANEL : 0;
        for (long c = thread_; c < panels; c += threads_) pack_weighed(c);
    }

    float weight(long row) const { return row >= rows_ ? 0.0f : job_.row_weights ? job_.row_weights[first_ + row] : 1.0f; }

    // Panel p of x^T, for the logits.
    void pack_columns(long p) {
        float* const to = m_.x + p * job_.D * PANEL;
        const long real = rows_ - p * PANEL < PANEL ? rows_ - p * PANEL : PANEL;
        transpose(job_.x + (first_ + p * PANEL) * job_.D, job_.D, real, job_.D, to, PANEL);
        for (long d = 0; d < job_.D; ++d)
            for (long i = real; i < PANEL; ++i) to[d * PANEL + i] = 0.0f;
    }

    // Panel c of the features of all rows, times the rows' weights, for dL/dW.
    void pack_weighed(long c) {
        float* to = m_.x_rows + c * panels_ * PANEL * PANEL;
        const long width = job_.D - c * PANEL < PANEL ? job_.D - c * PANEL : PANEL;
        for (long row = 0; row < panels_ * PANEL; ++row, to += PANEL) {
            const float* from = job_.x + (first_ + row) * job_.D + c * PANEL;
            const long real = row < rows_ ? width : 0;
            const float w = weight(row);
            for (long d = 0; d < real; ++d) to[d] = from[d] * w;
            for (long d = real; d < PANEL; ++d) to[d] = 0.0f;
        }
    }

    // Logits of a block for the chunk, then their maximum, the sum of exponentials, and the exponentials themselves.
    void make_logits(long block) {
        const long D = job_.D, count = words(block), bias_row = job_.bias ? VL : 0;
        store(own_, V{});
        for (long v = 0; v < count && job_.bias; ++v) store(own_ + v * VL, splat(job_.bias[word(block) + v]));
        const RowTiles tiles(count);
        Left left{job_.weight + word(block) * D, D, static_cast<int>(D), 1, 0};
        for (long k = 0, v = 0; k < tiles.count; ++k) {
            const int mr = static_cast<int>(tiles.height + (k < tiles.taller));
            const float* init = own_ + v * bias_row;
            for (long p = 0; p < panels_;) {
                const int np = panels_at_once(mr, panels_ - p);
                Column columns[12];
                for (int j = 0; j < 2 * np; ++j)
                    columns[j] = {init, bias_row, logits(p + j / 2, block) + v * PANEL + j % 2 * VL, PANEL};
                find_tile<false>(mr, np)(left, m_.x + p * D * PANEL, D * PANEL, columns);
                p += np;
            }
            left.a += mr * D;
            v += mr;
        }
        take_targets(block);
        for (long v = 0; v < panels_ * 2; ++v) sum_block(block, v);
    }

    void take_targets(long block) {
        for (long row = 0; row < rows_; ++row) {
            const long v = job_.targets[first_ + row] - word(block);
            if (v >= 0 && v < words(block)) m_.target[row] = logits(row / PANEL, block)[v * PANEL + row % PANEL];
        }
    }

    // One vector of rows of a block.
    void sum_block(long block, long vector) {
        float* const z = logits(vector / 2, block) + vector % 2 * VL;
        const long count = words(block), at = block * m_.rows + vector * VL;
        V most = splat(LOWEST);  // not -infinity: exp(-infinity - most) must be 0
        for (long v = 0; v < count; ++v) most = maximum(most, load(z + v * PANEL));
        V sum{}, total{};
        for (long v = 0; v < count; ++v) {
            const V logit = load(z + v * PANEL), e = exp(logit - most);
            sum += e;
            total += logit;
            store(z + v * PANEL, e);
        }
        store(m_.maximum + at, most);
        store(m_.sum + at, sum);
        store(m_.total + at, total);
    }

    // Nats of one vector of rows; then `maximum` is what a block's exponentials are to be multiplied with.
    void finish_rows(long row) {
        V most = splat(LOWEST), sum{}, total{};
        for (long b = 0; b < blocks_; ++b) most = maximum(most, load(m_.maximum + b * m_.rows + row));
        for (long b = 0; b < blocks_; ++b) {
            const long at = b * m_.rows + row;
            sum += load(m_.sum + at) * exp(load(m_.maximum + at) - most);
            total += load(m_.total + at);
        }
        const float even = job_.smoothing;
        V nats = most - load(m_.target + row) + log(sum);
        if (even > 0.0f) nats = (1.0f - even) * nats + even * (most - total / static_cast<float>(job_.V) + log(sum));
        float made[VL];
        store(made, nats);
        for (long i = 0; i < VL && row + i < rows_; ++i) job_.nats[first_ + row + i] = made[i];
        for (long b = 0; b < blocks_; ++b) {
            float* at = m_.maximum + b * m_.rows + row;
            store(at, exp(load(at) - most) / sum);
        }
    }

    // Exponentials of a block become dL/dlogits; then the gradients of its words' parameters.
    void make_delta(long block) {
        const float each = job_.smoothing / static_cast<float>(job_.V);
        const long count = words(block);
        for (long vector = 0; vector < panels_ * 2; ++vector) {
            float* const z = logits(vector / 2, block) + vector % 2 * VL;
            const V scale = load(m_.maximum + block * m_.rows + vector * VL);
            const long left = rows_ - vector * VL < 0 ? 0 : rows_ - vector * VL;
            for (long v = 0; v < count; ++v) store(z + v * PANEL, tail(load(z + v * PANEL) * scale - each, left));
        }
        for (long row = 0; row < rows_; ++row) {
            const long v = job_.targets[first_ + row] - word(block);
            if (v >= 0 && v < count) logits(row / PANEL, block)[v * PANEL + row % PANEL] -= 1.0f - job_.smoothing;
        }
        if (job_.d_bias) add_bias(block);
        if (job_.d_weight) add_weight(block);
    }

    void add_bias(long block) {
        for (long v = 0; v < words(block); ++v) {
            V sum{};
            for (long vector = 0; vector < panels_ * 2; ++vector)
                sum += load(logits(vector / 2, block) + v * PANEL + vector % 2 * VL) * load(m_.weights + vector * VL);
            float& to = job_.d_bias[word(block) + v];
            to = (first_ ? to : 0.0f) + lane_sum(sum);
        }
    }

    void add_weight(long block) {
        const long D = job_.D, whole = D / PANEL;
        const RowTiles tiles(words(block));
        Left left{logits(0, block), PANEL, PANEL, static_cast<int>(panels_), skip()};
        float* to = job_.d_weight + word(block) * D;
        for (long k = 0; k < tiles.count; ++k) {
            const int mr = static_cast<int>(tiles.height + (k < tiles.taller));
            for (long c = 0; c < whole;) {
                const int np = panels_at_once(mr, whole - c);
                prefetch(to + (c + np) * PANEL, mr, D);
                weight_tile(left, mr, c, np, to + c * PANEL, D);
                c += np;
            }
            if (whole * PANEL < D) {
                // The last panel would write into the next row.
                const long width = D - whole * PANEL;
                float* const edge = to + whole * PANEL;
                for (long i = 0; first_ && i < mr; ++i) std::memcpy(own_ + i * PANEL, edge + i * D, width * 4);
                weight_tile(left, mr, whole, 1, own_, PANEL);
                for (long i = 0; i < mr; ++i) std::memcpy(edge + i * D, own_ + i * PANEL, width * 4);
            }
            left.a += mr * PANEL;
            to += mr * D;
        }
    }

    // The place of the next tile comes from memory, row by row too far apart for the processor to foresee.
    static void prefetch(const float* at, int mr, long row) {
        for (int i = 0; i < mr; ++i)
            for (int j = 0; j < PANEL; j += 16) __builtin_prefetch(at + i * row + j, 1);
    }

    void weight_tile(const Left& left, int mr, long c, int np, float* to, long row) {
        static const float zeros[VL] = {};
        const long depth = panels_ * PANEL;
        Column columns[12];
        for (int j = 0; j < 2 * np; ++j) {
            float* at = to + j * VL;
            columns[j] = first_ ? Column{at, row, at, row} : Column{zeros, 0, at, row};
        }
        find_tile<false>(mr, np)(left, m_.x_rows + c * depth * PANEL, depth * PANEL, columns);
    }

    // The words in small blocks: their weights are packed row by row, into strips, and used while they are in cache.
    void make_input_gradient() {
        const RowTiles tiles(job_.D);
        const long first = begin(tiles.count), last = end(tiles.count);
        for (long v = 0; v < job_.V; v += WORDS_PACKED) {
            const long count = job_.V - v < WORDS_PACKED ? job_.V - v : WORDS_PACKED;
            pack_strips(tiles, first, last, v, count);
            for (long k = first; k < last; ++k) add_input_strip(tiles, k, v, count, strip(k));
        }
        write_input_gradient(start(tiles, first), start(tiles, last));
    }

    static long start(const RowTiles& tiles, long k) { return k * tiles.height + (k < tiles.taller ? k : tiles.taller); }
    float* strip(long k) const { return m_.strips + k * STRIP; }

    // Whole vectors are copied where the matrix goes on that far; what is too much is overwritten by the next word.
    void pack_strips(const RowTiles& tiles, long first, long last, long v, long count) {
        const long D = job_.D;
        for (long word = 0; word < count; ++word) {
            const float* from = job_.weight + (v + word) * D;
            const bool inside = v + word + 1 < job_.V && D >= VL;
            for (long k = first, d = start(tiles, k); k < last; ++k) {
                const long mr = tiles.height + (k < tiles.taller);
                float* to = strip(k) + word * mr;
                if (inside)
                    for (long i = 0; i < mr; i += VL) store(to + i, load(from + d + i));
                else
                    std::memcpy(to, from + d, mr * 4);
                d += mr;
            }
        }
    }

    void add_input_strip(const RowTiles& tiles, long k, long v, long count, const float* packed) {
        static const float zeros[VL] = {};
        const long D = job_.D, d = start(tiles, k);
        const int mr = static_cast<int>(tiles.height + (k < tiles.taller));
        const Left left{packed, 0, static_cast<int>(count), 1, 0};
        for (long p = 0; p < panels_;) {
            const int np = panels_at_once(mr, panels_ - p);
            Column columns[12];
            for (int j = 0; j < 2 * np; ++j) {
                float* at = m_.d_x + ((p + j / 2) * D + d) * PANEL + j % 2 * VL;
                columns[j] = v ? Column{at, PANEL, at, PANEL} : Column{zeros, 0, at, PANEL};
            }
            find_tile<true>(mr, np)(left, logits_ + p * skip() + v * PANEL, skip(), columns);
            p += np;
        }
    }

    void write_input_gradient(long d0, long d1) {
        for (long p = 0; p < panels_; ++p) {
            const long real = rows_ - p * PANEL < PANEL ? rows_ - p * PANEL : PANEL;
            const float* const from = m_.d_x + (p * job_.D + d0) * PANEL;
            transpose(from, PANEL, d1 - d0, real, job_.d_x + (first_ + p * PANEL) * job_.D + d0, job_.D);
        }
    }
};

inline long loss_bytes(const LossJob& job) {
    Bump bump(nullptr);
    LossMemory memory(job, bump);
    return bump.used();
}

inline void loss(const LossJob& job) {
    Bump bump(job.scratch);
    const LossMemory memory(job, bump);
    parallel(job.threads, [&](int thread, int threads, Barrier& barrier) {
        Loss(job, memory, thread, threads, barrier).run();
    });
}

}  // namespace recurra::RECURRA_ISA
