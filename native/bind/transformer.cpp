// Layers of a Transformer for Python: plain pointers in (the caller has checked types, sizes and contiguity).
#include "transformer.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "packed.h"

namespace nb = nanobind;
using namespace recurra;
using namespace nanobind::literals;

namespace {

using Sizes = std::vector<long>;

Norm norm(const Addresses& addresses, std::size_t k, long kind, float eps) {
    return {static_cast<int>(kind), at<const float>(addresses.at(k)), at<const float>(addresses.at(k + 1)), eps};
}

// options: units of the feed-forward part, activation, gated, norm_first, kinds of the norms.
TransformerLayer layer_with(const Sizes& options) {
    TransformerLayer made{};
    made.activation = static_cast<int>(options.at(1)), made.gated = options.at(2), made.norm_first = options.at(3);
    return made;
}

void set_norms(TransformerLayer& layer, std::size_t count, const Addresses& addresses, std::size_t from, const Sizes& options,
               const std::vector<float>& eps) {
    for (std::size_t k = 0; k < count; ++k) layer.norms[k] = norm(addresses, from + 2 * k, options.at(4 + k), eps.at(k));
}

// addresses: weight and bias of projection, out, query, across, first, second and three norms.
TransformerLayer decoder_layer(long d, const Addresses& addresses, const Sizes& options, const std::vector<float>& eps) {
    TransformerLayer made = layer_with(options);
    made.projection = linear_at(addresses, 0, d, 3 * d);
    made.out = linear_at(addresses, 2, d, d);
    made.query = linear_at(addresses, 4, d, d);
    made.across = linear_at(addresses, 6, d, d);
    made.first = linear_at(addresses, 8, d, options.at(0) * (1 + made.gated));
    made.second = linear_at(addresses, 10, options.at(0), d);
    set_norms(made, 3, addresses, 12, options, eps);
    return made;
}

// addresses: weight and bias of projection, out, first, second and two norms.
TransformerLayer encoder_layer(long d, const Addresses& addresses, const Sizes& options, const std::vector<float>& eps) {
    TransformerLayer made = layer_with(options);
    made.projection = linear_at(addresses, 0, d, 3 * d);
    made.out = linear_at(addresses, 2, d, d);
    made.first = linear_at(addresses, 4, d, options.at(0) * (1 + made.gated));
    made.second = linear_at(addresses, 6, options.at(0), d);
    set_norms(made, 2, addresses, 8, options, eps);
    return made;
}

// Rows that write on by themselves, as `DecoderPlan::write_on` says.
class Writing {
public:
    Writing(const DecoderJob& job, long steps, std::int64_t end, const std::vector<std::int64_t>& never, std::int64_t* rows,
            const std::int64_t* left)
        : job_(job), all_(job.rows), size_(job.d / job.heads), steps_(steps), end_(end), never_(never), said_rows_(rows), left_(left),
          held_(const_cast<std::int64_t*>(job.held)), tokens_(job.tokens, job.tokens + job.rows), source_(job.source, job.source + job.rows),
          values_(static_cast<std::size_t>(job.rows * job.best)), best_(values_.size()) {
        for (long n = 0; n < all_; ++n) rows_.push_back(n);
    }

    // Steps that were made.
    long run(const TransformerEngine& engine) {
        const Memory scratch(static_cast<std::size_t>(longest_bytes(engine)));
        for (long made = 0; made < steps_;) {
            DecoderJob job = job_;
            job.rows = static_cast<long>(rows_.size()), job.step = job_.step + made;
            job.place += made * job_.d;
            if (job.turn) job.turn += made * size_;
            job.tokens = tokens_.data(), job.source = source_.data();
            job.log_probs = values_.data(), job.best_tokens = best_.data();
            job.scratch = scratch.at();
            engine.step(job);
            const bool sound = say(made++);
            leave(made);
            if (!sound || rows_.empty()) return made;
        }
        return steps_;
    }

    // Of those before the first step, the ones that have not closed.
    const std::vector<long>& rows() const { return rows_; }

private:
    const DecoderJob& job_;
    const long all_, size_, steps_;
    const std::int64_t end_;
    const std::vector<std::int64_t>& never_;
    std::int64_t* const said_rows_;
    const std::int64_t* const left_;
    std::int64_t* const held_;
    std::vector<long> rows_;
    std::vector<std::int64_t> tokens_, source_;
    std::vector<float> values_;
    std::vector<std::int64_t> best_;

    long longest_bytes(const TransformerEngine& engine) const {
        DecoderJob job = job_;
        job.step += steps_ - 1;
        return engine.step_bytes(job);
    }

    // Writes down what the rows say in a step; whether all of it are log-probabilities of something.
    bool say(long step) {
        const long rows = static_cast<long>(rows_.size()), from = step * all_;
        bool sound = true;
        for (long n = 0; n < rows; ++n) {
            const long k = first_said(best_.data() + n * job_.best);
            const float value = k < job_.best ? values_[n * job_.best + k] : -__builtin_inff();
            tokens_[n] = best_[n * job_.best + (k < job_.best ? k : 0)];
            sound = sound && value > -__builtin_inff();
            job_.log_probs[from + n] = value, job_.best_tokens[from + n] = tokens_[n], said_rows_[from + n] = rows_[n];
        }
        for (long n = rows; n < all_; ++n) said_rows_[from + n] = -1;
        return sound;
    }

    // Which of the best is the first that may be said.
    long first_said(const std::int64_t* best) const {
        long k = 0;
        while (k < job_.best && std::find(never_.begin(), never_.end(), best[k]) != never_.end()) ++k;
        return k;
    }

    // Rows that have closed leave; `held` gets the step that was made, and loses theirs.
    void leave(long made) {
        const long rows = static_cast<long>(rows_.size()), steps = job_.step + made;
        for (long n = 0; n < rows; ++n) held_[(steps - 1) * rows + n] = n;
        std::vector<long> stay;
        for (long n = 0; n < rows; ++n)
            if (tokens_[n] != end_ && made < left_[rows_[n]]) stay.push_back(n);
        const long count = static_cast<long>(stay.size());
        if (count == rows) return;
        for (long s = 0; s < steps; ++s)
            for (long n = 0; n < count; ++n) held_[s * count + n] = held_[s * rows + stay[n]];
        for (long n = 0; n < count; ++n) tokens_[n] = tokens_[stay[n]], source_[n] = source_[stay[n]], rows_[n] = rows_[stay[n]];
        rows_.resize(count);
    }
};

// A decoder whose weights are packed, for one step after another. The norms' numbers are read where they are.
class DecoderPlan {
public:
    // sizes: d, heads, vocabulary, kind of the last norm. ends: weight and bias of the output, and of that norm.
    DecoderPlan(const std::string& isa, const Sizes& sizes, const std::vector<Addresses>& layers, const std::vector<Sizes>& options,
                const std::vector<std::vector<float>>& eps, const Addresses& ends)
        : engine_(transformer_engine_of(isa)) {
        job_.d = sizes.at(0), job_.heads = sizes.at(1), job_.vocabulary = sizes.at(2);
        for (std::size_t k = 0; k < layers.size(); ++k) layers_.push_back(decoder_layer(job_.d, layers[k], options.at(k), eps.at(k)));
        job_.norm = norm(ends, 2, sizes.at(3), eps.at(layers.size()).at(0));
        job_.output = linear_at(ends, 0, job_.d, job_.vocabulary);
        job_.num_layers = static_cast<long>(layers_.size());
        std::vector<Linear*> all{&job_.output};
        for (TransformerLayer& layer : layers_)
            for (Linear* one : {&layer.projection, &layer.out, &layer.query, &layer.across, &layer.first, &layer.second}) all.push_back(one);
        pack(engine_, all, memory_);
    }

    // sizes: rows, step, room, threads, best. addresses: tokens, table, place, turn, held, source, places, log_probs, tokens that are
    // best, then of each layer keys, values, the source's keys and values.
    void step(const Sizes& sizes, float scale, const Addresses& addresses) const {
        DecoderJob job = begun(sizes, scale, addresses);
        const std::vector<Keys> keys = keys_at(addresses, 9);
        job.keys = keys.data();
        job.best = sizes.at(4);
        refuse_unknown(job);
        const nb::gil_scoped_release other_threads;
        const Memory scratch(static_cast<std::size_t>(engine_.step_bytes(job)));
        job.scratch = scratch.at();
        engine_.step(job);
    }

    // Step after step, each row's best token being the next that it reads; a row leaves behind its end, or its last step.
    // sizes: as of a step with 1 as best, then steps at most, the end. never: tokens that are not said. addresses: as of a step, but place
    // and turn of all these steps, held with room for them, log_probs (steps, rows) and tokens that are said (steps, rows); behind them
    // rows that say them (steps, rows), -1 behind the last, and how many steps each row may take (rows,).
    // Returns steps that were made, and the rows that have not closed: held is theirs then. Stops where a best is no number, or none.
    std::pair<long, std::vector<long>> write_on(const Sizes& sizes, float scale, const std::vector<std::int64_t>& never,
                                                const Addresses& addresses) const {
        DecoderJob job = begun(sizes, scale, addresses);
        const std::vector<Keys> keys = keys_at(addresses, 11);
        job.keys = keys.data();
        job.best = std::min<long>(1 + static_cast<long>(never.size()), job.vocabulary);
        refuse_unknown(job);
        const nb::gil_scoped_release other_threads;
        Writing writing(job, sizes.at(5), sizes.at(6), never, at<std::int64_t>(addresses.at(9)), at<const std::int64_t>(addresses.at(10)));
        return {writing.run(engine_), writing.rows()};
    }

    std::size_t bytes() const { return memory_->bytes(); }

private:
    const TransformerEngine& engine_;
    std::vector<TransformerLayer> layers_;
    std::optional<Memory> memory_;
    DecoderJob job_{};

    // What one step and many have alike.
    DecoderJob begun(const Sizes& sizes, float scale, const Addresses& addresses) const {
        DecoderJob job = job_;
        job.layers = layers_.data();
        job.rows = sizes.at(0), job.step = sizes.at(1), job.room = sizes.at(2), job.threads = usable(static_cast<int>(sizes.at(3)));
        job.scale = scale;
        job.tokens = at<const std::int64_t>(addresses.at(0)), job.table = at<const float>(addresses.at(1));
        job.place = at<const float>(addresses.at(2)), job.turn = at<const float>(addresses.at(3));
        job.held = at<const std::int64_t>(addresses.at(4)), job.source = at<const std::int64_t>(addresses.at(5));
        job.places = at<const std::int64_t>(addresses.at(6)), job.log_probs = at<float>(addresses.at(7));
        job.best_tokens = at<std::int64_t>(addresses.at(8));
        return job;
    }

    std::vector<Keys> keys_at(const Addresses& addresses, std::size_t from) const {
        std::vector<Keys> keys;
        for (std::size_t k = 0; k < layers_.size(); ++k, from += 4)
            keys.push_back({at<float>(addresses.at(from)), at<float>(addresses.at(from + 1)), at<const float>(addresses.at(from + 2)),
                            at<const float>(addresses.at(from + 3))});
        return keys;
    }

    static void refuse_unknown(const DecoderJob& job) {
        for (long b = 0; b < job.rows; ++b)
            if (job.tokens[b] < 0 || job.tokens[b] >= job.vocabulary)
                throw std::out_of_range("decoding: token " + std::to_string(job.tokens[b]) + " is not one of the " +
                                        std::to_string(job.vocabulary) + " of the vocabulary.");
    }
};

// A linear layer to a vocabulary, packed, for rows that stand in memory: a decoder without layers.
class OutputPlan {
public:
    // sizes: D, V. ends: weight and bias.
    OutputPlan(const std::string& isa, const Sizes& sizes, const Addresses& ends)
        : engine_(transformer_engine_of(isa)), output_(engine_, linear_at(ends, 0, sizes.at(0), sizes.at(1))) {
        pack(engine_, {&output_.map()}, memory_);
    }

    // sizes: rows, threads, best. addresses: x (rows, D), log_probs, tokens that are best.
    void step(const Sizes& sizes, const Addresses& addresses) const {
        const nb::gil_scoped_release other_threads;
        output_.tell(sizes.at(0), usable(static_cast<int>(sizes.at(1))), at<const float>(addresses.at(0)), sizes.at(2), at<float>(addresses.at(1)),
                     at<std::int64_t>(addresses.at(2)));
    }

    std::size_t bytes() const { return memory_->bytes(); }

private:
    const TransformerEngine& engine_;
    Output output_;
    std::optional<Memory> memory_;
};

// A causal encoder whose weights are packed, for one step after another. The norms' numbers are read where they are.
class EncoderPlan {
public:
    // sizes: d, heads, window, kind of the last norm. last: weight and bias of that norm.
    EncoderPlan(const std::string& isa, const Sizes& sizes, const std::vector<Addresses>& layers, const std::vector<Sizes>& options,
                const std::vector<std::vector<float>>& eps, const Addresses& last)
        : engine_(transformer_engine_of(isa)) {
        job_.d = sizes.at(0), job_.heads = sizes.at(1), job_.window = sizes.at(2);
        for (std::size_t k = 0; k < layers.size(); ++k) layers_.push_back(encoder_layer(job_.d, layers[k], options.at(k), eps.at(k)));
        job_.norm = norm(last, 0, sizes.at(3), eps.at(layers.size()).at(0));
        job_.num_layers = static_cast<long>(layers_.size());
        std::vector<Linear*> all;
        for (TransformerLayer& layer : layers_)
            for (Linear* one : {&layer.projection, &layer.out, &layer.first, &layer.second}) all.push_back(one);
        pack(engine_, all, memory_);
    }

    // sizes: rows, threads. addresses: x, seen, turns, then of each layer keys and values before, and those behind.
    void step(const Sizes& sizes, const Addresses& addresses) const {
        EncoderStepJob job = job_;
        job.layers = layers_.data();
        job.rows = sizes.at(0), job.threads = usable(static_cast<int>(sizes.at(1)));
        job.x = at<float>(addresses.at(0)), job.seen = at<const std::int64_t>(addresses.at(1)), job.turns = at<const float>(addresses.at(2));
        std::vector<KeptKeys> kept;
        for (std::size_t k = 3; k < 3 + 4 * layers_.size(); k += 4)
            kept.push_back({at<const float>(addresses.at(k)), at<const float>(addresses.at(k + 1)), at<float>(addresses.at(k + 2)),
                            at<float>(addresses.at(k + 3))});
        job.kept = kept.data();
        const nb::gil_scoped_release other_threads;
        const Memory scratch(static_cast<std::size_t>(engine_.encoder_step_bytes(job)));
        job.scratch = scratch.at();
        engine_.encoder_step(job);
    }

    std::size_t bytes() const { return memory_->bytes(); }

private:
    const TransformerEngine& engine_;
    std::vector<TransformerLayer> layers_;
    std::optional<Memory> memory_;
    EncoderStepJob job_{};
};

// sizes: rows, d, heads, sequences, causal, window, kind of the last norm, threads. addresses: x, spans, turns, steps, weight and bias
// of that norm. layers: as of a decoder, without attention to a source.
void encode(const std::string& isa, const Sizes& sizes, const std::vector<Addresses>& layers, const std::vector<Sizes>& options,
            const std::vector<std::vector<float>>& eps, const Addresses& addresses) {
    const TransformerEngine& engine = transformer_engine_of(isa);
    EncoderJob job{};
    job.rows = sizes.at(0), job.d = sizes.at(1), job.heads = sizes.at(2), job.sequences = sizes.at(3);
    job.causal = sizes.at(4), job.window = sizes.at(5), job.threads = usable(static_cast<int>(sizes.at(7)));
    job.x = at<float>(addresses.at(0)), job.spans = at<const Span>(addresses.at(1));
    job.turns = at<const float>(addresses.at(2)), job.steps = at<const std::int64_t>(addresses.at(3));
    job.norm = norm(addresses, 4, sizes.at(6), eps.at(layers.size()).at(0));
    std::vector<TransformerLayer> made;
    for (std::size_t k = 0; k < layers.size(); ++k) made.push_back(encoder_layer(job.d, layers[k], options.at(k), eps.at(k)));
    job.layers = made.data(), job.num_layers = static_cast<long>(made.size());
    const nb::gil_scoped_release other_threads;
    const Memory scratch(static_cast<std::size_t>(engine.encoder_bytes(job)));
    job.scratch = scratch.at();
    engine.encode(job);
}

// sizes: rows, units, function, gated, threads.
UnitsJob units_job(const Sizes& sizes, Address x) {
    UnitsJob job{};
    job.x = at<const float>(x);
    job.rows = sizes.at(0), job.units = sizes.at(1), job.function = static_cast<int>(sizes.at(2)), job.gated = sizes.at(3);
    job.threads = usable(static_cast<int>(sizes.at(4)));
    return job;
}

// addresses: x, y.
void units(const std::string& isa, const Sizes& sizes, const Addresses& addresses) {
    UnitsJob job = units_job(sizes, addresses.at(0));
    job.y = at<float>(addresses.at(1));
    const nb::gil_scoped_release other_threads;
    transformer_engine_of(isa).units(job);
}

// addresses: x, d_y, d_x.
void unit_gradients(const std::string& isa, const Sizes& sizes, const Addresses& addresses) {
    UnitsJob job = units_job(sizes, addresses.at(0));
    job.d_y = at<const float>(addresses.at(1)), job.d_x = at<float>(addresses.at(2));
    const nb::gil_scoped_release other_threads;
    transformer_engine_of(isa).unit_gradients(job);
}

}  // namespace

void bind_transformer(nb::module_& m) {
    nb::class_<DecoderPlan>(m, "DecoderPlan")
        .def(nb::init<const std::string&, const Sizes&, const std::vector<Addresses>&, const std::vector<Sizes>&,
                      const std::vector<std::vector<float>>&, const Addresses&>(),
             "isa"_a, "sizes"_a, "layers"_a, "options"_a, "eps"_a, "ends"_a)
        .def_prop_ro("nbytes", &DecoderPlan::bytes)
        .def("step", &DecoderPlan::step, "sizes"_a, "scale"_a, "addresses"_a)
        .def("write_on", &DecoderPlan::write_on, "sizes"_a, "scale"_a, "never"_a, "addresses"_a);
    nb::class_<OutputPlan>(m, "OutputPlan")
        .def(nb::init<const std::string&, const Sizes&, const Addresses&>(), "isa"_a, "sizes"_a, "ends"_a)
        .def_prop_ro("nbytes", &OutputPlan::bytes)
        .def("step", &OutputPlan::step, "sizes"_a, "addresses"_a);
    nb::class_<EncoderPlan>(m, "EncoderPlan")
        .def(nb::init<const std::string&, const Sizes&, const std::vector<Addresses>&, const std::vector<Sizes>&,
                      const std::vector<std::vector<float>>&, const Addresses&>(),
             "isa"_a, "sizes"_a, "layers"_a, "options"_a, "eps"_a, "last"_a)
        .def_prop_ro("nbytes", &EncoderPlan::bytes)
        .def("step", &EncoderPlan::step, "sizes"_a, "addresses"_a);
    m.def("units", &units, "isa"_a, "sizes"_a, "addresses"_a);
    m.def("unit_gradients", &unit_gradients, "isa"_a, "sizes"_a, "addresses"_a);
    m.def("encode", &encode, "isa"_a, "sizes"_a, "layers"_a, "options"_a, "eps"_a, "addresses"_a);
}
