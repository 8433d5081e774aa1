// GloVe for one instruction set.
#include <algorithm>

#include "glove.h"

#define RECURRA_NAME_(isa) glove_##isa
#define RECURRA_NAME(isa) RECURRA_NAME_(isa)
#define RECURRA_TEXT_(isa) #isa
#define RECURRA_TEXT(isa) RECURRA_TEXT_(isa)

namespace recurra {
extern const GloveEngine RECURRA_NAME(RECURRA_ISA) = {
    RECURRA_TEXT(RECURRA_ISA),
    RECURRA_ISA::train_glove,
};
}  // namespace recurra
