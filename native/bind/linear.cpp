// Linear layers for Python: plain pointers in (the caller has checked types, sizes, contiguity and targets).
#include "linear.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "../dense/linear_job.h"
#include "pool.h"
#include "processor.h"

namespace nb = nanobind;
using namespace recurra;
using namespace nanobind::literals;

namespace {

using Address = std::uintptr_t;

template <typename T>
T* at(Address address) {
    return reinterpret_cast<T*>(address);
}

const LinearEngine& engine_of(const std::string& isa) {
    const LinearEngine* engines[] = {
#if defined(RECURRA_HAS_AVX512)
        &linear_avx512,
#endif
#if defined(RECURRA_HAS_AVX2)
        &linear_avx2,
#endif
#if defined(RECURRA_HAS_PORTABLE)
        &linear_portable,
#endif
    };
    for (const LinearEngine* e : engines)
        if (isa == e->isa && processor_runs(e->isa)) return *e;
    throw std::invalid_argument("this processor cannot run '" + isa + "'");
}

// OpenMP's threads do not survive a fork: in a child, one thread does the work. The bits are the same.
const pid_t loaded_in = getpid();

int team(int threads) {
    return getpid() != loaded_in || threads < 1 ? 1 : threads > LINEAR_THREADS ? LINEAR_THREADS : threads;
}

LinearJob linear_job(const std::vector<long>& sizes, int threads, Address x, Address weight) {
    LinearJob job{};
    job.M = sizes.at(0), job.D = sizes.at(1), job.V = sizes.at(2);
    job.threads = team(threads);
    job.x = at<const float>(x), job.weight = at<const float>(weight);
    return job;
}

// Addresses of those of x, weight and bias, 0 where not wanted.
template <typename Job>
void set_gradients(Job& job, const std::vector<Address>& gradients) {
    job.d_x = at<float>(gradients.at(0));
    job.d_weight = at<float>(gradients.at(1));
    job.d_bias = at<float>(gradients.at(2));
}

// sizes: M, D, V, here and below.
void linear(const std::string& isa, const std::vector<long>& sizes, int threads, Address x, Address weight,
            Address bias, Address y) {
    const LinearEngine& engine = engine_of(isa);
    LinearJob job = linear_job(sizes, threads, x, weight);
    job.bias = at<const float>(bias);
    job.y = at<float>(y);
    const nb::gil_scoped_release other_threads;
    const Memory scratch(engine.linear_bytes(job));
    job.scratch = scratch.at();
    engine.linear(job);
}

void linear_gradients(const std::string& isa, const std::vector<long>& sizes, int threads, Address x, Address weight,
                      Address d_y, const std::vector<Address>& gradients) {
    const LinearEngine& engine = engine_of(isa);
    LinearJob job = linear_job(sizes, threads, x, weight);
    job.d_y = at<const float>(d_y);
    set_gradients(job, gradients);
    const nb::gil_scoped_release other_threads;
    const Memory scratch(engine.linear_bytes(job));
    job.scratch = scratch.at();
    engine.linear_gradients(job);
}

void linear_cross_entropy(const std::string& isa, const std::vector<long>& sizes, int threads, Address x, Address weight,
                          Address bias, Address targets, float smoothing, Address row_weights, Address nats,
                          const std::vector<Address>& gradients) {
    const LinearEngine& engine = engine_of(isa);
    LossJob job{};
    job.M = sizes.at(0), job.D = sizes.at(1), job.V = sizes.at(2);
    job.threads = team(threads);
    job.x = at<const float>(x), job.weight = at<const float>(weight), job.bias = at<const float>(bias);
    job.targets = at<const std::int64_t>(targets);
    job.smoothing = smoothing;
    job.row_weights = at<const float>(row_weights);
    job.nats = at<float>(nats);
    set_gradients(job, gradients);
    const nb::gil_scoped_release other_threads;
    const Memory scratch(engine.loss_bytes(job));
    job.scratch = scratch.at();
    engine.loss(job);
}

}  // namespace

void bind_linear(nb::module_& m) {
    m.def("processor_is_amd", &processor_is_amd);
    m.def("linear", &linear, "isa"_a, "sizes"_a, "threads"_a, "x"_a, "weight"_a, "bias"_a, "y"_a);
    m.def("linear_gradients", &linear_gradients, "isa"_a, "sizes"_a, "threads"_a, "x"_a, "weight"_a, "d_y"_a,
          "gradients"_a);
    m.def("linear_cross_entropy", &linear_cross_entropy, "isa"_a, "sizes"_a, "threads"_a, "x"_a, "weight"_a, "bias"_a,
          "targets"_a, "smoothing"_a, "row_weights"_a, "nats"_a, "gradients"_a);
}
