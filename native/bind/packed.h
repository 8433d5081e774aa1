// Linear maps whose weights are packed, for plans of steps.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "../dense/transformer_job.h"
#include "kernel.h"

namespace recurra {

inline const TransformerEngine& transformer_engine_of(const std::string& isa) {
    const TransformerEngine* engines[] = {
#if defined(RECURRA_HAS_AVX512)
        &transformer_avx512,
#endif
#if defined(RECURRA_HAS_AVX2)
        &transformer_avx2,
#endif
#if defined(RECURRA_HAS_PORTABLE)
        &transformer_portable,
#endif
    };
    for (const TransformerEngine* e : engines)
        if (isa == e->isa && processor_runs(e->isa)) return *e;
    throw std::invalid_argument("this processor cannot run '" + isa + "'");
}

// addresses: of the weight at k, of the bias behind it.
inline Linear linear_at(const Addresses& addresses, std::size_t k, long inputs, long outputs) {
    return {at<const float>(addresses.at(k)), at<const float>(addresses.at(k + 1)), inputs, outputs, nullptr, nullptr};
}

// Packs weights, which are not read again where they lie.
inline void pack(const TransformerEngine& engine, const std::vector<Linear*>& all, std::optional<Memory>& memory) {
    std::size_t bytes = 0;
    for (const Linear* one : all) bytes += engine.packed_bytes(*one);
    memory.emplace(bytes);  // of the pool, since the next search wants as much
    char* to = memory->at();
    for (Linear* one : all) {
        engine.pack(*one, to);
        to += engine.packed_bytes(*one);
        one->weight = one->bias = nullptr;
    }
}

// A linear layer to a vocabulary, for rows that stand in memory: a decoder without layers.
class Output {
public:
    Output(const TransformerEngine& engine, const Linear& map) : engine_(engine), place_(static_cast<std::size_t>(map.inputs)) {
        job_.d = map.inputs, job_.heads = 1, job_.vocabulary = map.outputs, job_.scale = 1.0f;
        job_.output = map;
    }

    // To be packed before it tells anything.
    Linear& map() { return job_.output; }

    // Log-probabilities of rows x (rows, D): all, or the `best` greatest and whose they are.
    void tell(long rows, int threads, const float* x, long best, float* log_probs, std::int64_t* tokens) const {
        DecoderJob job = job_;
        job.rows = rows, job.threads = threads, job.best = best;
        job.table = x, job.log_probs = log_probs, job.best_tokens = tokens;
        // Row n reads vector n; nothing is added to it, and there is no source.
        std::vector<std::int64_t> numbers(static_cast<std::size_t>(rows)), source(static_cast<std::size_t>(rows));
        for (std::size_t n = 0; n < numbers.size(); ++n) numbers[n] = static_cast<std::int64_t>(n);
        const std::int64_t places[2]{};
        job.tokens = numbers.data(), job.source = source.data(), job.places = places, job.place = place_.data();
        const Memory scratch(static_cast<std::size_t>(engine_.step_bytes(job)));
        job.scratch = scratch.at();
        engine_.step(job);
    }

private:
    const TransformerEngine& engine_;
    std::vector<float> place_;  // zeros
    DecoderJob job_{};
};

}  // namespace recurra
