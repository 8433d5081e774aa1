"""A word language model beside PyTorch's example, interleaved: `python benchmarks/language_model_speed.py`.

Two LSTM layers of 200 units, dropout 0.2, chunks of 35 steps of 20 rows, 33,278 words whose frequencies fall as 1/rank.
A training step is loss, gradients, clipping at 0.25 and SGD, the state carried from chunk to chunk. The peer is written
here from the sizes that the example word_language_model publishes, in plain torch.nn: log-softmax, then NLLLoss.
recurra gets its weights first, and both must agree on the loss. The adaptive softmax is another model, for its speed.
Markdown tables go to standard output: tokens a second, from medians of CPU time on one thread (of wall time on more),
and where the time goes: milliseconds of the parts, each measured alone, forward and backward.
Source: https://github.com/pytorch/examples, word_language_model.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Loss, Prediction
from recurra.bench.clock import Meter
from recurra.models import SequenceModel
from recurra.nn import softmax_nats
from recurra.training import OPTIMIZERS, SCHEDULES, Rows, Stop, TruncatedBPTT, clip_norm, fit

V, SIZE, T, N, DROPOUT, CLIP, LR = 33_278, 200, 35, 20, 0.2, 0.25, 0.1
PEER = "PyTorch's example"
AGREE = 1e-4  # nats of float32, and sums in another order


class Peer(nn.Module):
    """Embedding, two LSTM layers, linear layer, log-softmax, as in the example."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.drop = nn.Dropout(DROPOUT)
        self.encoder = nn.Embedding(V, SIZE)
        self.rnn = nn.LSTM(SIZE, SIZE, 2, dropout=DROPOUT)
        self.decoder = nn.Linear(SIZE, V)
        for weight in (self.encoder.weight, self.decoder.weight):
            nn.init.uniform_(weight, -0.1, 0.1)
        if tied:
            self.decoder.weight = self.encoder.weight

    def forward(self, tokens: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, state = self.rnn(self.drop(self.encoder(tokens)), state)
        return torch.log_softmax(self.decoder(self.drop(output)).view(-1, V), 1), state


def chunks() -> Iterator[Tensor]:
    """Tokens (T + 1, N), the last of a chunk the first of the next; token k is drawn in proportion to 1/k."""
    generator = torch.Generator().manual_seed(0)
    frequencies = 1 / torch.arange(1, V)
    last = torch.ones(1, N, dtype=torch.int64)
    while True:
        drawn = 1 + torch.multinomial(frequencies, T * N, replacement=True, generator=generator)
        chunk = torch.cat([last, drawn.view(T, N)])
        last = chunk[-1:]
        yield chunk


def peer_step(model: Peer) -> Callable[[], object]:
    """One training step of the peer on the next chunk."""
    text, nats = chunks(), nn.NLLLoss()
    state = [torch.zeros(2, N, SIZE), torch.zeros(2, N, SIZE)]

    def step() -> None:
        tokens = next(text)
        model.train()
        model.zero_grad()
        before = (state[0].detach(), state[1].detach())
        log_probabilities, state[:] = model(tokens[:-1], before)
        nats(log_probabilities, tokens[1:].reshape(-1)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(p.grad, alpha=-LR)

    return step


def batches() -> Iterator[Batch]:
    fresh = True
    for tokens in chunks():
        inputs = {"tokens": tokens[:-1], "fresh": torch.full((N,), fresh)}
        yield Batch(inputs, torch.full((N,), T), {"tokens": tokens[1:]}, tuple(range(N)))
        fresh = False


def loss(prediction: Prediction, batch: Batch) -> Loss:
    everywhere = torch.ones(T, N, dtype=torch.bool)
    return Loss(softmax_nats(prediction.outputs, batch.targets["tokens"], everywhere).sum(), T * N)


def language_model(**head: Any) -> SequenceModel:
    """The example's network; head: options of the output layer."""
    return SequenceModel(
        {"tokens": V},
        inputs={"name": "tokens", "embedding_size": SIZE, "embedding_dropout": DROPOUT},
        encoder={"name": "awd", "hidden_size": SIZE, "num_layers": 2, "dropout": DROPOUT},
        head={"name": "vocabulary", "output_dropout": DROPOUT, **head},
    )


def our_step(model: SequenceModel) -> Callable[[], object]:
    """One training step of recurra's own loop on the next chunk."""
    steps = fit(
        model,
        batches(),
        loss=loss,
        optimizer=OPTIMIZERS["sgd"](model.parameters(), lr=LR),
        schedule=SCHEDULES["constant"](1),
        on_nonfinite=Stop(Rows(str, lambda index: next(batches()))),
        seed=0,
        epoch=1,
        steps_done=0,
        clipping=clip_norm(max_norm=CLIP),
        forward=TruncatedBPTT(model),
    )
    return lambda: next(steps)


def ours(peer: Peer, tied: bool) -> SequenceModel:
    """recurra's model with the peer's weights. Fails unless both give the same loss."""
    model = language_model(tied=tied)
    weights = {"inputs.embedding.weight": peer.encoder.weight, "head.output.weight": peer.decoder.weight}
    weights["head.output.bias"] = peer.decoder.bias
    for name, weight in peer.rnn.named_parameters():
        kind, layer = name.rsplit("_l", 1)
        weights[f"encoder.recurrents.{layer}.{kind}_l0"] = weight
    model.load_state_dict(weights)
    batch, zeros = next(batches()), torch.zeros(2, N, SIZE)
    with torch.no_grad():
        expected, _ = peer.eval()(batch.inputs["tokens"], (zeros, zeros))
        wanted = nn.functional.nll_loss(expected, batch.targets["tokens"].reshape(-1))
        got = loss(model.eval()(batch), batch).mean
    if abs(got - wanted) > AGREE:
        raise SystemExit(f"recurra's loss is {got}, the peer's {wanted}: they do not run the same network.")
    return model


def parts(peer: Peer, model: SequenceModel, adaptive: SequenceModel) -> dict[str, dict[str, Callable[[], object]]]:
    """What a step is made of, of each: forward and backward alone, with fixed inputs."""
    networks = {PEER: peer, "recurra": model, "recurra, adaptive": adaptive}
    tokens = next(chunks())
    x = torch.randn(T, N, SIZE)
    d = torch.randn(T, N, SIZE)
    lengths = torch.full((N,), T)

    def layers() -> None:
        h = x.detach().requires_grad_()
        for layer in model.encoder.recurrents:
            h, _ = layer(h, lengths=lengths)
        h.backward(d)

    def rnn() -> None:
        peer.rnn(x.detach().requires_grad_())[0].backward(d)

    def nats_of(network: SequenceModel) -> Callable[[], object]:
        def work() -> None:
            outputs = {"hidden": x.detach().requires_grad_(), **network.head.output()}
            softmax_nats(outputs, tokens[1:], torch.ones(T, N, dtype=torch.bool)).mean().backward()

        return work

    def nll() -> None:
        logits = peer.decoder(x.detach().requires_grad_()).view(-1, V)
        nn.functional.nll_loss(torch.log_softmax(logits, 1), tokens[1:].reshape(-1)).backward()

    def embedding(module: Any) -> Callable[[], object]:
        def work() -> None:
            module(tokens[:-1]).backward(d)

        return work

    def clip(network: nn.Module) -> Callable[[], object]:
        return lambda: torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)

    def by_hand() -> None:
        with torch.no_grad():
            for p in peer.parameters():
                p.add_(p.grad, alpha=-LR)

    def sgd(network: nn.Module) -> Callable[[], object]:
        return OPTIMIZERS["sgd"](network.parameters(), lr=LR).step

    def cleared(network: nn.Module, work: Callable[[], object]) -> Callable[[], object]:
        def begin() -> None:
            network.zero_grad()
            work()

        return begin

    def filled(network: nn.Module, work: Callable[[], object]) -> Callable[[], object]:
        def begin() -> None:
            for p in network.parameters():
                if p.grad is None:
                    p.grad = torch.zeros_like(p)
            work()

        return begin

    return {
        "embedding": {
            PEER: cleared(peer, embedding(peer.encoder)),
            "recurra": cleared(model, embedding(model.inputs.embedding)),
            "recurra, adaptive": cleared(adaptive, embedding(adaptive.inputs.embedding)),
        },
        "LSTM layers": {PEER: cleared(peer, rnn), "recurra": cleared(model, layers)},
        "output layer and loss": {
            PEER: cleared(peer, nll),
            "recurra": cleared(model, nats_of(model)),
            "recurra, adaptive": cleared(adaptive, nats_of(adaptive)),
        },
        "clipping": {name: filled(network, clip(network)) for name, network in networks.items()},
        "SGD": {
            PEER: filled(peer, by_hand),
            "recurra": filled(model, sgd(model)),
            "recurra, adaptive": filled(adaptive, sgd(adaptive)),
        },
    }


def measured(meter: Meter, works: dict[str, Callable[[], object]]) -> dict[str, float]:
    for work in works.values():
        work()
    return meter.medians(works)


def main() -> None:
    """Print a table of steps, and one of parts, for tied weights and for weights of their own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0, help="of measuring each table's row or set of steps")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    meter = Meter.of(options.seconds, options.threads)
    for tied in (False, True):
        peer = Peer(tied)
        model = ours(peer, tied)
        adaptive = language_model(tied=tied, softmax="adaptive")
        works = {PEER: peer_step(peer), "recurra": our_step(model)}
        seconds = measured(meter, {**works, "recurra, adaptive": our_step(adaptive)})
        print(f"\n{'tied' if tied else 'own'} weights, {options.threads} thread(s)\n")
        print("| training | tokens/s | times the example |\n|---|---|---|")
        for name, value in seconds.items():
            print(f"| {name} | {T * N / value:,.0f} | {seconds[PEER] / value:.2f} |")
        print(f"\n| part, ms | {' | '.join(seconds)} |\n|---|{'---|' * len(seconds)}")
        for part, each in parts(peer, model, adaptive).items():
            found = measured(Meter.of(options.seconds / 5, options.threads), each)
            shown = [f"{found[name] * 1e3:.1f}" if name in found else "as recurra" for name in seconds]
            print(f"| {part} | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
