"""Movements of people who are new: joints, finger paths and a wrist sensor, each by its usual split, by seed.

    python benchmarks/activity.py --data DIR [--sets msr,utkinect,fingers,hmp] [--seeds 1,2,3]
    python benchmarks/activity.py --data DIR --sets msr --choose       scores of training subjects that are left out
    python benchmarks/activity.py --data DIR --sets msr --kernels      the same of kernels alone, of each of the five

DIR holds skeleton_actions/ (msr_action3d.npz, utkinect.npz), hand_gestures_mediapipe/point_history.csv.gz and
hmp_wrist_accelerometer/hmp.tar.gz. Settings are chosen by --choose, on subjects 3 and 5 of the five that are learned
from, or by --kernels; the test subjects play no part in it. A line of Markdown a set and seed goes to standard output.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from recurra import api
from recurra.base.contracts import Origin, Record
from recurra.models.wide import Kernels
from recurra.tasks import SeriesClassificationConfig
from recurra.tasks.series_classification.kernels import solve_kernels
from recurra.tasks.series_statistics import statistics

Tree = Mapping[str, Mapping[str, Any]]
KINECT = {"name": "skeleton", "root": 6, "velocity": True, "zeros": "missing", "gaps": "fill"}
# Hands, wrists and feet, each as seen from the head, a shoulder of either side, the spine and both hips.
ENDS, CENTRES = (11, 12, 17, 18, 9, 10), (19, 0, 1, 3, 4, 5)
PAIRS = [*([end, centre] for end in ENDS for centre in CENTRES), [11, 12], [17, 18]]
# Dev is of people who are learned from, and would give the network more than it is worth for new ones.
KERNELS = {"name": "kernels", "share": 0.9}
MADE = {"frames": 48, "smooth": 3, "pairs": PAIRS}
MOVES = {"name": "movement", "rotate": 20.0, "scale": 0.1, "warp": 0.3, "crop": 0.2, "jitter": 0.05}
NETWORK = {"name": "convolutional", "hidden_size": 64, "num_layers": 3, "kernel_size": 5}
COSINE = {"name": "cosine", "warmup": 0.05}


def training(epochs: int, batch: int = 16, lr: float = 0.003) -> dict[str, Any]:
    """The same recipe for all sets; the best epoch by the log loss of dev."""
    optimizer = {"name": "adam", "lr": lr}
    own = {"epochs": epochs, "batch_rows": batch, "optimizer": optimizer, "schedule": COSINE, "select": "log_loss"}
    return {**own, "patience": None, "report": "scores", "batch_tokens": 65_536}


@dataclass(frozen=True, slots=True)
class Problem:
    """make: files of a set in a folder, and its config      known: what to compare with, in words

    share: of the set's test rows that the files have; the others count as wrong
    """

    make: Callable[[Path, Path], Tree]
    known: str
    share: float = 1.0


def msr(data: Path, folder: Path) -> Tree:
    """Subjects 1, 3, 5, 7, 9 are learned from, but for each eighth of their sequences, which is dev."""
    with np.load(data / "skeleton_actions" / "msr_action3d.npz") as file:
        arrays = dict(file)
    learned = np.flatnonzero(np.isin(arrays["subject"], (1, 3, 5, 7, 9)))
    parts = {"dev": learned[::8], "train": np.setdiff1d(learned, learned[::8])}
    parts["test"] = np.setdiff1d(np.arange(len(arrays["subject"])), learned)
    files = {name: _joints(folder / f"{name}.npz", arrays, rows) for name, rows in parts.items()}
    _joints(folder / "learned.npz", arrays, learned)
    return {
        "task": {"joints": {**KINECT, "numbers": "xyzc", **MADE}, "augment": MOVES},
        "data": {**files, "on_error": "skip"},  # of one sequence that is learned from no joint was ever seen
        "model": {"encoder": NETWORK, "head": {"pooling": "max", "output_dropout": 0.3}, "wide": KERNELS},
        "training": training(20),
    }


def utkinect(data: Path, folder: Path) -> Tree:
    """Each of ten subjects is left out once."""
    return {
        "task": {"joints": {**KINECT, "numbers": "xyz", "root": 0}, "augment": MOVES, "missing": "mask"},
        "data": {
            "train": str(data / "skeleton_actions" / "utkinect.npz"),
            "split": {"name": "group_folds", "by": "subject", "k": 10},
        },
        "model": {"encoder": NETWORK, "head": {"pooling": "max", "output_dropout": 0.3}, "wide": {"name": "none"}},
        "training": training(60),
    }


def fingers(data: Path, folder: Path) -> Tree:
    """Of each class, in the order of the recording: the last fifth is test, the tenth before it dev."""
    with gzip.open(data / "hand_gestures_mediapipe" / "point_history.csv.gz", "rt") as file:
        rows = [(row[0], [float(cell) for cell in row[1:]]) for row in csv.reader(file)]
    parts: dict[str, list[tuple[str, list[float]]]] = {"train": [], "dev": [], "test": []}
    for label in sorted({label for label, _ in rows}):
        own = [row for row in rows if row[0] == label]
        test, dev = round(0.8 * len(own)), round(0.7 * len(own))
        for name, part in (("train", own[:dev]), ("dev", own[dev:test]), ("test", own[test:])):
            parts[name] += part
    for name, part in parts.items():
        X, y = np.array([values for _, values in part]).reshape(-1, 16, 2), np.array([label for label, _ in part])
        np.savez(folder / f"{name}.npz", X=X, y=y)
    return {
        "task": {
            "joints": {"name": "skeleton", "numbers": "xy", "velocity": True},
            "augment": {"name": "movement", "scale": 0.3, "warp": 0.2, "jitter": 0.1},
        },
        "data": {name: str(folder / f"{name}.npz") for name in parts},
        "model": {"encoder": NETWORK, "head": {"pooling": "max", "output_dropout": 0.3}, "wide": {"name": "none"}},
        "training": training(15, batch=64),
    }


def hmp(data: Path, folder: Path) -> Tree:
    """Each of sixteen people is left out once.

    Two activities (8 recordings) were done by one person alone, so nobody can learn them from the others: they are left
    out of the file, and count as wrong (HMP_SHARE).
    """
    X, y, lengths, people = [], [], [], []
    with tarfile.open(data / "hmp_wrist_accelerometer" / "hmp.tar.gz") as archive:
        for member in sorted(archive.getmembers(), key=lambda one: one.name):
            name = Path(member.name)
            if not member.isfile() or not name.name.startswith("Accelerometer-"):
                continue
            file = archive.extractfile(member)
            steps = np.array([line.split() for line in (file.read() if file else b"").splitlines()], np.float64)
            X.append(steps[:HMP_STEPS])
            y.append(name.parent.name)
            lengths.append(len(X[-1]))
            people.append(name.stem.rpartition("-")[2])
    doers = {label: {p for one, p in zip(y, people, strict=True) if one == label} for label in y}
    kept = [k for k, label in enumerate(y) if len(doers[label]) > 1]
    if len(kept) / len(y) != HMP_SHARE:
        raise ValueError(f"{data}: {len(kept)} of {len(y)} recordings can be learned, not {HMP_SHARE:.4f}")
    columns = {"y": np.array(y)[kept], "lengths": np.array(lengths)[kept], "person": np.array(people)[kept]}
    np.savez(folder / "hmp.npz", joints=np.concatenate([X[k] for k in kept])[:, None], **columns)
    return {
        "data": {
            "train": str(folder / "hmp.npz"),
            "split": {"name": "group_folds", "by": "person", "k": len(set(people))},
        },
        "model": {
            "encoder": {"name": "convolutional", "hidden_size": 32, "num_layers": 3, "kernel_size": 9, "dilated": True},
            "head": {"pooling": "max", "output_dropout": 0.3},
            "wide": {"name": "kernels", "thresholds": 20},
        },
        "training": training(6),
    }


# Samples of a recording that are read: 32 seconds.
HMP_STEPS = 1024
HMP_SHARE = 831 / 839
SETS = {
    "msr": Problem(msr, "MSR Action3D, other subjects; 1-NN 68.4 %"),
    "utkinect": Problem(utkinect, "UTKinect, each subject left out; 1-NN 90.5 %"),
    "fingers": Problem(fingers, "finger paths, the last fifth; 1-NN 87.4 %"),
    "hmp": Problem(hmp, "HMP wrist sensor, each person left out; 1-NN on statistics 63.4 %", HMP_SHARE),
}


def _joints(path: Path, arrays: Mapping[str, Any], rows: Any) -> str:
    """Some of the sequences as a file of their own."""
    ends = np.concatenate([[0], np.cumsum(arrays["frames"])])
    pose = np.concatenate([arrays["pose"][ends[k] : ends[k + 1]] for k in rows])
    np.savez(path, pose=pose, **{name: arrays[name][rows] for name in ("frames", "label", "subject")})
    return str(path)


def score(tree: Tree, out: Path, seed: int, split: str = "test") -> float:
    """The accuracy on a split; with folds, of all their test rows together."""
    task = {"name": "series_classification", **tree.get("task", {})}
    config = {**tree, "task": task, "training": {**tree["training"], "seed": seed}}
    folds = tree["data"].get("split", {}).get("name") == "group_folds"
    (api.train_group if folds else api.train)(config, out=out)
    scores = json.loads((out / "scores.json").read_text("utf-8"))
    return float(next(s["value"] for s in scores if (s["split"], s["name"]) == (split, "accuracy")))


def choose(tree: Tree, folder: Path, seed: int) -> None:
    """Scores of a config, each of some training subjects left out: it plays the test, and dev is of the others."""
    found = []
    with np.load(folder / "learned.npz") as file:
        arrays = dict(file)
    for subject in (3, 5):
        own = folder / f"without-{subject}"
        own.mkdir()
        others = np.flatnonzero(arrays["subject"] != subject)
        parts = {"dev": others[::8], "train": np.setdiff1d(others, others[::8])}
        parts["test"] = np.flatnonzero(arrays["subject"] == subject)
        files = {name: _joints(own / f"{name}.npz", arrays, rows) for name, rows in parts.items()}
        found.append(score({**tree, "data": {**tree["data"], **files}}, own / "run", seed))
    print(f"subjects 3 and 5 left out: {', '.join(f'{one:.1%}' for one in found)}; mean {mean(found):.1%}")


def kernels_alone(tree: Tree, file: Path) -> None:
    """Scores of a config's kernels without a network, each subject of a file left out: seconds of one core."""
    options = {name: value for name, value in tree["task"].items() if name != "augment"}
    plan = SeriesClassificationConfig(**options)
    with np.load(file) as kept:
        poses = np.split(kept["pose"].reshape(len(kept["pose"]), -1), np.cumsum(kept["frames"])[:-1])
        labels, subjects = kept["label"].astype(str), kept["subject"]
    seen = [k for k, pose in enumerate(poses) if options.get("missing") or pose.any()]
    records = [Record({"values": poses[k], "label": labels[k]}, Origin(str(file), k + 1)) for k in seen]
    found = {int(left): _left_out(plan, records, subjects[seen] == left) for left in sorted(set(subjects.tolist()))}
    print(f"kernels alone: {', '.join(f'{one:.1%} ({left})' for left, one in found.items())}", end="; ")
    print(f"mean {mean(found.values()):.1%}")


def _left_out(plan: SeriesClassificationConfig, records: list[Record], new: Any) -> float:
    """The accuracy on the records that are new, of kernels that were solved on the others."""
    task = plan.fit([record for record, one in zip(records, new, strict=True) if not one], "benchmark")
    known, unknown = (
        [task.example(r) for r, one in zip(records, new, strict=True) if one == which] for which in (0, 1)
    )
    kernels = Kernels(task.model_sizes)
    solve_kernels(kernels, task, known)
    batch = task.collate(unknown, range(len(unknown)))
    return float((kernels.logits(batch).argmax(1) == batch.targets["labels"]).float().mean())


def forest(file: Path, share: float) -> float:
    """The accuracy of a random forest on statistics of the wrist sensor, each person left out."""
    from sklearn.ensemble import RandomForestClassifier

    with np.load(file) as kept:
        steps, labels, lengths, people = (kept[name] for name in ("joints", "y", "lengths", "person"))
    ends = np.cumsum(lengths)
    known = np.stack([statistics(own[:, 0]) for own in np.split(steps, ends[:-1])])
    right = 0
    for person in sorted(set(people)):
        new = people == person
        model = RandomForestClassifier(200, random_state=0).fit(known[~new], labels[~new])
        right += int((model.predict(known[new]) == labels[new]).sum())
    return share * right / len(labels)


def main() -> int:
    """A line for each set and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument(
        "--choose",
        action="store_true",
        help="scores of training subjects that are left out, in the place of test scores",
    )
    parser.add_argument(
        "--kernels", action="store_true", help="the same of kernels alone, each training subject left out"
    )
    parser.add_argument("--forest", action="store_true", help="a random forest on hmp, in the place of the network")
    args = parser.parse_args()
    if args.forest:
        with tempfile.TemporaryDirectory() as folder:
            hmp(args.data, Path(folder))
            print(
                f"random forest on statistics, each person left out: {forest(Path(folder) / 'hmp.npz', HMP_SHARE):.1%}"
            )
        return 0
    print("| set | seed | accuracy | CPU time |\n|---|---|---|---|")
    for name in args.sets.split(","):
        for seed in map(int, args.seeds.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                tree, begun = SETS[name].make(args.data, Path(folder)), time.process_time()
                if args.kernels:
                    kernels_alone(tree, Path(folder) / "learned.npz")
                    continue
                if args.choose:
                    choose(tree, Path(folder), seed)
                    continue
                found = SETS[name].share * score(tree, Path(folder) / "run", seed)
                print(
                    f"| {SETS[name].known} | {seed} | {found:.1%} | {time.process_time() - begun:.0f} s |", flush=True
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
