// Dropout whose mask is a function of a seed and a place, so that it is made again rather than kept.
#pragma once

#include <cstdint>

#include "../simd/vector.h"
#include "span_attention_job.h"

namespace recurra::RECURRA_ISA::spans {

using U = std::uint32_t __attribute__((vector_size(4 * VL)));

// Numbers that look random, a function of the position alone (splitmix64: Steele, Lea and Flood 2014).
inline std::uint64_t spread(std::uint64_t z) {
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// Which numbers of a row are kept. Two rounds of multiply and shift, whose constants have nearly no bias (C. Wellons,
// "Prospecting for hash functions", 2018), of the place in the row and 32 bits of the row's own.
class Kept {
public:
    Kept(std::uint32_t dropped, std::uint64_t seed, std::uint64_t row)
        : dropped_(static_cast<std::int32_t>(dropped)), scale_(2147483648.0f / (2147483648.0f - static_cast<float>(dropped))),
          row_(static_cast<std::uint32_t>(spread(seed ^ spread(row)) >> 32)) {
        for (int i = 0; i < VL; ++i) lane_[i] = static_cast<std::uint32_t>(i);
    }

    // Lanes of the numbers from `place` on that are kept: -1, else 0.
    M at(long place) const {
        U x = (lane_ + static_cast<std::uint32_t>(place)) * 0x9e3779b9u + row_;
        x = (x ^ (x >> 16)) * 0x7feb352du;
        x = (x ^ (x >> 15)) * 0x846ca68bu;
        x = (x ^ (x >> 16)) >> 1;
        return reinterpret_cast<M>(x) >= dropped_;
    }
    float scale() const { return scale_; }

private:
    std::int32_t dropped_;
    float scale_;
    std::uint32_t row_;
    U lane_;
};

constexpr long DROP_ROW = 1 << 16;

inline void drop(const DropJob& job) {
    for (long first = 0; first < job.count; first += DROP_ROW) {
        const Kept kept(job.dropped, job.seed, static_cast<std::uint64_t>(first / DROP_ROW));
        const long last = job.count < first + DROP_ROW ? job.count : first + DROP_ROW;
        long i = first;
        for (; i + VL <= last; i += VL) store(job.y + i, select(kept.at(i - first), load(job.x + i) * kept.scale(), V{}));
        if (i == last) continue;
        const M stays = kept.at(i - first);
        for (int lane = 0; i < last; ++i, ++lane) job.y[i] = stays[lane] ? job.x[i] * kept.scale() : 0.0f;
    }
}

}  // namespace recurra::RECURRA_ISA::spans
