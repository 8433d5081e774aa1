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
#else
inline V low_pairs(V a, V b) { return RECURRA_SHUFFLE(a, b, 0, 4, 1, 5); }
inline V high_pairs(V a, V b) { return RECURRA_SHUFFLE(a, b, 2, 6, 3, 7); }
#endif

// Column j of VL rows as vector j.
#if defined(__AVX2__) && !defined(__AVX512F__)
// Rows i and i + 4 side by side in the halves of a register, as they are loaded; what is left are squares of 4 x 4 in the halves: 16
// shuffles, where pairs across halves take 48.
inline void read_columns(const float* from, long from_row, V* columns) {
#pragma GCC unroll 2
    for (int left = 0; left < 8; left += 4) {
        __m256 rows[4], pairs[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
            const float* at = from + i * from_row + left;
            rows[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(at)), _mm_loadu_ps(at + 4 * from_row), 1);
        }
#pragma GCC unroll 2
        for (int i = 0; i < 2; ++i) {
            pairs[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
            pairs[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
        }
#pragma GCC unroll 2
        for (int i = 0; i < 2; ++i) {
            columns[left + 2 * i] = reinterpret_cast<V>(_mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44));
            columns[left + 2 * i + 1] = reinterpret_cast<V>(_mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xEE));
        }
    }
}
#else
// Each round takes row i and row i + VL / 2 apart in pairs: after log2(VL) rounds rows are columns (Stone 1971, the
// perfect shuffle).
inline void read_columns(const float* from, long from_row, V* columns) {
    V b[VL];
#pragma GCC unroll 16
    for (int i = 0; i < VL; ++i) columns[i] = load(from + i * from_row);
#pragma GCC unroll 4
    for (int round = 1; round < VL; round *= 2) {
#pragma GCC unroll 16
        for (int i = 0; i < VL / 2; ++i) {
            b[2 * i] = low_pairs(columns[i], columns[i + VL / 2]);
            b[2 * i + 1] = high_pairs(columns[i], columns[i + VL / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < VL; ++i) columns[i] = b[i];
    }
}
#endif

inline void transpose_square(const float* from, long from_row, float* to, long to_row) {
    V columns[VL];
    read_columns(from, from_row, columns);
#pragma GCC unroll 16
    for (int i = 0; i < VL; ++i) store(to + i * to_row, columns[i]);
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
