"""Skip-gram with negative samples beside gensim: words a second, analogies and similarities, on the same text.

    python benchmarks/word_vectors.py --data DIR [--epochs 5] [--seeds 1] [--threads 1]

DIR holds wordvec_corpus and wordvec_eval (see examples/README.md). gensim is a peer that this script needs
(`pip install gensim`); both read the same tokens, learn vectors of 100 numbers in windows of 5 with 5 negative samples,
and leave out frequent words at 1e-3. Times are of the training alone, in seconds of CPU and of the clock.
"""

from __future__ import annotations

import argparse
import gzip
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
from recurra.engine import words

SIZE, WINDOW, NEGATIVES, SAMPLE, RATE, LEAST, MIN_COUNT = 100, 5, 5, 1e-3, 0.025, 1e-4, 5
PIECE = 10_000  # tokens between two rates, as in gensim and in the authors' program


class Text:
    """A text as sentences of words that occur MIN_COUNT times or more."""

    def __init__(self, file: Path) -> None:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            all_of = [re.findall(r"[a-z0-9']+", line.lower().replace("<br />", " ")) for line in lines]
        counts = Counter(word for one in all_of for word in one)
        self.words = [word for word, count in counts.most_common() if count >= MIN_COUNT]
        self.counts = np.array([counts[word] for word in self.words], np.int64)
        self.index = {word: k for k, word in enumerate(self.words)}
        self.sentences = [[word for word in one if word in self.index] for one in all_of]

    def numbers(self) -> np.ndarray:
        """The numbers of the words, with -1 behind each sentence."""
        return np.array([k for one in self.sentences for k in (*map(self.index.__getitem__, one), words.END)], np.int32)


def ours(text: Text, epochs: int, seed: int) -> Callable[[], WordVectors]:
    """A training by recurra, ready to go."""
    tokens, V = text.numbers(), len(text.words)
    inputs, outputs = words.table(V, SIZE), words.table(V, SIZE)
    inputs.copy_((torch.rand((V, SIZE), generator=torch.Generator().manual_seed(seed)) - 0.5) / SIZE)
    negative, keep = words.distribution(text.counts**0.75), words.kept(text.counts, SAMPLE)
    group = words.group(text.counts, keep, NEGATIVES)

    def train() -> WordVectors:
        total, done = len(tokens) * epochs, 0
        for _ in range(epochs):
            for begin in range(0, len(tokens), PIECE):
                piece = tokens[begin : begin + PIECE]
                rate = max(RATE * (1 - done / total), LEAST)
                words.learn(
                    piece, inputs, outputs, negative, keep=keep, window=WINDOW, negatives=NEGATIVES, group=group,
                    rate=rate, seed=seed, position=done,
                )  # fmt: skip
                done += len(piece)
        return WordVectors(text.words, inputs.numpy().copy())

    return train


def theirs(text: Text, epochs: int, seed: int, threads: int, scratch: Path) -> Callable[[], WordVectors]:
    """A training by gensim, ready to go."""
    from gensim.models import Word2Vec

    file = str(scratch / "text.txt")
    Path(file).write_text("\n".join(" ".join(one) for one in text.sentences), encoding="utf-8")
    model = Word2Vec(
        vector_size=SIZE, window=WINDOW, min_count=MIN_COUNT, sample=SAMPLE, negative=NEGATIVES, sg=1, workers=threads,
        alpha=RATE, min_alpha=LEAST, seed=seed,
    )  # fmt: skip
    model.build_vocab(corpus_file=file)

    def train() -> WordVectors:
        sizes = {"total_words": model.corpus_total_words, "total_examples": model.corpus_count}
        model.train(corpus_file=file, epochs=epochs, **sizes)
        return WordVectors(model.wv.index_to_key, model.wv.vectors)

    return train


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


def measured(train: Callable[[], WordVectors]) -> tuple[WordVectors, float, float]:
    """The vectors, seconds of CPU, seconds of the clock."""
    cpu, clock = time.process_time(), time.perf_counter()
    found = train()
    return found, time.process_time() - cpu, time.perf_counter() - clock


def lines(text: Text, data: Path, args: argparse.Namespace) -> Iterator[str]:
    total = sum(map(len, text.sentences)) * args.epochs
    sets = ("EN-WS-353-ALL", "EN-SIMLEX-999", "EN-MEN-TR-3k")
    yield "| library | seed | words/s of CPU | words/s of the clock | analogies | " + " | ".join(sets) + " |"
    yield "|---" * (5 + len(sets)) + "|"
    with tempfile.TemporaryDirectory() as scratch:
        for seed in args.seeds:
            made = {
                "recurra": ours(text, args.epochs, seed),
                "gensim": theirs(text, args.epochs, seed, args.threads, Path(scratch)),
            }
            for name, train in made.items():
                vectors, cpu, clock = measured(train)
                marks = [similarity(vectors, data / f"wordvec_eval/{one}.txt") for one in sets]
                share, asked = analogies(vectors, data / "wordvec_eval/questions-words.txt")
                found = " | ".join(f"{mark:.4f} ({pairs:,})" for mark, pairs in marks)
                speeds = f"{total / cpu:,.0f} | {total / clock:,.0f}"
                yield f"| {name} | {seed} | {speeds} | {share:.4f} ({asked:,}) | {found} |"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[1])
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    (file,) = (args.data / "wordvec_corpus").glob("*.gz")
    for line in lines(Text(file), args.data, args):
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
