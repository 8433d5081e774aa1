"""The Transformer as a decoder: torch's layers, steps against teacher forcing, the cache, rows alone, refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.seq2seq_room import SOURCES, TARGETS, V, batch, log_probs
from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.decode import beam_search, greedy
from recurra.models import EncoderDecoder
from recurra.models.decoders.attending import AttendingDecoder
from recurra.nn.transformer.attention import CrossAttention
from recurra.tasks.translation.search import Speaker

ATTENTION: Mapping[str, Any] = {"name": "transformer", "hidden_size": 8, "num_heads": 2}


def small(
    encoder: dict[str, Any] | None = None, inputs: dict[str, Any] | None = None, **options: Any
) -> EncoderDecoder:
    torch.manual_seed(0)
    made = EncoderDecoder(
        {"tokens": V, "target": V},
        inputs={"name": "tokens", "embedding_size": 8, **(inputs or {})},
        encoder={**({} if "name" in (encoder or {}) else ATTENTION), **(encoder or {})},
        decoder={**ATTENTION, **options},
    )
    for name, p in made.named_parameters():  # biases and norms are no constants after training either
        if p.dim() == 1:
            nn.init.normal_(p, 1.0 if "norm" in name and "weight" in name else 0.0, 0.3)
    return made


def decoder_of(model: EncoderDecoder) -> AttendingDecoder:
    assert isinstance(model.decoder, AttendingDecoder)
    return model.decoder


WAYS: Sequence[dict[str, Any]] = (
    {},
    {"norm_first": False, "activation": "relu"},
    {"positions": "learned", "num_layers": 3, "activation": "swiglu"},
    {"positions": "rotary", "norm": "rms"},
    {"positions": "none", "tie": "none", "encoder": {"name": "recurrent", "hidden_size": 5, "bidirectional": True}},
)


@pytest.mark.parametrize("norm_first", [True, False])
def test_it_is_torchs_decoder_on_scaled_vectors_with_sinusoids(norm_first: bool) -> None:
    model = small(norm_first=norm_first, activation="relu", feed_forward_size=12).double().eval()
    decoder, b = decoder_of(model), batch(targets=list(TARGETS), sources=[[5, 6], [9, 4, 7], [4], [6, 6, 6]])
    layer = nn.TransformerDecoderLayer(8, 2, 12, 0.0, "relu", norm_first=norm_first)
    theirs = nn.TransformerDecoder(layer, 2, nn.LayerNorm(8) if norm_first else None).double()
    state = {f"layers.{name.removeprefix('blocks.')}": p for name, p in decoder.blocks.state_dict().items()}
    state |= {f"norm.{name}": p for name, p in decoder.norm.state_dict().items()}
    theirs.load_state_dict(state)
    x, lengths = model.inputs(b)
    encoded = model.encoder(x, lengths, {})
    target, real = b.inputs["target"], b.inputs["target_lengths"]
    S = len(target)
    angles = np.arange(S)[:, None] / 10_000.0 ** (np.arange(0, 8, 2) / 8)
    places = torch.from_numpy(np.stack([np.sin(angles), np.cos(angles)], 2).reshape(S, 1, 8))
    vectors = decoder.embedding.weight[target] * np.sqrt(8) + places
    padding = torch.arange(len(encoded.outputs)) >= lengths.unsqueeze(1)
    triangle = nn.Transformer.generate_square_subsequent_mask(S, dtype=torch.float64)
    hidden = theirs(vectors, encoded.outputs, triangle, memory_key_padding_mask=padding)
    expected = torch.log_softmax(hidden @ decoder.embedding.weight.T + decoder.output.bias, -1)
    found = log_probs(model(b).outputs)
    for n, length in enumerate(real.tolist()):
        torch.testing.assert_close(found[:length, n], expected[:length, n], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("options", WAYS)
def test_a_step_after_another_says_what_all_at_once_say(options: dict[str, Any]) -> None:
    model, b = small(**options).double().eval(), batch()
    whole, state = log_probs(model(b).outputs), model.start(b)
    for t, tokens in enumerate(b.inputs["target"]):
        found, state = model.step(tokens, state)
        for n, length in enumerate(b.inputs["target_lengths"].tolist()):
            if t < length:
                torch.testing.assert_close(found[n], whole[t, n], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("positions", ["sinusoid", "rotary"])
def test_rows_that_are_dropped_repeated_and_moved_keep_their_past(positions: str) -> None:
    model = small(positions=positions).double().eval()
    paths: list[tuple[int, list[int]]] = [(n, []) for n in range(4)]  # (source, what each row has read)
    random = np.random.default_rng(0)
    state = model.start(batch())
    for _ in range(40):  # beyond the first room of the cache
        read = [int(token) for token in random.integers(4, V, len(paths))]
        found, state = model.step(torch.tensor(read), state)
        paths = [(n, [*past, token]) for (n, past), token in zip(paths, read, strict=True)]
        chosen = sorted(random.integers(0, len(paths), 5).tolist())
        paths, state, found = [paths[k] for k in chosen], model.select(state, torch.tensor(chosen)), found[chosen]
    together = batch([SOURCES[n] for n, _ in paths], [past for _, past in paths])
    torch.testing.assert_close(found, log_probs(model(together).outputs)[-1], rtol=1e-9, atol=1e-11)


def test_two_may_go_on_from_one_state() -> None:
    model, b = small().double().eval(), batch()
    _, state = model.step(torch.tensor([2, 2, 2, 2]), model.start(b))
    found = {}
    for token in (5, 9):  # both steps are taken before either goes on
        found[token] = model.step(torch.full((4,), token), state)[1]
    for token, after in found.items():
        alone = model.step(torch.full((4,), token), model.step(torch.tensor([2, 2, 2, 2]), model.start(b))[1])[1]
        said, expected = (model.step(torch.tensor([6, 6, 6, 6]), one)[0] for one in (after, alone))
        assert torch.equal(said, expected)


def searched(model: EncoderDecoder, b: Batch, beam: int) -> list[Any]:
    common: dict[str, Any] = {"num_rows": len(b.lengths), "start": 2, "end": 3, "max_length": 12}
    if beam == 1:
        return [row[0] for row in greedy(model, model.start(b), **common)]
    return [row[0] for row in beam_search(model, model.start(b), beam=beam, **common)]


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("options", WAYS)
def test_an_answer_has_the_same_bits_alone_and_among_others(options: dict[str, Any], beam: int) -> None:
    model = small(**options).eval()
    sources = [[5, 6, 7, 8, 4], [9, 4], [], [6, 6, 6], [7, 9], [4, 4, 8, 5, 6]]
    with torch.inference_mode():
        together = searched(model, batch(sources, [[2]] * len(sources)), beam)
        for source, one in zip(sources, together, strict=True):
            assert searched(model, batch([source], [[2]]), beam) == [one]


@pytest.mark.parametrize("options", WAYS)
def test_a_row_is_scored_with_the_same_bits_alone_and_among_others(options: dict[str, Any]) -> None:
    model = small(**options).eval()
    with torch.inference_mode():
        together = model(batch(padding=7)).outputs
        for n, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
            alone = model(batch([source], [target])).outputs
            assert torch.equal(alone["hidden"][:, 0], together["hidden"][: len(target), n])
            assert torch.equal(alone["attention"][:, 0], together["attention"][: len(target), n, : len(source)])
            assert not together["attention"][: len(target), n, len(source) :].any()


def test_keys_of_the_source_are_computed_once_and_a_beam_moves_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = small().eval(), []
    own = CrossAttention.keys_and_values

    def counted(self: CrossAttention, source: Tensor) -> Any:
        calls.append(len(source))
        return own(self, source)

    monkeypatch.setattr(CrossAttention, "keys_and_values", counted)
    with torch.no_grad():
        searched(model, batch(), 4)
        assert calls == [10, 10]  # once for each of two layers, all ten source tokens, none for a hypothesis
        _, state = model.step(torch.tensor([2, 2, 2, 2]), model.start(batch()))
        _, first = model.step(torch.tensor([5, 6, 7, 8, 9]), model.select(state, torch.tensor([0, 0, 1, 2, 3])))
        second = model.select(first, torch.tensor([1, 0, 2, 4, 3]))
        assert second.cache is first.cache
        assert model.step(torch.tensor([4, 5, 6, 7, 8]), second)[1].cache is first.cache


def test_attention_is_that_of_the_last_layer_and_of_each_head() -> None:
    model, b = small().double().eval(), batch()
    each = model.attention_by_head(b)
    assert each is not None
    assert each.shape == (2, 2, 5, 4, 5)
    torch.testing.assert_close(model(b).outputs["attention"], each[-1].mean(0))
    sums = each.sum(-1)
    for n, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        expected = torch.full((2, 2, len(target)), 1.0 if source else 0.0, dtype=torch.float64)
        torch.testing.assert_close(sums[:, :, : len(target), n], expected)
    assert "attention" not in model.train()(b).outputs


@pytest.mark.parametrize(("tie", "tables"), [("none", 3), ("target", 2), ("all", 1)])
def test_tables_are_one_where_they_are_tied(tie: str, tables: int) -> None:
    model = small(tie=tie)
    weights = [model.inputs.table, decoder_of(model).embedding.weight, decoder_of(model).output.weight]
    assert len({w.data_ptr() for w in weights}) == tables


def test_steps_have_no_dropout_and_leave_the_model_in_training() -> None:
    model, b = small(dropout=0.9, attention_dropout=0.5, encoder={"dropout": 0.0}).train(), batch()
    found = [model.step(b.inputs["target"][0], model.start(b))[0] for _ in range(2)]
    assert torch.equal(*found)
    assert model.training
    assert all(module.training for module in model.modules())
    assert not torch.equal(model(b).outputs["hidden"], model(b).outputs["hidden"])


def test_what_stands_in_the_padding_reaches_no_gradient() -> None:
    found = []
    for padding in (0, 7):
        model = small(dropout=0.0, encoder={"dropout": 0.0}).double()
        b = batch(padding=padding)
        real = torch.arange(5).unsqueeze(1) < b.inputs["target_lengths"]
        log_probs(model(b).outputs)[real].sum().backward()
        found.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"num_heads": 3}, "num_heads: 3 do not divide 8"),
        ({"max_positions": 9}, "max_positions: has no effect with positions: sinusoid"),
        ({"positions": "rotary", "num_heads": 8}, "num_heads: heads of 1 numbers; rotation needs an even number"),
        ({"tie": "all", "inputs": {"embedding_size": 6}}, "embedding_size: is 6, and the decoder's table"),
    ],
)
def test_what_cannot_take_effect_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        small(**options)


def test_a_target_beyond_the_learned_positions_is_an_error_that_counts() -> None:
    model = small(positions="learned", max_positions=2)
    with pytest.raises(ConfigError, match="max_positions: a sequence has 5 steps, and there are positions for 2"):
        model(batch())


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("grad", [False, True])
def test_an_answer_without_an_end_is_cut_where_the_learned_positions_end(beam: int, grad: bool) -> None:
    found = []
    for positions in (6, 40):
        model = small(positions="learned", max_positions=40).eval()
        table = decoder_of(model).places.table
        assert table is not None
        table.weight, table.num_embeddings = nn.Parameter(table.weight[:positions]), positions
        with torch.no_grad():
            decoder_of(model).output.bias[3] = -50.0
        common: dict[str, Any] = {"num_rows": 4, "start": 2, "end": 3, "max_length": 6 if positions == 40 else 30}
        search = partial(beam_search, beam=beam) if beam > 1 else greedy
        with torch.set_grad_enabled(grad):
            found.append(search(Speaker(model), model.start(batch()), **common))
    assert found[0] == found[1]
    assert {len(row[0].tokens) for row in found[0]} == {6}


def test_a_block_of_another_class_is_refused_and_not_left_out() -> None:
    model = small().eval()
    decoder_of(model).blocks[1] = nn.Sequential(decoder_of(model).blocks[1])
    for call in (model, model.start):
        with pytest.raises(ConfigError, match=r"^layers: number 1 is a torch.*Sequential, expected recurra.nn"):
            call(batch())


@pytest.mark.parametrize("grad", [False, True])
def test_steps_have_no_dropout_where_a_part_has_it_on_alone(grad: bool) -> None:
    model, b = small(dropout=0.5).eval(), batch()
    with torch.set_grad_enabled(grad):
        expected = model.step(b.inputs["target"][0], model.start(b))[0]
        cast(Any, decoder_of(model).blocks[0]).dropout1.train()
        found = model.step(b.inputs["target"][0], model.start(b))[0]
    assert torch.equal(found, expected)


def test_a_part_that_is_in_evaluation_stays_in_it_behind_steps() -> None:
    model = small().train()
    still = cast(Any, decoder_of(model).blocks[0]).dropout
    still.eval()
    model.step(batch().inputs["target"][0], model.start(batch()))
    assert [module for module in model.modules() if not module.training] == [still]
