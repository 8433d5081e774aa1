// Convolutions over pictures, for module.cpp.
#pragma once

#include <nanobind/nanobind.h>

// Adds convolutions to the module.
void bind_convolution(nanobind::module_& m);
