// RNN-T for Python: plain pointers in; the caller has checked types, sizes, contiguity, lengths and targets.
#include "transducer.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "../dense/transducer_job.h"
#include "pool.h"
#include "processor.h"

namespace nb = nanobind;
using namespace recurra;
using namespace nanobind::literals;

namespace {

using Address = std::uintptr_t;

const TransducerEngine& engine_of(const std::string& isa) {
    const TransducerEngine* engines[] = {
#if defined(RECURRA_HAS_AVX512)
        &transducer_avx512,
#endif
#if defined(RECURRA_HAS_AVX2)
        &transducer_avx2,
#endif
#if defined(RECURRA_HAS_PORTABLE)
        &transducer_portable,
#endif
    };
    for (const TransducerEngine* e : engines)
        if (isa == e->isa && processor_runs(e->isa)) return *e;
    throw std::invalid_argument("this processor cannot run '" + isa + "'");
}

// OpenMP's threads do not survive a fork: in a child, one thread does the work. The bits are the same.
const pid_t loaded_in = getpid();

int team(long threads) {
    if (getpid() != loaded_in || threads < 1) return 1;
    return static_cast<int>(threads < TRANSDUCER_GROUPS ? threads : TRANSDUCER_GROUPS);
}

// sizes: T, N, D, V, U, blank, threads. addresses: left, right, weight or 0, bias or 0, lengths, targets, target_lengths,
// row_weights or 0, nats, and d_left or 0, d_right, d_weight or 0, d_bias or 0.
void transducer_loss(const std::string& isa, const std::vector<long>& sizes, const std::vector<Address>& addresses,
                     float fast_emit) {
    const TransducerEngine& engine = engine_of(isa);
    TransducerJob job{};
    job.T = sizes.at(0), job.N = sizes.at(1), job.D = sizes.at(2), job.V = sizes.at(3), job.U = sizes.at(4);
    job.blank = sizes.at(5), job.threads = team(sizes.at(6)), job.fast_emit = fast_emit;
    job.left = reinterpret_cast<const float*>(addresses.at(0));
    job.right = reinterpret_cast<const float*>(addresses.at(1));
    job.weight = reinterpret_cast<const float*>(addresses.at(2));
    job.bias = reinterpret_cast<const float*>(addresses.at(3));
    job.lengths = reinterpret_cast<const std::int64_t*>(addresses.at(4));
    job.targets = reinterpret_cast<const std::int64_t*>(addresses.at(5));
    job.target_lengths = reinterpret_cast<const std::int64_t*>(addresses.at(6));
    job.row_weights = reinterpret_cast<const float*>(addresses.at(7));
    job.nats = reinterpret_cast<float*>(addresses.at(8));
    job.d_left = reinterpret_cast<float*>(addresses.at(9));
    job.d_right = reinterpret_cast<float*>(addresses.at(10));
    job.d_weight = reinterpret_cast<float*>(addresses.at(11));
    job.d_bias = reinterpret_cast<float*>(addresses.at(12));
    const nb::gil_scoped_release other_threads;
    const Memory scratch(static_cast<std::size_t>(engine.bytes(job)));
    job.scratch = scratch.at();
    engine.loss(job);
}

}  // namespace

void bind_transducer(nb::module_& m) {
    m.def("transducer_loss", &transducer_loss, "isa"_a, "sizes"_a, "addresses"_a, "fast_emit"_a);
}
