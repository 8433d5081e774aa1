"""Steps of a Transformer's decoder in one native call: the papers in NumPy, bits, and where the readable path runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.seq2seq_room import V, batch
from oracles import transformer as oracle
from oracles.loop import Array
from recurra.base.errors import ConfigError, RunError, ShapeError
from recurra.data.tokenizers import BOS, PAD
from recurra.decode import beam_search, greedy
from recurra.engine import cpu
from recurra.models import EncoderDecoder
from recurra.models.decoders.attending import AttendingDecoder, AttendingState
from recurra.nn import SteadyLinear
from recurra.nn.transformer.cache import KeyValueCache
from recurra.tasks.translation.search import Speaker

pytestmark = pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")
SOURCES = ([5, 6, 7, 8, 4, 9, 10, 11, 4, 4, 5, 6, 7, 8, 9, 5, 5, 6], [9, 4], [], [6, 6, 6])
STEPS = 35  # one step beyond two vectors of AVX-512, and beyond the first room of the cache

WAYS: Sequence[dict[str, Any]] = (
    {"activation": "relu"},
    {"norm_first": False, "hidden_size": 24, "num_heads": 3},
    {"activation": "gelu_tanh", "hidden_size": 64, "num_heads": 2, "feed_forward_size": 37},
    {"positions": "rotary", "norm": "rms", "activation": "swiglu", "hidden_size": 32, "num_heads": 2},
    {"positions": "none", "tie": "none", "activation": "geglu", "hidden_size": 10, "num_heads": 1},
    {"positions": "learned", "activation": "silu", "norm_first": False, "norm": "rms"},
    {"activation": "reglu", "hidden_size": 144, "num_heads": 2, "num_layers": 1},
)


def made(**options: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    decoder = {"name": "transformer", "hidden_size": 16, "num_heads": 2, **options}
    size = decoder["hidden_size"]
    model = EncoderDecoder(
        {"tokens": V, "target": 75 if size > 100 else V},
        inputs={"name": "tokens", "embedding_size": size},
        encoder={"name": "transformer", "hidden_size": size, "num_heads": 1, "num_layers": 1},
        decoder=decoder,
    )
    for name, p in model.named_parameters():
        if p.dim() == 1:
            nn.init.normal_(p, 1.0 if "norm" in name and "weight" in name else 0.0, 0.3)
    return model.eval()


def decoder_of(model: EncoderDecoder) -> AttendingDecoder:
    assert isinstance(model.decoder, AttendingDecoder)
    return model.decoder


def begun(model: EncoderDecoder, sources: Sequence[Sequence[int]] = SOURCES) -> AttendingState:
    state = model.start(batch(sources, [[2]] * len(sources)))
    assert isinstance(state, AttendingState)
    return state


def tokens_of(rows: int) -> Tensor:
    return torch.randint(4, V, (STEPS, rows), generator=torch.Generator().manual_seed(1))


def expected(model: EncoderDecoder, encoded: Array, tokens: list[int], options: dict[str, Any]) -> Array:
    """(T, V) log-probabilities under teacher forcing, of a source's outputs (S, d)."""
    decoder = decoder_of(model)
    size = encoded.shape[1]
    w = {k.removeprefix("blocks."): v for k, v in numbers(decoder.blocks, "layers.").items()}
    w |= numbers(decoder.norm, "norm.")
    positions = options.get("positions", "sinusoid")
    x = decoder.embedding.weight.detach().double().numpy()[tokens]
    if positions in ("sinusoid", "learned"):
        x = x * np.sqrt(size)
    if positions == "sinusoid":
        x = x + oracle.sinusoids(len(tokens), size)
    if positions == "learned":
        assert decoder.places.table is not None
        x = x + decoder.places.table.weight.detach().double().numpy()[: len(tokens)]
    words = {k: options[k] for k in ("activation", "norm", "norm_first") if k in options}
    how = oracle.Manner(decoder.layers[0].self_attn.num_heads, rotary=positions == "rotary", **words)
    y = oracle.decoder(w, x, encoded, len(decoder.layers), how)
    logits = y @ decoder.output.weight.detach().double().numpy().T + decoder.output.bias.detach().double().numpy()
    most = logits.max(1, keepdims=True)
    found: Array = logits - most - np.log(np.exp(logits - most).sum(1, keepdims=True))
    return found


def numbers(module: nn.Module, prefix: str) -> dict[str, Array]:
    return {prefix + name: p.double().numpy() for name, p in module.state_dict().items()}


@pytest.mark.parametrize("options", WAYS)
def test_it_is_the_papers_step_by_step(options: dict[str, Any]) -> None:
    model, tokens = made(**options), tokens_of(len(SOURCES))
    with torch.no_grad():
        state, found = begun(model), []
        assert state.packed is not None
        for row in tokens:
            log_probs, state = model.step(row, state)
            found.append(log_probs)
        for n, source in enumerate(SOURCES):
            b = batch([source], [[2]])
            encoded = model.encoder(*model.inputs(b), {}).outputs[:, 0].double().numpy()
            wanted = expected(model, encoded, tokens[:, n].tolist(), options)
            got = torch.stack(found)[:, n].numpy()
            np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-5)  # float32, sums of up to 144 numbers


@pytest.mark.parametrize("options", WAYS)
def test_a_row_has_the_same_bits_alone_among_others_and_on_two_threads(options: dict[str, Any]) -> None:
    model, tokens, threads = made(**options), tokens_of(len(SOURCES)), torch.get_num_threads()
    with torch.no_grad():
        states = [begun(model), begun(model), *(begun(model, [source]) for source in SOURCES)]
        for row in tokens[:20]:
            together, states[0] = model.step(row, states[0])
            try:
                torch.set_num_threads(2)
                shared, states[1] = model.step(row, states[1])
            finally:
                torch.set_num_threads(threads)
            assert torch.equal(together, shared)
            for n in range(len(SOURCES)):
                alone, states[2 + n] = model.step(row[n : n + 1], states[2 + n])
                assert torch.equal(alone[0], together[n])


def test_rows_that_are_moved_repeated_and_dropped_keep_their_past() -> None:
    model, random = made(), np.random.default_rng(0)
    readable = made().double()
    with torch.no_grad():
        state, other = begun(model), begun(readable)
        assert other.packed is None
        rows = len(SOURCES)
        for _ in range(STEPS):
            tokens = torch.from_numpy(random.integers(4, V, 2 * rows))[
                ::2
            ]  # tokens that lie apart, as a search has them
            found, state = model.step(tokens, state)
            wanted, other = readable.step(tokens, other)
            torch.testing.assert_close(found.double(), wanted, rtol=2e-5, atol=2e-5)
            chosen = torch.from_numpy(np.sort(random.integers(0, rows, 5)))
            state, other, rows = state.select(chosen), other.select(chosen), 5


def test_threads_share_a_step_that_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "SMALLEST_SHARED_CALL", 0)
    test_a_row_has_the_same_bits_alone_among_others_and_on_two_threads(WAYS[0])


def test_weights_are_those_of_the_start() -> None:
    model = made()
    with torch.no_grad():
        before, after = begun(model), begun(model)
        first = model.step(torch.tensor([2] * 4), before)[0]
        decoder_of(model).layers[0].linear1.weight.zero_()
        assert torch.equal(model.step(torch.tensor([2] * 4), after)[0], first)
        assert not torch.equal(model.step(torch.tensor([2] * 4), begun(model))[0], first)


def test_the_readable_path_runs_where_something_else_wants_to() -> None:
    model, decoder = made(), decoder_of(made())
    assert begun(model).packed is None  # gradients
    with torch.no_grad():
        assert begun(model.double()).packed is None
        model = model.float()
        handle = decoder_of(model).layers[1].linear1.register_forward_hook(lambda *_: None)
        assert begun(model).packed is None
        handle.remove()
        assert begun(model).packed is not None
        decoder_of(model).layers[1].activation = torch.tanh
        assert begun(model).packed is None
        decoder_of(model).blocks[1] = decoder.blocks[1]
        assert begun(model).packed is not None
        decoder_of(model).layers[1].linear2 = nn.Sequential(nn.Identity())  # type: ignore[assignment]
        assert begun(model).packed is None


def test_a_step_with_gradients_takes_the_readable_path_from_any_start() -> None:
    model = made()
    with torch.no_grad():
        state = begun(model)
        expected = model.step(torch.tensor([2] * 4), state)[0]
    found, _ = model.step(torch.tensor([2] * 4), state)
    assert found.requires_grad
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_token_outside_of_the_table_is_an_error() -> None:
    model = made()
    with torch.no_grad(), pytest.raises(IndexError, match=f"token {V} .* {V}"):
        model.step(torch.tensor([2, 2, V, 2]), begun(model))


def test_both_paths_go_on_from_one_cache() -> None:
    model, tokens = made(positions="rotary"), tokens_of(len(SOURCES))
    with torch.no_grad():
        state = begun(model)
        for row in tokens[:5]:
            _, state = model.step(row, state)
        one, other = KeyValueCache(2, 16, tokens.float(), rows=4), state.cache
        for k in range(2):
            one.keys[k].copy_(other.keys[k])
            one.values[k].copy_(other.values[k])
        one.written = other.written
        readable = model.step(tokens[5], replace(state, packed=None, cache=one))[0]
        torch.testing.assert_close(model.step(tokens[5], state)[0], readable, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("k", [1, 5, V, V + 7])
@pytest.mark.parametrize("vocabulary", [V, 75, 600])
def test_the_best_are_those_of_all_with_the_same_bits(vocabulary: int, k: int) -> None:
    model = made(tie="none", num_layers=1)
    decoder = decoder_of(model)
    with torch.no_grad():
        decoder.embedding.weight = nn.Parameter(torch.randn(vocabulary, 16))
        decoder.output = SteadyLinear(16, vocabulary)
        decoder.output.weight[8:20:3] = decoder.output.weight[8]  # equals
        decoder.output.bias[8:20:3] = 3.0
        said = model.step(torch.tensor([2] * 4), begun(model))[0]
        found = model.best(torch.tensor([2] * 4), begun(model), k)
    assert found is not None
    values, tokens, state = found
    order = torch.argsort(said, dim=1, descending=True, stable=True)[:, :k]  # of equals the first token is first
    assert torch.equal(tokens, order)
    assert torch.equal(values, said.gather(1, order))
    assert isinstance(state, AttendingState)
    assert state.position == 1


@pytest.mark.parametrize("others", [None, -torch.inf])
def test_nan_is_told_and_refused(others: float | None) -> None:
    model = made()
    with torch.no_grad():
        if others is not None:
            decoder_of(model).output.bias[:] = others
        decoder_of(model).output.bias[7] = torch.nan
        found = model.best(torch.tensor([2] * 4), begun(model), 2)
        assert found is not None
        assert found[0].isnan().all()
        assert model.step(torch.tensor([2] * 4), begun(model))[0].isnan().all()
        with pytest.raises(RunError, match="row 0, step 1: the model's log-probabilities hold NaN"):
            beam_search(model, begun(model), num_rows=4, start=2, end=3, max_length=5)


@pytest.mark.parametrize("beam", [1, 4])
def test_a_search_finds_what_it_finds_when_all_is_said(beam: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, found = made(hidden_size=24, num_heads=3), []
    common: dict[str, Any] = {"num_rows": 4, "start": 2, "end": 3, "max_length": 12}
    for silent in (None, "write_on", "best"):
        if silent:
            monkeypatch.setattr(AttendingDecoder, silent, lambda *_, **__: None)
        with torch.inference_mode():
            state = begun(model)
            found.append(
                greedy(model, state, **common)
                if beam == 1
                else beam_search(model, state, beam=beam, n_best=3, **common)
            )
    assert found[0] == found[1] == found[2]


# Lengths beyond what one native call takes, beyond the first room of the cache, and others for each row.
LENGTHS = (1, 5, 33, 70)


def ending(**options: Any) -> EncoderDecoder:
    """A model whose rows end at steps of their own, and some never."""
    model = made(**options)
    with torch.no_grad():
        decoder_of(model).output.weight.mul_(4.0)
        decoder_of(model).output.bias[3] += 2.0
    return model


@pytest.mark.parametrize("options", WAYS[:-1])
def test_steps_at_once_say_what_steps_one_by_one_say(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, found = ending(**options), []
    for together in (True, False):
        if not together:
            monkeypatch.setattr(AttendingDecoder, "write_on", lambda *_, **__: None)
        with torch.no_grad():
            common: dict[str, Any] = {"num_rows": 4, "start": 2, "end": 3, "max_length": torch.tensor(LENGTHS)}
            found.append([greedy(Speaker(model), begun(model), **common, min_length=low) for low in (0, 2)])
    assert found[0] == found[1]  # tokens and their log-probabilities, bit by bit


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_that_write_on_have_the_same_bits_alone_and_on_two_threads(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "SMALLEST_SHARED_CALL", 0)
    model, before = ending(hidden_size=24, num_heads=3), torch.get_num_threads()
    common: dict[str, Any] = {"start": 2, "end": 3}
    try:
        torch.set_num_threads(threads)
        with torch.no_grad():
            together = greedy(model, begun(model), num_rows=4, max_length=torch.tensor(LENGTHS), **common)
            for n, source in enumerate(SOURCES):
                alone = greedy(model, begun(model, [source]), num_rows=1, max_length=LENGTHS[n], **common)
                assert alone[0] == together[n]
    finally:
        torch.set_num_threads(before)
    assert {len(row[0].tokens) for row in together} != {70}


def test_steps_at_once_leave_what_a_single_step_goes_on_from() -> None:
    model, end = ending(positions="rotary"), 3
    with torch.no_grad():
        left = torch.tensor([9, 2, 9, 9])
        found = decoder_of(model).write_on(torch.tensor([2] * 4), begun(model), end=end, left=left)
        assert found is not None
        log_probs, tokens, rows, after = found
        state, last, live = begun(model), torch.tensor([2] * 4), torch.arange(4)
        for step in range(len(tokens)):
            told = model.best(last, state, 1)
            assert told is not None
            values, chosen, state = told
            assert rows[step].tolist() == [*live.tolist(), *[-1] * (4 - len(live))]
            assert torch.equal(tokens[step, : len(live)], chosen[:, 0])
            assert torch.equal(log_probs[step, : len(live)], values[:, 0])
            stays = (chosen[:, 0] != end) & (step + 1 < left[live])
            last, live, state = chosen[stays, 0], live[stays], model.select(state, torch.nonzero(stays)[:, 0])
        assert isinstance(state, AttendingState)
        assert torch.equal(after.source, state.source)
        if len(live):
            assert torch.equal(model.step(last, after)[0], model.step(last, state)[0])


def test_two_runs_from_one_state_do_not_write_over_each_other() -> None:
    model = ending()
    with torch.no_grad():
        state, left = begun(model), torch.tensor([20] * 4)
        runs = [decoder_of(model).write_on(torch.tensor([t] * 4), state, end=3, left=left) for t in (2, 5, 2)]
        one, _, again = [run or pytest.fail("it is one native call") for run in runs]
    assert torch.equal(one[0], again[0])
    assert torch.equal(one[1], again[1])


def test_a_run_begins_where_the_end_may_come_and_not_where_a_pair_may_not_come_twice() -> None:
    model = made()
    common: dict[str, Any] = {"num_rows": 4, "start": 2, "end": 3, "max_length": 40}
    with torch.no_grad():
        bias = decoder_of(model).output.bias
        bias[3] = 50.0
        assert [len(row[0].tokens) for row in greedy(model, begun(model), **common, min_length=4)] == [4] * 4
        bias[3] = -50.0
        for row in greedy(model, begun(model), **common, no_repeat_ngram=2):
            pairs = list(pairwise(row[0].tokens))
            assert len(pairs) == len(set(pairs)) > 30


def test_a_run_ends_where_the_room_does_though_positions_are_known_beyond() -> None:
    model, found = made(), []
    with torch.no_grad():
        decoder_of(model).output.bias[3] = -50.0
        state = begun(model)  # positions are made for all searches from a state, keys for each
        for low in (0, 2, 0, 2):
            found.append(greedy(model, state, num_rows=4, start=2, end=3, max_length=70, min_length=low))
    assert found[0] == found[1] == found[2] == found[3]
    assert {len(row[0].tokens) for row in found[0]} == {70}


def test_what_stands_behind_the_last_row_of_a_step_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    model, write_on, found = ending(), AttendingDecoder.write_on, []
    common: dict[str, Any] = {"num_rows": 4, "start": 2, "end": 3, "max_length": torch.tensor(LENGTHS)}

    def littered(*given: Any, **options: Any) -> Any:
        values, tokens, rows, state = write_on(*given, **options) or pytest.fail("it is one native call")
        values.view(torch.int32)[rows < 0] = 0x7F800001  # a signalling NaN
        return values, tokens.masked_fill(rows < 0, -(2**40)), rows, state

    with torch.no_grad():
        found.append(greedy(model, begun(model), **common))
        monkeypatch.setattr(AttendingDecoder, "write_on", littered)
        found.append(greedy(model, begun(model), **common))
    assert found[0] == found[1]


def test_what_is_never_said_is_passed_over_and_a_row_without_a_token_ends_the_run() -> None:
    model = made()
    with torch.no_grad():
        decoder_of(model).output.bias[torch.tensor([PAD, BOS])] = 50.0
        found = greedy(Speaker(model), begun(model), num_rows=4, start=2, end=3, max_length=40)
        assert not {PAD, BOS} & {token for row in found for token in row[0].tokens}
        decoder_of(model).output.bias[:] = -torch.inf
        decoder_of(model).output.bias[PAD] = 0.0
        with pytest.raises(RunError, match="row 0, step 1: no token may follow"):
            greedy(Speaker(model), begun(model), num_rows=4, start=2, end=3, max_length=40)


@pytest.mark.parametrize("step", [1, 6])
def test_nan_in_the_midst_of_a_run_names_row_and_step(step: int) -> None:
    model, common = made(positions="learned", tie="none"), {"num_rows": 4, "start": 2, "end": 3, "max_length": 40}
    with torch.no_grad():
        table = decoder_of(model).places.table
        assert table is not None
        decoder_of(model).output.bias[3] = -50.0
        table.weight[step - 1] = torch.nan
        with pytest.raises(RunError, match=f"row 0, step {step}: the model's log-probabilities hold NaN"):
            greedy(model, begun(model), **common)


def test_a_token_outside_of_the_table_is_an_error_of_a_run_too() -> None:
    model = made()
    with torch.no_grad(), pytest.raises(IndexError, match=f"token {V} .* {V}"):
        decoder_of(model).write_on(torch.tensor([2, 2, V, 2]), begun(model), end=3, left=torch.tensor([9] * 4))


def test_a_run_wants_the_steps_that_are_left_to_each_row() -> None:
    model = made()
    with torch.no_grad(), pytest.raises(ShapeError, match=r"4 rows: left has shape \(3,\), expected \(4,\)"):
        decoder_of(model).write_on(torch.tensor([2] * 4), begun(model), end=3, left=torch.tensor([9] * 3))


@pytest.mark.parametrize("vocabulary", [V, 75, 600])
@pytest.mark.parametrize("rows", [1, 5, 14, 15, 43, 85])
def test_many_rows_are_told_in_pieces_with_the_bits_of_one(rows: int, vocabulary: int) -> None:
    model = made(tie="none", num_layers=1)
    decoder = decoder_of(model)
    with torch.no_grad():
        decoder.embedding.weight = nn.Parameter(torch.randn(vocabulary, 16))
        decoder.output = SteadyLinear(16, vocabulary)
        tokens = torch.arange(rows) % 7
        said = model.best(tokens, begun(model, [[5, 6]] * rows), 2)
        alone = model.best(tokens[:1], begun(model, [[5, 6]]), 2)
        all_said = model.step(tokens, begun(model, [[5, 6]] * rows))[0]
    assert said is not None
    assert alone is not None
    assert torch.equal(said[0][0], alone[0][0])
    assert torch.equal(said[0], all_said.topk(2, 1).values)


def test_threads_with_unequal_shares_of_the_rows_have_room_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 205 rows one thread takes 102, which hold more logits of each at once than the 103 of the other."""
    monkeypatch.setattr(cpu, "SMALLEST_SHARED_CALL", 0)
    model, rows, before = made(tie="none", hidden_size=64, num_layers=4), 205, torch.get_num_threads()
    decoder, said = decoder_of(model), []
    try:
        with torch.no_grad():
            decoder.embedding.weight = nn.Parameter(torch.randn(2000, 64))
            decoder.output = SteadyLinear(64, 2000)
            state, tokens = begun(model, [[5, 6]] * rows), torch.arange(rows) % 7
            for threads in (1, *[2] * 8):
                torch.set_num_threads(threads)
                said.append(model.best(tokens, state, 2) or pytest.fail("it is one native call"))
    finally:
        torch.set_num_threads(before)
    for other in said[1:]:
        assert torch.equal(other[0], said[0][0])
        assert torch.equal(other[1], said[0][1])


def test_padding_and_starts_are_never_said() -> None:
    model = made()
    with torch.no_grad():
        decoder_of(model).output.bias[torch.tensor([PAD, BOS])] = 50.0
        told = Speaker(model).best(torch.tensor([2] * 4), begun(model), 3)
        said, _ = Speaker(model).step(torch.tensor([2] * 4), begun(model))
    assert told is not None
    assert torch.equal(told[1], said.topk(3, 1).indices)
    assert torch.equal(told[0], said.topk(3, 1).values)


def test_a_model_that_becomes_float64_between_steps_leaves_the_steps_as_they_were() -> None:
    model, tokens, found = made(), tokens_of(4)[:3], []
    with torch.no_grad():
        for changes in (False, True):
            state = begun(model)
            if changes:
                model.double()
                taken = [torch.full((16,), torch.nan) for _ in range(500)]  # memory that the model has given back
            said = []
            for row in tokens:
                log_probs, state = model.step(row, state)
                said.append(log_probs)
            found.append(torch.stack(said))
    assert len(taken) == 500
    assert torch.equal(*found)


def test_parts_of_other_sizes_take_the_readable_path() -> None:
    def narrow(decoder: AttendingDecoder) -> None:
        decoder.layers[1].linear1 = nn.Linear(16, 8)

    def normed(decoder: AttendingDecoder) -> None:
        decoder.layers[0].norm2 = nn.LayerNorm(8)

    def last(decoder: AttendingDecoder) -> None:
        decoder.norm = nn.LayerNorm(8)

    def wide(decoder: AttendingDecoder) -> None:
        decoder.embedding.weight = nn.Parameter(torch.randn(V, 20))

    for change in (narrow, normed, last, wide):
        model = made(tie="none")
        change(decoder_of(model))
        with torch.no_grad():
            state = begun(model.eval())
            assert state.packed is None
            with pytest.raises(RuntimeError, match=r"shape|size"):
                model.step(torch.tensor([2] * 4), state)


def test_an_output_of_other_tokens_and_layers_of_other_heads_take_the_readable_path() -> None:
    model = made(tie="none")
    with torch.no_grad():
        decoder_of(model).output = SteadyLinear(16, V - 9)
        state = begun(model)
        assert state.packed is None
        assert model.step(torch.tensor([2] * 4), state)[0].shape == (4, V - 9)
        model = made()
        decoder_of(model).blocks[1] = decoder_of(made(num_heads=4)).blocks[1]
        assert begun(model).packed is None


@pytest.mark.parametrize("k", [0, -1])
def test_the_best_of_none_is_refused(k: int) -> None:
    model = made()
    with torch.no_grad(), pytest.raises(ConfigError, match=f"k is {k}, expected 1 or more"):
        model.best(torch.tensor([2] * 4), begun(model), k)
