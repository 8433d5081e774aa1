// The Python module: plain pointers in; the caller has checked types, sizes and contiguity.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <exception>
#include <memory>
#include <string>

#include "attention.h"
#include "convolution.h"
#include "ctc.h"
#include "glove.h"
#include "kept.h"
#include "layer.h"
#include "linear.h"
#include "recurrent_decoder.h"
#include "rows.h"
#include "span_attention.h"
#include "stepper.h"
#include "transducer.h"
#include "transformer.h"
#include "words.h"

namespace nb = nanobind;
using namespace recurra;
using namespace nanobind::literals;
namespace {

void copy_addresses(float** to, const Addresses& from, std::size_t most) {
    if (from.size() > most) throw std::invalid_argument("too many addresses");
    for (std::size_t k = 0; k < from.size(); ++k) to[k] = at<float>(from[k]);
}

// One layer in one direction: sizes, inputs, and where the results go. Made anew for forward and for backward.
class Call {
public:
    // sizes: T, N, I, H, P
    Call(const Kernel& kernel, const std::vector<long>& sizes, bool reverse, Address lengths, Address x,
         const Addresses& states, const Addresses& parameters, const Addresses& zone_masks,
         const std::vector<float>& zone, Address mask, Address output)
        : kernel_(kernel), engine_(kernel.engine()), rows_(sizes.at(0), sizes.at(1), at<const std::int64_t>(lengths)) {
        job_.plan = kernel.plan();
        job_.T = sizes.at(0), job_.N = sizes.at(1), job_.I = sizes.at(2), job_.H = sizes.at(3), job_.P = sizes.at(4);
        job_.reverse = reverse;
        job_.rank = rows_.rank.data(), job_.active = rows_.active.data(), job_.token = rows_.token.data();
        job_.x = at<const float>(x);
        if (states.size() > JOB_STATES || parameters.size() != JOB_PARAMETERS || zone_masks.size() != states.size() ||
            zone.size() != states.size())
            throw std::invalid_argument("wrong number of states or parameters");
        for (std::size_t k = 0; k < states.size(); ++k) {
            job_.states[k] = at<const float>(states[k]);
            job_.zone_mask[k] = at<const std::uint8_t>(zone_masks[k]);
            job_.zone[k] = zone[k];
        }
        for (std::size_t k = 0; k < parameters.size(); ++k) job_.parameters[k] = at<const float>(parameters[k]);
        job_.mask = at<const float>(mask);
        job_.output = at<float>(output);
    }

    void finals(const Addresses& to) { copy_addresses(job_.finals, to, JOB_STATES); }

    void gradients(Address d_output, const Addresses& d_finals, Address d_x, const Addresses& d_states,
                   const Addresses& d_parameters) {
        if (d_finals.size() > JOB_STATES) throw std::invalid_argument("too many addresses");
        job_.d_output = at<const float>(d_output);
        for (std::size_t k = 0; k < d_finals.size(); ++k) job_.d_finals[k] = at<const float>(d_finals[k]);
        job_.d_x = at<float>(d_x);
        copy_addresses(job_.d_states, d_states, JOB_STATES);
        copy_addresses(job_.d_parameters, d_parameters, JOB_PARAMETERS);
    }

    // Matrices of another type, for inference.
    void weights(int precision, const Addresses& scales) { describe_weights(job_, precision, scales); }

    // Where the packed form of the weights stays until the next call.
    void keep(Kept& kept) { kept_ = &kept; }

    // With Python's lock, before `forward` without it and after.
    void begin(bool training) {
        if (kept_) last_ = training ? nullptr : kept_->last;
    }
    void end() {
        if (kept_) kept_->last = std::move(last_);
    }

    // The tape is empty unless it is for training.
    std::unique_ptr<Tape> forward(bool training, int threads) {
        Job job = job_;
        if (training && job.precision != FLOAT32) throw std::invalid_argument("no gradients with such weights");
        job.training = training;
        job.threads = threads;
        auto tape = std::make_unique<Tape>(Tape{Memory(training ? engine_.tape_bytes(job) : 0)});
        const bool keeps = kept_ && worth_keeping(job);
        if (keeps) last_ = meet(last_, kernel_, job);
        const WeightsOfCall weights(engine_, job, keeps ? last_.get() : nullptr);
        const Memory scratch(engine_.forward_bytes(job));
        job.tape = tape->memory.at();
        job.scratch = scratch.at();
        engine_.forward(job);
        return tape;
    }

    // The tape is written over.
    void backward(const Tape& tape, int threads) {
        Job job = job_;
        job.training = true;
        job.threads = threads;
        if (static_cast<long>(tape.memory.bytes()) < engine_.tape_bytes(job)) throw std::invalid_argument("not the tape of this call");
        const Memory scratch(engine_.backward_bytes(job));
        job.tape = tape.memory.at();
        job.scratch = scratch.at();
        engine_.backward(job);
    }

private:
    const Kernel& kernel_;
    const Engine& engine_;
    Rows rows_;
    Job job_{};
    Kept* kept_ = nullptr;
    LastMet last_;
};

// Runs work(k, threads) for several independent calls: side by side where there are as many calls as threads, since then
// no step has to wait for another core; otherwise one after another, all threads in each.
template <typename Work>
void together(std::size_t count, int threads, const Work& work) {
    threads = usable(threads);
    if (count < 2 || threads == 1 || static_cast<std::size_t>(threads) > count) {
        for (std::size_t k = 0; k < count; ++k) work(k, threads);
        return;
    }
    std::exception_ptr failure;  // no exception may leave a parallel region
    const long last = static_cast<long>(count);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (long k = 0; k < last; ++k) {
        try {
            work(static_cast<std::size_t>(k), 1);
        } catch (...) {
#pragma omp critical
            failure = std::current_exception();
        }
    }
    if (failure) std::rethrow_exception(failure);
}

std::vector<std::unique_ptr<Tape>> forward(const std::vector<Call*>& calls, bool training, int threads) {
    std::vector<std::unique_ptr<Tape>> tapes(calls.size());
    for (Call* call : calls) call->begin(training);
    {
        const nb::gil_scoped_release other_threads;
        together(calls.size(), threads, [&](std::size_t k, int n) { tapes[k] = calls[k]->forward(training, n); });
    }
    for (Call* call : calls) call->end();
    return tapes;
}

void backward(const std::vector<Call*>& calls, const std::vector<Tape*>& tapes, int threads) {
    if (tapes.size() != calls.size()) throw std::invalid_argument("a tape for each call");
    const nb::gil_scoped_release other_threads;
    together(calls.size(), threads, [&](std::size_t k, int n) { calls[k]->backward(*tapes[k], n); });
}

void stage_rounds(const Kernel& kernel, long H, bool training, bool back, long rounds) {
    Job job{};
    job.plan = kernel.plan();
    job.T = job.N = job.I = 1, job.H = job.P = H;
    job.training = training;
    const nb::gil_scoped_release other_threads;
    const Memory scratch(static_cast<std::size_t>(kernel.engine().stage_bytes(job, back)));
    job.scratch = scratch.at();
    kernel.engine().stage_rounds(job, back, rounds);
}

// Of each piece of memory two sums of 64 bits for each 2 KiB, one piece after the other.
nb::bytes checksums(const std::string& isa, const Addresses& addresses, const std::vector<long>& bytes) {
    if (addresses.size() != bytes.size()) throw std::invalid_argument("a size for each address");
    std::vector<std::uint64_t> sums;
    {
        const nb::gil_scoped_release other_threads;
        for (std::size_t k = 0; k < addresses.size(); ++k) {
            const auto before = static_cast<long>(sums.size());
            sums.resize(static_cast<std::size_t>(before + checksums_of(bytes[k])));
            checksum_of(isa).checksums(at<const void>(addresses[k]), bytes[k], checksum_keys().data(), sums.data() + before);
        }
    }
    return nb::bytes(reinterpret_cast<const char*>(sums.data()), sums.size() * sizeof(std::uint64_t));
}

std::vector<std::string> isas() {
    std::vector<std::string> names;
    for (const Engine* e : engines()) names.emplace_back(e->isa);
    return names;
}

}  // namespace

NB_MODULE(_native, m) {
    nb::set_leak_warnings(false);  // kernels are kept in a cache until the process ends
    m.doc() = "recurra's CPU engine. Use recurra.engine; this module takes addresses and trusts them.";
    nb::class_<Tape>(m, "Tape").def_prop_ro("nbytes", [](const Tape& t) { return t.memory.bytes(); }).def_ro("spent", &Tape::spent);
    nb::class_<Kernel>(m, "Kernel").def(nb::init<const std::string&, const std::string&, Address>());
    nb::class_<Call>(m, "Call")
        .def(nb::init<const Kernel&, const std::vector<long>&, bool, Address, Address, const Addresses&, const Addresses&,
                      const Addresses&, const std::vector<float>&, Address, Address>(),
             nb::keep_alive<1, 2>(), "kernel"_a, "sizes"_a, "reverse"_a, "lengths"_a, "x"_a, "states"_a, "parameters"_a,
             "zone_masks"_a, "zone"_a, "mask"_a, "output"_a)
        .def("weights", &Call::weights)
        .def("keep", &Call::keep, nb::keep_alive<1, 2>())
        .def("finals", &Call::finals)
        .def("gradients", &Call::gradients);
    nb::class_<Stepper>(m, "Stepper")
        .def(nb::init<const Kernel&, const std::vector<long>&, const Addresses&, int, const Addresses&, Kept*>(), "kernel"_a, "sizes"_a, "parameters"_a,
             "precision"_a = 0, "scales"_a = Addresses(JOB_PARAMETERS, 0), "kept"_a.none() = nb::none(), nb::keep_alive<1, 2>())
        .def_prop_ro("nbytes", &Stepper::bytes)
        .def("step", &Stepper::step);
    m.def("forward", &forward, "calls"_a, "training"_a, "threads"_a, "Several independent calls; their tapes.");
    m.def("backward", &backward, "calls"_a, "tapes"_a, "threads"_a);
    m.def("isas", &isas, "Instruction sets that this processor has, the fastest first.");
    m.def("unit_wise", [](const std::string& isa, const std::string& function, Address a, Address out, long count) {
        engine_of(isa).unit_wise(function.c_str(), at<const float>(a), at<float>(out), count);
    });
    m.def("fma_rounds", [](const std::string& isa, long rounds) {
        const nb::gil_scoped_release other_threads;
        return engine_of(isa).fma_rounds(rounds);
    });
    m.def("read_rounds", [](const std::string& isa, Address memory, long bytes, long rounds) {
        const nb::gil_scoped_release other_threads;
        return engine_of(isa).read_rounds(at<const float>(memory), bytes, rounds);
    });
    m.def("stage_rounds", &stage_rounds, "kernel"_a, "H"_a, "training"_a, "back"_a, "rounds"_a, "A cell's functions on one row, without products.");
    m.def("checksums", &checksums, "isa"_a, "addresses"_a, "bytes"_a, "Sums by which memory is known again (kept.h).");
    bind_layer(m);
    bind_linear(m);
    bind_attention(m);
    bind_words(m);
    bind_glove(m);
    bind_ctc(m);
    bind_transducer(m);
    bind_span_attention(m);
    bind_transformer(m);
    bind_recurrent_decoder(m);
    bind_convolution(m);
}
