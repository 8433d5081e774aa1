"""Where people walk: eight positions of 0.4 s to the next twelve, one scene left out at a time.

    python benchmarks/trajectories.py --data DIR [--scenes eth,zara1] [--seeds 1,2,3] [--set KEY=VALUE]

With `--set task.loss=gaussian --set task.paths=20` for the best of twenty paths,
beside walks that are turned by twenty angles.

DIR holds the folder eth_ucy with train/, val/ and all_data/ (Gupta et al. 2018, arXiv:1803.10892). A scene is test with
all of its file; train/ and val/ of the others are learned from and choose the epoch. A path is a pedestrian on
consecutive frames of the file's step: where one is missing, another path begins. Every twenty positions of a path are
a window, whoever else is there. The scene eth has every tenth frame of a film annotated every sixth, so its steps are
1.67 times as long as elsewhere: it is taken as it is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import mean

from defaults import _seeds as seeds
from quality import machine, say

from recurra import api
from recurra.base.atomic import write_text

# Files of each scene; those of None are only trained on.
SCENES = {
    "eth": ("biwi_eth",),
    "hotel": ("biwi_hotel",),
    "univ": ("students001", "students003"),
    "zara1": ("crowds_zara01",),
    "zara2": ("crowds_zara02",),
    None: ("crowds_zara03", "uni_examples"),
}
SEEN, SAID, STEP = 8, 12, 10
CONFIG = """task:
  name: forecasting
  target: [x, y]
  time: frame
  id: [path]
  frequency: "10"
  horizon: 12
  context: 8
  base: velocity
  scaling: none
  coordinates: true
  differences: true
  rotate: true
  origins: every
  loss: mae
data:
  train: FOLDER/train.csv
  dev: FOLDER/dev.csv
  test: FOLDER/test.csv
  layout: {name: long, id: path, time: frame}
model:
  encoder: {name: recurrent, cell: lstm, hidden_size: 64}
training:
  epochs: 15
  patience: 5
  batch_rows: 256
  batch_tokens: 65536
  optimizer: {name: adam, lr: 0.002}
"""


def paths(file: Path) -> list[list[tuple[int, float, float]]]:
    """Each pedestrian's positions on consecutive frames."""
    walked = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        frame, who, x, y = (float(part) for part in line.split())
        walked[who].append((int(frame), x, y))
    found = []
    for rows in walked.values():
        rows.sort()
        parts = [[rows[0]]]
        for row in rows[1:]:
            if row[0] - parts[-1][-1][0] == STEP:
                parts[-1].append(row)
            else:
                parts.append([row])
        found += [part for part in parts if len(part) >= SEEN + SAID]
    return found


def write(files: list[Path], to: Path) -> int:
    """Paths of files as one table; how many windows they have."""
    lines, windows = ["path,frame,x,y"], 0
    for file in files:
        for number, part in enumerate(paths(file)):
            windows += len(part) - SEEN - SAID + 1
            lines += [f"{file.stem}_{number},{frame},{x:g},{y:g}" for frame, x, y in part]
    write_text(to, "\n".join(lines) + "\n")
    return windows


def run(data: Path, scene: str, seed: int, extra: list[str]) -> dict[str, dict[str, float]]:
    """The test scores of a training and of constant velocity."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        others = [name for key, names in SCENES.items() if key != scene for name in names]
        counts = [
            write([data / "train" / f"{name}_train.txt" for name in others], scratch / "train.csv"),
            write([data / "val" / f"{name}_val.txt" for name in others], scratch / "dev.csv"),
            write([data / "all_data" / f"{name}.txt" for name in SCENES[scene]], scratch / "test.csv"),
        ]
        write_text(scratch / "config.yaml", CONFIG.replace("FOLDER", folder))
        report = api.train(scratch / "config.yaml", out=scratch / "run", overrides=extra, seed=seed).report
    if report is None:
        raise SystemExit(f"{scene}: stopped before its end.")
    found = {"model": report.scores, "constant velocity": report.baselines["constant velocity"]}
    scores = {key: {s.name: s.value for s in some if s.split == "test"} for key, some in found.items()}
    say(f"{scene}, seed {seed}: windows {counts}, {report.facts['training seconds']} s: {scores}")
    return scores | {"windows": {"test": counts[2]}}


def main() -> int:
    """A line a scene; and the mean of scenes."""
    parser = argparse.ArgumentParser(description="Forecast where people walk.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scenes", default=",".join(key for key in SCENES if key))
    parser.add_argument("--seeds", type=seeds, default=[1])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of every config")
    options = parser.parse_args()
    found = {
        scene: [run(options.data / "eth_ucy", scene, seed, options.set) for seed in options.seeds]
        for scene in options.scenes.split(",")
    }
    print("| scene | windows | ADE / FDE | constant velocity | best of 20 | constant velocity, turned |")
    print("|---|---|---|---|---|---|")
    for scene, runs in found.items():
        print(f"| {scene} | {runs[0]['windows']['test']:.0f} | {' | '.join(cells(runs))} |")
    print(f"| mean | | {' | '.join(cells([one for runs in found.values() for one in runs]))} |")
    print("\n" + ", ".join(f"{key}: {value}" for key, value in machine().items()))
    return 0


def cells(runs: list[dict[str, dict[str, float]]]) -> list[str]:
    """Both scores of each, the mean of runs."""
    found = []
    for pair in (("ade", "fde"), ("min_ade", "min_fde")):
        for key in ("model", "constant velocity"):
            values = [f"{mean(one[key][name] for one in runs):.3f}" for name in pair if name in runs[0][key]]
            found.append(" / ".join(values))
    return found


if __name__ == "__main__":
    sys.exit(main())
