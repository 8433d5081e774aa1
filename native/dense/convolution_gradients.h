// Gradients of convolutions over pictures on the tiles.
//
// That of x belongs to a picture alone. Each number of the others is one chain of additions over pictures and their places in
// order; threads divide the numbers, never a chain. Some pictures at a time are placed among zeros, in which all products read.
#pragma once

#include "convolution.h"

namespace recurra::RECURRA_ISA::transformer {

// Places that a chain of the weights' gradient goes through while its sums are in registers: of small pictures several at once.
constexpr long PLACES_AT_ONCE = 256;

// What some numbers of a placed picture are multiplied with, place by place, of several pictures.
struct Places {
    long pictures, high, wide;
    long a_picture, a_row, a_place;  // floats from one to the next of the placed pictures
    long b_picture, b_row, b_place;  // and of the gradients to y
};

// Adds up MR numbers of A times a panel of B, over places in order; neither is packed. init, c: as in Column
template <int MR>
[[gnu::noinline]] void add_places(const Places& p, const float* a, const float* b, const Column& column) {
    V sum[MR][2];
#pragma GCC unroll 14
    for (int i = 0; i < MR; ++i)
        for (int j = 0; j < 2; ++j) sum[i][j] = load(column.init + i * column.init_row + j * VL);
    for (long n = 0; n < p.pictures; ++n)
        for (long y = 0; y < p.high; ++y) {
            const float* left = a + n * p.a_picture + y * p.a_row;
            const float* right = b + n * p.b_picture + y * p.b_row;
            for (long x = 0; x < p.wide; ++x, left += p.a_place, right += p.b_place) {
                const V first = load(right), second = load(right + VL);
#pragma GCC unroll 14
                for (int i = 0; i < MR; ++i) {
                    const V s = splat(left[i]);
                    sum[i][0] += s * first, sum[i][1] += s * second;
                }
            }
        }
#pragma GCC unroll 14
    for (int i = 0; i < MR; ++i)
        for (int j = 0; j < 2; ++j) store(column.c + i * column.c_row + j * VL, sum[i][j]);
}

using AddPlaces = void (*)(const Places&, const float*, const float*, const Column&);

inline AddPlaces add_places_of(int rows) {
    static constexpr AddPlaces OF[] = {
        add_places<1>,  add_places<2>,  add_places<3>,  add_places<4>,  add_places<5>,  add_places<6>,
#if defined(__AVX512F__)
        add_places<7>,  add_places<8>,  add_places<9>,  add_places<10>, add_places<11>, add_places<12>,
        add_places<13>, add_places<14>,
#endif
    };
    return OF[rows - 1];
}

// Rows, or columns, of x whose place among the zeros is `phase` more than a multiple of the stride: they are read by the same
// numbers of a kernel, `taps` of them, and so are a convolution of their own over the gradient to y.
struct Phase {
    long phase, taps, first, count;  // of x: the first row and how many, `stride` apart

    Phase(const Side& side, long stride, long phase_, long size = 1)
        : phase(phase_), taps(phase < side.size ? (side.size - phase + stride - 1) / stride : 0),
          first(((phase - side.padding) % stride + stride) % stride), count(first < size ? (size - first + stride - 1) / stride : 0) {}
};

// The pictures that are worked on at once, each with what belongs to it.
struct PictureMemory {
    const long above, beside;  // zeros above d_y and left of it
    const long high, wide;     // rows and columns with them
    const long whole;               // floats of a pixel of `read`
    const bool given;               // whether the gradient to f(n(x)) is that to x, and whole panels
    long slots, weight_size, picture_size, gradient_size, read_size, sum_size;
    float *weights, *pictures, *gradients, *read, *norms, *sums, *bias, *norm_sums;

    PictureMemory(const ConvolutionGradients& job, Bump& bump)
        : above((job.convolution.rows.size - 1) / job.convolution.stride), beside((job.convolution.columns.size - 1) / job.convolution.stride),
          high(above + met(job.convolution.rows, job.convolution.stride, job.convolution.height, job.convolution.high())),
          wide(beside + met(job.convolution.columns, job.convolution.stride, job.convolution.width, job.convolution.wide())),
          whole(padded(job.convolution.channels)),
          given(job.convolution.norm.kind == NO_NORM && !job.convolution.relu && whole == job.convolution.channels) {
        const ConvolutionJob& c = job.convolution;
        const long outputs = c.weights.outputs, places = c.high() * c.wide();
        const long each = (PLACES_AT_ONCE + places - 1) / places * c.threads;
        slots = each < c.pictures ? each : c.pictures;
        weight_size = c.taps() * outputs * whole, sum_size = c.taps() * c.channels * padded(outputs);
        picture_size = Placing(c).size(), gradient_size = high * wide * outputs + PANEL, read_size = c.height * c.width * whole;
        weights = bump.floats(job.d_x ? weight_size : 0);
        pictures = bump.floats(slots * picture_size), gradients = bump.floats(slots * gradient_size);
        read = bump.floats(job.d_x && !given ? slots * read_size : 0);
        norms = bump.floats(slots * 2 * c.channels), norm_sums = bump.floats(2 * c.channels);
        sums = bump.floats(sum_size), bias = bump.floats(padded(outputs));
    }

private:
    // Of the rows, or columns, of d_y and the zeros behind them, those that some number of x meets, and all that are no zeros.
    static long met(const Side& side, long stride, long size, long real) {
        const long last = (size - 1 + side.padding) / stride + 1;
        return last > real ? last : real;
    }
};

class PictureGradients {
public:
    PictureGradients(const ConvolutionGradients& job, const PictureMemory& memory, int thread, int threads, Barrier& barrier)
        : job_(job), c_(job.convolution), m_(memory), placing_(c_), outputs_(c_.weights.outputs), thread_(thread), threads_(threads),
          barrier_(barrier) {}

    void run() const {
        if (job_.d_x) pack();
        for (long slot = thread_; slot < m_.slots; slot += threads_) {
            std::memset(picture(slot), 0, m_.picture_size * 4);
            std::memset(gradient(slot), 0, m_.gradient_size * 4);
        }
        barrier_.wait();
        for (long n = 0; n < c_.pictures; n += m_.slots) {
            const long count = c_.pictures - n < m_.slots ? c_.pictures - n : m_.slots;
            for (long slot = thread_; slot < count; slot += threads_) begin(n + slot, slot);
            barrier_.wait();
            if (job_.d_weight) add_weights(count, n == 0);
            if (thread_ == 0) add_vectors(count, n == 0);
            barrier_.wait();
        }
        if (job_.d_weight) write_weights();
        if (thread_ == 0) write_vectors();
    }

private:
    const ConvolutionGradients& job_;
    const ConvolutionJob& c_;
    const PictureMemory& m_;
    const Placing placing_;
    const long outputs_;
    const int thread_, threads_;
    Barrier& barrier_;

    Phase rows(long phase, long size = 1) const { return {c_.rows, c_.stride, phase, size}; }
    Phase columns(long phase, long size = 1) const { return {c_.columns, c_.stride, phase, size}; }
    float* picture(long slot) const { return m_.pictures + slot * m_.picture_size; }
    float* gradient(long slot) const { return m_.gradients + slot * m_.gradient_size; }
    float* norm_sums(long slot) const { return m_.norms + slot * 2 * c_.channels; }

    // What belongs to a picture alone.
    void begin(long n, long slot) const {
        const long size = c_.height * c_.width * c_.channels;
        placing_.place(c_.x + n * size, picture(slot));
        const float* from = job_.d_y + n * c_.high() * c_.wide() * outputs_;
        float* to = gradient(slot) + (m_.above * m_.wide + m_.beside) * outputs_;
        for (long y = 0; y < c_.high(); ++y, from += c_.wide() * outputs_, to += m_.wide * outputs_)
            std::memcpy(to, from, c_.wide() * outputs_ * 4);
        if (!job_.d_x) return;
        float* const d_x = job_.d_x + n * size;
        float* const read = m_.given ? d_x : m_.read + slot * m_.read_size;
        for (long y = 0; y < c_.stride; ++y)
            for (long x = 0; x < c_.stride; ++x) multiply(rows(y, c_.height), columns(x, c_.width), slot, read);
        if (!m_.given) through_norm(n, slot, read, d_x);
    }

    // Weights as a phase reads them: its taps from the last to the first, since a tap later is a place earlier.
    float* packed(long y, long x) const {
        float* at = m_.weights;
        for (long k = 0; k < y * c_.stride + x; ++k)
            at += rows(k / c_.stride).taps * columns(k % c_.stride).taps * outputs_ * m_.whole;
        return at;
    }

    void pack() const {
        for (long y = 0; y < c_.stride; ++y)
            for (long x = 0; x < c_.stride; ++x) {
                const long high = rows(y).taps, wide = columns(x).taps, depth = high * wide * outputs_;
                for (long panel = thread_; panel < m_.whole / PANEL; panel += threads_) {
                    float* to = packed(y, x) + panel * depth * PANEL;
                    for (long a = high - 1; a >= 0; --a)
                        for (long b = wide - 1; b >= 0; --b) pack_tap(y + a * c_.stride, x + b * c_.stride, panel * PANEL, to), to += outputs_ * PANEL;
                }
            }
    }

    void pack_tap(long y, long x, long channel, float* to) const {
        const long left = c_.channels - channel, count = left < PANEL ? left : PANEL;
        for (long o = 0; o < outputs_; ++o, to += PANEL) {
            const float* from = job_.weight + ((o * c_.rows.size + y) * c_.columns.size + x) * c_.channels + channel;
            for (long k = 0; k < PANEL; ++k) to[k] = k < count ? from[k] : 0.0f;
        }
    }

    // The gradient to f(n(x)) at the pixels of a phase of rows and one of columns.
    void multiply(const Phase& rows, const Phase& columns, long slot, float* to) const {
        if (columns.count == 0) return;  // of a picture narrower than the stride
        const int starts[1] = {FROM_ZERO};
        const long most = panels_for(RowTiles(columns.count).tallest()), all = m_.whole / PANEL, taps = rows.taps * columns.taps;
        if (taps == 0) return clear(rows, columns, to);
        for (long panel = 0; panel < all; panel += most)
            for (long k = 0; k < rows.count; ++k) {
                const long row = rows.first + k * c_.stride;
                const long y = m_.above + (row + c_.rows.padding) / c_.stride - rows.taps + 1;
                const long x = m_.beside + (columns.first + c_.columns.padding) / c_.stride - columns.taps + 1;
                const Left left{gradient(slot) + (y * m_.wide + x) * outputs_, outputs_, static_cast<int>(columns.taps * outputs_),
                                static_cast<int>(rows.taps), m_.wide * outputs_};
                const Target target{to + (row * c_.width + columns.first) * m_.whole, c_.stride * m_.whole, 1, 0, 1, starts, nullptr, 1};
                RECURRA_ISA::multiply<false>(left, columns.count, packed(rows.phase, columns.phase), 2 * panel,
                                             2 * std::min(panel + most, all), target);
            }
    }

    // Where strides are wider than kernels, pixels that no place reads.
    void clear(const Phase& rows, const Phase& columns, float* to) const {
        for (long k = 0; k < rows.count; ++k)
            for (long i = 0; i < columns.count; ++i)
                std::memset(to + ((rows.first + k * c_.stride) * c_.width + columns.first + i * c_.stride) * m_.whole, 0, m_.whole * 4);
    }

    // A pixel on its way back: its numbers, what f(n(x)) made of them, and the gradients to that and to x.
    struct Pixel {
        const float *x, *said;
        float *d, *d_x;
    };

    // d_x from the gradient to f(n(x)), and a picture's sums for those of the norm.
    void through_norm(long n, long slot, float* read, float* d_x) const {
        const long C = c_.channels, first = n * c_.height * c_.width;
        const bool together = c_.norm.kind != NO_NORM && C % VL == 0;
        Pixel pixels[VL];
        int count = 0;
        std::memset(norm_sums(slot), 0, 2 * C * 4);
        for (long row = 0; row < c_.height; ++row)
            for (long column = 0; column < c_.width; ++column) {
                const long k = row * c_.width + column;
                const Pixel pixel{c_.x + (first + k) * C, picture(slot) + placing_.at(row, column), read + k * m_.whole, d_x + k * C};
                if (!placing_.is_read(c_.rows, row) || !placing_.is_read(c_.columns, column))
                    std::memset(pixel.d_x, 0, C * 4);
                else if (!together)
                    through_norm(pixel, norm_sums(slot));
                else if (pixels[count++] = pixel; count == VL)
                    through_norm_together(pixels, norm_sums(slot)), count = 0;
            }
        for (int k = 0; k < count; ++k) through_norm(pixels[k], norm_sums(slot));
    }

    void through_norm(const Pixel& pixel, float* sums) const {
        if (c_.relu) stop(pixel.said, pixel.d);
        if (c_.norm.kind == NO_NORM)
            std::memcpy(pixel.d_x, pixel.d, c_.channels * 4);
        else
            through_norm(pixel.x, pixel.d, pixel.d_x, sums);
    }

    // As many pixels as a vector has lanes, of whole vectors of channels: their sums are added up side by side.
    void through_norm_together(const Pixel* pixels, float* sums) const {
        const long C = c_.channels;
        const auto numbers = static_cast<float>(C);
        const float* x[VL];
        for (int k = 0; k < VL; ++k) x[k] = pixels[k].x;
        float means[VL] = {}, factors[VL], all[VL * VL], along[VL * VL], shifts[VL] = {}, slopes[VL];
        statistics(c_.norm, C, x, means, factors);
        for (int k = 0; k < VL; ++k) {
            V total{}, product{};
            for (long i = 0; i < C; i += VL) {
                const V z = (load(x[k] + i) - means[k]) * factors[k];
                V g = load(pixels[k].d + i);
                if (c_.relu) g = select(load(pixels[k].said + i) <= 0.0f, V{}, g);
                store(sums + i, load(sums + i) + g * z), store(sums + C + i, load(sums + C + i) + g);
                if (c_.norm.weight) g *= load(c_.norm.weight + i);
                total += g, product += g * z;
                store(pixels[k].d + i, g);
            }
            store(all + k * VL, total), store(along + k * VL, product);
        }
        if (c_.norm.kind == LAYER_NORM) store(shifts, folded(all) / numbers);
        store(slopes, folded(along) / numbers);
        for (int k = 0; k < VL; ++k)
            for (long i = 0; i < C; i += VL) {
                const V z = (load(x[k] + i) - means[k]) * factors[k];
                store(pixels[k].d_x + i, factors[k] * (load(pixels[k].d + i) - shifts[k] - z * slopes[k]));
            }
    }

    // Where relu said 0, its gradient is 0.
    void stop(const float* said, float* d) const {
        for (long i = 0; i < c_.channels; i += VL) store(d + i, select(load(said + i) <= 0.0f, V{}, load(d + i)));
    }

    // With z = (x - mean) factor and g = d w: d_x = factor (g - mean g - z mean(g z)); without a mean, g alone has none.
    void through_norm(const float* x, float* d, float* d_x, float* sums) const {
        const long C = c_.channels;
        const auto numbers = static_cast<float>(C);
        const bool centred = c_.norm.kind == LAYER_NORM;
        const float mean = centred ? sum_of(x, C) / numbers : 0.0f;
        const float factor = 1.0f / __builtin_sqrtf(squares_of(x, mean, C) / numbers + c_.norm.eps);
        V all{}, along{};
        for (long i = 0; i < C; i += VL) {
            const long left = C - i;
            const V z = (part(x + i, left) - mean) * factor;
            V g = part(d + i, left);
            add_part_of(sums + i, g * z, left), add_part_of(sums + C + i, g, left);
            if (c_.norm.weight) g *= part(c_.norm.weight + i, left);
            all += g, along += g * z;
            store(d + i, g);  // room for whole panels
        }
        const float shift = centred ? lane_sum(all) / numbers : 0.0f, slope = lane_sum(along) / numbers;
        for (long i = 0; i < C; i += VL) {
            const V z = (part(x + i, C - i) - mean) * factor;
            put(d_x + i, factor * (load(d + i) - shift - z * slope), C - i);
        }
    }

    static V part(const float* from, long count) { return count < VL ? first_of(from, count) : load(from); }
    static void put(float* to, V v, long count) {
        if (count >= VL) return store(to, v);
        for (long k = 0; k < count; ++k) to[k] = v[k];
    }
    static void add_part_of(float* to, V v, long count) { put(to, part(to, count) + v, count); }

    // The rows of the weights' gradient are what a place reads of a row of pixels; panels of outputs are their columns.
    void add_weights(long count, bool begins) const {
        const long run = c_.columns.size * c_.channels, panels = padded(outputs_) / PANEL, all = panels * c_.rows.size;
        const RowTiles tiles(run);
        const long around = placing_.around() * c_.channels, items = all * tiles.count;
        const Places places{count, c_.high(), c_.wide(), m_.picture_size, c_.stride * around, c_.stride * c_.channels,
                            m_.gradient_size, m_.wide * outputs_, outputs_};
        const float* const b = gradient(0) + (m_.above * m_.wide + m_.beside) * outputs_;
        const float zeros[PANEL] = {};
        for (long item = items * thread_ / threads_; item < items * (thread_ + 1) / threads_; ++item) {
            const long tile = item % tiles.count, y = item / tiles.count % c_.rows.size, panel = item / tiles.count / c_.rows.size;
            const int mr = static_cast<int>(tiles.height + (tile < tiles.taller));
            const long row = tile * tiles.height + std::min(tile, tiles.taller);
            float* const to = m_.sums + (y * run + row) * padded(outputs_) + panel * PANEL;
            const Column column = begins ? Column{zeros, 0, to, padded(outputs_)} : Column{to, padded(outputs_), to, padded(outputs_)};
            add_places_of(mr)(places, picture(0) + y * around + row, b + panel * PANEL, column);
        }
    }

    void add_vectors(long count, bool begins) const {
        if (begins) std::memset(m_.bias, 0, outputs_ * 4), std::memset(m_.norm_sums, 0, 2 * c_.channels * 4);
        for (long slot = 0; slot < count; ++slot) {
            if (job_.d_x && !m_.given) add(m_.norm_sums, norm_sums(slot), 2 * c_.channels);
            for (long y = 0; job_.d_bias && y < c_.high(); ++y)
                for (long x = 0; x < c_.wide(); ++x)
                    add(m_.bias, gradient(slot) + ((m_.above + y) * m_.wide + m_.beside + x) * outputs_, outputs_);
        }
    }

    // From (rows, columns, channels, outputs) to (outputs, channels, rows, columns).
    void write_weights() const {
        const long taps = c_.taps(), C = c_.channels, all = panels_of(outputs_);
        for (long panel = thread_; panel < all; panel += threads_)
            for (long c = 0; c < C; ++c)
                for (long k = 0; k < taps; ++k) {
                    const float* from = m_.sums + (k * C + c) * padded(outputs_) + panel * PANEL;
                    float* const to = job_.d_weight + (panel * PANEL * C + c) * taps + k;
                    const long count = std::min<long>(PANEL, outputs_ - panel * PANEL);
                    for (long o = 0; o < count; ++o) to[o * C * taps] = from[o];
                }
    }

    void write_vectors() const {
        if (job_.d_bias) std::memcpy(job_.d_bias, m_.bias, outputs_ * 4);
        if (job_.d_norm_weight) std::memcpy(job_.d_norm_weight, m_.norm_sums, c_.channels * 4);
        if (job_.d_norm_bias) std::memcpy(job_.d_norm_bias, m_.norm_sums + c_.channels, c_.channels * 4);
    }
};

inline long gradient_bytes(const ConvolutionGradients& job) {
    Bump bump(nullptr);
    PictureMemory memory(job, bump);
    return bump.used();
}

inline void convolution_gradients(const ConvolutionGradients& job) {
    Bump bump(job.convolution.scratch);
    const PictureMemory memory(job, bump);
    parallel(job.convolution.threads, [&](int thread, int threads, Barrier& barrier) {
        PictureGradients(job, memory, thread, threads, barrier).run();
    });
}

}  // namespace recurra::RECURRA_ISA::transformer
