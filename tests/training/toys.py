"""A toy task that trains in milliseconds, and the recipe of a run around `fit`, as a caller would write it."""

from __future__ import annotations

import os
import random
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from recurra.base.contracts import Batch, Loss, Prediction, Score
from recurra.training import (
    OPTIMIZERS,
    SCHEDULES,
    Best,
    Checkpoint,
    Checkpoints,
    EarlyStopping,
    Group,
    Log,
    Rows,
    Skip,
    Stop,
    fit,
)
from recurra.training.clipping import clip_norm
from recurra.training.penalties import l2

EPOCHS, STEPS_PER_EPOCH, BATCH, TOTAL = 3, 6, 4, 18


class Toy(nn.Module):
    """Embedding, dropout, hidden layer, mean over time, dropout, linear: random where a real model is."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.embedding = nn.Embedding(11, 4)
            self.hidden = nn.Linear(4, 5)
            self.out = nn.Linear(5, 3)
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: Batch) -> Prediction:
        h = torch.tanh(self.hidden(self.dropout(self.embedding(batch.inputs["tokens"]))))
        return Prediction({"logits": self.out(self.dropout(h.mean(0)))})


def toy_loss(prediction: Prediction, batch: Batch) -> Loss:
    logits = prediction.outputs["logits"]
    return Loss(nn.functional.cross_entropy(logits, batch.targets["label"], reduction="sum"), len(logits))


def toy_batch(indices: list[int] | tuple[int, ...], T: int = 5) -> Batch:
    tokens = torch.tensor([[(7 * i + 3 * t) % 11 for i in indices] for t in range(T)])
    labels = torch.tensor([i % 3 for i in indices])
    return Batch({"tokens": tokens}, torch.full((len(indices),), T), {"label": labels}, tuple(indices))


def toy_plan(epoch: int) -> list[list[int]]:
    order = list(range(BATCH * STEPS_PER_EPOCH))
    random.Random(epoch).shuffle(order)
    return [order[i : i + BATCH] for i in range(0, len(order), BATCH)]


TOY_ROWS = Rows(origin=lambda i: f"toy.csv:{i + 2}", alone=lambda i: toy_batch([i]))


def run_recipe(
    folder: Path,
    *,
    optimizer: str = "adam",
    schedule: str = "plateau",
    save_every: int = 1,
    stop_after: int | None = None,
    seen: Callable[[int, tuple[int, ...]], None] = lambda step, indices: None,
    stop_asked: Callable[[], bool] = lambda: False,
) -> dict[str, torch.Tensor] | None:
    """Train, or go on from the newest checkpoint; the weights at the end, or None if it was stopped before."""
    model = Toy()
    rule = OPTIMIZERS[optimizer](model.parameters(), lr=0.05)
    rates = SCHEDULES[schedule](TOTAL)
    best, patience, skip = Best(), EarlyStopping(evaluations=5), Skip(TOY_ROWS)
    checkpoints = Checkpoints(folder)
    step, epoch, position, lines = 0, 1, 0, 0
    if found := checkpoints.newest():
        was = found.checkpoint
        model.load_state_dict(was.model)
        rule.load_state_dict(was.optimizer)
        for part, state in (
            (rates, was.schedule),
            (best, was.best),
            (patience, was.patience),
            (skip, was.on_nonfinite),
        ):
            part.restore(state)
        step, epoch, position, lines = was.step, was.epoch, was.position, was.log_lines
    log = Log(folder / "log.jsonl", keep=lines)

    def snapshot() -> Checkpoint:
        return Checkpoint(
            model=model.state_dict(), optimizer=rule.state_dict(), step=step, epoch=epoch, position=position,
            log_lines=log.lines, schedule=rates.state(), best=best.state(), patience=patience.state(),
            on_nonfinite=skip.state(),
        )  # fmt: skip

    while epoch <= EPOCHS:
        batches = (toy_batch(indices) for indices in toy_plan(epoch)[position:])
        for progress in fit(
            model, batches, loss=toy_loss, optimizer=rule, schedule=rates, on_nonfinite=skip, seed=5, epoch=epoch,
            steps_done=step, clipping=clip_norm(max_norm=0.5), penalties=[l2(strength=1e-3)],
        ):  # fmt: skip
            step, position = progress.step, position + 1
            seen(step, tuple(toy_plan(epoch)[position - 1]))
            log.write(step=step, loss=float(progress.loss), lr=progress.lr)
            if step % save_every == 0 or stop_asked():
                checkpoints.save_last(snapshot())
            if step == stop_after or stop_asked():
                return None
        score = Score("loss", dev_loss(model), "nats", "lower", "dev")
        log.write(step=step, dev_loss=score.value)
        rates.observe(score)
        improved = best.offer(score, step=step)
        patience.note(improved)
        epoch, position = epoch + 1, 0
        if improved:
            checkpoints.save_best(snapshot())
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@torch.no_grad()
def dev_loss(model: Toy) -> float:
    model.eval()
    batch = toy_batch(range(24))
    return float(toy_loss(model(batch), batch).mean)


def steps_of(model: nn.Module, batches: list[Batch], **options: object) -> list[object]:
    """All Progress of a plain run over `batches`."""
    settings = {
        "loss": toy_loss, "optimizer": OPTIMIZERS["sgd"](model.parameters(), lr=0.1),
        "schedule": SCHEDULES["constant"](9), "on_nonfinite": Stop(TOY_ROWS), "seed": 0, "epoch": 1, "steps_done": 0,
    }  # fmt: skip
    return list(fit(model, batches, **{**settings, **options}))


def same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def fork_child(work: Callable[[], int | None]) -> int:
    """Run `work` in a forked child that never comes back into pytest; its process id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of any fork beside threads; the child uses none.
        pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        torch.set_num_threads(1)  # OpenMP's threads do not survive a fork, and a call that waits for them never ends
        code = work() or 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def exit_of(pid: int) -> int:
    """The child's exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def on_ranks(number: int, folder: Path, work: Callable[[Group], None]) -> list[int]:
    """Run `work` on each of so many ranks, each a forked process; their exit codes."""

    def rank(place: int) -> None:
        work(Group(place, number, folder / "meeting"))

    return [exit_of(pid) for pid in [fork_child(lambda place=place: rank(place)) for place in range(number)]]
