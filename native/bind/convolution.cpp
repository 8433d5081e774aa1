// Convolutions over pictures for Python: plain pointers in (the caller has checked types, sizes and contiguity).
#include "convolution.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <vector>

#include "../dense/convolution_job.h"
#include "packed.h"

namespace nb = nanobind;
using namespace recurra;
using namespace nanobind::literals;

namespace {

using Numbers = std::vector<long>;

const ConvolutionEngine& convolution_engine_of(const std::string& isa) {
    const ConvolutionEngine* engines[] = {
#if defined(RECURRA_HAS_AVX512)
        &convolution_avx512,
#endif
#if defined(RECURRA_HAS_AVX2)
        &convolution_avx2,
#endif
#if defined(RECURRA_HAS_PORTABLE)
        &convolution_portable,
#endif
    };
    for (const ConvolutionEngine* e : engines)
        if (isa == e->isa && processor_runs(e->isa)) return *e;
    throw std::invalid_argument("this processor cannot run '" + isa + "'");
}

// sizes: channels, outputs, rows and columns of the kernel, stride, padding of rows and of columns
void shape(ConvolutionJob& job, const Numbers& sizes) {
    job.channels = sizes.at(0), job.weights.outputs = sizes.at(1), job.stride = sizes.at(4);
    job.rows = {sizes.at(2), sizes.at(5)}, job.columns = {sizes.at(3), sizes.at(6)};
}

// A convolution whose weights are packed.
class ConvolutionPlan {
public:
    // sizes: as of `shape`. ends: weight (outputs, rows, columns, channels) and bias, 0 for none
    ConvolutionPlan(const std::string& isa, const Numbers& sizes, const Addresses& ends) : engine_(convolution_engine_of(isa)) {
        shape(job_, sizes);
        job_.weights = linear_at(ends, 0, job_.taps() * job_.channels, sizes.at(1));
        pack(transformer_engine_of(isa), {&job_.weights}, memory_);
    }

    // sizes: pictures, height, width, threads, kind of the norm, relu. addresses: x, weight and bias of the norm, beside, y
    void run(const Numbers& sizes, float eps, const Addresses& addresses) const {
        ConvolutionJob job = job_;
        job.pictures = sizes.at(0), job.height = sizes.at(1), job.width = sizes.at(2), job.threads = usable(static_cast<int>(sizes.at(3)));
        job.x = at<const float>(addresses.at(0));
        job.norm = {static_cast<int>(sizes.at(4)), at<const float>(addresses.at(1)), at<const float>(addresses.at(2)), eps};
        job.relu = sizes.at(5) != 0;
        job.beside = at<const float>(addresses.at(3)), job.y = at<float>(addresses.at(4));
        const nb::gil_scoped_release other_threads;
        const Memory scratch(static_cast<std::size_t>(engine_.bytes(job)));
        job.scratch = scratch.at();
        engine_.run(job);
    }

    std::size_t bytes() const { return memory_->bytes(); }

private:
    const ConvolutionEngine& engine_;
    std::optional<Memory> memory_;
    ConvolutionJob job_{};
};

// sizes: as of `shape`, then as of a run. addresses: x, weight and bias of the norm, weight, d_y, then
// gradients of x, weight, bias, and weight and bias of the norm, 0 where not wanted
void convolution_gradients(const std::string& isa, const Numbers& sizes, float eps, const Addresses& addresses) {
    const ConvolutionEngine& engine = convolution_engine_of(isa);
    ConvolutionGradients job{};
    ConvolutionJob& c = job.convolution;
    shape(c, sizes);
    c.pictures = sizes.at(7), c.height = sizes.at(8), c.width = sizes.at(9), c.threads = usable(static_cast<int>(sizes.at(10)));
    c.relu = sizes.at(12) != 0, c.x = at<const float>(addresses.at(0));
    c.norm = {static_cast<int>(sizes.at(11)), at<const float>(addresses.at(1)), at<const float>(addresses.at(2)), eps};
    job.weight = at<const float>(addresses.at(3)), job.d_y = at<const float>(addresses.at(4));
    job.d_x = at<float>(addresses.at(5)), job.d_weight = at<float>(addresses.at(6)), job.d_bias = at<float>(addresses.at(7));
    job.d_norm_weight = at<float>(addresses.at(8)), job.d_norm_bias = at<float>(addresses.at(9));
    const nb::gil_scoped_release other_threads;
    const Memory scratch(static_cast<std::size_t>(engine.gradient_bytes(job)));
    c.scratch = scratch.at();
    engine.gradients(job);
}

}  // namespace

void bind_convolution(nb::module_& m) {
    nb::class_<ConvolutionPlan>(m, "ConvolutionPlan")
        .def(nb::init<const std::string&, const Numbers&, const Addresses&>(), "isa"_a, "sizes"_a, "ends"_a)
        .def_prop_ro("nbytes", &ConvolutionPlan::bytes)
        .def("run", &ConvolutionPlan::run, "sizes"_a, "eps"_a, "addresses"_a);
    m.def("convolution_gradients", &convolution_gradients, "isa"_a, "sizes"_a, "eps"_a, "addresses"_a);
}
