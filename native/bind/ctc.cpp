// CTC for Python: plain pointers in; the caller has checked types, sizes, contiguity, lengths and targets.
#include "ctc.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "../dense/ctc_job.h"
#include "pool.h"
#include "processor.h"

namespace nb = nanobind;
using namespace recurra;
using namespace nanobind::literals;

namespace {

using Address = std::uintptr_t;

const CtcEngine& engine_of(const std::string& isa) {
    const CtcEngine* engines[] = {
#if defined(RECURRA_HAS_AVX512)
        &ctc_avx512,
#endif
#if defined(RECURRA_HAS_AVX2)
        &ctc_avx2,
#endif
#if defined(RECURRA_HAS_PORTABLE)
        &ctc_portable,
#endif
    };
    for (const CtcEngine* e : engines)
        if (isa == e->isa && processor_runs(e->isa)) return *e;
    throw std::invalid_argument("this processor cannot run '" + isa + "'");
}

// OpenMP's threads do not survive a fork: in a child, one thread does the work. The bits are the same.
const pid_t loaded_in = getpid();

int team(long threads, long rows) {
    if (getpid() != loaded_in || threads < 1) return 1;
    return static_cast<int>(threads < rows ? threads : rows < 1 ? 1 : rows);
}

// sizes: T, N, C, U, blank, threads. addresses: logits, lengths, targets, target_lengths, nats, d_logits or 0.
void ctc_loss(const std::string& isa, const std::vector<long>& sizes, const std::vector<Address>& addresses) {
    const CtcEngine& engine = engine_of(isa);
    CtcJob job{};
    job.T = sizes.at(0), job.N = sizes.at(1), job.C = sizes.at(2), job.U = sizes.at(3), job.blank = sizes.at(4);
    job.threads = team(sizes.at(5), job.N);
    job.logits = reinterpret_cast<const float*>(addresses.at(0));
    job.lengths = reinterpret_cast<const std::int64_t*>(addresses.at(1));
    job.targets = reinterpret_cast<const std::int64_t*>(addresses.at(2));
    job.target_lengths = reinterpret_cast<const std::int64_t*>(addresses.at(3));
    job.nats = reinterpret_cast<float*>(addresses.at(4));
    job.d_logits = reinterpret_cast<float*>(addresses.at(5));
    const nb::gil_scoped_release other_threads;
    const Memory scratch(static_cast<std::size_t>(engine.bytes(job)));
    job.scratch = scratch.at();
    engine.loss(job);
}

}  // namespace

void bind_ctc(nb::module_& m) { m.def("ctc_loss", &ctc_loss, "isa"_a, "sizes"_a, "addresses"_a); }
