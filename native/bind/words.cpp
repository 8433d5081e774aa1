// Word vectors for Python: plain pointers in; the caller has checked types, sizes, contiguity and the numbers of words.
#include "words.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../dense/words_job.h"
#include "processor.h"

namespace nb = nanobind;
using namespace recurra;
using namespace nanobind::literals;

namespace {

using Address = std::uintptr_t;

const WordsEngine& engine_of(const std::string& isa) {
    const WordsEngine* engines[] = {
#if defined(RECURRA_HAS_AVX512)
        &words_avx512,
#endif
#if defined(RECURRA_HAS_AVX2)
        &words_avx2,
#endif
#if defined(RECURRA_HAS_PORTABLE)
        &words_portable,
#endif
    };
    for (const WordsEngine* e : engines)
        if (isa == e->isa && processor_runs(e->isa)) return *e;
    throw std::invalid_argument("this processor cannot run '" + isa + "'");
}

// OpenMP's threads do not survive a fork: in a child, one thread does the work. The bits are the same.
const pid_t loaded_in = getpid();

// sizes: tokens, V, D, window, negatives, threads, group, whether CBOW, whether all windows are of one size. addresses:
// tokens, inputs, outputs, keep or 0, share, other, begins and paths of a tree, or 0; begins and rows of bags, or 0.
std::pair<double, std::int64_t> train_words(const std::string& isa, const std::vector<long>& sizes,
                                            const std::vector<Address>& addresses, std::uint64_t seed,
                                            std::uint64_t position, float rate) {
    const WordsEngine& engine = engine_of(isa);
    WordsJob job{};
    job.count = sizes.at(0), job.V = sizes.at(1), job.D = sizes.at(2);
    job.window = static_cast<int>(sizes.at(3)), job.negatives = static_cast<int>(sizes.at(4));
    job.threads = getpid() == loaded_in ? static_cast<int>(sizes.at(5)) : 1;
    job.group = static_cast<int>(sizes.at(6));
    job.tokens = reinterpret_cast<const std::int32_t*>(addresses.at(0));
    job.inputs = reinterpret_cast<float*>(addresses.at(1));
    job.outputs = reinterpret_cast<float*>(addresses.at(2));
    job.keep = reinterpret_cast<const std::uint32_t*>(addresses.at(3));
    job.share = reinterpret_cast<const std::uint32_t*>(addresses.at(4));
    job.other = reinterpret_cast<const std::int32_t*>(addresses.at(5));
    job.begins = reinterpret_cast<const std::int32_t*>(addresses.at(6));
    job.paths = reinterpret_cast<const std::int32_t*>(addresses.at(7));
    job.bag_begins = reinterpret_cast<const std::int64_t*>(addresses.at(8));
    job.bags = reinterpret_cast<const std::int32_t*>(addresses.at(9));
    job.mean = sizes.at(7), job.fixed = sizes.at(8);
    job.seed = seed, job.position = position, job.rate = rate;
    const nb::gil_scoped_release other_threads;
    engine.train(job);
    return {job.nats, job.pairs};
}

long words_stride(const std::string& isa, long D) { return engine_of(isa).stride(D); }

}  // namespace

void bind_words(nb::module_& m) {
    m.def("train_words", &train_words, "isa"_a, "sizes"_a, "addresses"_a, "seed"_a, "position"_a, "rate"_a);
    m.def("words_stride", &words_stride, "isa"_a, "D"_a);
}
