// CTC, for module.cpp.
#pragma once

#include <nanobind/nanobind.h>

// Adds the loss of connectionist temporal classification to the module.
void bind_ctc(nanobind::module_& m);
