// Functions of the equations, unit by unit, each within 2 units in the last place of the exact result. Where that is
// rounded to 0, 1 or infinity, so are they; NaN stays NaN, and the sign of zero is kept (benchmarks/accuracy.py: all
// floats; tests/engine/test_accuracy.py: some).
#pragma once

#include "vector.h"

namespace recurra::RECURRA_ISA {

inline V relu(V v) { return select(v <= 0.0f, V{}, v); }  // NaN stays NaN
inline V maximum(V a, V b) { return select((a > b) | (a != a), a, b); }
inline V step(V v, float at_zero) { return select(v > 0.0f, splat(1.0f), select(v == 0.0f, splat(at_zero), V{})); }

// ln [v != 0]: 0, and minus infinity for 0.
inline V log_nonzero(V v) { return select(v == 0.0f, splat(-__builtin_inff()), V{}); }

inline V tail(V v, long left) { return left < VL ? first_lanes(v, left) : v; }

// 2^n as a float, for integers -126 <= n <= 127 that lie in the low bits of a shifted float (see exp).
inline V power_of_two(M n) { return floats((n + 127) << 23); }

// v = n ln 2 + r, |r| <= ln 2 / 2. ln 2 is in two parts, of which n times the first (10 bits) is exact without FMA too.
struct Reduced {
    V shifted, r;  // the low bits of `shifted` hold the integer n

    explicit Reduced(V v) {
        // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits of the sum.
        const V magic = splat(12582912.0f);
        shifted = v * 1.44269504088896341f + magic;
        const V n = shifted - magic;
        r = v - n * 0.693359375f;
        r = r + n * 2.12194440e-4f;
    }
    M whole() const { return bits(shifted) - 0x4B400000; }
    // e^r - 1. Coefficients: minimax of degree 6 for the relative error of e^r (Cephes, expf).
    V less_one() const {
        V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
        p = p * r + 8.3334519073e-3f;
        p = p * r + 4.1665795894e-2f;
        p = p * r + 1.6666665459e-1f;
        p = p * r + 5.0000001201e-1f;
        return p * r * r + r;
    }
};

// e^v, with 2^n in two steps, so that results below the normal range are rounded like any other.
inline V exp(V v) {
    const V low = splat(-104.0f), high = splat(89.0f);
    const Reduced x(select(v < low, low, select(v > high, high, v)));
    const M whole = x.whole(), half = whole >> 1;
    return (x.less_one() + 1.0f) * power_of_two(half) * power_of_two(whole - half);
}

// e^v for v <= 0: 2^(n + 64) is a normal float down to v = -104, below which the result is 0.
inline V exp_negative(V v) {
    const Reduced x(at_least(v, -104.0f));
    return (x.less_one() + 1.0f) * power_of_two(x.whole() + 64) * 5.42101086242752217e-20f;  // 2^-64
}

// 1 / (1 + e^-v) = e^v / (1 + e^v): of the two the one whose exponential is at most 1. What d = 1 + e rounds away is
// divided out where it weighs, for small e: q / (1 + lost) = q - q lost.
inline V sigmoid(V v) {
    const V e = exp_negative(minus_magnitude(v)), d = 1.0f + e;
    const V q = quotient(select(bits(v) < 0, e, splat(1.0f)), d);
    return q - q * (e - (d - 1.0f));
}

// With h = (e^2a - 1) / 2 for a = |v|: h / d, d = 1 + h, with what d rounds away divided out, as above. Where that nears
// 1, 1 - 1 / d, whose error is a small part of a small number: of 1 / d the part s that 1 - s keeps exactly, then what
// is left of it, by the remainder 1 - s d and the exact rest of d. It is 1 from 9.02 on, and v below 2^-12.
inline V tanh(V v) {
    const V a = magnitude(v);
    const Reduced x(at_most(a + a, 20.0f));
    const V p = x.less_one(), half = power_of_two(x.whole() - 1);
    const V h = half * p + (half - 0.5f), d = half * p + (half + 0.5f);
    const M far = a > 0.5f;
    const V q = quotient(select(far, splat(1.0f), h), d);
    const V y = 1.0f - q, s = 1.0f - y;
    const V left = (1.0f - s * d) - s * (half * p + ((half + 0.5f) - d));
    return with_sign_of(v, select(far, y - q * left, q - q * (h - (d - 1.0f))));
}

// ln(1 + m) for sqrt(1/2) <= 1 + m < sqrt(2), plus n ln 2. Coefficients: Cephes, logf.
inline V log_reduced(V m, V n) {
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
    return m + y + n * 0.693359375f;
}

// ln v: v = 2^n (1 + m).
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
    V y = log_reduced(m, n);
    const V infinity = splat(__builtin_inff()), nan = splat(__builtin_nanf(""));
    y = select(v == 0.0f, -infinity, select(v < 0.0f, nan, y));
    return select((v == infinity) | (v != v), v, y);
}

// ln(1 / (1 + e^-v)) = min(v, 0) - ln(1 + e), e = e^-|v|. 1 + e is not formed: (1 + e) / 2 - 1 = (e - 1) / 2 is exact.
inline V log_sigmoid(V v) {
    const V e = exp_negative(minus_magnitude(v));
    const M upper = e > 0.414213562373095f;
    const V m = select(upper, e * 0.5f - 0.5f, e), n = select(upper, splat(1.0f), V{});
    return select(v < 0.0f, v, V{}) - log_reduced(m, n);
}

}  // namespace recurra::RECURRA_ISA
