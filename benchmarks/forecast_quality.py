"""Forecasts of public series beside naive ones: M4 Hourly and Weekly, and ETTh1 at the horizons that papers have.

    python benchmarks/forecast_quality.py --data DIR [--sets m4_weekly,etth1_96] [--seeds 1,2,3] [--set KEY=VALUE]

DIR holds m4/ and ett/. etth1_H are its seven series H hours ahead, segrnn_H the same by the settings that SegRNN is
published with, oil_H the oil temperature alone. Of M4, training and test file of each series stand one behind the
other, so that the last forecast, which is the test, is the competition's. Of ETTh1 the first 14,400 hours count, the
last 2,880 as test and those before as dev, as in Informer; each forecast that lies inside of them is scored. A line a
set: the mean over seeds of the scores by which people compare.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from statistics import mean
from typing import Any

from defaults import _seeds as seeds
from quality import machine, say

from recurra import api

ADAM = {"name": "adam", "lr": 0.002}
COSINE = {"name": "cosine", "warmup": 0.05}
HOURS, HELD_OUT, DAY = 14_400, 2_880, 24
Config = dict[str, Any]
BASELINES = ("last value", "seasonal naive", "drift")


def m4(kind: str, task: Mapping[str, Any]) -> Callable[[Path, Path], Config]:
    """Hourly or Weekly, one model of all series."""

    def config(data: Path, scratch: Path) -> Config:
        path = scratch / "m4.csv"
        with gzip.open(data / f"m4/{kind}-train.csv.gz", "rt") as train, (data / f"m4/{kind}-test.csv").open() as test:
            ends = {name: rest for name, *rest in list(csv.reader(test))[1:]}
            series = [(name, [v for v in (*row, *ends[name]) if v]) for name, *row in list(csv.reader(train))[1:]]
        with path.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["unique_id", "ds", "y"])
            table.writerows((name, k, v) for name, values in series for k, v in enumerate(values, start=1))
        columns = {"name": "forecasting", "target": "y", "time": "ds", "id": "unique_id", "loss": "mae"}
        return {
            "task": {**columns, "windows": 12_800, **task},
            "data": {"train": str(path), "layout": {"name": "long", "id": "unique_id", "time": "ds"}},
            "model": {"encoder": {"name": "recurrent", "cell": "lstm", "hidden_size": 64}},
            "training": {"epochs": 12, "batch_rows": 128, "batch_tokens": 100_000, "optimizer": ADAM,
                         "schedule": COSINE, "patience": None},
        }  # fmt: skip

    return config


# As SegRNN is published for a context of 96 (lss-1138/SegRNN, scripts/SegRNN/Lookback_96/etth1.sh): 256 windows of
# seven series a step, squared errors, 512 units; the rate falls to four fifths in each epoch.
PUBLISHED = {
    "task.loss": "mse",
    "model.segment_size": 512,
    "model.category_size": 256,
    "model.categories_in": "head",
    "model.encoder.hidden_size": 512,
    "training.batch_rows": 256 * 7,
    "training.batch_tokens": 1_000_000,
    "training.epochs": 12,
    "training.optimizer.lr": 0.001,
    "training.schedule": {"name": "step", "drops": 11, "gamma": 0.8},
}


def etth1(
    horizon: int, *, oil: bool = False, changes: Mapping[str, Any] | None = None
) -> Callable[[Path, Path], Config]:
    """All seven series, or the oil temperature alone: pieces of a day are read and said (after SegRNN).

    changes: of options, by their names in full
    """
    size = 64 if oil else 256
    parts = {} if oil else {"static": ["series"], "categories": ["series"]}

    def config(data: Path, scratch: Path) -> Config:
        path, forecasts = scratch / "etth1.csv", HELD_OUT - horizon + 1
        with gzip.open(data / "ett/ETTh1.csv.gz", "rt") as file, path.open("w", newline="") as written:
            rows = [row[:1] + row[-1:] if oil else row for row in list(csv.reader(file))[: HOURS + 1]]
            csv.writer(written).writerows(rows)
        found: Config = {
            "task": {"name": "forecasting", "target": "value", "time": "date", "id": "series", "horizon": horizon,
                     "context": 96, "lags": [], "calendar": [], "scaling_over": "series", "base": "last",
                     "loss": "mae", "intervals": "none", **parts},
            "data": {"train": str(path), "layout": {"name": "wide", "time": "date"},
                     "split": {"name": "time", "dev": forecasts, "test": forecasts, "step": 1}},
            "model": {"segment": DAY, "segment_size": size, **({} if oil else {"category_size": 64}),
                      "encoder": {"name": "recurrent", "cell": "gru", "hidden_size": size},
                      "head": {"name": "segments", "segment": DAY, "output_dropout": 0.5}},
            "training": {"epochs": 8, "batch_rows": 256, "batch_tokens": 100_000,
                         "optimizer": {"name": "adam", "lr": 0.0007}, "schedule": COSINE, "select": "scaled_mse",
                         "patience": None},
        }  # fmt: skip
        for name, value in (changes or {}).items():
            *path_to, last = name.split(".")
            reduce(getitem, path_to, found)[last] = value
        return found

    return config


M4_SCORES, ETT_SCORES = ("mase", "smape", "wql", "coverage"), ("scaled_mse", "scaled_mae")
HOURLY = {"horizon": 48, "context": 168, "season": 24, "lags": [24, 168], "base": "season"}
WEEKLY = {"horizon": 13, "context": 104, "season": 1, "lags": [52], "base": "last"}
SETS: dict[str, tuple[Callable[[Path, Path], Config], Sequence[str]]] = {
    "m4_hourly": (m4("Hourly", HOURLY), M4_SCORES),
    "m4_weekly": (m4("Weekly", WEEKLY), M4_SCORES),
    **{f"etth1_{h}": (etth1(h), ETT_SCORES) for h in (96, 192, 336, 720)},
    **{f"segrnn_{h}": (etth1(h, changes=PUBLISHED), ETT_SCORES) for h in (96, 192, 336, 720)},
    **{f"oil_{h}": (etth1(h, oil=True), ETT_SCORES) for h in (24, 48, 168)},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done."""
    options = _parser().parse_args(arguments)
    print("| set | score | mean (each seed) | " + " | ".join(BASELINES) + " |\n" + "|---" * (3 + len(BASELINES)) + "|")
    for name in options.sets:
        found = [_trained(name, options.data, seed, options.set) for seed in options.seeds]
        for score in SETS[name][1]:
            values = [report[0][score] for report in found]
            each = ", ".join(f"{value:.4f}" for value in values)
            beside = " | ".join(f"{found[0][1].get(one, {}).get(score, float('nan')):.4f}" for one in BASELINES)
            print(f"| {name} | {score} | **{mean(values):.4f}** ({each}) | {beside} |", flush=True)
    print("\n" + ", ".join(f"{key}: {value}" for key, value in machine().items()))
    return 0


def _trained(name: str, data: Path, seed: int, extra: Sequence[str]) -> tuple[dict[str, float], dict[str, Any]]:
    """Scores of the test by name, and those of each baseline."""
    with tempfile.TemporaryDirectory() as folder:
        config = SETS[name][0](data, Path(folder))
        report = api.train(config, out=Path(folder) / "run", overrides=list(extra), seed=seed).report
    if report is None:
        raise SystemExit(f"{name}: stopped before its end.")
    say(f"{name}, seed {seed}: {report.facts['training seconds']} s")
    beside = {one: _of_test(scores) for one, scores in report.baselines.items()}
    return _of_test(report.scores), beside


def _of_test(scores: Sequence[Any]) -> dict[str, float]:
    return {score.name: score.value for score in scores if score.split == "test"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--sets", type=_sets, default=list(SETS), metavar="A,B", help="default: " + ",".join(SETS))
    parser.add_argument("--seeds", type=seeds, default=[1], metavar="1,2,3")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of every config")
    return parser


def _sets(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in SETS:
            raise argparse.ArgumentTypeError(f"unknown set '{name}'; known: {', '.join(SETS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
