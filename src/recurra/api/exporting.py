"""Export: a trained run for other programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from recurra.api.folder import open_run
from recurra.export import ANY, Agreement, onnx, save_torch


def export_onnx(run: Path, path: Path, *, target: str = ANY, cells: Iterable[Path] = ()) -> tuple[Agreement, ...]:
    """Write a run's model as ONNX, with all that is needed to ask it; see `recurra.export.onnx`.

    The files' metadata: "recurra", its version; "task", its word; and each part of task.json as JSON, such as "labels"
    and "reader" (tokenizer and vocabulary) of a classification.
    target: the program that will run the files: "any", "onnxruntime" or "openvino".
    Raises RunError for a run that is damaged or a file that does not agree, ConfigError if onnx is not installed or
    knows no such model.
    """
    trained = open_run(run, cells)
    told = {name: json.dumps(part, ensure_ascii=False) for name, part in trained.task.to_json().items()}
    return onnx(
        trained.model, path, target=target, metadata={"task": str(trained.settings.tree["task"]["name"]), **told}
    )


def export_torch(run: Path, path: Path, *, cells: Iterable[Path] = ()) -> dict[str, float]:
    """Write a run's weights for modules of torch.nn; see `recurra.export.save_torch`.

    Raises RunError for a run that is damaged, ConfigError, with all reasons at once, for layers that torch lacks.
    """
    return save_torch(open_run(run, cells).model, path)
