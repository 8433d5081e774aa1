// How numbers lie in the memory of a call.
#pragma once

#include <cstdint>

#include "simd/vector.h"

namespace recurra::RECURRA_ISA {

// Floats from row to row: an odd number of cache lines, since rows a power of two apart would share a cache set.
inline long row_stride(long floats) { return ((floats + 15) / 16 | 1) * 16; }

// Memory that is wanted soon: some rows, fetched a few at a time while the processor multiplies. All at once, the cache would
// have to wait for them; and rows lie too far apart for it to foresee them.
class Ahead {
public:
    Ahead() = default;
    Ahead(const float* at, long row, long count, long rows, long times)
        : at_(at), row_(row), count_(count), rows_(rows), each_(times > 0 ? (rows + times - 1) / times : 0) {}

    void fetch() {
        const long now = each_ < rows_ ? each_ : rows_;
        for (long r = 0; r < now; ++r, at_ += row_)
            for (long k = 0; k < count_; k += 16) __builtin_prefetch(at_ + k, 1);
        rows_ -= now;
    }

private:
    const float* at_ = nullptr;
    long row_ = 0, count_ = 0, rows_ = 0, each_ = 0;
};

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
