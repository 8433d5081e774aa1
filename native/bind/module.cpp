// The Python module: plain pointers in (the caller has checked types, sizes and contiguity), one call a layer.
#include <dlfcn.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "../engine/job.h"
#include "linear.h"
#include "pool.h"
#include "processor.h"
#include "rows.h"

namespace nb = nanobind;
using namespace recurra;
using namespace nanobind::literals;
using Address = std::uintptr_t;
using Addresses = std::vector<Address>;

namespace {

// OpenMP's threads do not survive a fork: in a child, one thread does the work. The bits are the same.
const pid_t loaded_in = getpid();
constexpr int MOST_THREADS = 64;

std::vector<const Engine*> engines() {
    std::vector<const Engine*> found;
#if defined(__x86_64__)
    for (const Engine* e : {&engine_avx512, &engine_avx2})
        if (processor_runs(e->isa)) found.push_back(e);
#endif
    found.push_back(&engine_portable);
    return found;
}

const Engine& engine_of(const std::string& isa) {
    for (const Engine* e : engines())
        if (isa == e->isa) return *e;
    throw std::invalid_argument("this processor cannot run '" + isa + "'");
}

template <typename T>
T* at(Address address) {
    return reinterpret_cast<T*>(address);
}

// What the forward pass leaves for the backward pass.
struct Tape {
    Memory memory;
};

// Parameters packed for the forward pass.
struct Packed {
    Memory memory;
};

// One layer, one direction: sizes and inputs. Made anew for forward and for backward.
struct Call {
    Rows rows;
    Job job{};

    Call(const void* plan, const std::vector<long>& sizes, bool reverse, int threads, Address lengths, Address x,
         const Addresses& states, const Addresses& parameters, const Addresses& zone_masks,
         const std::vector<float>& zone, Address mask, Address output)
        : rows(sizes.at(0), sizes.at(1), at<const std::int64_t>(lengths)) {
        job.plan = plan;
        job.T = sizes.at(0), job.N = sizes.at(1), job.I = sizes.at(2), job.H = sizes.at(3), job.P = sizes.at(4);
        job.reverse = reverse;
        job.threads = getpid() != loaded_in ? 1 : threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads;
        job.rank = rows.rank.data(), job.active = rows.active.data(), job.token = rows.token.data();
        job.x = at<const float>(x);
        if (states.size() > JOB_STATES || parameters.size() != JOB_PARAMETERS || zone_masks.size() != states.size() ||
            zone.size() != states.size())
            throw std::invalid_argument("wrong number of states or parameters");
        for (std::size_t k = 0; k < states.size(); ++k) {
            job.states[k] = at<const float>(states[k]);
            job.zone_mask[k] = at<const std::uint8_t>(zone_masks[k]);
            job.zone[k] = zone[k];
        }
        for (std::size_t k = 0; k < parameters.size(); ++k) job.parameters[k] = at<const float>(parameters[k]);
        job.mask = at<const float>(mask);
        job.output = at<float>(output);
    }
};

// A cell's plan on one instruction set.
class Kernel {
public:
    Kernel(const std::string& isa, const std::string& cell, const std::string& library)
        : engine_(engine_of(isa)), plan_(library.empty() ? engine_.find(cell.c_str()) : load(library)) {
        if (!plan_) throw std::invalid_argument("no built-in kernel for '" + cell + "'");
        if (!engine_.fits(plan_)) throw std::invalid_argument(library + ": made for another version of recurra");
    }

    std::unique_ptr<Tape> forward(const std::vector<long>& sizes, bool reverse, bool training, int threads, Address lengths,
                                  Address x, const Addresses& states, const Addresses& parameters,
                                  const Addresses& zone_masks, const std::vector<float>& zone, Address mask,
                                  Address output, const Addresses& finals, const Packed* packed) const {
        if (packed && static_cast<long>(packed->memory.bytes()) < packed_bytes(sizes)) throw std::invalid_argument("packed for other sizes");
        Call call(plan_, sizes, reverse, threads, lengths, x, states, parameters, zone_masks, zone, mask, output);
        Job& job = call.job;
        job.training = training;
        for (std::size_t k = 0; k < finals.size() && k < JOB_STATES; ++k) job.finals[k] = at<float>(finals[k]);
        const nb::gil_scoped_release other_threads;
        auto tape = std::make_unique<Tape>(Tape{Memory(training ? engine_.tape_bytes(job) : 0)});
        const Memory scratch(engine_.forward_bytes(job));
        const Memory weights(packed ? 0 : engine_.weight_bytes(job));
        job.tape = tape->memory.at();
        job.scratch = scratch.at();
        job.weights = packed ? packed->memory.at() : weights.at();
        job.packed = packed != nullptr;
        engine_.forward(job);
        return tape;
    }

    // The parameters, packed once for many forward passes. sizes: I, H, P.
    std::unique_ptr<Packed> pack(const std::vector<long>& sizes, const Addresses& parameters) const {
        Job job{};
        job.plan = plan_;
        job.I = sizes.at(0), job.H = sizes.at(1), job.P = sizes.at(2);
        for (std::size_t k = 0; k < JOB_PARAMETERS; ++k) job.parameters[k] = at<const float>(parameters.at(k));
        auto made = std::make_unique<Packed>(Packed{Memory(engine_.weight_bytes(job))});
        job.weights = made->memory.at();
        engine_.pack(job);
        return made;
    }

    void backward(const Tape& tape, const std::vector<long>& sizes, bool reverse, int threads, Address lengths, Address x,
                  const Addresses& states, const Addresses& parameters, const Addresses& zone_masks,
                  const std::vector<float>& zone, Address mask, Address output, Address d_output,
                  const Addresses& d_finals, Address d_x, const Addresses& d_states, const Addresses& d_parameters) const {
        Call call(plan_, sizes, reverse, threads, lengths, x, states, parameters, zone_masks, zone, mask, output);
        Job& job = call.job;
        job.training = true;
        job.d_output = at<const float>(d_output);
        job.d_x = at<float>(d_x);
        for (std::size_t k = 0; k < states.size(); ++k) {
            job.d_finals[k] = at<const float>(d_finals.at(k));
            job.d_states[k] = at<float>(d_states.at(k));
        }
        for (std::size_t k = 0; k < parameters.size(); ++k) job.d_parameters[k] = at<float>(d_parameters.at(k));
        const nb::gil_scoped_release other_threads;
        if (static_cast<long>(tape.memory.bytes()) < engine_.tape_bytes(job)) throw std::invalid_argument("not the tape of this call");
        const Memory scratch(engine_.backward_bytes(job));
        job.tape = tape.memory.at();
        job.scratch = scratch.at();
        engine_.backward(job);
    }

private:
    const Engine& engine_;
    const void* plan_;

    long packed_bytes(const std::vector<long>& sizes) const {
        Job job{};
        job.plan = plan_;
        job.I = sizes.at(2), job.H = sizes.at(3), job.P = sizes.at(4);
        return engine_.weight_bytes(job);
    }

    // A library stays loaded: plans are used until the process ends.
    static const void* load(const std::string& path) {
        void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!library) throw std::invalid_argument(dlerror());
        const auto plan = reinterpret_cast<const void* (*)()>(dlsym(library, "recurra_plan"));
        if (!plan) throw std::invalid_argument(path + ": holds no recurra cell");
        return plan();
    }
};

std::vector<std::string> isas() {
    std::vector<std::string> names;
    for (const Engine* e : engines()) names.emplace_back(e->isa);
    return names;
}

}  // namespace

NB_MODULE(_native, m) {
    nb::set_leak_warnings(false);  // kernels are kept in a cache until the process ends
    m.doc() = "recurra's CPU engine. Use recurra.engine; this module takes addresses and trusts them.";
    nb::class_<Tape>(m, "Tape").def_prop_ro("nbytes", [](const Tape& t) { return t.memory.bytes(); });
    nb::class_<Packed>(m, "Packed").def_prop_ro("nbytes", [](const Packed& p) { return p.memory.bytes(); });
    nb::class_<Kernel>(m, "Kernel")
        .def(nb::init<const std::string&, const std::string&, const std::string&>())
        .def("forward", &Kernel::forward, "sizes"_a, "reverse"_a, "training"_a, "threads"_a, "lengths"_a, "x"_a, "states"_a,
             "parameters"_a, "zone_masks"_a, "zone"_a, "mask"_a, "output"_a, "finals"_a, "packed"_a.none() = nb::none())
        .def("pack", &Kernel::pack)
        .def("backward", &Kernel::backward);
    m.def("isas", &isas, "Instruction sets that this processor has, the fastest first.");
    m.def("unit_wise", [](const std::string& isa, const std::string& function, Address a, Address out, long count) {
        engine_of(isa).unit_wise(function.c_str(), at<const float>(a), at<float>(out), count);
    });
    m.def("fma_rounds", [](const std::string& isa, long rounds) {
        const nb::gil_scoped_release other_threads;
        return engine_of(isa).fma_rounds(rounds);
    });
    bind_linear(m);
}
