"""MLflow: a run of its store, which is a file beside the runs unless MLFLOW_TRACKING_URI says otherwise."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurra.base.atomic import write_text
from recurra.base.optional import needs
from recurra.training.trackers.contract import flat

# What MLflow takes of a parameter's value.
MOST_CHARACTERS = 500
EXPERIMENT = "recurra"
# The run folder keeps which run of MLflow is its own.
FILE = "mlflow_run.txt"


class MLflow:
    """Logs to one run of MLflow, which a resumed training goes on with."""

    def __init__(self, run: Path, config: Mapping[str, Any], step: int) -> None:
        self._mlflow = needs("mlflow", "mlflow", "training.trackers: mlflow")
        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(run.parent / 'mlflow.db').absolute()}"
        self._client = self._mlflow.MlflowClient(tracking_uri=place)
        mark = run / FILE
        if step and mark.is_file():
            self._run: str = mark.read_text("utf-8").strip()
            self._client.update_run(self._run, status="RUNNING")
        else:
            self._run = self._begun(run.resolve().name, config)
            write_text(mark, f"{self._run}\n")

    @staticmethod
    def refuse_missing() -> None:
        needs("mlflow", "mlflow", "training.trackers: mlflow")

    def _begun(self, name: str, config: Mapping[str, Any]) -> str:
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = self._client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else self._client.create_experiment(experiment)
        run: str = self._client.create_run(number, run_name=name).info.run_id
        entities = self._mlflow.entities
        params = [entities.Param(key, str(value)[:MOST_CHARACTERS]) for key, value in flat(config)]
        for first in range(0, len(params), 100):  # what one call takes
            self._client.log_batch(run, params=params[first : first + 100])
        return run

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        metrics = [self._mlflow.entities.Metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def end(self) -> None:
        self._client.set_terminated(self._run)
