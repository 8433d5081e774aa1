// Attention for one instruction set.
#include "span_attention.h"

#define RECURRA_NAME_(isa) span_attention_##isa
#define RECURRA_NAME(isa) RECURRA_NAME_(isa)
#define RECURRA_TEXT_(isa) #isa
#define RECURRA_TEXT(isa) RECURRA_TEXT_(isa)

namespace recurra {
extern const SpanAttentionEngine RECURRA_NAME(RECURRA_ISA) = {
    RECURRA_TEXT(RECURRA_ISA),
    RECURRA_ISA::spans::attention_bytes,
    RECURRA_ISA::spans::attend,
    RECURRA_ISA::spans::attention_gradients,
    RECURRA_ISA::spans::drop,
};
}  // namespace recurra
