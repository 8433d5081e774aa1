// Convolutions for one instruction set: compiled once for each, like linear.cpp.
#include "convolution_gradients.h"

#define RECURRA_NAME_(isa) convolution_##isa
#define RECURRA_NAME(isa) RECURRA_NAME_(isa)
#define RECURRA_TEXT_(isa) #isa
#define RECURRA_TEXT(isa) RECURRA_TEXT_(isa)

namespace recurra {
extern const ConvolutionEngine RECURRA_NAME(RECURRA_ISA) = {
    RECURRA_TEXT(RECURRA_ISA),
    RECURRA_ISA::transformer::convolution_bytes,
    RECURRA_ISA::transformer::convolve,
    RECURRA_ISA::transformer::gradient_bytes,
    RECURRA_ISA::transformer::convolution_gradients,
};
}  // namespace recurra
