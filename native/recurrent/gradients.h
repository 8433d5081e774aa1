// Gradients to the parameters, from the deltas of all tokens.
//
// Every number is one chain of additions over the tokens, in the order of their deltas; threads divide the numbers, never a chain.
#pragma once

#include "backward.h"

namespace recurra::RECURRA_ISA {

constexpr long TOKENS_AT_ONCE = 256;  // a panel of the right operand is then 32 KiB with AVX-512, 16 KiB with AVX2
constexpr long NARROW = 2;            // numbers an input step: more than half of a panel's multiplications would be with zeros
constexpr long VECTORS_AT_ONCE = 12;  // of deltas, all multiplied with a panel while it is in the L1 cache

// Scratch for the weights' gradients, by outer product, flow and thread.
struct GradientMemory {
    float* sums[32];            // by outer product: [panel of columns][block][delta][PANEL], so that tiles lie as they are used
    float* flows[64];           // by flow: one number a unit
    float* left[64];            // by thread: the deltas of some blocks, packed tile by tile
    float* right[64][32];       // by thread and outer product: panels of the argument

    GradientMemory(const Job& job, Bump& bump) {
        const Plan& plan = plan_of(job);
        const Sizes s(job);
        for (int k = 0; k < plan.num_outers; ++k) {
            const Width w = plan.backward.areas[plan.outers[k].area].width;
            sums[k] = bump.floats(s.blocks(w) * VL * plan.outers[k].num_gates * columns(job, k));
        }
        for (int k = 0; k < plan.num_flows; ++k) flows[k] = bump.floats(s.blocks(UNITS) * VL);
        for (int t = 0; t < job.threads; ++t) {
            left[t] = bump.floats(most_left(plan));
            for (int k = 0; k < plan.num_outers; ++k) right[t][k] = bump.floats(TOKENS_AT_ONCE * columns(job, k));
        }
    }

    // A tile of `height` deltas a token, and what the last whole vectors write too much.
    static long left_size(long height) { return TOKENS_AT_ONCE * height + 2 * VL; }
    static long most_left(const Plan& plan) {
        long most = 0;
        for (int k = 0; k < plan.num_outers; ++k) {
            const RowTiles tiles(most_blocks(plan.outers[k]) * plan.outers[k].num_gates * VL);
            const long all = tiles.count * left_size(tiles.height + 1);
            most = all > most ? all : most;
        }
        return most;
    }
    static long most_blocks(const Outer& o) { return o.num_gates < VECTORS_AT_ONCE ? VECTORS_AT_ONCE / o.num_gates : 1; }

    // The argument's width, padded to whole panels.
    static long columns(const Job& job, int outer) {
        return (weight_depth(job, plan_of(job).outers[outer].weight) + PANEL - 1) / PANEL * PANEL;
    }
};

class WeightGradients {
public:
    WeightGradients(const Job& job, const BackwardMemory& memory, const GradientMemory& gradients, const Tape& tape,
                    int thread, int threads)
        : job_(job), m_(memory), g_(gradients), tape_(tape), plan_(plan_of(job)), sizes_(job), thread_(thread), threads_(threads) {
        for (int k = 0; k < plan_.num_flows; ++k) packer_[k] = packer(k);
    }

    void begin() { clear_flows(); }

    // Adds the deltas that are there, of which the first is of the token at a place.
    void add(Place place, long deltas) {
        deltas_ = deltas;
        if (num_tokens(job_) <= FEW_TOKENS) return run_few(place, deltas);
        for (long token = 0; begins_ || token < deltas; token += TOKENS_AT_ONCE, begins_ = false) {  // of no token, zeros
            const long left = deltas - token, count = left < TOKENS_AT_ONCE ? left : TOKENS_AT_ONCE;
            for (int k = 0; k < plan_.num_outers; ++k)
                if (wanted(k)) pack_right(k, place, count);
            place.skip(job_, count);
            for (int k = 0; k < plan_.num_outers; ++k)
                if (leader(k) == k)
                    for (long g = first(k); g < groups(k); g += threads_) add_blocks(k, begin(k, g), begin(k, g + 1), token, count);
            for (int k = 0; k < plan_.num_flows; ++k)
                if (packer_[k] < 0) add_flow(plan_.flows[k], g_.flows[k], token, count);
        }
    }

    // After all deltas.
    void write() {
        for (int k = 0; k < plan_.num_outers && num_tokens(job_) > FEW_TOKENS; ++k)
            if (wanted(k)) write_outer(k);
        for (int k = 0; k < plan_.num_flows; ++k) write_flow(k);
    }

private:
    const Job& job_;
    const BackwardMemory& m_;
    const GradientMemory& g_;
    const Tape& tape_;
    const Plan& plan_;
    const Sizes sizes_;
    const int thread_, threads_;
    int packer_[64];  // by flow
    bool begins_ = true;
    long deltas_ = 0;  // that are there now

    // Of a few tokens, each number is written once, to where it belongs.
    void run_few(const Place& place, long count) {
        for (int k = 0; k < plan_.num_outers; ++k) {
            if (wanted(k)) pack_right(k, place, count);
            const long row = area_stride(sizes_, area(k)), block = area(k).count * VL;
            const float* deltas = m_.area[plan_.outers[k].area] + plan_.outers[k].first * VL;
            for (long g = first(k); g < groups(leader(k)); g += threads_)
                for (long u = begin(leader(k), g); u < begin(leader(k), g + 1); ++u) {
                    if (leader(k) == k) sum_flows(k, u, deltas + u * block, row, count);
                    if (wanted(k)) write_few(k, u, deltas + u * block, row, count);
                }
        }
        for (int k = 0; k < plan_.num_flows; ++k)
            if (packer_[k] < 0) add_flow(plan_.flows[k], g_.flows[k], 0, count);
    }

    void write_few(int k, long u, const float* deltas, long row, long count) {
        const Outer& o = plan_.outers[k];
        const Matrix shape = matrix_of(job_, o.weight);
        for (int gate = 0; gate < o.num_gates; ++gate)
            for (long lane = 0; lane < VL && u * VL + lane < shape.units; ++lane) {
                float* to = job_.d_parameters[o.weight] + (o.gates[gate] * shape.units + u * VL + lane) * shape.depth;
                const float *delta = deltas + gate * VL + lane, *right = g_.right[thread_][k];
                for (long c = 0; c < shape.depth; c += PANEL, right += count * PANEL) {
                    V sum[2] = {};
                    for (long i = 0; i < count; ++i)
                        for (int j = 0; j < 2; ++j) sum[j] += splat(delta[i * row]) * load(right + i * PANEL + j * VL);
                    float made[PANEL];
                    float* const at = shape.depth - c < PANEL ? made : to + c;
                    for (int j = 0; j < 2; ++j) store(at + j * VL, sum[j]);
                    if (at == made) std::memcpy(to + c, made, (shape.depth - c) * 4);
                }
            }
    }

    const Area& area(int k) const { return plan_.backward.areas[plan_.outers[k].area]; }
    long blocks(int k) const { return sizes_.blocks(area(k).width); }
    long first(int k) const { return (thread_ + leader(k)) % threads_; }  // not all remainders to one thread

    // The first outer product with the same deltas: W and R mostly share them, so they are packed once.
    int leader(int k) const {
        const Outer& o = plan_.outers[k];
        for (int j = 0; j < k; ++j) {
            const Outer& other = plan_.outers[j];
            if (other.area == o.area && other.first == o.first && other.num_gates == o.num_gates) return j;
        }
        return k;
    }
    // The leader that packs the deltas which flow k sums up, so that they are read once; or -1.
    int packer(int flow) const {
        const Flow& f = plan_.flows[flow];
        for (int k = 0; k < plan_.num_outers; ++k) {
            const Outer& o = plan_.outers[k];
            const int at = f.vector - o.first;
            if (leader(k) == k && o.area == f.area && at >= 0 && at < o.num_gates && area(k).width == UNITS) return k;
        }
        return -1;
    }
    // Few columns: their sums lie as the deltas do, [block][gate][column][VL].
    bool narrow(int k) const { return plan_.outers[k].argument == INPUT && job_.I <= NARROW; }
    bool wanted(int k) const { return job_.d_parameters[plan_.outers[k].weight] != nullptr; }
    long height(int k) const { return static_cast<long>(plan_.outers[k].num_gates) * VL; }

    // Blocks of an outer product in even groups, as many for each thread.
    long groups(int k) const {
        const long size = GradientMemory::most_blocks(plan_.outers[k]), all = blocks(k);
        const long count = ((all + size - 1) / size + threads_ - 1) / threads_ * threads_;
        return count < all ? count : all;
    }
    long begin(int k, long group) const { return blocks(k) * group / groups(k); }

    // The thread's blocks of units for a flow.
    template <typename Work>
    void for_blocks(int flow, const Work& work) const {
        const int k = packer_[flow];
        if (k < 0)
            for (long u = thread_; u < sizes_.blocks(UNITS); u += threads_) work(u);
        else
            for (long g = first(k); g < groups(k); g += threads_)
                for (long u = begin(k, g); u < begin(k, g + 1); ++u) work(u);
    }

    void clear_flows() {
        for (int k = 0; k < plan_.num_flows; ++k)
            for_blocks(k, [&](long u) { store(g_.flows[k] + u * VL, V{}); });
    }

    // What a token was multiplied with: the input, the state before, or a value from the tape.
    const float* argument(const Outer& o, const Place& at) const {
        if (o.argument == INPUT) return job_.x + (at.t * job_.N + job_.rank[at.r]) * job_.I;
        if (o.argument != FIRST_STATE)
            return tape_.area[o.argument] + at.token(job_) * area_stride(sizes_, plan_.forward.areas[o.argument]);
        return state_before(job_, sizes_.units(plan_.state_width[0]), at);
    }

    void pack_right(int k, Place at, long count) {
        const Outer& o = plan_.outers[k];
        const long width = weight_depth(job_, o.weight), columns = g_.columns(job_, k);
        // Values from the tape are masked already; the state before is not.
        const bool masked = job_.mask && o.weight == 1 && o.argument == FIRST_STATE;
        const float *from[TOKENS_AT_ONCE], *mask[TOKENS_AT_ONCE];
        for (long i = 0; i < count; ++i, at.next(job_)) {
            from[i] = argument(o, at);
            mask[i] = masked ? job_.mask + job_.rank[at.r] * width : nullptr;
        }
        // Panel by panel: written token by token, all panels would lie in the same sets of the cache.
        float* to = g_.right[thread_][k];
        for (long c = 0; c < columns; c += PANEL)
            for (long i = 0; i < count; ++i, to += PANEL) {
                __builtin_prefetch(from[i] + c + PANEL);  // for the next panel
                pack_row(from[i], mask[i], c, width, to);
            }
    }

    static void pack_row(const float* from, const float* mask, long c, long width, float* to) {
        if (c + PANEL <= width && !mask) {
            store(to, load(from + c));
            store(to + VL, load(from + c + VL));
            return;
        }
        store(to, V{});
        store(to + VL, V{});
        for (long j = 0; j < PANEL && c + j < width; ++j) {
            const bool gone = mask && mask[c + j] == 0.0f;  // not 0 times it, which may be NaN
            to[j] = gone ? 0.0f : mask ? from[c + j] * mask[c + j] : from[c + j];
        }
    }

    // The rows of some blocks of units: their deltas, gate by gate, times the arguments of all that share them.
    void add_blocks(int k, long u0, long u1, long token, long count) {
        const Outer& o = plan_.outers[k];
        const long row = area_stride(sizes_, area(k)), block = area(k).count * VL;
        const float* deltas = m_.area[o.area] + token * row + o.first * VL;
        pack_left(k, u0, u1, deltas + u0 * block, row, count, begins_);
        Ahead next = deltas_after(k, u0, u1, token, count);
        for (int j = k; j < plan_.num_outers; ++j)
            if (leader(j) == k && wanted(j) && !narrow(j)) add_panels(j, u0, u1, begins_, count, next);
    }

    // The deltas of the blocks that follow, or of the first ones of the next tokens.
    Ahead deltas_after(int k, long u0, long u, long token, long count) const {
        const long tiles = RowTiles((u - u0) * height(k)).count * panels_of(k);
        const long row = area_stride(sizes_, area(k)), block = area(k).count * VL;
        if (u == blocks(k)) u = 0, token += count;
        const long left = deltas_ - token, rows = left < count ? left : count, size = blocks(k) - u;
        const long most = GradientMemory::most_blocks(plan_.outers[k]);
        return {m_.area[plan_.outers[k].area] + token * row + u * block, row, (size < most ? size : most) * block, rows, tiles};
    }

    // Panels of all that is multiplied with the deltas of leader k.
    long panels_of(int k) const {
        long count = 0;
        for (int j = k; j < plan_.num_outers; ++j)
            if (leader(j) == k && wanted(j) && !narrow(j)) count += g_.columns(job_, j) / PANEL;
        return count;
    }

    // The sums of a block for a panel of columns.
    float* sums(int k, long panel, long u) const { return g_.sums[k] + (panel * blocks(k) + u) * height(k) * PANEL; }

    // All columns of some blocks, whose rows are cut into tiles together. A panel of arguments is used by all tiles while it is
    // in the cache.
    void add_panels(int k, long u0, long u1, bool begins, long count, Ahead& next) {
        const RowTiles tiles((u1 - u0) * height(k));
        const long panels = g_.columns(job_, k) / PANEL;
        for (long c = 0; c < panels;) {
            const int np = panels_at_once(tiles.tallest(), panels - c);
            const float* left = g_.left[thread_];
            float* row = sums(k, c, u0);
            for (long tile = 0; tile < tiles.count; ++tile) {
                const int mr = static_cast<int>(tiles.height + (tile < tiles.taller));
                next.fetch();
                add_tile(k, c, np, row, mr, begins, count, left);
                left += GradientMemory::left_size(mr);
                row += mr * PANEL;
            }
            c += np;
        }
    }

    void add_tile(int k, long c, int np, float* row, int mr, bool begins, long count, const float* packed) {
        static const float zeros[VL] = {};
        const Left left{packed, 0, static_cast<int>(count), 1, 0};
        const long panel = blocks(k) * height(k) * PANEL;
        Column at[12];
        for (int j = 0; j < 2 * np; ++j) {
            float* sum = row + j / 2 * panel + j % 2 * VL;
            at[j] = begins ? Column{zeros, 0, sum, PANEL} : Column{sum, PANEL, sum, PANEL};
            // What the next tile starts from: it comes from memory.
            if (j % 2 == 0 && !begins) prefetch(sum + mr * PANEL, mr * PANEL);
        }
        find_tile<true>(mr, np)(left, g_.right[thread_][k] + c * count * PANEL, count * PANEL, at);
    }

    static void prefetch(const float* at, long count) {
        for (long k = 0; k < count; k += 16) __builtin_prefetch(at + k, 1);
    }

    // The deltas of some blocks, each tile's side by side, and their sums for the flows; a few tokens at a time, so that all of
    // it happens in the L1 cache.
    void pack_left(int k, long u0, long u1, const float* deltas, long row, long count, bool begins) {
        constexpr long STEP = 32;
        const long block = area(k).count * VL;
        for (long begin = 0; begin < count; begin += STEP) {
            const long end = begin + STEP < count ? begin + STEP : count;
            const float* from = deltas + begin * row;
            for (long u = u0; u < u1; ++u) sum_flows(k, u, from + (u - u0) * block, row, end - begin);
            for (int j = k; j < plan_.num_outers; ++j)
                for (long u = u0; u < u1 && leader(j) == k && wanted(j) && narrow(j); ++u)
                    add_narrow(j, u, from + (u - u0) * block, row, begin, end, begins && begin == 0);
            if (panels_of(k)) pack_tiles(k, u1 - u0, from, row, begin, end);
        }
    }

    void sum_flows(int k, long u, const float* deltas, long row, long count) {
        const float* from[SIDE_BY_SIDE];
        float* to[SIDE_BY_SIDE];
        int found = 0;
        for (int f = 0; f < plan_.num_flows; ++f) {
            if (packer_[f] != k) continue;
            from[found] = deltas + (plan_.flows[f].vector - plan_.outers[k].first) * VL;
            to[found] = g_.flows[f] + u * VL;
            if (++found == SIDE_BY_SIDE) sum_vectors<SIDE_BY_SIDE>(from, to, row, count), found = 0;
        }
        for (int f = 0; f < found; ++f) sum_vectors<1>(from + f, to + f, row, count);
    }

    // A block's deltas times each number of the input.
    void add_narrow(int k, long u, const float* deltas, long row, long begin, long end, bool begins) {
        const long gates = plan_.outers[k].num_gates;
        float* to = g_.sums[k] + u * gates * job_.I * VL;
        if (begins) std::memset(to, 0, gates * job_.I * VL * 4);
        for (long c = 0; c < job_.I; ++c) {
            const float* x = g_.right[thread_][k] + begin * PANEL + c;
            long g = 0;
            for (; g + SIDE_BY_SIDE <= gates; g += SIDE_BY_SIDE)
                add_scaled<SIDE_BY_SIDE>(deltas + g * VL, x, to + (g * job_.I + c) * VL, row, end - begin);
            for (; g < gates; ++g) add_scaled<1>(deltas + g * VL, x, to + (g * job_.I + c) * VL, row, end - begin);
        }
    }

    template <int COUNT>
    void add_scaled(const float* deltas, const float* x, float* to, long row, long count) const {
        V sum[COUNT];
        for (int k = 0; k < COUNT; ++k) sum[k] = load(to + k * job_.I * VL);
        for (long i = 0; i < count; ++i)
#pragma GCC unroll 4
            for (int k = 0; k < COUNT; ++k) sum[k] += load(deltas + i * row + k * VL) * splat(x[i * PANEL]);
        for (int k = 0; k < COUNT; ++k) store(to + k * job_.I * VL, sum[k]);
    }

    // Several sums at once, since each addition waits for the one before it.
    static constexpr int SIDE_BY_SIDE = 4;
    template <int COUNT>
    static void sum_vectors(const float* const* from, float* const* to, long row, long count) {
        V sum[COUNT];
        for (int k = 0; k < COUNT; ++k) sum[k] = load(to[k]);
        for (long i = 0; i < count; ++i)
#pragma GCC unroll 4
            for (int k = 0; k < COUNT; ++k) sum[k] += load(from[k] + i * row);
        for (int k = 0; k < COUNT; ++k) store(to[k], sum[k]);
    }

    void pack_tiles(int k, long blocks, const float* deltas, long row, long begin, long end) {
        const RowTiles tiles(blocks * height(k));
        float* to = g_.left[thread_];
        for (long tile = 0, first = 0; tile < tiles.count; ++tile) {
            const long mr = tiles.height + (tile < tiles.taller);
            pack_tile(k, first, mr, deltas, row, end - begin, to + begin * mr);
            to += GradientMemory::left_size(mr);
            first += mr;
        }
    }

    // Rows first .. first + mr: in one block, or in pieces. Whole vectors are written; what is too much is overwritten by the
    // next piece or token.
    void pack_tile(int k, long first, long mr, const float* deltas, long row, long count, float* to) {
        struct Piece {
            const float* from;
            long at, count;
        } pieces[MAX_ROWS];
        int found = 0;
        for (long at = 0; at < mr;) {
            const long block = (first + at) / height(k), within = (first + at) % height(k), left = height(k) - within;
            pieces[found] = {deltas + block * area(k).count * VL + within, at, left < mr - at ? left : mr - at};
            at += pieces[found++].count;
        }
        if (found == 1) return copy_rows(pieces[0].from, row, count, mr, to);
        for (long i = 0; i < count; ++i, to += mr)
            for (int k = 0; k < found; ++k)
                for (long j = 0; j < pieces[k].count; j += VL) store(to + pieces[k].at + j, load(pieces[k].from + i * row + j));
    }

    static void copy_rows(const float* from, long row, long count, long mr, float* to) {
        for (long i = 0; i < count; ++i, from += row, to += mr)
#pragma GCC unroll 4
            for (long j = 0; j < MAX_ROWS; j += VL) store(to + j, load(from + j));
    }

    void add_flow(const Flow& flow, float* sums, long token, long count) {
        const Area& a = plan_.backward.areas[flow.area];
        if (a.kind != Area::DELTA) return;
        const long row = area_stride(sizes_, a);
        for (long u = thread_; u < sizes_.blocks(UNITS); u += threads_) {
            const float* from = m_.area[flow.area] + token * row + (u * a.count + flow.vector) * VL;
            V sum = load(sums + u * VL);
            for (long i = 0; i < count; ++i) sum += load(from + i * row);
            store(sums + u * VL, sum);
        }
    }

    void write_outer(int k) {
        for (long g = first(leader(k)); g < groups(leader(k)); g += threads_)
            for (long u = begin(leader(k), g); u < begin(leader(k), g + 1); ++u)
                for (int gate = 0; gate < plan_.outers[k].num_gates; ++gate) write_gate(k, u, gate);
    }

    void write_gate(int k, long u, int gate) {
        const Outer& o = plan_.outers[k];
        const Matrix shape = matrix_of(job_, o.weight);
        for (long lane = 0; lane < VL && u * VL + lane < shape.units; ++lane) {
            float* to = job_.d_parameters[o.weight] + (o.gates[gate] * shape.units + u * VL + lane) * shape.depth;
            if (narrow(k)) {
                for (long c = 0; c < job_.I; ++c) to[c] = g_.sums[k][((u * o.num_gates + gate) * job_.I + c) * VL + lane];
                continue;
            }
            for (long c = 0; c * PANEL < shape.depth; ++c) {
                const float* from = sums(k, c, u) + (gate * VL + lane) * PANEL;
                const long left = shape.depth - c * PANEL;
                if (left >= PANEL)
                    for (long j = 0; j < PANEL; j += VL) store(to + c * PANEL + j, load(from + j));
                else
                    std::memcpy(to + c * PANEL, from, left * 4);
            }
        }
    }

    void write_flow(int k) {
        const Flow& flow = plan_.flows[k];
        float* sums = g_.flows[k];
        const Area& a = plan_.backward.areas[flow.area];
        const long row = area_stride(sizes_, a);
        for_blocks(k, [&](long u) {
            if (a.kind == Area::SUM)  // summed over time by row: now over rows, in the order of lengths
                for (long r = 0; r < job_.N; ++r)
                    store(sums + u * VL, load(sums + u * VL) + load(m_.area[flow.area] + r * row + (u * a.count + flow.vector) * VL));
            for (int i = 0; i < flow.targets.count; ++i) {
                const Source target = flow.targets.item[i];
                float* to = job_.d_parameters[target.parameter];
                for (long unit = u * VL; to && unit < job_.H && unit < (u + 1) * VL; ++unit)
                    to[target.gate * job_.H + unit] = sums[unit];
            }
        });
    }
};

inline long backward_bytes(const Job& job) {
    Bump bump(nullptr), taped(nullptr);
    const Tape tape(job, taped);
    BackwardMemory memory(job, tape, bump);
    GradientMemory gradients(job, bump);
    return bump.used();
}

inline void backward(const Job& job) {
    Bump bump(job.scratch), taped(job.tape);
    const Tape tape(job, taped);
    BackwardMemory memory(job, tape, bump);
    const GradientMemory gradients(job, bump);
    const Plan& plan = plan_of(job);
    parallel(job.threads, [&](int thread, int threads, Barrier& barrier) {
        const Packed* packed = memory.packed;
        for (int i = 0; i < plan.backward.num_stages; ++i)
            for (int j = 0; j < plan.backward.stages[i].num_products; ++j)
                pack(job, plan.backward.stages[i].products[j], *packed++, thread, threads);
        if (job.d_x) pack(job, *plan.to_input, memory.to_input, thread, threads);
        if (thread == 0) pack_vectors(job, memory.parameters);
        barrier.wait();
        const Share share = share_of(job, plan.backward, thread, threads, &barrier);
        if (job.d_x) clear_padding(job, thread, threads);
        Backward back(job, memory, tape, share, memory.inputs[thread]);
        WeightGradients sums(job, memory, gradients, tape, thread, threads);
        back.begin();
        sums.begin();
        do {
            const Place place = back.place();
            const long deltas = back.run();
            barrier.wait();
            if (job.d_x && !by_step(job, share)) input_gradient(job, memory, place, deltas, thread, threads);
            sums.add(place, deltas);
            if (!back.is_done()) barrier.wait();  // for all to have read the deltas, before others take their place
        } while (!back.is_done());
        sums.write();
    });
}

}  // namespace recurra::RECURRA_ISA
