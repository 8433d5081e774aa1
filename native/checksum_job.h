// Sums by which weights are known again. Filled in and asked by bind/.
#pragma once

#include <cstdint>

namespace recurra {

// Memory is taken in blocks of so many words of 4 bytes; a block has two sums of 64 bits.
constexpr long CHECKED_AT_ONCE = 512;
constexpr long CHECKSUM_KEYS = 2 * CHECKED_AT_ONCE;

constexpr long checksums_of(long bytes) { return 2 * ((bytes + 4 * CHECKED_AT_ONCE - 1) / (4 * CHECKED_AT_ONCE)); }

struct ChecksumEngine {
    const char* isa;
    // keys: CHECKSUM_KEYS random numbers. sums: checksums_of(bytes)
    void (*checksums)(const void* memory, long bytes, const std::uint32_t* keys, std::uint64_t* sums);
};

extern const ChecksumEngine checksum_portable;
#if defined(__x86_64__)
extern const ChecksumEngine checksum_avx2;
extern const ChecksumEngine checksum_avx512;
#endif

}  // namespace recurra
