// RNN-T for one instruction set.
#include "transducer.h"

#define RECURRA_NAME_(isa) transducer_##isa
#define RECURRA_NAME(isa) RECURRA_NAME_(isa)
#define RECURRA_TEXT_(isa) #isa
#define RECURRA_TEXT(isa) RECURRA_TEXT_(isa)

namespace recurra {
extern const TransducerEngine RECURRA_NAME(RECURRA_ISA) = {
    RECURRA_TEXT(RECURRA_ISA),
    RECURRA_ISA::transducer::bytes,
    RECURRA_ISA::transducer::loss,
};
}  // namespace recurra
