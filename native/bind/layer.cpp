// One layer in one direction over whole sequences: tensors in, tensors out, and no question twice.
#include "layer.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kept.h"
#include "rows.h"
#include "tensor.h"

namespace nb = nanobind;
using namespace recurra;
using namespace nanobind::literals;

namespace {

// What RECURRA_ISA says now, or null. Read in C, which takes 30 ns; os.environ takes 1 us. What Python writes reaches it.
const char* wanted_isa() { return std::getenv("RECURRA_ISA"); }

class Layer {
public:
    // sizes: I, H, P. places: of each weight among the parameters, in the order in which calls give them.
    // threads_for: of T and N; one thread below `shared_from` tokens. precision: of the matrices; where it is int8, calls give their
    // scales after the weights
    Layer(const Kernel& kernel, const Torch& torch, const std::vector<long>& sizes, std::vector<long> places, nb::object threads_for, int precision,
          double shared_from)
        : kernel_(kernel), torch_(torch), places_(std::move(places)), threads_for_(std::move(threads_for)), shared_from_(shared_from) {
        if (const char* wanted = wanted_isa()) isa_ = wanted;
        job_.plan = kernel.plan();
        job_.I = sizes.at(0), job_.H = sizes.at(1), job_.P = sizes.at(2);
        if (precision < FLOAT32 || precision > BFLOAT16_PRODUCTS) throw std::invalid_argument("no such precision");
        job_.precision = static_cast<Precision>(precision);
        for (const long k : places_) {
            if (k < 0 || k >= JOB_PARAMETERS) throw std::invalid_argument("no such parameter");
            if (precision == INT8 && Kernel::is_matrix(static_cast<int>(k))) scaled_.push_back(static_cast<int>(k));
        }
    }

    // Output (T, N, width) and the tuple of final states (1, N, width), from states of zeros; with a tape if `training`.
    // None where a call needs more than this.
    nb::object run(nb::handle x, nb::tuple weights, Kept& kept, bool training) {
        Job job = job_;
        Tensor input;
        if (training && job.precision != FLOAT32) return nb::none();
        if (!is_wanted() || !torch_.read(x, input) || input.dims != 3 || input.shape[2] != job.I) return nb::none();
        job.T = input.shape[0], job.N = input.shape[1];
        if (job.T * job.N * job.I == 0 || !read_weights(weights, job)) return nb::none();
        job.training = training;
        job.x = input.data;
        const std::shared_ptr<const Rows> rows = point_to_rows(job);
        const std::shared_ptr<const Patterns> patterns = patterns_for(x, job);
        Tensor made;
        const nb::object output = torch_.like(patterns->output, made);
        job.output = made.data;
        nb::object finals = nb::steal(PyTuple_New(kernel_.states()));
        for (int i = 0; i < kernel_.states(); ++i) {
            PyTuple_SET_ITEM(finals.ptr(), i, torch_.like(patterns->finals[static_cast<std::size_t>(i)], made).release().ptr());
            job.finals[i] = made.data;
        }
        LastMet last = training ? nullptr : kept.last;
        std::unique_ptr<Tape> tape;
        {
            const nb::gil_scoped_release other_threads;
            tape = forward(job, last);
        }
        kept.last = std::move(last);
        if (!training) return nb::make_tuple(output, finals);
        return nb::make_tuple(output, finals, nb::cast(std::move(tape)));
    }

    // Gradients of x and of the weights, None where not wanted, from those of the results, None for zeros.
    // None where a call needs more than this.
    nb::object gradients(nb::handle x, nb::tuple weights, nb::handle output, Tape& tape, nb::tuple tops, nb::tuple wanted) {
        Job job = job_;
        Tensor input, made;
        if (!torch_.read(x, input) || input.dims != 3 || input.shape[2] != job.I) return nb::none();
        job.T = input.shape[0], job.N = input.shape[1];
        if (!read_weights(weights, job) || !torch_.read(output, made)) return nb::none();
        if (!made.has({job.T, job.N, kernel_.width(job, 0)}) || !read_tops(tops, job)) return nb::none();
        job.training = true;
        job.x = input.data;
        job.output = made.data;
        const std::shared_ptr<const Rows> rows = point_to_rows(job);
        if (static_cast<long>(tape.memory.bytes()) < kernel_.engine().tape_bytes(job)) throw std::invalid_argument("not the tape of this call");
        nb::list found;
        found.append(gradient(x, wanted[0], job.d_x));
        for (std::size_t k = 0; k < places_.size(); ++k)
            found.append(gradient(weights[k], wanted[k + 1], job.d_parameters[places_[k]]));
        {
            const nb::gil_scoped_release other_threads;
            const Memory zeros = zero_states(job), scratch(static_cast<std::size_t>(kernel_.engine().backward_bytes(job)));
            job.tape = tape.memory.at();
            job.scratch = scratch.at();
            kernel_.engine().backward(job);
        }
        return found;
    }

private:
    bool read_weights(const nb::tuple& weights, Job& job) const {
        if (weights.size() != places_.size() + scaled_.size()) return false;
        for (std::size_t k = 0; k < places_.size(); ++k) {
            Tensor found;
            const auto place = static_cast<int>(places_[k]);
            const Precision precision = Kernel::is_matrix(place) ? job.precision : FLOAT32;
            if (!torch_.read(weights[k], found, precision) || !fits(found, place)) return false;
            job.parameters[place] = found.data;
        }
        for (std::size_t k = 0; k < scaled_.size(); ++k) {
            Tensor found;
            if (!torch_.read(weights[places_.size() + k], found) || !found.has({kernel_.rows(job_, scaled_[k])})) return false;
            job.scales[scaled_[k]] = found.data;
        }
        return true;
    }

    bool fits(const Tensor& weight, int place) const {
        const long rows = kernel_.rows(job_, place);
        return Kernel::is_matrix(place) ? weight.has({rows, kernel_.columns(job_, place)}) : weight.has({rows});
    }

    bool read_tops(const nb::tuple& tops, Job& job) const {
        if (tops.size() != static_cast<std::size_t>(1 + kernel_.states())) return false;
        for (int i = -1; i < kernel_.states(); ++i) {
            Tensor found;
            const nb::handle top = tops[static_cast<std::size_t>(i + 1)];
            if (top.is_none()) continue;
            const long T = i < 0 ? job.T : 1, width = kernel_.width(job, i < 0 ? 0 : i);
            if (!torch_.read(top, found) || !found.has({T, job.N, width})) return false;
            (i < 0 ? job.d_output : job.d_finals[i]) = found.data;
        }
        return true;
    }

    nb::object gradient(nb::handle of, nb::handle wanted, float*& to) const {
        if (!nb::cast<bool>(wanted)) return nb::none();
        Tensor made;
        nb::object found = torch_.empty(of, nb::tuple(of.attr("shape")), made);
        to = made.data;
        return found;
    }

    // Those of the call before, where they are as many. Another thread may ask for others meanwhile.
    std::shared_ptr<const Rows> point_to_rows(Job& job) {
        if (!rows_ || job_.T != job.T || job_.N != job.N) {
            rows_ = std::make_shared<const Rows>(job.T, job.N, nullptr);
            job_.T = job.T, job_.N = job.N;
        }
        std::shared_ptr<const Rows> rows = rows_;
        job.rank = rows->rank.data(), job.active = rows->active.data(), job.token = rows->token.data();
        const bool shared = static_cast<double>(job.T) * static_cast<double>(job.N) >= shared_from_;
        job.threads = shared ? usable(nb::cast<int>(threads_for_(job.T, job.N))) : 1;
        return rows;
    }

    // What results are made from.
    struct Patterns {
        long T, N;
        nb::object output;
        std::vector<nb::object> finals;
    };

    // Those of the call before, where they are as many. Python's lock is held.
    std::shared_ptr<const Patterns> patterns_for(nb::handle x, const Job& job) {
        if (!patterns_ || patterns_->T != job.T || patterns_->N != job.N) {
            Patterns made{job.T, job.N, torch_.pattern(x, nb::make_tuple(job.T, job.N, kernel_.width(job, 0))), {}};
            for (int i = 0; i < kernel_.states(); ++i) made.finals.push_back(torch_.pattern(x, nb::make_tuple(1, job.N, kernel_.width(job, i))));
            patterns_ = std::make_shared<const Patterns>(std::move(made));
        }
        return patterns_;
    }

    bool is_wanted() const {
        const char* wanted = wanted_isa();
        return wanted ? isa_ && *isa_ == wanted : !isa_;
    }

    Memory zero_states(Job& job) const {
        const auto bytes = static_cast<std::size_t>(job.N * std::max(job.H, job.P)) * sizeof(float);
        Memory zeros(bytes);
        std::memset(zeros.at(), 0, bytes);
        for (int i = 0; i < kernel_.states(); ++i) job.states[i] = reinterpret_cast<const float*>(zeros.at());
        return zeros;
    }

    // The tape is empty unless it is for training.
    std::unique_ptr<Tape> forward(Job& job, LastMet& last) const {
        const Engine& engine = kernel_.engine();
        if (worth_keeping(job)) last = meet(last, kernel_, job);
        auto tape = std::make_unique<Tape>(Tape{Memory(job.training ? static_cast<std::size_t>(engine.tape_bytes(job)) : 0)});
        const WeightsOfCall weights(engine, job, worth_keeping(job) ? last.get() : nullptr);
        const Memory zeros = zero_states(job), scratch(static_cast<std::size_t>(engine.forward_bytes(job)));
        job.tape = tape->memory.at();
        job.scratch = scratch.at();
        engine.forward(job);
        return tape;
    }

    const Kernel& kernel_;
    const Torch& torch_;
    std::vector<long> places_;
    std::vector<int> scaled_;
    nb::object threads_for_;
    double shared_from_;
    std::shared_ptr<const Patterns> patterns_;
    std::optional<std::string> isa_;
    std::shared_ptr<const Rows> rows_;
    Job job_{};
};

}  // namespace

void bind_layer(nb::module_& m) {
    const nb::object random = nb::module_::import_("os").attr("urandom")(sizeof(ChecksumKeys));
    std::memcpy(checksum_keys().data(), PyBytes_AsString(random.ptr()), sizeof(ChecksumKeys));
    nb::class_<Torch>(m, "Torch").def(nb::init<nb::object, nb::tuple, nb::object, bool, nb::object, nb::object>(), "base"_a, "types"_a, "float32"_a, "plainly"_a = false,
                               "bfloat16"_a = nb::none(), "int8"_a = nb::none())
        .def("reads", [](const Torch& torch, nb::handle object) {
            Tensor found;
            return torch.read(object, found);
        });
    nb::class_<Kept>(m, "Kept").def(nb::init<>()).def_prop_ro("nbytes", [](const Kept& k) { return k.last ? k.last->bytes() : 0; });
    nb::class_<Layer>(m, "Layer")
        .def(nb::init<const Kernel&, const Torch&, const std::vector<long>&, std::vector<long>, nb::object, int, double>(), nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>(),
             "kernel"_a, "torch"_a, "sizes"_a, "places"_a, "threads_for"_a, "precision"_a = 0, "shared_from"_a = 0.0)
        .def("run", &Layer::run)
        .def("gradients", &Layer::gradients);
}
