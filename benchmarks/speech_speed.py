"""Speed of speech beside peers, in turns and one thread each: features, a training step of CTC, a stream.

    python benchmarks/speech_speed.py [features] [training] [streaming] [--rounds 7]

features   a minute of 16 kHz, 80 bands, beside kaldi-native-fbank (`pip install kaldi-native-fbank`); the numbers agree
training   a step of a bidirectional LSTM of 3 x 256 with CTC (forward, loss, backward, clipping, Adam), beside the same
           in torch: nn.LSTM on packed sequences and nn.functional.ctc_loss
streaming  seconds of computing for a second of sound, features included, for a causal network of 3 x 256 in pieces of
           0.2 s

Times are of the CPU, so that a busy machine says nearly the same as a quiet one; the ratio is the median over rounds.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from recurra.api.hearing import Hearing
from recurra.base.contracts import Batch, Origin, Record
from recurra.data.sound import wav
from recurra.data.spectra import Kaldi
from recurra.engine.ctc import ctc_loss
from recurra.models import SequenceModel
from recurra.tasks import TranscriptionConfig

RATE, BANDS, SECONDS = 16_000, 80, 60
# Rows, steps of 30 ms (about ten seconds), numbers of a step, units, letters of a text.
N, T, FEATURES, UNITS, LETTERS = 16, 320, 120, 30, 80
HIDDEN, LAYERS = 256, 3


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("parts", nargs="*", help="all of them where none is named")
    options.add_argument("--rounds", type=int, default=7)
    args = options.parse_args()
    torch.set_num_threads(1)
    for part in args.parts or PARTS:
        PARTS[part](args.rounds)
    return 0


def compared(what: str, ours: Callable[[], Any], theirs: Callable[[], Any], peer: str, rounds: int) -> None:
    """Both in turns, and how many times as long the peer takes."""
    pairs = [(cpu(ours), cpu(theirs)) for _ in range(rounds + 1)][1:]
    mine, others = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(other / own for own, other in pairs)
    print(f"{what}: recurra {1e3 * mine:.1f} ms, {peer} {1e3 * others:.1f} ms of CPU: {ratio:.2f}x")


def cpu(work: Callable[[], Any]) -> float:
    """Seconds of the processor."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def features(rounds: int) -> None:
    if find_spec("kaldi_native_fbank") is None:
        sys.exit("features: kaldi-native-fbank is not installed; pip install kaldi-native-fbank.")
    import kaldi_native_fbank as peer

    samples = (0.1 * np.random.default_rng(1).normal(size=SECONDS * RATE)).astype(np.float32)
    spectrum = Kaldi(rate=RATE, bands=BANDS)
    how = peer.FbankOptions()
    how.frame_opts.samp_freq, how.frame_opts.dither, how.mel_opts.num_bins = RATE, 0.0, BANDS
    how.energy_floor = 0.0
    scaled = samples * np.float32(32768)

    def theirs() -> Any:
        computer = peer.OnlineFbank(how)
        computer.accept_waveform(RATE, scaled)
        computer.input_finished()
        return np.stack([computer.get_frame(k) for k in range(computer.num_frames_ready)])

    difference = float(np.abs(spectrum(samples) - theirs()).max())
    print(f"features: the largest difference of a logarithm is {difference:.1e}")
    compared(f"features of {SECONDS} s, {BANDS} bands", lambda: spectrum(samples), theirs, "kaldi-native-fbank", rounds)


def training(rounds: int) -> None:
    torch.manual_seed(1)
    lengths = torch.linspace(T // 2, T, N).long()
    x = torch.randn(T, N, FEATURES)
    texts, sizes = torch.randint(1, UNITS, (LETTERS, N)), torch.linspace(LETTERS // 2, LETTERS, N).long()
    batch = Batch({"features": x, "silent": torch.zeros(N, dtype=torch.bool)}, lengths, {}, tuple(range(N)))
    encoder = {"name": "recurrent", "cell": "lstm", "hidden_size": HIDDEN, "num_layers": LAYERS, "bidirectional": True}
    model = SequenceModel({"features": FEATURES, "units": UNITS}, inputs="vectors", encoder=encoder, head="ctc")
    peer = torch.nn.LSTM(FEATURES, HIDDEN, LAYERS, bidirectional=True)
    output = torch.nn.Linear(2 * HIDDEN, UNITS)
    step = stepper(list(model.parameters()))
    peer_step = stepper([*peer.parameters(), *output.parameters()])
    pack, pad = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence

    def ours() -> None:
        step(ctc_loss(model(batch).outputs["logits"], lengths, texts.T.contiguous(), sizes).sum() / sizes.sum())

    def theirs() -> None:
        states, _ = peer(pack(x, lengths, enforce_sorted=False))
        log_probs = output(pad(states)[0]).log_softmax(2)
        loss = torch.nn.functional.ctc_loss(log_probs, texts.T, lengths, sizes, reduction="sum")
        peer_step(loss / sizes.sum())

    compared(f"a step of {LAYERS} x {HIDDEN}, {N} rows of {T // 2} to {T} steps", ours, theirs, "torch", rounds)


def stepper(parameters: list[torch.nn.Parameter]) -> Callable[[torch.Tensor], None]:
    """Moves parameters by a loss."""
    optimizer = torch.optim.Adam(parameters, lr=1e-4)

    def step(loss: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def streaming(rounds: int) -> None:
    rng = np.random.default_rng(1)
    row = Record(
        {"audio": wav(0.1 * rng.normal(size=RATE), RATE), "text": "abcdefghijklmnopqrstuvwxyz '"}, Origin("a", 1)
    )
    plan = TranscriptionConfig(sound={"name": "kaldi", "rate": RATE, "bands": BANDS}, scaling="running", stack=3)
    task = plan.fit([row], "a")
    for cell in ("lstm", "gru"):
        encoder = {
            "name": "recurrent",
            "cell": cell,
            "hidden_size": HIDDEN,
            "num_layers": LAYERS,
            "bidirectional": False,
        }
        model = SequenceModel(task.model_sizes, inputs="vectors", encoder=encoder, head="ctc").eval()
        run: Any = SimpleNamespace(task=task, model=model)
        pieces = np.split((0.1 * rng.normal(size=SECONDS * RATE)).astype(np.float32), SECONDS * 5)
        seconds = []
        for _ in range(rounds):
            hearing = Hearing(run, device="cpu")
            seconds.append(cpu(lambda pieces=pieces, hearing=hearing: [hearing.feed(piece) for piece in pieces]))  # type: ignore[misc]
        print(f"streaming, {cell}: {statistics.median(seconds) / SECONDS:.4f} s of CPU for a second of sound")


PARTS: dict[str, Callable[[int], None]] = {"features": features, "training": training, "streaming": streaming}

if __name__ == "__main__":
    sys.exit(main())
