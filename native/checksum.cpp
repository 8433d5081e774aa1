// Sums by which weights are known again: the universal hash NH (Black et al. 1999, "UMAC", section 4). With random keys,
// two different blocks have one sum in common with a probability of at most 2^-32, whatever they are; both, 2^-64.
// Where the processor multiplies vectors without carries, CLNH takes its place (Lemire and Kaser 2016, "Faster 64-bit universal
// hashing using carry-less multiplications", lemma 1): one sum of 128 bits, the same for two different blocks with a probability
// of at most 2^-64, in a third of the time. Weights are read once; a copy of them to compare with would be read as well.
#include "checksum_job.h"

#include <cstring>

#include "simd/vector.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace recurra::RECURRA_ISA {
namespace {

using Word = std::uint32_t __attribute__((may_alias));
using U = std::uint32_t __attribute__((vector_size(4 * VL)));
using Wide = std::uint64_t __attribute__((vector_size(4 * VL)));
using Words = std::uint32_t __attribute__((vector_size(4 * VL), aligned(4), may_alias));

inline U load(const Word* p) { return *reinterpret_cast<const Words*>(p); }

// Of each pair of lanes, the first times the second. Compilers make three products of one where they are not told.
inline Wide product_of_pairs(U v) {
    const Wide pairs = reinterpret_cast<Wide>(v), second = pairs >> 32;
#if defined(__AVX512F__)
    return reinterpret_cast<Wide>(_mm512_mul_epu32(reinterpret_cast<__m512i>(pairs), reinterpret_cast<__m512i>(second)));
#elif defined(__AVX2__)
    return reinterpret_cast<Wide>(_mm256_mul_epu32(reinterpret_cast<__m256i>(pairs), reinterpret_cast<__m256i>(second)));
#elif defined(__SSE2__)
    return reinterpret_cast<Wide>(_mm_mul_epu32(reinterpret_cast<__m128i>(pairs), reinterpret_cast<__m128i>(second)));
#else
    return (pairs & 0xffffffffu) * second;
#endif
}

std::uint64_t sum_of(Wide v) {
    std::uint64_t sum = 0;
    for (int k = 0; k < VL / 2; ++k) sum += v[k];
    return sum;
}

// `COUNT` neighbouring blocks, so that each key is loaded once for all of them.
template <int COUNT>
void some_blocks(const Word* words, const std::uint32_t* keys, std::uint64_t* sums) {
    Wide first[COUNT] = {}, second[COUNT] = {};
#pragma GCC unroll 2
    for (long k = 0; k < CHECKED_AT_ONCE; k += VL) {
        const U one = load(keys + k), other = load(keys + CHECKED_AT_ONCE + k);
#pragma GCC unroll 2
        for (int b = 0; b < COUNT; ++b) {
            const U w = load(words + b * CHECKED_AT_ONCE + k);
            first[b] += product_of_pairs(w + one);
            second[b] += product_of_pairs(w + other);
        }
    }
    for (int b = 0; b < COUNT; ++b) {
        sums[2 * b] = sum_of(first[b]);
        sums[2 * b + 1] = sum_of(second[b]);
    }
}

#if defined(__AVX2__)
// The sum of (first + key)(second + key) over the pairs of 64-bit words of a block, as polynomials over GF(2).
__attribute__((target("vpclmulqdq"))) void block_without_carries(const Word* words, const std::uint32_t* keys, std::uint64_t* sums) {
    constexpr int CHAINS = 4;
    Wide sum[CHAINS] = {};
#pragma GCC unroll 2
    for (long k = 0; k < CHECKED_AT_ONCE; k += CHAINS * VL)
#pragma GCC unroll 4
        for (int c = 0; c < CHAINS; ++c) {
            const U v = load(words + k + c * VL) ^ load(keys + k + c * VL);
#if defined(__AVX512F__)
            const auto w = reinterpret_cast<__m512i>(v);
            sum[c] ^= reinterpret_cast<Wide>(_mm512_clmulepi64_epi128(w, w, 0x10));
#else
            const auto w = reinterpret_cast<__m256i>(v);
            sum[c] ^= reinterpret_cast<Wide>(_mm256_clmulepi64_epi128(w, w, 0x10));
#endif
        }
    const Wide all = (sum[0] ^ sum[1]) ^ (sum[2] ^ sum[3]);
    sums[0] = sums[1] = 0;
    for (int k = 0; k < VL / 2; ++k) sums[k % 2] ^= all[k];
}

bool multiplies_without_carries() { return __builtin_cpu_supports("vpclmulqdq"); }
#endif

template <int COUNT>
void blocks(const Word* words, const std::uint32_t* keys, std::uint64_t* sums) {
#if defined(__AVX2__)
    if (multiplies_without_carries()) {
        for (int b = 0; b < COUNT; ++b) block_without_carries(words + b * CHECKED_AT_ONCE, keys, sums + 2 * b);
        return;
    }
#endif
    some_blocks<COUNT>(words, keys, sums);
}

void checksums(const void* memory, long bytes, const std::uint32_t* keys, std::uint64_t* sums) {
    constexpr long BLOCK = CHECKED_AT_ONCE * sizeof(Word);
    const char* at = static_cast<const char*>(memory);
    for (; bytes >= 2 * BLOCK; bytes -= 2 * BLOCK, at += 2 * BLOCK, sums += 4)
        blocks<2>(reinterpret_cast<const Word*>(at), keys, sums);
    for (; bytes >= BLOCK; bytes -= BLOCK, at += BLOCK, sums += 2) blocks<1>(reinterpret_cast<const Word*>(at), keys, sums);
    if (!bytes) return;
    Word rest[CHECKED_AT_ONCE] = {};
    std::memcpy(rest, at, static_cast<std::size_t>(bytes));
    blocks<1>(rest, keys, sums);
}

}  // namespace
}  // namespace recurra::RECURRA_ISA

#define RECURRA_NAME_(isa) checksum_##isa
#define RECURRA_NAME(isa) RECURRA_NAME_(isa)
#define RECURRA_TEXT_(isa) #isa
#define RECURRA_TEXT(isa) RECURRA_TEXT_(isa)

namespace recurra {
const ChecksumEngine RECURRA_NAME(RECURRA_ISA) = {RECURRA_TEXT(RECURRA_ISA), RECURRA_ISA::checksums};
}  // namespace recurra
