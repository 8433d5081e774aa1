"""GloVe beside the authors' programs: words a second, memory, analogies and similarities, on the same text.

    python benchmarks/glove.py --data DIR --tools FOLDER [--threads 1] [--epochs 15] [--lines 20000]

DIR holds wordvec_corpus and wordvec_eval (see examples/README.md); FOLDER has vocab_count, cooccur, shuffle and glove,
as `make` builds them from github.com/stanfordnlp/GloVe. Settings are those of its demo.sh: vectors of 50 numbers,
windows of 15, x_max 10, rate 0.05, words that occur 5 times. Speeds are of CPU: words of the text for counting, and
for training words times epochs; memory is the largest peak of any step, of ours beyond what the imports took.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from word_vectors import MIN_COUNT, Text, analogies, memory, similarity

from recurra.data.word_vectors import WordVectors, read_vectors
from recurra.engine import glove
from recurra.models import TwoTables

SIZE, WINDOW, X_MAX, RATE, MIB = 50, 15, 10.0, 0.05, 512
MOST = 8192 * 2 * WINDOW  # pairs of a batch
SETS = ("EN-WS-353-ALL", "EN-SIMLEX-999", "EN-MEN-TR-3k")


@dataclass(frozen=True, slots=True)
class Spent:
    """counting, training: seconds of CPU      clock: seconds      memory: MiB"""

    counting: float
    training: float
    clock: float
    memory: float


def ours(folder: Path, V: int, threads: int, epochs: int, seed: int) -> Spent:
    """By recurra, in this process. The vectors are left in a file."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, clock = memory("VmRSS"), time.perf_counter()
    cpu = time.process_time()
    file, shuffled = folder / "tokens.bin", folder / "pairs.bin"
    tokens, begins, sizes = np.memmap(file, np.int32, "r"), [], []
    pieces = (np.array(tokens[k : k + 2**18]) for k in range(0, len(tokens), 2**18))
    with shuffled.open("wb") as out:
        for some in glove.cooccurrences(
            pieces, V=V, tokens=len(tokens), window=WINDOW, folder=folder, memory=MIB * 2**20, most=MOST, seed=seed,
            x_max=X_MAX,
        ):  # fmt: skip
            out.write(some.pairs.tobytes())
            begins.append(some.begins)
            sizes.append(len(some.pairs))
    counted = time.process_time() - cpu
    model = TwoTables({"words": V, "outputs": V, "adagrad": 1}, vector_size=SIZE)
    starts = np.cumsum([0, *sizes]) * glove.FIELDS * 4
    for epoch in range(epochs):
        for k in np.random.default_rng((seed, epoch)).permutation(len(begins)):
            pairs = np.fromfile(shuffled, np.int32, sizes[k] * glove.FIELDS, offset=int(starts[k]))
            glove.learn(glove.Pairs(pairs.reshape(-1, glove.FIELDS), begins[k]), model.adagrad, rate=RATE)
    spent = time.process_time() - cpu
    np.save(folder / "vectors.npy", (model.inputs + model.outputs).numpy()[:, :SIZE])
    return Spent(counted, spent - counted, time.perf_counter() - clock, memory("VmHWM") - before)


def theirs(folder: Path, tools: Path, threads: int, epochs: int, seed: int) -> Spent:
    """By the authors' programs, one after the other."""
    steps = (
        (f"vocab_count -min-count {MIN_COUNT} -verbose 0", "text.txt", "vocab.txt"),
        (f"cooccur -memory {MIB / 1024} -vocab-file vocab.txt -verbose 0 -window-size {WINDOW}", "text.txt", "counts"),
        (f"shuffle -memory {MIB / 1024} -verbose 0 -seed {seed}", "counts", "shuffled"),
        (
            f"glove -save-file theirs -threads {threads} -input-file shuffled -x-max {X_MAX} -iter {epochs} "
            f"-vector-size {SIZE} -binary 0 -vocab-file vocab.txt -verbose 0 -eta {RATE} -seed {seed}",
            "text.txt", "log",
        ),
    )  # fmt: skip
    seconds, peaks, clock = [], [], time.perf_counter()
    for command, source, target in steps:
        name, *arguments = command.split()
        with (folder / source).open("rb") as read, (folder / target).open("wb") as write:
            process = subprocess.Popen([str(tools / name), *arguments], cwd=folder, stdin=read, stdout=write)
            _, status, used = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"{name} ended with {status}")
        seconds.append(used.ru_utime + used.ru_stime)
        peaks.append(used.ru_maxrss / 1024)
    return Spent(sum(seconds[:3]), seconds[3], time.perf_counter() - clock, max(peaks))


def lines(text: Text, data: Path, args: argparse.Namespace) -> Iterator[str]:
    total = sum(map(len, text.sentences))
    yield "| program | counting, words/s | training, words/s | clock, s | MiB | analogies | " + " | ".join(SETS) + " |"
    yield "|---" * (6 + len(SETS)) + "|"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        text.write(folder)
        for name in ("recurra", "authors' programs"):
            if name == "recurra":
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    spent = pool.apply(ours, (folder, len(text.words), args.threads, args.epochs, args.seed))
                vectors = WordVectors(text.words, np.load(folder / "vectors.npy"))
            else:
                spent = theirs(folder, args.tools, args.threads, args.epochs, args.seed)
                vectors = read_vectors(folder / "theirs.txt")
            marks = [similarity(vectors, data / f"wordvec_eval/{one}.txt") for one in SETS]
            share, asked = analogies(vectors, data / "wordvec_eval/questions-words.txt")
            found = " | ".join(f"{mark:.4f} ({pairs:,})" for mark, pairs in marks)
            speeds = f"{total / spent.counting:,.0f} | {total * args.epochs / spent.training:,.0f}"
            times = f"{spent.clock:.1f} | {spent.memory:,.0f}"
            yield f"| {name} | {speeds} | {times} | {share:.4f} ({asked:,}) | {found} |"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lines", type=int, default=None)
    args = parser.parse_args(arguments)
    args.tools = args.tools.absolute()
    (file,) = (args.data / "wordvec_corpus").glob("*.gz")
    for line in lines(Text(file, args.lines), args.data, args):
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
