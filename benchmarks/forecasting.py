"""Forecasts beside other libraries: the answer for one series, a training step, and a back-test, on one thread.

    python benchmarks/forecasting.py PART [PART ...] --data DIR

predict     the answer for one series of 144 months: recurra alone
fit         training steps on M4 Hourly, LSTM of two layers of 128, 96 steps read, 48 said: beside NeuralForecast
deepar      the same with two layers of 40 and a Student-t, 24 said: beside GluonTS
back_test   1,000 forecasts on the oil temperature of ETTh1 by one model: beside Darts, and a bare LSTM of torch

DIR holds m4/Hourly-train.csv.gz and ett/ETTh1.csv.gz. A peer that is not installed is named and left out. Both sides
run in this process, in turns; what is compared is the smallest of the rounds, in time of the processor, which tells
more than the clock where other programs run. PYTHONPATH may point to recurra where a peer lies in another environment.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
Timed = tuple[float, float]


def clocked(work: Callable[[], Any]) -> Timed:
    """Seconds of the clock and of the processor."""
    wall, own = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - own


def in_turns(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[Timed]]:
    """Each side once without the clock, then one after the other."""
    for work in sides.values():
        work()
    found: dict[str, list[Timed]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            found[name].append(clocked(work))
    return found


def show(part: str, unit: str, per: float, found: dict[str, list[Timed]]) -> None:
    """A line a side, and the ratio of a peer to recurra. per: what a second is multiplied by"""
    for name, times in found.items():
        walls, owns = ([one[k] * per for one in times] for k in (0, 1))
        print(
            f"{part}: {name}: {min(owns):.4g} {unit} of the processor (median {median(owns):.4g}), "
            f"{min(walls):.4g} by the clock, {len(times)} rounds",
            flush=True,
        )
    for name in found:
        if not name.startswith("recurra"):
            ratio = min(t[1] for t in found[name]) / min(t[1] for t in found["recurra"])
            print(f"{part}: {name} takes {ratio:.1f} times as long", flush=True)


def hourly(data: Path) -> dict[str, list[float]]:
    """Training series of M4 Hourly."""
    with gzip.open(data / "m4" / "Hourly-train.csv.gz", "rt") as file:
        return {row[0]: [float(v) for v in row[1:] if v] for row in list(csv.reader(file))[1:]}


def trained(config: dict[str, Any], series: dict[str, list[float]]) -> Iterator[Any]:
    """The steps of a first epoch of recurra, which are done as they are asked for."""
    from recurra.api.callbacks import NoCallback
    from recurra.api.prepare import prepare
    from recurra.api.schema import read_settings
    from recurra.api.trainer import Trainer

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hourly.csv"
        with path.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["unique_id", "ds", "y"])
            table.writerows((name, k, v) for name, values in series.items() for k, v in enumerate(values))
        settings = read_settings({**config, "data": {"train": str(path), "layout": LONG}}, ())
        prepared = prepare(settings, NoCallback())
    import torch

    device = torch.device("cpu")
    return Trainer(settings, prepared.task, prepared.splits["train"], device, prepared.fingerprint).steps()


LONG = {"name": "long", "id": "unique_id", "time": "ds"}
TASK = {"name": "forecasting", "target": "y", "time": "ds", "id": "unique_id", "season": 24, "calendar": [], "lags": []}
TRAINING = {"optimizer": {"name": "adam", "lr": 0.001}, "patience": None, "batch_tokens": 10_000_000, "epochs": 1000}


def ours(series: dict[str, list[float]], *, sizes: tuple[int, int], rows: int, steps: int, task: dict[str, Any]) -> Any:
    """So many training steps of an epoch of 100, from wherever the last ones ended. sizes: layers and units"""
    encoder = {"name": "recurrent", "cell": "lstm", "num_layers": sizes[0], "hidden_size": sizes[1]}
    config = {
        "task": TASK | task | {"windows": rows * 100},
        "model": {"encoder": encoder},
        "training": TRAINING | {"batch_rows": rows},
    }
    progress = trained(config, series)
    return lambda: [next(progress) for _ in range(steps)]


def fit(data: Path, rounds: int) -> None:
    """Steps of 1,024 windows: 32 series with 32 windows each, as NeuralForecast draws them."""
    series, steps = hourly(data), 10
    task = {"horizon": 48, "context": 96, "loss": "mae", "intervals": "none", "scaling": "robust"}
    sides = {"recurra": ours(series, sizes=(2, 128), rows=1024, steps=steps, task=task)}
    try:
        import pandas as pd
        from neuralforecast import NeuralForecast
        from neuralforecast.losses.pytorch import MAE
        from neuralforecast.models import LSTM
    except ImportError as error:
        print(f"fit: NeuralForecast is left out: {error}")
    else:
        quiet()
        frame = pd.DataFrame(
            [(name, k, v) for name, values in series.items() for k, v in enumerate(values)],
            columns=["unique_id", "ds", "y"],
        )
        options: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
        options |= {"enable_checkpointing": False, "enable_model_summary": False}

        def theirs(max_steps: int) -> Callable[[], Any]:
            model = LSTM(
                h=48, input_size=96, encoder_n_layers=2, encoder_hidden_size=128, decoder_layers=2,
                decoder_hidden_size=128, scaler_type="robust", loss=MAE(), max_steps=max_steps, batch_size=32,
                windows_batch_size=1024, val_check_steps=10**6, **options,
            )  # fmt: skip
            return lambda: NeuralForecast(models=[model], freq=1).fit(frame)

        short, long = theirs(1), theirs(1 + steps)
        sides["NeuralForecast, set up"] = short
        sides["NeuralForecast, with the set-up"] = long
    found = in_turns(sides, rounds)
    if len(found) > 1:  # what is left of both is what the steps take
        before, whole = found.pop("NeuralForecast, set up"), found.pop("NeuralForecast, with the set-up")
        found["NeuralForecast"] = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(before, whole, strict=True)]
    show("fit", "ms a step", 1e3 / steps, found)


def deepar(data: Path, rounds: int) -> None:
    """Steps of 32 windows, with lags and Student-t."""
    series, steps = hourly(data), 10
    task = {"horizon": 24, "context": 24, "loss": "student_t", "scaling": "mean", "lags": [1, 2, 3, 24, 48, 168]}
    sides = {"recurra": ours(series, sizes=(2, 40), rows=32, steps=steps, task=task)}
    try:
        import pandas as pd
        from gluonts.dataset.common import ListDataset
        from gluonts.torch.model.deepar import DeepAREstimator
    except ImportError as error:
        print(f"deepar: GluonTS is left out: {error}")
    else:
        quiet()
        start = pd.Period("2020-01-01", freq="h")
        listed = ListDataset([{"target": values, "start": start} for values in series.values()], freq="h")
        # It keeps its best epoch in a checkpoint, whatever it is told.
        options: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
        options["default_root_dir"] = tempfile.gettempdir()

        def theirs(batches: int) -> Callable[[], Any]:
            def train() -> Any:
                return DeepAREstimator(
                    freq="h", prediction_length=24, num_batches_per_epoch=batches, batch_size=32,
                    trainer_kwargs={**options, "max_epochs": 1, "enable_model_summary": False},
                ).train(listed)  # fmt: skip

            return train

        sides["GluonTS, set up"] = theirs(1)
        sides["GluonTS, with the set-up"] = theirs(1 + steps)
    found = in_turns(sides, rounds)
    if len(found) > 1:
        before, whole = found.pop("GluonTS, set up"), found.pop("GluonTS, with the set-up")
        found["GluonTS"] = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(before, whole, strict=True)]
    show("deepar", "ms a step", 1e3 / steps, found)


def back_test(data: Path, rounds: int) -> None:
    """1,000 forecasts of 24 hours, an hour apart, by a model of 24 hours and 25 units (Darts' defaults)."""
    from recurra.api.inference import outputs
    from recurra.base.contracts import Origin, Record
    from recurra.data.splits import TimeSplit
    from recurra.models import MODELS
    from recurra.tasks.forecasting import ForecastingConfig

    with gzip.open(data / "ett" / "ETTh1.csv.gz", "rt") as file:
        values = [float(row["OT"]) for row in csv.DictReader(file)][:4000]
    import torch

    config = ForecastingConfig(target="y", horizon=24, context=24, season=24, lags=(), loss="mse", intervals="none")
    record = Record({"y": values}, Origin("ETTh1"))
    parts = config.cut([config.read(record)], TimeSplit(dev=1, test=1000, step=1), lambda message: None)
    task, _ = config.fit_examples(parts["train"], "ETTh1")
    encoder = {"name": "recurrent", "cell": "lstm", "hidden_size": 25}

    def ours(head: str) -> Callable[[], None]:
        model = MODELS["forecaster"](task.model_sizes, encoder=encoder, head=head).eval()

        def work() -> None:
            windows = task.examples(parts["test"])
            said = outputs(model, task, windows, device=torch.device("cpu"))
            task.score(said, windows, "test")

        return work

    sides: dict[str, Callable[[], Any]] = {"recurra": ours("recursive"), "recurra, all hours at once": ours("direct")}
    layer, steps = torch.nn.LSTM(1, 25), torch.randn(47, 1000, 1)

    def bare() -> None:
        with torch.no_grad():
            layer(steps)

    sides["torch.nn.LSTM of the same size alone, 47 steps of 1,000 rows"] = bare
    try:
        import numpy as np
        from darts import TimeSeries
        from darts.models import RNNModel
    except ImportError as error:
        print(f"back_test: Darts is left out: {error}")
    else:
        quiet()
        series = TimeSeries.from_values(np.array(values, np.float32))
        options = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False}
        darts = RNNModel(
            input_chunk_length=24, model="LSTM", hidden_dim=25, training_length=47, n_epochs=1, batch_size=512,
            pl_trainer_kwargs=options,
        )  # fmt: skip
        darts.fit(series[:1000])
        first = len(values) - 24 - 999

        def theirs() -> None:
            darts.historical_forecasts(
                series, start=first, start_format="position", forecast_horizon=24, stride=1, retrain=False,
                last_points_only=False, verbose=False,
            )  # fmt: skip

        sides["Darts"] = theirs
    show("back_test", "s", 1.0, in_turns(sides, rounds))


def predict(data: Path, rounds: int) -> None:
    """`run.predict` of a row of months, by the run of `recurra demo airline` with one epoch."""
    import yaml

    from recurra import load
    from recurra.api import train
    from recurra.api.demos import DEMOS
    from recurra.data.embedded import EMBEDDED, write_csv

    rows = [record.fields for record in EMBEDDED["airline"].records("train")]
    row = {"month": [r["month"] for r in rows], "passengers": [float(r["passengers"]) for r in rows]}
    with tempfile.TemporaryDirectory() as folder:
        (path,) = write_csv("airline", folder)
        settings = yaml.safe_load(yaml.safe_dump(DEMOS["airline"].settings))
        settings["data"]["train"], settings["training"] = str(path), {"epochs": 1, "report": "scores"}
        train(settings, out=Path(folder) / "run")
        run = load(Path(folder) / "run", progress=False)
        for _ in range(20):
            run.predict(row)
        show("predict", "ms", 1e3, {"recurra": [clocked(lambda: run.predict(row)) for _ in range(max(rounds, 200))]})


def quiet() -> None:
    """Peers say much."""
    warnings.filterwarnings("ignore")
    for name in ("pytorch_lightning", "lightning.pytorch", "darts", "gluonts", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


PARTS: dict[str, Callable[[Path, int], None]] = {
    "predict": predict, "fit": fit, "deepar": deepar, "back_test": back_test,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", metavar="PART", nargs="+", choices=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    for part in options.parts:
        PARTS[part](options.data, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
