// Word vectors, for module.cpp.
#pragma once

#include <nanobind/nanobind.h>

// Adds the training of word vectors to the module.
void bind_words(nanobind::module_& m);
