"""recurra itself: the layer that a user has, and the stepper for streams."""

from __future__ import annotations

import torch

from recurra.bench.clock import Work
from recurra.bench.configuration import Configuration
from recurra.bench.peers.torch_layers import layer_work, load, tensor
from recurra.bench.problem import Problem
from recurra.cells import CELLS
from recurra.engine import Stepper, Weights
from recurra.nn import Recurrent


class Ours:
    """recurra.nn.Recurrent; engine.Stepper in mode "stream"."""

    doc = "recurra's own layer"
    packages = ("torch",)

    def start(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def refuses(self, configuration: Configuration) -> bool:
        return False

    def work(self, problem: Problem) -> Work:
        if problem.configuration.mode == "stream":
            return _step(problem)
        layer = _layer(problem)
        lengths = torch.from_numpy(problem.lengths) if problem.configuration.mode == "lengths" else None
        return layer_work(problem, layer, lambda x: layer(x, lengths=lengths)[0])


def executor(configuration: Configuration) -> str:
    """The word of the executor that runs recurra's layer here: "cpu" is the native engine."""
    return _empty(configuration).executor()


def _empty(configuration: Configuration) -> Recurrent:
    kind = configuration.kind
    return Recurrent(
        configuration.I,
        configuration.H,
        kind.layers,
        bidirectional=kind.directions == 2,
        cell=configuration.cell,
    )


def _layer(problem: Problem) -> Recurrent:
    layer = _empty(problem.configuration)
    load(layer, problem)
    return layer


def _step(problem: Problem) -> Work:
    x = tensor(problem.x)[0]
    cell = CELLS[problem.configuration.cell]
    packed = {name: tensor(w) for name, w in problem.weights[0][0].items()}
    states = [x.new_zeros(len(x), problem.configuration.H) for _ in cell.states]
    if executor(problem.configuration) != "cpu":
        return _step_of_layer(problem, x, states)
    stepper = Stepper(Weights(cell, packed))
    return lambda: stepper(x, states)


def _step_of_layer(problem: Problem, x: torch.Tensor, states: list[torch.Tensor]) -> Work:
    """Without the native engine there is no stepper: a layer over one time step."""
    layer, sequence = _layer(problem), x.unsqueeze(0)
    stacked = tuple(s.unsqueeze(0) for s in states)

    def work() -> list[torch.Tensor]:
        with torch.no_grad():
            state = layer(sequence, stacked if len(stacked) > 1 else stacked[0])[1]
        return [s[0] for s in (state if isinstance(state, tuple) else (state,))]

    return work
