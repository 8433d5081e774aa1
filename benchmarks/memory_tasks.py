"""The adding problem and the copy task: which cells carry a gradient over many steps, and which of them learn.

    python benchmarks/memory_tasks.py [--task adding,copy] [--cells lstm-4,gru] [--steps 2000] [--seed 1] [--json FILE]

A table in Markdown goes to standard output, what is going on to standard error. One thread, minutes.

adding  Of T numbers two are marked; say their sum (Hochreiter & Schmidhuber 1997, experiment 4, in the form of Le,
        Jaitly & Hinton 2015, arXiv:1504.00941, section 4.1). Always to say 1 has a mean squared error of 1/6.
copy    Ten symbols, then T - 1 blanks, then a mark: say the ten symbols again (after Hochreiter & Schmidhuber 1997, in
        the form of Arjovsky, Shah & Bengio 2016, arXiv:1511.06464). Without memory the loss is
        10 ln 8 / (T + 20) nats a step.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recurra.base.atomic import write_text
from recurra.base.contracts import Batch, Loss, Prediction
from recurra.doctor import GradientFlow, probe
from recurra.nn import Recurrent

ROWS, UNITS, RATE, CLIP = 32, 64, 3e-3, 1.0
SYMBOLS, WORD = 8, 10

# Each cell at the start: what `recurra` takes by default, and what the doctor suggests.
CELLS: Mapping[str, Mapping[str, Any]] = {
    "rnn_sigmoid": {"cell": "rnn_sigmoid"},
    "rnn": {"cell": "rnn"},
    "rnn-orthogonal": {"cell": "rnn", "init": "orthogonal"},
    "rnn_relu": {"cell": "rnn_relu"},
    "rnn_relu-identity": {"cell": "rnn_relu", "init": "identity"},
    "rnn_relu-stretched": {"cell": "rnn_relu", "init": "identity"},
    "lstm": {"cell": "lstm"},
    "lstm-1": {"cell": "lstm", "forget_bias": 1.0},
    "lstm-4": {"cell": "lstm", "forget_bias": 4.0},
    "gru": {"cell": "gru"},
}


class Reader(nn.Module):
    """Features (T, N, I), or tokens (T, N), to one output a step; recurrent layers as in a model of a config."""

    def __init__(self, inputs: int, outputs: int, *, last: bool, **options: Any) -> None:
        super().__init__()
        self.last = last
        self.recurrent = Recurrent(inputs, UNITS, **options)
        self.output = nn.Linear(UNITS, outputs)

    def forward(self, batch: Batch) -> Prediction:
        h, state = self.recurrent(batch.inputs["features"], lengths=batch.lengths)
        return Prediction({"said": self.output(self.recurrent.last(state) if self.last else h)})


@dataclass(frozen=True)
class Task:
    """A task of T steps. batch: rows for a generator; loss: of what was said; blind: the loss without memory;
    learned: the loss below which it is solved; unit: of the loss."""

    inputs: int
    outputs: int
    last: bool
    batch: Callable[[int, torch.Generator], Batch]
    loss: Callable[[Any, Batch], Loss]
    blind: Callable[[int], float]
    learned: Callable[[int], float]
    unit: str


def adding(T: int, generator: torch.Generator) -> Batch:
    """Numbers in [0, 1) and marks: one among the first half, one among the second."""
    numbers = torch.rand(T, ROWS, generator=generator)
    marks = torch.zeros(T, ROWS)
    for low, high in ((0, T // 2), (T // 2, T)):
        marks.scatter_(0, torch.randint(low, high, (1, ROWS), generator=generator), 1.0)
    total = (numbers * marks).sum(0)
    return _batch(torch.stack([numbers, marks], 2), {"sum": total})


def copying(T: int, generator: torch.Generator) -> Batch:
    """One-hot: 8 symbols, a blank, a mark. Targets are blanks, and at the end the word."""
    blank, mark, length = SYMBOLS, SYMBOLS + 1, T + 2 * WORD
    word = torch.randint(0, SYMBOLS, (WORD, ROWS), generator=generator)
    tokens = torch.full((length, ROWS), blank)
    tokens[:WORD] = word
    tokens[WORD + T - 1] = mark
    targets = torch.full((length, ROWS), blank)
    targets[-WORD:] = word
    return _batch(nn.functional.one_hot(tokens, SYMBOLS + 2).float(), {"tokens": targets})


def _batch(features: Tensor, targets: dict[str, Tensor]) -> Batch:
    T, N, _ = features.shape
    return Batch({"features": features}, torch.full((N,), T), targets, tuple(range(N)))


def squared_error(prediction: Prediction, batch: Batch) -> Loss:
    said = prediction.outputs["said"].squeeze(1)
    return Loss((said - batch.targets["sum"]).square().sum(), len(said))


def cross_entropy(prediction: Prediction, batch: Batch) -> Loss:
    said, tokens = prediction.outputs["said"].flatten(0, 1), batch.targets["tokens"].flatten()
    return Loss(nn.functional.cross_entropy(said, tokens, reduction="sum"), len(tokens))


def copied(T: int) -> float:
    """Nats a step of who knows everything but the word."""
    return WORD * math.log(SYMBOLS) / (T + 2 * WORD)


TASKS: Mapping[str, Task] = {
    "adding": Task(2, 1, True, adding, squared_error, lambda T: 1 / 6, lambda T: 1 / 60, "mean squared error"),
    "copy": Task(
        SYMBOLS + 2, SYMBOLS + 1, False, copying, cross_entropy, copied, lambda T: copied(T) / 10, "nats a step"
    ),
}


@dataclass(frozen=True)
class Result:
    """before, after: log10 of the gradient carried over all steps; solved: the step at which the task was, or None."""

    task: str
    cell: str
    steps: int
    rate_before: float
    before: float
    rate_after: float
    after: float
    norm: float
    loss: float
    solved: int | None
    seconds: float


def run(name: str, word: str, *, T: int, steps: int, seed: int) -> Result:
    """Train one cell on one task, and look inside before and after."""
    task, start = TASKS[name], time.process_time()
    torch.manual_seed(seed)
    model = Reader(task.inputs, task.outputs, last=task.last, **CELLS[word])
    if word == "rnn_relu-stretched":
        stretched(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    looked = task.batch(T, torch.Generator().manual_seed(seed + 1000))
    first = probe(model, looked, task.loss)
    mean, solved = math.nan, None
    for step, batch in enumerate(batches(task, T, steps, seed), start=1):
        optimizer.zero_grad()
        loss = task.loss(model(batch), batch).mean
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        mean = float(loss.detach()) if math.isnan(mean) else 0.98 * mean + 0.02 * float(loss.detach())
        if step > 50 and mean < task.learned(T):
            solved = step
        if solved or not math.isfinite(mean):
            break
    last = probe(model, looked, task.loss)
    before, after = (p.layers[0].carried or GradientFlow((0.0, -math.inf), 1) for p in (first, last))
    return Result(
        name, word, T, before.rate, before.log10[-1], after.rate, after.log10[-1], first.norm, mean, solved,
        time.process_time() - start,
    )  # fmt: skip


def stretched(model: Reader) -> None:
    """Recurrent weights of 1.1 times the identity: each step makes the state, and the gradient, a tenth longer."""
    with torch.no_grad():
        model.recurrent.weight_hh_l0 *= 1.1


def batches(task: Task, T: int, steps: int, seed: int) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        yield task.batch(T, generator)


def table(results: list[Result]) -> Iterator[str]:
    yield "| task | T | cell | a step, before | carried, before | a step, after | carried, after | loss | solved |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for r in results:
        solved = f"after {r.solved:,} steps" if r.solved else "no" if math.isfinite(r.loss) else "no: not a number"
        carried = ["" if math.isinf(power) else f"1e{round(power):+d}" for power in (r.before, r.after)]
        yield (
            f"| {r.task} | {r.steps} | {r.cell} | {r.rate_before:.3f} | {carried[0]} | {r.rate_after:.3f} | "
            f"{carried[1]} | {r.loss:.4f} | {solved} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="adding,copy")
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--adding", type=int, default=200, help="steps of a row of the adding problem")
    parser.add_argument("--copy", type=int, default=30, help="blanks of a row of the copy task")
    parser.add_argument("--steps", type=int, default=2000, help="steps of training at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for name in args.task.split(","):
        for word in args.cells.split(","):
            T = args.adding if name == "adding" else args.copy
            results.append(run(name, word, T=T, steps=args.steps, seed=args.seed))
            print(results[-1], file=sys.stderr, flush=True)
            if args.json:
                write_text(args.json, json.dumps([asdict(r) for r in results], indent=1) + "\n")
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
