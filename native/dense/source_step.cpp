// Attention to a source and readouts for one instruction set: compiled once for each, like linear.cpp.
#include "source_step.h"

#define RECURRA_NAME_(isa) source_step_##isa
#define RECURRA_NAME(isa) RECURRA_NAME_(isa)
#define RECURRA_TEXT_(isa) #isa
#define RECURRA_TEXT(isa) RECURRA_TEXT_(isa)

namespace recurra {
extern const SourceStepEngine RECURRA_NAME(RECURRA_ISA) = {
    RECURRA_TEXT(RECURRA_ISA),
    RECURRA_ISA::transformer::raise,
    RECURRA_ISA::transformer::part_bytes<RECURRA_ISA::transformer::Looks>,
    RECURRA_ISA::transformer::run_part<RECURRA_ISA::transformer::Looks>,
    RECURRA_ISA::transformer::part_bytes<RECURRA_ISA::transformer::Reads>,
    RECURRA_ISA::transformer::run_part<RECURRA_ISA::transformer::Reads>,
};
}  // namespace recurra
