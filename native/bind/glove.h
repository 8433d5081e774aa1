// GloVe, for module.cpp.
#pragma once

#include <nanobind/nanobind.h>

// Adds counting of words that stand together, and the training by their counts, to the module.
void bind_glove(nanobind::module_& m);
