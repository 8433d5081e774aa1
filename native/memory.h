// How numbers lie in the memory of a call.
#pragma once

#include <cstdint>

#include "simd/vector.h"

namespace recurra::RECURRA_ISA {

// Floats from row to row: an odd number of cache lines, since rows a power of two apart would share a cache set.
inline long row_stride(long floats) { return ((floats + 15) / 16 | 1) * 16; }

// Memory that is wanted soon: some rows, fetched a few lines at a time while the processor multiplies. All at once, the cache
// would have to wait for them; and rows lie too far apart for it to foresee them.
class Ahead {
public:
    Ahead() = default;
    // `count` floats of each row, in `times` parts; the first `wait` calls fetch nothing.
    Ahead(const float* at, long row, long count, long rows, long times, long wait = 0)
        : at_(at), row_(row), count_(count), rows_(rows), wait_(wait) {
        const long lines = rows * ((count + LINE - 1) / LINE);
        each_ = times > 0 ? (lines + times - 1) / times : 0;
    }

    void fetch() {
        if (rows_ <= 0 || --wait_ >= 0) return;
        for (long n = each_; n > 0 && rows_ > 0; --n) {
            __builtin_prefetch(at_ + done_, 1);
            done_ += LINE;
            if (done_ >= count_) done_ = 0, at_ += row_, --rows_;
        }
    }

private:
    static constexpr long LINE = 16;  // floats of a cache line
    const float* at_ = nullptr;
    long row_ = 0, count_ = 0, rows_ = 0, wait_ = 0, each_ = 0, done_ = 0;
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
