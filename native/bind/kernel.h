// A cell's plan on one instruction set, and what calls of it share.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "../checksum_job.h"
#include "../recurrent/job.h"
#include "pool.h"
#include "processor.h"

namespace recurra {

using Address = std::uintptr_t;
using Addresses = std::vector<Address>;

template <typename T>
T* at(Address address) {
    return reinterpret_cast<T*>(address);
}

// Those that were compiled and that this processor runs, the widest first.
inline std::vector<const Engine*> engines() {
    std::vector<const Engine*> found;
    for (const Engine* e : {
#if defined(RECURRA_HAS_AVX512)
             &engine_avx512,
#endif
#if defined(RECURRA_HAS_AVX2)
             &engine_avx2,
#endif
#if defined(RECURRA_HAS_PORTABLE)
             &engine_portable,
#endif
         })
        if (processor_runs(e->isa)) found.push_back(e);
    return found;
}

inline const Engine& engine_of(const std::string& isa) {
    for (const Engine* e : engines())
        if (isa == e->isa) return *e;
    throw std::invalid_argument("this processor cannot run '" + isa + "'");
}

inline const ChecksumEngine& checksum_of(const std::string& isa) {
    for (const ChecksumEngine* e : {
#if defined(RECURRA_HAS_AVX512)
             &checksum_avx512,
#endif
#if defined(RECURRA_HAS_AVX2)
             &checksum_avx2,
#endif
#if defined(RECURRA_HAS_PORTABLE)
             &checksum_portable,
#endif
         })
        if (isa == e->isa) return *e;
    throw std::invalid_argument("no checksums for '" + isa + "'");
}

// OpenMP's threads do not survive a fork: in a child, one thread does the work. The bits are the same.
inline const pid_t loaded_in = getpid();
constexpr int MOST_THREADS = 64;

inline int usable(int threads) {
    return getpid() != loaded_in ? 1 : threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads;
}

// What the forward pass leaves for the backward pass. spent: whether that has written over it.
struct Tape {
    Memory memory;
    bool spent = false;
};

// plan: of a user's cell, else 0.
class Kernel {
public:
    Kernel(const std::string& isa, const std::string& cell, Address plan)
        : engine_(engine_of(isa)), checksum_(checksum_of(isa)),
          plan_(plan ? at<const void>(plan) : engine_.find(cell.c_str())) {
        if (!plan_) throw std::invalid_argument("no built-in kernel for '" + cell + "'");
        if (!engine_.fits(plan_)) throw std::invalid_argument(cell + ": made for another version of recurra");
        engine_.describe(plan_, &states_, widths_, gates_);
    }
    const Engine& engine() const { return engine_; }
    const ChecksumEngine& checksum() const { return checksum_; }
    const void* plan() const { return plan_; }
    int states() const { return states_; }

    // Of state i.
    long width(const Job& job, int i) const { return widths_[i] ? job.P : job.H; }

    // Rows and columns of parameter k, where it is there. Vectors have one column.
    long rows(const Job& job, int k) const { return gates_[k] * (k == 4 ? job.P : job.H); }
    long columns(const Job& job, int k) const { return k == 0 ? job.I : k == 1 ? width(job, 0) : k == 4 ? job.H : 1; }
    long bytes(const Job& job, int k) const { return is_matrix(k) ? bytes_of(job.precision) : 4; }  // of a number
    static bool is_matrix(int k) { return k == 0 || k == 1 || k == 4; }

private:
    const Engine& engine_;
    const ChecksumEngine& checksum_;
    const void* plan_;
    int states_, widths_[JOB_STATES], gates_[JOB_PARAMETERS];
};

}  // namespace recurra
