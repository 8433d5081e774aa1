// Attention, for module.cpp.
#pragma once

#include <nanobind/nanobind.h>

// Adds attention and dropout to the module.
void bind_span_attention(nanobind::module_& m);
