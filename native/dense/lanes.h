// y = x W^T + b of few rows, W as it lies: rows are lanes, and each number of W is multiplied with all of them at once.
//
// Only the rows are turned. So W passes through the caches once, in order, and nothing of it is packed; every number of y is
// the chain of multiply-adds that it is in the tiles.
#pragma once

#include "../simd/transpose.h"

namespace recurra::RECURRA_ISA::lanes {

// A line of W that comes so many bytes behind the outputs in hand is fetched into the L2 cache: nothing of it is in the L1 cache
// for longer than it takes, so there it would push out the rows.
constexpr long AHEAD = 24 * 1024;
constexpr long LINE = 16;  // floats of it

// Vectors of rows with which products of so many rows take less time than in tiles; 0: with none. A tile of a few rows takes as
// long as its weights take to come; of many, lanes that stay empty cost more than packing does. Vectors of 4 leave too few sums.
inline int vectors_for(long rows) {
    if (VL < 8 || rows <= 4) return 0;
    return rows <= VL ? 1 : rows >= 2 * VL - VL / 4 && rows <= 2 * VL ? 2 : 0;
}

// Up to VL * NV rows; so many outputs at once that there are VL sums.
template <int NV>
constexpr int OUTPUTS = VL / NV;

// Rows (rows, depth), `row` apart, as turned (depth, NV * VL): zeros where there is no row.
template <int NV>
void turn(const float* x, long row, long rows, long depth, float* turned) {
    float square[VL * VL];
    V columns[VL];
    for (int v = 0; v < NV; ++v, x += VL * row, rows -= VL)
        for (long k = 0; k < depth; k += VL) {
            const long deep = depth - k < VL ? depth - k : VL;
            for (int i = 0; i < VL; ++i) {
                if (i < rows && deep == VL) store(square + i * VL, load(x + i * row + k));
                else
                    for (long j = 0; j < VL; ++j) square[i * VL + j] = i < rows && j < deep ? x[i * row + k + j] : 0.0f;
            }
            read_columns(square, VL, columns);
#pragma GCC unroll 16
            for (int j = 0; j < VL; ++j)
                if (j < deep) store(turned + ((k + j) * NV + v) * VL, columns[j]);
        }
}

// Some outputs of all rows, output by output. weights: theirs, depth apart
template <int NV>
[[gnu::noinline]] void outputs(const float* turned, const float* weights, long depth, const float* start, float* to) {
    constexpr int OUT = OUTPUTS<NV>, GROUPS = (OUT + 2) / 3;
    V sum[OUT][NV];
#pragma GCC unroll 16
    for (int o = 0; o < OUT; ++o)
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) sum[o][v] = start ? splat(start[o]) : V{};
    const char* next = reinterpret_cast<const char*>(weights + OUT * depth) + AHEAD;
    const float* base[GROUPS];  // as in tile.h
#pragma GCC unroll 6
    for (int g = 0; g < GROUPS; ++g) base[g] = weights + 3 * g * depth;
    const auto add = [&](const float* x, int k) __attribute__((always_inline)) {
        V right[NV];
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) right[v] = load(x + v * VL);
#pragma GCC unroll 16
        for (int o = 0; o < OUT; ++o) {
            const V s = splat(base[o / 3][(o % 3) * depth + k]);
#pragma GCC unroll 2
            for (int v = 0; v < NV; ++v) sum[o][v] += s * right[v];
        }
    };
    long k = 0;
    for (; k + LINE <= depth; k += LINE) {
#pragma GCC unroll 16
        for (int j = 0; j < LINE; ++j) {
            if (j < OUT) __builtin_prefetch(next + j * LINE * 4, 0, 2);
            add(turned + (k + j) * NV * VL, j);
        }
        next += OUT * LINE * 4;
#pragma GCC unroll 6
        for (int g = 0; g < GROUPS; ++g) base[g] += LINE;
    }
    for (int j = 0; k + j < depth; ++j) add(turned + (k + j) * NV * VL, j);
#pragma GCC unroll 16
    for (int o = 0; o < OUT; ++o)
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) store(to + (o * NV + v) * VL, sum[o][v]);
}

// VL outputs of all rows; y: rows `row` apart
template <int NV>
void multiply(const float* turned, const float* weights, long depth, const float* start, float* y, long row, long rows) {
    float made[VL * NV * VL];
    V columns[VL];
    for (int o = 0; o < VL; o += OUTPUTS<NV>)
        outputs<NV>(turned, weights + o * depth, depth, start ? start + o : nullptr, made + o * NV * VL);
    for (int v = 0; v < NV; ++v) {
        read_columns(made + v * VL, NV * VL, columns);
#pragma GCC unroll 16
        for (int i = 0; i < VL; ++i)
            if (v * VL + i < rows) store(y + (v * VL + i) * row, columns[i]);
    }
}

}  // namespace recurra::RECURRA_ISA::lanes
