"""torch.nn.RNN, LSTM and GRU: on padded batches, and on packed sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra.bench.clock import Work
from recurra.bench.configuration import Configuration
from recurra.bench.problem import Problem

LAYERS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class TorchLayer:
    """torch's layer on a padded batch: where lengths vary, it computes the padding too."""

    doc = "torch.nn.RNN, LSTM, GRU on a padded batch; where lengths vary it computes the padding too"
    packages = ("torch",)

    def start(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def refuses(self, configuration: Configuration) -> bool:
        return configuration.cell not in LAYERS or configuration.mode == "stream"

    def work(self, problem: Problem) -> Work:
        layer = torch_layer(problem)
        return layer_work(problem, layer, lambda x: layer(x)[0])


class TorchPacked:
    """torch's layer on a PackedSequence, packing and padding included, as its own guide says for lengths that vary."""

    doc = "the same on a packed sequence, packing and padding included"
    packages = ("torch",)

    def start(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def refuses(self, configuration: Configuration) -> bool:
        return configuration.cell not in LAYERS or configuration.mode != "lengths"

    def work(self, problem: Problem) -> Work:
        layer, lengths = torch_layer(problem), torch.from_numpy(problem.lengths)
        T = problem.configuration.T

        def forward(x: Tensor) -> Tensor:
            packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
            return pad_packed_sequence(layer(packed)[0], total_length=T)[0]

        return layer_work(problem, layer, forward)


def torch_layer(problem: Problem) -> nn.RNNBase:
    """torch's layer with the problem's weights."""
    configuration, kind = problem.configuration, problem.configuration.kind
    make = LAYERS[configuration.cell]
    layer = make(configuration.I, configuration.H, kind.layers, bidirectional=kind.directions == 2)
    load(layer, problem)
    return layer


def load(layer: nn.Module, problem: Problem) -> None:
    """Put the problem's weights into a layer with torch's names for them."""
    layer.load_state_dict(
        {
            f"{name}_l{number}{'_reverse' if direction else ''}": tensor(w)
            for number, directions in enumerate(problem.weights)
            for direction, weights in enumerate(directions)
            for name, w in weights.items()
        }
    )


def layer_work(problem: Problem, layer: nn.Module, forward: Callable[[Tensor], Tensor]) -> Work:
    """Forward alone, or forward and all gradients, as the mode says."""
    x, parameters = tensor(problem.x), list(layer.parameters())
    if not problem.configuration.kind.trains:
        return lambda: _inferred(forward, x)
    return training_work(forward, x, parameters, tensor(problem.d_output))


def training_work(forward: Callable[[Tensor], Tensor], x: Tensor, parameters: list[Any], d: Tensor) -> Work:
    """Forward, and the gradients of x and of all parameters."""
    x.requires_grad_()

    def work() -> tuple[Tensor, Tensor]:
        output = forward(x)
        d_x, *_ = torch.autograd.grad(output, [x, *parameters], d)
        return output.detach(), d_x

    return work


def _inferred(forward: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor]:
    with torch.no_grad():
        return (forward(x),)


def tensor(array: Any) -> Tensor:
    """A tensor of its own memory."""
    return torch.from_numpy(array.copy())
