// CTC (Graves et al. 2006): forward and backward variables of one row after another, with the softmax inside.
//
// The states of a frame are those of units, L(u), and those of the blanks before each unit and behind the last, B(u):
//   B'(u) = (B(u) + L(u - 1)) y(blank)                                   (equations 6 and 7)
//   L'(u) = (L(u) + B(u) + [unit u is not unit u - 1] L(u - 1)) y(unit u)
// so a vector has the same state of VL neighbours, and needs no shuffle. Numbers have exponents of their own (scaled.h), so
// nothing is scaled from frame to frame, and y is left unnormalised: the sums of the softmax go into the loss as a product.
//
// Forward variables are kept at every ~sqrt(T)-th frame, and made again from there when the backward variables come by.
// A row is the work of one thread, so its bits depend neither on threads nor on what else is in the batch.
#pragma once

#include <atomic>
#include <cmath>
#include <cstring>

#include "../memory.h"
#include "../threads.h"
#include "ctc_job.h"
#include "parts.h"
#include "scaled.h"

namespace recurra::RECURRA_ISA::ctc {

inline long whole(long count) { return (count + VL - 1) / VL * VL; }

inline long frames_at_once(long T) {
    long block = 16;
    while (block * block < T) ++block;
    return block;
}

// Of one frame: mantissas and exponents of the states of units, and of those of blanks.
struct States {
    float* units;
    float* blanks;
    std::int32_t* unit_exponents;
    std::int32_t* blank_exponents;

    static constexpr long ARRAYS = 4;
    States(float* at, long width)
        : units(at), blanks(at + width), unit_exponents(reinterpret_cast<std::int32_t*>(at + 2 * width)),
          blank_exponents(reinterpret_cast<std::int32_t*>(at + 3 * width)) {}

    void clear(long width) {
        for (long i = 0; i < width; i += VL) {
            store_scaled(units + i, unit_exponents + i, {V{}, M{} + NOTHING});
            store_scaled(blanks + i, blank_exponents + i, {V{}, M{} + NOTHING});
        }
    }
    Scaled unit(long u) const { return load_scaled(units + u, unit_exponents + u); }
    Scaled blank(long u) const { return load_scaled(blanks + u, blank_exponents + u); }
    void set_unit(long u, Scaled a) { store_scaled(units + u, unit_exponents + u, a); }
    void set_blank(long u, Scaled a) { store_scaled(blanks + u, blank_exponents + u, a); }
};

// What one thread holds while it is at one row.
class Row {
public:
    Row(const CtcJob& job, char* scratch)
        : job_(job), width_(whole(job.U + 1) + VL), block_(frames_at_once(job.T)), bump_(scratch),
          kept_(bump_.floats((job.T / block_ + 1) * States::ARRAYS * width_)),
          made_(bump_.floats((block_ + 1) * States::ARRAYS * width_)), outputs_(bump_.floats(block_ * 2 * width_)),
          after_(bump_.floats(States::ARRAYS * width_)), flow_(bump_.floats(States::ARRAYS * width_)),
          gathered_(bump_.floats(width_)), posteriors_(bump_.floats(width_)),
          most_(bump_.floats(job.T)), sums_(bump_.floats(job.T)),
          units_(reinterpret_cast<std::int32_t*>(bump_.floats(width_))),
          skips_(reinterpret_cast<std::int32_t*>(bump_.floats(width_))) {}

    static long bytes(const CtcJob& job) { return Row(job, nullptr).bump_.used(); }

    void run(long n) {
        begin(n);
        const bool finite = weigh_frames();
        Scaled p = forward();
        job_.nats[n] = finite ? nats(p) : __builtin_nanf("");
        if (!job_.d_logits) return;
        if (finite && p.m[0] > 0.0f)
            backward(p);
        else
            for (long t = 0; t < T_; ++t) fill(t, 0xFF);  // NaN
        for (long t = T_; t < job_.T; ++t) fill(t, 0);
    }

private:
    const CtcJob& job_;
    const long width_, block_;
    Bump bump_;
    float *const kept_, *const made_, *const outputs_, *const after_, *const flow_, *const gathered_, *const posteriors_,
        *const most_, *const sums_;
    std::int32_t *const units_, *const skips_;
    long n_ = 0, T_ = 0, U_ = 0, whole_ = 0;
    float lowest_ = 0;
    double log_sums_ = 0;

    void begin(long n) {
        n_ = n, T_ = job_.lengths[n], U_ = job_.target_lengths[n], whole_ = whole(U_ + 1);
        lowest_ = lowest_log(T_);
        const std::int64_t* const target = job_.targets + n * job_.U;
        for (long u = 0; u < whole_ + VL; ++u) {
            units_[u] = static_cast<std::int32_t>(u < U_ ? target[u] : job_.blank);
            skips_[u] = u > 0 && u < U_ && target[u] != target[u - 1] ? -1 : 0;
        }
    }

    const float* logits(long t) const { return job_.logits + (t * job_.N + n_) * job_.C; }
    float* d_logits(long t) const { return job_.d_logits + (t * job_.N + n_) * job_.C; }
    void fill(long t, int byte) const { std::memset(d_logits(t), byte, static_cast<std::size_t>(job_.C) * 4); }
    States state(float* at, long row) const { return {at + row * States::ARRAYS * width_, width_}; }
    M skip(long u) const { return bits(load(reinterpret_cast<const float*>(skips_ + u))); }

    // The largest logit of each frame, the sum of e^(logit - largest), and ln of the product of these sums. False where one
    // of a frame's logits is no number, or all of them are minus infinity.
    bool weigh_frames() {
        double product = 1;
        log_sums_ = 0;
        for (long t = 0; t < T_; ++t) {
            const float* const z = logits(t);
            most_[t] = largest(z, job_.C);
            sums_[t] = sum_of_exp(z, job_.C, most_[t]);
            if (!(sums_[t] >= 0.5f)) return false;
            product *= static_cast<double>(sums_[t]);
            if (product < 1e250) continue;
            log_sums_ += std::log(product);
            product = 1;
        }
        log_sums_ += std::log(product);
        return true;
    }

    float nats(Scaled p) const {
        if (!(p.m[0] > 0.0f)) return __builtin_inff();
        const double log_p = std::log(static_cast<double>(p.m[0])) + static_cast<double>(p.e[0]) * 0.693147180559945309;
        return static_cast<float>(log_sums_ - log_p);
    }

    // e^(logit - largest) of each unit of the target, nothing behind the last.
    void weigh_units(long t, float* m, std::int32_t* e) const {
        const float* const z = logits(t);
        for (long u = 0; u < whole_; u += VL) store(gathered_ + u, gather(z, units_ + u));
        for (long u = U_; u < whole_; ++u) gathered_[u] = -__builtin_inff();
        const V most = splat(most_[t]);
        for (long u = 0; u < whole_; u += VL) store_scaled(m + u, e + u, exp_scaled(load(gathered_ + u), most, lowest_));
    }
    Scaled weigh_blank(long t) const { return exp_scaled(splat(logits(t)[job_.blank]), splat(most_[t]), lowest_); }

    float* output(long row) const { return outputs_ + row * 2 * width_; }
    std::int32_t* output_exponents(long row) const { return reinterpret_cast<std::int32_t*>(output(row) + width_); }

    // Units stand one place further on than blanks, behind a place where nothing is.
    void step(States from, States to, long t, float* y, std::int32_t* y_exponents) const {
        weigh_units(t, y, y_exponents);
        const Scaled blank = weigh_blank(t);
        for (long u = 0; u < whole_; u += VL) {
            const Scaled before = from.unit(u), same = from.unit(u + 1), apart = from.blank(u);
            const Scaled b = times(sum(apart, before), blank);
            const Scaled l = times(sum(same, apart, only(skip(u), before)), load_scaled(y + u, y_exponents + u));
            to.set_blank(u, normal(b.m, b.e));
            to.set_unit(u + 1, normal(l.m, l.e));
        }
        to.units[0] = 0.0f, to.unit_exponents[0] = NOTHING;
    }

    void copy(States from, States to) const { std::memcpy(to.units, from.units, States::ARRAYS * width_ * 4); }

    // The probability of the target, unnormalised; what is kept are the states before each block.
    Scaled forward() {
        States now = state(made_, 0), next = state(made_, 1);
        now.clear(width_), next.clear(width_);
        now.blanks[0] = 1.0f, now.blank_exponents[0] = 0;
        for (long t = 0; t < T_; ++t) {
            if (t % block_ == 0) copy(now, state(kept_, t / block_));
            step(now, next, t, output(0), output_exponents(0));
            std::swap(now, next);
        }
        const Scaled last = U_ > 0 ? at(now.units, now.unit_exponents, U_) : Scaled{V{}, M{} + NOTHING};
        const Scaled p = sum(at(now.blanks, now.blank_exponents, U_), last);
        return normal(p.m, p.e);
    }

    static Scaled at(const float* m, const std::int32_t* e, long u) { return {splat(m[u]), M{} + e[u]}; }

    // Block by block from behind: forward variables again, then posteriors and backward variables.
    void backward(Scaled p) {
        States after = state(after_, 0);
        after.clear(width_);
        state(flow_, 0).clear(width_);
        after.blanks[U_] = 1.0f, after.blank_exponents[U_] = 0;
        if (U_ > 0) after.units[U_ - 1] = 1.0f, after.unit_exponents[U_ - 1] = 0;
        for (long k = 0; k <= block_; ++k) state(made_, k).clear(width_);
        for (long block = (T_ - 1) / block_; block >= 0 && T_ > 0; --block) {
            const long first = block * block_, count = T_ - first < block_ ? T_ - first : block_;
            copy(state(kept_, block), state(made_, 0));
            for (long k = 0; k < count; ++k)
                step(state(made_, k), state(made_, k + 1), first + k, output(k), output_exponents(k));
            for (long k = count - 1; k >= 0; --k) {
                gradient(first + k, state(made_, k + 1), k, p);
                step_back();
            }
        }
    }

    // softmax - posterior of a frame; and `flow_`: backward variables times what the frame says.
    void gradient(long t, States before, long k, Scaled p) {
        const States after = state(after_, 0);
        States flow = state(flow_, 0);
        const Scaled blank = weigh_blank(t);
        V blanks{}, total{};
        for (long u = 0; u < whole_; u += VL) {
            const Scaled l = after.unit(u), b = after.blank(u);
            const V posterior = share(before.unit(u + 1), l, p);
            store(posteriors_ + u, posterior);
            total += posterior;
            blanks += share(before.blank(u), b, p);
            flow.set_unit(u, times(l, load_scaled(output(k) + u, output_exponents(k) + u)));
            flow.set_blank(u, times(b, blank));
        }
        const float of_blanks = lane_sum(blanks), scale = 1.0f / (lane_sum(total) + of_blanks);
        float* const d = d_logits(t);
        softmax(logits(t), job_.C, most_[t], 1.0f / sums_[t], d);
        for (long u = 0; u < U_; ++u) d[units_[u]] -= posteriors_[u] * scale;
        d[job_.blank] -= of_blanks * scale;
    }

    static V share(Scaled before, Scaled after, Scaled p) {
        return before.m * after.m * two_to(before.e + after.e - p.e);
    }

    void step_back() {
        const States flow = state(flow_, 0);
        States after = state(after_, 0);
        for (long u = 0; u < whole_; u += VL) {
            const Scaled l = flow.unit(u), b = sum(flow.blank(u), l);
            const Scaled next = sum(l, flow.blank(u + 1), only(skip(u + 1), flow.unit(u + 1)));
            after.set_blank(u, normal(b.m, b.e));
            after.set_unit(u, normal(next.m, next.e));
        }
    }
};

inline long bytes(const CtcJob& job) { return job.threads * Row::bytes(job); }

inline void loss(const CtcJob& job) {
    std::atomic<long> next{0};
    const long each = Row::bytes(job);
    parallel(job.threads, [&](int thread, int, Barrier&) {
        Row row(job, job.scratch + thread * each);
        for (long n; (n = next.fetch_add(1)) < job.N;) row.run(n);
    });
}

}  // namespace recurra::RECURRA_ISA::ctc
