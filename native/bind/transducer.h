// RNN-T, for module.cpp.
#pragma once

#include <nanobind/nanobind.h>

// Adds the loss of a recurrent neural network transducer to the module.
void bind_transducer(nanobind::module_& m);
