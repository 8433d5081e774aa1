// One step of a cell, forward or backward: the plan's stages over some rows and some blocks of units.
#pragma once

#include <cstring>

#include "../dense/gemm.h"
#include "../dense/pairs.h"
#include "../memory.h"
#include "../threads.h"
#include "job.h"
#include "plan.h"

namespace recurra::RECURRA_ISA {

// Sizes of a job in vectors and floats.
struct Sizes {
    long I, H, P;
    explicit Sizes(const Job& job) : I(job.I), H(job.H), P(job.P) {}
    long units(Width w) const { return w == UNITS ? H : w == PROJECTED ? P : 1; }
    long blocks(Width w) const { return (units(w) + VL - 1) / VL; }
};

inline long plain_stride(const Sizes& s, Width w) { return row_stride(s.blocks(w) * VL); }
inline long area_stride(const Sizes& s, const Area& a) {
    return row_stride(a.width == ONE ? a.count : s.blocks(a.width) * a.count * VL);
}

inline long max_rows(const Job& job) {
    return job.T ? job.active[0] : 0;
}
inline long num_tokens(const Job& job) { return job.token[job.T]; }
inline bool is_even(const Job& job) { return num_tokens(job) == max_rows(job) * job.T; }

// Whether a step's rows are few beside the weights of its input, so that reading the weights takes longer than reading what they
// make of the rows: then many steps are multiplied with them at once.
inline bool weights_outweigh(const Job& job) { return job.I > 8 * max_rows(job); }
constexpr long TOKENS_BY_WEIGHTS = 120;  // 20 tiles of 6 rows, or 9 of 13 or 14

// Whether an area's values of each token stand on the tape. Those of the first state are in the output, unless zoneout has changed
// them there.
inline bool is_taped(const Job& job, const Area& a) {
    const bool zoned = job.zone_mask[0] || job.zone[0] != 0.0f;
    return job.training && (a.kind == Area::KEEP || a.kind == Area::ARGUMENT || (a.kind == Area::NEW && zoned));
}

inline const Plan& plan_of(const Job& job) { return *static_cast<const Plan*>(job.plan); }

// The width of a product's argument, or of the weights' columns.
inline long weight_depth(const Job& job, int weight) {
    const Sizes s(job);
    if (weight == 0) return s.I;
    if (weight == 4) return s.H;
    return s.units(plan_of(job).state_width[0]);
}
inline Matrix matrix_of(const Job& job, int weight) {
    return {job.parameters[weight], weight == 4 ? job.P : job.H, weight_depth(job, weight)};
}

// Weights of one product, packed; data: null for those that are read as they lie. vectors: in all; scales: of INT8, else null; pairs: of BFLOAT16_PRODUCTS.
struct Packed {
    float* data;
    long vectors;
    Precision precision;
    float* scales;
    Pairs pairs;
};

inline long product_vectors(const Job& job, const Program& program, const Product& p) {
    const Sizes s(job);
    if (p.area < 0) return (s.I + VL - 1) / VL;
    return s.blocks(program.areas[p.area].width) * p.columns;
}
inline long product_depth(const Job& job, const Product& p) {
    const Matrix m = matrix_of(job, p.weight);
    return p.transposed ? (m.units + VL - 1) / VL * p.num_gates * VL : m.depth;
}
// Tokens of all steps that are so few that packing weights takes longer than multiplying with them as they lie.
constexpr long FEW_TOKENS = 8;
inline bool as_they_lie(const Job& job, const Product& p) {
    const Matrix m = matrix_of(job, p.weight);
    return p.transposed && num_tokens(job) <= FEW_TOKENS && m.units % VL == 0 && m.depth % VL == 0;
}
inline Packed place_packed(const Job& job, const Program& program, const Product& p, Bump& bump) {
    const long vectors = product_vectors(job, program, p), panels = (vectors + 1) / 2, depth = product_depth(job, p);
    if (as_they_lie(job, p)) return {nullptr, vectors, FLOAT32, nullptr, Pairs::ROUNDED};
    const Pairs pairs = job.precision == BFLOAT16_PRODUCTS ? pairs_for(depth * vectors * VL) : Pairs::ROUNDED;
    float* const data = bump.floats(panels * (pairs == Pairs::ROUNDED ? PANEL * depth * bytes_of(job.precision) / 4 : paired_panel(depth)));
    return {data, vectors, job.precision, job.precision == INT8 ? bump.floats(panels * PANEL) : nullptr, pairs};
}

// The same of weights that are not float32; never transposed, as that is for the backward pass.
template <typename Numbers, typename Number>
void pack_as(const Job& job, const Product& p, const Packed& to, int thread, int threads) {
    const Matrix m = matrix_of(job, p.weight);
    const Number* const weights = reinterpret_cast<const Number*>(m.weights);
    typename Numbers::Word* const words = reinterpret_cast<typename Numbers::Word*>(to.data);
    for (long k = thread; k < (to.vectors + 1) / 2; k += threads) {
        pack_panel_of<Numbers>(weights, m, p.gates, p.columns, to.vectors, k, words + k * m.depth * Numbers::WORDS);
        if (to.scales) pack_scales(job.scales[p.weight], m.units, p.gates, p.columns, to.vectors, k, to.scales + k * PANEL);
    }
}
inline void pack_in_pairs(const Job& job, const Product& p, const Packed& to, int thread, int threads) {
    const Matrix m = matrix_of(job, p.weight);
    for (long k = thread; k < (to.vectors + 1) / 2; k += threads)
        pack_pairs(m, p.gates, p.columns, to.vectors, k, to.data + k * paired_panel(m.depth));
}
inline void pack(const Job& job, const Product& p, const Packed& to, int thread, int threads) {
    using Bits = std::uint16_t __attribute__((may_alias));
    if (to.pairs != Pairs::ROUNDED) return pack_in_pairs(job, p, to, thread, threads);
    if (to.precision == BFLOAT16 || to.precision == BFLOAT16_PRODUCTS) return pack_as<Bfloat16, Bits>(job, p, to, thread, threads);
    if (to.precision == INT8) return pack_as<Int8, std::int8_t>(job, p, to, thread, threads);
    if (!to.data) return;
    const Matrix m = matrix_of(job, p.weight);
    const long panel = product_depth(job, p) * PANEL;
    const long panels = (to.vectors + 1) / 2;
    if (!p.transposed) {
        for (long k = thread; k < panels; k += threads)
            pack_panel(m, p.gates, p.columns, to.vectors, k, to.data + k * panel);
        return;
    }
    for (long k = thread * PANELS_AT_ONCE; k < panels; k += threads * PANELS_AT_ONCE)
        pack_transposed(m, p.gates, p.num_gates, k, k + PANELS_AT_ONCE < panels ? k + PANELS_AT_ONCE : panels,
                        to.data + k * panel);
}

// A product with weights that are packed, of whatever they consist. scratch: for rounded rows, of BFLOAT16_PRODUCTS.
template <typename Between>
void multiply_packed(Left left, long rows, const Packed& packed, long v0, long v1, const Target& target, float* scratch, const Between& between,
                     bool backwards = false) {
    if (packed.precision == BFLOAT16_PRODUCTS)
        return multiply_pairs(left, rows, packed.data, v0, v1, target, packed.pairs, scratch, between);
    if (packed.precision == FLOAT32) return multiply<false>(left, rows, packed.data, v0, v1, target, between, backwards);
    if (packed.precision == BFLOAT16) {
        const auto* words = reinterpret_cast<const Bfloat16::Word*>(packed.data);
        return multiply<false, Bfloat16>(left, rows, words, v0, v1, target, between, backwards);
    }
    left.scales = packed.scales;
    multiply<false, Int8>(left, rows, reinterpret_cast<const Int8::Word*>(packed.data), v0, v1, target, between, backwards);
}

// Parameter vectors side by side, block by block; absent biases are zeros.
inline void pack_vectors(const Job& job, float* to) {
    const Plan& plan = plan_of(job);
    const long blocks = Sizes(job).blocks(UNITS);
    for (long u = 0; u < blocks; ++u)
        for (int v = 0; v < plan.num_vectors; ++v)
            for (long lane = 0; lane < VL; ++lane) {
                float sum = 0.0f;
                const long unit = u * VL + lane;
                for (int k = 0; k < plan.vectors[v].count && unit < job.H; ++k) {
                    const Source s = plan.vectors[v].item[k];
                    if (job.parameters[s.parameter]) sum += job.parameters[s.parameter][s.gate * job.H + unit];
                }
                to[(u * plan.num_vectors + v) * VL + lane] = sum;
            }
}

// Which rows and which blocks of units a thread has. Rows are independent: no barrier. With few rows, threads share the
// units and meet after each stage.
struct Share {
    long r0, r1;
    long u0[3], u1[3];  // by width
    bool by_units;
    Barrier* barrier;

    // Columns of `width` units that this thread has, as floats.
    long from(Width w) const { return u0[w] * VL; }
    long to(Width w, const Sizes& s) const { return u1[w] * VL < s.units(w) ? u1[w] * VL : s.units(w); }
    void meet() const {
        if (by_units) barrier->wait();
    }
};

constexpr long FEW_ROWS = 8;  // below this many rows a thread, sharing the units is faster (benchmarks/layers.py)

// The place in the order of lengths before which thread k's predecessors have their equal part of all tokens.
inline long boundary(const Job& job, int k, int threads) {
    const long total = num_tokens(job) + job.N;  // a row without tokens is a little work too
    long before = 0, r = 0;
    for (long t = job.T; r < job.N && before * threads < total * k; ++r) {
        while (t > 0 && job.active[t - 1] <= r) --t;  // t becomes the length of row r
        before += t + 1;
    }
    return r;
}

inline Share share_of(const Job& job, const Program& program, int thread, int threads, Barrier* barrier) {
    const Sizes s(job);
    Share share{0, job.N, {0, 0, 0}, {s.blocks(UNITS), s.blocks(PROJECTED), 1}, false, barrier};
    if (threads == 1) return share;
    share.by_units = job.N < FEW_ROWS * threads && !program.whole && !job.mask;
    if (share.by_units) {
        for (int w = 0; w < 2; ++w) {  // even, so that no panel of two vectors is shared
            const long pairs = (share.u1[w] + 1) / 2, all = share.u1[w];
            const long from = 2 * (pairs * thread / threads), to = 2 * (pairs * (thread + 1) / threads);
            share.u0[w] = from;
            share.u1[w] = to < all ? to : all;
        }
        return share;
    }
    share.r0 = boundary(job, thread, threads);
    share.r1 = boundary(job, thread + 1, threads);
    return share;
}

// Whether a step goes through the units from the last to the first. Every other one does: so it finds in the cache the weights that
// the step before it has read last, where in one direction alone each would find none of weights that are more than the cache holds.
// Rows of more than one tile multiply longer than they read.
inline bool goes_back(long step, long rows) { return step % 2 != 0 && rows <= MAX_ROWS; }

constexpr int MAX_STAGES = 32;

// One thread's view of a step.
struct Step {
    const Job& job;
    const Program& program;
    Share share;
    const Packed* packed;       // of all stages' products, in order
    const float* parameters;    // packed vectors
    const float* first_state;   // argument FIRST_STATE: row r0
    long first_state_row;
    const float* mask;          // (rank, padded) or null
    long mask_row;
    Block block;                // areas of this step, row r0 first
    Ahead next[3];              // what the step after this one reads first
    long strides[MAX_AREAS];    // of the program's areas
    long groups[MAX_STAGES];    // blocks at once, by stage, for so many rows
    long grouped_rows;
    float* rounded;             // scratch of this thread for the rows of a product, of BFLOAT16_PRODUCTS
    bool zeros = false;         // whether the first state is zeros, whose products need not be made
    bool backwards = false;     // whether the last units come first
};

// Floats of scratch for the rows of any product of the forward pass, rounded.
inline long rounded_floats(const Job& job) {
    if (job.precision != BFLOAT16_PRODUCTS) return 0;
    const long deepest = job.I > job.H ? job.I : job.H;
    return ROWS_AT_ONCE * rounded_row(deepest > job.P ? deepest : job.P);
}

// The argument of a product, as rows that a tile can read.
inline Left argument_of(const Step& step, const Product& p) {
    const int depth = static_cast<int>(product_depth(step.job, p));
    if (p.argument == FIRST_STATE) return {step.first_state, step.first_state_row, step.zeros ? 0 : depth, 1, 0};
    const Area& area = step.program.areas[p.argument];
    const float* a = step.block.area[p.argument] + p.argument_first * VL;
    const long row = step.block.stride[p.argument];
    if (!p.transposed) return {a, row, depth, 1, 0};
    const int inner = p.num_gates * VL;
    return {a, row, inner, depth / inner, static_cast<long>(area.count) * VL};
}

inline Target target_of(const Step& step, const Product& p) {
    const Area& area = step.program.areas[p.area];
    return {step.block.area[p.area], step.block.stride[p.area], area.count, p.first, p.columns, p.starts,
            step.parameters, plan_of(step.job).num_vectors};
}

// d(h * mask) = dh * mask.
inline void mask_slot(const Step& step, const Product& p, long rows, long u0, long u1) {
    for (long r = 0; r < rows; ++r) {
        float* slot = step.block.area[p.area] + r * step.block.stride[p.area];
        const float* mask = step.mask + r * step.mask_row;
        for (long u = u0; u < u1; ++u) store(slot + u * VL, masked(load(slot + u * VL), load(mask + u * VL)));
    }
}

// Blocks of units that are multiplied and then finished while they are in cache: an even number, since panels are pairs
// of vectors, and enough of them to fill the registers when rows are few.
// A stage that multiplies nothing takes all of them, row after row as they lie.
constexpr long FEWEST_VECTORS = 16;  // of sums, so that the functions of several units overlap
inline bool multiplies(const Stage& stage) {
    for (int k = 0; k < stage.num_products; ++k)
        if (stage.products[k].argument != INPUT) return true;
    return false;
}
inline long group_of(const Stage& stage, long rows, long all) {
    if (!multiplies(stage)) return all;
    long wanted = 2;
    const int panels = panels_for(rows < 1 ? 1 : rows < MAX_ROWS ? static_cast<int>(rows) : MAX_ROWS);
    for (int k = 0; k < stage.num_products; ++k) {
        const long columns = stage.products[k].columns;
        const long wide = 4 * panels > FEWEST_VECTORS ? 4 * panels : FEWEST_VECTORS, blocks = (wide + columns - 1) / columns;
        if (stage.products[k].argument != INPUT && blocks > wanted) wanted = blocks;
    }
    return (wanted + 1) / 2 * 2;
}

// What a stage of the forward pass writes to the tape for some units, to be fetched while `tiles` tiles are multiplied.
inline Ahead tape_of(const Step& step, Width width, long rows, long u, long end, long tiles) {
    for (int k = 0; k < step.program.num_areas && step.job.training; ++k) {
        const Area& a = step.program.areas[k];
        if (a.kind != Area::KEEP || a.width != width) continue;
        const long vector = a.count * VL;
        return {step.block.area[k] + u * vector, step.block.stride[k], (end - u) * vector, rows, tiles};
    }
    return {};
}

// Dropout on a product's argument that a stage computed; sharing units is off then, so these rows are all ours.
inline void mask_argument(const Step& step, const Product& p, long rows) {
    const long blocks = Sizes(step.job).blocks(step.program.areas[p.argument].width);
    for (long r = 0; r < rows; ++r) {
        float* row = step.block.area[p.argument] + r * step.block.stride[p.argument];
        const float* mask = step.mask + r * step.mask_row;
        for (long u = 0; u < blocks; ++u) store(row + u * VL, masked(load(row + u * VL), load(mask + u * VL)));
    }
}

// Once for all steps of as many rows: divisions take as long as a small product.
inline void group_stages(Step& step, long rows) {
    if (step.grouped_rows == rows) return;
    step.grouped_rows = rows;
    for (int k = 0; k < step.program.num_stages; ++k) {
        const Stage& stage = step.program.stages[k];
        const long all = step.share.u1[stage.width] - step.share.u0[stage.width];
        step.groups[k] = step.program.whole || all < 1 || step.job.precision == BFLOAT16_PRODUCTS ? all + 1 : group_of(stage, rows, all);
    }
}

inline void measure_areas(Step& step) {
    for (int k = 0; k < step.program.num_areas; ++k) step.strides[k] = area_stride(Sizes(step.job), step.program.areas[k]);
}

// Where stages sum over all units: stage k after its products, and those that follow it without one. Row by row, so that what
// one leaves for the next is in the cache. Returns the last of them.
inline int finish_rows(Step& step, int k, long rows) {
    const Program& program = step.program;
    int last = k;
    while (last + 1 < program.num_stages && !multiplies(program.stages[last + 1])) ++last;
    Block& block = step.block;
    block.rows = 1;
    const auto move = [&](long by) {
        for (int a = 0; a < program.num_areas; ++a)
            if (!program.areas[a].of_row) block.area[a] += by * block.stride[a];
    };
    for (long r = 0; r < rows; ++r) {
        if (r > 0) move(1);
        for (int j = k; j <= last; ++j) {
            const Stage& stage = program.stages[j];
            block.units = Sizes(step.job).units(stage.width);
            block.u0 = static_cast<int>(step.share.u0[stage.width]);
            block.u1 = static_cast<int>(step.share.u1[stage.width]);
            (step.job.training ? stage.training : stage.inference)(block);
        }
    }
    if (rows > 1) move(1 - rows);
    block.rows = rows;
    return last;
}

inline void run_stages(Step& step, long rows) {
    const Packed* packed = step.packed;
    group_stages(step, rows);
    int done = -1;  // the last stage that was run with an earlier one
    for (int k = 0; k < step.program.num_stages; ++k) {
        const Stage& stage = step.program.stages[k];
        Block& block = step.block;
        block.rows = rows;
        block.units = Sizes(step.job).units(stage.width);
        const long first = step.share.u0[stage.width], last = step.share.u1[stage.width];
        const long group = step.groups[k];
        const auto finish = step.job.training ? stage.training : stage.inference;
        for (int j = 0; j < stage.num_products && step.mask; ++j) {
            const Product& p = stage.products[j];
            if (!p.transposed && p.weight == 1 && p.argument >= 0) mask_argument(step, p, rows);
        }
        const long groups = rows > 0 && last > first ? (last - first + group - 1) / group : 0;
        for (long g = 0; g < groups; ++g) {
            const long u = first + (step.backwards ? groups - 1 - g : g) * group, end = u + group < last ? u + group : last;
            for (int j = 0; j < stage.num_products; ++j) {
                const Product& p = stage.products[j];
                if (p.argument == INPUT) continue;
                const long tiles = RowTiles(rows).count * ((end - u) * p.columns + 1) / 2;
                Ahead tape = p.transposed ? Ahead() : tape_of(step, stage.width, rows, u, end, tiles);
                const auto fetch = [&] {
                    tape.fetch();
                    for (Ahead& next : step.next) next.fetch();
                };
                if (packed[j].data)
                    multiply_packed(argument_of(step, p), rows, packed[j], u * p.columns, end * p.columns, target_of(step, p),
                                    step.rounded, fetch, step.backwards);
                else
                    multiply_as_it_lies(argument_of(step, p), rows, matrix_of(step.job, p.weight), p.gates, u * p.columns,
                                        end * p.columns, target_of(step, p));
                if (step.mask && p.transposed && p.weight == 1) mask_slot(step, p, rows, u, end);
            }
            block.u0 = static_cast<int>(u);
            block.u1 = static_cast<int>(end);
            if (!step.program.whole)
                finish(block);
            else if (k > done)
                done = finish_rows(step, k, rows);
        }
        packed += stage.num_products;
        step.share.meet();
    }
}

// How many tiles the products of a step are, if tiles are one panel wide.
inline long tiles_of(const Step& step, long rows) {
    long panels = 0;
    for (int k = 0; k < step.program.num_stages; ++k) {
        const Stage& stage = step.program.stages[k];
        const long blocks = step.share.u1[stage.width] - step.share.u0[stage.width];
        for (int j = 0; j < stage.num_products; ++j)
            if (stage.products[j].argument != INPUT) panels += (blocks * stage.products[j].columns + 1) / 2;
    }
    return panels * RowTiles(rows).count;
}

inline int num_products(const Program& program) {
    int count = 0;
    for (int k = 0; k < program.num_stages; ++k) count += program.stages[k].num_products;
    return count;
}
constexpr int MAX_PRODUCTS = 64;

}  // namespace recurra::RECURRA_ISA
