// Layers of a Transformer for one instruction set: compiled once for each, like linear.cpp.
#include "decoder_step.h"
#include "encoder_rows.h"
#include "encoder_step.h"
#include "units.h"

#define RECURRA_NAME_(isa) transformer_##isa
#define RECURRA_NAME(isa) RECURRA_NAME_(isa)
#define RECURRA_TEXT_(isa) #isa
#define RECURRA_TEXT(isa) RECURRA_TEXT_(isa)

namespace recurra {
extern const TransformerEngine RECURRA_NAME(RECURRA_ISA) = {
    RECURRA_TEXT(RECURRA_ISA),
    RECURRA_ISA::transformer::packed_bytes,
    RECURRA_ISA::transformer::pack,
    RECURRA_ISA::transformer::step_bytes,
    RECURRA_ISA::transformer::step,
    RECURRA_ISA::transformer::encoder_bytes,
    RECURRA_ISA::transformer::encode,
    RECURRA_ISA::transformer::encoder_step_bytes,
    RECURRA_ISA::transformer::encoder_step,
    RECURRA_ISA::transformer::units,
    RECURRA_ISA::transformer::unit_gradients,
};
}  // namespace recurra
