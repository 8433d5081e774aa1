// The packed form of weights, kept from call to call for as long as they are the same.
#pragma once

#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "kernel.h"

namespace recurra {

using ChecksumKeys = std::array<std::uint32_t, CHECKSUM_KEYS>;

// Random numbers of this process, filled when the module is loaded.
inline ChecksumKeys& checksum_keys() {
    static ChecksumKeys keys;
    return keys;
}

// Weights that a call has met: what they are known by, and their packed form if they were met before.
class Met {
public:
    Met(const Kernel& kernel, const Job& job)
        : engine_(&kernel.engine()), plan_(job.plan), sizes_{job.I, job.H, job.P, job.precision} {
        for_parts(kernel, job, [&](const void* memory, long bytes, int k) {
            if (starts_[k] < 0) starts_[k] = static_cast<long>(sums_.size());
            const std::size_t before = sums_.size();
            sums_.resize(before + static_cast<std::size_t>(checksums_of(bytes)));
            kernel.checksum().checksums(memory, bytes, checksum_keys().data(), sums_.data() + before);
        });
    }

    // Whether they are those of a call. Sums are compared as they are made, so that nothing is kept of them.
    bool are(const Kernel& kernel, const Job& job) const {
        if (engine_ != &kernel.engine() || plan_ != job.plan || sizes_ != Sizes{job.I, job.H, job.P, job.precision}) return false;
        for (int k = 0; k < JOB_PARAMETERS; ++k)
            if ((starts_[k] < 0) != !job.parameters[k]) return false;
        std::size_t at = 0;
        bool same = true;
        for_parts(kernel, job, [&](const void* memory, long bytes, int) {
            const auto* from = static_cast<const char*>(memory);
            for (; bytes > 0 && same; bytes -= MOST_BYTES, from += MOST_BYTES) {
                std::uint64_t found[checksums_of(MOST_BYTES)];
                const long part = bytes < MOST_BYTES ? bytes : MOST_BYTES;
                const auto count = static_cast<std::size_t>(checksums_of(part));
                kernel.checksum().checksums(from, part, checksum_keys().data(), found);
                same = at + count <= sums_.size() && std::memcmp(found, sums_.data() + at, count * sizeof *found) == 0;
                at += count;
            }
        });
        return same && at == sums_.size();
    }

    void pack(const Job& job, long recurrent_numbers) {
        packed_.emplace(Memory::exactly(static_cast<std::size_t>(engine_->weight_bytes(job))));
        Job packing = job;
        packing.weights = packed_->at();
        engine_->pack(packing);
        passes_zeros_ = job.precision == FLOAT32;
        for (long k = 0; k < recurrent_numbers && passes_zeros_; ++k) passes_zeros_ = std::isfinite(job.parameters[1][k]);
    }

    char* packed() const { return packed_ ? packed_->at() : nullptr; }
    // Whether zeros times the recurrent weights are zeros: 0 times infinity is NaN.
    bool passes_zeros() const { return passes_zeros_; }
    std::size_t bytes() const { return packed_ ? packed_->bytes() : 0; }

private:
    using Sizes = std::array<long, 4>;
    static constexpr long MOST_BYTES = 64 * 4 * CHECKED_AT_ONCE;  // whose sums are compared at once

    const Engine* engine_;
    const void* plan_;
    Sizes sizes_;
    std::array<long, JOB_PARAMETERS> starts_{-1, -1, -1, -1, -1, -1, -1};  // -1: not there
    std::vector<std::uint64_t> sums_;
    std::optional<Memory> packed_;
    bool passes_zeros_ = false;

    // Each parameter, and behind it its scales.
    template <typename Work>
    static void for_parts(const Kernel& kernel, const Job& job, const Work& work) {
        for (int k = 0; k < JOB_PARAMETERS; ++k) {
            if (!job.parameters[k]) continue;
            work(job.parameters[k], kernel.rows(job, k) * kernel.columns(job, k) * kernel.bytes(job, k), k);
            if (job.scales[k]) work(job.scales[k], kernel.rows(job, k) * 4, k);
        }
    }
};

// What was met last. Python's lock guards it, so that it is whole in a child that is forked meanwhile; a call without the
// lock has a copy of its own.
using LastMet = std::shared_ptr<const Met>;

// Above so many time steps of all rows, packing is less than 2 % of a call: nothing is kept for them. Numbers that are not
// float32 are packed one by one, and take less memory.
constexpr long MOST_TOKENS_KEPT = 512;
inline bool worth_keeping(const Job& job) {
    return !job.training && (job.T * job.N <= MOST_TOKENS_KEPT || job.precision != FLOAT32);
}

// The job's weights, packed at the first meeting: for who takes many steps with them. Null where another thread writes to them meanwhile.
inline LastMet meet_packed(const LastMet& last, const Kernel& kernel, const Job& job) {
    if (last && last->packed() && last->are(kernel, job)) return last;
    auto now = std::make_shared<Met>(kernel, job);
    now->pack(job, kernel.rows(job, 1) * kernel.columns(job, 1));
    return now->are(kernel, job) ? now : nullptr;
}

// The job's weights, packed if they are those of the call before. Weights that change from call to call, as in training,
// are only summed up, and no memory is held for them.
inline LastMet meet(const LastMet& last, const Kernel& kernel, const Job& job) {
    if (!last || !last->are(kernel, job)) return std::make_shared<Met>(kernel, job);
    return last->packed() ? last : meet_packed(nullptr, kernel, job);
}

// For one call: weights in memory that goes with it, or kept.
class WeightsOfCall {
public:
    WeightsOfCall(const Engine& engine, Job& job, const Met* kept)
        : own_(kept && kept->packed() ? 0 : static_cast<std::size_t>(engine.weight_bytes(job))) {
        job.packed = kept && kept->packed();
        job.weights = job.packed ? kept->packed() : own_.at();
    }

private:
    Memory own_;
};

// For Python: one for each layer and direction.
struct Kept {
    LastMet last;
};

}  // namespace recurra
