"""The language model: states in and out, chunks that equal the whole, padding that changes nothing, its options."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from models.models_room import language_model
from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.cells import CELLS
from recurra.engine import cpu, sequence_mask
from recurra.lower import projects
from recurra.models import SequenceModel
from recurra.nn import activation_penalties, backward_nats, softmax_log_probabilities, softmax_nats
from recurra.training import TruncatedBPTT

V = 11


def text(T: int, N: int, seed: int = 0) -> Tensor:
    return torch.randint(1, V, (T, N), generator=torch.Generator().manual_seed(seed))


def chunk(tokens: Tensor, lengths: list[int] | None = None, fresh: list[bool] | None = None, filling: int = 0) -> Batch:
    """x_1 .. x_T and what follows, of tokens (T + 1, N); rows cut to their lengths."""
    T, N = len(tokens) - 1, tokens.shape[1]
    sizes = torch.tensor(lengths or [T] * N)
    real = sequence_mask(sizes, T)
    inputs = {"tokens": torch.where(real, tokens[:-1], filling)}
    if fresh is not None:
        inputs["fresh"] = torch.tensor(fresh)
    return Batch(inputs, sizes, {"tokens": torch.where(real, tokens[1:], filling)}, tuple(range(N)))


def small(**options: Any) -> SequenceModel:
    torch.manual_seed(0)
    given: dict[str, Any] = {"embedding_size": 4, "hidden_size": 5, "num_layers": 2, **options}
    if projects(CELLS[given.get("cell", "lstm")]):
        given.setdefault("proj_size", 4)
    return language_model(V, **given)


def nats(model: Any, batch: Batch) -> Tensor:
    outputs = model(batch).outputs
    return softmax_nats(outputs, batch.targets["tokens"], sequence_mask(batch.lengths, len(batch.inputs["tokens"])))


def gradients(model: SequenceModel) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("cell", CELLS.keys())
def test_every_cell_in_chunks_with_carried_states_gives_what_one_long_run_gives(cell: str, tied: bool) -> None:
    model = small(cell=cell, tied=tied).eval()
    tokens = text(13, 3)
    whole = model(chunk(tokens)).outputs
    carry = TruncatedBPTT(model)
    parts = [carry(chunk(tokens[a : b + 1], fresh=[a == 0] * 3)).outputs for a, b in ((0, 5), (5, 6), (6, 12))]
    torch.testing.assert_close(torch.cat([p["hidden"] for p in parts]), whole["hidden"], atol=1e-6, rtol=0)
    assert len(carry.state()) == 2 * len(CELLS[cell].states)
    for name, state in carry.state().items():
        torch.testing.assert_close(state, whole[name], atol=1e-6, rtol=0)


def test_gradients_of_chunks_are_those_of_the_whole_where_one_chunk_covers_it_and_are_cut_where_not() -> None:
    model, tokens = small().double(), text(9, 2)
    twin = copy.deepcopy(model)
    nats(TruncatedBPTT(model), chunk(tokens, fresh=[True, True])).sum().backward()
    nats(twin, chunk(tokens)).sum().backward()
    assert gradients(model).keys() == gradients(twin).keys()
    assert all(torch.equal(g, gradients(twin)[name]) for name, g in gradients(model).items())

    carry = TruncatedBPTT(model)
    carry(chunk(tokens[:5], fresh=[True, True]))
    before = carry.state()
    model.zero_grad()
    nats(carry, chunk(tokens[4:], fresh=[False, False])).sum().backward()
    second = chunk(tokens[4:])
    twin.zero_grad()
    nats(twin, Batch({**second.inputs, **before}, second.lengths, second.targets, second.indices)).sum().backward()
    assert all(torch.equal(g, gradients(twin)[name]) for name, g in gradients(model).items())


def test_a_fresh_row_starts_at_zero_whatever_was_carried_and_the_others_go_on() -> None:
    model, tokens = small().eval(), text(7, 3)
    carry = TruncatedBPTT(model)
    carry(chunk(tokens[:4], fresh=[True] * 3))
    carry.restore({name: s.index_fill(0, torch.tensor([1]), torch.nan) for name, s in carry.state().items()})
    mixed = carry(chunk(tokens[3:], fresh=[False, True, False])).outputs["hidden"]
    alone = model(chunk(tokens[3:, 1:2])).outputs["hidden"][:, 0]
    assert torch.equal(mixed[:, 1], alone)
    whole = model(chunk(tokens)).outputs["hidden"][3:]
    torch.testing.assert_close(mixed[:, [0, 2]], whole[:, [0, 2]], atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", CELLS.keys())
def test_a_row_alone_and_in_a_batch_with_garbage_in_the_padding_has_the_same_bits(cell: str) -> None:
    model, tokens, lengths = small(cell=cell).eval(), text(8, 4), [7, 3, 0, 1]
    together = model(chunk(tokens, lengths, filling=-7)).outputs
    for n, length in enumerate(lengths):
        alone = model(chunk(tokens[: length + 1, n : n + 1])).outputs
        assert torch.equal(alone["hidden"][:, 0], together["hidden"][:length, n])
        assert not together["hidden"][length:, n].any()
        for name in (k for k in alone if k.startswith("state.")):
            assert torch.equal(alone[name][0], together[name][n])


def test_padding_changes_no_loss_and_no_gradient() -> None:
    model, tokens, lengths = small().double(), text(8, 4), [7, 3, 0, 1]
    twin = copy.deepcopy(model)
    nats(model, chunk(tokens, lengths, filling=-7)).sum().backward()
    for n, length in enumerate(lengths):
        nats(twin, chunk(tokens[: length + 1, n : n + 1])).sum().backward()
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, gradients(twin)[name], atol=1e-12, rtol=0)


def test_tied_weights_are_one_parameter_and_the_last_layer_is_as_wide_as_a_token() -> None:
    model = small(tied=True)
    assert model.head.output.weight is model.inputs.embedding.weight
    assert [layer.output_size for layer in model.encoder.recurrents] == [5, 4]
    assert [layer.output_size for layer in small(tied=False).encoder.recurrents] == [5, 5]


def test_options_that_cannot_act_are_refused_all_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        small(num_layers=1, dropout=0.5)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["dropout", "hidden_size"]
    with pytest.raises(ConfigError, match="tied: the output layer reads 3 numbers and a token's vector has 4"):
        small(cell="lstm_projected", proj_size=3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cutoffs": (0.5,), "div_value": 2.0}, ["cutoffs", "div_value"]),
        ({"softmax": "adaptive", "div_value": 2.0}, ["div_value"]),
        ({"softmax": "adaptive", "cutoffs": (0.5, 0.2)}, ["cutoffs"]),
        ({"softmax": "adaptive", "cutoffs": ()}, ["cutoffs"]),
        ({"softmax": "hierarchical"}, ["softmax"]),
        ({"cell": "indrnn", "weight_drop": 0.5}, ["weight_drop"]),
    ],
)
def test_an_option_of_dropout_or_output_that_cannot_act_is_refused(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        small(**options)
    assert [problem.split(":")[0] for problem in caught.value.problems] == words


@pytest.mark.parametrize("tied", [True, False])
def test_an_adaptive_output_layer_trains_and_its_probabilities_are_those_of_the_nats(tied: bool) -> None:
    model = small(softmax="adaptive", tied=tied, cutoffs=(0.3, 0.6))
    batch = chunk(text(8, 4), [7, 3, 0, 1])
    nats(model, batch).mean().backward()
    assert gradients(model).keys() == dict(model.named_parameters()).keys()
    assert all(g.any() for g in gradients(model).values())
    outputs = model.eval()(batch).outputs
    logs = softmax_log_probabilities(outputs)
    assert logs.shape == (7, 4, V)
    expected = -logs[0, 1, batch.targets["tokens"][0, 1]]
    # Row 1 of the first step is the second of the real targets.
    torch.testing.assert_close(nats(model, batch)[1], expected)


def test_cutoffs_are_shares_of_the_vocabulary_and_at_least_a_token_apart() -> None:
    assert small(softmax="adaptive").head.output.sizes == [1, 1, 1, 3, V - 6]
    assert small(softmax="adaptive", cutoffs=(0.3, 0.6)).head.output.sizes == [3, 4, 4]
    assert language_model(1000, softmax="adaptive").head.output.sizes == [30, 70, 150, 250, 500]


@pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")
@pytest.mark.parametrize(
    "option",
    ["embedding_dropout", "dropout", "output_dropout", "word_dropout", "weight_drop", "variational_dropout", "zoneout"],
)
def test_every_kind_of_dropout_acts_in_training_only_and_on_the_native_engine(option: str) -> None:
    batch = chunk(text(8, 4), [7, 3, 0, 1], filling=-3)
    plain, model = small(backend="cpu"), small(backend="cpu", **{option: 0.4})
    torch.manual_seed(5)
    dropped = model(batch).outputs["hidden"]
    assert not torch.equal(dropped, plain(batch).outputs["hidden"])
    assert torch.isfinite(dropped).all()
    nats(model, batch).mean().backward()
    assert all(g.any() for g in gradients(model).values())
    model.eval()
    if option != "zoneout":  # in evaluation a zoned-out state is its expectation
        assert torch.equal(model(batch).outputs["hidden"], plain.eval()(batch).outputs["hidden"])


def test_locked_dropouts_keep_one_mask_for_all_steps_of_a_row() -> None:
    model = small(output_dropout=0.5, locked_dropout=True)
    zeros = model(chunk(text(30, 3))).outputs["hidden"] == 0
    assert torch.equal(zeros, zeros[:1].expand_as(zeros))
    assert zeros.any()
    assert not zeros.all()


def test_a_dropped_word_has_no_vector_anywhere() -> None:
    model = small(word_dropout=0.5)
    seen: list[Tensor] = []
    model.inputs.dropout.register_forward_hook(lambda module, given, made: seen.append(made))
    tokens = text(41, 3)
    model(chunk(tokens))
    gone = {t: not seen[0][tokens[:-1] == t].any() for t in range(1, V)}
    here = {t: bool(seen[0][tokens[:-1] == t].all()) for t in range(1, V)}
    assert set(gone.values()) == {True, False}
    assert all(gone[t] != here[t] for t in range(1, V))
    scaled = 2 * model.inputs.embedding.weight[tokens[:-1]]
    torch.testing.assert_close(seen[0], torch.where((seen[0] == 0).all(2, keepdim=True), 0.0, scaled))


def test_penalties_are_asked_for_in_training_only() -> None:
    model, batch = small(activation_penalty=2.0, temporal_penalty=1.0, output_dropout=0.5), chunk(text(8, 4))
    outputs = model(batch).outputs
    real = sequence_mask(batch.lengths, 7)
    h, d = outputs["activation"], outputs["hidden"]
    expected = 28 * (2 * d.square().mean() + (h[1:] - h[:-1]).square().mean())
    torch.testing.assert_close(activation_penalties(outputs, real), expected)
    assert not torch.equal(h, d)
    model.eval()
    assert activation_penalties(model(batch).outputs, real) == 0
    assert "activation" not in small(activation_penalty=0.0)(batch).outputs


def test_a_carry_goes_on_bit_for_bit_from_what_was_kept() -> None:
    model, tokens = small().eval(), text(13, 3)
    first, second = TruncatedBPTT(model), TruncatedBPTT(model)
    first(chunk(tokens[:5], fresh=[True] * 3))
    second.restore(first.state())
    later = chunk(tokens[4:], fresh=[False] * 3)
    assert torch.equal(first(later).outputs["hidden"], second(later).outputs["hidden"])
    assert all(torch.equal(s, second.state()[name]) for name, s in first.state().items())


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
@pytest.mark.parametrize("cell", CELLS.keys())
def test_the_loss_and_gradients_of_every_cell_are_those_of_float64_autograd(cell: str, softmax: str) -> None:
    model = small(cell=cell, softmax=softmax)
    wide = copy.deepcopy(model).double()
    batch = chunk(text(8, 4), [7, 3, 0, 1], fresh=[True, False, True, True])
    found, expected = nats(model, batch).mean(), nats(wide, batch).mean()
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=0)
    found.backward()  # type: ignore[no-untyped-call]
    expected.backward()  # type: ignore[no-untyped-call]
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient.double(), gradients(wide)[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("softmax", "num_layers"), [("full", 1), ("adaptive", 1), ("full", 3)])
def test_backward_layers_tell_the_token_before_from_all_that_follow_in_the_chunk(softmax: str, num_layers: int) -> None:
    model = small(num_layers=num_layers, tied=False, softmax=softmax, backward_layer=True).train()
    tokens, lengths = text(8, 3), [7, 4, 1]
    batch = chunk(tokens, lengths, filling=V - 1)
    outputs = model(batch).outputs
    found = backward_nats(outputs, batch.inputs["tokens"], sequence_mask(batch.lengths, 7))
    # torch's layers on one row, turned round by hand.
    twin = torch.nn.LSTM(4, 5, num_layers)
    layers = [layer.state_dict() for layer in model.encoder.backward_layers]
    twin.load_state_dict({f"{name[:-1]}{k}": value for k, one in enumerate(layers) for name, value in one.items()})
    expected = {}
    for row, length in enumerate(lengths):
        h = twin(model.inputs.embedding(tokens[:length, row].flip(0)))[0].flip(0)
        one = softmax_log_probabilities({**outputs, "hidden": h.unsqueeze(1)})[:, 0]
        expected |= {(t, row): -one[t, tokens[t - 1, row]] for t in range(1, length)}
    torch.testing.assert_close(found, torch.stack([expected[place] for place in sorted(expected)]))
    # What follows is told as by a model without one.
    torch.testing.assert_close(nats(model, batch), nats(model.eval(), batch))


def test_a_backward_layer_learns_and_disturbs_nothing_but_training() -> None:
    model = small(num_layers=1, tied=False, backward_layer=True)
    batch = chunk(text(7, 2))
    outputs = model(batch).outputs
    backward_nats(outputs, batch.inputs["tokens"], sequence_mask(batch.lengths, 6)).sum().backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert moved == {name for name, _ in model.named_parameters() if not name.startswith("encoder.recurrents.")}
    assert "hidden.backward" not in model.eval()(batch).outputs
    assert not len(backward_nats(model(batch).outputs, batch.inputs["tokens"], sequence_mask(batch.lengths, 6)))


def test_a_chunk_of_one_step_has_nothing_before_it_to_tell() -> None:
    model, batch = small(num_layers=1, tied=False, backward_layer=True), chunk(text(2, 3))
    behind = backward_nats(model(batch).outputs, batch.inputs["tokens"], sequence_mask(batch.lengths, 1))
    assert behind.shape == (0,)
    behind.sum().backward()


@pytest.mark.parametrize("part", ["inputs", "encoder", "head"])
def test_locked_dropout_without_a_dropout_is_refused(part: str) -> None:
    sections: dict[str, dict[str, Any]] = {
        "inputs": {"name": "tokens", "embedding_size": 4},
        "encoder": {"name": "awd", "hidden_size": 5},
        "head": {"name": "vocabulary"},
    }
    sections[part]["locked_dropout"] = True
    with pytest.raises(ConfigError, match=r"^locked_dropout: has no effect without "):
        SequenceModel({"tokens": V}, **sections)
