// Functions of the equations, unit by unit. Errors in units in the last place are tested over all floats
// (tests/engine/test_accuracy.py): exp 2, log 2, sigmoid 3, log_sigmoid 4, tanh 5.
#pragma once

#include "vector.h"

namespace recurra::RECURRA_ISA {

inline V relu(V v) { return select(v <= 0.0f, V{}, v); }  // NaN stays NaN
inline V maximum(V a, V b) { return select((a > b) | (a != a), a, b); }
inline V step(V v, float at_zero) { return select(v > 0.0f, splat(1.0f), select(v == 0.0f, splat(at_zero), V{})); }

inline V tail(V v, long left) { return left < VL ? first_lanes(v, left) : v; }

// 2^n as a float, for integers -126 <= n <= 127 that lie in the low bits of a shifted float (see exp).
inline V power_of_two(M n) { return floats((n + 127) << 23); }

// e^v: v = n ln 2 + r with |r| <= ln 2 / 2, then a polynomial in r, then 2^n in two steps, so that results below the
// normal range are rounded like any other. Coefficients: minimax of degree 6 for relative error (Cephes, expf).
inline V exp(V v) {
    const V low = splat(-104.0f), high = splat(89.0f);
    V x = select(v < low, low, select(v > high, high, v));
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits of the sum.
    const V magic = splat(12582912.0f);
    V shifted = x * 1.44269504088896341f + magic;
    V n = shifted - magic;
    V r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    M whole = bits(shifted) - 0x4B400000;
    M half = whole >> 1;
    return p * power_of_two(half) * power_of_two(whole - half);
}

// e^v for |v| <= 87, where 2^n is a normal float: one step less, for sigmoid and tanh.
inline V exp_bounded(V x) {
    const V magic = splat(12582912.0f);
    V shifted = x * 1.44269504088896341f + magic;
    V n = shifted - magic;
    V r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return floats(bits(p) + (bits(shifted) << 23));
}

// 1 / (1 + e^-v); below -87, where the result is under 2^-125, it stays at that of -87.
inline V sigmoid(V v) {
    return reciprocal(1.0f + exp_bounded(-clamp(v, 87.0f)));
}

// An odd rational function on |v| < 7.905, +-1 beyond. Coefficients: Eigen's generic_fast_tanh_float (13th over 6th
// degree), within 5 ULP; below 4e-4, where x P(x^2) / Q(x^2) rounds worse than x itself, the result is v.
inline V tanh(V v) {
    V x = clamp(v, 7.90531110763549805f);
    V s = x * x;
    V p = s * -2.76076847742355e-16f + 2.00018790482477e-13f;
    p = p * s + -8.60467152213735e-11f;
    p = p * s + 5.12229709037114e-08f;
    p = p * s + 1.48572235717979e-05f;
    p = p * s + 6.37261928875436e-04f;
    p = p * s + 4.89352455891786e-03f;
    V q = s * 1.19825839466702e-06f + 1.18534705686654e-04f;
    q = q * s + 2.26843463243900e-03f;
    q = q * s + 4.89352518554385e-03f;
    // The denominator is between 0.0048 and 0.5: times 256 it is in the range of `reciprocal`.
    V y = x * p * 256.0f * reciprocal(q * 256.0f);
    return select(within(v, 4e-4f), v, y);
}

// ln v: v = 2^n m with m in [sqrt(1/2), sqrt(2)), then a polynomial in m - 1. Coefficients: Cephes, logf.
inline V log(V v) {
    const V smallest = splat(1.17549435e-38f);
    // Denormal floats are scaled up by 2^24 first.
    M tiny = v < smallest;
    V x = select(tiny, v * 16777216.0f, v);
    M exponent = ((bits(x) >> 23) & 0xFF) - 126;
    V m = floats((bits(x) & 0x007FFFFF) | 0x3F000000);  // in [0.5, 1)
    M low = m < 0.707106781186547524f;
    m = select(low, m + m, m) - 1.0f;
    V n = __builtin_convertvector(exponent + low, V) - select(tiny, splat(24.0f), V{});
    V z = m * m;
    V p = m * 7.0376836292e-2f + -1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m + -1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m + -1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m + -2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    V y = p * m * z + n * -2.12194440e-4f - z * 0.5f;
    y = m + y + n * 0.693359375f;
    const V infinity = splat(__builtin_inff()), nan = splat(__builtin_nanf(""));
    y = select(v == 0.0f, -infinity, select(v < 0.0f, nan, y));
    return select((v == infinity) | (v != v), v, y);
}

// ln(1 / (1 + e^-v)) = min(v, 0) - ln(1 + e), e = e^-|v|. What 1 + e rounds away is added back (Goldberg 1991, 4.2).
inline V log_sigmoid(V v) {
    V e = exp(select(v < 0.0f, v, -v));
    V u = 1.0f + e;
    V more = log(u) + (e - (u - 1.0f)) / u;
    return select(v < 0.0f, v, select(v != v, v, V{})) - more;
}

}  // namespace recurra::RECURRA_ISA
