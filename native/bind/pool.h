// Memory that calls use and give back, so that a training step asks the system for nothing.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace recurra {

// Keeps freed blocks for the next call. A fresh page costs a fault of 0.25 us or more, a training step touches thousands.
class Pool {
public:
    static Pool& get() {
        static Pool* pool = made();  // never destroyed: tapes may outlive the module at exit
        return *pool;
    }

    char* take(std::size_t bytes, std::size_t* got) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            std::size_t best = free_.size();
            for (std::size_t k = 0; k < free_.size(); ++k) {
                const bool fits = free_[k].bytes >= bytes && free_[k].bytes <= 2 * bytes + SMALL;
                if (fits && (best == free_.size() || free_[k].bytes < free_[best].bytes)) best = k;
            }
            if (best < free_.size()) {
                const Block found = free_[best];
                free_[best] = free_.back();
                free_.pop_back();
                held_ -= found.bytes;
                *got = found.bytes;
                return found.at;
            }
        }
        return take_exactly(bytes, got);
    }

    // Memory that stays for long: no more than asked for. What is left after the last whole huge page is in small ones.
    char* take_exactly(std::size_t bytes, std::size_t* got) {
        *got = rounded(bytes, PAGE);
        return fresh(*got);
    }

    void give_back(char* at, std::size_t bytes) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (held_ + bytes > MOST) {
            std::free(at);
            return;
        }
        free_.push_back({at, bytes});
        held_ += bytes;
    }

private:
    // A process may be forked while another thread is in here: the child must not wait for a thread that it does not have.
    static Pool* made() {
#if defined(__unix__) || defined(__APPLE__)
        pthread_atfork([] { get().mutex_.lock(); }, [] { get().mutex_.unlock(); }, [] { get().mutex_.unlock(); });
#endif
        return new Pool;
    }

    static std::size_t rounded(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

    static char* fresh(std::size_t bytes) {
        void* at = nullptr;
        if (posix_memalign(&at, bytes < HUGE_PAGE ? PAGE : HUGE_PAGE, bytes) != 0) throw std::bad_alloc();
#if defined(__linux__)
        if (bytes >= HUGE_PAGE) madvise(at, bytes, MADV_HUGEPAGE);  // advice only: failure changes nothing
#endif
        return static_cast<char*>(at);
    }

    struct Block {
        char* at;
        std::size_t bytes;
    };
    static constexpr std::size_t PAGE = 4096, HUGE_PAGE = 2u << 20, SMALL = 1u << 16, MOST = 1u << 30;
    std::mutex mutex_;
    std::vector<Block> free_;
    std::size_t held_ = 0;
};

// A piece of memory, given back when it goes out of scope.
class Memory {
public:
    explicit Memory(std::size_t bytes) : at_(bytes ? Pool::get().take(bytes, &bytes_) : nullptr) {}
    static Memory exactly(std::size_t bytes) {
        Memory made(0);
        made.at_ = Pool::get().take_exactly(bytes, &made.bytes_);
        return made;
    }
    Memory(Memory&& other) noexcept : bytes_(other.bytes_), at_(other.at_) { other.at_ = nullptr; }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    ~Memory() {
        if (at_) Pool::get().give_back(at_, bytes_);
    }
    char* at() const { return at_; }
    std::size_t bytes() const { return at_ ? bytes_ : 0; }

private:
    std::size_t bytes_ = 0;
    char* at_;
};

}  // namespace recurra
