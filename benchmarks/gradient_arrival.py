"""When gradients are there: how much of the sum over ranks could be hidden behind the backward pass.

    python benchmarks/gradient_arrival.py [--repeats 5]

One step of several classifiers on 64 texts of 20 words, one thread. A hook of each parameter notes when its gradient is
whole. Printed: CPU seconds of the backward pass; how far it is, in the mean over bytes, when a gradient arrives (1:
nothing can be hidden behind it); and at most how much of the sum could be hidden, if buckets of 4 MiB were sent as soon
as they are full, on a link of 1.2 GB/s and of 0.15 GB/s, as a share of backward pass and sum together. That takes
sending for free, which it is not where the same cores copy what is sent.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

MODELS: dict[str, dict[str, Any]] = {
    "LSTM, 1 layer of 512": {"name": "recurrent", "hidden_size": 512},
    "LSTM, 4 layers of 256": {"name": "recurrent", "hidden_size": 256, "num_layers": 4},
    "Transformer, 4 layers of 256": {"name": "transformer", "hidden_size": 256, "num_layers": 4, "num_heads": 4},
}
BUCKET = 2**22
LINKS = (1.2e9, 0.15e9)


def trainer_of(folder: Path, encoder: dict[str, Any]) -> Any:
    """What learns, from 200 texts."""
    import torch

    from recurra.api.callbacks import NoCallback
    from recurra.api.prepare import prepare
    from recurra.api.schema import read_settings
    from recurra.api.trainer import Trainer

    words = [f"w{number}" for number in range(2_000)]
    rows = [f"{' '.join(words[(n * 37 + k * 101) % 2_000] for k in range(20))},c{n % 3}" for n in range(200)]
    (folder / "train.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    settings = read_settings({
        "task": "classification", "data": {"train": str(folder / "train.csv")},
        "model": {"inputs": {"embedding_size": 128}, "encoder": encoder},
    })  # fmt: skip
    prepared = prepare(settings, NoCallback())
    train = prepared.splits["train"]
    return Trainer(settings, prepared.task, train, torch.device("cpu"), prepared.fingerprint)


def arrivals(trainer: Any) -> tuple[float, list[tuple[float, int]]]:
    """CPU seconds of a backward pass; of each gradient when it came, and its bytes."""
    noted: list[tuple[float, int]] = []
    hooks = [
        one.register_post_accumulate_grad_hook(lambda one: noted.append((time.process_time(), one.numel() * 4)))
        for one in trainer.model.parameters()
    ]
    batch = trainer.sampler.batch(trainer.sampler.plan(1)[0])
    trainer.model.zero_grad(set_to_none=True)
    loss = trainer.task.loss(trainer.model(batch), batch)
    began = time.process_time()
    loss.mean.backward()
    whole = time.process_time() - began
    for hook in hooks:
        hook.remove()
    return whole, [(when - began, size) for when, size in noted]


def hidden(whole: float, found: Sequence[tuple[float, int]], speed: float) -> float:
    """At most which share of backward pass and sum is saved by buckets that are sent one after another when full."""
    free, waiting = 0.0, 0
    for when, size in found:
        waiting += size
        if waiting >= BUCKET:
            free, waiting = max(free, when) + waiting / speed, 0
    after = max(free, whole) + waiting / speed
    before = whole + sum(size for _, size in found) / speed
    return 1 - after / before


def main() -> None:
    """Print a table."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | MB | ms backward | arrival | hidden at 1.2 GB/s | at 0.15 GB/s |")
    for name, encoder in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            trainer = trainer_of(Path(folder), encoder)
        tries = [arrivals(trainer) for _ in range(options.repeats)]
        size = sum(bytes for _, bytes in tries[0][1])
        arrival = median(sum(when / whole * bytes for when, bytes in found) / size for whole, found in tries)
        saved = [median(hidden(whole, found, speed) for whole, found in tries) for speed in LINKS]
        print(
            f"| {name} | {size / 1e6:.1f} | {1e3 * median(whole for whole, _ in tries):.0f} | {arrival:.2f} | "
            f"{saved[0]:.1%} | {saved[1]:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
