"""Searches through speech that comes in pieces: seconds of one core for a second of sound, features included.

    python benchmarks/streaming_beams.py [--seconds 20] [--rounds 3]

40 log-mel bands of sound of 8 kHz, three frames of 10 ms a step, a GRU of 3 x 256, the blank and 27 units, pieces of
0.2 s with an answer after each. Weights are untrained but for a beginning on the blank, and the sound is noise: texts
are at odds as they seldom are in speech. The smallest of the rounds is said, in time of the processor.
"""

from __future__ import annotations

import argparse
import os
import string
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")
RATE, PIECE = 8000, 0.2
BEAMS = {"ctc": (1, 8, 16), "transducer": (1, 4, 8)}


def predictors(head: str) -> dict[int, Any]:
    """By the width of the beam, of one task and one model that have learned nothing."""
    import torch

    from recurra.base.contracts import Origin, Record
    from recurra.models import SequenceModel
    from recurra.tasks import TranscriptionConfig

    torch.set_num_threads(1)
    torch.manual_seed(1)
    sound: dict[str, Any] = {"name": "kaldi", "rate": RATE, "bands": 40}
    plan: Any = TranscriptionConfig(sound=sound, scaling="running", stack=3).for_model(
        {"inputs": {"name": "vectors"}, "head": {"name": head}}
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes(noise(1.0).tobytes())
        text = " ".join(string.ascii_lowercase[k::2] for k in range(2))
        task = plan.fit([Record({"audio": str(path), "text": text}, Origin("noise.csv", 2))], "noise.csv")
    encoder = {"name": "recurrent", "cell": "gru", "hidden_size": 256, "num_layers": 3, "bidirectional": False}
    model = SequenceModel(
        task.model_sizes, inputs="vectors", encoder=encoder, head={"name": head, "blank_share": 0.9}
    ).eval()
    return {beam: task.with_options({"beam": beam}).listener(model) for beam in BEAMS[head]}


def noise(seconds: float) -> Any:
    """16 bits."""
    drawn = np.random.default_rng(1).normal(size=round(RATE * seconds))
    return (3000 * drawn).clip(-32768, 32767).astype("<i2")


def hear(predictor: Any, samples: Any) -> None:
    """All pieces, an answer after each, and the end."""
    place, size = predictor.begin(), round(RATE * PIECE)
    for start in range(0, len(samples), size):
        place = predictor.hear(place, samples[start : start + size])
        predictor.said(place)
    predictor.said(predictor.ended(place))


def main() -> None:
    """A line for each head and beam."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    samples = noise(options.seconds).astype(np.float32) / 32768
    for head in BEAMS:
        for beam, predictor in predictors(head).items():
            spent = []
            for _ in range(options.rounds):
                before = time.process_time()
                hear(predictor, samples)
                spent.append(time.process_time() - before)
            print(f"{head}, beam {beam}: {min(spent) / options.seconds:.3f} of real time", flush=True)


if __name__ == "__main__":
    main()
