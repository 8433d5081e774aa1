// GloVe (Pennington, Socher and Manning 2014): stochastic gradient descent by AdaGrad, pair after pair.
//
// The bits do not depend on the number of threads: each part of a stratum has rows and columns of its own, and is gone
// through in its order by one thread.
#pragma once

#include "../simd/vector.h"
#include "../threads.h"
#include "glove_job.h"

namespace recurra::RECURRA_ISA {

class Glove {
public:
    explicit Glove(GloveJob& job) : job_(job), last_(job.D / VL * VL), stride_(last_ + VL) {
        M lane;
        for (int i = 0; i < VL; ++i) lane[i] = i;
        bias_ = lane == static_cast<std::int32_t>(job.D - last_);
    }

    void run() {
        double losses[GLOVE_PARTS] = {};
        parallel(std::min(job_.threads, GLOVE_PARTS), [&](int thread, int threads, Barrier&) {
            for (int part = thread; part < GLOVE_PARTS; part += threads) losses[part] = go(part);
        });
        job_.loss = 0;
        for (const double loss : losses) job_.loss += loss;
    }

private:
    static constexpr std::int64_t AHEAD = 4;  // pairs whose rows are fetched beforehand

    GloveJob& job_;
    const long last_, stride_;  // where the vector with the bias begins, and from one row to the next
    M bias_;

    double go(int part) {
        double loss = 0;
        const std::int64_t end = job_.begins[part + 1];
        for (std::int64_t k = job_.begins[part]; k < end; ++k) {
            if (k + AHEAD < end) fetch(job_.pairs[k + AHEAD]);
            const GlovePair& pair = job_.pairs[k];
            const float apart = product(pair) - pair.log;
            loss += 0.5 * static_cast<double>(pair.weight * apart) * static_cast<double>(apart);
            if (job_.moves) move(pair, pair.weight * apart * job_.rate);
        }
        return loss;
    }

    void fetch(const GlovePair& pair) const {
        const long row = pair.row * stride_, column = pair.column * stride_;
        for (long d = 0; d < stride_; d += 16) {
            __builtin_prefetch(job_.words + row + d, 1);
            __builtin_prefetch(job_.others + column + d, 1);
            if (!job_.moves) continue;
            __builtin_prefetch(job_.word_squares + row + d, 1);
            __builtin_prefetch(job_.other_squares + column + d, 1);
        }
    }

    // w c + b + b': beside the numbers of both vectors stand their biases, which are added.
    float product(const GlovePair& pair) const {
        const float *w = job_.words + pair.row * stride_, *c = job_.others + pair.column * stride_;
        V sums[4] = {};
        long d = 0;
        for (; d + 4 * VL <= last_; d += 4 * VL)
            for (int i = 0; i < 4; ++i) sums[i] += load(w + d + i * VL) * load(c + d + i * VL);
        for (; d < last_; d += VL) sums[0] += load(w + d) * load(c + d);
        const V x = load(w + last_), y = load(c + last_);
        sums[1] += select(bias_, x + y, x * y);
        return lane_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
    }

    // Both rows, each by the other as it was before.
    void move(const GlovePair& pair, float error) {
        const long row = pair.row * stride_, column = pair.column * stride_;
        float *w = job_.words + row, *c = job_.others + column;
        float *w2 = job_.word_squares + row, *c2 = job_.other_squares + column;
        for (long d = 0; d < last_; d += VL) {
            const V x = load(w + d), y = load(c + d);
            step(w + d, w2 + d, x, error * y);
            step(c + d, c2 + d, y, error * x);
        }
        const V x = load(w + last_), y = load(c + last_);
        step(w + last_, w2 + last_, x, error * select(bias_, splat(1.0f), y));
        step(c + last_, c2 + last_, y, error * select(bias_, splat(1.0f), x));
    }

    // AdaGrad (Duchi, Hazan and Singer 2011) as the authors' program has it: 1, and the squares of the steps before.
    static void step(float* at, float* squares, V old, V by) {
        const V square = load(squares);
        store(at, old - quotient(by, sqrt(1.0f + square)));
        store(squares, square + by * by);
    }
};

inline void train_glove(GloveJob& job) { Glove(job).run(); }

}  // namespace recurra::RECURRA_ISA
