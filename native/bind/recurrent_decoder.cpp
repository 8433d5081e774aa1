// A step of a recurrent decoder for Python, from tokens to log-probabilities, in one call: plain pointers in (the caller has checked
// types, sizes and contiguity).
#include "recurrent_decoder.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../dense/source_step_job.h"
#include "packed.h"
#include "stepper.h"

namespace nb = nanobind;
using namespace recurra;
using namespace nanobind::literals;

namespace {

using Numbers = std::vector<long>;

const SourceStepEngine& source_engine_of(const std::string& isa) {
    const SourceStepEngine* engines[] = {
#if defined(RECURRA_HAS_AVX512)
        &source_step_avx512,
#endif
#if defined(RECURRA_HAS_AVX2)
        &source_step_avx2,
#endif
#if defined(RECURRA_HAS_PORTABLE)
        &source_step_portable,
#endif
    };
    for (const SourceStepEngine* e : engines)
        if (isa == e->isa && processor_runs(e->isa)) return *e;
    throw std::invalid_argument("this processor cannot run '" + isa + "'");
}

// When a step looks at the source, and what stands behind a token's vector.
enum Attends : int { NEVER, BEFORE, AFTER };
enum Feeds : int { NOTHING, CONTEXT, SUMMARY, LAST_READOUT };

// What a step reads and writes beside the states.
struct StepRows {
    long rows;
    int threads;
    const std::int64_t *tokens, *parents, *source;  // parents: which row before each comes from, or null
    const float *summary, *fed;                     // (N, M), and (rows before, D)
    Sources sources;
    std::int64_t* new_source;
    float* new_fed;  // (rows, D)
    long best;
    float* log_probs;
    std::int64_t* best_tokens;

    long parent(long n) const { return parents ? parents[n] : n; }
};

// A decoder's weights beside its cells, packed. The table is read where it is.
class RecurrentDecoderPlan {
public:
    // sizes: E, H, K, M, D, V. kinds: of scores, readout, `Attends` and `Feeds`. scale: of scores
    // addresses: table, weight and bias of the query's map (0: there is none), energy, weight and bias of the readout, of the output
    RecurrentDecoderPlan(const std::string& isa, const Numbers& sizes, const std::vector<int>& kinds, float scale, const Addresses& addresses)
        : sources_(source_engine_of(isa)), dense_(transformer_engine_of(isa)), E_(sizes.at(0)), H_(sizes.at(1)), M_(sizes.at(3)), D_(sizes.at(4)),
          V_(sizes.at(5)), attends_(static_cast<Attends>(kinds.at(2))), feeds_(static_cast<Feeds>(kinds.at(3))), table_(at<const float>(addresses.at(0))),
          output_(dense_, linear_at(addresses, 6, D_, V_)) {
        look_.score = kinds.at(0), look_.scale = scale, look_.size = H_;
        look_.sources.K = sizes.at(2), look_.sources.M = M_;
        read_.kind = kinds.at(1), read_.H = H_, read_.E = E_, read_.M = M_, read_.D = D_;
        std::vector<Linear*> maps{&output_.map()};
        if (addresses.at(1)) look_.query = linear_at(addresses, 1, H_, sizes.at(2)), maps.push_back(&look_.query);
        if (read_.kind != STATE_READOUT) {
            const bool tanh = read_.kind == TANH_READOUT;
            read_.joint = linear_at(addresses, 4, H_ + M_ + (tanh ? 0 : E_), tanh ? D_ : 2 * D_), maps.push_back(&read_.joint);
        }
        if (const auto* energy = at<const float>(addresses.at(3))) energy_.assign(energy, energy + sizes.at(2));
        look_.energy = energy_.empty() ? nullptr : energy_.data();
        pack(dense_, maps, memory_);
    }

    // sizes: rows, threads, best, T, rows before. addresses: tokens, parents, source, summary, fed, keys, values, lengths, raised, then what is
    // written: source, readout, log_probs, tokens that are best. states, made: of each layer, (rows before, width) and (rows, width)
    void step(const std::vector<Stepper*>& layers, const Numbers& sizes, const Addresses& addresses, const std::vector<Addresses>& states,
              const std::vector<Addresses>& made) const {
        StepRows step{sizes.at(0), usable(static_cast<int>(sizes.at(1))), at<const std::int64_t>(addresses.at(0)), at<const std::int64_t>(addresses.at(1)),
                      at<const std::int64_t>(addresses.at(2)), at<const float>(addresses.at(3)), at<const float>(addresses.at(4)),
                      {at<const float>(addresses.at(5)), at<const float>(addresses.at(6)), at<const std::int64_t>(addresses.at(7)),
                       at<const std::uint8_t>(addresses.at(8)), sizes.at(3), look_.sources.K, M_},
                      at<std::int64_t>(addresses.at(9)), at<float>(addresses.at(10)), sizes.at(2), at<float>(addresses.at(11)),
                      at<std::int64_t>(addresses.at(12))};
        for (long b = 0; b < step.rows; ++b)
            if (step.tokens[b] < 0 || step.tokens[b] >= V_)
                throw std::out_of_range("decoding: token " + std::to_string(step.tokens[b]) + " is not one of the " + std::to_string(V_) +
                                        " of the vocabulary.");
        for (long b = 0; step.parents && b < step.rows; ++b)
            if (step.parents[b] < 0 || step.parents[b] >= sizes.at(4))
                throw std::out_of_range("decoding: row " + std::to_string(step.parents[b]) + " is not one of " + std::to_string(sizes.at(4)) + ".");
        if (layers.empty() || layers.size() != states.size() || layers.size() != made.size()) throw std::invalid_argument("states for each layer");
        if (layers.front()->inputs() != E_ + fed() || layers.back()->width(0) != H_)
            throw std::invalid_argument("decoding: layers from " + std::to_string(layers.front()->inputs()) + " to " + std::to_string(layers.back()->width(0)) +
                                        " numbers, expected from " + std::to_string(E_ + fed()) + " to " + std::to_string(H_) + ".");
        std::vector<std::shared_ptr<const Rows>> rows;
        for (Stepper* layer : layers) rows.push_back(layer->rows_of(step.rows));
        const nb::gil_scoped_release other_threads;
        run(layers, rows, step, states, made);
    }

    // Keys (N, T, K) as the plan reads them, and (N,) bytes: which they are.
    void raise(const Numbers& sizes, Address keys, Address lengths, Address to, Address raised) const {
        const nb::gil_scoped_release other_threads;
        sources_.raise(at<const float>(keys), at<const std::int64_t>(lengths), sizes.at(0), sizes.at(1), sizes.at(2), at<float>(to),
                       at<std::uint8_t>(raised));
    }

    std::size_t bytes() const { return memory_->bytes(); }

private:
    const SourceStepEngine& sources_;
    const TransformerEngine& dense_;
    const long E_, H_, M_, D_, V_;
    const Attends attends_;
    const Feeds feeds_;
    const float* const table_;
    Output output_;
    std::vector<float> energy_;
    LookJob look_{};
    ReadJob read_{};
    std::optional<Memory> memory_;

    // Numbers behind a token's vector.
    long fed() const { return feeds_ == NOTHING ? 0 : feeds_ == LAST_READOUT ? D_ : M_; }

    void run(const std::vector<Stepper*>& layers, const std::vector<std::shared_ptr<const Rows>>& rows, const StepRows& step,
             const std::vector<Addresses>& states, const std::vector<Addresses>& made) const {
        const long I = layers[0]->inputs(), B = step.rows;
        for (long b = 0; b < B; ++b) step.new_source[b] = step.source[step.parent(b)];
        std::vector<Memory> moved;
        std::vector<Addresses> old = states;
        for (std::size_t k = 0; step.parents && k < layers.size(); ++k) move(*layers[k], step, old[k], moved);

        const Memory input(static_cast<std::size_t>(B * I) * 4), seen(static_cast<std::size_t>(attends_ == AFTER ? B * M_ : 0) * 4);
        auto* const x = reinterpret_cast<float*>(input.at());
        embed(step, I, x);
        if (attends_ == BEFORE) look(step, at<const float>(old.back().at(0)), x + E_, I);
        Address given = reinterpret_cast<Address>(x);
        for (std::size_t k = 0; k < layers.size(); ++k) {
            layers[k]->run(*rows[k], B, step.threads, given, old[k], made[k]);
            given = made[k].at(0);
        }
        const auto* h = at<const float>(given);
        auto* const contexts = attends_ == AFTER ? reinterpret_cast<float*>(seen.at()) : x + E_;
        const long context_row = attends_ == AFTER ? M_ : I;
        if (attends_ == AFTER) look(step, h, contexts, context_row);
        if (read_.kind != STATE_READOUT) h = read(step, h, x, I, contexts, context_row);
        output_.tell(B, step.threads, h, step.best, step.log_probs, step.best_tokens);
    }

    // The states of each row's parent, in the row's place.
    static void move(const Stepper& layer, const StepRows& step, Addresses& states, std::vector<Memory>& moved) {
        for (std::size_t i = 0; i < states.size(); ++i) {
            const long width = layer.width(static_cast<int>(i));
            moved.emplace_back(static_cast<std::size_t>(step.rows * width) * 4);
            auto* const to = reinterpret_cast<float*>(moved.back().at());
            const auto* const from = at<const float>(states[i]);
            for (long b = 0; b < step.rows; ++b) std::memcpy(to + b * width, from + step.parent(b) * width, static_cast<std::size_t>(width) * 4);
            states[i] = reinterpret_cast<Address>(to);
        }
    }

    // Tokens' vectors, and behind them what is known before the step.
    void embed(const StepRows& step, long I, float* x) const {
        for (long b = 0; b < step.rows; ++b) {
            float* const to = x + b * I;
            std::memcpy(to, table_ + step.tokens[b] * E_, static_cast<std::size_t>(E_) * 4);
            if (feeds_ == SUMMARY) std::memcpy(to + E_, step.summary + step.new_source[b] * M_, static_cast<std::size_t>(M_) * 4);
            if (feeds_ == LAST_READOUT) std::memcpy(to + E_, step.fed + step.parent(b) * D_, static_cast<std::size_t>(D_) * 4);
        }
    }

    void look(const StepRows& step, const float* queries, float* contexts, long context_row) const {
        LookJob job = look_;
        job.sources = step.sources, job.threads = step.threads, job.rows = step.rows;
        job.states = queries, job.source = step.new_source, job.contexts = contexts, job.context_row = context_row;
        const Memory scratch(static_cast<std::size_t>(sources_.look_bytes(job)));
        job.scratch = scratch.at();
        sources_.look(job);
    }

    const float* read(const StepRows& step, const float* h, const float* x, long x_row, const float* contexts, long context_row) const {
        ReadJob job = read_;
        job.threads = step.threads, job.rows = step.rows, job.h = h, job.x = x, job.x_row = x_row;
        job.contexts = contexts, job.context_row = context_row, job.to = step.new_fed;
        const Memory scratch(static_cast<std::size_t>(sources_.read_bytes(job)));
        job.scratch = scratch.at();
        sources_.read(job);
        return job.to;
    }
};

}  // namespace

void bind_recurrent_decoder(nb::module_& m) {
    nb::class_<RecurrentDecoderPlan>(m, "RecurrentDecoderPlan")
        .def(nb::init<const std::string&, const Numbers&, const std::vector<int>&, float, const Addresses&>(), "isa"_a, "sizes"_a, "kinds"_a, "scale"_a,
             "addresses"_a)
        .def_prop_ro("nbytes", &RecurrentDecoderPlan::bytes)
        .def("raise_keys", &RecurrentDecoderPlan::raise, "sizes"_a, "keys"_a, "lengths"_a, "to"_a, "raised"_a)
        .def("step", &RecurrentDecoderPlan::step, "layers"_a, "sizes"_a, "addresses"_a, "states"_a, "made"_a);
}
