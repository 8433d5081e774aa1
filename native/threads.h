// Threads of one call, and the barrier between them.
#pragma once

#include <omp.h>
#include <sched.h>

#include "simd/vector.h"

namespace recurra::RECURRA_ISA {

// A spinning barrier: a step of a small layer takes a few microseconds, less than a sleep and a wake. Where a core is
// shared with other programs, spinning gives way after a while.
class Barrier {
public:
    void expect(int threads) { threads_ = threads; }

    void wait() {
        if (threads_ == 1) return;
        const int round = __atomic_load_n(&round_, __ATOMIC_ACQUIRE);
        if (__atomic_add_fetch(&arrived_, 1, __ATOMIC_ACQ_REL) == threads_) {
            __atomic_store_n(&arrived_, 0, __ATOMIC_RELAXED);
            __atomic_store_n(&round_, round + 1, __ATOMIC_RELEASE);
            return;
        }
        for (long spins = 0; __atomic_load_n(&round_, __ATOMIC_ACQUIRE) == round; ++spins) {
            if (spins < 20000)
#if defined(__x86_64__)
                __builtin_ia32_pause();
#else
                ;
#endif
            else
                sched_yield();
        }
    }

private:
    int threads_ = 1;
    alignas(64) int arrived_ = 0;
    alignas(64) int round_ = 0;
};

// Runs work(thread, threads, barrier) in each thread of a team. OpenMP may give fewer threads than asked for, so the
// barrier and every division of work follow the team's real size.
template <typename Work>
void parallel(int threads, const Work& work) {
    Barrier barrier;
    if (threads == 1) return work(0, 1, barrier);
#pragma omp parallel num_threads(threads)
    {
#pragma omp single
        barrier.expect(omp_get_num_threads());  // all wait here for the one
        work(omp_get_thread_num(), omp_get_num_threads(), barrier);
    }
}

}  // namespace recurra::RECURRA_ISA
