"""Anomaly detection: scores of NAB beside detectors without a network, agreement with published packages, and speed.

    python benchmarks/anomalies.py nab DATA        DATA: the folder of combined_windows.json and nab_data.tar.gz
    python benchmarks/anomalies.py nab DATA --autoencoder --epochs 30 --windows 256    a sequence autoencoder
    python benchmarks/anomalies.py agree FOLDER    FOLDER: TSB_AD/evaluation, affiliation and prts of their repositories
    python benchmarks/anomalies.py speed           a million points, on one core

NAB's series are 23: the 20 of TSB-AD-U (Liu & Paparrizos 2024) that the step of their first label tells, and the three
art_daily series among which two of TSB-AD's are. Labels are NAB's own windows; the first steps, as many as TSB-AD
trains on, are clean. Models and detectors learn from these.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra import api
from recurra.api.detecting import DetectOptions, detect
from recurra.api.detectors import FittedBaseline, source_of
from recurra.metrics.anomalies import affiliation, period, range_scores, volumes
from recurra.tasks import WatchedSeries

Floats = NDArray[np.float64]
# Clean steps of each series, by TSB-AD's file names (tr_1007 ...); of two whose first label comes before, up to that.
CLEAN = {
    "realKnownCause/ec2_request_latency_system_failure": 1007,
    "realTweets/Twitter_volume_GOOG": 1500,
    "realTraffic/occupancy_6005": 594,
    "realKnownCause/nyc_taxi": 2579,
    "artificialWithAnomaly/art_load_balancer_spikes": 1007,
    "realTraffic/TravelTime_451": 438,
    "realAdExchange/exchange-3_cpc_results": 271,
    "realAWSCloudwatch/ec2_cpu_utilization_825cc2": 1007,
    "realTraffic/speed_t4013": 623,
    "realAdExchange/exchange-3_cpm_results": 500,
    "artificialWithAnomaly/art_daily_jumpsdown": 1007,
    "artificialWithAnomaly/art_daily_jumpsup": 1007,
    "artificialWithAnomaly/art_daily_nojump": 1007,
    "realKnownCause/ambient_temperature_system_failure": 1816,
    "artificialWithAnomaly/art_increase_spike_density": 1007,
    "realKnownCause/rogue_agent_key_hold": 500,
    "realAWSCloudwatch/ec2_cpu_utilization_5f5533": 1007,
    "artificialWithAnomaly/art_daily_flatmiddle": 1007,
    "realAWSCloudwatch/rds_cpu_utilization_cc0c53": 1007,
    "realKnownCause/cpu_utilization_asg_misconfiguration": 4512,
    "realTweets/Twitter_volume_FB": 3958,
    "realTraffic/speed_6005": 624,
    "realAWSCloudwatch/ec2_cpu_utilization_24ae8d": 1007,
}
BASELINES = ("pca", "isolation_forest", "gaussian")


@dataclass(frozen=True)
class Labelled:
    """A series of NAB. clean: steps at its beginning without a label"""

    name: str
    values: Floats
    labels: NDArray[np.bool_]
    clean: int


def nab(folder: Path) -> Iterator[Labelled]:
    """The series with NAB's windows as labels."""
    windows = json.loads((folder / "combined_windows.json").read_text())
    with tarfile.open(folder / "nab_data.tar.gz") as archive:
        for name, clean in CLEAN.items():
            file = archive.extractfile(f"data/{name}.csv")
            assert file is not None
            rows = list(csv.reader(io.TextIOWrapper(file, "utf-8")))[1:]
            stamps = np.array([row[0] for row in rows], "datetime64[us]")
            labels = np.zeros(len(rows), bool)
            for first, last in windows[f"{name}.csv"]:
                labels |= (stamps >= np.datetime64(first)) & (stamps <= np.datetime64(last))
            assert not labels[:clean].any(), name
            yield Labelled(name, np.array([float(row[1]) for row in rows]), labels, clean)


def autoencoder(one: Labelled, file: Path, args: argparse.Namespace) -> dict[str, Any]:
    """A GRU that reads windows and one that writes them, the same for all series."""
    length = min(args.window, one.clean // 3)
    layout = {"name": "windows", "length": length, "stride": max(1, one.clean // args.windows)}
    gru = {"name": "recurrent", "cell": "gru", "hidden_size": args.hidden}
    return {
        "task": {"name": "autoencoding", "values": "value", "code_size": args.code},
        "data": {"train": str(file), "layout": layout, "split": {"name": "ordered", "dev": 0.1, "test": 0}},
        "model": {"encoder": gru, "decoder": {"name": "recurrent", "reverse": True}},
        "training": training(args),
    }


def training(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "epochs": args.epochs,
        "batch_rows": 32,
        "seed": args.seed,
        "report": "scores",
        "optimizer": {"name": "adam", "lr": 0.005},
        "schedule": {"name": "cosine", "warmup": 0.05},
    }


def config(one: Labelled, file: Path, args: argparse.Namespace) -> dict[str, Any]:
    """A forecaster with a GRU, the same for all series."""
    if args.autoencoder:
        return autoencoder(one, file, args)
    context = min(args.context, one.clean // 3)
    repeats = period(one.values[: one.clean])
    lags = [repeats] if args.lag and repeats < one.clean // 3 else []
    return {
        "task": {
            "name": "forecasting",
            "target": "value",
            "time": None,
            "horizon": args.horizon,
            "context": context,
            "season": 1,
            "lags": lags,
            "loss": "mae",
            "windows": args.windows,
        },
        "data": {
            "train": str(file),
            "layout": {"name": "wide", "columns": ["value"]},
            "split": {"name": "time", "dev": 1, "test": 0},
        },
        "model": {"encoder": {"name": "recurrent", "cell": "gru", "hidden_size": args.hidden}},
        "training": training(args),
    }


def write_series(path: Path, values: Floats) -> None:
    path.write_text("value\n" + "".join(f"{x!r}\n" for x in values.tolist()))


def score_nab(args: argparse.Namespace) -> None:
    """VUS-PR of each series, and means."""
    found: dict[str, list[float]] = {}
    began = time.process_time()
    for one in nab(args.data):
        buffer, row = period(one.values), {}
        for word in BASELINES:
            scores = of_baseline(word, one)
            row[word] = volumes(one.labels, scores, buffer).pr
        scores = of_run(one, args)
        for smooth in (1, args.smooth):
            steps = DetectOptions(smooth=smooth).smooth
            row[f"gru, smooth {smooth}"] = volumes(one.labels, smooth_of(scores, steps), buffer).pr
        for name, value in row.items():
            found.setdefault(name, []).append(value)
        print(f"{one.name:<55}", *(f"{name} {value:.3f} " for name, value in row.items()), flush=True)
    print(f"\nmean VUS-PR of {len(CLEAN)} series; {time.process_time() - began:.0f} s of CPU")
    for name, values in found.items():
        print(f"{name:<20} {np.mean(values):.3f}")


def smooth_of(scores: Floats, steps: int) -> Floats:
    from recurra.metrics.anomalies.windows import smoothed

    return smoothed(scores, steps)


def of_baseline(word: str, one: Labelled) -> Floats:
    series = watched(one.values[:, None])
    clean = watched(one.values[: one.clean, None])
    window = min(period(one.values[: one.clean]), one.clean // 2)
    return FittedBaseline.of(word, [clean], DetectOptions(window=window)).errors_of(series)


def of_run(one: Labelled, args: argparse.Namespace) -> Floats:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_series(folder / "clean.csv", one.values[: one.clean])
        write_series(folder / "all.csv", one.values)
        with contextlib.redirect_stderr(io.StringIO()):
            api.train(config(one, folder / "clean.csv", args), out=folder / "run", device="cpu")
        found = detect(folder / "run", folder / "all.csv", options=DetectOptions(stride=args.stride))
        return found.series[0].scores


def watched(values: Floats) -> WatchedSeries:
    from recurra.base.contracts import Origin

    steps = np.arange(len(values))
    columns = tuple(f"x{k}" for k in range(values.shape[1]))
    return WatchedSeries("x", Origin("x"), values, columns, steps, False, steps.tolist())


def agree(args: argparse.Namespace) -> None:
    """The largest differences from published packages, over 60 random series."""
    sys.path.insert(0, str(args.folder))
    from affiliation.generics import convert_vector_to_events
    from affiliation.metrics import pr_from_events
    from prts import ts_precision, ts_recall
    from TSB_AD.evaluation.basic_metrics import basic_metricor, generate_curve

    worst: dict[str, float] = {}
    rng = np.random.default_rng(0)
    for trial in range(60):
        T = int(rng.integers(300, 2000))
        labels = np.zeros(T, bool)
        for start in rng.integers(0, T, int(rng.integers(1, 14))):
            labels[start : start + int(rng.integers(1, 40))] = True
        scores = rng.normal(size=T) + labels * 2 * rng.random()
        scores = np.round(scores, 1) if trial % 3 == 0 else scores
        window = int(rng.integers(0, 60))
        flags = scores > np.quantile(scores, 0.49 + rng.random() / 2)
        whole, flagged = labels.astype(int), flags.astype(int)
        volume, ranges, near = volumes(labels, scores, window), range_scores(labels, flags), affiliation(labels, flags)
        *_, roc, pr = generate_curve(whole, scores, window, "opt", 250)
        metric = basic_metricor()
        events = pr_from_events(convert_vector_to_events(flagged), convert_vector_to_events(whole), (0, T))
        for name, ours, theirs in (
            ("VUS-PR, TSB-AD", volume.pr, pr),
            ("VUS-ROC, TSB-AD", volume.roc, roc),
            ("range recall, TSB-AD", ranges.recall, metric.range_recall_new(whole, flagged, 0.2)[0]),
            ("range precision, TSB-AD", ranges.precision, metric.range_recall_new(flagged, whole, 0)[0]),
            ("range recall, prts", ranges.recall, ts_recall(whole, flagged, alpha=0.2, cardinality="reciprocal")),
            (
                "range precision, prts",
                ranges.precision,
                ts_precision(whole, flagged, alpha=0.0, cardinality="reciprocal"),
            ),
            ("affiliation precision", near.precision, events["precision"]),
            ("affiliation recall", near.recall, events["recall"]),
        ):
            worst[name] = max(worst.get(name, 0.0), abs(float(ours) - float(theirs)))
    for name, difference in worst.items():
        print(f"{name:<26} {difference:.1e}")


def speed(args: argparse.Namespace) -> None:
    """Seconds of CPU for a million points: scores of each detector, and of the scores themselves."""
    T = 1_000_000
    rng = np.random.default_rng(0)
    t = np.arange(T)
    values = (np.sin(2 * np.pi * t / 48) + 0.1 * rng.normal(size=T))[:, None]
    series, clean = watched(values), watched(values[:5000])
    for word in ("pca", "gaussian"):
        fitted = FittedBaseline.of(word, [clean], DetectOptions(window=args.window))
        print(f"{word:<30} {seconds(lambda: fitted.errors_of(series)):.2f} s")  # noqa: B023
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_series(folder / "clean.csv", values[:5000, 0])
        one = Labelled("", values[:, 0], np.zeros(T, bool), 5000)
        write_series(folder / "all.csv", values[:, 0])
        for word, made in (("forecasts", config), ("autoencoder", autoencoder)):
            time_run(word, folder, made(one, folder / "clean.csv", args))
    labels = np.zeros(T, bool)
    for start in rng.integers(0, T, 500):
        labels[start : start + 100] = True
    scores = rng.normal(size=T) + labels
    print(f"{'VUS, buffers up to 100':<30} {seconds(lambda: volumes(labels, scores, 100)):.2f} s")
    print(f"{'ranges':<30} {seconds(lambda: range_scores(labels, scores > 3)):.2f} s")
    print(f"{'affiliation':<30} {seconds(lambda: affiliation(labels, scores > 3)):.2f} s")


def time_run(word: str, folder: Path, tree: dict[str, Any]) -> None:
    """Of a run: reading the file of all points, and their scores."""
    api.train(tree, out=folder / word, device="cpu")
    run = source_of(folder / word, DetectOptions(), "cpu", (), api_note())
    took = time.process_time()
    (read,) = run.series(folder / "all.csv", None)
    print(f"{'reading the file, ' + word:<30} {time.process_time() - took:.2f} s", flush=True)
    fitted = run.fitted(run.series(folder / "clean.csv", None))
    print(f"{word + ', stride ' + str(fitted.stride):<30} {seconds(lambda: fitted.errors_of(read)):.2f} s", flush=True)


def api_note() -> Any:
    from recurra.api.callbacks import NoCallback

    return NoCallback()


def seconds(call: Any) -> float:
    """Of CPU, the shorter of two calls."""
    found = []
    for _ in range(2):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, run in (("nab", score_nab), ("agree", agree), ("speed", speed)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        if name == "nab":
            command.add_argument("data", type=Path)
        if name == "agree":
            command.add_argument("folder", type=Path)
        command.add_argument("--horizon", type=int, default=24 if name == "speed" else 12)
        command.add_argument("--context", type=int, default=72 if name == "speed" else 96)
        command.add_argument("--hidden", type=int, default=32)
        command.add_argument("--epochs", type=int, default=2 if name == "speed" else 8)
        command.add_argument("--windows", type=int, default=512)
        command.add_argument("--smooth", type=int, default=100)
        command.add_argument("--window", type=int, default=100)
        command.add_argument(
            "--autoencoder", action="store_true", help="a sequence autoencoder in place of a forecaster"
        )
        command.add_argument("--code", type=int, default=8, help="numbers of a window, of the autoencoder")
        command.add_argument("--lag", action="store_true", help="read the value a period before, beside each step")
        command.add_argument("--stride", type=int, default=None, help="steps from window to window; a quarter of one")
        command.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
