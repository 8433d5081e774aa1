// Layers of a Transformer, for module.cpp.
#pragma once

#include <nanobind/nanobind.h>

// Adds a decoder's steps to the module.
void bind_transformer(nanobind::module_& m);
