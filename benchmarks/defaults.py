"""What a user gets who changes nothing: `recurra init` on small public data sets, then `recurra train`, by seed.

    python benchmarks/defaults.py --data DIR [--sets sms_spam,wnut17] [--seeds 1,2,3] [--json FILE]
    python benchmarks/defaults.py --table FILE [FILE]    the table again, of finished runs

DIR holds a folder for each data set (see examples/README.md). Of the config that `init` writes only the files for dev
and test are named, where the set has them. A table in Markdown goes to standard output, what is going on to standard
error.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import random
import re
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from quality import machine, say

from recurra import api
from recurra.api.callbacks import NoCallback
from recurra.base.atomic import write_text
from recurra.base.contracts import Score

# Rows of a sample are drawn by this seed, so that everybody's sample is the same.
SAMPLE_SEED = 2017
# Numbers step by step, and their label.
Series = tuple[list[Any], str]


@dataclass(frozen=True, slots=True)
class Files:
    """A data set as the files that a user would have."""

    train: Path
    dev: Path | None = None
    test: Path | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """score: by which people compare; baseline: that the report prints beside it; margin: how far below it may be.

    folds: of a set without a split, the files of each fold, whose scores are counted together; `files` are the first's
    """

    name: str
    task: str
    score: str
    baseline: str
    margin: float
    files: Callable[[Path, Path], Files]
    folds: Sequence[Callable[[Path, Path], Files]] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One training. Scores and baselines by "split/name"; seconds of training, with the dev scores."""

    set: str
    seed: int
    steps: int
    seconds: float
    best_step: int
    scores: Mapping[str, float]
    baselines: Mapping[str, Mapping[str, float]]
    notes: Sequence[str]


class Watch(NoCallback):
    """Says the dev score of each epoch."""

    def __init__(self, title: str, score: str) -> None:
        self.title, self.score, self.step_of_best, self.last = title, score, 0, 0

    def step(self, progress, speed: float, seconds_left: float) -> None:  # type: ignore[no-untyped-def]
        self.last = progress.step

    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None:
        values = {score.name: score.value for score in scores}
        loss = f", log loss {values['log_loss']:.3f}" if "log_loss" in values else ""
        say(f"{self.title}: epoch {epoch}, step {self.last}, dev {values[self.score]:.4f}{loss}{' *' * is_best}")
        if is_best:
            self.step_of_best = self.last


# -- the sets ----------------------------------------------------------------------------------------------------------


def as_csv(rows: Sequence[tuple[str, str]], path: Path) -> Path:
    """Rows of (text, label) as a CSV file with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("text", "label"), *rows])
    write_text(path, text.getvalue())
    return path


def labelled(path: Path, *, apart: str, encoding: str = "utf-8") -> list[tuple[str, str]]:
    """Rows of "LABEL TEXT", with `apart` between them. Not splitlines(), which also cuts inside a text."""
    lines = path.read_text(encoding=encoding).rstrip("\n").split("\n")
    return [(text, label) for label, _, text in (line.partition(apart) for line in lines)]


def sms_spam(data: Path, scratch: Path) -> Files:
    return Files(as_csv(labelled(data / "sms_spam/SMSSpamCollection", apart="\t"), scratch / "train.csv"))


def trec_qc(data: Path, scratch: Path) -> Files:
    """Six coarse classes: DESC of "DESC:manner How did ..."."""

    def rows(name: str) -> list[tuple[str, str]]:
        found = labelled(data / "trec_qc" / name, apart=" ", encoding="latin-1")
        return [(text, label.partition(":")[0]) for text, label in found]

    train, test = (as_csv(rows(f"TREC.{name}"), scratch / f"{name}.csv") for name in ("train", "test"))
    return Files(train, test=test)


def sst2(sentences: int | None) -> Callable[[Path, Path], Files]:
    def files(data: Path, scratch: Path) -> Files:
        train, test = (labelled(data / f"sst2/sentence/stsa.binary.{name}", apart=" ") for name in ("train", "test"))
        return Files(as_csv(some(train, sentences), scratch / "train.csv"), test=as_csv(test, scratch / "test.csv"))

    return files


def imdb(reviews: int | None) -> Callable[[Path, Path], Files]:
    def files(data: Path, scratch: Path) -> Files:
        found = []
        for name in ("train", "test"):
            with gzip.open(data / f"imdb/imdb_{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
                rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
            found.append(as_csv(some(rows, reviews) if name == "train" else rows, scratch / f"{name}.csv"))
        return Files(found[0], test=found[1])

    return files


def snips_intents(data: Path, scratch: Path) -> Files:
    """What each command wants: the name of its file."""

    def rows(prefix: str, suffix: str) -> list[tuple[str, str]]:
        return [("".join(part["text"] for part in parts), intent) for intent, parts in snips(data, prefix, suffix)]

    return Files(
        as_csv(rows("train", "_full"), scratch / "train.csv"), test=as_csv(rows("validate", ""), scratch / "test.csv")
    )


def snips(data: Path, prefix: str, suffix: str) -> list[tuple[str, list[dict[str, str]]]]:
    """Intent and parts, {"text", perhaps "entity"}, of each command."""
    found = []
    for path in sorted((data / "snips").glob(f"{prefix}_*{suffix}.json")):
        raw = path.read_bytes()
        content = json.loads(raw.decode("latin-1" if path.name == "train_PlayMusic_full.json" else "utf-8"))
        found += [(intent, command["data"]) for intent, commands in content.items() for command in commands]
    return found


def promoters(data: Path) -> list[tuple[str, str]]:
    """+ or -, of 57 bases: 106 rows, in an order that is drawn once."""
    lines = (data / "dna_promoters/promoters.data").read_text(encoding="utf-8").splitlines()
    rows = [tuple(part.strip() for part in line.split(",")) for line in lines if line.strip()]
    return some([(bases, label) for label, _, bases in rows], len(rows))


def dna_promoters(data: Path, scratch: Path) -> Files:
    """There is no split: a third of the rows are the test."""
    rows = promoters(data)
    return Files(as_csv(rows[35:], scratch / "train.csv"), test=as_csv(rows[:35], scratch / "test.csv"))


def dna_fold(fold: int) -> Callable[[Path, Path], Files]:
    """One of ten folds: every tenth row is its test."""

    def files(data: Path, scratch: Path) -> Files:
        rows = promoters(data)
        train = [row for number, row in enumerate(rows) if number % 10 != fold]
        return Files(as_csv(train, scratch / "train.csv"), test=as_csv(rows[fold::10], scratch / "test.csv"))

    return files


def splice(data: Path) -> list[tuple[str, str]]:
    """EI, IE or N, of 60 bases."""
    lines = (data / "dna_splice/splice.data").read_text(encoding="utf-8").splitlines()
    rows = [tuple(part.strip() for part in line.split(",")) for line in lines if line.strip()]
    return [(bases, label) for label, _, bases in rows]


def splice_fold(fold: int) -> Callable[[Path, Path], Files]:
    """One of ten folds, by the sequence, so that a repeated one is in a single fold."""

    def files(data: Path, scratch: Path) -> Files:
        rows = splice(data)
        order = some([(bases, "") for bases in dict.fromkeys(bases for bases, _ in rows)], len({b for b, _ in rows}))
        fold_of = {bases: number % 10 for number, (bases, _) in enumerate(order)}
        test = [row for row in rows if fold_of[row[0]] == fold]
        train = [row for row in rows if fold_of[row[0]] != fold]
        return Files(as_csv(train, scratch / "train.csv"), test=as_csv(test, scratch / "test.csv"))

    return files


def as_lines(rows: Sequence[Series], path: Path) -> Path:
    """Series as JSON lines."""
    lines = [json.dumps({"values": values, "label": label}) for values, label in rows]
    write_text(path, "\n".join(lines) + "\n")
    return path


def archive(name: str) -> Callable[[Path, Path], Files]:
    """A set of the UCR/UEA archive, with its own split."""

    def files(data: Path, scratch: Path) -> Files:
        train, test = (data / f"ucr_uea/{name}/{name}_{part}.ts" for part in ("TRAIN", "TEST"))
        return Files(train, test=test)

    return files


def fashion_mnist(data: Path, scratch: Path) -> Files:
    """Pictures of 28 rows, each a step of 28 grey values, with the set's own test."""
    names = [data / f"fashion_mnist/{part}-images-idx3-ubyte.gz" for part in ("train", "t10k")]
    return Files(names[0], test=names[1])


def ecg_fold(fold: int) -> Callable[[Path, Path], Files]:
    """One of five folds of the 500 beats of the training part: every fifth is its test."""

    def files(data: Path, scratch: Path) -> Files:
        lines = (data / "ecg5000/ECG5000_TRAIN.txt").read_text(encoding="utf-8").split("\n")
        rows = [
            (list(map(float, beat)), str(int(float(label)))) for label, *beat in map(str.split, filter(None, lines))
        ]
        rows = random.Random(SAMPLE_SEED).sample(rows, len(rows))
        train = [row for number, row in enumerate(rows) if number % 5 != fold]
        return Files(as_lines(train, scratch / "train.jsonl"), test=as_lines(rows[fold::5], scratch / "test.jsonl"))

    return files


def indoor_movement(data: Path, scratch: Path) -> Files:
    """The signal of four anchors, and whether who carries it changes rooms: two pairs of rooms to learn from, the third
    is the test."""
    with zipfile.ZipFile(data / "indoor_movement/IndoorMovement.zip") as packed:

        def table(name: str) -> list[list[str]]:
            (path,) = (one for one in packed.namelist() if one.endswith(name))
            lines = packed.read(path).decode("ascii").splitlines()
            return [line.replace(" ", "").split(",") for line in lines if line.strip() and not line.startswith("#")]

        groups = dict(table("MovementAAL_DatasetGroup.csv"))
        parts: dict[bool, list[Series]] = {False: [], True: []}
        for number, label in table("MovementAAL_target.csv"):
            values = [list(map(float, row)) for row in table(f"MovementAAL_RSS_{number}.csv")]
            parts[groups[number] == "3"].append((values, label))
    return Files(as_lines(parts[False], scratch / "train.jsonl"), test=as_lines(parts[True], scratch / "test.jsonl"))


def wrist_fold(fold: int) -> Callable[[Path, Path], Files]:
    """One of four folds of the people: three axes of an accelerometer, the 12 activities that several of them did."""

    def files(data: Path, scratch: Path) -> Files:
        found = []
        with tarfile.open(data / "hmp_wrist_accelerometer/hmp.tar.gz") as packed:
            for member in sorted(packed.getmembers(), key=lambda one: one.name):
                activity, _, name = member.name.partition("/")
                if member.isfile() and name.startswith("Accelerometer") and (file := packed.extractfile(member)):
                    values = [list(map(float, line.split())) for line in file.read().decode("ascii").splitlines()]
                    found.append((name.removesuffix(".txt").rpartition("-")[2], (values, activity)))
        done_by: dict[str, set[str]] = {}
        for person, (_, activity) in found:
            done_by.setdefault(activity, set()).add(person)
        people = sorted({person for person, _ in found})
        found = [(person, row) for person, row in found if len(done_by[row[1]]) > 1]
        test = [row for person, row in found if people.index(person) % 4 == fold]
        train = [row for person, row in found if people.index(person) % 4 != fold]
        return Files(as_lines(train, scratch / "train.jsonl"), test=as_lines(test, scratch / "test.jsonl"))

    return files


def fsdd(data: Path, scratch: Path) -> Files:
    """Spoken digits, of 8 kHz; recordings 0 to 4 of each speaker and digit are the test."""
    with tarfile.open(data / "fsdd/fsdd_recordings.tar.gz") as packed:
        packed.extractall(scratch, filter="data")
    parts: dict[bool, list[str]] = {False: ["sound,label"], True: ["sound,label"]}
    for path in sorted(scratch.rglob("*.wav")):
        digit, _, number = path.stem.split("_")
        parts[int(number) < 5].append(f"{path},{digit}")
    names = scratch / "train.csv", scratch / "test.csv"
    for name, rows in zip(names, parts.values(), strict=True):
        write_text(name, "\n".join(rows) + "\n")
    return Files(names[0], test=names[1])


def some(rows: Sequence[tuple[str, str]], number: int | None) -> list[tuple[str, str]]:
    """So many of the rows, or all."""
    return list(rows) if number is None else random.Random(SAMPLE_SEED).sample(rows, number)


def hate_offensive(data: Path, scratch: Path) -> Files:
    return Files(data / "hate_offensive/labeled_data.csv.gz")


def columns(folder: str, names: Mapping[str, str], sentences: int | None) -> Callable[[Path, Path], Files]:
    """Files of columns, under a name that tells their format. names: by split      sentences: of train; None: all"""

    def files(data: Path, scratch: Path) -> Files:
        found = {key: scratch / f"{key}.conll" for key in names}
        for key, name in names.items():
            text = (data / folder / name).read_text(encoding="utf-8")
            write_text(found[key], sampled(text, sentences) if key == "train" else text)
        return Files(**found)

    return files


def wnut17(sentences: int | None) -> Callable[[Path, Path], Files]:
    names = {"train": "wnut17train.conll", "dev": "emerging.dev.conll", "test": "emerging.test.annotated"}
    return columns("wnut17", names, sentences)


def ncbi_disease(sentences: int | None) -> Callable[[Path, Path], Files]:
    return columns("ncbi_disease", {"train": "train.tsv", "dev": "devel.tsv", "test": "test.tsv"}, sentences)


def ewt(sentences: int | None) -> Callable[[Path, Path], Files]:
    def files(data: Path, scratch: Path) -> Files:
        folder, train = data / "ud_english_ewt", scratch / "train.conllu"
        with gzip.open(folder / "en_ewt-ud-train.conllu.gz", "rt", encoding="utf-8") as file:
            write_text(train, sampled(file.read(), sentences))
        return Files(train, folder / "en_ewt-ud-dev.conllu", folder / "en_ewt-ud-test.conllu")

    return files


def snips_slots(commands: int | None) -> Callable[[Path, Path], Files]:
    """The words of each command, cut at spaces, with their slots; dev is a part of train, as the set has none."""

    def files(data: Path, scratch: Path) -> Files:
        found = {}
        for key, rows in (("train", snips(data, "train", "_full")), ("test", snips(data, "validate", ""))):
            text = "\n\n".join("\n".join(words_of(parts)) for _, parts in rows) + "\n"
            found[key] = scratch / f"{key}.conll"
            write_text(found[key], sampled(text, commands) if key == "train" else text)
        return Files(**found)

    return files


def words_of(parts: Sequence[Mapping[str, str]]) -> list[str]:
    """Lines "word tag" of a command in parts, slots in BIO."""
    return [
        f"{word} {'BI'[number > 0]}-{part['entity']}" if "entity" in part else f"{word} O"
        for part in parts
        for number, word in enumerate(part["text"].split())
    ]


def sampled(text: str, number: int | None) -> str:
    """So many of the sentences that blank lines part, or the text as it is."""
    if number is None:
        return text
    # Between sentences of wnut17 there are lines with a tab, too.
    sentences = [sentence for part in re.split(r"\n[ \t]*\n", text) if (sentence := part.strip("\n"))]
    return "\n\n".join(random.Random(SAMPLE_SEED).sample(sentences, number)) + "\n"


SETS = {
    one.name: one
    for one in (
        DataSet("sms_spam", "classification", "accuracy", "tfidf", 0.015, sms_spam),
        DataSet("trec_qc", "classification", "accuracy", "tfidf", 0.015, trec_qc),
        DataSet("sst2_1000", "classification", "accuracy", "tfidf", 0.015, sst2(1000)),
        DataSet("sst2_5000", "classification", "accuracy", "tfidf", 0.015, sst2(5000)),
        DataSet("sst2_all", "classification", "accuracy", "tfidf", 0.015, sst2(None)),
        DataSet("hate_offensive", "classification", "accuracy", "tfidf", 0.015, hate_offensive),
        DataSet("imdb_2000", "classification", "accuracy", "tfidf", 0.015, imdb(2000)),
        DataSet("imdb_all", "classification", "accuracy", "tfidf", 0.015, imdb(None)),
        DataSet("snips_intents", "classification", "accuracy", "tfidf", 0.015, snips_intents),
        DataSet("dna_promoters", "classification", "accuracy", "tfidf", 0.015, dna_promoters),
        DataSet("dna_folds", "classification", "accuracy", "tfidf", 0.015, dna_fold(0), [*map(dna_fold, range(10))]),
        DataSet(
            "dna_splice", "classification", "accuracy", "tfidf", 0.0, splice_fold(0), [*map(splice_fold, range(10))]
        ),
        *(
            DataSet(name, "series_classification", "accuracy", "statistics", 0.0, archive(name))
            for name in ("JapaneseVowels", "BasicMotions", "ItalyPowerDemand", "GunPoint", "ArrowHead")
        ),
        DataSet(
            "ecg5000", "series_classification", "accuracy", "statistics", 0.0, ecg_fold(0), [*map(ecg_fold, range(5))]
        ),
        DataSet("indoor_movement", "series_classification", "accuracy", "statistics", 0.0, indoor_movement),
        DataSet(
            "wrist", "series_classification", "accuracy", "statistics", 0.0, wrist_fold(0), [*map(wrist_fold, range(4))]
        ),
        DataSet("fashion_mnist", "series_classification", "accuracy", "statistics", 0.0, fashion_mnist),
        DataSet("fsdd", "series_classification", "accuracy", "statistics", 0.0, fsdd),
        DataSet("wnut17_500", "tagging", "f1_micro", "dictionary", 0.0, wnut17(500)),
        DataSet("wnut17_2000", "tagging", "f1_micro", "dictionary", 0.0, wnut17(2000)),
        DataSet("wnut17", "tagging", "f1_micro", "dictionary", 0.0, wnut17(None)),
        DataSet("ncbi_500", "tagging", "f1_micro", "dictionary", 0.0, ncbi_disease(500)),
        DataSet("ncbi_1500", "tagging", "f1_micro", "dictionary", 0.0, ncbi_disease(1500)),
        DataSet("ncbi_2000", "tagging", "f1_micro", "dictionary", 0.0, ncbi_disease(2000)),
        DataSet("ncbi_all", "tagging", "f1_micro", "dictionary", 0.0, ncbi_disease(None)),
        DataSet("ewt_500", "tagging", "token_accuracy", "frequent", 0.0, ewt(500)),
        DataSet("ewt_2000", "tagging", "token_accuracy", "frequent", 0.0, ewt(2000)),
        DataSet("ewt_all", "tagging", "token_accuracy", "frequent", 0.0, ewt(None)),
        DataSet("snips_slots_500", "tagging", "f1_micro", "dictionary", 0.0, snips_slots(500)),
        DataSet("snips_slots_2000", "tagging", "f1_micro", "dictionary", 0.0, snips_slots(2000)),
        DataSet("snips_slots_all", "tagging", "f1_micro", "dictionary", 0.0, snips_slots(None)),
    )
}


# -- training ----------------------------------------------------------------------------------------------------------


def train(chosen: DataSet, data: Path, seed: int, extra: Sequence[str]) -> Run:
    """`init`, then `train` with the config as it was written; of a set in folds, one training for each.

    extra: "dotted.key=value" each, on top of the config
    """
    if not chosen.folds:
        return _trained(chosen, data, seed, extra)
    return _counted_together([_trained(replace(chosen, files=fold), data, seed, extra) for fold in chosen.folds])


def _counted_together(runs: Sequence[Run]) -> Run:
    """The runs of all folds as one: a row's share in a score is the same in each; steps and seconds are sums."""
    rows = [sum(v for key, v in run.scores.items() if key.startswith("test/support[")) for run in runs]

    def means(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
        keys = ("test/accuracy", "test/log_loss")
        return {key: sum(n * one[key] for n, one in zip(rows, found, strict=True)) / sum(rows) for key in keys}

    baselines = {name: means([run.baselines[name] for run in runs]) for name in runs[0].baselines}
    first, scores = runs[0], means([run.scores for run in runs])
    steps, seconds = sum(run.steps for run in runs), sum(run.seconds for run in runs)
    return Run(first.set, first.seed, steps, seconds, first.best_step, scores, baselines, first.notes)


def _trained(chosen: DataSet, data: Path, seed: int, extra: Sequence[str]) -> Run:
    watch = Watch(f"{chosen.name}, seed {seed}", chosen.score)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        files = chosen.files(data, scratch)
        config = scratch / "config.yaml"
        write_text(config, api.init(chosen.task, files.train))
        named = [f"data.{key}={path}" for key in ("dev", "test") if (path := getattr(files, key)) is not None]
        report = api.train(config, out=scratch / "run", overrides=[*named, *extra], seed=seed, watch=watch).report
    if report is None:
        raise SystemExit(f"{watch.title}: stopped before its end.")
    return Run(
        chosen.name,
        seed,
        steps=watch.last,
        seconds=float(report.facts["training seconds"]),
        best_step=watch.step_of_best,
        scores=_values(report.scores),
        baselines={name: _values(scores) for name, scores in report.baselines.items()},
        notes=[str(value) for key, value in report.facts.items() if key.startswith(("note", "verdict", "calibration"))],
    )


def _values(scores: Sequence[Score]) -> dict[str, float]:
    return {f"{score.split}/{score.name}": score.value for score in scores}


# -- the table ---------------------------------------------------------------------------------------------------------


def table(runs: Sequence[Run]) -> str:
    """A line a set, of the test split: mean and range over seeds, beside the baselines and what must hold.

    Sets and seeds in their own order, since runs may come from several files, written side by side.
    """
    runs = sorted(runs, key=lambda run: (list(SETS).index(run.set), run.seed))
    losses = ["log loss, mean (highest)", "baseline's log loss", "majority's log loss"]
    heads = ["set", "score", "mean (lowest to highest)", "baseline", *losses]
    lines = [f"| {' | '.join([*heads, 'seeds', 'steps', 'training, s'])} |", "|---" * (len(heads) + 3) + "|"]
    for name in dict.fromkeys(run.set for run in runs):
        lines.append(_line(SETS[name], [run for run in runs if run.set == name]))
    return "\n".join(lines)


def _line(chosen: DataSet, runs: Sequence[Run]) -> str:
    values = [run.scores[f"test/{chosen.score}"] for run in runs]
    bar = runs[0].baselines[chosen.baseline][f"test/{chosen.score}"]
    held = mean(values) >= bar - chosen.margin
    losses = [run.scores["test/log_loss"] for run in runs if "test/log_loss" in run.scores]
    most = runs[0].baselines.get("majority", {}).get("test/log_loss")
    theirs = runs[0].baselines[chosen.baseline].get("test/log_loss")
    worse = bool(losses and most is not None and max(losses) > most)
    cells = [
        chosen.name,
        chosen.score,
        f"**{mean(values):.4f}** ({min(values):.4f} to {max(values):.4f}){'' if held else ' MISSED'}",
        f"{bar:.4f} ({chosen.baseline})",
        f"{mean(losses):.3f} ({max(losses):.3f}){' MISSED' if worse else ''}" if losses else "",
        "" if theirs is None or not losses else f"{theirs:.3f}",
        "" if most is None else f"{most:.3f}",
        ", ".join(str(run.seed) for run in runs),
        f"{mean(run.steps for run in runs):,.0f}",
        f"{mean(run.seconds for run in runs):,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done; 2: wrong arguments."""
    options = _parser().parse_args(arguments)
    if options.table:
        found = [Run(**run) for path in options.table for run in json.loads(path.read_text())["runs"]]
        print(table(found))
        return 0
    if options.data is None:
        say("--data: expected the folder of the data sets.")
        return 2
    runs: list[Run] = []
    where = machine() | {"date": time.strftime("%Y-%m-%d")}
    for seed in options.seeds:
        for name in options.sets:
            runs.append(train(SETS[name], options.data, seed, options.set))
            if options.json:  # after each run, so that a stop loses no more than one
                write_text(options.json, json.dumps({"machine": where, "runs": [asdict(r) for r in runs]}, indent=1))
    print(table(runs))
    print("\n" + ", ".join(f"{key}: {value}" for key, value in where.items()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train what `recurra init` writes, unchanged, on small data sets.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder for each data set")
    parser.add_argument("--sets", type=_sets, default=list(SETS), metavar="A,B", help="default: " + ",".join(SETS))
    parser.add_argument("--seeds", type=_seeds, default=[1], metavar="1,2,3", help="one training for each; default: 1")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of every config")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every score of every run, written after each")
    parser.add_argument("--table", type=Path, nargs="+", metavar="FILE", help="write the table of these files, and end")
    return parser


def _sets(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in SETS:
            raise argparse.ArgumentTypeError(f"unknown set '{name}'; known: {', '.join(SETS)}")
    return names


def _seeds(text: str) -> list[int]:
    seeds = text.split(",")
    if not all(seed.isdecimal() for seed in seeds):
        raise argparse.ArgumentTypeError(f"expected numbers such as 1,2,3, got '{text}'")
    return [int(seed) for seed in seeds]


if __name__ == "__main__":
    sys.exit(main())
