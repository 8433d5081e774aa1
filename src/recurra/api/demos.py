"""Data sets that every machine has, and the demos on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from recurra.api.callbacks import NoCallback
from recurra.api.defaults import in_float32
from recurra.api.detecting import DetectOptions, detect
from recurra.api.detection_files import write_detection_page, write_scores
from recurra.api.given import AnyPath, path_of, text_of
from recurra.api.training import Trained, fresh, train
from recurra.base.atomic import write_text
from recurra.base.contracts import Callback
from recurra.base.errors import ConfigError, did_you_mean
from recurra.data.embedded import EMBEDDED, write_csv
from recurra.data.embedded.dates import ambiguous
from recurra.data.embedded.gestures import COORDINATES, JOINTS, PATHS, PEOPLE, TIMES
from recurra.data.embedded.names import ceiling
from recurra.data.embedded.shapes import SIDE
from recurra.data.embedded.speech import RATE, SPOKEN_RATE, spoken


@dataclass(frozen=True, slots=True)
class Demo:
    """A config without its files. data: the embedded set; settings: sections of the config; note: what it shows.

    about: a sentence about the test rows      watched: how the split `watched` is searched, where there is one
    """

    data: str
    settings: Mapping[str, Any]
    note: str
    about: Callable[[], str]
    watched: DetectOptions | None = None


def _about_names() -> str:
    best = ceiling("test")
    return (
        f"{best.num_ambiguous:,} of {best.num_rows:,} test names are the same in several languages, so the best "
        f"reachable accuracy is {best.accuracy:.1%}."
    )


def _about_dates() -> str:
    return (
        f"{ambiguous('test'):,} of {EMBEDDED['dates'].size('test'):,} test texts can mean several dates, such as "
        "03/04/05. Each of these is right; how many outputs are another one than the date that was written is said "
        "apart (other_accepted)."
    )


def _about_quantities() -> str:
    found = [span["label"] for r in EMBEDDED["quantities"].records("test") for span in json.loads(r.fields["spans"])]
    return f"The {EMBEDDED['quantities'].size('test'):,} test texts hold {len(found):,} of them."


def _about_topics() -> str:
    sizes = {
        split: sum(len(r.fields["text"]) for r in EMBEDDED["topics"].records(split)) for split in ("train", "test")
    }
    return (
        f"{sizes['train']:,} characters to learn from, {sizes['test']:,} of other topics for the test; no paragraph of "
        "it is in training."
    )


def _about_questions() -> str:
    size = EMBEDDED["questions"].size
    return (
        f"{size('train'):,} questions to learn from; {size('test'):,} others stand in no answer word for word. Ask "
        "your own with `recurra chat`, which says which section an answer is from."
    )


def _about_co2() -> str:
    size = EMBEDDED["co2"].size("train")
    return (
        f"{size:,} weeks, some without a value; the last of them are forecast, by what is before them alone. The same "
        "weeks a year ago stand beside as the seasonal naive forecast."
    )


def _about_machine() -> str:
    size = EMBEDDED["machine"].size
    return (
        f"{size('train'):,} hours without a fault to learn from, {size('watched'):,} hours with five of them to find: "
        "a spike, a drift, a sensor that stands still, noise, and a night in the place of a day."
    )


def _about_speech() -> str:
    by = "the program espeak-ng" if spoken() else "the tones of a telephone, as espeak-ng is not installed"
    return f"The numbers are said by {by}; {EMBEDDED['speech'].size('train'):,} recordings to learn from."


def _about_shapes() -> str:
    size = EMBEDDED["shapes"].size("train") // 2
    return f"{size:,} pictures to learn from, each with two sentences; the captions of the nearest one stand beside."


def _about_gestures() -> str:
    return (
        f"{PEOPLE} people, {len(PATHS)} gestures, {TIMES} times each: {EMBEDDED['gestures'].size('train'):,} frames of "
        f"{len(JOINTS)} joints. Each person has another size, pace, place and facing."
    )


def _about_airline() -> str:
    return (
        "144 months, of which the last two years are forecast, a year at a time, by what is before them alone. The "
        "same months a year ago stand beside as the seasonal naive forecast."
    )


DEMOS: Mapping[str, Demo] = {
    "dates": Demo(
        "dates",
        {
            "task": {
                "name": "translation",
                "source": "text",
                "target": "date",
                "accepted": "accepted",
                "group": "language",
                "scores": "exact",
                "source_tokenizer": {"name": "characters", "lowercase": True},
            },
            "model": {
                "inputs": {"embedding_size": 64},
                "encoder": {"cell": "lstm", "hidden_size": 64, "bidirectional": True},
                "decoder": {"embedding_size": 64, "attention": "general"},
            },
            "training": {
                "epochs": 2,
                "batch_rows": 96,
                "optimizer": {"name": "adam", "lr": 0.008},
                "schedule": {"name": "cosine", "warmup": 0.05},
            },
        },
        "Which day is this? Dates of 1900-2100 as 40 languages write them, to ISO 8601, character by character; no "
        "date of the test occurs in training.",
        _about_dates,
    ),
    "tagging": Demo(
        "quantities",
        {
            "task": {"name": "tagging", "tokens": "text", "tags": "spans", "scheme": "iobes"},
            "model": {
                "inputs": {
                    "embedding_size": 32,
                    "character_embedding_size": 24,
                    "character_size": 32,
                    "word_dropout": 0.2,
                },
                "encoder": {"hidden_size": 64},
                "head": {"output_dropout": 0.2},
            },
            "training": {
                "epochs": 4,
                "batch_rows": 32,
                "optimizer": {"name": "adam", "lr": 0.006},
                "schedule": {"name": "cosine", "warmup": 0.05},
            },
        },
        "Where are the dates and the numbers? Lists of things in 40 languages, in which dates, times, numbers, "
        "percentages, money and measures are to be found; none of the test's was seen in training.",
        _about_quantities,
    ),
    "language_model": Demo(
        "topics",
        {
            "task": {"name": "language_model", "document": "row", "tokenizer": "characters", "bptt": 100},
            "model": {
                "inputs": {"embedding_size": 48},
                "encoder": {"cell": "lstm", "hidden_size": 256, "num_layers": 1, "last_layer": "hidden_size"},
                "head": {"tied": False, "output_dropout": 0.1},
            },
            "training": {
                "epochs": 8,
                "batch_rows": 16,
                "optimizer": {"name": "adam", "lr": 0.006},
                "schedule": {"name": "cosine", "warmup": 0.05},
            },
        },
        "What comes next? The language reference of Python, character by character, from the standard library.",
        _about_topics,
    ),
    "chat": Demo(
        "questions",
        {
            "task": {
                "name": "response_selection",
                "turns": ["question", "answer"],
                "source": "section",
                "context": 1,
                "refuse": 0.02,
                "tokenizer": {"name": "words", "lowercase": True},
                "max_reply_tokens": 80,
            },
            "model": {
                "inputs": {"embedding_size": 96, "embedding_dropout": 0.2},
                "encoder": {"cell": "gru", "hidden_size": 64},
            },
            "training": {
                "epochs": 5,
                "batch_rows": 64,
                "optimizer": {"name": "adam", "lr": 0.003},
                "schedule": {"name": "cosine", "warmup": 0.05},
            },
        },
        "Which part of the language reference of Python answers this? A question is answered with the paragraph whose "
        "vector, and whose words, are nearest.",
        _about_questions,
    ),
    "word_vectors": Demo(
        "topics",
        {
            "task": {"name": "word_vectors", "tokenizer": {"name": "words", "lowercase": True}, "min_count": 3},
            "model": {"vector_size": 50},
            "training": {"epochs": 30},
        },
        "Which words are near? Those of the language reference of Python, by the words that stand around them.",
        _about_topics,
    ),
    "forecasting": Demo(
        "co2",
        {
            "task": {
                "name": "forecasting",
                "target": "co2",
                "time": "date",
                "horizon": 26,
                "context": 104,
                "season": 52,
                "base": "season",
                "missing": "mask",
                "windows": 1024,
            },
            "data": {
                "layout": {"name": "wide", "time": "date", "value": "co2"},
                "split": {"name": "time", "dev": 4, "test": 4},
            },
            "model": {"encoder": {"cell": "gru", "hidden_size": 32}, "head": {"output_dropout": 0.1}},
            "training": {
                "epochs": 6,
                "batch_rows": 32,
                "optimizer": {"name": "adam", "lr": 0.005},
                "schedule": {"name": "cosine", "warmup": 0.05},
            },
        },
        "How much carbon dioxide will there be? Weekly means over Mauna Loa, Hawaii, of 1958 to 2001 (C.D. Keeling and "
        "T.P. Whorf, Scripps Institution of Oceanography; public domain; as the package statsmodels has them): half a "
        "year ahead, with intervals.",
        _about_co2,
    ),
    "airline": Demo(
        "airline",
        {
            "task": {
                "name": "forecasting",
                "target": "passengers",
                "time": "month",
                "horizon": 12,
                "context": 24,
                "scaling": "mean",
                "base": "season",
                "windows": 512,
            },
            "data": {
                "layout": {"name": "wide", "time": "month", "value": "passengers"},
                "split": {"name": "time", "dev": 2, "test": 2},
            },
            "model": {"encoder": {"cell": "gru", "hidden_size": 16}, "head": {"output_dropout": 0.1}},
            "training": {
                "epochs": 8,
                "batch_rows": 32,
                "optimizer": {"name": "adam", "lr": 0.005},
                "schedule": {"name": "cosine", "warmup": 0.05},
            },
        },
        "How many passengers will fly? Those of international flights by month, 1949 to 1960 (Box & Jenkins 1976, "
        "series G): a year ahead, with intervals.",
        _about_airline,
    ),
    "anomalies": Demo(
        "machine",
        {
            "task": {
                "name": "forecasting",
                "target": "temperature",
                "time": "time",
                "horizon": 12,
                "context": 72,
                "windows": 1024,
            },
            "data": {
                "layout": {"name": "wide", "time": "time", "columns": ["temperature"], "value": "temperature"},
                "split": {"name": "time", "dev": 4, "test": 4},
            },
            "model": {"encoder": {"cell": "gru", "hidden_size": 32}},
            "training": {
                "epochs": 4,
                "batch_rows": 32,
                "optimizer": {"name": "adam", "lr": 0.005},
                "schedule": {"name": "cosine", "warmup": 0.05},
            },
        },
        "Which hours are unusual? The temperature of a machine, made up for this: hours that forecasts from those "
        "before them are far from.",
        _about_machine,
        DetectOptions(threshold="tail=0.001", labels="anomaly", smooth=6),
    ),
    "speech": Demo(
        "speech",
        {
            "task": {
                "name": "transcription",
                "tokenizer": "spaces",
                "scaling": "running",
                # The program's pauses are digital silence, which would rule the scales: nothing was learned.
                "floor": 5.0,
                "sound": {"name": "kaldi", "rate": SPOKEN_RATE if spoken() else RATE, "bands": 40},
            },
            "model": {
                "encoder": {"cell": "gru", "hidden_size": 96, "bidirectional": False},
                "head": {"blank_share": 0.95},
            },
            "training": {
                "epochs": 8,
                "batch_rows": 8,
                "optimizer": {"name": "adam", "lr": 0.004},
                "schedule": {"name": "cosine", "warmup": 0.05},
            },
        },
        "Which numbers are said? Three to six digits in a recording, learned from their texts alone, without times; "
        "the model hears a stream.",
        _about_speech,
    ),
    "activity": Demo(
        "gestures",
        {
            "task": {
                "name": "series_classification",
                "label": "gesture",
                "values": list(COORDINATES),
                "joints": {
                    "name": "skeleton",
                    "numbers": "xyz",
                    "root": 2,
                    "scale": "body",
                    "gaps": "fill",
                    "velocity": True,
                },
                "augment": {"name": "movement", "rotate": 30.0, "warp": 0.2, "jitter": 0.03},
            },
            "data": {
                "layout": {"name": "long", "id": "recording", "time": "frame"},
                "split": {"name": "group", "by": "person", "dev": 0.15, "test": 0.25},
            },
            "model": {
                "encoder": {"name": "recurrent", "cell": "gru", "hidden_size": 48, "bidirectional": True},
                "head": {"pooling": "mean", "output_dropout": 0.2},
            },
            "training": {
                "epochs": 12,
                "batch_rows": 16,
                "optimizer": {"name": "adam", "lr": 0.005},
                "schedule": {"name": "cosine", "warmup": 0.05},
                "select": "log_loss",
            },
        },
        "Which gesture is it? Joints of people, made up for this; those of the test are not in training, and six of "
        "the gestures are pairs, one the other run backwards.",
        _about_gestures,
    ),
    "captions": Demo(
        "shapes",
        {
            "task": {"name": "captioning", "height": SIDE},
            "data": {"layout": {"name": "long", "id": "image"}},
            "model": {
                "encoder": {"channels": [24, 48, 96]},
                "decoder": {"embedding_size": 64, "cell": "gru", "hidden_size": 128},
            },
            "training": {
                "epochs": 20,
                "batch_rows": 16,
                "optimizer": {"name": "adam", "lr": 0.003},
                "schedule": {"name": "cosine", "warmup": 0.05},
                "patience": None,
            },
        },
        "What is in the picture? One or two shapes, their colours and where they stand, in words; what each word "
        "looked at is in the report.",
        _about_shapes,
    ),
    "names": Demo(
        "names",
        {
            "task": {"name": "classification", "text": "name", "label": "language", "tokenizer": "characters"},
            "model": {
                "inputs": {"embedding_size": 48},
                "encoder": {"cell": "lstm", "hidden_size": 128},
                "head": {"pooling": "max", "output_dropout": 0.3},
            },
            "training": {
                "epochs": 3,
                "batch_rows": 128,
                "optimizer": {"name": "adam", "lr": 0.006},
                "schedule": {"name": "cosine", "warmup": 0.05},
            },
        },
        "Which language is this name? Names of countries, languages, currencies, months and weekdays in 40 languages; "
        "what a name stands for is in one split only, so the test asks about things that training never named.",
        _about_names,
    ),
}


@in_float32
def demo(name: str, *, out: AnyPath, watch: Callback | None = None) -> Trained:
    """Train a small model on an embedded data set, on the CPU. Files and config are left beside the run, to try on.

    Raises ConfigError for a demo that is not known, or where its data set's package is missing.
    """
    out, watch = path_of(out, "out"), watch or NoCallback()
    if text_of(name, "name") not in DEMOS:
        raise ConfigError(f"unknown demo '{name}'.{did_you_mean(name, DEMOS) or ' Known: ' + ', '.join(DEMOS)}")
    chosen = DEMOS[name]
    watch.note(chosen.note)
    watch.note(chosen.about())
    folder = out.parent / f"{out.name}-data"
    files = {path.stem.rpartition("_")[2]: str(path) for path in write_csv(chosen.data, folder)}
    config = folder / f"{name}.yaml"
    settings = {
        **chosen.settings,
        "data": {**chosen.settings.get("data", {})}
        | {split: files[split] for split in ("train", "dev", "test") if split in files},
    }
    write_text(config, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    trained = train(config, out=fresh(out), device="cpu", watch=watch)
    if chosen.watched is None or trained.stopped_by is not None:
        return trained
    return _watched(chosen.watched, trained, Path(files["watched"]), watch)


def _watched(options: DetectOptions, trained: Trained, file: Path, watch: Callback) -> Trained:
    """What was found in the watched split, in the place of the report; a page and scores beside the file."""
    found = detect(trained.run, file, options=options, watch=watch)
    page, scores = file.with_suffix(".html"), file.with_name(f"{file.stem}_scores.csv")
    write_detection_page(page, found)
    write_scores(scores, found)
    watch.note(f"{page}: the charts; {scores}: a row a point.")
    return replace(trained, report=found.report)


@dataclass(frozen=True, slots=True)
class Listed:
    """An embedded data set. rows: by split, or empty where the package that holds it is not installed."""

    name: str
    description: str
    columns: tuple[str, ...]
    licence: str
    rows: str


def data_list() -> tuple[Listed, ...]:
    """The data sets that every machine has."""
    return tuple(Listed(name, one.description, one.columns, one.licence, _rows(one)) for name, one in EMBEDDED.items())


def data_export(name: str, folder: AnyPath) -> tuple[Path, ...]:
    """Write a data set as CSV files, one a split. Raises ConfigError for one that is not known."""
    return write_csv(text_of(name, "name"), path_of(folder, "folder"))


def _rows(one: Any) -> str:
    try:
        return ", ".join(f"{split} {one.size(split):,}" for split in one.splits)
    except ConfigError as error:
        return str(error)
