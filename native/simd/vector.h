// One vector type for every instruction set. The rest of the engine is written with it alone.
//
// GCC and Clang vector extensions give + - * / and comparisons; the few words they lack are here. The width follows the
// flags this file is compiled with: 16 floats with AVX-512, 8 with AVX2, 4 otherwise (SSE2, NEON).
#pragma once

#include <cstdint>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define RECURRA_ISA avx512
#elif defined(__AVX2__)
#define RECURRA_ISA avx2
#else
#define RECURRA_ISA portable
#endif

namespace recurra::RECURRA_ISA {

#if defined(__AVX512F__)
constexpr int VL = 16;
#elif defined(__AVX2__)
constexpr int VL = 8;
#else
constexpr int VL = 4;
#endif

using V = float __attribute__((vector_size(4 * VL)));
using M = std::int32_t __attribute__((vector_size(4 * VL)));  // lanes of a comparison: 0 or -1
using Unaligned = float __attribute__((vector_size(4 * VL), aligned(4), may_alias));

inline V load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
inline void store(float* p, V v) { *reinterpret_cast<Unaligned*>(p) = v; }
// a - 0 is a for every a, -0 and NaN too, so compilers drop the subtraction; a + 0 they must keep.
inline V splat(float a) { return a - V{}; }
inline V select(M where, V a, V b) { return where ? a : b; }
inline M bits(V v) { return reinterpret_cast<M>(v); }
inline V floats(M m) { return reinterpret_cast<V>(m); }

// The vector with zeros from lane `count` on: the last block of units may have fewer than VL.
inline V first_lanes(V v, long count) {
    M lane;
    for (int i = 0; i < VL; ++i) lane[i] = i;
    return select(lane < static_cast<std::int32_t>(count), v, V{});
}

// The larger of v and low, and the smaller of v and high; NaN stays NaN. (The instructions give their second argument if
// one of them is NaN.)
inline V at_least(V v, float low) {
#if defined(__AVX512F__)
    return reinterpret_cast<V>(_mm512_max_ps(_mm512_set1_ps(low), reinterpret_cast<__m512>(v)));
#elif defined(__AVX2__)
    return reinterpret_cast<V>(_mm256_max_ps(_mm256_set1_ps(low), reinterpret_cast<__m256>(v)));
#else
    const V bound = splat(low);
    return select(v < bound, bound, v);
#endif
}
inline V at_most(V v, float high) {
#if defined(__AVX512F__)
    return reinterpret_cast<V>(_mm512_min_ps(_mm512_set1_ps(high), reinterpret_cast<__m512>(v)));
#elif defined(__AVX2__)
    return reinterpret_cast<V>(_mm256_min_ps(_mm256_set1_ps(high), reinterpret_cast<__m256>(v)));
#else
    const V bound = splat(high);
    return select(v > bound, bound, v);
#endif
}

constexpr std::int32_t SIGN = INT32_MIN;
inline V magnitude(V v) { return floats(bits(v) & ~SIGN); }
inline V minus_magnitude(V v) { return floats(bits(v) | SIGN); }
inline V with_sign_of(V sign, V v) { return floats((bits(sign) & SIGN) | bits(v)); }  // for v without a sign

// v times a mask of dropout; 0 where the mask is 0, also if v is infinite or NaN.
inline V masked(V v, V mask) { return select(mask == 0.0f, V{}, v * mask); }

// The sum of all lanes, halving each time: the order depends on VL alone. By instructions, since compilers make loops in memory of it.
inline float lane_sum(V v) {
#if defined(__AVX2__)
#if defined(__AVX512F__)
    const __m512 all = reinterpret_cast<__m512>(v);
    const __m256 eight = _mm512_castps512_ps256(all) + _mm512_extractf32x8_ps(all, 1);
#else
    const __m256 eight = reinterpret_cast<__m256>(v);
#endif
    const __m128 four = _mm256_castps256_ps128(eight) + _mm256_extractf128_ps(eight, 1);
    const __m128 two = four + _mm_movehl_ps(four, four);
    return two[0] + two[1];
#else
    return (v[0] + v[2]) + (v[1] + v[3]);
#endif
}

inline V sqrt(V v) {
#if defined(__AVX512F__)
    return reinterpret_cast<V>(_mm512_sqrt_ps(reinterpret_cast<__m512>(v)));
#elif defined(__AVX2__)
    return reinterpret_cast<V>(_mm256_sqrt_ps(reinterpret_cast<__m256>(v)));
#else
    V root;
    for (int i = 0; i < VL; ++i) root[i] = __builtin_sqrtf(v[i]);
    return root;
#endif
}

// a / b for 1 <= b < 2^100, as good as rounded. AVX-512 divides 16 floats in 16 cycles; an estimate of 1 / b, a Newton
// step, and one correction of a times it by what is left of a, take 6.
inline V quotient(V a, V b) {
#if defined(__AVX512F__)
    V r = reinterpret_cast<V>(_mm512_rcp14_ps(reinterpret_cast<__m512>(b)));  // relative error below 2^-14
    r = r + r * (1.0f - r * b);
    V q = a * r;
    return q + r * (a - q * b);
#else
    return a / b;
#endif
}

}  // namespace recurra::RECURRA_ISA
