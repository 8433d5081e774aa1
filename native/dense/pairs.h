// Products of bfloat16 by bfloat16 with sums of float32: the argument is rounded too, to the nearest, ties to even. Processors
// have instructions for pairs of such numbers: AMX multiplies tiles of 16 x 32 by 32 x 16, AVX512-BF16 vectors of 16 pairs.
//
// Weights are packed as both take them: [panel][pair of k][2 * VL columns][2], with zeros up to a whole tile of k. A row's sums
// are made in the order of k, whatever other rows there are: so it has the same bits alone and in any batch.
#pragma once

#include <cstdint>
#include <cstring>

#include "gemm.h"
#if defined(__AVX512F__)
#include <immintrin.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace recurra::RECURRA_ISA {

// What multiplies pairs here. ROUNDED: nothing does; rows are rounded and multiplied as float32.
enum class Pairs { ROUNDED, VECTORS, TILES };

constexpr long PAIR_DEPTH = 32;  // numbers of k in a tile
inline long paired_depth(long depth) { return (depth + PAIR_DEPTH - 1) / PAIR_DEPTH * PAIR_DEPTH; }

inline float rounded_to_bfloat16(float number) {
    std::uint32_t bits;
    std::memcpy(&bits, &number, 4);
    const bool finite = (bits & 0x7F800000u) != 0x7F800000u;
    bits = (finite ? bits + 0x7FFFu + (bits >> 16 & 1) : (bits & 0x7FFFFFu ? bits | 0x400000u : bits)) & 0xFFFF0000u;
    std::memcpy(&number, &bits, 4);
    return number;
}

#if defined(__AVX512F__)

#define RECURRA_PAIRS [[gnu::target("avx512bf16")]]
#define RECURRA_TILES [[gnu::target("avx512bf16,amx-tile,amx-bf16")]]

// Whether the system keeps the registers of tiles for this process: asked for once.
inline bool tiles_granted() {
#if defined(__linux__) && defined(SYS_arch_prctl)
    constexpr long ASK = 0x1023, TILE_DATA = 18;
    return syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
#else
    return false;
#endif
}

inline Pairs find_pairs() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    const auto leaf = [&](unsigned page) {
        asm volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7u), "c"(page));
    };
    leaf(1);
    if (!(a >> 5 & 1)) return Pairs::ROUNDED;
    leaf(0);
    constexpr unsigned BFLOAT16_TILES = 1u << 22, ANY_TILES = 1u << 24;
    const bool tiles = (d & BFLOAT16_TILES) && (d & ANY_TILES);
    return tiles && tiles_granted() ? Pairs::TILES : Pairs::VECTORS;
}

inline Pairs pairs_here() {
    static const Pairs found = find_pairs();
    return found;
}

// Some rows as bfloat16, with zeros behind `depth` numbers up to a whole tile.
RECURRA_PAIRS inline void round_rows(const float* rows, long row, long count, long depth, std::uint16_t* to, long to_row) {
    for (long r = 0; r < count; ++r)
        for (long k = 0; k < paired_depth(depth); k += VL) {
            const long left = depth - k;
            const __mmask16 there = left >= VL ? 0xFFFF : left <= 0 ? 0 : static_cast<__mmask16>((1u << left) - 1);
            const __m256bh made = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(there, rows + r * row + k));
            std::memcpy(to + r * to_row + k, &made, 32);
        }
}

// Rows MR by a panel of weights.
template <int MR>
RECURRA_PAIRS [[gnu::noinline]] void pair_tile(const std::uint16_t* a, long a_row, const std::uint16_t* b, long depth, const Column* columns) {
    __m512 sum[MR][2];
#pragma GCC unroll 14
    for (int i = 0; i < MR; ++i)
        for (int j = 0; j < 2; ++j) sum[i][j] = _mm512_loadu_ps(columns[j].init + i * columns[j].init_row);
    for (long k = 0; k < depth; k += 2, b += 2 * PANEL) {
        const __m512bh first = (__m512bh)_mm512_loadu_si512(b), second = (__m512bh)_mm512_loadu_si512(b + PANEL);
#pragma GCC unroll 14
        for (int i = 0; i < MR; ++i) {
            std::int32_t pair;
            std::memcpy(&pair, a + i * a_row + k, 4);
            const __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], both, first);
            sum[i][1] = _mm512_dpbf16_ps(sum[i][1], both, second);
        }
    }
#pragma GCC unroll 14
    for (int i = 0; i < MR; ++i)
        for (int j = 0; j < 2; ++j) _mm512_storeu_ps(columns[j].c + i * columns[j].c_row, sum[i][j]);
}

using PairTile = void (*)(const std::uint16_t*, long, const std::uint16_t*, long, const Column*);
inline PairTile pair_tile_of(int rows) {
    constexpr PairTile all[] = {pair_tile<1>, pair_tile<2>, pair_tile<3>,  pair_tile<4>,  pair_tile<5>,  pair_tile<6>,  pair_tile<7>,
                                pair_tile<8>, pair_tile<9>, pair_tile<10>, pair_tile<11>, pair_tile<12>, pair_tile<13>, pair_tile<14>};
    return all[rows - 1];
}

constexpr int TILE_ROWS = 16;

// What the processor is told of its tiles: 0 .. 3 are sums, 4 and 5 rows of the argument, 6 and 7 weights.
struct alignas(64) TileShapes {
    std::uint8_t palette = 1, start = 0, none[14] = {};
    std::uint16_t bytes[16] = {};
    std::uint8_t rows[16] = {};
    TileShapes(int upper, int lower) {
        for (int t = 0; t < 8; ++t) {
            const bool is_lower = t == 2 || t == 3 || t == 5;
            rows[t] = static_cast<std::uint8_t>(t >= 6 ? TILE_ROWS : is_lower ? lower : upper);
            bytes[t] = rows[t] ? 64 : 0;
        }
    }
};

// Up to 32 rows by panels p0 .. p1, whose columns `at` tells. The sums of a tile of k are added to those before it.
template <bool Lower, typename ColumnsOf>
RECURRA_TILES void tile_panels(const std::uint16_t* a, long a_row, const std::uint16_t* b, long depth, long p0, long p1, const ColumnsOf& at) {
    const std::uint16_t* const lower = a + TILE_ROWS * a_row;
    for (long p = p0; p < p1; ++p) {
        Column to[2];
        at(p, to);
        const std::uint16_t* weights = b + p * depth * PANEL;
        const auto init = [&](int j, long r) { return to[j].init + r * to[j].init_row; };
        _tile_loadd(0, init(0, 0), to[0].init_row * 4);
        _tile_loadd(1, init(1, 0), to[1].init_row * 4);
        if constexpr (Lower) {
            _tile_loadd(2, init(0, TILE_ROWS), to[0].init_row * 4);
            _tile_loadd(3, init(1, TILE_ROWS), to[1].init_row * 4);
        }
        for (long k = 0; k < depth; k += PAIR_DEPTH, weights += PAIR_DEPTH * PANEL) {
            _tile_loadd(6, weights, PANEL * 4);
            _tile_loadd(4, a + k, a_row * 2);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, weights + PANEL, PANEL * 4);
            _tile_dpbf16ps(1, 4, 7);
            if constexpr (Lower) {
                _tile_loadd(5, lower + k, a_row * 2);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
        }
        _tile_stored(0, to[0].c, to[0].c_row * 4);
        _tile_stored(1, to[1].c, to[1].c_row * 4);
        if constexpr (Lower) {
            _tile_stored(2, to[0].c + TILE_ROWS * to[0].c_row, to[0].c_row * 4);
            _tile_stored(3, to[1].c + TILE_ROWS * to[1].c_row, to[1].c_row * 4);
        }
    }
}

template <typename ColumnsOf>
RECURRA_TILES void multiply_tiles(const std::uint16_t* a, long a_row, int rows, const std::uint16_t* b, long depth, long p0, long p1, const ColumnsOf& at) {
    const int upper = rows < TILE_ROWS ? rows : TILE_ROWS;
    const TileShapes shapes(upper, rows - upper);
    _tile_loadconfig(&shapes);
    if (rows > TILE_ROWS) tile_panels<true>(a, a_row, b, depth, p0, p1, at);
    else tile_panels<false>(a, a_row, b, depth, p0, p1, at);
    _tile_release();
}

template <typename ColumnsOf>
void multiply_vectors(const std::uint16_t* a, long a_row, int rows, const std::uint16_t* b, long depth, long p0, long p1, const ColumnsOf& at) {
    const RowTiles tiles(rows);
    for (long p = p0; p < p1; ++p) {
        Column to[2];
        at(p, to);
        const std::uint16_t* from = a;
        for (long k = 0; k < tiles.count; ++k) {
            const int mr = static_cast<int>(tiles.height + (k < tiles.taller));
            pair_tile_of(mr)(from, a_row, b + p * depth * PANEL, depth, to);
            from += mr * a_row;
            for (Column& c : to) c.init += mr * c.init_row, c.c += mr * c.c_row;
        }
    }
}

#else
inline Pairs pairs_here() { return Pairs::ROUNDED; }
#endif

// What multiplies a matrix of so many numbers: telling the processor of its tiles takes longer than a small product. It depends
// on the weights alone, and never on the rows.
constexpr long FEW_NUMBERS = 64 * 4 * 64;
inline Pairs pairs_for(long numbers) {
    const Pairs best = pairs_here();
    return best == Pairs::TILES && numbers <= FEW_NUMBERS ? Pairs::VECTORS : best;
}

// Floats that a panel of pairs takes. Rows of the argument that are multiplied at once, and from one rounded row to the next.
inline long paired_panel(long depth) { return PANEL * paired_depth(depth) / 2; }
constexpr long ROWS_AT_ONCE = 32;
inline long rounded_row(long depth) { return row_stride(paired_depth(depth)); }

// Panel p of the weights W x, whose numbers are bfloat16.
using Halves = std::uint16_t __attribute__((may_alias));
inline void pack_pairs(const Matrix& m, const int* gates, int columns, long vectors, long p, float* panel) {
    const Halves* const weights = reinterpret_cast<const Halves*>(m.weights);
    Halves* const to = reinterpret_cast<Halves*>(panel);
    const long depth = paired_depth(m.depth);
    for (long j = 0; j < PANEL; ++j) {
        const long v = 2 * p + j / VL, unit = v / columns * VL + j % VL;
        const bool there = v < vectors && unit < m.units;
        const Halves* row = there ? weights + (gates[v % columns] * m.units + unit) * m.depth : nullptr;
        for (long k = 0; k < depth; ++k) to[(k / 2 * PANEL + j) * 2 + k % 2] = row && k < m.depth ? row[k] : 0;
    }
}

// C[rows][v0 .. v1) from the rows of A, rounded into `scratch`, and packed weights. v0 is even. A column beyond v1 goes to `spare`.
template <typename Between>
void multiply_pairs(Left left, long rows, const float* packed, long v0, long v1, const Target& target, [[maybe_unused]] Pairs how, float* scratch,
                    const Between& between) {
    const long depth = left.depth();
    const float* const a = left.a;
    const long row = left.row;
    for (long r = 0; r < rows; r += ROWS_AT_ONCE) {
        const long count = rows - r < ROWS_AT_ONCE ? rows - r : ROWS_AT_ONCE;
        Target to = target;
        to.c += r * target.row;
        between();
#if defined(__AVX512F__)
        if (how != Pairs::ROUNDED) {
            const float zeros[VL] = {};
            float spare[VL];
            auto* const pairs = reinterpret_cast<std::uint16_t*>(scratch);
            round_rows(a + r * row, row, count, depth, pairs, rounded_row(depth));
            const auto at = [&](long p, Column* columns) {
                for (long v = 2 * p; v < 2 * p + 2; ++v)
                    *columns++ = v < v1 ? to.column(v / to.columns, v % to.columns, zeros) : Column{zeros, 0, spare, 0};
            };
            const auto run = how == Pairs::TILES ? &multiply_tiles<decltype(at)> : &multiply_vectors<decltype(at)>;
            run(pairs, rounded_row(depth), static_cast<int>(count), reinterpret_cast<const std::uint16_t*>(packed), paired_depth(depth), v0 / 2,
                (v1 + 1) / 2, at);
            continue;
        }
#endif
        left.row = rounded_row(depth);
        left.a = scratch;
        for (long i = 0; i < count; ++i)
            for (long k = 0; k < depth; ++k) scratch[i * left.row + k] = rounded_to_bfloat16(a[(r + i) * row + k]);
        multiply<false, Bfloat16>(left, count, reinterpret_cast<const Bfloat16::Word*>(packed), v0, v1, to, between);
    }
}

}  // namespace recurra::RECURRA_ISA
