// Attention of single queries for Python: plain pointers in (the caller has checked types, sizes and rows).
#include "attention.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "../dense/attention_job.h"
#include "processor.h"

namespace nb = nanobind;
using namespace recurra;
using namespace nanobind::literals;

namespace {

using Address = std::uintptr_t;

const AttentionEngine& engine_of(const std::string& isa) {
    const AttentionEngine* engines[] = {
#if defined(RECURRA_HAS_AVX512)
        &attention_avx512,
#endif
#if defined(RECURRA_HAS_AVX2)
        &attention_avx2,
#endif
#if defined(RECURRA_HAS_PORTABLE)
        &attention_portable,
#endif
    };
    for (const AttentionEngine* e : engines)
        if (isa == e->isa && processor_runs(e->isa)) return *e;
    throw std::invalid_argument("this processor cannot run '" + isa + "'");
}

// OpenMP's threads do not survive a fork: in a child, one thread does the work. The bits are the same.
const pid_t loaded_in = getpid();

// sizes: queries, heads, numbers of a head, threads. addresses: q, keys, values, rows, ends, out.
void attend(const std::string& isa, const std::vector<long>& sizes, const std::vector<Address>& addresses, float scale) {
    const AttentionEngine& engine = engine_of(isa);
    AttendJob job{};
    job.queries = sizes.at(0), job.heads = sizes.at(1), job.size = sizes.at(2);
    job.threads = getpid() == loaded_in ? static_cast<int>(sizes.at(3)) : 1;
    job.scale = scale;
    job.q = reinterpret_cast<const float*>(addresses.at(0));
    job.keys = reinterpret_cast<const float*>(addresses.at(1));
    job.values = reinterpret_cast<const float*>(addresses.at(2));
    job.rows = reinterpret_cast<const std::int64_t*>(addresses.at(3));
    job.ends = reinterpret_cast<const std::int64_t*>(addresses.at(4));
    job.out = reinterpret_cast<float*>(addresses.at(5));
    const nb::gil_scoped_release other_threads;
    engine.attend(job);
}

}  // namespace

void bind_attention(nb::module_& m) {
    m.def("attend", &attend, "isa"_a, "sizes"_a, "addresses"_a, "scale"_a);
}
