// Products of any size from the tiles of tile.h, and the packing of weights for them.
#pragma once

#include "../memory.h"
#include "../simd/transpose.h"
#include "tile.h"

namespace recurra::RECURRA_ISA {

template <typename Numbers>
using Tile = void (*)(const Left&, const typename Numbers::Word*, long, const Column*);

template <int MR, bool Packed, typename Numbers>
constexpr Tile<Numbers> tile_of(int panels) {
    constexpr int most = panels_for(MR);
    if constexpr (most >= 6)
        if (panels >= 6) return tile<MR, 6, Packed, Numbers>;
    if constexpr (most >= 4)
        if (panels >= 4) return tile<MR, 4, Packed, Numbers>;
    if constexpr (most >= 3)
        if (panels >= 3) return tile<MR, 3, Packed, Numbers>;
    if constexpr (most >= 2)
        if (panels >= 2) return tile<MR, 2, Packed, Numbers>;
    return tile<MR, 1, Packed, Numbers>;
}

// How many of the panels that are left to take at once: as many as there is a tile for, but 8 as 4 + 4, since a tile of
// two panels and one row is too narrow to keep the multipliers busy.
constexpr int panels_at_once(int rows, long left) {
    const int most = panels_for(rows);
    if (most >= 6 && left >= 6 && left != 7 && left != 8) return 6;
    if (most >= 4 && left >= 4) return 4;
    if (most >= 3 && left >= 3) return 3;
    return most >= 2 && left >= 2 ? 2 : 1;
}

template <bool Packed, typename Numbers = Float32>
Tile<Numbers> find_tile(int rows, int panels) {
    switch (rows) {
        case 1: return tile_of<1, Packed, Numbers>(panels);
        case 2: return tile_of<2, Packed, Numbers>(panels);
        case 3: return tile_of<3, Packed, Numbers>(panels);
        case 4: return tile_of<4, Packed, Numbers>(panels);
        case 5: return tile_of<5, Packed, Numbers>(panels);
#if defined(__AVX512F__)
        case 7: return tile_of<7, Packed, Numbers>(panels);
        case 8: return tile_of<8, Packed, Numbers>(panels);
        case 9: return tile_of<9, Packed, Numbers>(panels);
        case 10: return tile_of<10, Packed, Numbers>(panels);
        case 11: return tile_of<11, Packed, Numbers>(panels);
        case 12: return tile_of<12, Packed, Numbers>(panels);
        case 13: return tile_of<13, Packed, Numbers>(panels);
        case 14: return tile_of<14, Packed, Numbers>(panels);
#endif
        default: return tile_of<6, Packed, Numbers>(panels);
    }
}

// Starts of sums that are no bias.
constexpr int FROM_MEMORY = -1, FROM_ZERO = -2;

// Where the columns of a product go: vector v is column v % columns of block v / columns of an area.
struct Target {
    float* c;
    long row;
    int run, first, columns;
    const int* starts;       // null: from memory
    const float* parameters; // blocks of `vectors` parameter vectors
    int vectors;

    // Column j of a block. Callers count blocks and columns: dividing takes as long as a small product.
    Column column(long block, long j, const float* zeros) const {
        float* at = c + (block * run + first + j) * VL;
        const int start = starts ? starts[j] : FROM_MEMORY;
        if (start == FROM_MEMORY) return {at, row, at, row};
        if (start == FROM_ZERO) return {zeros, 0, at, row};
        return {parameters + (block * vectors + start) * VL, 0, at, row};
    }
};

// Rows of equal height, as tall as the registers allow: 32 rows are 11 + 11 + 10, not 14 + 14 + 4.
struct RowTiles {
    long count, height, taller;
    explicit RowTiles(long rows) {
        count = (rows + MAX_ROWS - 1) / MAX_ROWS;
        height = count ? rows / count : 0;
        taller = count ? rows % count : 0;
    }
    int tallest() const { return static_cast<int>(height + (taller > 0)); }
};

// Which columns of a target a vector of a product is, counted on and back.
struct Vectors {
    long block, column;
    Vectors(long vector, long columns) : block(vector ? vector / columns : 0), column(vector ? vector % columns : 0) {}
    void next(long columns) {
        if (++column == columns) column = 0, ++block;
    }
    void before(long columns) {
        if (column-- == 0) column = columns - 1, --block;
    }
};

// C[rows][v0 .. v1) from A and packed weights of that depth. v0 is even. A column beyond v1 goes to `spare`.
// `between` runs before each tile. backwards: the last columns first, which changes no bit of them.
template <bool Packed, typename Numbers = Float32, typename Between>
void multiply(Left left, long rows, const typename Numbers::Word* packed, long v0, long v1, const Target& target,
              const Between& between, bool backwards = false) {
    constexpr long LINE = Numbers::WORDS * sizeof(*packed);  // bytes of a panel for each k
    const float zeros[VL] = {};
    float spare[VL];
    const float* const scales = left.scales;
    const long panel = left.depth() * Numbers::WORDS;
    if (rows <= 0) return;
    const RowTiles tiles(rows);
    const float* a = left.a;
    long first = v0 / 2, last = (v1 + 1) / 2;  // panels that are not done
    Vectors at(backwards ? 2 * last : v0, target.columns);
    int np = panels_at_once(tiles.tallest(), last - first);
    while (first < last) {
        const long p = backwards ? last - np : first;
        for (int j = 0; j < 2 * np && backwards; ++j) at.before(target.columns);
        Vectors vector = at;
        Column columns[12];
        for (int j = 0; j < 2 * np; ++j) {
            columns[j] = 2 * p + j < v1 ? target.column(vector.block, vector.column, zeros) : Column{zeros, 0, spare, 0};
            vector.next(target.columns);
        }
        if (backwards)
            last = p;
        else
            first = p + np, at = vector;
        const int then = panels_at_once(tiles.tallest(), last - first);
        const long next = backwards ? last - then : first;
        left.a = a;
        if (scales) left.scales = scales + p * PANEL;
        for (long k = 0; k < tiles.count; ++k) {
            const int mr = static_cast<int>(tiles.height + (k < tiles.taller));
            between();
            if (mr >= FETCHING_ROWS) {
                left.next = reinterpret_cast<const char*>(packed + next * panel) + k * (left.depth() * LINE / tiles.count);
                left.step = LINE / tiles.count < 64 ? LINE / tiles.count : 64;
            }
            find_tile<Packed, Numbers>(mr, np)(left, packed + p * panel, panel, columns);
            if (k + 1 == tiles.count) break;
            left.a += mr * left.row;
            for (int j = 0; j < 2 * np; ++j) {
                columns[j].init += mr * columns[j].init_row;
                columns[j].c += mr * columns[j].c_row;
            }
        }
        np = then;
    }
}

template <bool Packed>
void multiply(const Left& left, long rows, const float* packed, long v0, long v1, const Target& target) {
    multiply<Packed>(left, rows, packed, v0, v1, target, [] {});
}

// The same for an A of few columns, where filling and emptying tiles would take longer than multiplying: row by row.
constexpr long SHALLOW = 4;
inline void multiply_shallow(const Left& left, long rows, const float* packed, long v0, long v1, const Target& target) {
    constexpr long MOST = 64;
    const float zeros[VL] = {};
    const long depth = left.depth();
    long block = v0 / target.columns, column = v0 % target.columns;
    for (; v0 < v1; v0 += MOST) {
        const long count = v1 - v0 < MOST ? v1 - v0 : MOST;
        Column columns[MOST];
        const float* weights[MOST];
        for (long j = 0; j < count; ++j) {
            columns[j] = target.column(block, column, zeros);
            weights[j] = packed + (v0 + j) / 2 * depth * PANEL + (v0 + j) % 2 * VL;
            if (++column == target.columns) column = 0, ++block;
        }
        for (long r = 0; r < rows; ++r) {
            const float* a = left.a + r * left.row;
            for (long j = 0; j < count; ++j) {
                V sum = load(columns[j].init + r * columns[j].init_row);
                for (long k = 0; k < depth; ++k) sum += splat(a[k]) * load(weights[j] + k * PANEL);
                store(columns[j].c + r * columns[j].c_row, sum);
            }
        }
    }
}

// Packing. A matrix of weights has num_gates blocks of `units` rows, and `depth` columns.
struct Matrix {
    const float* weights;
    long units, depth;
};

// The columns of `lanes` neighbouring rows, as vectors of VL lanes; lanes that are missing become zeros.
inline void pack_lanes(const float* rows, long depth, long lanes, float* out) {
    long k = 0;
    for (; lanes == VL && k + VL <= depth; k += VL) transpose_square(rows + k, depth, out + k * PANEL, PANEL);
    for (; k < depth; ++k)
        for (long lane = 0; lane < VL; ++lane) out[k * PANEL + lane] = lane < lanes ? rows[lane * depth + k] : 0.0f;
}

// Panels for the argument from the right (W x): column v is gate v % columns of block v / columns, k runs over depth.
inline void pack_panel(const Matrix& m, const int* gates, int columns, long vectors, long p, float* to) {
    for (long half = 0; half < 2; ++half) {
        const long v = 2 * p + half, unit = v / columns * VL;
        const long left = v < vectors && unit < m.units ? m.units - unit : 0;
        const float* rows = left ? m.weights + (gates[v % columns] * m.units + unit) * m.depth : m.weights;
        pack_lanes(rows, m.depth, left < VL ? left : VL, to + half * VL);
    }
}

// The same of numbers that are stored as another type, one by one.
template <typename Numbers, typename Number>
void pack_panel_of(const Number* weights, const Matrix& m, const int* gates, int columns, long vectors, long p, typename Numbers::Word* to) {
    for (long half = 0; half < 2; ++half)
        for (long lane = 0; lane < VL; ++lane) {
            const long v = 2 * p + half, unit = v / columns * VL + lane;
            const bool there = v < vectors && unit < m.units;
            const Number* row = there ? weights + (gates[v % columns] * m.units + unit) * m.depth : nullptr;
            for (long k = 0; k < m.depth; ++k) Numbers::write(to + k * Numbers::WORDS, lane, half, row ? row[k] : Number{});
        }
}

// One number a row of the weights, as panels have their columns; 0 where there is no row.
inline void pack_scales(const float* scales, long units, const int* gates, int columns, long vectors, long p, float* to) {
    for (long j = 0; j < PANEL; ++j) {
        const long v = 2 * p + j / VL, unit = v / columns * VL + j % VL;
        to[j] = v < vectors && unit < units ? scales[gates[v % columns] * units + unit] : 0.0f;
    }
}

// Panels for the transposed weights (delta W): k runs over blocks, gates and lanes, column v is VL places of depth.
// A few panels at once, so that rows of the weights are read in longer runs than two vectors.
constexpr long PANELS_AT_ONCE = 4;
inline void pack_transposed(const Matrix& m, const int* gates, int num_gates, long p0, long p1, float* to) {
    const long blocks = (m.units + VL - 1) / VL, panel = blocks * num_gates * VL * PANEL;
    for (long block = 0; block < blocks; ++block)
        for (int g = 0; g < num_gates; ++g)
            for (long lane = 0; lane < VL; ++lane, to += PANEL) {
                const long unit = block * VL + lane;
                const float* row = m.weights + (gates[g] * m.units + unit) * m.depth;
                for (long v = 2 * p0; v < 2 * p1; ++v) {
                    float* out = to + (v / 2 - p0) * panel + (v % 2) * VL;
                    const long left = unit < m.units ? m.depth - v * VL : 0;
                    if (left >= VL)
                        store(out, load(row + v * VL));
                    else
                        for (long k = 0; k < VL; ++k) out[k] = k < left ? row[v * VL + k] : 0.0f;
                }
            }
}

// C[rows][v0 .. v1) from A and weights as they lie (delta W): k runs over blocks, gates and lanes, as where they are packed,
// and all vectors are whole.
template <int COUNT>
void multiply_row(const Left& left, const float* a, const Matrix& m, const int* gates, const float* weights, const Column* columns, long r) {
    V sum[COUNT];
    for (int j = 0; j < COUNT; ++j) sum[j] = load(columns[j].init + r * columns[j].init_row);
    for (long block = 0; block < left.outer; ++block, a += left.skip)
        for (int g = 0; g * VL < left.inner; ++g)
            for (long lane = 0; lane < VL; ++lane) {
                const float* row = weights + (gates[g] * m.units + block * VL + lane) * m.depth;
                const V s = splat(a[g * VL + lane]);
#pragma GCC unroll 4
                for (int j = 0; j < COUNT; ++j) sum[j] += s * load(row + j * VL);
            }
    for (int j = 0; j < COUNT; ++j) store(columns[j].c + r * columns[j].c_row, sum[j]);
}

inline void multiply_as_it_lies(const Left& left, long rows, const Matrix& m, const int* gates, long v0, long v1, const Target& target) {
    constexpr int MOST = 4;
    const float zeros[VL] = {};
    while (v0 < v1) {
        const int count = v1 - v0 < MOST ? 1 : MOST;
        Column columns[MOST];
        for (int j = 0; j < count; ++j) columns[j] = target.column((v0 + j) / target.columns, (v0 + j) % target.columns, zeros);
        for (long r = 0; r < rows; ++r)
            (count == MOST ? multiply_row<MOST> : multiply_row<1>)(left, left.a + r * left.row, m, gates, m.weights + v0 * VL, columns, r);
        v0 += count;
    }
}

}  // namespace recurra::RECURRA_ISA
