// torch's tensors without torch's headers: where their numbers are, and new ones.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <array>

#include "kernel.h"

namespace recurra {

namespace nb = nanobind;

// Numbers that lie in order in the CPU's memory: float32, unless another type was asked for.
struct Tensor {
    float* data = nullptr;
    int dims = 0;
    std::array<long, 3> shape{};

    bool has(std::initializer_list<long> expected) const {
        return dims == static_cast<int>(expected.size()) && std::equal(expected.begin(), expected.end(), shape.begin());
    }
};

// A word that is looked up again and again.
inline nb::str word(const char* text) { return nb::steal<nb::str>(PyUnicode_InternFromString(text)); }

// What is asked of torch, looked up once. The interface of DLPack in C (DLPack 1.3) takes 30 ns where four questions in Python
// take 400; before torch 2.11 tensors have none.
class __attribute__((visibility("hidden"))) Torch {
public:
    // types: whose objects have numbers at an address of their own, and nothing behind them
    // float32, bfloat16, int8: torch's names of them
    Torch(nb::object base, nb::tuple types, nb::object float32, bool plainly, nb::object bfloat16, nb::object int8)
        : types_(std::move(types)), dtypes_{std::move(float32), std::move(bfloat16), std::move(int8)}, is_neg_(base.attr("is_neg")), data_ptr_(base.attr("data_ptr")),
          is_contiguous_(base.attr("is_contiguous")), new_empty_(base.attr("new_empty")), expand_(base.attr("expand")),
          contiguous_(base.attr("contiguous")), requires_grad_(word("requires_grad")), level_(word("_current_level")) {
        const nb::object torch = nb::module_::import_("torch");
        empty_like_ = torch.attr("empty_like");
        grad_enabled_ = torch.attr("is_grad_enabled");
        tracing_ = torch.attr("_C").attr("_get_tracing_state");
        interpreter_ = torch.attr("_C").attr("_functorch").attr("peek_interpreter_stack");
        forward_ad_ = nb::module_::import_("torch.autograd.forward_ad").attr("__dict__");
        if (plainly || !nb::hasattr(base, "__dlpack_c_exchange_api__")) return;
        const nb::object capsule = base.attr("__dlpack_c_exchange_api__");
        const auto* api = static_cast<const Exchange*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
        if (!api) PyErr_Clear();
        if (api && api->major == 1) describe_ = api->describe;
    }

    // False for what a native call cannot read: another type, device, order, or more than three dimensions.
    bool read(nb::handle object, Tensor& to, Precision precision = FLOAT32) const {
        if (!is_plain(object) || !numbers(object, to, precision) || !to.data) return false;
        return answer(is_neg_, object) == Py_False;
    }

    // A tensor of that shape, of the kind that `like` is.
    nb::object empty(nb::handle like, const nb::tuple& shape, Tensor& to) const {
        nb::object made = new_empty_(like, shape);
        if (!is_plain(made) || !numbers(made, to, FLOAT32)) throw std::runtime_error("torch made a tensor that is not in order in the CPU's memory");
        return made;
    }

    // What `like` makes a tensor of that shape from, in two thirds of the time that `empty` takes; of a large one, one number, expanded.
    nb::object pattern(nb::handle like, const nb::tuple& shape) const {
        long numbers = 1;
        for (nb::handle size : shape) numbers *= nb::cast<long>(size);
        return numbers <= SMALL_PATTERN ? nb::object(new_empty_(like, shape)) : nb::object(expand_(new_empty_(like, nb::make_tuple(1)), shape));
    }

    nb::object like(nb::handle pattern, Tensor& to) const {
        PyObject* argument = pattern.ptr();
        nb::object made = nb::steal(PyObject_Vectorcall(empty_like_.ptr(), &argument, 1, nullptr));
        if (!made.is_valid()) throw nb::python_error();
        if (!is_plain(made) || !numbers(made, to, FLOAT32)) throw std::runtime_error("torch made a tensor that is not in order in the CPU's memory");
        return made;
    }

    // The same numbers as they lie in memory: `object` itself, or a copy.
    nb::object in_order(nb::handle object) const {
        Tensor found;
        if (read(object, found)) return nb::borrow(object);
        return nb::steal(PyObject_CallOneArg(contiguous_.ptr(), object.ptr()));
    }

    // Whether autograd records what is done now; whether a tensor is of what it records.
    bool records() const { return asked(grad_enabled_) == Py_True; }
    bool has_gradient(nb::handle tensor) const { return tensor.attr(requires_grad_).is(nb::bool_(true)); }

    // Whether calls are run as they are: no trace is made of them, and tensors are their numbers and nothing more (torch.func,
    // forward gradients).
    bool is_plain_call() const {
        if (asked(tracing_) != Py_None || asked(interpreter_) != Py_None) return false;
        PyObject* level = PyDict_GetItemWithError(forward_ad_.ptr(), level_.ptr());
        return level && PyLong_AsLong(level) < 0;
    }

private:
    static constexpr long SMALL_PATTERN = 4096;

    // Of what gives True, False or None, which stay; else null.
    static PyObject* asked(const nb::object& function) {
        PyObject* found = PyObject_CallNoArgs(function.ptr());
        if (!found) throw nb::python_error();
        const bool stays = found == Py_True || found == Py_False || found == Py_None;
        Py_DECREF(found);
        return stays ? found : nullptr;
    }

    // The first words of DLPackExchangeAPI.
    struct Exchange {
        std::uint32_t major, minor;
        const void* before;
        void *allocate, *from_object, *to_object;
        int (*describe)(void* object, nb::dlpack::dltensor* to);
    };

    bool is_plain(nb::handle object) const {
        for (nb::handle type : types_)
            if (reinterpret_cast<PyObject*>(Py_TYPE(object.ptr())) == type.ptr()) return true;
        return false;
    }

    bool numbers(nb::handle object, Tensor& to, Precision precision) const {
        return describe_ ? described(object, to, precision) : asked(object, to, precision);
    }

    static nb::dlpack::dtype dtype_of(Precision precision) {
        constexpr std::uint8_t INT = 0, BFLOAT = 4;  // DLDataTypeCode
        if (precision == FLOAT32) return nb::dtype<float>();
        return precision == INT8 ? nb::dlpack::dtype{INT, 8, 1} : nb::dlpack::dtype{BFLOAT, 16, 1};
    }

    bool described(nb::handle object, Tensor& to, Precision precision) const {
        constexpr int CPU = 1;
        nb::dlpack::dltensor d;
        if (describe_(object.ptr(), &d) != 0) {
            PyErr_Clear();  // sparse, quantized, without storage
            return false;
        }
        if (d.device.device_type != CPU || d.dtype != dtype_of(precision) || d.ndim > 3) return false;
        long run = 1;
        for (int k = d.ndim - 1; k >= 0; --k) {
            if (d.strides && d.shape[k] != 1 && d.strides[k] != run) return false;
            run *= d.shape[k];
            to.shape[static_cast<std::size_t>(k)] = d.shape[k];
        }
        to.dims = d.ndim;
        to.data = reinterpret_cast<float*>(static_cast<char*>(d.data) + d.byte_offset);
        return d.data != nullptr;
    }

    bool asked(nb::handle object, Tensor& to, Precision precision) const {
        try {
            if (!nb::cast<bool>(object.attr("is_cpu")) || !object.attr("dtype").is(dtypes_[precision == BFLOAT16_PRODUCTS ? BFLOAT16 : precision])) return false;
            if (answer(is_contiguous_, object) != Py_True) return false;
            const auto shape = nb::cast<nb::tuple>(object.attr("shape"));
            if (shape.size() > 3) return false;
            to.dims = static_cast<int>(shape.size());
            for (std::size_t k = 0; k < shape.size(); ++k) to.shape[k] = nb::cast<long>(shape[k]);
            to.data = at<float>(nb::cast<Address>(data_ptr_(object)));
        } catch (const nb::python_error&) {
            return false;  // as above
        }
        return true;
    }

    static PyObject* answer(const nb::object& method, nb::handle object) {
        PyObject* argument = object.ptr();
        PyObject* found = PyObject_Vectorcall(method.ptr(), &argument, 1, nullptr);
        if (!found) throw nb::python_error();
        Py_DECREF(found);  // True or False, which stay
        return found;
    }

    nb::tuple types_;
    std::array<nb::object, 3> dtypes_;  // by Precision
    nb::object is_neg_, data_ptr_, is_contiguous_, new_empty_, expand_, empty_like_, contiguous_;
    nb::object grad_enabled_, tracing_, interpreter_, forward_ad_;
    nb::str requires_grad_, level_;
    int (*describe_)(void*, nb::dlpack::dltensor*) = nullptr;
};

}  // namespace recurra
