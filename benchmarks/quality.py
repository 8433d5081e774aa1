"""Train and score recurra on public data sets, with the configurations in examples/.

    python benchmarks/quality.py --data DIR [--tasks sms_spam,sst2] [--seeds 1,2,3] [--json FILE]

DIR holds a folder for each data set (see examples/README.md). A table in Markdown goes to standard output, what is
going on and what is missing to standard error. Nothing is kept but the table and the JSON file: training writes to a
temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

from recurra import api
from recurra.base.atomic import write_text
from recurra.base.contracts import Progress, Score
from recurra.base.errors import DataError
from recurra.data.formats.parallel import is_pattern, parallel_paths

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
Convert = Callable[[Path, Path], Path]


@dataclass(frozen=True, slots=True)
class Source:
    """A file of a data set. key: what it is in the config; convert: from the file as published to one that is read."""

    key: str
    path: str
    convert: Convert | None = None

    def files(self, data: Path) -> list[Path]:
        """The file, or those of a pattern such as train.{en,de}.gz."""
        path = data / self.path
        return list(parallel_paths(path).values()) if is_pattern(path) else [path]


@dataclass(frozen=True, slots=True)
class Shown:
    """A score in the table. at_least: what it should reach, or None if it is only reported; digits: after the point."""

    name: str
    split: str
    at_least: float | None = None
    digits: int = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """What tasks of a table share. baselines: column heads, by name; watched: dev scores said after each epoch."""

    baselines: Mapping[str, str]
    watched: tuple[str, ...]


CLASSIFICATION = Kind({"tfidf": "TF-IDF + logistic regression", "majority": "majority"}, ("accuracy", "log_loss"))
TRANSLATION = Kind({"copy": "copied source", "frequent": "most frequent target"}, ("bleu", "wer", "log_loss"))

TAGGING = Kind({"frequent": "most frequent tag", "dictionary": "dictionary"}, ("f1_micro", "token_accuracy"))


@dataclass(frozen=True, slots=True)
class Task:
    """A data set, and the scores by which people compare models on it. kind: what its example learns."""

    name: str
    sources: tuple[Source, ...]
    shown: tuple[Shown, ...]
    kind: Kind = CLASSIFICATION
    example: str | None = None

    @property
    def config(self) -> Path:
        return EXAMPLES / (self.example or self.name) / "config.yaml"

    def missing(self, data: Path) -> list[Path]:
        return [path for source in self.sources for path in source.files(data) if not path.is_file()]

    def overrides(self, data: Path, scratch: Path) -> list[str]:
        """The config's options that name files."""
        found = []
        for source in self.sources:
            path = data / source.path
            found.append(f"{source.key}={source.convert(path, scratch) if source.convert else path}")
        return found


@dataclass(frozen=True, slots=True)
class Run:
    """One training. Scores and baselines by "split/name"; seconds with the dev scores, without the baselines."""

    task: str
    seed: int
    epochs: int
    tokens: int
    seconds: float
    tokens_per_second: int
    parameters: int
    scores: Mapping[str, float]
    baselines: Mapping[str, Mapping[str, float]]


class Watch:
    """Counts tokens, and says how far a training is."""

    def __init__(self, title: str, watched: Sequence[str]) -> None:
        self.title, self.watched, self.tokens, self.epochs = title, watched, 0, 0

    def note(self, message: str) -> None:
        say(f"{self.title}: {message}")

    def start(self, total_steps: int, epochs: int) -> None:
        say(f"{self.title}: {total_steps} steps in {epochs} epochs")

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        self.tokens += progress.tokens

    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None:
        self.epochs = epoch
        values = {score.name: score.value for score in scores}
        found = ", ".join(f"{name} {values[name]:.4f}" for name in self.watched if name in values)
        say(f"{self.title}: epoch {epoch}, dev {found}")

    def done(self) -> None: ...


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def label_first_to_tsv(path: Path, scratch: Path) -> Path:
    """ "LABEL text" a line, as the sentence files of SST-2 are, to TSV with the columns of the phrase files."""
    rows = ["sentence\tlabel"]
    # Not splitlines(), which also cuts inside a text, at U+0085 for one.
    for number, line in enumerate(path.read_text(encoding="utf-8").rstrip("\n").split("\n"), start=1):
        label, space, text = line.partition(" ")
        if label not in ("0", "1") or not space or "\t" in text:
            raise DataError(
                f"{path}:{number}: expected 0 or 1, a space and a sentence without tabs, got {line[:40]!r}."
            )
        rows.append(f"{text}\t{label}")
    target = scratch / f"{path.name}.tsv"
    write_text(target, "\n".join(rows) + "\n")
    return target


def multi30k(target: str) -> Task:
    """Captions from English to another language, which the names of the files end with."""
    files = {"train": "train", "dev": "val", "test": "test_2016_flickr"}
    return Task(
        f"multi30k_en_{target}",
        tuple(Source(f"data.{key}", f"multi30k/{file}.{{en,{target}}}.gz") for key, file in files.items()),
        BLEU_AND_CHRF,
        TRANSLATION,
    )


def phones(language: str) -> Task:
    """Grapheme to phoneme of one language, with the one config that all share."""
    return Task(
        f"g2p_{language}",
        tuple(
            Source(f"data.{split}", f"sigmorphon2020_g2p/{language}_{split}.tsv") for split in ("train", "dev", "test")
        ),
        (Shown("wer", "test"), Shown("per", "test")),
        TRANSLATION,
        example="g2p",
    )


BLEU_AND_CHRF = (Shown("bleu", "test", digits=2), Shown("chrf", "test", digits=2))
LANGUAGES = ("arm", "bul", "fre", "geo", "gre", "hin", "hun", "ice", "kor", "lit")
TASKS = {
    task.name: task
    for task in (
        Task(
            "sms_spam",
            (Source("data.train", "sms_spam/SMSSpamCollection"),),
            (Shown("f1[spam]", "test", 0.95), Shown("accuracy", "test")),
        ),
        Task(
            "sst2",
            (
                Source("data.train", "sst2/glue/train.tsv.gz"),
                Source("data.dev", "sst2/glue/dev.tsv"),
                Source("data.test", "sst2/sentence/stsa.binary.test", label_first_to_tsv),
            ),
            (Shown("accuracy", "dev", 0.82), Shown("accuracy", "test")),
        ),
        Task(
            "hate_offensive",
            (Source("data.train", "hate_offensive/labeled_data.csv.gz"),),
            (Shown("f1_macro", "test"), Shown("f1[0]", "test"), Shown("accuracy", "test")),
        ),
        Task(
            "imdb",
            (Source("data.train", "imdb/imdb_train.csv.gz"), Source("data.test", "imdb/imdb_test.csv.gz")),
            (Shown("accuracy", "test", 0.87),),
        ),
        multi30k("de"),
        multi30k("fr"),
        Task("eng_fra", (Source("data.train", "eng_fra/fra.txt.gz"),), BLEU_AND_CHRF, TRANSLATION),
        *map(phones, LANGUAGES),
        Task(
            "ud_english_ewt",
            (
                Source("data.train", "ud_english_ewt/en_ewt-ud-train.conllu.gz"),
                Source("data.dev", "ud_english_ewt/en_ewt-ud-dev.conllu"),
                Source("data.test", "ud_english_ewt/en_ewt-ud-test.conllu"),
            ),
            (Shown("token_accuracy", "test", 0.945), Shown("unseen_accuracy", "test")),
            TAGGING,
        ),
        Task(
            "ncbi_disease",
            (
                Source("data.train", "ncbi_disease/train.tsv"),
                Source("data.dev", "ncbi_disease/devel.tsv"),
                Source("data.test", "ncbi_disease/test.tsv"),
            ),
            (Shown("f1_micro", "test", 0.80), Shown("precision_micro", "test"), Shown("recall_micro", "test")),
            TAGGING,
        ),
        Task(
            "wnut17",
            (
                Source("data.train", "wnut17/wnut17train.conll"),
                Source("data.dev", "wnut17/emerging.dev.conll"),
                Source("data.test", "wnut17/emerging.test.annotated"),
            ),
            (Shown("f1_micro", "test"), Shown("precision_micro", "test"), Shown("recall_micro", "test")),
            TAGGING,
        ),
        Task(
            "snips_slots",
            (Source("data.train", "snips/train.jsonl"), Source("data.test", "snips/test.jsonl")),
            (Shown("f1_micro", "test"), Shown("sentence_accuracy", "test")),
            TAGGING,
        ),
    )
}


def train(task: Task, data: Path, seed: int, *, extra: Sequence[str] = ()) -> Run:
    """Train once as examples/<task>/config.yaml says. extra: "dotted.key=value" each, on top of it."""
    watch = Watch(f"{task.name}, seed {seed}", task.kind.watched)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        overrides = [*task.overrides(data, scratch), *extra]
        report = api.train(task.config, out=scratch / "run", overrides=overrides, seed=seed, watch=watch).report
    if report is None:
        raise SystemExit(f"{watch.title}: stopped before its end.")
    seconds = float(report.facts["training seconds"])
    return Run(
        task.name,
        seed,
        epochs=watch.epochs,
        tokens=watch.tokens,
        seconds=seconds,
        tokens_per_second=round(watch.tokens / max(seconds, 1e-9)),
        parameters=int(report.facts["parameters"]),
        scores=_values(report.scores),
        baselines={name: _values(scores) for name, scores in report.baselines.items()},
    )


def _values(scores: Sequence[Score]) -> dict[str, float]:
    return {f"{score.split}/{score.name}": score.value for score in scores}


def table(runs: Sequence[Run]) -> str:
    """The scores of all runs, in Markdown: a table for each kind, a line for each task and score, over its seeds."""
    kinds = [
        kind for kind in (CLASSIFICATION, TRANSLATION, TAGGING) if any(TASKS[run.task].kind is kind for run in runs)
    ]
    return "\n\n".join(_table(kind, [run for run in runs if TASKS[run.task].kind is kind]) for kind in kinds)


def _table(kind: Kind, runs: Sequence[Run]) -> str:
    heads = ["task", "score", "target", "recurra, mean (lowest to highest)", *kind.baselines.values()]
    heads += ["seeds", "parameters", "training, s", "tokens/s"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for task in dict.fromkeys(run.task for run in runs):
        lines += [_line(shown, [run for run in runs if run.task == task]) for shown in TASKS[task].shown]
    return "\n".join(lines)


def _line(shown: Shown, runs: Sequence[Run]) -> str:
    key, digits = f"{shown.split}/{shown.name}", shown.digits
    values = [run.scores[key] for run in runs]
    reached = "" if shown.at_least is None else (" reached" if mean(values) >= shown.at_least else " MISSED")
    cells = [
        runs[0].task,
        f"{shown.split} {shown.name}",
        "" if shown.at_least is None else f">= {shown.at_least}{reached}",
        f"**{mean(values):.{digits}f}** ({min(values):.{digits}f} to {max(values):.{digits}f})",
        *(_baseline(runs[0], name, key, digits) for name in TASKS[runs[0].task].kind.baselines),
        ", ".join(str(run.seed) for run in runs),
        f"{runs[0].parameters:,}",
        f"{mean(run.seconds for run in runs):,.0f}",
        f"{mean(run.tokens_per_second for run in runs):,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _baseline(run: Run, name: str, key: str, digits: int) -> str:
    """A baseline's score; it is the same for every seed. Empty where it was not computed (no scikit-learn)."""
    value = run.baselines.get(name, {}).get(key)
    return "" if value is None else f"{value:.{digits}f}"


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "recurra": version("recurra"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done; 2: wrong arguments, or no data."""
    options = _parser().parse_args(arguments)
    runs: list[Run] = []
    started = time.strftime("%Y-%m-%d")
    where = machine()
    for name in options.tasks:
        missing = TASKS[name].missing(options.data)
        if missing:
            say(f"{name}: left out, because there is no {', no '.join(map(str, missing))}.")
            continue
        for seed in options.seeds:
            runs.append(train(TASKS[name], options.data, seed, extra=options.set))
            if options.json:  # after each run, so that a stop loses no more than one
                document = {"date": started, "machine": where, "set": options.set, "runs": [asdict(r) for r in runs]}
                write_text(options.json, json.dumps(document, indent=1) + "\n")
    if not runs:
        say(f"{options.data}: holds none of the files of {', '.join(options.tasks)}; see examples/README.md.")
        return 2
    print(table(runs))
    print("\n" + ", ".join(f"{key}: {value}" for key, value in where.items()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train and score recurra on public data sets.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="a folder for each data set")
    parser.add_argument("--tasks", type=_tasks, default=list(TASKS), metavar="A,B", help="default: " + ",".join(TASKS))
    parser.add_argument("--seeds", type=_seeds, default=[1], metavar="1,2,3", help="one training for each; default: 1")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of every config")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every score of every run, written after each")
    return parser


def _tasks(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in TASKS:
            raise argparse.ArgumentTypeError(f"unknown task '{name}'; known: {', '.join(TASKS)}")
    return names


def _seeds(text: str) -> list[int]:
    seeds = text.split(",")
    if not all(seed.isdecimal() for seed in seeds):
        raise argparse.ArgumentTypeError(f"expected numbers such as 1,2,3, got '{text}'")
    return [int(seed) for seed in seeds]


if __name__ == "__main__":
    sys.exit(main())
