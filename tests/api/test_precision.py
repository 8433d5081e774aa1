"""Training with products in bfloat16: near the losses of float32, the same bits when it is resumed, or refused."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from api.api_room import Listening, kept_of, log_of, refused, write_config
from recurra import api
from recurra.api import training_run as recipe
from recurra.api.callbacks import NoCallback
from recurra.api.places import RunFolder
from recurra.api.schema import read_settings
from recurra.base.contracts import Batch, Loss, Prediction, Progress
from recurra.base.errors import ConfigError
from recurra.training import Group, Stopping
from recurra.training.precision import MixedPrecision
from training.toys import on_ranks

TEXT: dict[str, Any] = {
    "task": {"name": "language_model", "document": "row", "tokenizer": "spaces", "bptt": 3},
    "data": {"train": "text.csv", "dev": "text.csv"},
    "model": {
        "inputs": {"embedding_size": 4, "embedding_dropout": 0.0},
        "head": {"tied": False, "output_dropout": 0.0},
        "encoder": {
            "name": "transformer", "hidden_size": 8, "num_heads": 2, "num_layers": 1, "causal": True, "dropout": 0.0
        },
    },
}  # fmt: skip


class Stopper(Listening):
    """Sends a signal to this process right after a step."""

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        super().step(progress, speed, seconds_left)
        if progress.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def _log_all(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "LOG_EVERY", 1)
    sentences = [f"the {a} cat sat on the {b} mat ." for a in ("red", "big", "old") for b in ("new", "dry", "thin")]
    Path("text.csv").write_text("\n".join(["text", *sentences]) + "\n")


def trained(precision: str, out: str, watch: Listening | None = None, *overrides: str) -> list[float]:
    """The losses of a run whose states go on from batch to batch."""
    training = {"epochs": 3, "batch_rows": 4, "precision": precision, "checkpoint_every": 100}
    api.train(write_config(**TEXT, training=training), out=out, watch=watch, overrides=overrides)
    return [line["loss"] for line in log_of(out) if line["event"] == "step"]


def test_losses_are_near_those_of_float32_and_weights_are_float32() -> None:
    heard = Listening()
    exact, near = trained("float32", "exact"), trained("bfloat16", "near", heard)
    # bfloat16 has 8 significant bits: a product is off by up to 2^-8 of itself, and a loss of 2.7 nats by less.
    assert near != exact
    assert max(abs(a - b) for a, b in zip(exact, near, strict=True)) < 0.02
    assert {weight.dtype for weight in load_file("near/model.safetensors").values()} == {torch.float32}
    (said,) = [note for note in heard.notes if note.startswith("training.precision: ")]
    assert said.startswith("training.precision: products in bfloat16 (device: cpu); weights, losses and the optimizer")


def test_two_ranks_learn_as_one_process_does_to_the_rounding_of_gradients(tmp_path: Path) -> None:
    plain = {"optimizer": {"name": "sgd", "lr": 0.3}, "report": "scores", "epochs": 3, "batch_rows": 4}
    config = write_config(**TEXT, training={**plain, "precision": "bfloat16"})
    api.train(config, out="alone")

    def work(ranks: Group) -> None:
        folder = RunFolder(Path("both"))
        if ranks.number == 0:
            folder.path.mkdir()
        made = recipe.start(folder, read_settings(config), torch.device("cpu"), NoCallback(), ranks)
        with Stopping() as stopping:
            recipe.run_epochs(made, stopping, NoCallback())

    assert on_ranks(2, tmp_path, work) == [0, 0]
    alone, both = ([line["loss"] for line in log_of(run) if line["event"] == "step"] for run in ("alone", "both"))
    assert len(alone) > 15
    assert alone[0] == pytest.approx(both[0], rel=1e-6)  # rows are rounded alike, whatever stands beside them
    # Gradients of weights are products over rows: rounded to 8 bits once in one process, and once in each rank:
    # 0.0096 nats of 2.7 after three epochs.
    assert max(abs(a - b) for a, b in zip(alone, both, strict=True)) < 0.02


def test_a_run_that_is_stopped_in_an_epoch_and_resumed_has_the_same_bits() -> None:
    dropout = "model.encoder.dropout=0.2"
    trained("bfloat16", "whole", None, dropout)
    trained("bfloat16", "stopped", Stopper(), dropout)
    api.resume("stopped")
    assert kept_of("stopped") == kept_of("whole")
    assert "it cannot change in a run: the steps so far were made in it" in refused(
        "train", "--resume", "stopped", "--set", "training.precision=float32", "--set", "training.epochs=4"
    )


def test_a_model_without_a_product_in_bfloat16_is_refused_and_no_run_is_begun() -> None:
    model = {**TEXT["model"], "encoder": {"hidden_size": 5, "last_layer": "hidden_size"}}
    write_config(**{**TEXT, "model": model}, training={"precision": "bfloat16"})
    assert "training.precision: bfloat16 has no effect on this model (device: cpu)" in refused(
        "train", "c.yaml", "--out", "run"
    )
    assert not Path("run").exists()


class Toy(nn.Module):
    """A product of two numbers, of which one is float32 alone; it counts its calls, as batch norm does."""

    def __init__(self, *, strict: bool) -> None:
        super().__init__()
        self.weight, self.strict = nn.Parameter(torch.ones(2, 2)), strict
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, batch: Batch) -> Prediction:
        self.calls += 1
        found = batch.inputs["x"] @ self.weight
        return Prediction({"y": torch.dot(found[0], self.weight[0]) if self.strict else found})


def test_a_part_that_takes_float32_alone_is_refused_and_the_model_stays_as_it_was() -> None:
    batch = Batch({"x": torch.ones(1, 2)}, torch.ones(1), {}, (0,))

    def loss(prediction: Prediction, batch: Batch) -> Loss:
        assert prediction.outputs["y"].dtype is torch.float32
        return Loss(prediction.outputs["y"].sum(), 1)

    model = Toy(strict=False)
    MixedPrecision(model, torch.device("cpu")).check(batch, loss)
    assert model.calls == 0
    assert model.weight.grad is None
    with pytest.raises(ConfigError, match=r"precision: bfloat16: a part of this model takes float32 alone \("):
        MixedPrecision(Toy(strict=True), torch.device("cpu")).check(batch, loss)
    with pytest.raises(ConfigError, match=r"training\.precision: bfloat16 needs a device of cpu or cuda, got meta"):
        MixedPrecision(model, torch.device("meta"))


@pytest.mark.parametrize(
    ("said", "error", "expected"),
    [
        (
            "expected scalar type Float",
            ConfigError,
            r"precision: bfloat16: .* float32 alone \(expected scalar type Float",
        ),
        ("out of memory", RuntimeError, "^out of memory$"),
    ],
)
def test_gradients_are_tried_too_and_only_what_is_said_of_types_is_taken_for_precision(
    said: str, error: type[Exception], expected: str
) -> None:
    def fails(gradient: torch.Tensor) -> None:
        raise RuntimeError(said)

    def loss(prediction: Prediction, batch: Batch) -> Loss:
        total = prediction.outputs["y"].sum()
        total.register_hook(fails)
        return Loss(total, 1)

    model = Toy(strict=False)
    with pytest.raises(error, match=expected):
        MixedPrecision(model, torch.device("cpu")).check(Batch({"x": torch.ones(1, 2)}, torch.ones(1), {}, (0,)), loss)
    assert model.calls == 0
    assert model.weight.grad is None
