// All time steps of a layer in one direction.
#pragma once

#include "step.h"

namespace recurra::RECURRA_ISA {

// The tape: what forward leaves for backward, one row of each area a token; and what one stage leaves for another, a row of the batch.
struct Tape {
    float* area[MAX_AREAS];

    Tape(const Job& job, Bump& bump) {
        const Program& f = plan_of(job).forward;
        const Sizes s(job);
        for (int k = 0; k < f.num_areas; ++k) {
            const Area& a = f.areas[k];
            const bool other = a.kind == Area::IN || a.kind == Area::OUT || a.kind == Area::SLOT || a.kind == Area::PARAMETER;
            area[k] = other ? nullptr : bump.floats((is_taped(job, a) ? num_tokens(job) : job.N) * area_stride(s, a));
        }
    }
};

inline long tape_bytes(const Job& job) {
    Bump bump(nullptr);
    Tape tape(job, bump);
    return bump.used();
}

// Tokens whose products with x are computed at once: enough rows for tall tiles, few enough to stay in the L2 cache.
constexpr long CHUNK_BYTES = 128 * 1024;

// The parameters as the forward pass reads them.
struct ForwardWeights {
    Packed packed[MAX_PRODUCTS];
    float* parameters;

    ForwardWeights(const Job& job, Bump& bump) {
        const Program& f = plan_of(job).forward;
        int k = 0;
        for (int i = 0; i < f.num_stages; ++i)
            for (int j = 0; j < f.stages[i].num_products; ++j)
                packed[k++] = place_packed(job, f, f.stages[i].products[j], bump);
        parameters = bump.floats(Sizes(job).blocks(UNITS) * plan_of(job).num_vectors * VL);
    }

    void fill(const Job& job, int thread, int threads) const {
        const Program& f = plan_of(job).forward;
        const Packed* to = packed;
        for (int i = 0; i < f.num_stages; ++i)
            for (int j = 0; j < f.stages[i].num_products; ++j) pack(job, f.stages[i].products[j], *to++, thread, threads);
        if (thread == 0) pack_vectors(job, parameters);
    }
};

inline long weight_bytes(const Job& job) {
    Bump bump(nullptr);
    ForwardWeights weights(job, bump);
    return bump.used();
}

inline void pack_all(const Job& job) {
    Bump bump(job.weights);
    ForwardWeights(job, bump).fill(job, 0, 1);
}

// Scratch memory that the threads share. Each thread writes its own rows, or its own units.
struct ForwardMemory {
    float* states[2][MAX_STATES];
    float* masked;
    float* mask;
    float* slots[64];   // by thread, or one for all that share the units
    float* inputs[64];
    float* rounded[64];
    long slot_row, slot_at[MAX_AREAS], chunk;

    ForwardMemory(const Job& job, Bump& bump) {
        const Plan& plan = plan_of(job);
        const Program& f = plan.forward;
        const Sizes s(job);
        for (int i = 0; i < plan.states; ++i)
            for (auto& side : states) side[i] = bump.floats(job.N * plain_stride(s, plan.state_width[i]));
        masked = job.mask ? bump.floats(job.N * plain_stride(s, plan.state_width[0])) : nullptr;
        mask = job.mask ? bump.floats(job.N * plain_stride(s, plan.state_width[0])) : nullptr;
        slot_row = 0;
        for (int i = 0; i < f.num_areas; ++i)
            if (f.areas[i].kind == Area::SLOT) {
                slot_at[i] = slot_row;
                slot_row += s.blocks(f.areas[i].width) * f.areas[i].count * VL;
            }
        slot_row = row_stride(slot_row);
        chunk = CHUNK_BYTES / (4 * slot_row);
        const long fewest = weights_outweigh(job) && max_rows(job) < TOKENS_BY_WEIGHTS ? TOKENS_BY_WEIGHTS : max_rows(job);
        chunk = chunk < fewest ? fewest : chunk;
        chunk = chunk < num_tokens(job) ? chunk : num_tokens(job);
        for (int t = 0; t < job.threads; ++t) {
            slots[t] = bump.floats(chunk * slot_row);
            inputs[t] = bump.floats(chunk * row_stride(job.I));
            rounded[t] = bump.floats(rounded_floats(job));
        }
    }
};

inline long forward_bytes(const Job& job) {
    Bump bump(nullptr);
    ForwardMemory memory(job, bump);
    if (!job.training) Tape tape(job, bump);  // one row of scratch for each row of the batch
    return bump.used();
}

// One thread's way through time.
class Forward {
public:
    Forward(const Job& job, const ForwardWeights& weights, ForwardMemory& memory, const Tape& tape, const Share& share,
            int thread)
        : job_(job), w_(weights), m_(memory), tape_(tape), share_(share), sizes_(job), plan_(plan_of(job)),
          slots_(memory.slots[share.by_units ? 0 : thread]), inputs_(memory.inputs[thread]),
          step_{job, plan_.forward, share, weights.packed, weights.parameters, nullptr, 0, nullptr, 0, {}, {}, {}, {}, -1, memory.rounded[thread]} {
        measure_areas(step_);
    }

    void run() {
        if (job_.mask) copy_mask();
        long steps = 0;
        while (steps < job_.T && job_.active[steps] > 0) ++steps;
        for (long s = 0; s < steps;) {
            const long end = chunk_end(s, steps);
            multiply_inputs(s, end, steps);
            long token = 0;
            for (; s < end; ++s) {
                one_step(s, steps, token);
                token += rows_at(s, steps);
            }
        }
        finish_empty_rows();
        clear_padding();
    }

private:
    const Job& job_;
    const ForwardWeights& w_;
    ForwardMemory& m_;
    const Tape& tape_;
    const Share share_;
    const Sizes sizes_;
    const Plan& plan_;
    float* const slots_;
    float* const inputs_;
    Step step_;
    int now_ = 0;        // which of the two copies of the states is the old one
    long entered_ = 0;   // rows that have begun

    long time(long s, long steps) const { return job_.reverse ? steps - 1 - s : s; }

    // How many of this thread's rows are real at step s.
    long rows_at(long s, long steps) const {
        if (s >= steps) return 0;
        const long n = job_.active[time(s, steps)] - share_.r0, mine = share_.r1 - share_.r0;
        return n < 0 ? 0 : n < mine ? n : mine;
    }

    long chunk_end(long s, long steps) const {
        long tokens = rows_at(s, steps), end = s + 1;
        while (end < steps && tokens + rows_at(end, steps) <= m_.chunk) tokens += rows_at(end++, steps);
        return end;
    }

    // Whether the tokens of some steps are neighbours in x as they are. Rows a multiple of 4 KiB apart share a cache set.
    bool lie_together() const {
        return !job_.reverse && job_.active[job_.T - 1] == job_.N && share_.r1 - share_.r0 == job_.N && job_.I % 1024;
    }

    // W x + b for all tokens of some steps.
    void multiply_inputs(long s, long end, long steps) {
        const bool together = lie_together();
        const long row = together ? job_.I : row_stride(job_.I);
        const float* inputs = together ? job_.x + s * job_.N * job_.I : inputs_;
        long tokens = together ? (end - s) * job_.N : 0;
        for (; s < end && !together; ++s)
            for (long r = 0; r < rows_at(s, steps); ++r, ++tokens)
                std::memcpy(inputs_ + tokens * row,
                            job_.x + (time(s, steps) * job_.N + job_.rank[share_.r0 + r]) * job_.I, job_.I * 4);
        const Program& f = plan_.forward;
        const Packed* packed = w_.packed;
        for (int i = 0; i < f.num_stages; ++i)
            for (int j = 0; j < f.stages[i].num_products; ++j, ++packed) {
                const Product& p = f.stages[i].products[j];
                if (p.argument != INPUT) continue;
                const Area& area = f.areas[p.area];
                const Target target{slots_ + m_.slot_at[p.area], m_.slot_row, area.count, p.first, p.columns, p.starts,
                                    w_.parameters, plan_.num_vectors};
                const Left left{inputs, row, static_cast<int>(job_.I), 1, 0};
                const long v0 = share_.u0[area.width] * p.columns, v1 = share_.u1[area.width] * p.columns;
                if (job_.I <= SHALLOW && packed->precision == FLOAT32)
                    multiply_shallow(left, tokens, packed->data, v0, v1, target);
                else
                    multiply_packed(left, tokens, *packed, v0, v1, target, step_.rounded, [] {});
            }
    }

    float* state(int side, int i) const {
        return m_.states[side][i] + share_.r0 * plain_stride(sizes_, plan_.state_width[i]);
    }

    void one_step(long s, long steps, long chunk_token) {
        const long t = time(s, steps), rows = rows_at(s, steps);
        enter(rows);
        step_.first_state = state(now_, 0);
        step_.first_state_row = plain_stride(sizes_, plan_.state_width[0]);
        step_.zeros = job_.zeros && s == 0;
        step_.backwards = goes_back(s, rows);
        if (job_.mask) mask_state(rows);
        point_to_areas(t, chunk_token);
        run_stages(step_, rows);
        zone_out(t, rows);
        write_output(t, rows);
        leave(rows_at(s + 1, steps), rows);
        now_ = 1 - now_;
    }

    void point_to_areas(long t, long chunk_token) {
        const Program& f = plan_.forward;
        for (int k = 0; k < f.num_areas; ++k) {
            const Area& a = f.areas[k];
            step_.block.stride[k] = step_.strides[k];
            switch (a.kind) {
                case Area::IN: step_.block.area[k] = state(now_, a.index); break;
                case Area::OUT: step_.block.area[k] = state(1 - now_, a.index); break;
                case Area::SLOT:
                    step_.block.area[k] = slots_ + chunk_token * m_.slot_row + m_.slot_at[k];
                    step_.block.stride[k] = m_.slot_row;
                    break;
                case Area::PARAMETER:
                    step_.block.area[k] = w_.parameters;
                    step_.block.stride[k] = 0;
                    break;
                default: {
                    const long first = is_taped(job_, a) ? job_.token[t] : 0;
                    step_.block.area[k] = tape_.area[k] + (first + share_.r0) * step_.block.stride[k];
                }
            }
        }
    }

    // Rows that begin at this step start from the initial states.
    void enter(long rows) {
        if (rows <= entered_ && !share_.by_units) return;
        const bool any = rows > entered_;
        for (; entered_ < rows; ++entered_)
            for (int i = 0; i < plan_.states; ++i) {
                const Width w = plan_.state_width[i];
                const long units = sizes_.units(w), row = plain_stride(sizes_, w);
                float* to = state(now_, i) + entered_ * row;
                const float* from = job_.states[i] + job_.rank[share_.r0 + entered_] * units;
                for (long u = share_.from(w); u < share_.u1[w] * VL; ++u) to[u] = u < units ? from[u] : 0.0f;
            }
        if (any) share_.meet();
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

    void mask_state(long rows) {
        const long row = plain_stride(sizes_, plan_.state_width[0]);
        float* to = m_.masked + share_.r0 * row;
        for (long r = 0; r < rows; ++r)
            for (long u = 0; u < sizes_.blocks(plan_.state_width[0]) * VL; u += VL)
                store(to + r * row + u, masked(load(step_.first_state + r * row + u), load(step_.mask + r * row + u)));
        step_.first_state = to;
    }

    // Keep old values where zoneout says so; in evaluation, their expectation (Krueger et al. 2017, eq. 3).
    void zone_out(long t, long rows) {
        bool any = false;
        for (int i = 0; i < plan_.states; ++i) {
            const Width w = plan_.state_width[i];
            const long units = sizes_.units(w), row = plain_stride(sizes_, w);
            const float z = job_.zone[i];
            if (!job_.zone_mask[i] && z == 0.0f) continue;
            any = true;
            if (i == 0) keep_new(rows);
            for (long r = 0; r < rows; ++r) {
                const float* old = state(now_, i) + r * row;
                float* made = state(1 - now_, i) + r * row;
                const std::uint8_t* keep =
                    job_.zone_mask[i] ? job_.zone_mask[i] + (t * job_.N + job_.rank[share_.r0 + r]) * units : nullptr;
                for (long u = share_.from(w); u < share_.to(w, sizes_); ++u)
                    made[u] = keep ? (keep[u] ? old[u] : made[u]) : z * old[u] + (1.0f - z) * made[u];
            }
        }
        if (any) share_.meet();
    }

    // The first state as the stages made it, where the gradient needs that.
    void keep_new(long rows) {
        const Width w = plan_.state_width[0];
        const long row = plain_stride(sizes_, w), from = share_.from(w), count = share_.u1[w] * VL - from;
        for (int k = 0; k < plan_.forward.num_areas && job_.training; ++k)
            for (long r = 0; r < rows && count > 0 && plan_.forward.areas[k].kind == Area::NEW; ++r)
                std::memcpy(step_.block.area[k] + r * step_.block.stride[k] + from, state(1 - now_, 0) + r * row + from, count * 4);
    }

    void write_output(long t, long rows) {
        const Width w = plan_.state_width[0];
        const long units = sizes_.units(w), row = plain_stride(sizes_, w);
        const long from = share_.from(w), count = share_.to(w, sizes_) - from;
        for (long r = 0; r < rows && count > 0; ++r)
            std::memcpy(job_.output + (t * job_.N + job_.rank[share_.r0 + r]) * units + from,
                        state(1 - now_, 0) + r * row + from, count * 4);
    }

    // Rows that end with this step hand over their states.
    void leave(long next, long rows) {
        for (int i = 0; i < plan_.states; ++i) {
            const Width w = plan_.state_width[i];
            const long units = sizes_.units(w), row = plain_stride(sizes_, w);
            const long from = share_.from(w), count = share_.to(w, sizes_) - from;
            for (long r = next; r < rows && count > 0; ++r)
                std::memcpy(job_.finals[i] + job_.rank[share_.r0 + r] * units + from,
                            state(1 - now_, i) + r * row + from, count * 4);
        }
    }

    void finish_empty_rows() {
        for (int i = 0; i < plan_.states; ++i) {
            const Width w = plan_.state_width[i];
            const long units = sizes_.units(w), from = share_.from(w), count = share_.to(w, sizes_) - from;
            for (long r = share_.r0 + entered_; r < share_.r1 && count > 0; ++r)
                std::memcpy(job_.finals[i] + job_.rank[r] * units + from, job_.states[i] + job_.rank[r] * units + from,
                            count * 4);
        }
    }

    void clear_padding() {
        const Width w = plan_.state_width[0];
        const long units = sizes_.units(w), from = share_.from(w), count = share_.to(w, sizes_) - from;
        for (long t = 0; t < job_.T && count > 0; ++t)
            for (long r = job_.active[t] > share_.r0 ? job_.active[t] : share_.r0; r < share_.r1; ++r)
                std::memset(job_.output + (t * job_.N + job_.rank[r]) * units + from, 0, count * 4);
    }
};

inline void forward(const Job& job) {
    Bump packed(job.weights), bump(job.scratch);
    const ForwardWeights weights(job, packed);
    ForwardMemory memory(job, bump);
    Bump taped(job.training ? job.tape : job.scratch + bump.used());
    const Tape tape(job, taped);
    parallel(job.threads, [&](int thread, int threads, Barrier& barrier) {
        if (!job.packed) weights.fill(job, thread, threads);
        barrier.wait();
        const Share share = share_of(job, plan_of(job).forward, thread, threads, &barrier);
        Forward(job, weights, memory, tape, share, thread).run();
    });
}

}  // namespace recurra::RECURRA_ISA
