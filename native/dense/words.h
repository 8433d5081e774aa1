// Word vectors with negative samples: one window after another, whose words share their samples, so that a window is three
// small matrix products (Ji et al. 2016, arXiv:1604.04661).
//
// The bits do not depend on the number of threads. A vector is cut into SLICES pieces, and a thread owns pieces, not words:
// it multiplies and adds there alone. Of a group of windows, every thread makes the products of its pieces; the pieces are
// added in their order; then every thread moves its pieces of the rows, one window after another. So this is gradient
// descent in a fixed order, whose products within a group are those of the group's beginning.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "../simd/math.h"
#include "../simd/transpose.h"
#include "../threads.h"
#include "words_job.h"

namespace recurra::RECURRA_ISA {

constexpr int SLICES = 4;
constexpr int MOST_SAMPLES = 64;  // of a window, with the word itself
constexpr int MOST_AROUND = 128;  // words of a window

inline long words_stride(long D) { return (D + VL - 1) / VL * VL; }

// Numbers that look random, a function of the position alone (splitmix64: Steele, Lea and Flood 2014).
inline std::uint64_t mixed(std::uint64_t z) {
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct Draws {
    std::uint64_t state;
    Draws(std::uint64_t seed, std::uint64_t position) : state(mixed(seed ^ mixed(position))) {}
    std::uint64_t next() { return mixed(state++); }
};

// A window: words around (rows of inputs), and those to be told apart (rows of outputs), the right one first.
struct Window {
    int around, samples;
    std::int32_t in[MOST_AROUND], out[MOST_SAMPLES];
};

class Words {
public:
    explicit Words(WordsJob& job) : job_(job), stride_(words_stride(job.D)) {
        choose();
        const long most = (2L * job.window * (job.negatives + 1) + VL - 1) / VL * VL;
        windows_.resize(static_cast<std::size_t>(job.group));
        products_.resize(static_cast<std::size_t>(SLICES * job.group * most * VL));
        errors_.resize(static_cast<std::size_t>(job.group * most));
        most_ = most;
    }

    void run() {
        job_.nats = 0, job_.pairs = 0;
        parallel(std::min(job_.threads, SLICES), [&](int thread, int threads, Barrier& barrier) {
            for (std::size_t begin = 0; begin < kept_.size();) {
                if (thread == 0) group(begin);
                barrier.wait();
                if (threads == 1) multiply(0, SLICES);
                else for (int s = thread; s < SLICES; s += threads) multiply(s, s + 1);
                barrier.wait();
                if (thread == 0) tell(threads == 1 ? 1 : SLICES);
                barrier.wait();
                for (int s = thread; s < SLICES && job_.rate != 0.0f; s += threads) move(s);
                begin = next_;
                barrier.wait();
            }
        });
    }

private:
    struct Kept {
        std::int32_t word;
        long sentence;
        std::uint64_t position;
    };

    WordsJob& job_;
    const long stride_;
    long most_;
    std::vector<Kept> kept_;
    std::vector<Window> windows_;
    std::vector<float> products_, errors_;
    int number_ = 0;
    std::size_t next_ = 0;

    // The words that stay in the text: frequent ones go, by chance.
    void choose() {
        kept_.reserve(static_cast<std::size_t>(job_.count));
        long sentence = 0;
        for (long k = 0; k < job_.count; ++k) {
            const std::int32_t word = job_.tokens[k];
            const std::uint64_t position = job_.position + static_cast<std::uint64_t>(k);
            if (word < 0)
                ++sentence;
            else if (!job_.keep || static_cast<std::uint32_t>(Draws(~job_.seed, position).next() >> 32) <= job_.keep[word])
                kept_.push_back({word, sentence, position});
        }
    }

    // The next windows, from word `begin` on.
    void group(std::size_t begin) {
        number_ = 0, next_ = begin;
        while (number_ < job_.group && next_ < kept_.size())
            if (fill(windows_[static_cast<std::size_t>(number_)], next_++)) fetch(windows_[static_cast<std::size_t>(number_++)]);
    }

    bool fill(Window& w, std::size_t at) const {
        Draws draws(job_.seed, kept_[at].position);
        const long reach = 1 + static_cast<long>(draws.next() % static_cast<std::uint64_t>(job_.window));
        w.around = 0;
        for (long k = static_cast<long>(at) - reach; k <= static_cast<long>(at) + reach; ++k)
            if (k >= 0 && k < static_cast<long>(kept_.size()) && k != static_cast<long>(at) &&
                kept_[static_cast<std::size_t>(k)].sentence == kept_[at].sentence)
                w.in[w.around++] = kept_[static_cast<std::size_t>(k)].word;
        if (!w.around) return false;
        w.samples = 1;
        w.out[0] = kept_[at].word;
        // Different words: each row is moved once. In a vocabulary of few words there are fewer samples.
        for (int n = 0, tries = 0; n < job_.negatives && tries < 10 * job_.negatives; ++tries) {
            const std::int32_t word = sample(draws.next());
            if (std::find(w.out, w.out + w.samples, word) != w.out + w.samples) continue;
            w.out[w.samples++] = word;
            ++n;
        }
        return true;
    }

    // Rows lie anywhere in tables that no cache holds.
    void fetch(const Window& w) const {
        for (int j = 0; j < w.samples; ++j)
            for (long d = 0; d < stride_; d += 16) __builtin_prefetch(out(w, j) + d, 1);
        for (int k = 0; k < w.around; ++k)
            for (long d = 0; d < stride_; d += 16) __builtin_prefetch(in(w, k) + d, 1);
    }

    std::int32_t sample(std::uint64_t draw) const {
        const auto word = static_cast<std::int32_t>(((draw & 0xffffffffu) * static_cast<std::uint64_t>(job_.V)) >> 32);
        return static_cast<std::uint32_t>(draw >> 32) < job_.share[word] ? word : job_.other[word];
    }

    long first_of(int slice) const { return stride_ / VL * slice / SLICES * VL; }
    const float* in(const Window& w, int k) const { return job_.inputs + w.in[k] * stride_; }
    const float* out(const Window& w, int j) const { return job_.outputs + w.out[j] * stride_; }
    float* product(int slice, int number) {
        return products_.data() + (static_cast<long>(slice) * job_.group + number) * most_ * VL;
    }

    // A vector of sums for each pair of a window: over one slice, or over all of them, added in their order.
    void multiply(int first, int last) {
        for (int n = 0; n < number_; ++n) {
            const Window& w = windows_[static_cast<std::size_t>(n)];
            float* sums = product(first, n);
            int k = 0;
            for (; k + 2 <= w.around; k += 2) multiply_rows<2>(w, k, first, last, sums);
            if (k < w.around) multiply_rows<1>(w, k, first, last, sums);
        }
    }

    template <int HIGH>
    void multiply_rows(const Window& w, int k, int first, int last, float* sums) const {
        int j = 0;
        for (; j + 6 <= w.samples; j += 6) dots<HIGH, 6>(w, k, j, first, last, sums);
        for (; j < w.samples; ++j) dots<HIGH, 1>(w, k, j, first, last, sums);
    }

    template <int HIGH, int WIDE>
    void dots(const Window& w, int k, int j, int first, int last, float* sums) const {
        const float *x[HIGH], *y[WIDE];
        V total[HIGH][WIDE] = {};
        for (int h = 0; h < HIGH; ++h) x[h] = in(w, k + h);
        for (int i = 0; i < WIDE; ++i) y[i] = out(w, j + i);
        for (int slice = first; slice < last; ++slice) {
            V sum[HIGH][WIDE] = {};
            for (long d = first_of(slice); d < first_of(slice + 1); d += VL) {
                V a[HIGH];
                for (int h = 0; h < HIGH; ++h) a[h] = load(x[h] + d);
#pragma GCC unroll 6
                for (int i = 0; i < WIDE; ++i) {
                    const V b = load(y[i] + d);
#pragma GCC unroll 2
                    for (int h = 0; h < HIGH; ++h) sum[h][i] += a[h] * b;
                }
            }
            for (int h = 0; h < HIGH; ++h)
                for (int i = 0; i < WIDE; ++i) total[h][i] = slice == first ? sum[h][i] : total[h][i] + sum[h][i];
        }
        for (int h = 0; h < HIGH; ++h)
            for (int i = 0; i < WIDE; ++i)
                store(sums + (static_cast<long>(k + h) * w.samples + j + i) * VL, total[h][i]);
    }

    // From products to errors times the rate, and the loss.
    void tell(int parts) {
        for (int n = 0; n < number_; ++n) {
            const Window& w = windows_[static_cast<std::size_t>(n)];
            const long pairs = static_cast<long>(w.around) * w.samples;
            float* errors = errors_.data() + n * most_;
            float gold[MOST_SAMPLES * VL];  // the pattern of the right ones, as long as it takes to come round
            for (int i = 0; i < w.samples * VL; ++i) gold[i] = i % w.samples == 0;
            V nats{};
            for (long p = 0, at = 0; p < pairs; p += VL, at = at + VL == w.samples * VL ? 0 : at + VL) {
                float rows[VL * VL], columns[VL * VL];
                for (int i = 0; i < VL; ++i) {
                    V sum = load(product(0, n) + (p + i) * VL);
                    for (int s = 1; s < parts; ++s) sum += load(product(s, n) + (p + i) * VL);
                    store(rows + i * VL, sum);
                }
                transpose_square(rows, VL, columns, VL);
                for (int half = VL / 2; half > 0; half /= 2)
                    for (int i = 0; i < half; ++i)
                        store(columns + i * VL, load(columns + i * VL) + load(columns + (i + half) * VL));
                const V x = load(columns), right = load(gold + at);
                const V loss = log_sigmoid(select(right > 0.0f, x, -x));
                nats -= pairs - p < VL ? first_lanes(loss, pairs - p) : loss;
                store(errors + p, (right - sigmoid(x)) * job_.rate);
            }
            job_.nats += lane_sum(nats);
            job_.pairs += w.around;
        }
    }

    // Both sides of each window by the errors: what a row is moved by comes from the other side as it was before.
    void move(int slice) {
        const long from = first_of(slice), to = first_of(slice + 1);
        for (int n = 0; n < number_; ++n) {
            const Window& w = windows_[static_cast<std::size_t>(n)];
            const float* errors = errors_.data() + n * most_;
            for (long d = from; d < to; d += VL) {
                V x[MOST_AROUND];
                const int blocks = (w.samples + 5) / 6;
                if (blocks > 1)
                    for (int k = 0; k < w.around; ++k) x[k] = load(in(w, k) + d);
                for (int j = 0; j < w.samples; j += 6) {
                    const V* before = blocks > 1 ? x : nullptr;
                    switch (w.samples - j) {
                        case 1: move_block<1>(w, errors, j, d, before); break;
                        case 2: move_block<2>(w, errors, j, d, before); break;
                        case 3: move_block<3>(w, errors, j, d, before); break;
                        case 4: move_block<4>(w, errors, j, d, before); break;
                        case 5: move_block<5>(w, errors, j, d, before); break;
                        default: move_block<6>(w, errors, j, d, before);
                    }
                }
            }
        }
    }

    template <int WIDE>
    void move_block(const Window& w, const float* errors, int j, long d, const V* before) {
        V old[WIDE], moved[WIDE];
#pragma GCC unroll 6
        for (int i = 0; i < WIDE; ++i) moved[i] = old[i] = load(out(w, j + i) + d);
        for (int k = 0; k < w.around; ++k) {
            float* row = job_.inputs + w.in[k] * stride_ + d;
            const float* e = errors + k * w.samples + j;
            V sum = load(row);
            const V x = before ? before[k] : sum;
#pragma GCC unroll 6
            for (int i = 0; i < WIDE; ++i) {
                sum += e[i] * old[i];
                moved[i] += e[i] * x;
            }
            store(row, sum);
        }
#pragma GCC unroll 6
        for (int i = 0; i < WIDE; ++i) store(job_.outputs + w.out[j + i] * stride_ + d, moved[i]);
    }
};

inline void train_words(WordsJob& job) { Words(job).run(); }

}  // namespace recurra::RECURRA_ISA
