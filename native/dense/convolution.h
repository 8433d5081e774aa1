// Convolutions over pictures on the tiles, picture by picture: so a picture has the same bits alone and among others.
//
// Nothing is copied together: a tile's rows are neighbouring places of an output row, and what each reads are runs of neighbouring
// pixels, one for each row of a kernel (Left, tile.h).
#pragma once

#include <algorithm>
#include <cstring>

#include "../threads.h"
#include "convolution_job.h"
#include "transformer_parts.h"

namespace recurra::RECURRA_ISA::transformer {

// The means, zeros where the norm has none, and the factors of as many pixels as a vector has lanes, whose sums are added up side by
// side. Whole vectors of channels; means: zeros
inline void statistics(const Norm& norm, long channels, const float* const* x, float* means, float* factors) {
    const auto numbers = static_cast<float>(channels);
    float sums[VL * VL];
    for (int k = 0; k < VL && norm.kind == LAYER_NORM; ++k) {
        V sum{};
        for (long i = 0; i < channels; i += VL) sum += load(x[k] + i);
        store(sums + k * VL, sum);
    }
    if (norm.kind == LAYER_NORM) store(means, folded(sums) / numbers);
    for (int k = 0; k < VL; ++k) {
        V sum{};
        for (long i = 0; i < channels; i += VL) {
            const V d = load(x[k] + i) - means[k];
            sum += d * d;
        }
        store(sums + k * VL, sum);
    }
    store(factors, 1.0f / sqrt(folded(sums) / numbers + norm.eps));
}

// A picture as a convolution reads it: f(n(x)) in the middle of zeros.
class Placing {
public:
    explicit Placing(const ConvolutionJob& job) : job_(job), around_(job.width + 2 * job.columns.padding) {}

    long around() const { return around_; }  // pixels of a row with the zeros beside it
    long size() const { return (job_.height + 2 * job_.rows.padding) * around_ * job_.channels; }
    // Where a pixel stands among the zeros.
    long at(long row, long column) const { return ((row + job_.rows.padding) * around_ + column + job_.columns.padding) * job_.channels; }
    // What no place reads, where strides are wider than kernels, is left out.
    bool is_read(const Side& side, long at) const { return (at + side.padding) % job_.stride < side.size; }

    // to: zeros, or a picture that was placed there before.
    void place(const float* x, float* to) const {
        for (long row = 0; row < job_.height; ++row, x += job_.width * job_.channels) {
            if (!is_read(job_.rows, row)) continue;
            if (job_.norm.kind == NO_NORM && !job_.relu)
                std::memcpy(to + at(row, 0), x, job_.width * job_.channels * 4);
            else
                place_row(x, to + at(row, 0));
        }
    }

private:
    const ConvolutionJob& job_;
    const long around_;

    void place_row(const float* x, float* to) const {
        const bool together = job_.norm.kind != NO_NORM && job_.channels % VL == 0;
        const float* from[VL];
        float* there[VL];
        int count = 0;
        for (long column = 0; column < job_.width; ++column) {
            if (!is_read(job_.columns, column)) continue;
            from[count] = x + column * job_.channels, there[count] = to + column * job_.channels;
            if (!together)
                change(from[0], there[0]);
            else if (++count == VL)
                change_together(from, there), count = 0;
        }
        for (int k = 0; k < count; ++k) change(from[k], there[k]);
    }

    void change(const float* x, float* to) const {
        if (job_.norm.kind != NO_NORM) normalize(job_.norm, x, to, job_.channels), x = to;
        if (job_.relu) activate([](V v) { return relu(v); }, false, x, to, job_.channels);
    }

    // As many pixels as a vector has lanes, with the bits of `change`.
    void change_together(const float* const* from, float* const* to) const {
        float means[VL] = {}, factors[VL];
        statistics(job_.norm, job_.channels, from, means, factors);
        for (int k = 0; k < VL; ++k)
            for (long i = 0; i < job_.channels; i += VL) {
                V v = (load(from[k] + i) - means[k]) * factors[k];
                if (job_.norm.weight) v *= load(job_.norm.weight + i);
                if (job_.norm.bias) v += load(job_.norm.bias + i);
                store(to[k] + i, job_.relu ? relu(v) : v);
            }
    }
};

class Pictures {
public:
    Pictures(const ConvolutionJob& job, char* scratch)
        : job_(job), placing_(job), bump_(scratch), whole_(job.weights.outputs % PANEL == 0), padded_(bump_.floats(placing_.size())),
          sums_(bump_.floats(whole_ ? 0 : job.high() * job.wide() * padded(job.weights.outputs))) {}

    static long bytes(const ConvolutionJob& job) { return Pictures(job, nullptr).bump_.used(); }

    void run(long first, long last) const {
        std::memset(padded_, 0, placing_.size() * 4);
        for (long n = first; n < last; ++n) {
            placing_.place(job_.x + n * job_.height * job_.width * job_.channels, padded_);
            const long numbers = job_.high() * job_.wide() * job_.weights.outputs;
            float* const y = job_.y + n * numbers;
            multiply(whole_ ? y : sums_);
            if (!whole_) gather(y);
            if (job_.beside) add(y, job_.beside + n * numbers, numbers);
        }
    }

private:
    const ConvolutionJob& job_;
    const Placing placing_;
    Bump bump_;
    const bool whole_;  // whether sums are written to their place, since they are whole panels
    float *const padded_, *const sums_;

    // A panel of weights over all places, since it stays in a cache: row after row of them.
    void multiply(float* to) const {
        const long C = job_.channels, around = placing_.around(), row = job_.wide() * padded(job_.weights.outputs);
        const int starts[1] = {0};
        const long most = panels_for(RowTiles(job_.wide()).tallest()), all = panels_of(job_.weights.outputs);
        for (long panel = 0; panel < all; panel += most) {
            const long last = std::min(panel + most, all);
            for (long y = 0; y < job_.high(); ++y) {
                const Left left{padded_ + y * job_.stride * around * C, job_.stride * C, static_cast<int>(job_.columns.size * C),
                                static_cast<int>(job_.rows.size), around * C};
                const Target target{to + y * row, padded(job_.weights.outputs), 1, 0, 1, starts, job_.weights.start, 1};
                RECURRA_ISA::multiply<false>(left, job_.wide(), job_.weights.panels, 2 * panel, 2 * last, target);
            }
        }
    }

    void gather(float* y) const {
        const long outputs = job_.weights.outputs;
        for (long n = 0; n < job_.high() * job_.wide(); ++n) std::memcpy(y + n * outputs, sums_ + n * padded(outputs), outputs * 4);
    }
};

inline long convolution_bytes(const ConvolutionJob& job) { return Pictures::bytes(job) * job.threads; }

inline void convolve(const ConvolutionJob& job) {
    const long each = Pictures::bytes(job);
    parallel(job.threads, [&](int thread, int threads, Barrier&) {
        Pictures(job, job.scratch + thread * each).run(job.pictures * thread / threads, job.pictures * (thread + 1) / threads);
    });
}

}  // namespace recurra::RECURRA_ISA::transformer
