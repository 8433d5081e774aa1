"""Sequence to sequence: the papers' decoders, steps against teacher forcing, padding, options, and learning."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.models_room import seq2seq
from models.seq2seq_room import COPIES, SOURCES, TARGETS, V, batch, log_probs, small
from oracles import decoder as oracle
from oracles.catalogue import ORACLES
from oracles.loop import Array
from recurra.base.contracts import Batch, Loss
from recurra.base.errors import ConfigError
from recurra.cells import CELLS
from recurra.lower import projects
from recurra.models import MODELS, EncoderDecoder
from recurra.nn import ATTENTIONS
from recurra.training import fit

COVERAGE = {"name": "additive", "coverage": True}
# One of each way through the decoder: all at once, one by one, with what is carried beside the states.
WAYS: list[dict[str, Any]] = [
    {"attention": "none"},
    {"attention": "none", "style": "cho"},
    {},
    {"style": "luong", "attention": "general"},
    {"style": "luong", "attention": "general", "input_feeding": True},
    {"attention": COVERAGE},
    {"attention": COVERAGE, "style": "luong"},
    {"copying": True},
    {"copying": True, "style": "luong", "input_feeding": True, "attention": COVERAGE},
    {"cell": "gru", "decoder_cell": "lstm", "decoder_layers": 3, "decoder_size": 5, "zoneout": 0.2},
    {"num_layers": 2, "decoder_layers": 1, "bridge": "mean", "readout": "tanh", "readout_size": 3},
    {"attention": "none", "bidirectional": False, "reverse_source": True, "bridge": "last"},
]
ways = pytest.mark.parametrize("options", WAYS, ids=str)


def batch_for(options: dict[str, Any], rows: slice = slice(None), padding: int = 0) -> Batch:
    return batch(SOURCES[rows], TARGETS[rows], COPIES[rows] if options.get("copying") else None, padding)


# -- against the papers ------------------------------------------------------------------------------------------------


def numpy_parameters(model: EncoderDecoder) -> dict[str, Any]:
    """The decoder's parameters by the papers' names, and the cell's by its oracle's."""
    names = {
        "embedding.weight": "E", "output.weight": "W_o", "output.bias": "b_o", "gate.weight": "w_gen",
        "gate.bias": "b_gen", "attention.score.query.weight": "W_a", "attention.score.key.weight": "U_a",
        "attention.score.key.bias": "b", "attention.score.energy.weight": "v_a",
        "attention.score.coverage.weight": "w_c",
    }  # fmt: skip
    state = {name: t.detach().numpy() for name, t in model.decoder.state_dict().items()}
    found: dict[str, Any] = {names[name]: a for name, a in state.items() if name in names}
    if model.decoder.style.readout == "tanh":
        found |= {"W_c": state["readout.joint.weight"], "W_a": found.pop("U_a")}
    elif "readout.joint.weight" in state:
        found |= {"W_t": state["readout.joint.weight"], "b_t": state["readout.joint.bias"]}
    for vector in ("v_a", "w_c", "w_gen"):
        if vector in found:
            found[vector] = found[vector].reshape(-1)
    cell = {n.split(".")[1].removesuffix("_l0"): a for n, a in state.items() if n.startswith("recurrent.")}
    return found | {"cell": ORACLES[model.decoder.recurrent.cell.name].unpack(cell)}


def said_by_the_oracle(
    model: EncoderDecoder, way: str, n: int, tokens: list[int], options: dict[str, Any]
) -> oracle.StepTokens:
    p, cell = numpy_parameters(model), ORACLES[model.decoder.recurrent.cell.name]
    alone = batch([SOURCES[n]], [tokens])
    encoded = model._encoded(alone)
    states = tuple(s[0].detach().numpy() for s in model.decoder.bridge(encoded)[0])
    H = encoded.outputs[:, 0].detach().numpy()
    if way == "sutskever":
        return oracle.sutskever(p, cell, tokens, states)
    if way == "cho":
        return oracle.cho(p, cell, tokens, encoded.summary[0].detach().numpy(), states)
    if way == "luong":
        return oracle.luong(p, cell, tokens, H, states, feeding=options.get("input_feeding", False))
    return oracle.bahdanau(p, cell, tokens, H, states, coverage=options.get("attention") == COVERAGE)


def softmaxed(logits: Array) -> Array:
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("way", "options"),
    [
        ("sutskever", {"attention": "none"}),
        ("cho", {"attention": "none", "style": "cho", "decoder_cell": "gru_reset_before"}),
        ("bahdanau", {"decoder_size": 6, "decoder_cell": "gru_reset_before", "readout_size": 3}),
        ("bahdanau", {"attention": COVERAGE}),
        ("luong", {"style": "luong", "attention": "general"}),
        ("luong", {"style": "luong", "attention": "general", "input_feeding": True, "decoder_size": 5}),
    ],
    ids=str,
)
def test_the_decoder_is_that_of_the_paper(way: str, options: dict[str, Any]) -> None:
    model = small(**options).double().eval()
    outputs = model(batch()).outputs
    probabilities = log_probs(outputs).exp().detach().numpy()
    for n in (0, 1, 3):
        tokens = [t if t < V else 1 for t in TARGETS[n]]
        said = said_by_the_oracle(model, way, n, tokens, options)
        S, T = len(tokens), len(SOURCES[n])
        np.testing.assert_allclose(probabilities[:S, n], softmaxed(said.logits), atol=1e-12)
        if way in ("bahdanau", "luong"):
            np.testing.assert_allclose(outputs["attention"][:S, n, :T].detach(), said.weights, atol=1e-12)
        if "coverage_loss" in outputs:
            np.testing.assert_allclose(outputs["coverage_loss"][:S, n].detach(), said.repeated, atol=1e-12)
            assert said.repeated[0] == 0 < said.repeated[1]


def test_the_pointer_is_that_of_the_paper() -> None:
    model = small(copying=True).double().eval()
    found = model(batch(copies=COPIES)).outputs
    assert set(found) == {"log_probs", "attention"}
    assert found["log_probs"].shape == (5, 4, V + 2)
    for n in (0, 1, 3):
        said = said_by_the_oracle(model, "bahdanau", n, [t if t < V else 1 for t in TARGETS[n]], {})
        expected = oracle.pointer(numpy_parameters(model), said, COPIES[n], V + 2)
        np.testing.assert_allclose(found["log_probs"][: len(expected), n].exp().detach(), expected, atol=1e-12)
    impossible = found["log_probs"][:3, 0, V + 1]  # the first source has no second word of its own
    assert torch.isfinite(impossible).all()
    assert (impossible < -500).all()


# -- steps, rows, padding ----------------------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize(
    ("sources", "targets"), [([], []), ([[], []], [[], []]), ([[5, 6], [7]], [[], []]), ([[], []], [[2, 4], []])]
)
def test_no_rows_no_steps_and_no_source_give_outputs_of_their_shape_and_finite_gradients(
    options: dict[str, Any], sources: list[list[int]], targets: list[list[int]]
) -> None:
    model = small(**options)
    given = batch(sources, targets, sources if options.get("copying") else None)
    found = model(replace(given, inputs={name: t.long() for name, t in given.inputs.items()})).outputs
    said = log_probs(found)
    assert said.shape[:2] == given.inputs["target"].shape
    said.sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()] == []


@ways
def test_step_after_step_is_teacher_forcing(options: dict[str, Any]) -> None:
    model, b = small(**options).eval(), batch_for(options)
    with torch.no_grad():
        expected = log_probs(model(b).outputs)
        state = model.start(b)
        for t, tokens in enumerate(b.inputs["target"]):
            found, state = model.step(tokens, state)
            real = b.inputs["target_lengths"] > t
            torch.testing.assert_close(found[real], expected[t, real], atol=1e-5, rtol=0)


@ways
def test_selected_rows_go_on_as_they_would_have(options: dict[str, Any]) -> None:
    """Dropped, repeated and reordered; and reordered within their sentence, where the memory stays where it is."""
    model, b = small(**options).eval(), batch_for(options)
    with torch.no_grad():
        _, state = model.step(b.inputs["target"][0], model.start(b))
        again = torch.tensor([5, 6, 7, 8])
        expected, _ = model.step(again, state)
        rows = torch.tensor([3, 0, 0, 1])
        moved = model.select(state, rows)
        found, moved = model.step(again[rows], moved)
        torch.testing.assert_close(found, expected[rows], atol=1e-6, rtol=0)
        swapped = model.select(moved, torch.tensor([0, 2, 1, 3]))
        assert swapped.memory is moved.memory
        one, _ = model.step(torch.tensor([4, 5, 6, 7]), moved)
        other, _ = model.step(torch.tensor([4, 6, 5, 7]), swapped)
        torch.testing.assert_close(other, one[[0, 2, 1, 3]], atol=1e-6, rtol=0)


@ways
def test_a_sentence_never_notices_its_neighbours_gradients_included(options: dict[str, Any]) -> None:
    """Together, with nonsense in the padding, against one at a time: outputs, and the sum of all gradients."""
    model = small(**options).double()
    model.eval()  # zoneout draws masks in training
    alone = copy.deepcopy(model)
    b = batch_for(options, padding=-7)
    together = model(b).outputs
    probabilities, total = log_probs(together), torch.zeros(()).double()
    for n, target in enumerate(TARGETS):
        S, T = len(target), len(SOURCES[n])
        total = total + probabilities[:S, n].gather(1, torch.tensor(target).unsqueeze(1).clamp(max=V - 1)).sum()
        one = alone(batch_for(options, slice(n, n + 1))).outputs
        single = log_probs(one)[:, 0]
        torch.testing.assert_close(single, probabilities[:S, n, : single.shape[1]], atol=1e-12, rtol=0)
        if "attention" in one:
            torch.testing.assert_close(one["attention"][:, 0], together["attention"][:S, n, :T], atol=1e-12, rtol=0)
        single.gather(1, torch.tensor(target).unsqueeze(1).clamp(max=V - 1)).sum().backward()
    total.backward()
    for (name, p), q in zip(model.named_parameters(), alone.parameters(), strict=True):
        assert p.grad is not None, name
        assert torch.isfinite(p.grad).all(), name
        torch.testing.assert_close(p.grad, q.grad, atol=1e-12, rtol=1e-12, msg=name)


# Longest neither first nor last, two of them, and one row without a target.
UNEVEN = ([2, 5], [2, 4, 7, 8, 9, 5, 12, 5, 4], [], [2], [2, 6, 13, 6, 7, 4, 11, 10, 9], [2, 12, 5])
UNEVEN_SOURCES = ([5, 6, 7, 8, 4], [9, 4], [7, 7], [6, 6, 6], [4, 10, 11, 7], [])
UNEVEN_COPIES = ([5, 6, 12, 8, 4], [12, 13], [7, 12], [6, 12, 6], [12, 10, 13, 7], [])


def uneven(options: dict[str, Any], rows: slice = slice(None)) -> Batch:
    return batch(
        UNEVEN_SOURCES[rows], UNEVEN[rows], UNEVEN_COPIES[rows] if options.get("copying") else None, padding=-7
    )


FED_BACK = [options for options in WAYS if options.get("attention") != "none"]


@pytest.mark.parametrize("options", [*FED_BACK, {"cell": "gru", "num_layers": 2, "zoneout": 0.3}], ids=str)
def test_targets_of_very_different_lengths_are_as_each_alone_gradients_included(options: dict[str, Any]) -> None:
    model = small(**options).double().eval()
    alone, together = copy.deepcopy(model), model(uneven(options)).outputs
    of_tokens = [name for name in ("hidden", "log_probs", "attention", "coverage_loss") if name in together]
    total = torch.zeros(()).double()
    for n, target in enumerate(UNEVEN):
        if not target:
            continue
        one, S = alone(uneven(options, slice(n, n + 1))).outputs, len(target)
        for name in of_tokens:
            # Fewer source positions, or words to copy: what is beyond is not there.
            single, row = one[name][:, 0], together[name][:S, n]
            row = row[:, : single.shape[1]] if single.dim() == 2 else row
            torch.testing.assert_close(single, row, atol=1e-12, rtol=0)
            total = total + row.sin().sum()
            single.sin().sum().backward(retain_graph=True)
    total.backward()
    for (name, p), q in zip(model.named_parameters(), alone.parameters(), strict=True):
        if p.grad is None:  # the output layer's are not used by these numbers
            assert q.grad is None, name
            continue
        torch.testing.assert_close(p.grad, q.grad, atol=1e-12, rtol=1e-12, msg=name)


@pytest.mark.parametrize(
    "options",
    [{}, {"style": "luong", "input_feeding": True}, {"style": "luong", "attention": COVERAGE}, {"copying": True}],
    ids=str,
)
@pytest.mark.parametrize("sampled", [False, True])
def test_a_row_whose_target_has_ended_takes_no_further_step(options: dict[str, Any], sampled: bool) -> None:
    """All are there at the first step; outputs beyond the lengths are zero."""
    sampling = {"name": "linear", "start": 0.5} if sampled else None
    model, b = small(scheduled_sampling=sampling, **options), uneven(options)
    seen: list[int] = []
    model.decoder.attention.score.query.register_forward_hook(lambda _, arguments, __: seen.append(len(arguments[0])))
    outputs = model(b).outputs
    assert seen == [6, 4, 3, 2, 2, 2, 2, 2, 2]
    for name in ("hidden", "log_probs", "attention", "coverage_loss"):
        if name in outputs:
            ended = [outputs[name][len(target) :, n] for n, target in enumerate(UNEVEN) if target]
            assert all((rows == 0).all() for rows in ended), name


@pytest.mark.parametrize("word", [word for word in ATTENTIONS if word != "none"])
@pytest.mark.parametrize("style", ["bahdanau", "luong"])
def test_every_attention_goes_with_every_style(word: str, style: str) -> None:
    attention = {"name": word, "window": 1} if word.startswith("local") else word
    model, b = small(attention=attention, style=style, decoder_size=8).eval(), batch()
    with torch.no_grad():
        outputs, state = model(b).outputs, model.start(b)
        for t, tokens in enumerate(b.inputs["target"]):
            found, state = model.step(tokens, state)
            real = b.inputs["target_lengths"] > t
            torch.testing.assert_close(found[real], log_probs(outputs)[t, real], atol=1e-5, rtol=0)
    sums = outputs["attention"].sum(2)
    for n in (0, 1, 3):
        torch.testing.assert_close(sums[: len(TARGETS[n]), n], torch.ones(len(TARGETS[n])))
    assert (outputs["attention"][:, 2] == 0).all()


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_encodes_and_decodes_and_learns_a_step(cell: str) -> None:
    proj = {"proj_size": 2, "decoder_proj_size": 3} if projects(CELLS[cell]) else {}
    model, b = small(cell=cell, num_layers=2, **proj), batch()
    log_probs(model(b).outputs)[0, :, 5].sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    model.eval()
    with torch.no_grad():
        expected, state = log_probs(model(b).outputs), model.start(b)
        for t in range(2):
            found, state = model.step(b.inputs["target"][t], state)
            real = b.inputs["target_lengths"] > t
            torch.testing.assert_close(found[real], expected[t, real], atol=1e-5, rtol=0)


def test_steps_with_gradients_have_them() -> None:
    model, b = small(), batch()
    found, _ = model.step(b.inputs["target"][0], model.start(b))
    found.sum().backward()
    assert model.decoder.recurrent.weight_ih_l0.grad is not None
    assert model.inputs.embedding.weight.grad is not None


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentences"),
    [
        ({"style": "cho"}, ["style: cho has no attention"]),
        ({"attention": "none", "style": "luong"}, ["attention: none, and style luong needs one"]),
        ({"input_feeding": True}, ["input_feeding: has no effect in style bahdanau"]),
        (
            {"attention": "none", "copying": True, "bridge": "zeros"},
            ["copying: points with the attention, and there is none", "bridge: zeros, and in style sutskever"],
        ),
        ({"attention": "none", "readout": "tanh"}, ["readout: tanh reads a context"]),
        ({"style": "luong", "readout": "state"}, ["readout: state leaves out the context"]),
        ({"readout": "state", "readout_size": 3}, ["readout_size: has no effect"]),
        ({"tie": "target", "readout_size": 3}, ["tie: the table has vectors of embedding_size = 4"]),
        ({"tie": "target", "attention": "none", "decoder_size": 5}, ["the decoder's state has 5"]),
        ({"reverse_source": True}, ["reverse: has no effect with bidirectional"]),
        ({"bridge": "last"}, [r"bridge: last copies states, and the encoder ends with 1 x \(h of 8, c of 8\)"]),
        ({"style": "luon"}, ["unknown style 'luon'. Did you mean 'luong'"]),
        ({"readout": "tan"}, ["unknown readout 'tan'. Did you mean 'tanh'"]),
        ({"bridge": "tan"}, ["unknown bridge 'tan'. Did you mean 'tanh'"]),
        ({"attention": "dots"}, ["unknown attention 'dots'. Did you mean 'dot'"]),
        ({"attention": "dot"}, ["dot: compares a query of 4 numbers with a memory of 8"]),
        ({"forget_bias": 1.0, "cell": "gru"}, ["forget_bias"]),
        ({"proj_size": 2}, ["proj_size"]),
    ],
    ids=str,
)
def test_options_that_cannot_take_effect_are_refused_all_at_once(options: dict[str, Any], sentences: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        small(**options)
    assert len(refused.value.problems) == len(sentences)
    for sentence in sentences:
        assert refused.match(sentence)


def test_tying_all_needs_one_vocabulary() -> None:
    with pytest.raises(ConfigError, match=r"tie: all needs one vocabulary .* 12 and 13 tokens"):
        seq2seq(12, 13, embedding_size=4, hidden_size=4, tie="all")


@pytest.mark.parametrize(("tie", "tables"), [("none", 3), ("target", 2), ("all", 1)])
def test_tied_tables_are_one_parameter(tie: str, tables: int) -> None:
    model = small(tie=tie, hidden_size=6)
    weights = [model.inputs.embedding.weight, model.decoder.embedding.weight, model.decoder.output.weight]
    assert len({id(w) for w in weights}) == tables
    assert model(batch()).outputs["hidden"].shape[2] == (4 if tables < 3 else 6)


@pytest.mark.parametrize("option", ["embedding_dropout", "output_dropout", "variational_dropout", "zoneout", "dropout"])
@pytest.mark.parametrize("way", [{}, {"style": "luong"}], ids=str)
def test_each_dropout_acts_in_training_and_only_there(way: dict[str, Any], option: str) -> None:
    model, b = small(**{option: 0.5, "num_layers": 2}, **way), batch()

    def twice() -> bool:
        return torch.equal(model(b).outputs["hidden"], model(b).outputs["hidden"])

    assert not twice()
    model.eval()
    assert twice()


def test_a_reversed_source_is_read_from_its_end_and_its_outputs_keep_their_places() -> None:
    model = small(bidirectional=False, reverse_source=True).eval()
    plain = small(bidirectional=False).eval()
    b = batch()
    turned = batch([row[::-1] for row in SOURCES])
    one = model._encoded(b)
    other = plain._encoded(turned)
    torch.testing.assert_close(one.summary, other.summary)
    for n, length in enumerate(b.lengths.tolist()):
        torch.testing.assert_close(one.outputs[:length, n], other.outputs[:length, n].flip(0))


# -- scheduled sampling ------------------------------------------------------------------------------------------------


def test_sampling_follows_its_schedule_and_its_counter_is_saved_with_the_weights() -> None:
    model = small(scheduled_sampling={"name": "linear", "start": 0.75, "slope": 0.25})
    truths = []
    for _ in range(5):
        truths.append(model.decoder.sampling(int(model.decoder.updates)))
        model(batch())
        model.decoder.updated()
    assert truths == [0.75, 0.5, 0.25, 0.0, 0.0]
    model.eval()
    model(batch())
    assert int(model.state_dict()["decoder.updates"]) == 5
    other = small(scheduled_sampling={"name": "linear", "start": 0.75, "slope": 0.25})
    other.load_state_dict(model.state_dict())
    assert int(other.decoder.updates) == 5


def test_sampling_counts_updates_of_the_weights_however_many_batches_one_has() -> None:
    model = small(scheduled_sampling={"name": "linear", "slope": 0.1})
    rule = torch.optim.SGD(model.parameters(), lr=0.01)
    steps = fit(
        model, [batch() for _ in range(8)], optimizer=rule, schedule=lambda step: 0.01, accumulate=4, seed=0, epoch=0,
        loss=lambda prediction, b: Loss(prediction.outputs["hidden"].square().sum(), 4), steps_done=0,
        on_nonfinite=lambda failure: None,
    )  # fmt: skip
    assert [(progress.step, int(model.decoder.updates)) for progress in steps] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("way", [{}, {"style": "luong"}, {"attention": "none"}, {"copying": True}], ids=str)
def test_with_nothing_but_the_models_own_tokens_the_target_does_not_matter(way: dict[str, Any]) -> None:
    """Its first token does: it is never sampled."""
    model = small(scheduled_sampling={"name": "linear", "start": 0.0}, **way)
    copies = COPIES if way.get("copying") else None
    found = []
    for targets in ([[2, 5, 6]] * 4, [[2, 9, 4]] * 4, [[3, 5, 6]] * 4):
        torch.manual_seed(4)
        outputs = model(batch(targets=targets, copies=copies)).outputs
        found.append(log_probs(outputs))
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


@pytest.mark.parametrize("way", [{}, {"style": "luong", "input_feeding": True}, {"attention": "none"}], ids=str)
def test_each_row_reads_the_tokens_that_it_said_itself(way: dict[str, Any]) -> None:
    """An output layer so sharp that only one token is ever drawn; targets of different lengths, against one alone."""
    model = small(scheduled_sampling={"name": "linear", "start": 0.0}, **way).double()
    with torch.no_grad():
        model.decoder.output.weight.mul_(1e5)
    together = model(uneven(way)).outputs["hidden"]
    for n, target in enumerate(UNEVEN):
        if target:
            alone = model(uneven(way, slice(n, n + 1))).outputs["hidden"]
            torch.testing.assert_close(alone[:, 0], together[: len(target), n], atol=1e-12, rtol=0)


def test_without_sampling_yet_training_is_teacher_forcing() -> None:
    sampled, forced = small(scheduled_sampling="linear"), small()
    forced.load_state_dict(sampled.state_dict(), strict=False)
    torch.testing.assert_close(sampled(batch()).outputs["hidden"], forced(batch()).outputs["hidden"])


def test_a_token_is_sampled_from_the_models_own_distribution() -> None:
    """An output layer that knows two tokens, three to one, whatever the input."""
    model = small(scheduled_sampling={"name": "linear", "start": 0.0}).eval()
    with torch.no_grad():
        model.decoder.output.weight.zero_()
        model.decoder.output.bias.fill_(-100.0)
        model.decoder.output.bias[5], model.decoder.output.bias[6] = np.log(0.75), np.log(0.25)
    b = batch([[5]] * 4000, [[2, 5]] * 4000)
    seen = []
    model.train()
    embedding = model.decoder.embedding
    embedding.register_forward_hook(lambda _, arguments, __: seen.append(arguments[0]))
    model(b)
    said = seen[-1]
    assert set(said.tolist()) == {5, 6}
    assert abs((said == 5).float().mean() - 0.75) < 0.03  # four standard errors


# -- learning ----------------------------------------------------------------------------------------------------------


def test_it_learns_to_turn_words_round_also_ones_it_has_not_seen() -> None:
    """Words of up to four of eight letters; 200 of them are never shown, and all are turned round exactly."""
    torch.manual_seed(0)
    rng = random.Random(0)
    held_out = [word(rng) for _ in range(200)]
    model = small(embedding_size=16, hidden_size=32, cell="gru")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, 100)
    for _ in range(100):
        words = [w for w in (word(rng) for _ in range(64)) if w not in held_out]
        b = batch(words, [[2, *reversed(w)] for w in words])
        loss = turning_loss(model, b)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    assert greedy(model.eval(), held_out) == [w[::-1] for w in held_out]


def word(rng: random.Random) -> list[int]:
    return [rng.randrange(4, V) for _ in range(rng.randint(1, 4))]


def turning_loss(model: EncoderDecoder, b: Batch) -> torch.Tensor:
    """Nats per token of the target that ends with token 3."""
    gold = nn.functional.pad(b.inputs["target"][1:], (0, 0, 0, 1))
    lengths = b.inputs["target_lengths"]
    gold[lengths - 1, torch.arange(len(lengths))] = 3
    terms = -log_probs(model(b).outputs).gather(2, gold.unsqueeze(2)).squeeze(2)
    return terms[torch.arange(len(gold)).unsqueeze(1) < lengths].mean()


def greedy(model: EncoderDecoder, words: list[list[int]]) -> list[list[int]]:
    b, said = batch(words, [[2]] * len(words)), []
    with torch.no_grad():
        state, tokens = model.start(b), b.inputs["target"][0]
        for _ in range(6):
            found, state = model.step(tokens, state)
            tokens = found.argmax(1)
            said.append(tokens)
    rows = torch.stack(said, 1).tolist()
    return [row[: row.index(3)] if 3 in row else row for row in rows]


# -- from a vector or a label ------------------------------------------------------------------------------------------


def from_vector(source: str, **options: Any) -> EncoderDecoder:
    """A decoder over three features, or over three labels."""
    inputs: dict[str, Any] = {"features": {"name": "vector"}, "label": {"name": "label", "embedding_size": 4}}[source]
    decoder = {"name": "recurrent", "attention": "none", **options}
    sizes = {"features": 3, "labels": 3, "target": V}
    return EncoderDecoder(sizes, inputs=inputs, encoder={"name": "identity"}, decoder=decoder)


@pytest.mark.parametrize("style", ["sutskever", "cho"])
@pytest.mark.parametrize("source", ["features", "label"])
def test_a_vector_or_a_label_becomes_a_sequence(source: str, style: str) -> None:
    torch.manual_seed(0)
    model = from_vector(source, style=style, embedding_size=4, hidden_size=5, num_layers=2).eval()
    given = {"features": torch.randn(4, 3), "label": torch.tensor([0, 2, 1, 0])}[source]
    b = batch()
    b = Batch({**b.inputs, source: given}, b.lengths, {}, b.indices)
    with torch.no_grad():
        expected, state = log_probs(model(b).outputs), model.start(b)
        for t in range(3):
            found, state = model.step(b.inputs["target"][t], state)
            real = b.inputs["target_lengths"] > t
            torch.testing.assert_close(found[real], expected[t, real], atol=1e-5, rtol=0)
        rows = torch.tensor([2, 2, 0])
        moved, _ = model.step(torch.tensor([5, 5, 5]), model.select(state, rows))
        found, _ = model.step(torch.tensor([5, 5, 5, 5]), state)
    torch.testing.assert_close(moved, found[rows])
    assert not torch.allclose(expected[0, 0], expected[0, 1])


def test_what_has_no_meaning_without_attention_is_refused() -> None:
    with pytest.raises(ConfigError, match="attention: none, and style luong needs one"):
        from_vector("features", style="luong")


def test_the_model_is_registered() -> None:
    assert MODELS["encoder_decoder"] is EncoderDecoder
