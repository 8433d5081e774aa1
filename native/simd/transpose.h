// Matrices on their side: VL x VL numbers at a time in registers.
#pragma once

#include "vector.h"

// GCC has __builtin_shufflevector from version 12 only.
#if defined(__clang__)
#define RECURRA_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define RECURRA_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, M{__VA_ARGS__})
#endif

namespace recurra::RECURRA_ISA {

// a0 b0 a1 b1 ...: from the lower halves of a and b, and from the upper ones.
#if defined(__AVX512F__)
inline V low_pairs(V a, V b) {
    return RECURRA_SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
inline V high_pairs(V a, V b) {
    return RECURRA_SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
#elif defined(__AVX2__)
inline V low_pairs(V a, V b) { return RECURRA_SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
inline V high_pairs(V a, V b) { return RECURRA_SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
#else
inline V low_pairs(V a, V b) { return RECURRA_SHUFFLE(a, b, 0, 4, 1, 5); }
inline V high_pairs(V a, V b) { return RECURRA_SHUFFLE(a, b, 2, 6, 3, 7); }
#endif

// Each round takes row i and row i + VL / 2 apart in pairs: after log2(VL) rounds rows are columns (Stone 1971, the
// perfect shuffle).
inline void transpose_square(const float* from, long from_row, float* to, long to_row) {
    V a[VL], b[VL];
#pragma GCC unroll 16
    for (int i = 0; i < VL; ++i) a[i] = load(from + i * from_row);
#pragma GCC unroll 4
    for (int round = 1; round < VL; round *= 2) {
#pragma GCC unroll 16
        for (int i = 0; i < VL / 2; ++i) {
            b[2 * i] = low_pairs(a[i], a[i + VL / 2]);
            b[2 * i + 1] = high_pairs(a[i], a[i + VL / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < VL; ++i) a[i] = b[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < VL; ++i) store(to + i * to_row, a[i]);
}

// to[j][i] = from[i][j].
inline void transpose(const float* from, long from_row, long rows, long columns, float* to, long to_row) {
    for (long i = 0; i < rows; i += VL)
        for (long j = 0; j < columns; j += VL) {
            if (i + VL <= rows && j + VL <= columns) {
                transpose_square(from + i * from_row + j, from_row, to + j * to_row + i, to_row);
                continue;
            }
            for (long k = i; k < rows && k < i + VL; ++k)
                for (long l = j; l < columns && l < j + VL; ++l) to[l * to_row + k] = from[k * from_row + l];
        }
}

}  // namespace recurra::RECURRA_ISA
