// Probabilities of long paths: a mantissa with an exponent of its own, lane by lane.
//
// A path of 2,000 frames has a probability far below what a float holds, and two states of one frame may be further apart than
// a double holds. Logarithms hold both, but round to the size of the logarithm, and cost an exponential for each sum.
// Here products and sums round to 2^-24 of themselves, wherever they are.
#pragma once

#include "../simd/math.h"

namespace recurra::RECURRA_ISA {

constexpr std::int32_t NOTHING = -(1 << 29);   // the exponent of 0
constexpr float MOST_BITS = 268435456.0f;      // 2^28: what exponents of all frames of a row add up to at most

struct Scaled {
    V m;  // 0, or from 1 up to 2 when normal
    M e;
};

inline M larger(M a, M b) { return a > b ? a : b; }

// 2^d for d <= 127. Below 2^-126 it is that, nothing beside a mantissa of 1.
inline V two_to(M d) { return floats((larger(d, M{} - 126) + 127) << 23); }

inline Scaled normal(V m, M e) {
    const M none = m == 0.0f;
    const M by = ((bits(m) >> 23) & 0xFF) - 127;
    const V one = floats((bits(m) & 0x007FFFFF) | 0x3F800000);
    return {select(none, V{}, one), none ? M{} + NOTHING : e + by};
}

inline Scaled sum(Scaled a, Scaled b) {
    const M e = larger(a.e, b.e);
    return {a.m * two_to(a.e - e) + b.m * two_to(b.e - e), e};
}

inline Scaled sum(Scaled a, Scaled b, Scaled c) {
    const M e = larger(larger(a.e, b.e), c.e);
    return {a.m * two_to(a.e - e) + b.m * two_to(b.e - e) + c.m * two_to(c.e - e), e};
}

inline Scaled times(Scaled a, Scaled b) { return {a.m * b.m, a.e + b.e}; }

// Nothing where `where` is 0; else as it is.
inline Scaled only(M where, Scaled a) { return {floats(bits(a.m) & where), where ? a.e : M{} + NOTHING}; }

inline Scaled load_scaled(const float* m, const std::int32_t* e) {
    return {load(m), bits(load(reinterpret_cast<const float*>(e)))};
}

inline void store_scaled(float* m, std::int32_t* e, Scaled a) {
    store(m, a.m);
    store(reinterpret_cast<float*>(e), floats(a.e));
}

// The lowest logarithm that is not taken for this: then no exponent of a row leaves 28 bits.
inline float lowest_log(long frames) {
    const float fits = MOST_BITS * 0.69314718f / static_cast<float>(frames + 1);
    return -(fits < 2.5e6f ? fits : 2.5e6f);
}

// e^(z - most), or e^lowest where that is less. What the difference rounds away is a part of z that a sum over frames would
// keep; below the lowest it may be any number, or none.
inline Scaled exp_scaled(V z, V most, float lowest) {
    const V v = z - most, moved = v - z;
    const V lost = (z - (v - moved)) - (most + moved);
    Reduced x(at_least(v, lowest));
    x.r += select(v > lowest, lost, V{});
    const M none = z == -__builtin_inff();
    return {select(none, V{}, x.less_one() + 1.0f), none ? M{} + NOTHING : x.whole()};
}

}  // namespace recurra::RECURRA_ISA
