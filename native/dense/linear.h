// y = x W^T + b on the tiles, and its gradients: three products, each packed block by block on the way; W not at all where
// rows are fewest, and where they fill vectors of their own (lanes.h).
//
// Every number is one chain of multiply-adds in order; threads divide rows or columns of the result, never a chain.
#pragma once

#include <cstring>

#include "../memory.h"
#include "../simd/transpose.h"
#include "../threads.h"
#include "gemm.h"
#include "lanes.h"
#include "linear_job.h"

namespace recurra::RECURRA_ISA {

constexpr long DEPTH = 512;       // of a block of a product: a panel of it is 64 KiB with AVX-512
constexpr long GROUP_PANELS = 8;  // panels packed at once: 512 KiB, half of an L2 cache
// Up to so many rows the right operand is used as soon as it is packed, while it is in an L1 cache. Measured with AVX2: of 24 rows
// a product takes 0.7 of the time, from 48 on no less.
constexpr long FEW_ROWS = 48;
constexpr long FEW_ROWS_DEPTH = 128;  // a panel of it is 16 KiB with AVX-512, 8 KiB with AVX2
// And up to so many it is not packed, but turned in registers: their sums and a square of it just fit.
constexpr long FEWER_ROWS = 6;

// Rows of a transposed left operand lie far apart, and a tile's part of each is less than a line of the cache, which would be fetched
// for every tile anew: so many tiles' parts are packed together. The gradient of a weight took up to 1.5 times as long without (AVX2).
constexpr long LEFT_TILES = 64 / MAX_ROWS;
constexpr long LEFT_DEPTH = DEPTH / 2;
constexpr long LEFT_TILE = LEFT_DEPTH * MAX_ROWS + 2 * VL;  // what is written too much of a tile is not the next one's

constexpr long AHEAD = 12;  // rows of what is packed, that are fetched beforehand

// C = start + A B, with C (rows, columns), A (rows, depth), B (depth, columns), each in memory as it is or transposed.
struct Multiplication {
    long rows, columns, depth;
    const float *a, *b;
    bool a_transposed, b_transposed;
    const float* start;  // one number a column, or null for zeros
    float* c;
};

// What a thread packs into.
struct PackedOperands {
    float *right, *left, *edge, *start;
    explicit PackedOperands(Bump& bump)
        : right(bump.floats(GROUP_PANELS * DEPTH * PANEL)), left(bump.floats(LEFT_TILES * LEFT_TILE)),
          edge(bump.floats(MAX_ROWS * PANEL)), start(bump.floats(2 * GROUP_PANELS * PANEL)) {}
};

// How much of the right operand is packed at once: panels, and numbers of each. Tiles that reach over several panels get as many.
struct Block {
    long panels = GROUP_PANELS, depth = DEPTH;

    Block(const Multiplication& m, long rows) {
        if (m.a_transposed) panels *= 2, depth = LEFT_DEPTH;
        if (rows <= 0 || rows > FEW_ROWS || m.a_transposed) return;
        panels = panels_for(RowTiles(rows).tallest());
        const long most = FEW_ROWS_DEPTH / panels, parts = (m.depth + most - 1) / most;
        depth = ((m.depth + parts - 1) / parts + VL - 1) / VL * VL;
    }
};

// Some rows and panels of one multiplication.
class Multiplier {
public:
    Multiplier(const Multiplication& m, const PackedOperands& packed) : m_(m), p_(packed) {}

    void run(long row, long last_row, long panel, long last_panel) {
        if (m_.b_transposed && !m_.a_transposed) panel = run_unpacked(row, last_row - row, panel, last_panel);
        if (panel >= last_panel) return;
        const Block block(m_, last_row - row);
        for (long p = panel; p < last_panel; p += block.panels) {
            const long count = last_panel - p < block.panels ? last_panel - p : block.panels;
            pack_start(p, count);
            next_ = m_.b_transposed && p + count < last_panel ? right_rows(p + count) : nullptr;
            for (long k = 0; k < m_.depth; k += block.depth) {
                const long deep = m_.depth - k < block.depth ? m_.depth - k : block.depth;
                pack_rights(p, count, k, deep);
                add_rows(row, last_row, p, count, k, deep);
            }
        }
    }

private:
    const Multiplication& m_;
    const PackedOperands& p_;
    const char* next_ = nullptr;  // rows of the right operand that are packed next, or null

    void pack_start(long panel, long count) {
        for (long j = 0; j < count * PANEL; ++j) {
            const long column = panel * PANEL + j;
            p_.start[j] = m_.start && column < m_.columns ? m_.start[column] : 0.0f;
        }
    }

    // Rows of the right operand as they lie are far apart: of each some lines of the cache are copied at once.
    void pack_rights(long panel, long count, long k, long deep) {
        constexpr long ABREAST = 4;
        long q = 0;
        for (; !m_.b_transposed && q + ABREAST <= count && (panel + q + ABREAST) * PANEL <= m_.columns; q += ABREAST) {
            const float* from = m_.b + k * m_.columns + (panel + q) * PANEL;
            float* to = p_.right + q * deep * PANEL;
            for (long i = 0; i < deep; ++i, from += m_.columns, to += PANEL) {
                for (long j = 0; j < ABREAST * PANEL; j += 16) __builtin_prefetch(from + AHEAD * m_.columns + j);
                for (long j = 0; j < ABREAST; ++j)
                    for (long v = 0; v < PANEL; v += VL) store(to + j * deep * PANEL + v, load(from + j * PANEL + v));
            }
        }
        for (; q < count; ++q) pack_right((panel + q) * PANEL, k, deep, p_.right + q * deep * PANEL);
    }

    void pack_right(long column, long k, long deep, float* to) {
        const long real = m_.columns - column < PANEL ? m_.columns - column : PANEL;
        if (m_.b_transposed)
            transpose(m_.b + column * m_.depth + k, m_.depth, real, deep, to, PANEL);
        else
            for (long i = 0; i < deep; ++i) copy(m_.b + (k + i) * m_.columns + column, real, to + i * PANEL);
        for (long i = 0; i < deep && real < PANEL; ++i) std::memset(to + i * PANEL + real, 0, (PANEL - real) * 4);
    }

    // Up to a panel of floats; a call of memcpy would take longer than the copy.
    static void copy(const float* from, long count, float* to) {
        long i = 0;
        for (; i + VL <= count; i += VL) store(to + i, load(from + i));
        for (; i < count; ++i) to[i] = from[i];
    }

    void add_rows(long row, long last_row, long panel, long count, long k, long deep) {
        const RowTiles tiles(last_row - row);
        for (long tile = 0; tile < tiles.count; ++tile) {
            const int mr = static_cast<int>(tiles.height + (tile < tiles.taller));
            Left left{m_.a + row * m_.depth + k, m_.depth, static_cast<int>(deep), 1, 0};
            if (m_.a_transposed) {
                if (tile % LEFT_TILES == 0) pack_left(row, tiles, tile, k, deep);
                left = {p_.left + tile % LEFT_TILES * LEFT_TILE, 0, static_cast<int>(deep), 1, 0};
            }
            for (long q = 0; q < count;) {
                const bool whole = (panel + q + 1) * PANEL <= m_.columns;
                const long left_whole = whole ? m_.columns / PANEL - panel - q : 1;
                const int np = panels_at_once(mr, left_whole < count - q ? left_whole : count - q);
                fetch_next(left, np, deep, tiles.count);
                add_tile(left, mr, np, row, panel + q, q, k, deep, whole);
                q += np;
            }
            row += mr;
        }
    }

    // Whole panels of fewer rows; the first panel that is left.
    long run_unpacked(long row, long rows, long panel, long last_panel) const {
        const int vectors = lanes::vectors_for(rows);
        if (vectors && m_.depth * vectors * VL <= GROUP_PANELS * DEPTH * PANEL)
            return vectors == 1 ? run_lanes<1>(row, rows, panel, last_panel) : run_lanes<2>(row, rows, panel, last_panel);
        if (rows < 1 || rows > FEWER_ROWS) return panel;
        constexpr void (Multiplier::*ADD[])(long, long) const = {
            &Multiplier::add_unpacked<1>, &Multiplier::add_unpacked<2>, &Multiplier::add_unpacked<3>,
            &Multiplier::add_unpacked<4>, &Multiplier::add_unpacked<5>, &Multiplier::add_unpacked<6>,
        };
        const auto add = ADD[rows - 1];  // not in the call, where GCC 12's sanitizer reads the number before it is there
        for (; panel < last_panel && (panel + 1) * PANEL <= m_.columns; ++panel) (this->*add)(row, panel);
        return panel;
    }

    // The rows are turned where panels would be packed.
    template <int NV>
    long run_lanes(long row, long rows, long panel, long last_panel) const {
        if (panel >= last_panel || (panel + 1) * PANEL > m_.columns) return panel;
        lanes::turn<NV>(m_.a + row * m_.depth, m_.depth, rows, m_.depth, p_.right);
        for (; panel < last_panel && (panel + 1) * PANEL <= m_.columns; ++panel)
            for (long column = panel * PANEL; column < (panel + 1) * PANEL; column += VL)
                lanes::multiply<NV>(p_.right, m_.b + column * m_.depth, m_.depth, m_.start ? m_.start + column : nullptr,
                                    m_.c + row * m_.columns + column, m_.columns, rows);
        return panel;
    }

    template <int MR>
    void add_unpacked(long row, long panel) const {
        const long depth = m_.depth, column = panel * PANEL;
        const float *const a = m_.a + row * depth, *const b = m_.b + column * depth;
        const char* next = right_rows(panel + 1);
        V sum[MR][2];
        for (int i = 0; i < MR; ++i)
            for (int half = 0; half < 2; ++half) sum[i][half] = m_.start ? load(m_.start + column + half * VL) : V{};
        long k = 0;
        for (; k + VL <= depth; k += VL) {
            for (int line = 0; line < PANEL * VL / 16; ++line, next += 64) __builtin_prefetch(next);
#pragma GCC unroll 2
            for (int half = 0; half < 2; ++half) {
                V right[VL];
                read_columns(b + half * VL * depth + k, depth, right);
#pragma GCC unroll 16
                for (int j = 0; j < VL; ++j)
#pragma GCC unroll 6
                    for (int i = 0; i < MR; ++i) sum[i][half] += splat(a[i * depth + k + j]) * right[j];
            }
        }
        for (; k < depth; ++k)
            for (int half = 0; half < 2; ++half) {
                V right;
                for (int lane = 0; lane < VL; ++lane) right[lane] = b[(half * VL + lane) * depth + k];
                for (int i = 0; i < MR; ++i) sum[i][half] += splat(a[i * depth + k]) * right;
            }
        for (int i = 0; i < MR; ++i)
            for (int half = 0; half < 2; ++half) store(m_.c + (row + i) * m_.columns + column + half * VL, sum[i][half]);
    }

    // Of a transposed operand the rows that become a panel lie one behind the other, and those of the next panel behind them.
    const char* right_rows(long panel) const { return reinterpret_cast<const char*>(m_.b + panel * PANEL * m_.depth); }

    // Each tile fetches its share of them.
    void fetch_next(Left& left, int panels, long deep, long tiles) {
        if (!next_) return;
        const long bytes = PANEL * panels * 4 / tiles;
        left.next = next_;
        left.step = bytes < 64 ? bytes : 64;
        next_ += deep * bytes;
    }

    // Of the tiles from `first` on. Whole vectors where the matrix goes on that far: what is too much is overwritten by the next.
    void pack_left(long row, const RowTiles& tiles, long first, long k, long deep) {
        const long last = first + LEFT_TILES < tiles.count ? first + LEFT_TILES : tiles.count;
        const float* const end = m_.a + m_.depth * m_.rows;
        for (long i = 0; i < deep; ++i) {
            const float* from = m_.a + (k + i) * m_.rows + row;
            float* tile = p_.left;
            for (long j = 0; j < 64; j += 16) __builtin_prefetch(from + AHEAD * m_.rows + j);
            for (long t = first; t < last; ++t, tile += LEFT_TILE) {
                const long mr = tiles.height + (t < tiles.taller);
                float* const to = tile + i * mr;
                if (end - from >= mr + VL)
                    for (long j = 0; j < mr; j += VL) store(to + j, load(from + j));
                else
                    copy(from, mr, to);
                from += mr;
            }
        }
    }

    void add_tile(const Left& left, int mr, int np, long row, long panel, long q, long k, long deep, bool whole) {
        float* const c = m_.c + row * m_.columns + panel * PANEL;
        const long real = whole ? PANEL : m_.columns - panel * PANEL;
        float* const to = whole ? c : p_.edge;
        const long stride = whole ? m_.columns : PANEL;
        for (long i = 0; !whole && k && i < mr; ++i) std::memcpy(to + i * PANEL, c + i * m_.columns, real * 4);
        Column columns[12];
        for (int j = 0; j < 2 * np; ++j) {
            float* at = to + j * VL;
            columns[j] = k ? Column{at, stride, at, stride} : Column{p_.start + q * PANEL + j * VL, 0, at, stride};
        }
        if (m_.a_transposed)
            find_tile<true>(mr, np)(left, p_.right + q * deep * PANEL, deep * PANEL, columns);
        else
            find_tile<false>(mr, np)(left, p_.right + q * deep * PANEL, deep * PANEL, columns);
        for (long i = 0; !whole && i < mr; ++i) std::memcpy(c + i * m_.columns, to + i * PANEL, real * 4);
    }
};

// One thread's part: some panels where there are enough for all, otherwise some rows.
inline void multiply(const Multiplication& m, const PackedOperands& packed, int thread, int threads) {
    const long panels = (m.columns + PANEL - 1) / PANEL;
    if (panels >= 2 * threads)
        Multiplier(m, packed).run(0, m.rows, panels * thread / threads, panels * (thread + 1) / threads);
    else
        Multiplier(m, packed).run(m.rows * thread / threads, m.rows * (thread + 1) / threads, 0, panels);
}

inline long linear_bytes(const LinearJob& job) {
    Bump bump(nullptr);
    for (int t = 0; t < job.threads; ++t) PackedOperands memory(bump);
    return bump.used();
}

template <typename Work>
void share(const LinearJob& job, const Work& work) {
    const long each = linear_bytes(job) / job.threads;
    parallel(job.threads, [&](int thread, int threads, Barrier&) {
        Bump bump(job.scratch + thread * each);
        work(PackedOperands(bump), thread, threads);
    });
}

inline void linear(const LinearJob& job) {
    const Multiplication y{job.M, job.V, job.D, job.x, job.weight, false, true, job.bias, job.y};
    share(job, [&](const PackedOperands& packed, int thread, int threads) { multiply(y, packed, thread, threads); });
}

inline void add_to(float* sums, const float* numbers, long count) {
    long i = 0;
    for (; i + VL <= count; i += VL) store(sums + i, load(sums + i) + load(numbers + i));
    for (; i < count; ++i) sums[i] += numbers[i];
}

// Column sums of d_y, row after row.
inline void bias_gradient(const LinearJob& job, int thread, int threads) {
    const long last = job.V * (thread + 1) / threads;
    for (long v = job.V * thread / threads; v < last; v += DEPTH) {
        const long count = last - v < DEPTH ? last - v : DEPTH;
        float* const sums = job.d_bias + v;
        std::memset(sums, 0, count * 4);
        for (long row = 0; row < job.M; ++row) add_to(sums, job.d_y + row * job.V + v, count);
    }
}

inline void linear_gradients(const LinearJob& job) {
    const Multiplication d_x{job.M, job.D, job.V, job.d_y, job.weight, false, false, nullptr, job.d_x};
    const Multiplication d_weight{job.V, job.D, job.M, job.d_y, job.x, true, false, nullptr, job.d_weight};
    share(job, [&](const PackedOperands& packed, int thread, int threads) {
        if (job.d_x) multiply(d_x, packed, thread, threads);
        if (job.d_weight) multiply(d_weight, packed, thread, threads);
        if (job.d_bias) bias_gradient(job, thread, threads);
    });
}

}  // namespace recurra::RECURRA_ISA
