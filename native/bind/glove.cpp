// GloVe for Python: plain pointers in; the caller has checked types, sizes, contiguity and the numbers of words.
#include "glove.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "../dense/cooccurrences.h"
#include "../dense/glove_job.h"
#include "processor.h"

namespace nb = nanobind;
using namespace recurra;
using namespace nanobind::literals;

namespace {

using Address = std::uintptr_t;

const GloveEngine& engine_of(const std::string& isa) {
    const GloveEngine* engines[] = {
#if defined(RECURRA_HAS_AVX512)
        &glove_avx512,
#endif
#if defined(RECURRA_HAS_AVX2)
        &glove_avx2,
#endif
#if defined(RECURRA_HAS_PORTABLE)
        &glove_portable,
#endif
    };
    for (const GloveEngine* e : engines)
        if (isa == e->isa && processor_runs(e->isa)) return *e;
    throw std::invalid_argument("this processor cannot run '" + isa + "'");
}

// OpenMP's threads do not survive a fork: in a child, one thread does the work. The bits are the same.
const pid_t loaded_in = getpid();

// addresses: pairs, begins, words, others, squares of both
double train_glove(const std::string& isa, const std::vector<Address>& addresses, long D, float rate, bool moves,
                   int threads) {
    const GloveEngine& engine = engine_of(isa);
    GloveJob job{};
    job.pairs = reinterpret_cast<const GlovePair*>(addresses.at(0));
    job.begins = reinterpret_cast<const std::int64_t*>(addresses.at(1));
    job.words = reinterpret_cast<float*>(addresses.at(2));
    job.others = reinterpret_cast<float*>(addresses.at(3));
    job.word_squares = reinterpret_cast<float*>(addresses.at(4));
    job.other_squares = reinterpret_cast<float*>(addresses.at(5));
    job.D = D, job.rate = rate, job.moves = moves;
    job.threads = getpid() == loaded_in ? threads : 1;
    const nb::gil_scoped_release other_threads;
    engine.train(job);
    return job.loss;
}

}  // namespace

void bind_glove(nb::module_& m) {
    m.def("train_glove", &train_glove, "isa"_a, "addresses"_a, "D"_a, "rate"_a, "moves"_a, "threads"_a);
    nb::class_<Cooccurrences>(m, "Cooccurrences")
        .def(nb::init<std::string, long, int, bool, bool, long, std::size_t, std::uint64_t>(), "folder"_a, "V"_a, "window"_a,
             "symmetric"_a, "weighted"_a, "tokens"_a, "memory"_a, "seed"_a)
        .def("add", [](Cooccurrences& self, Address tokens, long count) {
            const nb::gil_scoped_release other_threads;
            self.add(reinterpret_cast<const std::int32_t*>(tokens), count);
        })
        .def("finish", [](Cooccurrences& self) {
            const nb::gil_scoped_release other_threads;
            self.finish();
        })
        .def("read", [](Cooccurrences& self, Address pairs, long most, Address begins, double x_max, double alpha) {
            const nb::gil_scoped_release other_threads;
            return self.read(reinterpret_cast<GlovePair*>(pairs), most, reinterpret_cast<std::int64_t*>(begins), x_max,
                             alpha);
        })
        .def("runs", &Cooccurrences::runs);
    m.attr("GLOVE_PARTS") = GLOVE_PARTS;
}
