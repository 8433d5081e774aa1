"""Sequence VAEs beside the same networks in torch with packed sequences: the time of a training step.

    python benchmarks/autoencoders_of_sequences.py texts [--words 10000] [--cell lstm] [--rounds 15]
    python benchmarks/autoencoders_of_sequences.py series [--cell lstm] [--rounds 15]

texts: 32 texts of 4 to 40 of 10,000 words, whose frequencies fall as 1/rank; vectors of 128, layers of 256, a code of
32 (the sequence VAE of Bowman et al. 2016). series: 32 series of 60 to 140 steps of 2 numbers, layers of 64, a code of
16.
The peer's encoder and decoder are torch.nn's over packed sequences, its output layer and loss over real steps alone.
recurra gets its weights, its drawn numbers and its batches first, and both must agree on the loss. A step is loss,
gradients, clipping at 1 and Adam: recurra's own, and for the peer torch's as it comes, and fused. Time is of the CPU,
one thread, steps in turns; medians. With many words the output layer is most of a step, and its products are as many.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_sequence

from recurra.base.contracts import Batch, Origin, Record
from recurra.models import Autoencoder, TextAutoencoder
from recurra.tasks import AutoencodingConfig, TextAutoencodingConfig
from recurra.training import OPTIMIZERS

ROWS, CLIP, RATE = 32, 1.0, 1e-3
VECTOR, UNITS, CODE = 128, 256, 32
NUMBERS, SERIES_UNITS, SERIES_CODE = 2, 64, 16
LAYERS: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU}
AGREE = 1e-4  # of float32, and sums in another order
# One batch for each step of a round: a step's time depends on its lengths.
BATCHES = 8


class Peer(nn.Module):
    """Encoder, code and decoder in torch. table: of tokens, None of series      out: numbers of the output layer"""

    def __init__(self, cell: str, read: int, units: int, code: int, out: int, words: int) -> None:
        super().__init__()
        self.table = nn.Embedding(words, read) if words else None
        self.target = nn.Embedding(words, read) if words else None
        self.encoder = LAYERS[cell](read, units)
        self.decoder = LAYERS[cell](read + code if words else code, units)
        self.mean, self.log_variance = nn.Linear(units, code), nn.Linear(units, code)
        self.states = nn.ModuleList(nn.Linear(code, units) for _ in range(2 if cell == "lstm" else 1))
        self.output = nn.Linear(units, out)

    def coded(self, x: PackedSequence, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (N, Z), and the KL of all rows."""
        last = self.encoder(x)[1]
        h = (last[0] if isinstance(last, tuple) else last)[0]
        mean, log_variance = self.mean(h), self.log_variance(h)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
        return mean + torch.exp(0.5 * log_variance) * draws, kl

    def said(self, x: PackedSequence, codes: Tensor) -> Tensor:
        """(S, out) of all real steps, packed."""
        begun = [torch.tanh(one(codes)).unsqueeze(0) for one in self.states]
        given = tuple(begun) if len(begun) > 1 else begun[0]
        found: Tensor = self.output(self.decoder(x, given)[0].data)
        return found


def packed(rows: list[Tensor]) -> PackedSequence:
    lengths = torch.tensor([len(row) for row in rows])
    return pack_padded_sequence(pad_sequence(rows), lengths, enforce_sorted=False)


def text_loss(peer: Peer, texts: list[Tensor], draws: Tensor) -> Tensor:
    """Nats and KL of all texts, by token. Codes are repeated as they are packed."""
    assert peer.table is not None
    assert peer.target is not None
    begin, end = torch.tensor([2]), torch.tensor([3])
    source = packed(texts)
    codes, kl = peer.coded(source._replace(data=peer.table(source.data)), draws)
    read = packed([torch.cat([begin, row]) for row in texts])
    wanted = packed([torch.cat([row, end]) for row in texts]).data
    x = torch.cat([peer.target(read.data), repeated(codes, read)], 1)
    logits = peer.said(read._replace(data=x), codes)
    return (F.cross_entropy(logits, wanted, reduction="sum") + kl) / len(wanted)


def series_loss(peer: Peer, rows: list[Tensor], draws: Tensor, log_deviation: Tensor) -> Tensor:
    """Nats of a normal distribution and KL of all series, by row."""
    source = packed(rows)
    codes, kl = peer.coded(source, draws)
    said = peer.said(source._replace(data=repeated(codes, source)), codes)
    away = (source.data - said) * torch.exp(-log_deviation)
    return ((0.5 * away**2 + log_deviation + 0.5 * np.log(2 * np.pi)).sum() + kl) / len(rows)


def repeated(codes: Tensor, like: PackedSequence) -> Tensor:
    """(S, Z) the code of each real step, packed."""
    ordered = codes if like.sorted_indices is None else codes[like.sorted_indices]
    return torch.cat([ordered[: int(n)] for n in like.batch_sizes])


def texts(rng: np.random.Generator, words: int) -> list[Tensor]:
    chance = 1 / np.arange(1, words - 3)
    lengths = np.clip(rng.normal(14, 6, ROWS).round(), 4, 40).astype(int)
    return [torch.from_numpy(4 + rng.choice(words - 4, n, p=chance / chance.sum())) for n in lengths]


def series(rng: np.random.Generator, words: int) -> list[Tensor]:
    return [torch.from_numpy(rng.normal(size=(n, NUMBERS)).astype(np.float32)) for n in rng.integers(60, 141, ROWS)]


def text_batch(rows: list[Tensor], draws: Tensor) -> Batch:
    lengths = torch.tensor([len(row) for row in rows])
    target = pad_sequence([torch.cat([torch.tensor([2]), row]) for row in rows])
    wanted = pad_sequence([torch.cat([row, torch.tensor([3])]) for row in rows])
    inputs = {"tokens": pad_sequence(rows), "target": target, "target_lengths": lengths + 1, "draws": draws}
    return Batch(inputs, lengths, {"tokens": wanted}, tuple(range(len(rows))))


def series_batch(rows: list[Tensor], draws: Tensor) -> Batch:
    x = pad_sequence(rows)
    lengths = torch.tensor([len(row) for row in rows])
    there = (torch.arange(len(x)).unsqueeze(1) < lengths).unsqueeze(2).expand_as(x).float()
    return Batch({"features": x, "draws": draws}, lengths, {"values": x, "there": there}, tuple(range(len(rows))))


def take(ours: nn.Module, peer: Peer, names: dict[str, str]) -> None:
    """The peer's weights. names: of ours, by the beginnings of the peer's"""
    mine = dict(ours.named_parameters())
    with torch.no_grad():
        for name, value in peer.named_parameters():
            start = max((one for one in names if name.startswith(one)), key=len)
            mine.pop(names[start] + name[len(start) :]).copy_(value)
    assert set(mine) <= {"shared"}, sorted(mine)


def of_texts(cell: str, words: int) -> tuple[Any, nn.Module, Peer, Callable[..., Any], Callable[..., Any]]:
    plan = TextAutoencodingConfig(tokenizer="spaces", code_size=CODE, variational=True)
    task = plan.fit([Record({"text": "a b"}, Origin("x", n)) for n in range(2)], "x")
    decoder = {"name": "recurrent", "embedding_size": VECTOR, "attention": "none", "style": "cho", "bridge": "mean",
               "readout": "state"}  # fmt: skip
    model = TextAutoencoder(
        plan.sizes(words),
        inputs={"name": "tokens", "embedding_size": VECTOR},
        encoder={"name": "recurrent", "cell": cell, "hidden_size": UNITS},
        latent="variational",
        decoder=decoder,
    )
    names = {"table.": "inputs.embedding.", "target.": "decoder.embedding.", "encoder.": "encoder.recurrent.",
             "decoder.": "decoder.recurrent.", "mean.": "latent.mean.", "log_variance.": "latent.log_variance.",
             "states.0.": "decoder.bridge.maps.h_l0.", "states.1.": "decoder.bridge.maps.c_l0.",
             "output.": "decoder.output."}  # fmt: skip
    peer = Peer(cell, VECTOR, UNITS, CODE, words, words)
    take(model, peer, names)
    return task, model, peer, text_batch, text_loss


def of_series(cell: str, words: int) -> tuple[Any, nn.Module, Peer, Callable[..., Any], Callable[..., Any]]:
    plan = AutoencodingConfig(code_size=SERIES_CODE, variational=True, likelihood="gaussian", scaling="none")
    task = plan.fit([Record({"values": np.eye(3, 2) + n}, Origin("x", n)) for n in range(2)], "x")
    sizes = {**task.model_sizes, "row": 140 * NUMBERS}
    model = Autoencoder(
        sizes,
        encoder={"name": "recurrent", "cell": cell, "hidden_size": SERIES_UNITS},
        latent="variational",
        decoder={"name": "recurrent"},
    )
    peer = Peer(cell, NUMBERS, SERIES_UNITS, SERIES_CODE, NUMBERS, 0)
    shared = model.shared
    assert shared is not None
    take_series(model, peer)

    def loss(peer: Peer, rows: list[Tensor], draws: Tensor) -> Tensor:
        return series_loss(peer, rows, draws, -6.0 + F.softplus(shared - -6.0))

    return task, model, peer, series_batch, loss


def take_series(model: nn.Module, peer: Peer) -> None:
    """The peer's weights; first states are one product of ours."""
    begin, states = peer.states, dict(model.named_parameters())
    names = {"encoder.": "encoder.recurrent.", "decoder.": "decoder.recurrent.", "mean.": "latent.mean.",
             "log_variance.": "latent.log_variance.", "output.": "decoder.output."}  # fmt: skip
    with torch.no_grad():
        for part in ("weight", "bias"):
            states[f"decoder.begin.{part}"].copy_(torch.cat([getattr(one, part) for one in begin]))
        for name, value in peer.named_parameters():
            if not name.startswith("states."):
                start = max((one for one in names if name.startswith(one)), key=len)
                states[names[start] + name[len(start) :]].copy_(value)


def measure(kind: str, cell: str, rounds: int, words: int) -> None:
    """Milliseconds of a step, medians of rounds."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    task, model, peer, batch_of, loss_of = (of_texts if kind == "texts" else of_series)(cell, words)
    code = CODE if kind == "texts" else SERIES_CODE
    data = [(texts if kind == "texts" else series)(rng, words) for _ in range(BATCHES)]
    draws = [torch.randn(ROWS, code) for _ in range(BATCHES)]
    batches = [batch_of(rows, noise) for rows, noise in zip(data, draws, strict=True)]
    model.train()

    def ours(k: int) -> Tensor:
        found = task.loss(model(batches[k]), batches[k])
        total: Tensor = found.total / found.count
        return total

    def theirs(k: int) -> Tensor:
        found: Tensor = loss_of(peer, data[k], draws[k])
        return found

    for k in range(BATCHES):
        one, other = float(ours(k).detach()), float(theirs(k).detach())
        assert abs(one - other) < AGREE * abs(other), (one, other)
    own = OPTIMIZERS["adam"](model.parameters(), lr=RATE)
    works = {
        "recurra": (model, ours, own),
        "torch": (peer, theirs, torch.optim.Adam(peer.parameters(), RATE)),
        "torch, fused Adam": (peer, theirs, torch.optim.Adam(peer.parameters(), RATE, fused=True)),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, (net, loss, optimizer) in works.items():
            began = time.process_time()
            for k in range(BATCHES):
                optimizer.zero_grad()
                loss(k).backward()
                nn.utils.clip_grad_norm_(net.parameters(), CLIP)
                optimizer.step()
            if turn:  # the first warms up
                times[name].append((time.process_time() - began) / BATCHES * 1000)
    for name, each in times.items():
        ratio = statistics.median(b / a for a, b in zip(times["recurra"], each, strict=True))
        print(f"{kind}, {cell}: {name:<18} {statistics.median(each):7.1f} ms a step, {ratio:5.2f} times recurra's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("texts", "series"))
    parser.add_argument("--cell", choices=tuple(LAYERS), default="lstm")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--words", type=int, default=10_000)
    args = parser.parse_args()
    measure(args.kind, args.cell, args.rounds, args.words)


if __name__ == "__main__":
    main()
