// One layer in one direction, from tensors to tensors, for module.cpp.
#pragma once

#include <nanobind/nanobind.h>

// Adds the shortest way of a layer to the module.
void bind_layer(nanobind::module_& m);
