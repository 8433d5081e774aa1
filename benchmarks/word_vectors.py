"""Skip-gram with negative samples beside gensim: words a second, analogies and similarities, on the same text.

    python benchmarks/word_vectors.py --data DIR [--epochs 5] [--seeds 1,2] [--threads 1,2] [--lines 10000] [--subwords]

DIR holds wordvec_corpus and wordvec_eval (see examples/README.md). gensim is a peer that this script needs
(`pip install gensim`); both read the same tokens, learn vectors of 100 numbers in windows of 5 with 5 negative samples,
and leave out frequent words at 1e-3. With --subwords a word is the mean of its own vector and of those of its n-grams
of 3 to 6 letters, which share 200,000 vectors (gensim: FastText). Times are of the training alone, in seconds of CPU
and of the clock. Each training has a process of its own, which finds the text in a file; memory is its peak beyond what
it had before it opened that file.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import multiprocessing
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from recurra.data.word_vectors import WordVectors
from recurra.data.word_vectors.subwords import NGrams
from recurra.engine import words
from recurra.models import TwoTables

SIZE, WINDOW, NEGATIVES, SAMPLE, RATE, LEAST, MIN_COUNT = 100, 5, 5, 1e-3, 0.025, 1e-4, 5
NGRAMS = NGrams(200_000, 3, 6)
PIECE = 10_000  # tokens between two rates, as in gensim and in the authors' program


class Text:
    """A text as sentences of words that occur MIN_COUNT times or more."""

    def __init__(self, file: Path, most: int | None = None) -> None:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            some = itertools.islice(lines, most)
            all_of = [re.findall(r"[a-z0-9']+", line.lower().replace("<br />", " ")) for line in some]
        counts = Counter(word for one in all_of for word in one)
        self.words = [word for word, count in counts.most_common() if count >= MIN_COUNT]
        self.counts = np.array([counts[word] for word in self.words], np.int64)
        self.index = {word: k for k, word in enumerate(self.words)}
        self.sentences = [[word for word in one if word in self.index] for one in all_of]

    def numbers(self) -> np.ndarray:
        """The numbers of the words, with -1 behind each sentence."""
        return np.array([k for one in self.sentences for k in (*map(self.index.__getitem__, one), words.END)], np.int32)

    def write(self, folder: Path) -> None:
        """What a training reads: lines of words, and the same as numbers."""
        (folder / "text.txt").write_text("\n".join(" ".join(one) for one in self.sentences), encoding="utf-8")
        (folder / "words.txt").write_text("\n".join(self.words), encoding="utf-8")
        self.numbers().tofile(folder / "tokens.bin")
        np.save(folder / "counts.npy", self.counts)


def bags_of(folder: Path) -> words.Bags:
    """The rows of each word: its own, then its n-grams'."""
    names = (folder / "words.txt").read_text(encoding="utf-8").split("\n")
    rows = [[k, *(len(names) + one for one in NGRAMS.of(name))] for k, name in enumerate(names)]
    begins = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return words.Bags(begins, np.fromiter(itertools.chain.from_iterable(rows), np.int32, int(begins[-1])))


def ours(folder: Path, epochs: int, seed: int, threads: int, subwords: bool) -> Callable[[], np.ndarray]:
    """A training by recurra, ready to go."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    counts = np.load(folder / "counts.npy")
    bags = bags_of(folder) if subwords else None
    rows = len(counts) + NGRAMS.buckets * subwords
    tables = TwoTables({"words": rows, "outputs": len(counts)}, vector_size=SIZE)
    file, number = folder / "tokens.bin", np.dtype(np.int32).itemsize
    count = file.stat().st_size // number
    negative, keep = words.distribution(counts**0.75), words.kept(counts, SAMPLE)
    group = 1 if subwords else words.group(counts, keep, NEGATIVES)  # as the task has it

    def train() -> np.ndarray:
        done = 0
        for _ in range(epochs):
            for begin in range(0, count, PIECE):
                piece = np.fromfile(file, np.int32, PIECE, offset=begin * number)
                rate = max(RATE * (1 - done / count / epochs), LEAST)
                words.learn(
                    piece, tables.inputs, tables.outputs, negative, keep=keep, window=WINDOW, negatives=NEGATIVES,
                    group=group, rate=rate, seed=seed, position=done, bags=bags,
                )  # fmt: skip
                done += len(piece)
        found = tables.inputs.numpy()
        if bags is None:
            return found
        ends = zip(bags.begins, bags.begins[1:], strict=False)
        return np.array([found[bags.rows[begin:end]].mean(0) for begin, end in ends])

    return train


def theirs(folder: Path, epochs: int, seed: int, threads: int, subwords: bool) -> Callable[[], np.ndarray]:
    """A training by gensim, ready to go; it leaves the order of its words in a file."""
    from gensim.models import FastText, Word2Vec

    file = str(folder / "text.txt")
    ngrams = {"min_n": NGRAMS.shortest, "max_n": NGRAMS.longest, "bucket": NGRAMS.buckets} if subwords else {}
    model = (FastText if subwords else Word2Vec)(
        **ngrams,
        vector_size=SIZE, window=WINDOW, min_count=MIN_COUNT, sample=SAMPLE, negative=NEGATIVES, sg=1, workers=threads,
        alpha=RATE, min_alpha=LEAST, seed=seed,
    )  # fmt: skip
    model.build_vocab(corpus_file=file)

    def train() -> np.ndarray:
        sizes = {"total_words": model.corpus_total_words, "total_examples": model.corpus_count}
        model.train(corpus_file=file, epochs=epochs, **sizes)
        (folder / "order.txt").write_text("\n".join(model.wv.index_to_key), encoding="utf-8")
        return model.wv.vectors

    return train


LIBRARIES = {"recurra": ours, "gensim": theirs}


def memory(name: str) -> float:
    """MiB of this process, now (VmRSS) or at most since the last reset (VmHWM), as Linux says them."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def alone(name: str, folder: Path, epochs: int, seed: int, threads: int, subwords: bool) -> tuple[float, float, float]:
    """A training in this process: seconds of CPU, seconds of the clock, MiB. The vectors are left in a file."""
    if name == "gensim":
        import gensim.models  # noqa: F401
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = memory("VmRSS")
    train = LIBRARIES[name](folder, epochs, seed, threads, subwords)
    cpu, clock = time.process_time(), time.perf_counter()
    found = train()
    spent = time.process_time() - cpu, time.perf_counter() - clock, memory("VmHWM") - before
    np.save(folder / "vectors.npy", found)
    return spent


def analogies(vectors: WordVectors, file: Path) -> tuple[float, int]:
    """The share of questions that 3CosAdd answers among all words, and how many have four known words."""
    asked = [line.lower().split() for line in file.read_text().splitlines() if not line.startswith(":")]
    known = [one for one in asked if all(word in vectors for word in one)]
    unit = vectors.matrix / np.linalg.norm(vectors.matrix, axis=1, keepdims=True)
    at = np.array([[vectors.index[word] for word in one] for one in known])
    right = 0
    for some in np.array_split(at, max(len(at) // 500, 1)):
        scores = (unit[some[:, 1]] - unit[some[:, 0]] + unit[some[:, 2]]) @ unit.T
        np.put_along_axis(scores, some[:, :3], -np.inf, 1)
        right += int((scores.argmax(1) == some[:, 3]).sum())
    return right / len(known), len(known)


def similarity(vectors: WordVectors, file: Path) -> tuple[float, int]:
    """Spearman's correlation of cosines with people's marks, and of how many pairs."""
    from scipy.stats import spearmanr

    rows = [line.lower().split() for line in file.read_text().splitlines() if line.strip()]
    known = [(a, b, float(mark)) for a, b, mark in rows if a in vectors and b in vectors]
    found = spearmanr([vectors.similarity(a, b) for a, b, _ in known], [mark for *_, mark in known])
    return float(found.statistic), len(known)


def lines(text: Text, data: Path, args: argparse.Namespace) -> Iterator[str]:
    total = sum(map(len, text.sentences)) * args.epochs
    sets = ("EN-WS-353-ALL", "EN-SIMLEX-999", "EN-MEN-TR-3k")
    yield "| library | threads | seed | words/s of CPU | of the clock | MiB | analogies | " + " | ".join(sets) + " |"
    yield "|---" * (7 + len(sets)) + "|"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        text.write(folder)
        for seed, threads, name in itertools.product(args.seeds, args.threads, LIBRARIES):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                cpu, clock, more = pool.apply(alone, (name, folder, args.epochs, seed, threads, args.subwords))
            order = text.words if name == "recurra" else (folder / "order.txt").read_text(encoding="utf-8").split("\n")
            vectors = WordVectors(order, np.load(folder / "vectors.npy"))
            marks = [similarity(vectors, data / f"wordvec_eval/{one}.txt") for one in sets]
            share, asked = analogies(vectors, data / "wordvec_eval/questions-words.txt")
            found = " | ".join(f"{mark:.4f} ({pairs:,})" for mark, pairs in marks)
            speeds = f"{total / cpu:,.0f} | {total / clock:,.0f} | {more:,.0f}"
            yield f"| {name} | {threads} | {seed} | {speeds} | {share:.4f} ({asked:,}) | {found} |"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=lambda text: [int(one) for one in text.split(",")], default=[1])
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[1])
    parser.add_argument("--subwords", action="store_true")
    parser.add_argument("--lines", type=int, default=None)
    args = parser.parse_args(arguments)
    (file,) = (args.data / "wordvec_corpus").glob("*.gz")
    for line in lines(Text(file, args.lines), args.data, args):
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
