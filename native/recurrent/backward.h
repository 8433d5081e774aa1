// Back-propagation through time: the gradients that flow from step to step.
#pragma once

#include "forward.h"

namespace recurra::RECURRA_ISA {

// The forward pass's area of kept values of a width.
inline int kept_area(const Plan& plan, Width width) {
    const Program& f = plan.forward;
    for (int k = 0; k < f.num_areas; ++k)
        if (f.areas[k].kind == Area::KEEP && f.areas[k].width == width) return k;
    return 0;
}

// Scratch memory that the threads share.
struct BackwardMemory {
    Packed packed[MAX_PRODUCTS];
    Packed to_input;
    float* parameters;
    float* adjoints[2][MAX_STATES];
    float* kept[MAX_STATES];   // what zoneout lets through to the old state
    float* mask;
    float* area[MAX_AREAS];    // slots, deltas, scratch, sums; null for kept values
    float* inputs[64];         // by thread: a few tokens of the gradient to the input

    BackwardMemory(const Job& job, const Tape& tape, Bump& bump) {
        const Plan& plan = plan_of(job);
        const Program& b = plan.backward;
        const Sizes s(job);
        int k = 0;
        for (int i = 0; i < b.num_stages; ++i)
            for (int j = 0; j < b.stages[i].num_products; ++j)
                packed[k++] = place_packed(job, b, b.stages[i].products[j], bump);
        if (plan.to_input && job.d_x) to_input = place_packed(job, b, *plan.to_input, bump);
        parameters = bump.floats(s.blocks(UNITS) * plan.num_vectors * VL);
        for (int i = 0; i < plan.states; ++i) {
            const long row = plain_stride(s, plan.state_width[i]);
            for (auto& side : adjoints) side[i] = bump.floats(job.N * row);
            kept[i] = job.zone_mask[i] || job.zone[i] != 0.0f ? bump.floats(job.N * row) : nullptr;
        }
        mask = job.mask ? bump.floats(job.N * plain_stride(s, plan.state_width[0])) : nullptr;
        for (int i = 0; i < b.num_areas; ++i) {
            const Area& a = b.areas[i];
            const bool by_token = a.kind == Area::DELTA;
            if (a.over_kept) {
                area[i] = tape.area[kept_area(plan, a.width)];
                continue;
            }
            const bool here = by_token || a.kind == Area::SLOT || a.kind == Area::SCRATCH || a.kind == Area::SUM;
            area[i] = here ? bump.floats((by_token ? num_tokens(job) : job.N) * area_stride(s, a)) : nullptr;
        }
        for (int t = 0; t < job.threads; ++t) inputs[t] = job.d_x ? bump.floats(INPUT_TOKENS * row_stride(job.I + VL)) : nullptr;
    }

    static constexpr long INPUT_TOKENS = 112;  // 8 tiles of 14 rows
};

// dL/dx = delta W, for some tokens of step t and of those that follow.
inline void input_gradient(const Job& job, const BackwardMemory& m, long t, long token, long last, float* made) {
    const Plan& plan = plan_of(job);
    const Product& p = *plan.to_input;
    const Area& area = plan.backward.areas[p.argument];
    const Sizes s(job);
    const long row = area_stride(s, area), out_row = row_stride(job.I + VL);
    const int inner = p.num_gates * VL;
    const int starts[] = {FROM_ZERO};
    while (token < last) {
        const long end = token + BackwardMemory::INPUT_TOKENS < last ? token + BackwardMemory::INPUT_TOKENS : last;
        const Left deltas{m.area[p.argument] + token * row + p.argument_first * VL, row, inner,
                          static_cast<int>(s.blocks(area.width)), static_cast<long>(area.count) * VL};
        const Target target{made, out_row, 1, 0, 1, starts, nullptr, 0};
        if (m.to_input.data)
            multiply<false>(deltas, end - token, m.to_input.data, 0, m.to_input.vectors, target);
        else
            multiply_as_it_lies(deltas, end - token, matrix_of(job, p.weight), p.gates, 0, m.to_input.vectors, target);
        for (const float* from = made; token < end; ++token, from += out_row) {
            while (job.token[t + 1] <= token) ++t;
            std::memcpy(job.d_x + (t * job.N + job.rank[token - job.token[t]]) * job.I, from, job.I * 4);
        }
    }
}

// The same for all tokens. Threads divide them.
inline void input_gradient(const Job& job, const BackwardMemory& m, int thread, int threads) {
    const long all = num_tokens(job);
    input_gradient(job, m, 0, all * thread / threads, all * (thread + 1) / threads, m.inputs[thread]);
}

// Whether each step's own rows are enough for tall tiles: then its gradient to x is made while its deltas are in the cache.
inline bool by_step(const Job& job, const Share& share) {
    return !share.by_units && !weights_outweigh(job) && num_tokens(job) >= MAX_ROWS * job.T;
}

inline void clear_padding(const Job& job, int thread, int threads) {
    for (long t = thread; t < job.T; t += threads)
        for (long r = job.active[t]; r < job.N; ++r)
            std::memset(job.d_x + (t * job.N + job.rank[r]) * job.I, 0, job.I * 4);
}

// One thread's way back through time.
class Backward {
public:
    // inputs: memory for a few tokens of the gradient to x
    Backward(const Job& job, BackwardMemory& memory, const Tape& tape, const Share& share, float* inputs)
        : job_(job), m_(memory), tape_(tape), share_(share), inputs_(inputs), sizes_(job), plan_(plan_of(job)),
          step_{job, plan_.backward, share, memory.packed, memory.parameters, nullptr, 0, nullptr, 0, {}, {}, {}, {}, -1, nullptr} {
        measure_areas(step_);
    }

    void run() {
        if (job_.mask) copy_mask();
        clear_sums();
        long steps = 0;
        while (steps < job_.T && job_.active[steps] > 0) ++steps;
        for (long s = steps - 1; s >= 0; --s) one_step(s, steps);
        finish_empty_rows();
    }

private:
    const Job& job_;
    BackwardMemory& m_;
    const Tape& tape_;
    const Share share_;
    float* const inputs_;
    const Sizes sizes_;
    const Plan& plan_;
    Step step_;
    int now_ = 0;
    long entered_ = 0;

    long time(long s, long steps) const { return job_.reverse ? steps - 1 - s : s; }

    long rows_at(long s, long steps) const {
        if (s < 0) return 0;
        const long n = job_.active[time(s, steps)] - share_.r0, mine = share_.r1 - share_.r0;
        return n < 0 ? 0 : n < mine ? n : mine;
    }

    float* adjoint(int side, int i) const {
        return m_.adjoints[side][i] + share_.r0 * plain_stride(sizes_, plan_.state_width[i]);
    }

    void one_step(long s, long steps) {
        const long t = time(s, steps), rows = rows_at(s, steps);
        enter(rows);
        add_output_gradient(t, rows);
        hold_back_zoned(t, rows);
        point_to_areas(t);
        clear_missing(rows);
        fetch_next(s, steps, rows);
        run_stages(step_, rows);
        if (job_.d_x && by_step(job_, share_)) {
            const long token = job_.token[t] + share_.r0;
            input_gradient(job_, m_, t, token, token + rows, inputs_);
        }
        return_zoned(rows);
        leave(rows_at(s - 1, steps), rows);
        now_ = 1 - now_;
    }

    // The tape and the output's gradient of the step before, while this one is multiplied: in its second half, since the
    // weights that pass by push out of the cache what came too soon.
    void fetch_next(long s, long steps, long rows) {
        const long next = rows_at(s - 1, steps), tiles = tiles_of(step_, rows), half = tiles / 2;
        if (next <= 0) return;
        const long t = time(s - 1, steps), first = share_.u0[UNITS], blocks = share_.u1[UNITS] - first;
        const int kept = kept_area(plan_, UNITS);
        const Area& a = plan_.forward.areas[kept];
        const long row = area_stride(sizes_, a), vector = a.count * VL;
        const long at = (job_.token[t] + share_.r0) * row + first * vector;
        if (tape_.area[kept]) step_.next[0] = {tape_.area[kept] + at, row, blocks * vector, next, tiles - half, half};
        if (!job_.d_output) return;
        const Width w = plan_.state_width[0];
        const long units = sizes_.units(w), from = share_.from(w);
        const float* const gradient = job_.d_output + (t * job_.N + share_.r0) * units + from;
        step_.next[1] = {gradient, units, share_.to(w, sizes_) - from, next, tiles - half, half};
    }

    void point_to_areas(long t) {
        const Program& b = plan_.backward;
        for (int k = 0; k < b.num_areas; ++k) {
            const Area& a = b.areas[k];
            const long row = step_.strides[k], token = job_.token[t] + share_.r0;
            step_.block.stride[k] = row;
            switch (a.kind) {
                case Area::IN: step_.block.area[k] = adjoint(now_, a.index); break;
                case Area::OUT: step_.block.area[k] = adjoint(1 - now_, a.index); break;
                case Area::KEEP: step_.block.area[k] = tape_.area[kept_area(plan_, a.width)] + token * row; break;
                case Area::DELTA: step_.block.area[k] = m_.area[k] + token * row; break;
                case Area::PARAMETER:
                    step_.block.area[k] = m_.parameters;
                    step_.block.stride[k] = 0;
                    break;
                default: step_.block.area[k] = m_.area[k] + share_.r0 * row;
            }
        }
    }

    // Rows whose last real step this is start from the gradients of the final states.
    void enter(long rows) {
        for (; entered_ < rows; ++entered_)
            for (int i = 0; i < plan_.states; ++i) {
                const Width w = plan_.state_width[i];
                const long units = sizes_.units(w), row = plain_stride(sizes_, w);
                float* to = adjoint(now_, i) + entered_ * row;
                const float* from = job_.d_finals[i] ? job_.d_finals[i] + job_.rank[share_.r0 + entered_] * units : nullptr;
                for (long u = share_.from(w); u < share_.u1[w] * VL; ++u) to[u] = from && u < units ? from[u] : 0.0f;
            }
    }

    void add_output_gradient(long t, long rows) {
        if (!job_.d_output) return;
        const Width w = plan_.state_width[0];
        const long units = sizes_.units(w), row = plain_stride(sizes_, w);
        for (long r = 0; r < rows; ++r) {
            float* to = adjoint(now_, 0) + r * row;
            const float* from = job_.d_output + (t * job_.N + job_.rank[share_.r0 + r]) * units;
            for (long u = share_.from(w); u < share_.to(w, sizes_); ++u) to[u] += from[u];
        }
    }

    void hold_back_zoned(long t, long rows) {
        for (int i = 0; i < plan_.states; ++i) {
            if (!m_.kept[i]) continue;
            const Width w = plan_.state_width[i];
            const long units = sizes_.units(w), row = plain_stride(sizes_, w);
            for (long r = 0; r < rows; ++r) {
                float* d = adjoint(now_, i) + r * row;
                float* kept = m_.kept[i] + (share_.r0 + r) * row;
                const std::uint8_t* keep =
                    job_.zone_mask[i] ? job_.zone_mask[i] + (t * job_.N + job_.rank[share_.r0 + r]) * units : nullptr;
                for (long u = share_.from(w); u < share_.to(w, sizes_); ++u) {
                    const float all = d[u];
                    kept[u] = keep ? (keep[u] ? all : 0.0f) : job_.zone[i] * all;
                    d[u] = keep ? (keep[u] ? 0.0f : all) : (1.0f - job_.zone[i]) * all;
                }
            }
        }
    }

    void return_zoned(long rows) {
        for (int i = 0; i < plan_.states; ++i) {
            if (!m_.kept[i]) continue;
            const Width w = plan_.state_width[i];
            const long row = plain_stride(sizes_, w);
            for (long r = 0; r < rows; ++r)
                for (long u = share_.from(w); u < share_.to(w, sizes_); ++u)
                    adjoint(1 - now_, i)[r * row + u] += m_.kept[i][(share_.r0 + r) * row + u];
        }
    }

    // A state that the equations never read gets no gradient from the stages.
    void clear_missing(long rows) {
        const Program& b = plan_.backward;
        for (int i = 0; i < plan_.states; ++i) {
            bool found = false;
            for (int k = 0; k < b.num_areas; ++k) found |= b.areas[k].kind == Area::OUT && b.areas[k].index == i && b.areas[k].count > 0;
            const Width w = plan_.state_width[i];
            for (long r = 0; r < rows && !found; ++r)
                for (long u = share_.from(w); u < share_.u1[w] * VL; ++u)
                    adjoint(1 - now_, i)[r * plain_stride(sizes_, w) + u] = 0.0f;
        }
    }

    void leave(long next, long rows) {
        for (int i = 0; i < plan_.states; ++i) {
            if (!job_.d_states[i]) continue;
            const Width w = plan_.state_width[i];
            const long units = sizes_.units(w), row = plain_stride(sizes_, w);
            const long from = share_.from(w), count = share_.to(w, sizes_) - from;
            for (long r = next; r < rows && count > 0; ++r)
                std::memcpy(job_.d_states[i] + job_.rank[share_.r0 + r] * units + from,
                            adjoint(1 - now_, i) + r * row + from, count * 4);
        }
    }

    void finish_empty_rows() {
        for (int i = 0; i < plan_.states; ++i) {
            if (!job_.d_states[i]) continue;
            const Width w = plan_.state_width[i];
            const long units = sizes_.units(w), from = share_.from(w), count = share_.to(w, sizes_) - from;
            for (long r = share_.r0 + entered_; r < share_.r1 && count > 0; ++r) {
                float* to = job_.d_states[i] + job_.rank[r] * units + from;
                if (job_.d_finals[i])
                    std::memcpy(to, job_.d_finals[i] + job_.rank[r] * units + from, count * 4);
                else
                    std::memset(to, 0, count * 4);
            }
        }
    }

    void copy_mask() {
        const Width w = plan_.state_width[0];
        const long units = sizes_.units(w), row = plain_stride(sizes_, w);
        step_.mask = m_.mask + share_.r0 * row;
        step_.mask_row = row;
        for (long r = share_.r0; r < share_.r1; ++r)
            for (long u = 0; u < sizes_.blocks(w) * VL; ++u)
                m_.mask[r * row + u] = u < units ? job_.mask[job_.rank[r] * units + u] : 0.0f;
    }

    void clear_sums() {
        const Program& b = plan_.backward;
        for (int k = 0; k < b.num_areas; ++k) {
            const Area& a = b.areas[k];
            if (a.kind != Area::SUM) continue;
            const long row = area_stride(sizes_, a), from = share_.u0[a.width] * a.count * VL;
            const long count = share_.u1[a.width] * a.count * VL - from;
            for (long r = share_.r0; r < share_.r1 && count > 0; ++r)
                std::memset(m_.area[k] + r * row + from, 0, count * 4);
        }
    }
};

}  // namespace recurra::RECURRA_ISA
