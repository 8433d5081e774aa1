// Back-propagation through time: the gradients that flow from step to step.
#pragma once

#include "forward.h"

namespace recurra::RECURRA_ISA {

// The forward pass's area of a kind and width; -1 if it has none.
inline int forward_area(const Plan& plan, Area::Kind kind, Width width) {
    const Program& f = plan.forward;
    for (int k = 0; k < f.num_areas; ++k)
        if (f.areas[k].kind == kind && f.areas[k].width == width) return k;
    return -1;
}

// Whether deltas stand over kept values, so that those of all tokens are there in the end.
inline bool deltas_over_kept(const Plan& plan) {
    for (int k = 0; k < plan.backward.num_areas; ++k)
        if (plan.backward.areas[k].over_kept) return true;
    return false;
}

// Else there is memory for the deltas of a few steps, and they are summed up before the next ones. Threads that have rows of
// other lengths would wait for one another there.
constexpr long DELTAS_AT_ONCE = 512;
inline long delta_tokens(const Job& job) {
    const long all = num_tokens(job), most = max_rows(job) > DELTAS_AT_ONCE ? max_rows(job) : DELTAS_AT_ONCE;
    return deltas_over_kept(plan_of(job)) || (job.threads > 1 && !is_even(job)) || all < most ? all : most;
}

// A token's step, and its place there. Deltas that stand over kept values lie in the order of tokens, others in that in which
// they are made; so are the gradients summed up.
struct Place {
    long t, r;
    int way;  // to the next step: 1 or -1
    void next(const Job& job) {
        if (++r >= job.active[t]) r = 0, t += way;
    }
    void skip(const Job& job, long tokens) {
        for (r += tokens; t >= 0 && t < job.T && job.active[t] > 0 && r >= job.active[t]; t += way) r -= job.active[t];
    }
    long token(const Job& job) const { return job.token[t] + r; }
};

// The first state before a token's step.
inline const float* state_before(const Job& job, long width, const Place& at) {
    const long before = job.reverse ? at.t + 1 : at.t - 1, row = job.rank[at.r];
    const bool begins = before < 0 || before >= job.T || at.r >= job.active[before];
    return begins ? job.states[0] + row * width : job.output + (before * job.N + row) * width;
}

// Scratch memory that the threads share.
struct BackwardMemory {
    Packed packed[MAX_PRODUCTS];
    Packed to_input;
    float* parameters;
    float* adjoints[2][MAX_STATES];
    float* kept[MAX_STATES];   // what zoneout lets through to the old state
    float* mask;
    float* area[MAX_AREAS];    // what is kept on the tape, slots, deltas, scratch, sums; null for others
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
            if (a.over_kept || a.kind == Area::KEEP || a.kind == Area::OLD || a.kind == Area::NEW) {
                area[i] = tape.area[forward_area(plan, a.over_kept ? Area::KEEP : a.kind, a.width)];
                continue;
            }
            const bool here = by_token || a.kind == Area::SLOT || a.kind == Area::SCRATCH || a.kind == Area::SUM;
            area[i] = here ? bump.floats((by_token ? delta_tokens(job) : job.N) * area_stride(s, a)) : nullptr;
        }
        for (int t = 0; t < job.threads; ++t) inputs[t] = job.d_x ? bump.floats(INPUT_TOKENS * row_stride(job.I + VL)) : nullptr;
    }

    static constexpr long INPUT_TOKENS = 112;  // 8 tiles of 14 rows
};

// dL/dx = delta W, for deltas token .. last, of which the first is of the token at a place.
inline void input_gradient(const Job& job, const BackwardMemory& m, Place place, long token, long last, float* made) {
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
        for (const float* from = made; token < end; ++token, from += out_row, place.next(job))
            std::memcpy(job.d_x + (place.t * job.N + job.rank[place.r]) * job.I, from, job.I * 4);
    }
}

// The same for all deltas that are there. Threads divide them.
inline void input_gradient(const Job& job, const BackwardMemory& m, Place place, long count, int thread, int threads) {
    const long first = count * thread / threads;
    place.skip(job, first);
    input_gradient(job, m, place, first, count * (thread + 1) / threads, m.inputs[thread]);
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
        while (steps_ < job_.T && job_.active[steps_] > 0) ++steps_;
        left_ = steps_;
    }

    void begin() {
        if (job_.mask) copy_mask();
        clear_sums();
    }

    // As many steps as there is memory for their deltas. Returns the number of deltas, of all threads.
    long run() {
        made_ = 0;
        while (left_ > 0 && made_ + job_.active[time(left_ - 1, steps_)] <= most_) one_step(--left_, steps_);
        if (left_ == 0) finish_empty_rows();
        return made_;
    }

    bool is_done() const { return left_ == 0; }

    // Of the first delta that the next run makes.
    Place place() const {
        if (over_kept_) return {0, 0, 1};
        return {left_ > 0 ? time(left_ - 1, steps_) : 0, 0, job_.reverse ? 1 : -1};
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
    const bool over_kept_ = deltas_over_kept(plan_of(job_)), lies_in_order_ = lies_in_order(job_);
    int now_ = 0;
    long entered_ = 0;
    long steps_ = 0, left_ = 0;  // in all; not yet gone back through
    long made_ = 0;              // deltas of this run, of all threads
    const long most_ = delta_tokens(job_);

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
        const long first = (over_kept_ ? job_.token[t] : made_) + share_.r0;  // of this thread's deltas
        point_to_areas(t, first);
        read_states(t, rows);
        clear_missing(rows);
        fetch_next(s, steps, rows);
        step_.backwards = goes_back(s, rows);
        run_stages(step_, rows);
        if (job_.d_x && by_step(job_, share_)) input_gradient(job_, m_, {t, share_.r0, 1}, first, first + rows, inputs_);
        made_ += job_.active[t];
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
        const int kept = forward_area(plan_, Area::KEEP, UNITS);
        if (kept >= 0) {
            const Area& a = plan_.forward.areas[kept];
            const long row = area_stride(sizes_, a), vector = a.count * VL;
            const long at = (job_.token[t] + share_.r0) * row + first * vector;
            step_.next[0] = {tape_.area[kept] + at, row, blocks * vector, next, tiles - half, half};
        }
        const Width w = plan_.state_width[0];
        const long units = sizes_.units(w), from = share_.from(w), count = share_.to(w, sizes_) - from;
        const long at = (t * job_.N + share_.r0) * units + from;
        if (job_.d_output) step_.next[1] = {job_.d_output + at, units, count, next, tiles - half, half};
        if (forward_area(plan_, Area::NEW, w) >= 0) step_.next[2] = {job_.output + at, units, count, next, tiles - half, half};
    }

    // What the output tells of the first state: where it lies, or as rows of the step if those are others or no whole vectors.
    void read_states(long t, long rows) {
        const Width w = plan_.state_width[0];
        const long units = sizes_.units(w), from = share_.from(w), to = share_.to(w, sizes_), end = share_.u1[w] * VL;
        for (int k = 0; k < plan_.backward.num_areas && from < end && rows > 0; ++k) {
            const Area& a = plan_.backward.areas[k];
            if ((a.kind != Area::OLD && a.kind != Area::NEW) || is_taped(job_, a)) continue;
            if (lies_in_order_ && units % VL == 0) {
                step_.block.area[k] = const_cast<float*>(state(a.kind, units, {t, share_.r0, 1}));  // which is only read
                step_.block.stride[k] = units;
                continue;
            }
            for (long r = 0; r < rows; ++r) {
                float* const row = step_.block.area[k] + r * step_.block.stride[k];
                std::memcpy(row + from, state(a.kind, units, {t, share_.r0 + r, 1}) + from, (to - from) * 4);
                for (long u = to; u < end; ++u) row[u] = 0.0f;
            }
        }
    }

    const float* state(Area::Kind kind, long units, const Place& at) const {
        return kind == Area::OLD ? state_before(job_, units, at) : job_.output + (at.t * job_.N + job_.rank[at.r]) * units;
    }

    // Whether each step has all rows, as they are in the batch.
    static bool lies_in_order(const Job& job) {
        bool found = is_even(job) && max_rows(job) == job.N;
        for (long r = 0; found && r < job.N; ++r) found = job.rank[r] == r;
        return found;
    }

    // delta: where the deltas of the first row go.
    void point_to_areas(long t, long delta) {
        const Program& b = plan_.backward;
        for (int k = 0; k < b.num_areas; ++k) {
            const Area& a = b.areas[k];
            const long row = step_.strides[k], token = job_.token[t] + share_.r0;
            step_.block.stride[k] = row;
            switch (a.kind) {
                case Area::IN: step_.block.area[k] = adjoint(now_, a.index); break;
                case Area::OUT: step_.block.area[k] = adjoint(1 - now_, a.index); break;
                case Area::KEEP: step_.block.area[k] = m_.area[k] + token * row; break;
                case Area::DELTA: step_.block.area[k] = m_.area[k] + delta * row; break;
                case Area::NEW: step_.block.area[k] = m_.area[k] + (is_taped(job_, a) ? token : share_.r0) * row; break;
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
