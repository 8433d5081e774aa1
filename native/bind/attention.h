// Attention of single queries, for module.cpp.
#pragma once

#include <nanobind/nanobind.h>

// Adds attention of single queries to the module.
void bind_attention(nanobind::module_& m);
