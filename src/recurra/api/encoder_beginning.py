"""A model that begins with the encoder of an autoencoder of the same rows: its code and its decoder are left behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from recurra.base.errors import ConfigError
from recurra.models import SequenceModel
from recurra.models.autoencoder import Autoencoder
from recurra.models.contract import Layer
from recurra.tasks import Task


def take_encoder(
    where: str, source: Autoencoder, theirs: Task, model: nn.Module, task: Task, layers: int | None
) -> str:
    """Put an autoencoder's encoder into `model`, in place; a sentence on what was taken. layers: from below, None: all

    Raises ConfigError, with what to set, where the two read rows in other ways, or differ in shape.
    """
    said = f"{where}: is an autoencoder"
    if not isinstance(model, SequenceModel):
        raise ConfigError(f"{said}, expected here a model of inputs, an encoder and a head.")
    scaled = _refuse_other_readers(said, theirs, task)
    ours, other = model.encoder.layers(), source.encoder.layers()
    if layers is not None and layers > len(ours):
        raise ConfigError(f"training.init_layers: is {layers}, and this model has {len(ours)}; expected at most that.")
    taken = ours[:layers]
    pairs = [*zip(taken, other, strict=False)]
    if type(model.encoder) is not type(source.encoder) or any(_shapes(a) != _shapes(b) for a, b in pairs):
        raise ConfigError(
            f"{said} whose encoder's layers have {_said(other)}, and this model's have {_said(ours)}; copy "
            "model.encoder of its config.yaml."
        )
    if len(taken) > len(other):
        raise ConfigError(f"{said} with {len(other)} layers, and this model has {len(ours)}; set training.init_layers.")
    with torch.no_grad():
        for mine, theirs_too in pairs:
            for name, parameter in mine.items():
                parameter.copy_(theirs_too[name])
    return f"{said}: {len(taken)} layers of its encoder are taken over, its code and its decoder are not.{scaled}"


def _refuse_other_readers(said: str, theirs: Task, task: Task) -> str:
    """Raise ConfigError where rows are scaled or marked otherwise; a sentence where other rows made the scales."""
    mine, other = (_reader(one) for one in (task, theirs))
    for option, name in (("scaling", "how"), ("missing", "missing"), ("flatten", "steps")):
        values = [(one["scaler"] if name == "how" else one).get(name) for one in (mine, other)]
        if values[0] != values[1]:
            shown = [bool(value) if name == "steps" else value for value in values]
            if shown[0] == shown[1]:
                raise ConfigError(f"{said} of rows of {values[1]} steps, and these have {values[0]}.")
            word = str(shown[1]).lower()
            raise ConfigError(f"{said} with task.{option}: {word}, and here it is {str(shown[0]).lower()}; set {word}.")
    if mine["scaler"] == other["scaler"]:
        return ""
    shift = [np.array(one["scaler"]["shift"], float) for one in (mine, other)]
    if len(shift[0]) != len(shift[1]):
        raise ConfigError(f"{said} of rows of {len(shift[1])} numbers, and these have {len(shift[0])}.")
    return " Its rows were scaled by other training rows than these."


def _reader(task: Task) -> dict[str, Any]:
    """How a task reads numbers. Raises ConfigError for one that reads none."""
    found = task.to_json().get("reader")
    if not isinstance(found, dict) or "scaler" not in found:
        raise ConfigError(
            "training.init_from: an autoencoder of numbers begins a model of numbers; this task reads none."
        )
    return found


def _shapes(layer: Layer) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in layer.items()}


def _said(layers: list[Layer]) -> str:
    """The shapes of the largest weights, from below."""
    largest = [max((tuple(p.shape) for p in layer.values()), key=np.prod, default=()) for layer in layers]
    return ", ".join("x".join(map(str, one)) for one in largest)
