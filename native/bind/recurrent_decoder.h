// Steps of a recurrent decoder, for module.cpp.
#pragma once

#include <nanobind/nanobind.h>

// Adds a decoder's steps to the module.
void bind_recurrent_decoder(nanobind::module_& m);
