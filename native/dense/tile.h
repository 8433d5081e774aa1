// The micro-kernel: a tile of C = init + A B in registers. Every product of the engine goes through it.
//
// B is packed in panels of two vectors: [panel][k][2 * VL]. Each element of C is one chain of multiply-adds over k in
// order, whatever the shape of the tile: so a row has the same bits alone and in any batch, on any number of threads.
#pragma once

#include "numbers.h"

namespace recurra::RECURRA_ISA {

// 32 registers hold 14 x 2 sums, two vectors of B and one number of A; 16 registers hold 6 x 2. Tiles of several panels take no
// more than MAX_SUMS: with 12 of 16 registers, compilers keep vectors of B in memory, and 3 x 4 is slower than 3 x 2.
#if defined(__AVX512F__)
constexpr int MAX_ROWS = 14;
constexpr int MAX_SUMS = 28;
#else
constexpr int MAX_ROWS = 6;
constexpr int MAX_SUMS = 8;
#endif

// From so many rows on, tiles fetch weights for later ones.
constexpr int FETCHING_ROWS = 4;

// Where the rows of A are: row i, place k at a[i * row + k], in `outer` runs of `inner` numbers that lie `skip` apart.
// next: what tiles of B come after this one; each k fetches a line and goes on by `step` bytes (not Packed).
// scales: of the columns of B, where its numbers have any.
struct Left {
    const float* a;
    long row;
    int inner;
    int outer;
    long skip;
    const char* next = nullptr;
    long step = 0;
    const float* scales = nullptr;
    long depth() const { return static_cast<long>(inner) * outer; }
};

// One vector of columns of C: where the sums start from (a row of C, or a bias with row stride 0), and where they go.
struct Column {
    const float* init;
    long init_row;
    float* c;
    long c_row;
};

// Few rows leave registers free; so several panels go side by side, to have enough independent chains (FMA latency 4,
// two a cycle: at least 8).
constexpr int panels_for(int rows) {
    int panels = MAX_SUMS / (2 * rows);
    return panels < 1 ? 1 : panels > 6 ? 6 : panels;
}

// Rows MR, panels NP, `panel` words apart. With Packed, row i, place k of A is at a[k * MR + i].
template <int MR, int NP, bool Packed, typename Numbers>
[[gnu::noinline]] void tile(const Left& left, const typename Numbers::Word* b, long panel, const Column* columns) {
    V sum[MR][NP * 2];
#pragma GCC unroll 14
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 12
        for (int j = 0; j < NP * 2; ++j) sum[i][j] = load(columns[j].init + i * columns[j].init_row);

    constexpr int GROUPS = (MR + 2) / 3;
    const long row = left.row;
    [[maybe_unused]] const long step = left.step;
    [[maybe_unused]] const char* next = left.next ? left.next : reinterpret_cast<const char*>(b);
    for (int o = 0; o < left.outer; ++o) {
        const float* a = left.a + o * left.skip;
        // One pointer for three rows: x86 addresses base, base + row, base + 2 row, so the loop needs few registers.
        const float* base[GROUPS];
#pragma GCC unroll 5
        for (int g = 0; g < GROUPS; ++g) base[g] = a + 3 * g * row;
#pragma GCC unroll 2
        for (int k = 0; k < left.inner; ++k) {
            // Numbers that must be unpacked are used at once, panel by panel: a few rows leave no registers to wait in.
            constexpr int AT_ONCE = Numbers::PLAIN ? NP : 1;
            V right[AT_ONCE * 2];
#pragma GCC unroll 6
            for (int j = 0; j < AT_ONCE; ++j) Numbers::read(b + j * panel, left.scales, j, right[2 * j], right[2 * j + 1]);
            if constexpr (MR >= FETCHING_ROWS) {  // the L1 prefetcher alone loses a tenth of the speed when B comes from L2
                __builtin_prefetch(b + 16 * Numbers::WORDS);
                if constexpr (!Packed) {
                    __builtin_prefetch(next);
                    next += step;
                }
                if constexpr (Numbers::WORDS * sizeof(*b) > 64) __builtin_prefetch(b + 16 * PANEL + VL);  // the second line
            }
#pragma GCC unroll 6
            for (int p = 0; p < NP; p += AT_ONCE) {
                if (p > 0) Numbers::read(b + p * panel, left.scales, p, right[0], right[1]);
#pragma GCC unroll 14
                for (int i = 0; i < MR; ++i) {
                    V s = splat(Packed ? a[i] : base[i / 3][(i % 3) * row]);
#pragma GCC unroll 12
                    for (int j = 0; j < AT_ONCE * 2; ++j) sum[i][2 * p + j] += s * right[j];
                }
            }
            b += Numbers::WORDS;
            if constexpr (Packed) {
                a += MR;
            } else {
#pragma GCC unroll 5
                for (int g = 0; g < GROUPS; ++g) ++base[g];
            }
        }
    }

#pragma GCC unroll 14
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 12
        for (int j = 0; j < NP * 2; ++j) store(columns[j].c + i * columns[j].c_row, sum[i][j]);
}

}  // namespace recurra::RECURRA_ISA
