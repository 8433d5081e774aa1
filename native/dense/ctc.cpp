// CTC for one instruction set.
#include "ctc.h"

#define RECURRA_NAME_(isa) ctc_##isa
#define RECURRA_NAME(isa) RECURRA_NAME_(isa)
#define RECURRA_TEXT_(isa) #isa
#define RECURRA_TEXT(isa) RECURRA_TEXT_(isa)

namespace recurra {
extern const CtcEngine RECURRA_NAME(RECURRA_ISA) = {
    RECURRA_TEXT(RECURRA_ISA),
    RECURRA_ISA::ctc::bytes,
    RECURRA_ISA::ctc::loss,
};
}  // namespace recurra
