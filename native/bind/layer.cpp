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
#include <utility>
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

using Handles = std::vector<nb::handle>;
Handles handles_of(const nb::tuple& objects) {
    Handles found;
    for (nb::handle object : objects) found.push_back(object);
    return found;
}

template <typename Item>
nb::tuple tuple_of(std::size_t count, const Item& item) {
    nb::object made = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(count)));
    for (std::size_t k = 0; k < count; ++k) PyTuple_SET_ITEM(made.ptr(), static_cast<Py_ssize_t>(k), nb::object(item(k)).release().ptr());
    return nb::borrow<nb::tuple>(made);
}

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

    const Torch& torch() const { return torch_; }

    // Of a call: output (T, N, width), the tuple of final states (1, N, width), and what the backward pass needs.
    struct Made {
        nb::object output, finals;
        std::unique_ptr<Tape> tape;
    };

    // From `states` (1, N, width), or of zeros where there are none; with a tape if `training`, which is from zeros alone. False where a
    // call needs more than this.
    bool make(nb::handle x, const Handles& weights, const Handles& states, Kept& kept, bool training, Made& to) {
        Job job = job_;
        Tensor input;
        if (training && (job.precision != FLOAT32 || !states.empty())) return false;
        if (!is_wanted() || !torch_.read(x, input) || input.dims != 3 || input.shape[2] != job.I) return false;
        job.T = input.shape[0], job.N = input.shape[1];
        if (job.T * job.N * job.I == 0 || !read_weights(weights, job) || !read_states(states, job)) return false;
        job.training = training;
        job.x = input.data;
        const std::shared_ptr<const Rows> rows = point_to_rows(job);
        const std::shared_ptr<const Patterns> patterns = patterns_for(x, job);
        Tensor made;
        to.output = torch_.like(patterns->output, made);
        job.output = made.data;
        to.finals = nb::steal(PyTuple_New(kernel_.states()));
        for (int i = 0; i < kernel_.states(); ++i) {
            PyTuple_SET_ITEM(to.finals.ptr(), i, torch_.like(patterns->finals[static_cast<std::size_t>(i)], made).release().ptr());
            job.finals[i] = made.data;
        }
        LastMet last = training ? nullptr : kept.last;
        without_lock(job, [&] { to.tape = forward(job, last); });
        kept.last = std::move(last);
        return true;
    }

    // The same for Python, as a tuple; None where a call needs more than this.
    nb::object run(nb::handle x, nb::tuple weights, Kept& kept, bool training, nb::tuple states) {
        Made made;
        if (!make(x, handles_of(weights), handles_of(states), kept, training, made)) return nb::none();
        if (!training) return nb::make_tuple(made.output, made.finals);
        return nb::make_tuple(made.output, made.finals, nb::cast(std::move(made.tape)));
    }

    // What autograd's backward pass returns (nothing for two arguments, then the gradients of x and of the weights), from what
    // the forward pass left in its context. None where it needs more than this.
    nb::object back(nb::handle context, nb::tuple tops) {
        if (!torch_.is_plain_call() || torch_.records()) return nb::none();
        const nb::object held = context.attr(tape_);
        Tape& tape = nb::cast<Tape&>(held);
        if (tape.spent) return nb::none();
        const auto saved = nb::cast<nb::tuple>(context.attr(saved_)), wanted = nb::cast<nb::tuple>(context.attr(wanted_));
        if (saved.size() != places_.size() + 2 || wanted.size() != saved.size() + 1) return nb::none();
        const auto above = tuple_of(tops.size(), [&](std::size_t k) { return tops[k].is_none() ? nb::none() : torch_.in_order(tops[k]); });
        const Handles all = handles_of(saved);
        Gradients found(places_.size() + 1);
        const auto is_wanted = [&](std::size_t k) { return wanted[k + 2].ptr() == Py_True; };
        if (!make_gradients(all[1], {all.begin() + 2, all.end()}, all[0], tape, above, is_wanted, found)) return nb::none();
        return tuple_of(wanted.size(), [&](std::size_t k) { return k < 2 ? nb::none() : std::move(found[k - 2]); });
    }

private:
    // Of x, then of the weights.
    using Gradients = std::vector<nb::object>;

    // False where a call needs more than this; then the tape is as it was.
    template <typename IsWanted>
    bool make_gradients(nb::handle x, const Handles& weights, nb::handle output, Tape& tape, const nb::tuple& tops, const IsWanted& is_wanted, Gradients& found) {
        Job job = job_;
        Tensor input, made;
        if (!torch_.read(x, input) || input.dims != 3 || input.shape[2] != job.I) return false;
        job.T = input.shape[0], job.N = input.shape[1];
        if (!read_weights(weights, job) || !torch_.read(output, made)) return false;
        if (!made.has({job.T, job.N, kernel_.width(job, 0)}) || !read_tops(tops, job)) return false;
        job.training = true;
        job.x = input.data;
        job.output = made.data;
        const std::shared_ptr<const Rows> rows = point_to_rows(job);
        // Taken before tensors are made, where torch lets other threads run: one of them may ask for the same gradients.
        if (tape.spent) return false;
        if (static_cast<long>(tape.memory.bytes()) < kernel_.engine().tape_bytes(job)) throw std::invalid_argument("not the tape of this call");
        tape.spent = true;
        const Memory taped = std::move(tape.memory);
        found[0] = gradient(x, is_wanted(0), job.d_x);
        for (std::size_t k = 0; k < places_.size(); ++k) found[k + 1] = gradient(weights[k], is_wanted(k + 1), job.d_parameters[places_[k]]);
        without_lock(job, [&] {
            const Zeros zeros(job);
            const Memory scratch(static_cast<std::size_t>(kernel_.engine().backward_bytes(job)));
            job.tape = taped.at();
            job.scratch = scratch.at();
            kernel_.engine().backward(job);
        });
        return true;
    }

    // Others may run meanwhile, unless it is over before they would have begun: giving Python's lock away and taking it takes
    // as long as a small product.
    template <typename Work>
    void without_lock(const Job& job, const Work& work) const {
        if (16.0 * static_cast<double>(job.T) * static_cast<double>(job.N) < shared_from_) return work();
        const nb::gil_scoped_release other_threads;
        work();
    }

    bool read_weights(const Handles& weights, Job& job) const {
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

    // Null where none are given.
    bool read_states(const Handles& states, Job& job) const {
        for (auto& state : job.states) state = nullptr;
        if (states.empty()) return true;
        if (states.size() != static_cast<std::size_t>(kernel_.states())) return false;
        for (int i = 0; i < kernel_.states(); ++i) {
            Tensor found;
            if (!torch_.read(states[static_cast<std::size_t>(i)], found) || !found.has({1, job.N, kernel_.width(job, i)})) return false;
            job.states[i] = found.data;
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

    nb::object gradient(nb::handle of, bool wanted, float*& to) const {
        if (!wanted) return nb::none();
        Tensor made;
        nb::object found = torch_.like(of, made);
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

    // Those of the call before, where they are as many. Another thread may put others there whenever a tensor is made or goes.
    std::shared_ptr<const Patterns> patterns_for(nb::handle x, const Job& job) {
        std::shared_ptr<const Patterns> found = patterns_;
        if (found && found->T == job.T && found->N == job.N) return found;
        Patterns made{job.T, job.N, torch_.pattern(x, nb::make_tuple(job.T, job.N, kernel_.width(job, 0))), {}};
        for (int i = 0; i < kernel_.states(); ++i) made.finals.push_back(torch_.pattern(x, nb::make_tuple(1, job.N, kernel_.width(job, i))));
        found = std::make_shared<const Patterns>(std::move(made));
        std::shared_ptr<const Patterns> last = found;
        patterns_.swap(last);  // an assignment lets the last ones go before these are in their place
        return found;
    }

    bool is_wanted() const {
        const char* wanted = wanted_isa();
        return wanted ? isa_ && *isa_ == wanted : !isa_;
    }

    // The states before the first step.
    class Zeros {
    public:
        explicit Zeros(Job& job) : own_(bytes(job) <= sizeof SOME ? 0 : bytes(job)) {
            if (own_.at()) std::memset(own_.at(), 0, bytes(job));
            for (auto& state : job.states) state = own_.at() ? reinterpret_cast<const float*>(own_.at()) : SOME;
        }

    private:
        alignas(64) static constexpr float SOME[1024]{};
        static std::size_t bytes(const Job& job) { return static_cast<std::size_t>(job.N * std::max(job.H, job.P)) * sizeof(float); }
        Memory own_;
    };

    // Null unless it is for training.
    std::unique_ptr<Tape> forward(Job& job, LastMet& last) const {
        const Engine& engine = kernel_.engine();
        if (worth_keeping(job)) last = meet(last, kernel_, job);
        std::unique_ptr<Tape> tape;
        if (job.training) tape = std::make_unique<Tape>(Tape{Memory(static_cast<std::size_t>(engine.tape_bytes(job)))});
        const WeightsOfCall weights(engine, job, worth_keeping(job) ? last.get() : nullptr);
        std::optional<Zeros> zeros;
        const bool anew = !job.states[0];
        if (anew) zeros.emplace(job);
        const Memory scratch(static_cast<std::size_t>(engine.forward_bytes(job)));
        job.zeros = anew && job.packed && last->passes_zeros();
        job.tape = tape ? tape->memory.at() : nullptr;
        job.scratch = scratch.at();
        engine.forward(job);
        return tape;
    }

    const Kernel& kernel_;
    const Torch& torch_;
    nb::str tape_ = word("tape"), saved_ = word("saved_tensors"), wanted_ = word("needs_input_grad");
    std::vector<long> places_;
    std::vector<int> scaled_;
    nb::object threads_for_;
    double shared_from_;
    std::shared_ptr<const Patterns> patterns_;
    std::optional<std::string> isa_;
    std::shared_ptr<const Rows> rows_;
    Job job_{};
};

// A module's calls without a question in Python. All that a call depends on stands in the module's dictionary, and is compared
// with what stood there when a call last took the way of `engine.straight`.
class Entry {
    using Objects = std::vector<nb::object>;

public:
    // tensor: the type of inputs. apply: of autograd. options: what a call depends on besides the parameters
    Entry(nb::object tensor, nb::object apply, nb::tuple options)
        : tensor_(std::move(tensor)), apply_(std::move(apply)), transpose_(tensor_.attr("transpose")), zero_(nb::int_(0)), one_(nb::int_(1)),
          options_(std::move(options)) {}

    // ready: what goes to `apply`, beside `kept`. names: of the parameters
    void remember(nb::dict own, nb::object layer, nb::object ready, nb::object kept, nb::tuple names, bool batch_first) {
        Objects values;
        for (nb::handle option : options_) {
            PyObject* value = PyDict_GetItemWithError(own.ptr(), option.ptr());
            values.push_back(value ? nb::borrow(value) : nb::object());
        }
        layer_ = &nb::cast<Layer&>(layer), kept_ = &nb::cast<Kept&>(kept), batch_first_ = batch_first;
        // What was here before goes when all is in its place: as it goes, another thread may call.
        std::swap(values_, values);
        std::swap(layer_object_, layer), std::swap(kept_object_, kept), std::swap(ready_, ready), std::swap(names_, names);
    }

    // Output and states as the module returns them; None where a call needs more than this.
    nb::object call(nb::dict own, nb::handle input) {
        if (!layer_ || reinterpret_cast<PyObject*>(Py_TYPE(input.ptr())) != tensor_.ptr() || !is_remembered(own)) return nb::none();
        // Held here, since torch gives Python's lock away: another thread may put others in their places.
        Objects arguments{ready_, kept_object_, nb::borrow(input)};
        const nb::object held = layer_object_;
        Layer& layer = *layer_;
        Kept& kept = *kept_;
        const bool turned = batch_first_;
        if (!layer.torch().is_plain_call() || !add_parameters(own, arguments)) return nb::none();
        if (turned) arguments[2] = transposed(input);
        if (!arguments[2].is_valid()) return nb::none();
        bool training = layer.torch().records();
        for (std::size_t k = 2; training && !layer.torch().has_gradient(arguments[k]);)
            if (++k == arguments.size()) training = false;
        return training ? trained(arguments, turned) : inferred(layer, kept, arguments, turned);
    }

private:
    bool is_remembered(const nb::dict& own) const {
        std::size_t k = 0;
        for (nb::handle option : options_)
            if (PyDict_GetItemWithError(own.ptr(), option.ptr()) != values_[k++].ptr()) return false;
        return true;
    }

    bool add_parameters(const nb::dict& own, Objects& to) const {
        PyObject* registered = PyDict_GetItemWithError(own.ptr(), parameters_.ptr());
        if (!registered || !PyDict_Check(registered)) return false;
        for (nb::handle name : names_) {
            PyObject* found = PyDict_GetItemWithError(registered, name.ptr());
            if (!found || found == Py_None) return false;
            to.push_back(nb::borrow(found));
        }
        return true;
    }

    // Not valid where a tensor has no two dimensions.
    nb::object transposed(nb::handle x) const {
        PyObject* arguments[] = {x.ptr(), zero_.ptr(), one_.ptr()};
        nb::object made = nb::steal(PyObject_Vectorcall(transpose_.ptr(), arguments, 3, nullptr));
        if (!made.is_valid()) PyErr_Clear();
        return made;
    }

    nb::object inferred(Layer& layer, Kept& kept, const Objects& arguments, bool turned) const {
        Layer::Made made;
        if (!layer.make(arguments[2], {arguments.begin() + 3, arguments.end()}, {}, kept, false, made)) return nb::none();
        const auto finals = nb::borrow<nb::tuple>(made.finals);
        return returned(made.output, finals.size() > 1 ? made.finals : nb::object(finals[0]), turned);
    }

    nb::object trained(const Objects& arguments, bool turned) const {
        std::vector<PyObject*> given;
        for (const nb::object& argument : arguments) given.push_back(argument.ptr());
        const nb::object made = nb::steal(PyObject_Vectorcall(apply_.ptr(), given.data(), given.size(), nullptr));
        if (!made.is_valid()) throw nb::python_error();
        if (made.is_none()) return made;
        const auto results = nb::cast<nb::tuple>(made);
        const auto count = static_cast<Py_ssize_t>(results.size());
        return returned(results[0], count > 2 ? nb::steal(PyTuple_GetSlice(made.ptr(), 1, count)) : nb::object(results[1]), turned);
    }

    nb::object returned(nb::handle output, nb::object state, bool turned) const {
        return nb::make_tuple(turned ? transposed(output) : nb::borrow(output), state);
    }

    nb::object tensor_, apply_, transpose_, zero_, one_;
    nb::tuple options_, names_;
    nb::str parameters_ = word("_parameters");
    Objects values_;  // of the options; not valid for those that are not there
    nb::object layer_object_, kept_object_, ready_;
    Layer* layer_ = nullptr;
    Kept* kept_ = nullptr;
    bool batch_first_ = false;
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
    nb::class_<Layer> layer(m, "Layer");
    layer.attr("takes_states") = true;
    layer
        .def(nb::init<const Kernel&, const Torch&, const std::vector<long>&, std::vector<long>, nb::object, int, double>(), nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>(),
             "kernel"_a, "torch"_a, "sizes"_a, "places"_a, "threads_for"_a, "precision"_a = 0, "shared_from"_a = 0.0)
        .def("run", &Layer::run, "x"_a, "weights"_a, "kept"_a, "training"_a, "states"_a = nb::tuple())
        .def("back", &Layer::back);
    nb::class_<Entry>(m, "Entry").def(nb::init<nb::object, nb::object, nb::tuple>(), "tensor"_a, "apply"_a, "options"_a)
        .def("remember", &Entry::remember)
        .def("__call__", &Entry::call);
}
