// Word vectors: one window after another, whose words share their negative samples (or the path of a tree), so that a
// window is three small matrix products (Ji et al. 2016, arXiv:1604.04661).
//
// The bits do not depend on the number of threads. A vector is cut into SLICES pieces, and a thread owns pieces, not words:
// it multiplies and adds there alone. Of a group of windows, every thread makes the products of its pieces; the pieces are
// added in their order; then every thread moves its pieces of the rows, one window after another. So this is gradient
// descent in a fixed order, whose products within a group are those of the group's beginning.
//
// A word may be a bag of rows, its own and those of its n-grams: then its mean stands in the place of its row, and each row
// of the bag is moved by the whole gradient of the mean, as fastText does, so that the mean moves as far as a row would.
//
// Threads meet once a group, behind the products: each then makes all errors for itself, and moves and multiplies what is
// its own. The windows of a block are filled beforehand, each by one thread.
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
// rows: of the left side of its products, which is `around`, or 1 for CBOW. right: a bit for each sample that is right
struct Window {
    int around, rows, samples;
    std::uint64_t right;
    std::int32_t in[MOST_AROUND], out[MOST_SAMPLES];
};

constexpr std::size_t BLOCK = 256;  // windows that are filled at once: 200 kB

class Words {
public:
    explicit Words(WordsJob& job) : job_(job), stride_(words_stride(job.D)) {
        choose();
        const long rows = job.mean ? 1 : 2L * job.window;
        most_ = (rows * (job.negatives + 1) + VL - 1) / VL * VL;
        windows_.resize(std::min(BLOCK, kept_.size()));
        team_ = std::min(job.threads, SLICES);
        products_.resize(static_cast<std::size_t>(2 * SLICES * job.group * most_ * VL));
        errors_.resize(static_cast<std::size_t>(team_ * job.group * most_));
        lefts_ = rows;
        if (job.mean || job.bags) means_.resize(static_cast<std::size_t>(job.group * rows * stride_));
        if (job.bags) gradients_.resize(static_cast<std::size_t>(rows * stride_));
    }

    void run() {
        job_.nats = 0, job_.pairs = 0;
        parallel(team_, [&](int thread, int threads, Barrier& barrier) {
            float* errors = errors_.data() + thread * job_.group * most_;
            int turn = 0;
            for (std::size_t block = 0; block < kept_.size(); block += BLOCK) {
                const std::size_t count = std::min(BLOCK, kept_.size() - block);
                for (std::size_t k = static_cast<std::size_t>(thread); k < count; k += static_cast<std::size_t>(threads))
                    fill(windows_[k], block + k);
                barrier.wait();
                for (std::size_t begin = 0; begin < count; turn ^= 1) {
                    const Group group = next(begin, count);
                    if (threads == 1) multiply(group, turn, 0, SLICES);
                    else for (int s = thread; s < SLICES; s += threads) multiply(group, turn, s, s + 1);
                    barrier.wait();
                    tell(group, turn, threads == 1 ? 1 : SLICES, errors, thread == 0);
                    for (int s = thread; s < SLICES && job_.rate != 0.0f; s += threads) move(group, errors, s);
                }
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
    long most_, lefts_;  // pairs of a window, rows on the left of its products
    int team_;
    std::vector<Kept> kept_;
    std::vector<Window> windows_;
    std::vector<float> products_, errors_, means_, gradients_;

    // Windows whose products are made at once.
    struct Group {
        int number = 0;
        const Window* at[WORDS_GROUP];
    };

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

    // The next windows with words around, from `begin` on, which moves.
    Group next(std::size_t& begin, std::size_t count) const {
        Group group;
        while (group.number < job_.group && begin < count)
            if (const Window& w = windows_[begin++]; w.around) fetch(*(group.at[group.number++] = &w));
        return group;
    }

    void fill(Window& w, std::size_t at) const {
        Draws draws(job_.seed, kept_[at].position);
        const auto drawn = static_cast<long>(draws.next() % static_cast<std::uint64_t>(job_.window));
        const long reach = job_.fixed ? job_.window : 1 + drawn;
        w.around = 0;
        for (long k = static_cast<long>(at) - reach; k <= static_cast<long>(at) + reach; ++k)
            if (k >= 0 && k < static_cast<long>(kept_.size()) && k != static_cast<long>(at) &&
                kept_[static_cast<std::size_t>(k)].sentence == kept_[at].sentence)
                w.in[w.around++] = kept_[static_cast<std::size_t>(k)].word;
        w.rows = job_.mean ? 1 : w.around;
        if (!w.around) return;
        if (job_.begins) return follow(w, kept_[at].word);
        w.samples = 1, w.right = 1;
        w.out[0] = kept_[at].word;
        // Different words: each row is moved once. In a vocabulary of few words there are fewer samples.
        for (int n = 0, tries = 0; n < job_.negatives && tries < 10 * job_.negatives; ++tries) {
            const std::int32_t word = sample(draws.next());
            if (std::find(w.out, w.out + w.samples, word) != w.out + w.samples) continue;
            w.out[w.samples++] = word;
            ++n;
        }
    }

    // The path from the root of the tree to a word: at each node, whether it goes on to the left.
    void follow(Window& w, std::int32_t word) const {
        w.samples = 0, w.right = 0;
        for (std::int32_t k = job_.begins[word]; k < job_.begins[word + 1]; ++k) {
            if (!(job_.paths[k] & 1)) w.right |= std::uint64_t{1} << w.samples;
            w.out[w.samples++] = job_.paths[k] >> 1;
        }
    }

    // Rows lie anywhere in tables that no cache holds.
    void fetch(const Window& w) const {
        for (int j = 0; j < w.samples; ++j)
            for (long d = 0; d < stride_; d += 16) __builtin_prefetch(out(w, j) + d, 1);
        for (int k = 0; k < w.around && !job_.bags; ++k)
            for (long d = 0; d < stride_; d += 16) __builtin_prefetch(in(w, k) + d, 1);
    }

    std::int32_t sample(std::uint64_t draw) const {
        const auto word = static_cast<std::int32_t>(((draw & 0xffffffffu) * static_cast<std::uint64_t>(job_.V)) >> 32);
        return static_cast<std::uint32_t>(draw >> 32) < job_.share[word] ? word : job_.other[word];
    }

    long first_of(int slice) const { return stride_ / VL * slice / SLICES * VL; }
    const float* in(const Window& w, int k) const { return job_.inputs + w.in[k] * stride_; }
    const float* out(const Window& w, int j) const { return job_.outputs + w.out[j] * stride_; }
    float* product(int turn, int slice, int number) {
        return products_.data() + ((static_cast<long>(turn) * SLICES + slice) * job_.group + number) * most_ * VL;
    }
    // The left side of a product: of CBOW and of bags a mean, which stands beside the tables.
    const float* left(const Window& w, int number, int k) const {
        return job_.mean || job_.bags ? means_.data() + (number * lefts_ + k) * stride_ : in(w, k);
    }

    // A vector of sums for each pair of a window: over one slice, or over all of them, added in their order.
    void multiply(const Group& group, int turn, int first, int last) {
        for (int n = 0; n < group.number; ++n) {
            const Window& w = *group.at[n];
            float* sums = product(turn, first, n);
            if (job_.mean) average(w, n, first, last);
            for (int k = 0; k < w.rows && job_.bags; ++k) average_bag(w, n, k, first, last);
            int k = 0;
            for (; k + 2 <= w.rows; k += 2) multiply_rows<2>(w, n, k, first, last, sums);
            if (k < w.rows) multiply_rows<1>(w, n, k, first, last, sums);
        }
    }

    void average(const Window& w, int number, int first, int last) {
        const float share = 1.0f / static_cast<float>(w.around);
        for (long d = first_of(first); d < first_of(last); d += VL) {
            V sum{};
            for (int k = 0; k < w.around; ++k) sum += load(in(w, k) + d);
            store(means_.data() + number * lefts_ * stride_ + d, sum * share);
        }
    }

    void average_bag(const Window& w, int number, int k, int first, int last) {
        float* mean = means_.data() + (number * lefts_ + k) * stride_;
        const std::int64_t begin = job_.bag_begins[w.in[k]], end = job_.bag_begins[w.in[k] + 1];
        const float share = 1.0f / static_cast<float>(end - begin);
        const long from = first_of(first), to = first_of(last);
        std::fill(mean + from, mean + to, 0.0f);
        for (std::int64_t b = begin; b < end; ++b) {
            const float* row = job_.inputs + job_.bags[b] * stride_;
            for (long d = from; d < to; d += VL) store(mean + d, load(mean + d) + load(row + d));
        }
        for (long d = from; d < to; d += VL) store(mean + d, load(mean + d) * share);
    }

    template <int HIGH>
    void multiply_rows(const Window& w, int number, int k, int first, int last, float* sums) const {
        int j = 0;
        for (; j + 6 <= w.samples; j += 6) dots<HIGH, 6>(w, number, k, j, first, last, sums);
        for (; j < w.samples; ++j) dots<HIGH, 1>(w, number, k, j, first, last, sums);
    }

    template <int HIGH, int WIDE>
    void dots(const Window& w, int number, int k, int j, int first, int last, float* sums) const {
        const float *x[HIGH], *y[WIDE];
        V total[HIGH][WIDE] = {};
        for (int h = 0; h < HIGH; ++h) x[h] = left(w, number, k + h);
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

    // From products to errors times the rate, and, in one thread, the loss.
    void tell(const Group& group, int turn, int parts, float* all_errors, bool counts) {
        for (int n = 0; n < group.number; ++n) {
            const Window& w = *group.at[n];
            const long pairs = static_cast<long>(w.rows) * w.samples;
            float* errors = all_errors + n * most_;
            float gold[MOST_SAMPLES * VL];  // the pattern of the right ones, as long as it takes to come round
            for (int i = 0; i < w.samples * VL; ++i) gold[i] = static_cast<float>(w.right >> (i % w.samples) & 1);
            V nats{};
            for (long p = 0, at = 0; p < pairs; p += VL, at = at + VL == w.samples * VL ? 0 : at + VL) {
                float rows[VL * VL], columns[VL * VL];
                for (int i = 0; i < VL; ++i) {
                    V sum = load(product(turn, 0, n) + (p + i) * VL);
                    for (int s = 1; s < parts; ++s) sum += load(product(turn, s, n) + (p + i) * VL);
                    store(rows + i * VL, sum);
                }
                transpose_square(rows, VL, columns, VL);
                for (int half = VL / 2; half > 0; half /= 2)
                    for (int i = 0; i < half; ++i)
                        store(columns + i * VL, load(columns + i * VL) + load(columns + (i + half) * VL));
                const V x = load(columns), right = load(gold + at);
                if (counts) {
                    const V loss = log_sigmoid(select(right > 0.0f, x, -x));
                    nats -= pairs - p < VL ? first_lanes(loss, pairs - p) : loss;
                }
                store(errors + p, (right - sigmoid(x)) * job_.rate);
            }
            if (counts) job_.nats += lane_sum(nats), job_.pairs += w.rows;
        }
    }

    // Both sides of each window by the errors: what a row is moved by comes from the other side as it was before.
    void move(const Group& group, const float* all_errors, int slice) {
        const long from = first_of(slice), to = first_of(slice + 1);
        for (int n = 0; n < group.number; ++n) {
            const Window& w = *group.at[n];
            const float* errors = all_errors + n * most_;
            if (job_.mean) {
                for (long d = from; d < to; d += VL) move_mean(w, n, errors, d);
                continue;
            }
            if (job_.bags) {
                move_bags(w, n, errors, from, to);
                continue;
            }
            for (long d = from; d < to; d += VL) {
                V x[MOST_AROUND];  // a word may be there twice
                for (int k = 0; k < w.around; ++k) x[k] = load(in(w, k) + d);
                for (int j = 0; j < w.samples; j += 6) {
                    switch (w.samples - j) {
                        case 1: move_block<1>(w, errors, j, d, x); break;
                        case 2: move_block<2>(w, errors, j, d, x); break;
                        case 3: move_block<3>(w, errors, j, d, x); break;
                        case 4: move_block<4>(w, errors, j, d, x); break;
                        case 5: move_block<5>(w, errors, j, d, x); break;
                        default: move_block<6>(w, errors, j, d, x);
                    }
                }
            }
        }
    }

    // Of CBOW: each word around has its share of the mean's gradient (Irsoy, Benton and Stratos 2021, arXiv:2012.15332;
    // the authors' program leaves the division out).
    void move_mean(const Window& w, int number, const float* errors, long d) {
        const V x = load(left(w, number, 0) + d);
        V sum{};
        for (int j = 0; j < w.samples; ++j) {
            float* row = job_.outputs + w.out[j] * stride_ + d;
            const V old = load(row);
            sum += errors[j] * old;
            store(row, old + errors[j] * x);
        }
        sum *= 1.0f / static_cast<float>(w.around);
        for (int k = 0; k < w.around; ++k) {
            float* row = job_.inputs + w.in[k] * stride_ + d;
            store(row, load(row) + sum);
        }
    }

    void move_bags(const Window& w, int number, const float* errors, long from, long to) {
        for (int k = 0; k < w.around; ++k) std::fill_n(gradients_.data() + k * stride_ + from, to - from, 0.0f);
        for (int j = 0; j < w.samples; ++j) {
            float* row = job_.outputs + w.out[j] * stride_;
            for (long d = from; d < to; d += VL) {
                const V old = load(row + d);
                V moved = old;
                for (int k = 0; k < w.around; ++k) {
                    const float e = errors[k * w.samples + j];
                    float* gradient = gradients_.data() + k * stride_ + d;
                    store(gradient, load(gradient) + e * old);
                    moved += e * load(left(w, number, k) + d);
                }
                store(row + d, moved);
            }
        }
        for (int k = 0; k < w.around; ++k) {
            const float* gradient = gradients_.data() + k * stride_;
            for (std::int64_t b = job_.bag_begins[w.in[k]]; b < job_.bag_begins[w.in[k] + 1]; ++b) {
                float* row = job_.inputs + job_.bags[b] * stride_;
                for (long d = from; d < to; d += VL) store(row + d, load(row + d) + load(gradient + d));
            }
        }
    }

    template <int WIDE>
    void move_block(const Window& w, const float* errors, int j, long d, const V* x) {
        V old[WIDE], moved[WIDE];
#pragma GCC unroll 6
        for (int i = 0; i < WIDE; ++i) moved[i] = old[i] = load(out(w, j + i) + d);
        for (int k = 0; k < w.around; ++k) {
            float* row = job_.inputs + w.in[k] * stride_ + d;
            const float* e = errors + k * w.samples + j;
            V sum = load(row);
#pragma GCC unroll 6
            for (int i = 0; i < WIDE; ++i) {
                sum += e[i] * old[i];
                moved[i] += e[i] * x[k];
            }
            store(row, sum);
        }
#pragma GCC unroll 6
        for (int i = 0; i < WIDE; ++i) store(job_.outputs + w.out[j + i] * stride_ + d, moved[i]);
    }
};

inline void train_words(WordsJob& job) { Words(job).run(); }

}  // namespace recurra::RECURRA_ISA
