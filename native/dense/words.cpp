// Word vectors for one instruction set.
#include "words.h"

#define RECURRA_NAME_(isa) words_##isa
#define RECURRA_NAME(isa) RECURRA_NAME_(isa)
#define RECURRA_TEXT_(isa) #isa
#define RECURRA_TEXT(isa) RECURRA_TEXT_(isa)

namespace recurra {
extern const WordsEngine RECURRA_NAME(RECURRA_ISA) = {
    RECURRA_TEXT(RECURRA_ISA),
    RECURRA_ISA::words_stride,
    RECURRA_ISA::train_words,
};
}  // namespace recurra
