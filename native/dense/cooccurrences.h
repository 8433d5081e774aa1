// How often words stand together, counted with bounded memory: what is more than fits goes to files, sorted, and the files
// are merged. What comes out is the same for any bound.
//
// A weight 1/d is counted as the nearest multiple of 2^-32, so that sums are whole numbers, whose order does not matter.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "glove_job.h"

namespace recurra {

// A file without a name, of records that are written once and read once.
template <typename Record>
class Run {
public:
    Run(const std::string& folder, const std::vector<Record>& records) : left_(records.size()) {
        std::string name = folder + "/recurraXXXXXX";
        const int descriptor = mkstemp(name.data());
        if (descriptor < 0) throw std::runtime_error(std::strerror(errno));
        unlink(name.c_str());
        file_.reset(fdopen(descriptor, "w+b"));
        if (!file_) close(descriptor);
        if (!file_ || std::fwrite(records.data(), sizeof(Record), records.size(), file_.get()) != records.size() ||
            std::fflush(file_.get()))
            throw std::runtime_error(std::strerror(errno));
        std::rewind(file_.get());
    }

    bool next(Record& record) {
        if (at_ == buffer_.size()) {
            if (!left_) return false;
            buffer_.resize(std::min<std::size_t>(left_, BUFFERED));
            if (std::fread(buffer_.data(), sizeof(Record), buffer_.size(), file_.get()) != buffer_.size())
                throw std::runtime_error(std::strerror(errno));
            left_ -= buffer_.size(), at_ = 0;
        }
        record = buffer_[at_++];
        return true;
    }

private:
    struct Closed {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    static constexpr std::size_t BUFFERED = 1 << 14;
    std::unique_ptr<std::FILE, Closed> file_;
    std::vector<Record> buffer_;
    std::size_t left_, at_ = 0;
};

// Records in order. A Record has `<`, and `take`, which adds an equal one, or refuses.
template <typename Record>
class Sorter {
public:
    // most: records in memory
    Sorter(std::string folder, std::size_t most) : folder_(std::move(folder)), most_(std::max<std::size_t>(most, 2)) {
        held_.reserve(most_);  // takes no memory before it is written to
    }

    void add(const Record& record) {
        if (held_.size() == most_) {
            sort();
            if (held_.size() > most_ / 2) {
                runs_.push_back(std::make_unique<Run<Record>>(folder_, held_));
                held_.clear();
            }
        }
        held_.push_back(record);
    }

    // After the last record: how many there are in memory and in files.
    void finish() {
        sort();
        heads_.resize(runs_.size() + 1);
        for (std::size_t k = 0; k < heads_.size(); ++k)
            if (advance(k)) order_.push_back(k);
        std::make_heap(order_.begin(), order_.end(), Later{this});
    }

    bool next(Record& record) {
        if (!pop(record)) return false;
        for (Record more; !order_.empty() && record.take(heads_[order_.front()]);) pop(more);
        return true;
    }

    std::size_t runs() const { return runs_.size(); }

private:
    struct Later {
        Sorter* of;
        bool operator()(std::size_t a, std::size_t b) const {
            const auto &x = of->heads_[a], &y = of->heads_[b];
            return y < x || (!(x < y) && b < a);
        }
    };

    void sort() {
        std::sort(held_.begin(), held_.end());
        std::size_t kept = 0;
        for (std::size_t k = 0; k < held_.size(); ++k)
            if (!kept || !held_[kept - 1].take(held_[k])) held_[kept++] = held_[k];
        held_.resize(kept);
    }

    bool advance(std::size_t k) {
        if (k < runs_.size()) return runs_[k]->next(heads_[k]);
        if (at_ == held_.size()) return false;
        heads_[k] = held_[at_++];
        return true;
    }

    bool pop(Record& record) {
        if (order_.empty()) return false;
        std::pop_heap(order_.begin(), order_.end(), Later{this});
        const std::size_t k = order_.back();
        record = heads_[k];
        if (advance(k)) std::push_heap(order_.begin(), order_.end(), Later{this});
        else order_.pop_back();
        return true;
    }

    std::string folder_;
    std::size_t most_, at_ = 0;
    std::vector<Record> held_;
    std::vector<std::unique_ptr<Run<Record>>> runs_;
    std::vector<Record> heads_;
    std::vector<std::size_t> order_;
};

class Cooccurrences {
public:
    // tokens: how many there will be      memory: bytes
    Cooccurrences(std::string folder, long V, int window, bool symmetric, bool weighted, long tokens, std::size_t memory,
                  std::uint64_t seed)
        : folder_(std::move(folder)), V_(V), window_(window), symmetric_(symmetric), memory_(memory), seed_(seed),
          square_(side(V, memory)), dense_(static_cast<std::size_t>(square_ * square_)),
          sparse_(folder_, std::min((memory / 2 - std::min(memory / 2, dense_.size() * 8)) / sizeof(Sum),
                                    static_cast<std::size_t>(tokens) * static_cast<std::size_t>(window))) {
        for (int d = 1; d <= window; ++d)
            weights_.push_back(weighted ? ((std::uint64_t{1} << 32) + static_cast<std::uint64_t>(d) / 2) / static_cast<std::uint64_t>(d)
                                        : std::uint64_t{1} << 32);
    }

    // tokens: numbers of words, -1 between texts; a text may go on in the next piece.
    void add(const std::int32_t* tokens, long count) {
        for (long k = 0; k < count; ++k) {
            if (tokens[k] < 0) {
                before_.clear();
                continue;
            }
            const auto here = static_cast<long>(before_.size());
            for (int d = 1; d <= window_ && d <= here; ++d)
                together(tokens[k], before_[static_cast<std::size_t>(here - d)], weights_[static_cast<std::size_t>(d - 1)]);
            if (before_.size() > 4096) before_.erase(before_.begin(), before_.end() - window_);
            before_.push_back(tokens[k]);
        }
    }

    // All pairs that were seen, in an order that looks random, stratum by stratum.
    void finish() {
        sparse_.finish();
        const std::size_t most = memory_ / 2 / sizeof(Shuffled);
        shuffled_ = std::make_unique<Sorter<Shuffled>>(folder_, std::min(most, 2 * (seen_ + dense_.size())));
        for (Sum sum; sparse_.next(sum);)
            emit(static_cast<std::int32_t>(sum.key >> 32), static_cast<std::int32_t>(sum.key & 0xffffffffu), sum.count);
        for (long i = 0; i < square_; ++i)
            for (long j = 0; j < square_; ++j)
                if (const std::uint64_t count = dense_[static_cast<std::size_t>(i * square_ + j)])
                    emit(static_cast<std::int32_t>(i), static_cast<std::int32_t>(j), count);
        runs_ = sparse_.runs() + shuffled_->runs();
        dense_ = {};
        shuffled_->finish();
        has_next_ = shuffled_->next(next_);
    }

    // At most `most` pairs of one stratum, those of a part together. begins: (GLOVE_PARTS + 1,). 0 when all were read.
    long read(GlovePair* pairs, long most, std::int64_t* begins, double x_max, double alpha) {
        batch_.clear();
        const std::uint64_t stratum = next_.key >> STRATUM;
        while (has_next_ && static_cast<long>(batch_.size()) < most && next_.key >> STRATUM == stratum) {
            batch_.push_back(next_);
            has_next_ = shuffled_->next(next_);
        }
        std::fill(begins, begins + GLOVE_PARTS + 1, 0);
        for (const Shuffled& one : batch_) ++begins[one.row % GLOVE_PARTS + 1];
        for (int p = 0; p < GLOVE_PARTS; ++p) begins[p + 1] += begins[p];
        std::int64_t at[GLOVE_PARTS];
        std::copy(begins, begins + GLOVE_PARTS, at);
        for (const Shuffled& one : batch_) {
            const double x = static_cast<double>(one.count) / 4294967296.0;
            const double weight = x < x_max ? std::pow(x / x_max, alpha) : 1.0;
            pairs[at[one.row % GLOVE_PARTS]++] = {one.row, one.column, static_cast<float>(std::log(x)),
                                                  static_cast<float>(weight)};
        }
        return static_cast<long>(batch_.size());
    }

    std::size_t runs() const { return runs_; }  // files that were needed

private:
    struct Sum {
        std::uint64_t key, count;
        bool operator<(const Sum& other) const { return key < other.key; }
        bool take(const Sum& other) {
            if (key != other.key) return false;
            count += other.count;
            return true;
        }
    };
    struct Shuffled {
        std::uint64_t key, count;
        std::int32_t row, column;
        bool operator<(const Shuffled& other) const {
            return key != other.key ? key < other.key : row != other.row ? row < other.row : column < other.column;
        }
        bool take(const Shuffled&) { return false; }
    };
    static constexpr int STRATUM = 61;  // bits below the number of a stratum
    static_assert(GLOVE_PARTS == 8);

    // Frequent words have low numbers: pairs of them are counted in a table, of a quarter of the memory at most.
    static long side(long V, std::size_t memory) {
        return std::min({V, 4096L, static_cast<long>(std::sqrt(static_cast<double>(memory) / 32.0))});
    }

    void together(std::int32_t word, std::int32_t left, std::uint64_t weight) {
        const std::int32_t row = symmetric_ ? std::min(word, left) : word, column = symmetric_ ? std::max(word, left) : left;
        if (row < square_ && column < square_) {
            dense_[static_cast<std::size_t>(row * square_ + column)] += weight;
        } else {
            ++seen_;
            sparse_.add({static_cast<std::uint64_t>(row) << 32 | static_cast<std::uint32_t>(column), weight});
        }
    }

    void emit(std::int32_t row, std::int32_t column, std::uint64_t count) {
        if (symmetric_ && row == column) count *= 2;
        shuffle(row, column, count);
        if (symmetric_ && row != column) shuffle(column, row, count);
    }

    // splitmix64 of a pair: different pairs have different numbers (before the lowest bits are left out).
    void shuffle(std::int32_t row, std::int32_t column, std::uint64_t count) {
        std::uint64_t z = (static_cast<std::uint64_t>(row) << 32 | static_cast<std::uint32_t>(column)) + seed_;
        for (const std::uint64_t by : {0xbf58476d1ce4e5b9u, 0x94d049bb133111ebu}) z = (z ^ (z >> 30)) * by;
        z ^= z >> 31;
        const auto stratum = static_cast<std::uint64_t>((column + GLOVE_PARTS - row % GLOVE_PARTS) % GLOVE_PARTS);
        shuffled_->add({stratum << STRATUM | z >> (64 - STRATUM), count, row, column});
    }

    std::string folder_;
    long V_;
    int window_;
    bool symmetric_;
    std::size_t memory_;
    std::uint64_t seed_;
    long square_;
    std::vector<std::uint64_t> dense_, weights_;
    Sorter<Sum> sparse_;
    std::unique_ptr<Sorter<Shuffled>> shuffled_;
    std::vector<std::int32_t> before_;
    std::vector<Shuffled> batch_;
    Shuffled next_{};
    bool has_next_ = false;
    std::size_t seen_ = 0, runs_ = 0;
};

}  // namespace recurra
