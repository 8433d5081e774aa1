// Linear layers for one instruction set: compiled once for each, like recurrent/engine.cpp.
#include "linear.h"
#include "loss.h"

#define RECURRA_NAME_(isa) linear_##isa
#define RECURRA_NAME(isa) RECURRA_NAME_(isa)
#define RECURRA_TEXT_(isa) #isa
#define RECURRA_TEXT(isa) RECURRA_TEXT_(isa)

namespace recurra {
extern const LinearEngine RECURRA_NAME(RECURRA_ISA) = {
    RECURRA_TEXT(RECURRA_ISA),     RECURRA_ISA::linear_bytes, RECURRA_ISA::linear,
    RECURRA_ISA::linear_gradients, RECURRA_ISA::loss_bytes,   RECURRA_ISA::loss,
};
}  // namespace recurra
