"""Codes of music: a flat decoder beside a hierarchical one, on pieces of JSB chorales.

    OMP_NUM_THREADS=1 python benchmarks/music_codes.py DATA [--steps 32] [--code 32] [--epochs 40] [--seeds 1]

DATA: jsb-chorales-quarter.json, {"train": [piece: [step: [MIDI number]]], "valid": ..., "test": ...}. Rows are
stretches of --steps quarter notes, one every half of that (those of test do not overlap). An encoder, a GRU of --units
units, reads a stretch to a code of --code numbers; a decoder of as many units says it again: `recurrent`, and
`hierarchical` with bars of four quarters; each step from the code alone, or, `taught`, behind the one before it.
Printed are frame accuracy when a decoder reads what it says itself, and nats a step when it reads true steps; with
--variational the bound and its KL.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recurra import api

PARTS = {"train": "train", "valid": "dev", "test": "test"}
DECODERS: dict[str, dict[str, Any]] = {
    "recurrent": {"name": "recurrent"},
    "hierarchical": {"name": "hierarchical", "bar": 4},
    "recurrent, taught": {"name": "recurrent", "teacher_forcing": True},
    "hierarchical, taught": {"name": "hierarchical", "bar": 4, "teacher_forcing": True},
}


def stretches(pieces: list[list[list[int]]], steps: int, stride: int) -> Iterator[list[list[int]]]:
    for piece in pieces:
        for start in range(0, len(piece) - steps + 1, stride):
            yield piece[start : start + steps]


def write(source: Path, folder: Path, steps: int) -> None:
    """Files of rows, a JSON object a line."""
    pieces = json.loads(source.read_text("utf-8"))
    for part, name in PARTS.items():
        rows = list(stretches(pieces[part], steps, steps if name == "test" else steps // 2))
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"chords": row}) + "\n" for row in rows), "utf-8")
        print(f"{name}: {len(rows):,} rows of {steps} steps")


def config(decoder: dict[str, Any], given: argparse.Namespace, seed: int) -> dict[str, Any]:
    latent: dict[str, Any] = {"name": "plain"}
    if given.variational:
        latent = {"name": "variational", "beta": given.beta, "free_bits": given.free_bits}
    return {
        "task": {"name": "autoencoding", "values": "chords", "notes": [43, 96], "scaling": "none",
                 "likelihood": "bernoulli", "code_size": given.code, "variational": given.variational},
        "data": {name: f"{name}.jsonl" for name in PARTS.values()},
        "model": {"encoder": {"name": "recurrent", "cell": "gru", "hidden_size": given.units, "bidirectional": True},
                  "latent": latent, "decoder": {"cell": "gru", "hidden_size": given.units, **decoder}},
        "training": {"epochs": given.epochs, "batch_rows": 32, "optimizer": {"name": "adam", "lr": 0.003}, "seed": seed,
                     "schedule": {"name": "cosine", "warmup": 0.05}, "patience": None, "report": "scores",
                     "clipping": {"name": "norm", "max_norm": given.clip}},
    }  # fmt: skip


def scores(name: str, given: argparse.Namespace, seed: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            api.train(config(DECODERS[name], given, seed), out=run)
            found = {one.name: one.value for one in api.evaluate(run, split="test").scores}
    nats = (found["nats"] + found.get("kl", 0.0)) / given.steps
    more = f"   KL {found['kl']:6.2f}   active {found['active_units']:.0f}" if "kl" in found else ""
    return f"frame accuracy {found['frame_accuracy']:.4f}   nats a step {nats:6.3f}{more}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--code", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--variational", action="store_true")
    parser.add_argument("--beta", type=float, default=1.0)
    parser.add_argument("--free-bits", type=float, default=0.0)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--clip", type=float, default=100.0, help="largest norm of a gradient")
    parser.add_argument("--decoders", default="all", help="names, with ; between")
    given = parser.parse_args()
    source = given.data.absolute()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write(source, Path(), given.steps)
        for name in DECODERS if given.decoders == "all" else given.decoders.split(";"):
            for seed in map(int, given.seeds.split(",")):
                print(f"{name:22} seed {seed}   {scores(name, given, seed)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
