"""Packed weights of a search are kept for the next one, and never used for weights that have changed."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.seq2seq_room import V, batch
from recurra.base.errors import ConfigError, ShapeError
from recurra.decode import beam_search
from recurra.engine import cpu
from recurra.engine.kept_plan import KeptPlan
from recurra.models import EncoderDecoder
from recurra.models.encoders import ENCODERS
from recurra.nn import GRU, LSTM
from recurra.nn.incremental import IncrementalRNN

pytestmark = pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")
SOURCES = ([5, 6, 7, 8, 4, 9, 10, 11], [9, 4], [6, 6, 6])
DECODERS = ("recurrent", "transformer")


def made(word: str, **options: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, **({"num_heads": 2} if word == "transformer" else {"embedding_size": 12})}
    return EncoderDecoder(
        {"tokens": V, "target": V},
        inputs={"name": "tokens", "embedding_size": 16},
        encoder={"name": "recurrent", "hidden_size": 8, "bidirectional": True},
        decoder={"name": word, **sizes, **options},
    ).eval()


def said(model: EncoderDecoder) -> Tensor:
    """Log-probabilities of two steps of a search."""
    with torch.no_grad():
        state = model.start(batch(SOURCES, [[2]] * len(SOURCES)))
        first, state = model.step(torch.tensor([2, 5, 6]), state)
        return torch.stack([first, model.step(torch.tensor([7, 5, 2]), state)[0]])


def anew(model: EncoderDecoder) -> Tensor:
    """The same by a copy, which has kept nothing."""
    return said(copy.deepcopy(model))


def plan_of(model: EncoderDecoder) -> Any:
    return model.decoder.kept_plan._last[1]


def in_data(p: nn.Parameter) -> None:
    p.data.view(-1)[-1] += 1.0


def by_numpy(p: nn.Parameter) -> None:
    p.detach().numpy().reshape(-1)[0] -= 1.0


def data_exchanged(p: nn.Parameter) -> None:
    p.data = torch.randn(p.shape, generator=torch.Generator().manual_seed(3))


def exchanged_and_back(p: nn.Parameter) -> None:
    """The same numbers in other memory, and then other numbers in the old one."""
    old = p.data
    p.data = old.clone()
    old += 1.0


@pytest.mark.parametrize("word", DECODERS)
@pytest.mark.parametrize("write", [in_data, by_numpy, data_exchanged, exchanged_and_back])
def test_any_write_to_any_parameter_of_a_decoder_is_seen(word: str, write: Callable[[nn.Parameter], None]) -> None:
    model = made(word)
    said(model)
    for name, parameter in model.decoder.named_parameters():
        with torch.no_grad():
            write(parameter)
        assert torch.equal(said(model), anew(model)), name


@pytest.mark.parametrize("word", DECODERS)
def test_a_second_search_uses_what_the_first_one_packed(word: str) -> None:
    model = made(word)
    first = said(model)
    plan = plan_of(model)
    assert model.decoder.kept_plan.nbytes > 0
    assert torch.equal(said(model), first)
    assert plan_of(model) is plan
    in_data(model.decoder.output.weight)
    said(model)
    assert plan_of(model) is not plan


@pytest.mark.parametrize("word", DECODERS)
def test_a_search_has_its_weights_whatever_is_written_meanwhile(word: str) -> None:
    model = made(word)
    said(model)
    with torch.no_grad():
        states = [model.start(batch(SOURCES, [[2]] * 3)) for _ in range(2)]
        first = model.step(torch.tensor([2, 2, 2]), states[0])[0]
        model.decoder.output.bias.zero_()  # the matrix may be the table, which is read where it is
        said(model)  # which packs others
        assert torch.equal(model.step(torch.tensor([2, 2, 2]), states[1])[0], first)


@pytest.mark.parametrize("word", DECODERS)
def test_training_drops_what_was_kept_and_a_copy_has_nothing(word: str) -> None:
    model = made(word)
    said(model)
    assert copy.deepcopy(model).decoder.kept_plan.nbytes == 0
    model(batch(SOURCES, [[2, 5, 6]] * 3))
    assert model.decoder.kept_plan.nbytes == 0


@pytest.mark.parametrize("word", DECODERS)
def test_a_search_in_another_type_drops_what_was_kept(word: str) -> None:
    model = made(word)
    said(model)
    said(model.double())
    assert model.decoder.kept_plan.nbytes == 0


@pytest.mark.parametrize("word", DECODERS)
@pytest.mark.parametrize("k", [0, -1])
def test_the_best_none_of_a_step_are_refused(word: str, k: int) -> None:
    """As a native call, 0 means all of them, which have no room."""
    model = made(word)
    with torch.no_grad():
        state = model.start(batch(SOURCES, [[2]] * 3))
        with pytest.raises(ConfigError, match=f"^k is {k}, expected 1 or more"):
            model.best(torch.tensor([2, 5, 6]), state, k)


def test_an_output_layer_refuses_what_is_no_float32_of_its_width() -> None:
    model = made("recurrent", attention="multi_head")
    with torch.no_grad():
        plan = model.start(batch(SOURCES, [[2]] * 3)).output
        assert plan is not None
        for x in (torch.zeros(2, 16).double(), torch.zeros(2, 16).bfloat16(), torch.zeros(2, 15), torch.zeros(16)):
            with pytest.raises(ShapeError, match=r"^an output layer of 16 numbers: x has shape"):
                plan.log_probs(x)


@pytest.mark.parametrize("options", [{}, {"attention": "general", "style": "luong", "input_feeding": True}])
def test_the_best_of_a_recurrent_step_are_the_greatest_of_all(options: dict[str, Any]) -> None:
    model = made("recurrent", **options)
    with torch.no_grad():
        states = [model.start(batch(SOURCES, [[2]] * 3)) for _ in range(2)]
        tokens = torch.tensor([2, 5, 6])
        all_of, states[0] = model.step(tokens, states[0])
        values, places, states[1] = model.best(tokens, states[1], 4)
        wanted = all_of.topk(4)
        assert torch.equal(values, wanted.values)
        assert torch.equal(places, wanted.indices)
        torch.testing.assert_close(states[1].states, states[0].states, rtol=0, atol=0)


def test_the_output_layer_says_what_its_equation_says() -> None:
    model = made("recurrent", attention="multi_head")
    with torch.no_grad():
        state = model.start(batch(SOURCES, [[2]] * 3))
        assert state.output is not None
        x = torch.randn(7, 16)
        logits = x.double() @ model.decoder.output.weight.double().T + model.decoder.output.bias.double()
        torch.testing.assert_close(state.output.log_probs(x).double(), logits.log_softmax(1), rtol=1e-5, atol=2e-6)
        alone = torch.cat([state.output.log_probs(row) for row in x.split(1)])
        assert torch.equal(alone, state.output.log_probs(x))


def packed(model: Any, begun: Any) -> bool:
    """Whether anything of a step is packed beside the layers."""
    state = model.start(begun)
    return state.packed is not None or state.output is not None


def test_a_copying_decoder_a_hook_and_gradients_take_the_readable_path() -> None:
    model = made("recurrent")
    begun = batch(SOURCES, [[2]] * 3)
    assert not packed(model, begun)  # gradients
    with torch.no_grad():
        state = model.start(begun)
    assert model.best(torch.tensor([2, 2, 2]), state, 2) is None
    assert model.step(torch.tensor([2, 2, 2]), state)[0].requires_grad
    with torch.no_grad():
        handle = model.decoder.output.register_forward_hook(lambda *_: None)
        assert not packed(model, begun)
        handle.remove()
        with torch.autocast("cpu", torch.bfloat16):
            assert not packed(model, begun)
        assert not packed(model.double(), begun)


def test_a_beam_finds_the_same_by_the_best_and_by_all() -> None:
    model = made("recurrent")

    class All:
        step, select = model.step, model.select

    options: dict[str, Any] = {"num_rows": 3, "start": 2, "end": 3, "max_length": 7, "beam": 4, "n_best": 2}
    with torch.no_grad():
        one, other = (beam_search(steps, model.start(batch(SOURCES, [[2]] * 3)), **options) for steps in (model, All()))
    assert [[h.tokens for h in row] for row in one] == [[h.tokens for h in row] for row in other]


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_steppers_share_the_packed_form_of_the_same_weights(kind: type[LSTM] | type[GRU]) -> None:
    torch.manual_seed(0)
    layer = kind(6, 11, num_layers=2)
    x, states = torch.randn(3, 6), [tuple(torch.randn(3, 11) for _ in layer.cell.states) for _ in range(2)]
    with torch.no_grad():
        one = IncrementalRNN(layer)
        held = [short.kept_bytes for short in layer._shortest]
        assert held == [stepper.nbytes for stepper in one.steppers]
        first = one(x, states)
        assert _equal(IncrementalRNN(layer)(x, states), first)
        layer.weight_hh_l1.data[0, 0] += 1.0
        changed = IncrementalRNN(layer)(x, states)
        assert not _equal(changed, first)
        assert _equal(changed, IncrementalRNN(copy.deepcopy(layer))(x, states))
        assert _equal(one(x, states), first)


def _equal(one: Any, other: Any) -> bool:
    return all(torch.equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))


class Packed:
    nbytes = 5


def test_what_is_made_of_the_same_weights_with_other_options_is_another_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: KeptPlan[Packed] = KeptPlan()
    weight, norm = torch.randn(4, 3), torch.ones(3)
    first = kept.of([weight], [norm], "relu", Packed)
    assert kept.of([weight], [norm], "relu", Packed) is first
    second = kept.of([weight], [norm], "gelu", Packed)
    assert second is not first
    assert kept.of([weight.view(3, 4)], [norm], "gelu", Packed) is not second
    third = kept.of([weight], [norm], "gelu", Packed)
    assert kept.of([weight], [norm.clone()], "gelu", Packed) is not third  # read where it is
    assert kept.nbytes == 5
    plans = []
    for isa in cpu.instruction_sets():
        monkeypatch.setattr(cpu, "instruction_set", lambda isa=isa: isa)
        plans.append(kept.of([weight], [norm], "gelu", Packed))
    assert all(one is not other for one, other in itertools.pairwise(plans))


def test_what_is_written_to_while_it_is_packed_is_not_kept() -> None:
    kept: KeptPlan[Packed] = KeptPlan()
    weight = torch.zeros(4, 3)

    def make() -> Packed:
        weight[0, 0] += 1.0
        return Packed()

    first = kept.of([weight], [], "", make)
    assert kept.nbytes == 0
    assert kept.of([weight], [], "", Packed) is not first


def test_numbers_of_a_norm_that_do_not_lie_in_order_are_copied_and_known_by_what_they_are() -> None:
    kept: KeptPlan[Packed] = KeptPlan()
    weight, norm = torch.randn(4, 3), torch.ones(6)[::2]
    first = kept.of([weight], [norm], "", Packed)
    assert kept.of([weight], [norm], "", Packed) is first
    norm[1] = 2.0
    assert kept.of([weight], [norm], "", Packed) is not first


def test_an_encoder_that_writes_keeps_its_packed_layers() -> None:
    torch.manual_seed(0)
    encoder = ENCODERS["transformer"](12, hidden_size=16, num_heads=2, num_layers=2, causal=True, window=5).eval()
    x = torch.randn(3, 12)
    with torch.no_grad():
        first = encoder.incremental()(x, {})[0]
        plan = encoder.kept_plan._last[1]
        assert torch.equal(encoder.incremental()(x, {})[0], first)
        assert encoder.kept_plan._last[1] is plan
        for name, parameter in encoder.blocks.named_parameters():
            in_data(parameter)
            made = encoder.incremental()(x, {})[0]
            assert torch.equal(made, copy.deepcopy(encoder).incremental()(x, {})[0]), name
    encoder(torch.randn(4, 3, 12), torch.tensor([4, 2, 3]), {})
    assert encoder.kept_plan.nbytes == 0


def test_a_decoder_says_what_takes_its_steps() -> None:
    recurrent, attending = made("recurrent"), made("transformer")
    assert recurrent.decoder.steps_run() == "each is one native call"
    heads = made("recurrent", attention="multi_head")
    assert heads.decoder.steps_run() == "layers and the output layer run natively"
    assert attending.decoder.steps_run() == "each is one native call"
    assert made("recurrent", copying=True, backend="reference").decoder.steps_run() == "layers run one by one"
    assert attending.double().decoder.steps_run() == "layers run one by one"
