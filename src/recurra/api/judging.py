"""How a training went, at its end: the doctor's findings, for the report, the terminal and `recurra doctor`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.api.inference import outputs
from recurra.api.places import RunFolder, read_json
from recurra.api.prepare import Prepared
from recurra.api.trainer import Trainer
from recurra.base.atomic import write_text
from recurra.base.contracts import Score
from recurra.base.errors import RunError
from recurra.doctor import Advice, Finding, Story, findings
from recurra.tasks import MovesModel
from recurra.tasks.options import for_validation
from recurra.training.log import read as read_log

# Training rows that are scored beside dev: enough to see 15 points of difference.
ROWS = 500


def judged(
    trainer: Trainer,
    prepared: Prepared,
    folder: RunFolder,
    select: str,
    scores: Sequence[Score],
    baselines: Mapping[str, Sequence[Score]],
) -> tuple[Finding, ...]:
    """What is wrong with a training that has ended. scores: of the split that judges it; baselines: of all splits"""
    known = next(s for s in prepared.task.possible_scores(prepared.splits["dev"]) if s.name == select)
    split = scores[0].split
    dev = [line.get(select) for line in read_log(folder.log) if line["event"] == "dev"]
    story = Story(
        select=select,
        better=known.better,
        floor=known.value,
        dev=[math.nan if value is None else float(value) for value in dev],
        steps=trainer.step * _moves(trainer),
        all_steps=trainer.total_steps * _moves(trainer),
        early=bool(trainer.stopped_early(select)),
        train=_on_train(trainer, prepared, select) if known.unit == "0..1" else None,
        scores=scores,
        baselines={name: [s for s in several if s.split == split] for name, several in baselines.items()},
    )
    return findings(story, trainer.settings.tree)


def _moves(trainer: Trainer) -> int:
    """How often a step moves the model: once, but word by word, about, where the task does that itself."""
    return trainer.settings.training.batch_tokens if isinstance(trainer.task, MovesModel) else 1


def _on_train(trainer: Trainer, prepared: Prepared, select: str) -> float:
    """The score of rows that were learned from, spread over all of them."""
    task, rows = for_validation(prepared.task), prepared.splits["train"]
    some = rows[:: max(1, len(rows) // ROWS)][:ROWS]
    said = outputs(trainer.model, task, some, device=trainer.device)
    return next((s.value for s in task.score(said, some, "train") if s.name == select), math.nan)


def write_findings(folder: RunFolder, found: Sequence[Finding]) -> None:
    """Keep them in the run."""
    plain = [
        {"word": f.word, "evidence": f.evidence, "advice": [[a.change, a.why, [*a.settings]] for a in f.advice]}
        for f in found
    ]
    write_text(folder.findings, json.dumps(plain, ensure_ascii=False, indent=1) + "\n")


def read_findings(folder: RunFolder) -> tuple[Finding, ...] | None:
    """Those of a run; None for one of an earlier version. Raises RunError for a file that holds something else."""
    if not folder.findings.exists():
        return None
    stored: Any = read_json(folder.findings)
    try:
        return tuple(
            Finding(
                str(one["word"]),
                str(one["evidence"]),
                tuple(Advice(str(change), str(why), tuple(map(str, given))) for change, why, given in one["advice"]),
            )
            for one in stored
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder.findings}: damaged: expected findings. Copy the run folder again.") from error
