// Lanes of many vectors at once: their sums, and the greatest of them.
#pragma once

#include "math.h"
#include "transpose.h"

namespace recurra::RECURRA_ISA {

// Halves, quarters, ... of two vectors added, those of a before those of b: the step of `lane_sum` that adds lanes `apart` from each other.
template <int apart>
inline V added(V a, V b) {
#if defined(__AVX512F__)
    const __m512 x = reinterpret_cast<__m512>(a), y = reinterpret_cast<__m512>(b);
    if constexpr (apart == 8) return reinterpret_cast<V>(_mm512_shuffle_f32x4(x, y, 0x44) + _mm512_shuffle_f32x4(x, y, 0xEE));
    if constexpr (apart == 4) return reinterpret_cast<V>(_mm512_shuffle_f32x4(x, y, 0x88) + _mm512_shuffle_f32x4(x, y, 0xDD));
    if constexpr (apart == 2) return reinterpret_cast<V>(_mm512_shuffle_ps(x, y, 0x44) + _mm512_shuffle_ps(x, y, 0xEE));
    return reinterpret_cast<V>(_mm512_shuffle_ps(x, y, 0x88) + _mm512_shuffle_ps(x, y, 0xDD));
#elif defined(__AVX2__)
    const __m256 x = reinterpret_cast<__m256>(a), y = reinterpret_cast<__m256>(b);
    if constexpr (apart == 4) return reinterpret_cast<V>(_mm256_permute2f128_ps(x, y, 0x20) + _mm256_permute2f128_ps(x, y, 0x31));
    if constexpr (apart == 2) return reinterpret_cast<V>(_mm256_shuffle_ps(x, y, 0x44) + _mm256_shuffle_ps(x, y, 0xEE));
    return reinterpret_cast<V>(_mm256_shuffle_ps(x, y, 0x88) + _mm256_shuffle_ps(x, y, 0xDD));
#else
    if constexpr (apart == 2) return RECURRA_SHUFFLE(a, b, 0, 1, 4, 5) + RECURRA_SHUFFLE(a, b, 2, 3, 6, 7);
    return RECURRA_SHUFFLE(a, b, 0, 2, 4, 6) + RECURRA_SHUFFLE(a, b, 1, 3, 5, 7);
#endif
}

// Of vectors i and i + 4, ... the lanes from VL / 2 on are added to those below, and so on within four lanes: half the shuffles of
// turning all on their side. Lane i of the result is the sum of vector i, added as `lane_sum` adds it.
inline V lane_sums(const V* vectors) {
    V four[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
#if defined(__AVX512F__)
        four[i] = added<4>(added<8>(vectors[i], vectors[i + 4]), added<8>(vectors[i + 8], vectors[i + 12]));
#elif defined(__AVX2__)
        four[i] = added<4>(vectors[i], vectors[i + 4]);
#else
        four[i] = vectors[i];
#endif
    }
    return added<1>(added<2>(four[0], four[1]), added<2>(four[2], four[3]));
}

inline bool any(M where) {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask(reinterpret_cast<__m512i>(where), reinterpret_cast<__m512i>(where)) != 0;
#elif defined(__AVX2__)
    return !_mm256_testz_si256(reinterpret_cast<__m256i>(where), reinterpret_cast<__m256i>(where));
#else
    return where[0] | where[1] | where[2] | where[3];
#endif
}

// Lane by lane the larger one; where a is NaN, b.
inline V greater(V a, V b) {
#if defined(__AVX512F__)
    return reinterpret_cast<V>(_mm512_max_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#elif defined(__AVX2__)
    return reinterpret_cast<V>(_mm256_max_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
#else
    return select(a > b, a, b);
#endif
}

// The greatest of all lanes, none of which is NaN.
inline float lane_maximum(V v) {
#if defined(__AVX2__)
#if defined(__AVX512F__)
    const __m512 all = reinterpret_cast<__m512>(v);
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
#else
    const __m256 eight = reinterpret_cast<__m256>(v);
#endif
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
#else
    const float a = v[0] > v[2] ? v[0] : v[2], b = v[1] > v[3] ? v[1] : v[3];
    return a > b ? a : b;
#endif
}

}  // namespace recurra::RECURRA_ISA
