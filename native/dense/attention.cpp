// Attention of single queries for one instruction set: compiled once for each, like linear.cpp.
#include "attention.h"

#define RECURRA_NAME_(isa) attention_##isa
#define RECURRA_NAME(isa) RECURRA_NAME_(isa)
#define RECURRA_TEXT_(isa) #isa
#define RECURRA_TEXT(isa) RECURRA_TEXT_(isa)

namespace recurra {
extern const AttentionEngine RECURRA_NAME(RECURRA_ISA) = {RECURRA_TEXT(RECURRA_ISA), RECURRA_ISA::attend};
}  // namespace recurra
