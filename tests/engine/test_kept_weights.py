"""The packed form of a layer's weights is kept from call to call, and never used for weights that have changed."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from torch import nn

from recurra.engine import cpu
from recurra.nn import GRU, LSTM, Recurrent
from training.toys import exit_of, fork_child

pytestmark = pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")

X = torch.randn(3, 2, 6, generator=torch.Generator().manual_seed(0))
OTHER = torch.Generator().manual_seed(9)


def kept_bytes(layer):
    return sum(one.kept_bytes for one in layer._shortest)


def infer(layer, x=X):
    with torch.no_grad():
        return layer(x)[0]


def fresh(layer, x=X):
    """The same by a layer that has kept nothing, of the same numbers."""
    other = type(layer)(layer.input_size, layer.hidden_size)
    other.load_state_dict({name: t.detach().clone() for name, t in layer.state_dict().items()})
    return infer(other, x)


def warm(kind=LSTM):
    """A layer that has kept the packed form of its weights."""
    torch.manual_seed(1)
    layer = kind(6, 11)
    for _ in range(3):
        infer(layer)
    assert kept_bytes(layer) > 0
    return layer


def in_data(layer):
    layer.weight_hh_l0.data[3, 4] += 1.0


def in_data_by_copy(layer):
    layer.weight_ih_l0.data.copy_(torch.randn(44, 6, generator=OTHER))


def data_exchanged(layer):
    layer.weight_hh_l0.data = torch.randn(44, 11, generator=OTHER)


def without_gradients(layer):
    with torch.no_grad():
        layer.bias_ih_l0[5] = 2.0


def copied(layer):
    with torch.no_grad():
        layer.weight_hh_l0.copy_(torch.randn(44, 11, generator=OTHER))


def loaded(layer):
    layer.load_state_dict({name: torch.randn(t.shape, generator=OTHER) for name, t in layer.state_dict().items()})


def assigned(layer):
    made = {name: torch.randn(t.shape, generator=OTHER) for name, t in layer.state_dict().items()}
    layer.load_state_dict(made, assign=True)


def stepped(kind, **options):
    def step(layer):
        layer(X)[0].square().sum().backward()
        kind(layer.parameters(), lr=0.1, **options).step()

    return step


def from_a_vector(layer):
    numbers = sum(p.numel() for p in layer.parameters())
    nn.utils.vector_to_parameters(torch.randn(numbers, generator=OTHER), layer.parameters())


def by_numpy(layer):
    layer.weight_hh_l0.detach().numpy()[0, 0] = 3.0


def by_another_view(layer):
    torch.as_strided(layer.weight_ih_l0.detach(), (2,), (1,)).mul_(-1.0)


def by_its_storage(layer):
    layer.weight_ih_l0.untyped_storage().copy_(torch.randn(44, 6, generator=OTHER).untyped_storage())


def set_to_another(layer):
    with torch.no_grad():
        layer.weight_hh_l0.set_(torch.randn(44, 11, generator=OTHER))


def another_parameter(layer):
    layer.weight_ih_l0 = nn.Parameter(torch.randn(44, 6, generator=OTHER))


def biases_exchanged(layer):
    one, other = layer.bias_ih_l0, layer.bias_hh_l0
    layer.bias_ih_l0, layer.bias_hh_l0 = other, nn.Parameter(one.detach() * 2)


def two_numbers_exchanged(layer):
    row = layer.weight_hh_l0.data[0]
    row[[0, 1]] = row[[1, 0]]


def two_signs_turned(layer):
    layer.weight_hh_l0.data[:, [2, 3]] *= -1.0


def all_signs_turned(layer):
    for p in layer.parameters():
        p.data.neg_()


def frozen_and_initialized_anew(layer):
    layer.requires_grad_(requires_grad=False)
    layer.reset_parameters()


def in_inference_mode(layer):
    with torch.inference_mode():
        layer.weight_hh_l0.data.add_(0.5)


WRITES = [
    in_data, in_data_by_copy, data_exchanged, without_gradients, copied, loaded, assigned, stepped(torch.optim.SGD),
    stepped(torch.optim.Adam), stepped(torch.optim.AdamW, fused=True), stepped(torch.optim.SGD, foreach=True),
    from_a_vector, by_numpy, by_another_view, by_its_storage, set_to_another, another_parameter, biases_exchanged,
    two_numbers_exchanged, two_signs_turned, all_signs_turned, frozen_and_initialized_anew, in_inference_mode,
]  # fmt: skip


@pytest.mark.parametrize("isa", cpu.instruction_sets())
@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__qualname__)
def test_a_write_of_any_kind_is_seen_by_the_next_call(write, isa, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    layer = warm()
    before = infer(layer)
    write(layer)
    expected = fresh(layer)
    assert not torch.equal(before, expected)
    for _ in range(4):  # seen, kept, used
        assert torch.equal(infer(layer), expected)
    assert kept_bytes(layer) > 0


@pytest.mark.parametrize("isa", cpu.instruction_sets())
def test_every_bit_of_every_weight_counts(isa, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    layer = warm(GRU)
    for parameter in layer.parameters():
        words = parameter.detach().view(torch.int32).view(-1)
        for place in range(0, words.numel(), max(1, words.numel() // 40)):
            for _ in range(2):
                infer(layer)
            held = kept_bytes(layer)
            words[place] ^= 1 << (place % 31)
            infer(layer)
            assert (held > 0, kept_bytes(layer)) == (True, 0)


def many_ways(layer):
    """Calls that go the long way: lengths, states that are given, pieces of several layers and directions."""
    wide = torch.randn(3, 2, 22, generator=torch.Generator().manual_seed(3))
    (h, c) = (torch.ones(layer.num_layers * layer.num_directions, 2, 11) for _ in "hc")
    with torch.no_grad():
        made = [layer(X, lengths=[3, 1]), layer(X, (h, c)), layer(wide[:, :, :6])]
    return [t for output, states in made for t in (output, *states)]


@pytest.mark.parametrize("write", [in_data, loaded, stepped(torch.optim.Adam), by_numpy, all_signs_turned])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_every_layer_and_direction_keeps_its_own_on_the_long_way_too(write, options):
    torch.manual_seed(2)
    layer = LSTM(6, 11, **options)
    for _ in range(2):
        before = many_ways(layer)
    assert all(one.kept_bytes > 0 for one in layer._shortest)
    write(layer)
    other = LSTM(6, 11, **options)
    other.load_state_dict(copy.deepcopy(layer.state_dict()))
    expected = many_ways(other)
    for _ in range(3):
        found = many_ways(layer)
        assert all(map(torch.equal, found, expected))
    assert not any(map(torch.equal, found[:2], before[:2]))


def test_weights_that_were_written_back_need_no_packing_again():
    layer = warm()
    kept = layer.weight_hh_l0.detach().clone()
    layer.weight_hh_l0.data.mul_(2.0)
    layer.weight_hh_l0.data.copy_(kept)
    assert torch.equal(infer(layer), fresh(layer))
    assert kept_bytes(layer) > 0


def test_nothing_is_kept_of_weights_that_met_one_call():
    layer = LSTM(6, 11)
    for _ in range(4):
        infer(layer)
        layer.weight_hh_l0.data.mul_(1.5)
    assert kept_bytes(layer) == 0


def test_training_keeps_nothing_and_gives_back_what_was_kept():
    layer = warm()
    layer(X)
    assert kept_bytes(layer) == 0


def test_for_many_steps_at_once_nothing_is_kept():
    layer, x = LSTM(6, 11), torch.zeros(600, 1, 6)
    for _ in range(4):
        infer(layer, x)
    assert kept_bytes(layer) == 0


def test_memory_that_is_freed_and_used_by_other_weights_is_no_mistake():
    layer = warm()
    for seed in range(30):
        made = torch.randn(44, 11, generator=torch.Generator().manual_seed(seed))
        layer.weight_hh_l0.data = made
        del made
        assert torch.equal(infer(layer), fresh(layer))


@pytest.mark.parametrize("how", [copy.deepcopy, copy.copy])
def test_a_copy_of_a_layer_follows_its_own_weights(how):
    layer = warm()
    other = how(layer)
    other._parameters = {name: nn.Parameter(p.detach() * 2) for name, p in layer._parameters.items()}
    expected, doubled = fresh(layer), fresh(other)
    for _ in range(3):
        assert torch.equal(infer(layer), expected)
        assert torch.equal(infer(other), doubled)


def test_a_layer_that_was_of_another_type_meanwhile_is_seen():
    layer = warm()
    layer.bfloat16()
    assert infer(layer, X.bfloat16()).dtype is torch.bfloat16
    layer.float()
    assert torch.equal(infer(layer), fresh(layer))


def test_another_instruction_set_has_a_packed_form_of_its_own(monkeypatch):
    layer = warm()
    for isa in (*cpu.instruction_sets(), *reversed(cpu.instruction_sets())):
        monkeypatch.setenv("RECURRA_ISA", isa)
        for _ in range(3):
            assert torch.equal(infer(layer), fresh(layer))


def test_two_threads_with_one_layer_have_the_answers_of_one():
    layer = warm()
    others = [copy.copy(layer) for _ in range(2)]  # which share what is kept
    for k, other in enumerate(others):
        other._parameters = {name: nn.Parameter(p.detach() * (k + 1)) for name, p in layer._parameters.items()}
    expected, wrong = [fresh(other) for other in others], []

    def work(k):
        for _ in range(300):
            if not torch.equal(infer(others[k]), expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in (0, 1, 0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_child_uses_what_was_kept_and_sees_its_own_writes():
    layer = warm()
    expected = infer(layer)

    def child():
        same = torch.equal(infer(layer), expected) and kept_bytes(layer) > 0
        layer.weight_hh_l0.data.mul_(2.0)
        return 0 if same and torch.equal(infer(layer), fresh(layer)) else 1

    assert exit_of(fork_child(child)) == 0
    assert torch.equal(infer(layer), expected)


@pytest.mark.parametrize("cell", ["lstm_peephole", "gru_reset_before", "lstm_layernorm", "indrnn"])
def test_parameters_of_every_kind_are_looked_at(cell):
    layer = Recurrent(6, 11, cell=cell)
    for parameter in layer.parameters():
        for _ in range(3):
            before = infer(layer)
        parameter.data.mul_(-1.5).add_(0.25)
        after = infer(layer)
        assert not torch.equal(before, after)
        assert all(torch.equal(infer(layer), after) for _ in range(3))
