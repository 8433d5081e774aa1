"""Where people keep their numbers: what a training tells beside its log, by words of `training.trackers`."""

from __future__ import annotations

from recurra.base.registry import Registry
from recurra.training.trackers.contract import NeedsPackage, Tracker, TrackerMaker
from recurra.training.trackers.ml_flow import MLflow
from recurra.training.trackers.tensor_board import TensorBoard
from recurra.training.trackers.weights_and_biases import WeightsAndBiases

__all__ = ["TRACKERS", "NeedsPackage", "Tracker", "TrackerMaker"]

TRACKERS: Registry[TrackerMaker] = Registry("tracker", "recurra.trackers")
TRACKERS.add("tensorboard", TensorBoard)
TRACKERS.add("mlflow", MLflow)
TRACKERS.add("wandb", WeightsAndBiases)
TRACKERS.also("wandb", "weights_and_biases", "w&b")
