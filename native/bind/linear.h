// Linear layers, for module.cpp.
#pragma once

#include <nanobind/nanobind.h>

// Adds `linear`, `linear_gradients` and `linear_cross_entropy` to the module.
void bind_linear(nanobind::module_& m);
