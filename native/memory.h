// How numbers lie in the memory of a call.
#pragma once

#include <cstdint>

#include "simd/vector.h"

namespace recurra::RECURRA_ISA {

// Floats from row to row: an odd number of cache lines, since rows a power of two apart would share a cache set.
inline long row_stride(long floats) { return ((floats + 15) / 16 | 1) * 16; }

// Hands out pieces of one piece of memory; with base null it only counts.
class Bump {
public:
    explicit Bump(char* base) : base_(reinterpret_cast<std::uintptr_t>(base)) {}
    float* floats(long count) {
        const std::uintptr_t at = base_ + used_;
        used_ += (count * 4 + 127) / 128 * 128 + 128;  // slack: whole vectors may be read past the end
        return reinterpret_cast<float*>(at);
    }
    long used() const { return static_cast<long>(used_); }

private:
    std::uintptr_t base_, used_ = 0;
};

}  // namespace recurra::RECURRA_ISA
