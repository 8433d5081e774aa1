"""CTC beam search beside pyctcdecode's: `python benchmarks/ctc_decoding.py --peer PYTHON`.

Neither has a language model. The logits are those of a text of about 100 letters over 600 frames, more or less sure of
it, of 29 units.
pyctcdecode needs numpy below 2, so it runs in a Python of its own, on the same file. CPU seconds of one text, medians.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from recurra.decode.prefix_beam import prefix_beam

LETTERS = " abcdefghijklmnopqrstuvwxyz'"
T, WORDS = 600, 18
# What pyctcdecode leaves out of a frame: ln p below -5.
LEAST = math.exp(-5.0)
PEER = """
import json, logging, sys, time
import numpy as np
logging.disable(logging.CRITICAL)
from pyctcdecode import build_ctcdecoder
decoder, said = build_ctcdecoder([""] + list(sys.argv[2])), np.load(sys.argv[1])
times = []
for _ in range(int(sys.argv[4])):
    begin = time.process_time()
    decoder.decode_beams(said, beam_width=int(sys.argv[3]))
    times.append(time.process_time() - begin)
print(json.dumps(times))
"""


def main() -> None:
    """A line for each sureness and beam."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="a Python that has pyctcdecode")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for sure in (3.0, 6.0, 9.0):
        logits = said_surely(sure)
        for beam in (16, 100):
            ours = [seconds(logits, beam) for _ in range(options.rounds)]
            line = f"sure by {sure:g}, beam {beam}: recurra {statistics.median(ours):.3f} s"
            if options.peer:
                theirs = peer_seconds(options.peer, logits, beam, options.rounds)
                ratio = statistics.median(theirs) / statistics.median(ours)
                line += f", pyctcdecode {statistics.median(theirs):.3f} s, {ratio:.2f}x"
            print(line, flush=True)


def said_surely(sure: float) -> np.ndarray:
    """Logits (T, 29) of some words, each letter over two frames, so many nats above noise."""
    rng = np.random.default_rng(0)
    text = " ".join("".join(rng.choice(list("etaoinshrdlu"), size=rng.integers(2, 8))) for _ in range(WORDS))
    logits = rng.normal(size=(T, len(LETTERS) + 1)) * 1.5
    logits[:, 0] += sure
    for place, letter in zip(np.sort(rng.choice(T - 4, size=len(text), replace=False)), text, strict=True):
        logits[place : place + 2, 1 + LETTERS.index(letter)] += sure + 4
    return logits


def seconds(logits: np.ndarray, beam: int) -> float:
    begin = time.process_time()
    prefix_beam(torch.from_numpy(logits)[:, None], torch.tensor([len(logits)]), beam, least=LEAST)
    return time.process_time() - begin


def peer_seconds(python: str, logits: np.ndarray, beam: int, rounds: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "said.npy"
        np.save(file, logits - np.log(np.exp(logits).sum(1, keepdims=True)))
        command = [python, "-c", PEER, str(file), LETTERS, str(beam), str(rounds)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(text.splitlines()[-1])


if __name__ == "__main__":
    main()
