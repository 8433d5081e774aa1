// How packed weights are stored. Each is read as the float32 number that it stands for and multiplied like any other, so that a
// product has the bits that it has with these numbers as float32.
//
// For each k a panel holds two vectors, `WORDS` words in all; scales, where there are any: one number a column. PLAIN: whether they
// are in memory as a multiply-add takes them.
#pragma once

#include <cstring>

#include "../simd/vector.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace recurra::RECURRA_ISA {

constexpr int PANEL = 2 * VL;

struct Float32 {
    using Word = float;
    static constexpr long WORDS = PANEL;
    static constexpr bool PLAIN = true;
    static void read(const Word* b, const float*, long, V& first, V& second) {
        first = load(b);
        second = load(b + VL);
    }
};

// A bfloat16 is the upper half of a float32. Lane l holds that of the first vector in its lower half, that of the second in
// its upper one: one load, a shift and a mask give both.
struct Bfloat16 {
    using Word = std::uint32_t;
    static constexpr long WORDS = VL;
    static constexpr bool PLAIN = false;
    using Unsigned = std::uint32_t __attribute__((vector_size(4 * VL)));
    using Words = std::uint32_t __attribute__((vector_size(4 * VL), aligned(4), may_alias));

    static void read(const Word* b, const float*, long, V& first, V& second) {
        const Unsigned both = *reinterpret_cast<const Words*>(b);
        first = reinterpret_cast<V>(both << 16);
        second = reinterpret_cast<V>(both & 0xFFFF0000u);
    }
    static void write(Word* to, long lane, long half, std::uint16_t number) {
        if (half) to[lane] |= static_cast<Word>(number) << 16;
        else to[lane] = number;
    }
};

// A whole number from -127 to 127, times the scale of its column: the product is rounded to float32.
struct Int8 {
    using Word = std::int8_t;
    static constexpr long WORDS = PANEL;
    static constexpr bool PLAIN = false;
    static void read(const Word* b, const float* scales, long panel, V& first, V& second) {
        first = vector(b) * load(scales + panel * PANEL);
        second = vector(b + VL) * load(scales + panel * PANEL + VL);
    }
    // In instructions, since compilers make numbers of bytes one by one.
    static V vector(const Word* b) {
#if defined(__AVX512F__)
        const __m512i whole = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b)));
        return reinterpret_cast<V>(_mm512_cvtepi32_ps(whole));
#elif defined(__AVX2__)
        const __m256i whole = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(b)));
        return reinterpret_cast<V>(_mm256_cvtepi32_ps(whole));
#elif defined(__SSE2__)
        std::int32_t four;
        std::memcpy(&four, b, 4);
        __m128i bytes = _mm_cvtsi32_si128(four);
        bytes = _mm_unpacklo_epi8(bytes, bytes);
        const __m128i whole = _mm_srai_epi32(_mm_unpacklo_epi16(bytes, bytes), 24);
        return reinterpret_cast<V>(_mm_cvtepi32_ps(whole));
#else
        return V{static_cast<float>(b[0]), static_cast<float>(b[1]), static_cast<float>(b[2]), static_cast<float>(b[3])};
#endif
    }
    static void write(Word* to, long lane, long half, std::int8_t number) { to[half * VL + lane] = number; }
};

}  // namespace recurra::RECURRA_ISA
