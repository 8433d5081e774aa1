// Attention for Python: plain pointers in; the caller has checked types, sizes, strides and spans.
#include "span_attention.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "../dense/span_attention_job.h"
#include "pool.h"
#include "processor.h"

namespace nb = nanobind;
using namespace recurra;
using namespace nanobind::literals;

namespace {

using Address = std::uintptr_t;

const SpanAttentionEngine& engine_of(const std::string& isa) {
    const SpanAttentionEngine* engines[] = {
#if defined(RECURRA_HAS_AVX512)
        &span_attention_avx512,
#endif
#if defined(RECURRA_HAS_AVX2)
        &span_attention_avx2,
#endif
#if defined(RECURRA_HAS_PORTABLE)
        &span_attention_portable,
#endif
    };
    for (const SpanAttentionEngine* e : engines)
        if (isa == e->isa && processor_runs(e->isa)) return *e;
    throw std::invalid_argument("this processor cannot run '" + isa + "'");
}

// OpenMP's threads do not survive a fork: in a child, one thread does the work. The bits are the same.
const pid_t loaded_in = getpid();

int team(long threads) {
    return getpid() != loaded_in || threads < 1 ? 1 : static_cast<int>(threads > SPAN_THREADS ? SPAN_THREADS : threads);
}

// sizes: sequences, heads, size, row of q, of k, of v, causal, window, threads. addresses: spans, q, k, v, out, log_sums, turns
// or 0; of gradients also d_out, d_q, d_k, d_v.
SpanAttentionJob job_of(const std::vector<long>& sizes, const std::vector<Address>& addresses, float scale,
                    std::uint32_t dropped, std::uint64_t seed) {
    SpanAttentionJob job{};
    job.sequences = sizes.at(0), job.heads = sizes.at(1), job.size = sizes.at(2);
    job.q_row = sizes.at(3), job.k_row = sizes.at(4), job.v_row = sizes.at(5);
    job.causal = sizes.at(6) != 0, job.window = sizes.at(7), job.threads = team(sizes.at(8));
    job.spans = reinterpret_cast<const Span*>(addresses.at(0));
    job.q = reinterpret_cast<const float*>(addresses.at(1));
    job.k = reinterpret_cast<const float*>(addresses.at(2));
    job.v = reinterpret_cast<const float*>(addresses.at(3));
    job.out = reinterpret_cast<float*>(addresses.at(4));
    job.log_sums = reinterpret_cast<float*>(addresses.at(5));
    job.turns = reinterpret_cast<const float*>(addresses.at(6));
    job.scale = scale, job.dropped = dropped, job.seed = seed;
    return job;
}

template <typename Work>
void run(const SpanAttentionEngine& engine, SpanAttentionJob& job, Work work) {
    const nb::gil_scoped_release other_threads;
    const Memory scratch(static_cast<std::size_t>(engine.bytes(job)));
    job.scratch = scratch.at();
    work(job);
}

void attend(const std::string& isa, const std::vector<long>& sizes, const std::vector<Address>& addresses, float scale,
            std::uint32_t dropped, std::uint64_t seed) {
    const SpanAttentionEngine& engine = engine_of(isa);
    SpanAttentionJob job = job_of(sizes, addresses, scale, dropped, seed);
    run(engine, job, engine.attend);
}

void attention_gradients(const std::string& isa, const std::vector<long>& sizes, const std::vector<Address>& addresses,
                         float scale, std::uint32_t dropped, std::uint64_t seed) {
    const SpanAttentionEngine& engine = engine_of(isa);
    SpanAttentionJob job = job_of(sizes, addresses, scale, dropped, seed);
    job.d_out = reinterpret_cast<const float*>(addresses.at(7));
    job.d_q = reinterpret_cast<float*>(addresses.at(8));
    job.d_k = reinterpret_cast<float*>(addresses.at(9));
    job.d_v = reinterpret_cast<float*>(addresses.at(10));
    run(engine, job, engine.gradients);
}

void drop(const std::string& isa, Address x, Address y, long count, std::uint32_t dropped, std::uint64_t seed) {
    const SpanAttentionEngine& engine = engine_of(isa);
    const nb::gil_scoped_release other_threads;
    engine.drop({reinterpret_cast<const float*>(x), reinterpret_cast<float*>(y), count, dropped, seed});
}

}  // namespace

void bind_span_attention(nb::module_& m) {
    m.def("attend_spans", &attend, "isa"_a, "sizes"_a, "addresses"_a, "scale"_a, "dropped"_a, "seed"_a);
    m.def("span_gradients", &attention_gradients, "isa"_a, "sizes"_a, "addresses"_a, "scale"_a, "dropped"_a,
          "seed"_a);
    m.def("drop", &drop, "isa"_a, "x"_a, "y"_a, "count"_a, "dropped"_a, "seed"_a);
}
