// Rows of any length, whole vectors at a time: what is behind the last number is neither read nor written.
#pragma once

#include <cstring>

#include "../simd/math.h"

namespace recurra::RECURRA_ISA {

// The first `count` numbers, minus infinity behind them.
inline V load_part(const float* from, long count) {
    if (count >= VL) return load(from);
#if defined(__AVX512F__)
    const auto mask = static_cast<__mmask16>((1u << count) - 1);
    return reinterpret_cast<V>(_mm512_mask_loadu_ps(_mm512_set1_ps(-__builtin_inff()), mask, from));
#else
    float part[VL];
    store(part, splat(-__builtin_inff()));
    for (long i = 0; i < count; ++i) part[i] = from[i];
    return load(part);
#endif
}

inline void store_part(float* to, V v, long count) {
    if (count >= VL) return store(to, v);
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), reinterpret_cast<__m512>(v));
#else
    float part[VL];
    store(part, v);
    for (long i = 0; i < count; ++i) to[i] = part[i];
#endif
}

inline V gather(const float* from, const std::int32_t* at) {
#if defined(__AVX512F__)
    return reinterpret_cast<V>(_mm512_i32gather_ps(_mm512_loadu_si512(at), from, 4));
#else
    V made;
    for (int i = 0; i < VL; ++i) made[i] = from[at[i]];
    return made;
#endif
}

// NaN only by chance: what is made from it is NaN all the same.
inline float largest(const float* z, long count) {
    V most = load_part(z, count);
    for (long c = VL; c < count; c += VL) most = maximum(most, load_part(z + c, count - c));
    float part[VL];
    store(part, most);
    for (int half = VL / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) part[i] = part[i] > part[i + half] ? part[i] : part[i + half];
    return part[0];
}

// Of e^(z - most), most being at least as large.
inline float sum_of_exp(const float* z, long count, float most) {
    V sums[2] = {};
    for (long c = 0; c < count; c += 2 * VL) {
        sums[0] += exp_negative(load_part(z + c, count - c) - most);
        if (c + VL < count) sums[1] += exp_negative(load_part(z + c + VL, count - c - VL) - most);
    }
    return lane_sum(sums[0] + sums[1]);
}

inline void softmax(const float* z, long count, float most, float scale, float* to) {
    for (long c = 0; c < count; c += VL)
        store_part(to + c, exp_negative(load_part(z + c, count - c) - most) * scale, count - c);
}

}  // namespace recurra::RECURRA_ISA
