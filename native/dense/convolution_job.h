// Convolutions over pictures as plain pointers. Filled in by bind/convolution.cpp.
#pragma once

#include "transformer_job.h"

namespace recurra {

// Of an axis of pictures: how many places a kernel of `size` has on it, with `padding` zeros at either end.
struct Side {
    long size, padding;
    long places(long pixels, long stride) const { return (pixels + 2 * padding - size) / stride + 1; }
};

// y = W * f(n(x)) + b + beside of pictures, zeros around.
struct ConvolutionJob {
    Linear weights;  // (outputs, rows, columns, channels) as rows: packed
    Side rows, columns;  // of the kernel
    long stride;
    long pictures, height, width, channels;
    Norm norm;     // n, over the channels of a place; kind NO_NORM: nothing
    bool relu;     // f
    const float* x;       // (pictures, height, width, channels)
    const float* beside;  // as y, or null
    float* y;             // (pictures, high(), wide(), outputs)
    int threads;
    char* scratch;

    long high() const { return rows.places(height, stride); }
    long wide() const { return columns.places(width, stride); }
    long taps() const { return rows.size * columns.size; }
};

// Gradients of a sum whose gradient to y is d_y. Of the convolution y, beside and packed weights are not read.
struct ConvolutionGradients {
    ConvolutionJob convolution;  // its threads and scratch are those of this work
    const float* weight;         // (outputs, rows, columns, channels)
    const float* d_y;
    float* d_x;            // null if not wanted, as all below
    float* d_weight;       // (outputs, channels, rows, columns)
    float* d_bias;         // (outputs,)
    float* d_norm_weight;  // (channels,)
    float* d_norm_bias;
};

struct ConvolutionEngine {
    const char* isa;
    long (*bytes)(const ConvolutionJob&);
    void (*run)(const ConvolutionJob&);
    long (*gradient_bytes)(const ConvolutionGradients&);
    void (*gradients)(const ConvolutionGradients&);
};

extern const ConvolutionEngine convolution_portable;
#if defined(__x86_64__)
extern const ConvolutionEngine convolution_avx2;
extern const ConvolutionEngine convolution_avx512;
#endif

}  // namespace recurra
