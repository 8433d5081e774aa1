// The engine without Python, for the sanitizers: every built-in cell and linear layers on random shapes, forward and
// backward, every instruction set of this processor against the portable one, one thread against several (bits).
//
// Arrays have exactly the sizes that the engine is promised, so that a read past an end is seen.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "../bind/pool.h"
#include "../bind/processor.h"
#include "../bind/rows.h"
#include "../checksum_job.h"
#include "../dense/linear_job.h"
#include "../recurrent/job.h"
#include "alignments.h"
#include "source_steps.h"
#include "spans.h"
#include "transformer.h"
#include "word_vectors.h"

using namespace recurra;

namespace {

using Floats = std::vector<float>;

struct Shape {
    long T, N, I, H, P;
    bool reverse, lengths, zoneout, mask, states;  // states: whether initial and final ones have gradients
};

// Inputs of one call and everything it writes.
struct Problem {
    Shape shape;
    int num_states, widths[JOB_STATES], gates[JOB_PARAMETERS];
    std::vector<std::int64_t> lengths;
    Floats x, mask, d_output;
    std::vector<Floats> states, parameters, d_finals;
    std::vector<std::vector<std::uint8_t>> zones;

    Problem(const Engine& engine, const char* cell, const Shape& s, std::mt19937& random) : shape(s) {
        engine.describe(engine.find(cell), &num_states, widths, gates);
        std::normal_distribution<float> normal;
        const auto fill = [&](long count, float scale) {
            Floats made(count);
            for (float& v : made) v = scale * normal(random);
            return made;
        };
        if (s.lengths)
            for (long n = 0; n < s.N; ++n) lengths.push_back(static_cast<long>(random() % (s.T + 1)));
        x = fill(s.T * s.N * s.I, 1.0f);
        const long first = widths[0] ? s.P : s.H;
        for (int i = 0; i < num_states; ++i) {
            const long width = widths[i] ? s.P : s.H;
            states.push_back(fill(s.N * width, 0.1f));
            for (float& v : states.back()) v = 0.5f + std::fabs(v);
            d_finals.push_back(fill(s.N * width, 1.0f));
            zones.emplace_back(s.zoneout ? s.T * s.N * width : 0);
            for (auto& z : zones.back()) z = random() % 3 == 0;
        }
        if (s.mask) mask = fill(s.N * first, 1.0f);
        d_output = fill(s.T * s.N * first, 1.0f);
        const long depth[JOB_PARAMETERS] = {s.I, first, 1, 1, s.H, 1, 1};
        for (int k = 0; k < JOB_PARAMETERS; ++k) parameters.push_back(fill(gates[k] * (k == 4 ? s.P : s.H) * depth[k], 0.2f));
    }
};

// All outputs and gradients of a problem, one after another.
Floats solve(const Engine& engine, const char* cell, const Problem& p, int threads) {
    const Shape& s = p.shape;
    const Rows rows(s.T, s.N, p.lengths.empty() ? nullptr : p.lengths.data());
    Job job{};
    job.plan = engine.find(cell);
    job.T = s.T, job.N = s.N, job.I = s.I, job.H = s.H, job.P = s.P;
    job.reverse = s.reverse, job.training = true, job.threads = threads;
    job.rank = rows.rank.data(), job.active = rows.active.data(), job.token = rows.token.data();
    job.x = p.x.data();
    job.mask = s.mask ? p.mask.data() : nullptr;
    std::vector<Floats> made;
    made.reserve(64);
    const auto room = [&](std::size_t count) { return made.emplace_back(count).data(); };
    job.output = room(p.d_output.size());
    job.d_output = p.d_output.data();
    job.d_x = room(p.x.size());
    for (int i = 0; i < p.num_states; ++i) {
        job.states[i] = p.states[i].data();
        job.d_finals[i] = s.states ? p.d_finals[i].data() : nullptr;
        job.finals[i] = room(p.states[i].size());
        job.d_states[i] = s.states ? room(p.states[i].size()) : nullptr;
        job.zone_mask[i] = s.zoneout ? p.zones[i].data() : nullptr;
    }
    for (int k = 0; k < JOB_PARAMETERS; ++k) {
        if (p.parameters[k].empty()) continue;
        job.parameters[k] = p.parameters[k].data();
        job.d_parameters[k] = room(p.parameters[k].size());
    }
    const auto run = [&](auto work, long bytes) {
        // Poisoned: what is read before it is written becomes NaN.
        std::vector<char> scratch(bytes + 128, static_cast<char>(0xFF));
        job.scratch = scratch.data() + 128 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 128;
        work(job);
    };
    std::vector<char> tape(engine.tape_bytes(job) + 128, static_cast<char>(0xFF));
    job.tape = tape.data() + 128 - reinterpret_cast<std::uintptr_t>(tape.data()) % 128;
    std::vector<char> weights(engine.weight_bytes(job) + 128, static_cast<char>(0xFF));
    job.weights = weights.data() + 128 - reinterpret_cast<std::uintptr_t>(weights.data()) % 128;
    run(engine.forward, engine.forward_bytes(job));
    run(engine.backward, engine.backward_bytes(job));
    Floats all;
    for (const Floats& part : made) all.insert(all.end(), part.begin(), part.end());
    return all;
}

double difference(const Floats& a, const Floats& b) {
    double worst = 0.0;
    for (std::size_t k = 0; k < a.size(); ++k) {
        const double d = std::fabs(a[k] - b[k]) / (1.0 + std::fabs(b[k]));
        worst = std::isnan(d) ? 1e30 : d > worst ? d : worst;
    }
    return worst;
}

int failures = 0;

void expect(bool holds, const char* cell, const char* isa, const Shape& s, const char* what, double value) {
    if (holds) return;
    ++failures;
    std::printf("%s %s T%ld N%ld I%ld H%ld P%ld reverse%d lengths%d zoneout%d mask%d states%d: %s (%g)\n", cell, isa, s.T, s.N,
                s.I, s.H, s.P, s.reverse, s.lengths, s.zoneout, s.mask, s.states, what, value);
}

void check(const std::vector<const Engine*>& engines, const char* cell, const Shape& s, std::mt19937& random) {
    const Engine& plain = *engines.back();
    const Problem problem(plain, cell, s, random);
    const Floats expected = solve(plain, cell, problem, 1);
    for (const Engine* engine : engines) {
        const Floats got = solve(*engine, cell, problem, 1);
        const double worst = difference(got, expected);
        expect(worst < 1e-3, cell, engine->isa, s, "differs from the portable engine", worst);
        const Floats shared = solve(*engine, cell, problem, 3);
        expect(std::memcmp(got.data(), shared.data(), got.size() * 4) == 0, cell, engine->isa, s, "differs by threads", 0);
    }
}

// Matrices of fewer bits: the forward pass has the bits that it has with the float32 numbers that they stand for.
struct CompactProblem {
    Problem plain;
    Precision precision;
    std::vector<std::vector<std::uint16_t>> halves;
    std::vector<std::vector<std::int8_t>> bytes;
    std::vector<Floats> scales;

    CompactProblem(const Engine& engine, const char* cell, const Shape& s, Precision precision, std::mt19937& random)
        : plain(engine, cell, s, random), precision(precision), halves(JOB_PARAMETERS), bytes(JOB_PARAMETERS), scales(JOB_PARAMETERS) {
        for (const int k : {0, 1, 4}) {
            Floats& matrix = plain.parameters[k];
            const long rows = plain.gates[k] * (k == 4 ? s.P : s.H), depth = rows ? static_cast<long>(matrix.size()) / rows : 0;
            for (long r = 0; r < rows && precision == INT8; ++r) scales[k].push_back(0.001f * static_cast<float>(1 + random() % 9));
            for (std::size_t i = 0; i < matrix.size(); ++i) {
                std::uint32_t word;
                std::memcpy(&word, &matrix[i], 4);
                const auto whole = static_cast<std::int8_t>(static_cast<long>(random() % 255) - 127);
                if (precision == INT8) bytes[k].push_back(whole), matrix[i] = static_cast<float>(whole) * scales[k][i / depth];
                else halves[k].push_back(static_cast<std::uint16_t>(word >> 16)), word &= 0xFFFF0000u, std::memcpy(&matrix[i], &word, 4);
            }
        }
    }

    Floats solve(const Engine& engine, const char* cell, bool compact, int threads) const {
        const Shape& s = plain.shape;
        const Rows rows(s.T, s.N, plain.lengths.empty() ? nullptr : plain.lengths.data());
        Job job{};
        job.plan = engine.find(cell);
        job.T = s.T, job.N = s.N, job.I = s.I, job.H = s.H, job.P = s.P, job.reverse = s.reverse, job.threads = threads;
        job.rank = rows.rank.data(), job.active = rows.active.data(), job.token = rows.token.data();
        job.x = plain.x.data();
        job.precision = compact ? precision : FLOAT32;
        Floats output(plain.d_output.size());
        std::vector<Floats> finals = plain.states;
        job.output = output.data();
        for (int i = 0; i < plain.num_states; ++i) job.states[i] = plain.states[i].data(), job.finals[i] = finals[i].data();
        for (int k = 0; k < JOB_PARAMETERS; ++k) {
            if (plain.parameters[k].empty()) continue;
            const bool matrix = compact && (k == 0 || k == 1 || k == 4);
            const void* const fewer = precision == INT8 ? static_cast<const void*>(bytes[k].data()) : halves[k].data();
            job.parameters[k] = matrix ? static_cast<const float*>(fewer) : plain.parameters[k].data();
            if (matrix && precision == INT8) job.scales[k] = scales[k].data();
        }
        const auto room = [](long count) { return std::vector<char>(count + 128, static_cast<char>(0xFF)); };
        const auto start = [](std::vector<char>& at) { return at.data() + 128 - reinterpret_cast<std::uintptr_t>(at.data()) % 128; };
        std::vector<char> weights = room(engine.weight_bytes(job)), scratch = room(engine.forward_bytes(job));
        job.weights = start(weights), job.scratch = start(scratch);
        engine.forward(job);
        for (const Floats& last : finals) output.insert(output.end(), last.begin(), last.end());
        return output;
    }
};

void check_compact(const std::vector<const Engine*>& engines, const char* cell, const Shape& s, std::mt19937& random) {
    for (const Precision precision : {BFLOAT16, INT8}) {
        const CompactProblem problem(*engines.back(), cell, s, precision, random);
        for (const Engine* engine : engines) {
            const Floats expected = problem.solve(*engine, cell, false, 1);
            for (const int threads : {1, 3}) {
                const Floats got = problem.solve(*engine, cell, true, threads);
                const bool same = std::memcmp(got.data(), expected.data(), got.size() * 4) == 0;
                expect(same, cell, engine->isa, s, precision == INT8 ? "differs in int8" : "differs in bfloat16", threads);
            }
        }
    }
}

// Products of bfloat16: the same bits by threads, and near those of float32 with the same weights.
void check_products(const std::vector<const Engine*>& engines, const char* cell, const Shape& s, std::mt19937& random) {
    const CompactProblem problem(*engines.back(), cell, s, BFLOAT16_PRODUCTS, random);
    const Floats unrounded = problem.solve(*engines.back(), cell, false, 1);
    for (const Engine* engine : engines) {
        const Floats got = problem.solve(*engine, cell, true, 1);
        const double worst = difference(got, unrounded);
        expect(worst < 0.1, cell, engine->isa, s, "is far from float32 in products of bfloat16", worst);
        const Floats shared = problem.solve(*engine, cell, true, 3);
        expect(std::memcmp(got.data(), shared.data(), got.size() * 4) == 0, cell, engine->isa, s, "differs in products of bfloat16 by threads", 0);
    }
}

// A linear layer and one with cross-entropy: inputs, and all that they give.
struct LinearProblem {
    long M, D, V;
    bool bias, weighed;
    Floats x, weight, b, d_y, rows;
    std::vector<std::int64_t> targets;

    LinearProblem(long M, long D, long V, bool bias, bool weighed, std::mt19937& random)
        : M(M), D(D), V(V), bias(bias), weighed(weighed) {
        std::normal_distribution<float> normal;
        const auto fill = [&](long count) {
            Floats made(count);
            for (float& v : made) v = normal(random);
            return made;
        };
        x = fill(M * D), weight = fill(V * D), b = fill(V), d_y = fill(M * V), rows = fill(M);
        for (float& v : weight) v /= std::sqrt(static_cast<float>(D));
        for (long m = 0; m < M; ++m) targets.push_back(static_cast<long>(random() % V));
    }

    Floats solve(const LinearEngine& engine, int threads) const {
        std::vector<Floats> made;
        made.reserve(16);
        const auto room = [&](long count) { return made.emplace_back(count).data(); };
        LossJob loss{M, D, V, threads, x.data(), weight.data(), bias ? b.data() : nullptr, targets.data(), 0.1f,
                     weighed ? rows.data() : nullptr, room(M), room(M * D), room(V * D), room(V), nullptr};
        run(engine.loss, engine.loss_bytes(loss), loss);
        loss.nats = room(M);
        loss.d_x = loss.d_weight = loss.d_bias = nullptr;
        run(engine.loss, engine.loss_bytes(loss), loss);
        LinearJob linear{M, D, V, threads, x.data(), weight.data(), bias ? b.data() : nullptr, room(M * V), d_y.data(),
                         room(M * D), room(V * D), room(V), nullptr};
        run(engine.linear, engine.linear_bytes(linear), linear);
        run(engine.linear_gradients, engine.linear_bytes(linear), linear);
        Floats all;
        for (const Floats& part : made) all.insert(all.end(), part.begin(), part.end());
        return all;
    }

    template <typename Job>
    static void run(void (*work)(const Job&), long bytes, Job& job) {
        std::vector<char> scratch(bytes + 128, static_cast<char>(0xFF));  // poisoned, as above
        job.scratch = scratch.data() + 128 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 128;
        work(job);
    }
};

void check(const std::vector<const LinearEngine*>& engines, const LinearProblem& p) {
    const Floats expected = p.solve(*engines.back(), 1);
    const auto expect = [&](bool holds, const char* isa, const char* what) {
        if (holds) return;
        ++failures;
        std::printf("linear %s M%ld D%ld V%ld bias%d weighed%d: %s\n", isa, p.M, p.D, p.V, p.bias, p.weighed, what);
    };
    for (const LinearEngine* engine : engines) {
        const Floats got = p.solve(*engine, 1), shared = p.solve(*engine, 3);
        expect(difference(got, expected) < 1e-3, engine->isa, "differs from the portable engine");
        expect(std::memcmp(got.data(), shared.data(), got.size() * 4) == 0, engine->isa, "differs by threads");
    }
}

// Sums of some bytes, against the same sums one by one.
using Sums = std::vector<std::uint64_t>;

// NH, the sums of each block of words.
Sums sums_of_products(const std::vector<std::uint32_t>& words, const std::vector<std::uint32_t>& keys) {
    Sums sums(words.size() / CHECKED_AT_ONCE * 2);
    for (std::size_t k = 0; k < words.size(); k += 2)
        for (std::size_t sum = 0; sum < 2; ++sum) {
            const std::uint32_t* mine = keys.data() + sum * CHECKED_AT_ONCE + k % CHECKED_AT_ONCE;
            sums[k / CHECKED_AT_ONCE * 2 + sum] += static_cast<std::uint64_t>(words[k] + mine[0]) * (words[k + 1] + mine[1]);
        }
    return sums;
}

// CLNH: words of 64 bits as polynomials over GF(2), bit by bit. The low half of each block's sum, then the high one.
Sums sums_without_carries(const std::vector<std::uint32_t>& words, const std::vector<std::uint32_t>& keys) {
    Sums sums(words.size() / CHECKED_AT_ONCE * 2);
    const auto word = [&](std::size_t k) {
        const auto half = [&](std::size_t i) { return static_cast<std::uint64_t>(words[i] ^ keys[i % CHECKED_AT_ONCE]); };
        return half(k) | half(k + 1) << 32;
    };
    for (std::size_t k = 0; k < words.size(); k += 4) {
        const std::uint64_t one = word(k), other = word(k + 2);
        std::uint64_t* const sum = sums.data() + k / CHECKED_AT_ONCE * 2;
        for (int bit = 0; bit < 64; ++bit) {
            if (!(other >> bit & 1)) continue;
            sum[0] ^= one << bit;
            if (bit) sum[1] ^= one >> (64 - bit);
        }
    }
    return sums;
}

bool adds_without_carries(const std::string& isa) {
#if defined(__x86_64__)
    return isa != "portable" && __builtin_cpu_supports("vpclmulqdq");
#else
    return false;
#endif
}

void check(const std::vector<const ChecksumEngine*>& engines, long count, std::mt19937& random) {
    std::vector<std::uint8_t> memory(count);
    for (auto& byte : memory) byte = static_cast<std::uint8_t>(random());
    std::vector<std::uint32_t> keys(CHECKSUM_KEYS), words(checksums_of(count) / 2 * CHECKED_AT_ONCE);
    for (auto& key : keys) key = static_cast<std::uint32_t>(random());
    std::memcpy(words.data(), memory.data(), static_cast<std::size_t>(count));
    const std::vector<std::uint64_t> products = sums_of_products(words, keys), without_carries = sums_without_carries(words, keys);
    std::vector<std::uint64_t> got(products.size());
    for (const ChecksumEngine* engine : engines) {
        engine->checksums(memory.data(), count, keys.data(), got.data());
        if (got == (adds_without_carries(engine->isa) ? without_carries : products)) continue;
        ++failures;
        std::printf("checksums %s of %ld bytes differ\n", engine->isa, count);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const long rounds = argc > 1 ? std::atol(argv[1]) : 20;
    std::vector<const Engine*> engines;
    std::vector<const LinearEngine*> linears;
    std::vector<const ChecksumEngine*> checksums;
    std::vector<const WordsEngine*> words;
    std::vector<const GloveEngine*> gloves;
    std::vector<const TransformerEngine*> transformers;
    std::vector<const SpanAttentionEngine*> attentions;
    std::vector<battery::SourceEngines> sources;
    std::vector<const CtcEngine*> ctcs;
    std::vector<const TransducerEngine*> transducers;
#if defined(__x86_64__)
    for (const Engine* e : {&engine_avx512, &engine_avx2})
        if (processor_runs(e->isa)) engines.push_back(e);
    for (const LinearEngine* e : {&linear_avx512, &linear_avx2})
        if (processor_runs(e->isa)) linears.push_back(e);
    for (const ChecksumEngine* e : {&checksum_avx512, &checksum_avx2})
        if (processor_runs(e->isa)) checksums.push_back(e);
    for (const WordsEngine* e : {&words_avx512, &words_avx2})
        if (processor_runs(e->isa)) words.push_back(e);
    for (const GloveEngine* e : {&glove_avx512, &glove_avx2})
        if (processor_runs(e->isa)) gloves.push_back(e);
    for (const TransformerEngine* e : {&transformer_avx512, &transformer_avx2})
        if (processor_runs(e->isa)) transformers.push_back(e);
    for (const SpanAttentionEngine* e : {&span_attention_avx512, &span_attention_avx2})
        if (processor_runs(e->isa)) attentions.push_back(e);
    for (const battery::SourceEngines& e : {battery::SourceEngines{&transformer_avx512, &source_step_avx512, &convolution_avx512},
                                            battery::SourceEngines{&transformer_avx2, &source_step_avx2, &convolution_avx2}})
        if (processor_runs(e.steps->isa)) sources.push_back(e);
    for (const CtcEngine* e : {&ctc_avx512, &ctc_avx2})
        if (processor_runs(e->isa)) ctcs.push_back(e);
    for (const TransducerEngine* e : {&transducer_avx512, &transducer_avx2})
        if (processor_runs(e->isa)) transducers.push_back(e);
#endif
    ctcs.push_back(&ctc_portable);
    transducers.push_back(&transducer_portable);
    transformers.push_back(&transformer_portable);
    attentions.push_back(&span_attention_portable);
    sources.push_back({&transformer_portable, &source_step_portable, &convolution_portable});
    words.push_back(&words_portable);
    gloves.push_back(&glove_portable);
    engines.push_back(&engine_portable);
    linears.push_back(&linear_portable);
    checksums.push_back(&checksum_portable);
    std::mt19937 random(1);
    const auto up_to = [&](long most) { return 1 + static_cast<long>(random() % most); };
    long count = 0;
    for (long round = 0; round < rounds; ++round)
        for (int k = 0; engines[0]->cell(k); ++k, ++count) {
            const bool flags[] = {random() % 2 == 0, random() % 2 == 0, random() % 4 == 0, random() % 4 == 0,
                                  random() % 4 != 0};
            const Shape s{up_to(7), round % 5 == 4 ? up_to(70) : up_to(9), up_to(40), up_to(50), up_to(40),
                          flags[0], flags[1], flags[2], flags[3], flags[4]};
            check(engines, engines[0]->cell(k), s, random);
            check_compact(engines, engines[0]->cell(k), s, random);
            check_products(engines, engines[0]->cell(k), s, random);
        }
    // More tokens than deltas are kept of at once, and fewer rows than threads, of which some have none.
    for (long round = 0; round < rounds; ++round)
        for (int k = 0; engines[0]->cell(k); ++k, ++count) {
            const bool even = random() % 2 == 0, other = random() % 4 == 0;
            const long H = random() % 2 ? 16 * up_to(2) : up_to(40);
            const Shape many{10 + up_to(20), 20 + up_to(40), up_to(20), H, up_to(20), even, !even, other, other, even};
            const Shape few{up_to(3), up_to(2), up_to(9), H, up_to(20), even, other, other, true, !other};
            if (round % 4 == k % 4) check(engines, engines[0]->cell(k), many, random);
            check(engines, engines[0]->cell(k), few, random);
        }
    // Rows that are lanes of one vector or of two, of whole panels and what is left.
    for (long round = 0; round < 2 * rounds; ++round, ++count) {
        const long M = round % 3 ? up_to(16) : 25 + up_to(10), D = up_to(150), V = up_to(round % 2 ? 90 : 300);
        check(linears, LinearProblem(M, D, V, random() % 2 == 0, random() % 2 == 0, random));
    }
    for (long round = 0; round < rounds; ++round, ++count) {
        const bool large = round % 4 == 3;
        const long M = up_to(large ? 300 : 40), D = up_to(large ? 40 : 90), V = up_to(large ? 700 : 60);
        check(linears, LinearProblem(M, D, V, random() % 2 == 0, random() % 2 == 0, random));
    }
    for (long round = 0; round < rounds; ++round, ++count) check(checksums, up_to(12000), random);
    for (long round = 0; round < rounds; ++round, ++count) {
        const battery::TextProblem text(1 + up_to(60), up_to(70), static_cast<int>(up_to(round % 7 ? 6 : 64)),
                                        static_cast<int>(up_to(9)), static_cast<int>(round), random);
        failures += battery::check_words(words, gloves, text);
    }
    for (long round = 0; round < rounds; ++round, ++count)
        failures += battery::check_transformer(transformers, battery::TransformerProblem(round, random), round);
    for (long round = 0; round < 4 * rounds; ++round, ++count)
        failures += battery::check_made(attentions, battery::SpanProblem(round, random), "attention", round);
    for (long round = 0; round < 2 * rounds; ++round, ++count)
        failures += battery::check_made(transformers, battery::UnitsProblem(round, random), "units", round);
    for (long round = 0; round < rounds; ++round, ++count)
        failures += battery::check_sources(sources, battery::SourceProblem(round, random), round);
    for (long round = 0; round < rounds; ++round, ++count)
        failures += battery::check_ctc(ctcs, battery::CtcProblem(round, random));
    for (long round = 0; round < rounds; ++round, ++count)
        failures += battery::check_transducer(transducers, battery::TransducerProblem(round, random));
    std::printf("%ld problems on %zu instruction sets, %d failures\n", count, engines.size(), failures);
    return failures ? 1 : 0;
}
