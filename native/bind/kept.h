// The packed form of weights, kept from call to call for as long as they are the same.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <utility>
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
        for (int k = 0; k < JOB_PARAMETERS; ++k) {
            if (!job.parameters[k]) continue;
            starts_[k] = static_cast<long>(sums_.size());
            add(kernel.checksum(), job.parameters[k], kernel.rows(job, k) * kernel.columns(job, k) * kernel.bytes(job, k));
            if (job.scales[k]) add(kernel.checksum(), job.scales[k], kernel.rows(job, k) * 4);
        }
    }

    bool same(const Met& other) const {
        return engine_ == other.engine_ && plan_ == other.plan_ && sizes_ == other.sizes_ && starts_ == other.starts_ &&
               sums_ == other.sums_;
    }

    void pack(const Job& job) {
        packed_.emplace(Memory::exactly(static_cast<std::size_t>(engine_->weight_bytes(job))));
        Job packing = job;
        packing.weights = packed_->at();
        engine_->pack(packing);
    }

    char* packed() const { return packed_ ? packed_->at() : nullptr; }
    std::size_t bytes() const { return packed_ ? packed_->bytes() : 0; }

private:
    const Engine* engine_;
    const void* plan_;
    std::array<long, 4> sizes_;
    std::array<long, JOB_PARAMETERS> starts_{-1, -1, -1, -1, -1, -1, -1};  // -1: not there
    std::vector<std::uint64_t> sums_;
    std::optional<Memory> packed_;

    void add(const ChecksumEngine& engine, const float* memory, long bytes) {
        const auto before = static_cast<long>(sums_.size());
        sums_.resize(before + checksums_of(bytes));
        engine.checksums(memory, bytes, checksum_keys().data(), sums_.data() + before);
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

// The job's weights, packed if they are those of the call before. Weights that change from call to call, as in training,
// are only summed up, and no memory is held for them.
inline LastMet meet(const LastMet& last, const Kernel& kernel, const Job& job) {
    auto now = std::make_shared<Met>(kernel, job);
    if (!last || !last->same(*now)) return now;
    if (last->packed()) return last;
    now->pack(job);
    // Another thread may have written to the weights while they were packed.
    return now->same(Met(kernel, job)) ? now : nullptr;
}

// The same, packed at the first meeting: for who takes many steps with them. Null where another thread writes to them meanwhile.
inline LastMet meet_packed(const LastMet& last, const Kernel& kernel, const Job& job) {
    const auto now = std::make_shared<Met>(kernel, job);
    if (last && last->packed() && last->same(*now)) return last;
    now->pack(job);
    return now->same(Met(kernel, job)) ? now : nullptr;
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
