"""Export: a trained run for other programs."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable

import torch

from recurra.api.defaults import in_float32
from recurra.api.folder import OpenRun, opened
from recurra.api.given import AnyPath, path_of
from recurra.api.word_vectors import vectors
from recurra.base.errors import ConfigError
from recurra.data.word_vectors import write_vectors
from recurra.export import ANY, Agreement, onnx, save_torch
from recurra.models import FusionModel, SequenceModel
from recurra.models.contract import Publishes
from recurra.models.heads import LabelHead
from recurra.models.wide import NoWide
from recurra.tasks import Calibrates, Exports, ReadsPieces


@in_float32
def export_onnx(
    run: AnyPath | OpenRun, path: AnyPath, *, target: str = ANY, cells: Iterable[AnyPath] = ()
) -> tuple[Agreement, ...]:
    """Write a run's model as ONNX, with all that is needed to ask it; see `recurra.export.onnx`.

    The files' metadata: "recurra", its version; "task", its word; and each part of task.json as JSON, such as "labels"
    and "reader" (tokenizer and vocabulary) of a classification. Its "temperature" T is in the logits already; of a
    tagging, whose probabilities are of whole sentences, each token's become shares of p^(1/T).
    target: the program that will run the files: "any", "onnxruntime" or "openvino".
    Raises RunError for a run that is damaged or a file that does not agree, ConfigError if onnx is not installed or
    knows no such model.
    """
    trained, file = opened(run, cells), path_of(path, "path")
    told = {name: json.dumps(part, ensure_ascii=False) for name, part in trained.task.to_json().items()}
    metadata = {"task": str(trained.settings.tree["task"]["name"]), **told}
    model = trained.task.for_export(trained.model) if isinstance(trained.task, Exports) else _tempered(trained)
    return onnx(model, file, target=target, metadata=metadata)


@in_float32
def export_torch(run: AnyPath | OpenRun, path: AnyPath, *, cells: Iterable[AnyPath] = ()) -> dict[str, float]:
    """Write a run's weights for modules of torch.nn; see `recurra.export.save_torch`.

    Raises RunError for a run that is damaged, ConfigError, with all reasons at once, for layers that torch lacks.
    """
    return save_torch(_tempered(opened(run, cells)), path_of(path, "path"))


@in_float32
def export_vectors(run: AnyPath, path: AnyPath) -> int:
    """Write the vectors of a run's words as a file of .txt, .vec, .bin or .safetensors; return how many there are.

    Raises RunError for a run that is damaged, ConfigError for one without such vectors, or another name of a file.
    """
    found = vectors(run)
    write_vectors(found, path_of(path, "path"))
    return len(found)


def _tempered(run: OpenRun) -> torch.nn.Module:
    """The model with the temperature of its probabilities in its output layer: softmax of its logits is calibrated."""
    temperature = run.task.temperature if isinstance(run.task, Calibrates) else 1.0
    model = run.model
    if temperature == 1.0 or not isinstance(model, SequenceModel | FusionModel):
        return model
    if not isinstance(model.head, LabelHead):
        return model
    model = copy.deepcopy(model)
    wide = model.wide if isinstance(model, SequenceModel) else None
    scaled = [*model.head.output.parameters()] if wide is None or isinstance(wide, NoWide) else [wide.share]
    with torch.no_grad():
        for weights in scaled:
            weights.copy_(weights.double() / temperature)
    return model


@in_float32
def export_published(run: AnyPath | OpenRun, path: AnyPath, *, cells: Iterable[AnyPath] = ()) -> str:
    """Write a run's encoder as a Hugging Face folder, which `transformers` loads; a sentence on what stands in it.

    Calibrated probabilities are in the head's weights already.
    Raises ConfigError for a model whose encoder has no such form, RunError for a folder that holds one already.
    """
    trained, folder = opened(run, cells), path_of(path, "path")
    task, model = trained.task, _tempered(trained)
    published = isinstance(model, SequenceModel) and isinstance(model.encoder, Publishes)
    if not (published and isinstance(task, ReadsPieces) and task.pieces is not None):
        raise ConfigError(
            "export: --transformers writes encoders as Hugging Face has them: model.encoder.name: pretrained, which "
            "reads word pieces; --onnx and --torch write others."
        )
    assert isinstance(model, SequenceModel)
    files, pad = task.pieces.files(), task.pieces.pad
    return str(model.encoder.publish(folder, model.inputs, model.head, task.head_labels, files, pad))
