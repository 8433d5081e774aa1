// What this processor can do at most: multiply-adds from registers, reading memory, and a cell's functions without products.
#pragma once

#include "forward.h"

namespace recurra::RECURRA_ISA {

// Independent multiply-adds in registers. Floating-point operations of `rounds` rounds.
inline double fma_rounds(long rounds) {
    constexpr int CHAINS = 12;
    V sum[CHAINS];
    for (int k = 0; k < CHAINS; ++k) sum[k] = splat(static_cast<float>(k));
    const V a = splat(0.999f), b = splat(1e-6f);
    for (long i = 0; i < rounds; ++i)
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; ++k) sum[k] = sum[k] * a + b;
    V total = sum[0];
    for (int k = 1; k < CHAINS; ++k) total += sum[k];
    volatile float used = lane_sum(total);
    (void)used;
    return 2.0 * VL * CHAINS * static_cast<double>(rounds);
}

// The same memory again and again, in vectors. Bytes that were read: whole lines of eight vectors.
inline double read_rounds(const float* memory, long bytes, long rounds) {
    constexpr int CHAINS = 8;
    const long count = bytes / 4 / (CHAINS * VL);
    V sum[CHAINS] = {};
    for (long i = 0; i < rounds; ++i) {
        const float* at = memory;
        for (long k = 0; k < count; ++k, at += CHAINS * VL)
#pragma GCC unroll 8
            for (int c = 0; c < CHAINS; ++c) sum[c] += load(at + c * VL);
    }
    V total = sum[0];
    for (int c = 1; c < CHAINS; ++c) total += sum[c];
    volatile float used = lane_sum(total);
    (void)used;
    return 4.0 * CHAINS * VL * static_cast<double>(count) * static_cast<double>(rounds);
}

// One row's memory for the stages of a program: every area has its own, but for deltas that are written over what was kept.
inline Block stage_block(const Job& job, const Program& program, Bump& bump) {
    const Sizes s(job);
    Block block{};
    block.rows = 1;
    for (int k = 0; k < program.num_areas; ++k) {
        const Area& a = program.areas[k];
        const bool parameter = a.kind == Area::PARAMETER;
        block.stride[k] = parameter ? 0 : area_stride(s, a);
        block.area[k] = bump.floats(parameter ? s.blocks(UNITS) * plan_of(job).num_vectors * VL : block.stride[k]);
        for (int other = 0; other < program.num_areas && a.over_kept; ++other)
            if (program.areas[other].kind == Area::KEEP && program.areas[other].width == a.width) block.area[k] = block.area[other];
    }
    return block;
}

inline const Program& program_of(const Job& job, bool back) { return back ? plan_of(job).backward : plan_of(job).forward; }

inline long stage_bytes(const Job& job, bool back) {
    Bump bump(nullptr);
    stage_block(job, program_of(job, back), bump);
    return bump.used();
}

// A cell's functions, forward (for training where the job says so) or back, of one row again and again, in job.scratch.
inline void stage_rounds(const Job& job, bool back, long rounds) {
    const Program& program = program_of(job, back);
    Bump bump(job.scratch);
    Block block = stage_block(job, program, bump);
    for (long k = 0; k < bump.used() / 4; ++k) reinterpret_cast<float*>(job.scratch)[k] = 0.25f;
    for (long i = 0; i < rounds; ++i)
        for (int k = 0; k < program.num_stages; ++k) {
            const Stage& stage = program.stages[k];
            block.units = Sizes(job).units(stage.width);
            block.u0 = 0;
            block.u1 = static_cast<int>(Sizes(job).blocks(stage.width));
            (job.training ? stage.training : stage.inference)(block);
        }
}

}  // namespace recurra::RECURRA_ISA
