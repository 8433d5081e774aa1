// The rows of a batch in the order of their lengths, and how many are real at each step.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace recurra {

struct Rows {
    std::vector<int> rank, active;
    std::vector<long> token;

    // lengths: N numbers, or null if all are T. Rows of equal length keep their order.
    Rows(long T, long N, const std::int64_t* lengths) : rank(N), active(T), token(T + 1) {
        std::vector<long> place(T + 2);  // how many rows are longer than t - 1
        for (long n = 0; n < N; ++n) {
            const std::int64_t length = lengths ? lengths[n] : T;
            if (length < 0 || length > T)
                throw std::invalid_argument("lengths[" + std::to_string(n) + "] is " + std::to_string(length) +
                                            ", expected 0 to " + std::to_string(T) + ", the number of time steps.");
            ++place[length];
        }
        long longer = 0;
        for (long t = T; t >= 0; --t) {
            const long here = place[t];
            place[t] = longer;
            longer += here;
            if (t > 0) active[t - 1] = static_cast<int>(longer);
        }
        for (long n = 0; n < N; ++n) rank[place[lengths ? lengths[n] : T]++] = static_cast<int>(n);
        for (long t = 0; t < T; ++t) token[t + 1] = token[t] + active[t];
    }
};

}  // namespace recurra
