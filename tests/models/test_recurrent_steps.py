"""A recurrent decoder's step in one native call: attention in NumPy, bits, and where parts run one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.seq2seq_room import V, batch, small
from recurra.base.errors import ShapeError
from recurra.data.tokenizers import BOS, EOS
from recurra.decode import beam_search
from recurra.engine import Stepper, cpu
from recurra.engine.recurrent_decoder import (
    RecurrentDecoderNumbers,
    RecurrentDecoderPlan,
    RowsBefore,
    ScoreNumbers,
)
from recurra.engine.transformer import LinearNumbers
from recurra.models import EncoderDecoder
from recurra.models.decoders.decoder import Decoder, DecoderState
from recurra.models.decoders.packed_recurrent import fit_together
from recurra.nn import Recurrent
from recurra.tasks.translation.search import Speaker

pytestmark = pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")

WAYS: dict[str, dict[str, Any]] = {
    "bahdanau": {"hidden_size": 19, "num_layers": 2, "dropout": 0.2},
    "concat": {"cell": "gru", "attention": {"name": "concat", "hidden_size": 21}, "hidden_size": 40},
    "dot": {"attention": "dot", "style": "luong", "decoder_size": 8},
    "scaled": {"attention": "scaled_dot", "cell": "rnn", "style": "luong", "input_feeding": True, "decoder_size": 8},
    "general": {"attention": "general", "style": "luong", "input_feeding": True, "cell": "gru", "hidden_size": 18},
    "additive, after": {"style": "luong", "input_feeding": True, "readout_size": 11},
    "state": {"readout": "state", "cell": "gru"},
    "cho": {"attention": "none", "style": "cho", "num_layers": 2},
    "sutskever": {"attention": "none", "cell": "gru"},
}
SOURCES = ([5, 6, 7, 8, 4, 9, 10, 11, 4, 4, 5, 6, 7, 8, 9, 5, 5, 6], [9, 4], [], [6, 6, 6])


def made(name: str) -> EncoderDecoder:
    model = small(**WAYS[name])
    for p in model.parameters():
        torch.nn.init.normal_(p, 0.0, 0.4)
    return model.eval()


def begun(model: EncoderDecoder, sources: Any = SOURCES) -> DecoderState:
    state = model.start(batch(sources, [[2]] * len(sources)))
    assert isinstance(state, DecoderState)
    return state


@pytest.mark.parametrize("name", WAYS)
def test_rows_moved_repeated_and_dropped_say_what_parts_one_by_one_say(name: str) -> None:
    """Beside the readable path in float64, which is held to the papers elsewhere."""
    model, random = made(name), np.random.default_rng(0)
    readable = made(name).double()
    with torch.no_grad():
        state, other = begun(model), begun(readable)
        assert state.packed is not None
        assert other.packed is None
        rows = len(SOURCES)
        for _ in range(6):
            tokens = torch.from_numpy(random.integers(4, V, 2 * rows))[::2]  # that lie apart
            found, state = model.step(tokens, state)
            wanted, other = readable.step(tokens, other)
            torch.testing.assert_close(found.double(), wanted, rtol=2e-5, atol=2e-5)  # float32 beside float64
            chosen = torch.from_numpy(np.sort(random.integers(0, rows, 5)))
            state, other = model.select(state, chosen), readable.select(other, chosen)
            rows = len(chosen)


@pytest.mark.parametrize("name", WAYS)
def test_a_row_has_the_same_bits_alone_among_others_and_on_two_threads(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "SMALLEST_SHARED_CALL", 0)
    model, threads = made(name), torch.get_num_threads()
    with torch.no_grad():
        states = [begun(model), begun(model), *(begun(model, [source]) for source in SOURCES)]
        for row in torch.randint(4, V, (5, len(SOURCES)), generator=torch.Generator().manual_seed(1)):
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


@pytest.mark.parametrize("name", ["bahdanau", "general"])
def test_a_search_says_the_same_bits_alone_and_in_a_batch(name: str) -> None:
    model = made(name)
    common: dict[str, Any] = {"start": BOS, "end": EOS, "max_length": 7, "beam": 3}
    with torch.no_grad():
        together = beam_search(Speaker(model), begun(model), num_rows=len(SOURCES), **common)
        for n, source in enumerate(SOURCES):
            (alone,) = beam_search(Speaker(model), begun(model, [source]), num_rows=1, **common)
            assert alone[0] == together[n][0]


def test_the_best_are_those_of_all() -> None:
    model = made("bahdanau")
    with torch.no_grad():
        state, tokens = begun(model), torch.tensor([4, 5, 6, 7])
        values, chosen, _ = model.best(tokens, state, 3) or pytest.fail("the decoder has to say all")
        wanted = model.step(tokens, state)[0].topk(3)
        assert torch.equal(values, wanted.values)
        assert torch.equal(chosen, wanted.indices)


def attended(queries: np.ndarray, keys: np.ndarray, values: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Contexts (B, M) by queries (B, K): Bahdanau et al. 2015, A.1.2, in float64."""
    energy = np.tanh(queries[:, None] + keys) @ v
    weights = np.exp(energy - energy.max(1, keepdims=True))
    return np.einsum("bt,btm->bm", weights / weights.sum(1, keepdims=True), values)


@pytest.mark.parametrize(("query", "key"), [(1.0, 1.0), (30.0, 1.0), (60.0, 16.0), (1.0, 40.0), (90.0, 90.0)])
def test_scores_are_those_of_the_paper_however_large_queries_and_keys_are(query: float, key: float) -> None:
    """The readout is what the output layer says of the context, an identity: log-softmax of the context itself.

    query, key: how far from zero; beyond 17 and 44 exponentials are taken another way, or not at all.
    """
    B, T, K, M, random = 3, 21, 19, 8, np.random.default_rng(4)
    eye = torch.cat([torch.eye(M), torch.zeros(M, K)], 1)
    joint = LinearNumbers(torch.cat([eye, torch.zeros(M, M + K)]).contiguous(), None)
    numbers = RecurrentDecoderNumbers(
        table=torch.zeros(2 * M, 4),
        width=K,
        context=M,
        score=ScoreNumbers(K, LinearNumbers(torch.eye(K), None), torch.linspace(-1, 1, K)),
        readout="tanh",
        joint=joint,
        output=LinearNumbers(torch.eye(2 * M), None),
        attends="before",
        feeds="context",
    )
    keys, values = random.uniform(-key, key, (B, T, K)), random.normal(size=(B, T, M)) * 0.3
    keys[0, :, 0] = key  # the farthest itself
    h = random.uniform(-query, query, (B, K))
    h[0, 0] = -query
    plan = RecurrentDecoderPlan(numbers)
    sources = plan.sources(*(torch.tensor(a, dtype=torch.float32) for a in (keys, values)), torch.full((B,), T))
    found = said(plan, sources, torch.tensor(h, dtype=torch.float32), 4 + M)
    context = np.concatenate([np.tanh(attended(h, keys, values, np.linspace(-1, 1, K))), np.zeros((B, M))], 1)
    wanted = context - np.log(np.exp(context).sum(1, keepdims=True))
    np.testing.assert_allclose(found.numpy(), wanted, atol=5e-6)  # queries of 90 have 8e-6 between neighbours


def said(plan: RecurrentDecoderPlan, sources: Any, h: Tensor, inputs: int) -> Tensor:
    """What a step with a GRU of zeros says of states h, which it does not change before they attend."""
    layers = Recurrent(inputs, h.shape[1], cell="gru")
    for p in layers.parameters():
        torch.nn.init.zeros_(p)
    before = RowsBefore(((h,),), torch.arange(len(h)), None, None)
    tokens = torch.zeros(len(h), dtype=torch.int64)
    with torch.no_grad():
        return plan.log_probs(tokens, before, [Stepper(layers.weights_of(0, 0))], sources, None)[0]


def test_tokens_rows_and_numbers_that_are_not_there_are_refused() -> None:
    model = made("bahdanau")
    with torch.no_grad():
        state = begun(model)
        with pytest.raises(IndexError, match=f"token {V} is not one of the {V}"):
            model.step(torch.tensor([4, V, 4, 4]), state)
        with pytest.raises(ShapeError, match="3 tokens, expected 4"):
            model.step(torch.tensor([4, 4, 4]), state)
        with pytest.raises(IndexError, match="row 4 is not one of 4"):
            model.step(torch.tensor([4]), model.select(state, torch.tensor([4])))


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "multi_head"},
        {"attention": {"name": "additive", "coverage": True}},
        {"attention": {"name": "local_monotonic", "window": 1}, "style": "luong"},
        {"attention": {"name": "local_predictive", "window": 2}, "style": "luong"},
        {"copying": True},
    ],
    ids=str,
)
def test_a_kind_of_attention_that_a_native_step_does_not_know_is_not_taken_for_another(options: dict[str, Any]) -> None:
    model, readable = small(**options).eval(), small(**options).double().eval()
    given = batch(SOURCES, [[2]] * len(SOURCES), SOURCES if "copying" in options else None)
    with torch.no_grad():
        states = [each.start(given) for each in (model, readable)]
        assert isinstance(states[0], DecoderState)
        assert states[0].packed is None
        for token in (4, 5):
            tokens, told = torch.full((len(SOURCES),), token), []
            for k, each in enumerate((model, readable)):
                found, states[k] = each.step(tokens, states[k])
                told.append(found.double())
            torch.testing.assert_close(*told, rtol=2e-5, atol=2e-5)  # float32 beside float64


def test_parts_run_one_by_one_where_a_native_step_does_not_know_them() -> None:
    model = made("bahdanau")
    assert begun(model).packed is None  # gradients
    with torch.no_grad():
        assert begun(model).packed is not None
        assert isinstance(model.decoder, Decoder)
        assert model.decoder.steps_run() == "each is one native call"
        model.decoder.readout.register_forward_hook(lambda *_: None)
        assert begun(model).packed is None
        assert model.decoder.steps_run() == "layers and the output layer run natively"


def test_a_state_that_was_packed_goes_on_with_gradients() -> None:
    model = made("general")
    tokens = torch.tensor([4, 5, 6, 7])
    with torch.no_grad():
        _, state = model.step(tokens, begun(model))
        state = model.select(state, torch.tensor([0, 0, 3]))
        wanted, _ = model.step(tokens[:3], state)
    found, _ = model.step(tokens[:3], state)
    assert found.requires_grad
    torch.testing.assert_close(found.detach(), wanted, rtol=1e-5, atol=1e-5)


def test_rows_that_are_chosen_twice_before_a_step_are_the_chosen_of_the_chosen() -> None:
    model, tokens = made("bahdanau"), torch.tensor([4, 5, 6])
    with torch.no_grad():
        _, state = model.step(torch.tensor([4, 5, 6, 7]), begun(model))
        twice = model.select(model.select(state, torch.tensor([3, 1, 1, 0])), torch.tensor([2, 0, 3]))
        wanted, _ = model.step(tokens, model.select(state, torch.tensor([1, 3, 0])))
        assert torch.equal(model.step(tokens, twice)[0], wanted)


def test_first_states_of_another_width_number_or_type_do_not_reach_native_code() -> None:
    layer, h, c = Recurrent(3, 5, cell="lstm"), torch.zeros(2, 5), torch.zeros(2, 5)
    with torch.no_grad():
        layers = [Stepper(layer.weights_of(0, 0))]
    assert fit_together([(h, c)], layers, h)
    for states in ([(h, c[:, :4])], [(h,)], [(h, c), (h, c)], [(h, c.double())], [(h, c.to("meta"))]):
        assert not fit_together(states, layers, h)
    assert not fit_together([(h, c)], layers, h.double())
