"""Encode: vectors of texts, from the encoder of a run or from a folder of published weights."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.api.answers import CHUNK, Source, source_for
from recurra.api.defaults import in_float32
from recurra.api.folder import open_run
from recurra.api.given import AnyPath, Row, path_of, records_of
from recurra.api.inference import BATCH_ROWS, BATCH_TOKENS, device_of, moved
from recurra.api.schema import read_settings
from recurra.base.atomic import replacing
from recurra.base.contracts import Batch, Record
from recurra.base.errors import ConfigError, DataError
from recurra.data.batches import epoch_batches
from recurra.data.formats import read, spelt
from recurra.data.formats.csv import guarded
from recurra.engine.large_pages import gather
from recurra.models.autoencoder import HasCodes
from recurra.models.contract import BeginsWith, Encoded
from recurra.models.encoder_decoder import EncoderDecoder
from recurra.models.published import CONFIGS
from recurra.models.sequence_model import SequenceModel
from recurra.tasks import Task

Pooling = Literal["mean", "cls", "none"]
POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "none")
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TextVectors:
    """Makes vectors of texts.

    model: with inputs and an encoder, a SequenceModel or an EncoderDecoder, or with a code for each row
    task: reads the texts
    field: the column that a text alone fills
    source: what the vectors come from, for messages
    """

    model: Any
    task: Task
    field: str
    source: str

    @property
    def size(self) -> int:
        """Numbers of a vector."""
        return self.model.code_size if isinstance(self.model, HasCodes) else int(self.model.encoder.output_size)

    @in_float32
    def encode(
        self,
        rows: Iterable[Row] | Mapping[str, Any] | str,
        *,
        pooling: Pooling = "mean",
        device: str = "auto",
        note: Callable[[str], None] = lambda message: None,
    ) -> Iterator[Vectors]:
        """The vectors of each row, in order: (M,) float32, with pooling none (L, M) for its L steps.

        pooling: mean of all steps; cls, the first step, which is [CLS] of a BERT. A row without steps has zeros.
        note: hears which texts were cut
        Raises ConfigError for another word, DataError for a row without text.
        """
        if pooling not in POOLINGS:
            raise ConfigError(f"pooling: unknown word '{pooling}'; expected one of {', '.join(POOLINGS)}.")
        target = device_of(device)
        if moved(self.model, target).training:
            self.model.eval()
        waiting = records_of(rows, self.field)
        while chunk := list(islice(waiting, CHUNK)):
            yield from self._chunk(chunk, pooling, target, note)

    def _chunk(
        self, records: Sequence[Record], pooling: Pooling, device: torch.device, note: Callable[[str], None]
    ) -> list[Vectors]:
        examples = [self.task.example(record, gold=False) for record in records]
        _say_cut(examples, note)
        lengths = np.array([max(example.length, 1) for example in examples])
        plan = epoch_batches(
            lengths, token_budget=BATCH_TOKENS, max_sequences=BATCH_ROWS, seed=0, epoch=0, shuffle=False
        )
        found: list[Vectors] = [np.zeros(0, np.float32)] * len(examples)
        with torch.inference_mode():
            for indices in plan:
                batch = self.task.collate([examples[i] for i in indices], indices).to(device)
                for index, vector in zip(indices, _pooled(self._encoded(batch), pooling), strict=True):
                    found[index] = vector
        return found

    def _encoded(self, batch: Batch) -> Encoded:
        # Classes first: what a protocol wants is looked up name by name, which takes as long as cutting a text.
        if not isinstance(self.model, SequenceModel | EncoderDecoder) and isinstance(self.model, HasCodes):
            codes = self.model.codes(batch)
            return Encoded(codes.unsqueeze(0), torch.ones(len(codes), dtype=torch.int64), codes, {})
        x, lengths = self.model.inputs(batch)
        encoded: Encoded = self.model.encoder(x, lengths, {})
        return encoded


def text_vectors(source: AnyPath) -> TextVectors:
    """What makes vectors: a run, or a folder of published weights, whose texts are cut at its number of positions.

    Raises RunError, ConfigError or DataError for a folder that is neither, or a run without an encoder.
    """
    path = path_of(source, "source")
    if any((path / name).is_file() for name in CONFIGS) and not (path / "run.json").is_file():
        return _of_folder(path)
    run = open_run(path)
    if not isinstance(run.model, SequenceModel | EncoderDecoder | HasCodes):
        raise ConfigError(f"{path}: its model has no encoder of its own; expected one of inputs, encoder and head.")
    return TextVectors(run.model, run.task, run.settings.plan.inputs[0].name, str(path))


def _of_folder(path: Path) -> TextVectors:
    # No vector comes from the pooler.
    encoder = {"name": "pretrained", "folder": str(path), "pooler": False}
    settings = read_settings({"data": {"train": "-"}, "model": {"encoder": encoder}})
    # Labels are not asked for: any two will do.
    task = settings.plan.fit([_labelled("0"), _labelled("1")], str(path))
    model = settings.model(task.model_sizes)
    assert isinstance(model, SequenceModel)
    begins = model.encoder
    assert isinstance(begins, BeginsWith)
    begins.begin(model.inputs)
    gather(model.encoder)
    return TextVectors(model, task, settings.plan.inputs[0].name, str(path))


def _labelled(label: str) -> Record:
    return next(records_of([{"text": "text", "label": label}], "text"))


def rows_to_encode(vectors: TextVectors, source: AnyPath, file: AnyPath) -> Source | Iterator[Record]:
    """The rows of a file: as a run reads it, or with the column `text` for a folder of published weights."""
    path = path_of(source, "source")
    if (path / "run.json").is_file():
        return source_for(path, path_of(file, "file"))
    return read(path_of(file, "file"), fields=(vectors.field,))


def _pooled(encoded: Encoded, pooling: Pooling) -> list[Vectors]:
    """Of each row: (M,), or (L, M) with pooling none."""
    outputs, found = encoded.outputs.float(), []
    for n, length in enumerate(encoded.lengths.tolist()):
        own = outputs[:length, n]
        found.append(_numbers(own if pooling == "none" else _one(own, pooling)))
    return found


def _one(own: Tensor, pooling: Pooling) -> Tensor:
    if not len(own):
        return own.new_zeros(own.shape[1])
    return own[0] if pooling == "cls" else own.mean(0)


def _numbers(tensor: Tensor) -> Vectors:
    return np.ascontiguousarray(tensor.cpu().numpy())


def _say_cut(examples: Sequence[Any], note: Callable[[str], None]) -> None:
    cut = [e for e in examples if getattr(e, "all_tokens", 0) > e.length]
    if cut:
        note(
            f"{len(cut):,} of {len(examples):,} texts are longer than is read, and were cut; the first: "
            f"{cut[0].origin}, {cut[0].length:,} of {cut[0].all_tokens:,} tokens."
        )


@dataclass(frozen=True, slots=True)
class Origins:
    """Where rows that are encoded come from, noted as they go by. id: a column that names rows; None: `id`, if any

    places: file and row of each      ids: what stands in that column, None where there is none
    """

    id: str | None = None
    places: list[str] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)

    def of(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records. Raises DataError for one that lacks a column that was asked for."""
        for record in records:
            self.places.append(str(record.origin))
            name = spelt("id" if self.id is None else self.id, record.fields)
            if name is None and self.id is not None:
                raise DataError(f"{record.origin}: has no column '{self.id}'. Known: {', '.join(record.fields)}.")
            self.ids.append(None if name is None else record.fields[name])
            yield record

    @property
    def columns(self) -> dict[str, list[Any]]:
        """`origin`, and `id` where any row has one."""
        ids = {"id": self.ids} if any(one is not None for one in self.ids) else {}
        return {"origin": self.places, **ids}


def write_vectors(
    path: Path, vectors: Iterable[Vectors], pooling: Pooling, origins: Origins | None = None
) -> tuple[int, int]:
    """Write vectors, a row each; how many, and their numbers. Those of `origins` must have gone by with them.

    .npy (N, M); .csv with columns origin, id, v1, ..., vM; .npz of "vectors" (N, M), "origin" and "id"; with pooling
    none .npz of "vectors" (S, M) and "lengths" (N,), and these.
    Raises ConfigError for another ending, DataError where there is no row.
    """
    refuse_vector_file(path, pooling)
    rows = list(vectors)
    if not rows:
        raise DataError(f"{path}: there is no text to encode.")
    known = {} if origins is None else origins.columns
    if path.suffix == ".csv":
        _write_table(path, rows, known)
    else:
        arrays: dict[str, Any] = {
            name: np.array(["" if one is None else str(one) for one in c]) for name, c in known.items()
        }
        if pooling == "none":
            arrays["lengths"] = np.array([len(row) for row in rows], np.int64)
        whole = np.concatenate(rows) if pooling == "none" else np.stack(rows)
        with replacing(path) as file:
            if path.suffix == ".npy":
                np.save(file, whole, allow_pickle=False)
            else:
                np.savez(file, vectors=whole, **arrays)
    return len(rows), rows[0].shape[-1]


def refuse_vector_file(path: Path, pooling: Pooling) -> None:
    """Raise ConfigError for a file that could not hold such vectors."""
    wanted = (".npz",) if pooling == "none" else (".npy", ".npz", ".csv")
    if path.suffix not in wanted:
        why = "rows have several vectors each" if pooling == "none" else "each row has one vector"
        known = " or ".join(filter(None, (", ".join(wanted[:-1]), wanted[-1])))
        raise ConfigError(f"{path}: expected a file that ends in {known} with pooling {pooling}, as {why}.")


def _write_table(path: Path, rows: Sequence[Vectors], known: Mapping[str, Sequence[Any]]) -> None:
    with replacing(path) as binary:
        file = io.TextIOWrapper(binary, encoding="utf-8", newline="", write_through=True)
        table = csv.writer(file)
        table.writerow([*known, *(f"v{k}" for k in range(1, rows[0].shape[-1] + 1))])
        for n, row in enumerate(rows):
            cells = [guarded(str(column[n])) if column[n] is not None else "" for column in known.values()]
            table.writerow([*cells, *(str(number) for number in row)])
        file.flush()
        file.detach()
