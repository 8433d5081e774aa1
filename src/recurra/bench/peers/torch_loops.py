"""torch, a time step at a time: its own cells for streams, and equations in a Python loop for cells nobody fuses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from recurra.bench.clock import Work
from recurra.bench.configuration import Configuration
from recurra.bench.peers.equations import STEPS, input_products
from recurra.bench.peers.torch_layers import tensor, training_work
from recurra.bench.problem import Problem

CELLS: dict[str, Callable[..., nn.RNNCellBase]] = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}


class TorchCell:
    """One step of torch.nn.RNNCell, LSTMCell or GRUCell."""

    doc = "torch.nn.RNNCell, LSTMCell, GRUCell"
    packages = ("torch",)

    def start(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def refuses(self, configuration: Configuration) -> bool:
        return configuration.mode != "stream" or configuration.cell not in CELLS

    def work(self, problem: Problem) -> Work:
        name, I, H = problem.configuration.cell, problem.configuration.I, problem.configuration.H
        cell = CELLS[name](I, H)
        cell.load_state_dict({name: tensor(w) for name, w in problem.weights[0][0].items()})
        x = tensor(problem.x)[0]
        h = x.new_zeros(len(x), H)
        state = (h, h.clone()) if name == "lstm" else h

        def work() -> tuple[Tensor, ...]:
            with torch.no_grad():
                new = cell(x, state)
            return new if isinstance(new, tuple) else (new,)

        return work


class TorchLoop:
    """The equations in a Python loop over time, with the input products of all steps as one."""

    doc = "equations in a Python loop, the input products of all steps as one; for cells without a torch layer"
    packages = ("torch",)

    def start(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def refuses(self, configuration: Configuration) -> bool:
        return configuration.cell not in STEPS or configuration.mode == "bidirectional"

    def work(self, problem: Problem) -> Work:
        x, (step, num_states) = tensor(problem.x), STEPS[problem.configuration.cell]
        weights = {name: tensor(w) for name, w in problem.weights[0][0].items()}
        zeros = tuple(x.new_zeros(x.shape[1], problem.configuration.H) for _ in range(num_states))

        def forward(x: Tensor) -> tuple[Tensor, ...]:
            states, outputs = zeros, []
            for wx in input_products(x, weights).unbind():
                states = step(wx, states, weights)
                outputs.append(states[0])
            return torch.stack(outputs), *states

        def infer() -> tuple[Tensor, ...]:
            with torch.no_grad():
                output, *states = forward(x)
            return tuple(states) if problem.configuration.mode == "stream" else (output,)

        if not problem.configuration.kind.trains:
            return infer
        parameters = [w.requires_grad_() for w in weights.values()]
        return training_work(lambda x: forward(x)[0], x, parameters, tensor(problem.d_output))
