// Linear layers, for module.cpp.
#pragma once

#include <nanobind/nanobind.h>

// Adds linear layers, with and without cross-entropy, to the module.
void bind_linear(nanobind::module_& m);
