// Layers of a Transformer for Python: plain pointers in (the caller has checked types, sizes and contiguity).
#include "transformer.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>
#include <string>
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
        DecoderJob job = job_;
        job.layers = layers_.data();
        job.rows = sizes.at(0), job.step = sizes.at(1), job.room = sizes.at(2), job.threads = usable(static_cast<int>(sizes.at(3)));
        job.scale = scale;
        job.tokens = at<const std::int64_t>(addresses.at(0)), job.table = at<const float>(addresses.at(1));
        job.place = at<const float>(addresses.at(2)), job.turn = at<const float>(addresses.at(3));
        job.held = at<const std::int64_t>(addresses.at(4)), job.source = at<const std::int64_t>(addresses.at(5));
        job.places = at<const std::int64_t>(addresses.at(6)), job.log_probs = at<float>(addresses.at(7));
        job.best = sizes.at(4), job.best_tokens = at<std::int64_t>(addresses.at(8));
        std::vector<Keys> keys;
        for (std::size_t k = 0; k < layers_.size(); ++k) {
            const std::size_t from = 9 + 4 * k;
            keys.push_back({at<float>(addresses.at(from)), at<float>(addresses.at(from + 1)), at<const float>(addresses.at(from + 2)),
                            at<const float>(addresses.at(from + 3))});
        }
        job.keys = keys.data();
        for (long b = 0; b < job.rows; ++b)
            if (job.tokens[b] < 0 || job.tokens[b] >= job.vocabulary)
                throw std::out_of_range("decoding: token " + std::to_string(job.tokens[b]) + " is not one of the " +
                                        std::to_string(job.vocabulary) + " of the vocabulary.");
        const nb::gil_scoped_release other_threads;
        const Memory scratch(static_cast<std::size_t>(engine_.step_bytes(job)));
        job.scratch = scratch.at();
        engine_.step(job);
    }

    std::size_t bytes() const { return memory_->bytes(); }

private:
    const TransformerEngine& engine_;
    std::vector<TransformerLayer> layers_;
    std::optional<Memory> memory_;
    DecoderJob job_{};
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

}  // namespace

void bind_transformer(nb::module_& m) {
    nb::class_<DecoderPlan>(m, "DecoderPlan")
        .def(nb::init<const std::string&, const Sizes&, const std::vector<Addresses>&, const std::vector<Sizes>&,
                      const std::vector<std::vector<float>>&, const Addresses&>(),
             "isa"_a, "sizes"_a, "layers"_a, "options"_a, "eps"_a, "ends"_a)
        .def_prop_ro("nbytes", &DecoderPlan::bytes)
        .def("step", &DecoderPlan::step, "sizes"_a, "scale"_a, "addresses"_a);
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
    m.def("encode", &encode, "isa"_a, "sizes"_a, "layers"_a, "options"_a, "eps"_a, "addresses"_a);
}
