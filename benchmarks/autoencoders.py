"""Variational autoencoders of pictures beside the same networks in torch and in pythae: bounds, and time of a step.

    python benchmarks/autoencoders.py quality DATA [--network dense|pictures] [--epochs 15] [--seed 1] [--peers torch]
    python benchmarks/autoencoders.py speed DATA [--network dense|pictures] [--rounds 5] [--peers torch,pythae]
    python benchmarks/autoencoders.py same DATA [--network dense|pictures] [--steps 40]
    python benchmarks/autoencoders.py digits [--epochs 45] [--seeds 1,2]

DATA: the folder of Fashion-MNIST's four files. Pixels are drawn once as 0 or 1, each with its grey as the probability,
by NumPy's generator of seed 1 for train and 2 for test; the last 5,000 rows of train are dev. The networks are
784-400-20-400-784 (Kingma & Welling 2014), and convolutions of 32 and 64 channels, kernel 3, stride 2, to a code of 20
and back. Adam, rate 0.001, batches of 100 rows, for recurra and torch the same ones; the epoch with the best dev bound
is tested. The bound of a row is from one drawn code. Time is of the CPU, one thread, epochs of 4,000 rows in turns,
with batches and logs; a figure is the median of the rounds. pythae trains by its own trainer (`pip install pythae`).
`same` trains both from the same weights with the same draws and prints both losses: what differs is rounding. `digits`
are scikit-learn's, by `init vae` and by the same network in torch: what the guide has.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra import api
from recurra.api.callbacks import NoCallback
from recurra.api.inference import outputs
from recurra.api.prepare import prepare
from recurra.api.schema import read_settings
from recurra.api.trainer import Trainer
from recurra.base.contracts import Progress, Score
from recurra.config import build
from recurra.data.batches import epoch_batches
from recurra.training import SCHEDULES

CODE, BATCH, RATE, DEV = 20, 100, 1e-3, 5000
# Rows of an epoch whose time is taken.
TIMED = 4000
# Rows of which both bounds are taken.
JUDGED = 2000
PARTS: dict[str, dict[str, Any]] = {
    "dense": {"encoder": {"name": "dense", "sizes": [400]}, "decoder": "dense"},
    "pictures": {"encoder": {"name": "pictures", "shape": [28, 28], "channels": [32, 64]}, "decoder": "pictures"},
}


def pixels(file: Path, seed: int) -> np.ndarray:
    """(N, 28, 28) of 0 and 1."""
    grey = np.frombuffer(gzip.decompress(file.read_bytes())[16:], np.uint8).reshape(-1, 28, 28)
    return (np.random.default_rng(seed).random(grey.shape) < grey / 255).astype(np.uint8)


class Network(nn.Module):
    """The same layers in torch, with its own initialisation."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind == "dense":
            self.encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU())
            self.decoder = nn.Sequential(nn.Linear(CODE, 400), nn.ReLU(), nn.Linear(400, 784))
        else:
            self.encoder = nn.Sequential(
                nn.Unflatten(1, (1, 28, 28)),
                nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten(),
            )  # fmt: skip
            self.decoder = nn.Sequential(
                nn.Linear(CODE, 64 * 49), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
                nn.ConvTranspose2d(64, 32, 3, 2, 1, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 3, 2, 1, 1), nn.Flatten(),
            )  # fmt: skip
        width = 400 if kind == "dense" else 64 * 49
        self.mean, self.log_variance = nn.Linear(width, CODE), nn.Linear(width, CODE)

    def forward(self, x: Tensor) -> Tensor:
        """(N,) minus the bound of each row, from one drawn code."""
        hidden = self.encoder(x)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        logits = self.decoder(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean))
        cost = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        return cost + 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)


def bound(network: nn.Module, rows: Tensor) -> float:
    with torch.no_grad():
        return -float(torch.cat([network(some) for some in rows.split(1000)]).double().mean())


def by_torch(kind: str, train: Tensor, dev: Tensor, test: Tensor, epochs: int, seed: int) -> float:
    """The bound on test, of the epoch whose bound on dev is best."""
    torch.manual_seed(seed)
    network = Network(kind)
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    best, found = -np.inf, 0.0
    for epoch in range(1, epochs + 1):
        torch_epoch(network, optimizer, train, epoch, seed)
        if (now := bound(network, dev)) > best:
            best, found = now, bound(network, test)
    return found


def torch_epoch(network: nn.Module, optimizer: torch.optim.Optimizer, rows: Tensor, epoch: int, seed: int) -> None:
    plan = epoch_batches([1] * len(rows), token_budget=8192, max_sequences=BATCH, seed=seed, epoch=epoch)
    for batch in plan:
        optimizer.zero_grad()
        network(rows[list(batch)]).mean().backward()
        optimizer.step()


def config(kind: str, epochs: int, seed: int, **training: Any) -> dict[str, Any]:
    return {
        "task": {"name": "autoencoding", "flatten": True, "scaling": "none", "likelihood": "bernoulli",
                 "variational": True, "code_size": CODE},
        "model": PARTS[kind],
        "data": {"train": "train.npz", "dev": "dev.npz", "test": "test.npz"},
        "training": {"epochs": epochs, "batch_rows": BATCH, "optimizer": {"name": "adam", "lr": RATE}, "seed": seed,
                     "patience": None, "report": "scores", "clipping": "none", **training},
    }  # fmt: skip


def by_recurra(kind: str, epochs: int, seed: int, **training: Any) -> float:
    with tempfile.TemporaryDirectory() as folder, quiet():
        run = Path(folder) / "run"
        api.train(config(kind, epochs, seed, **training), out=run)
        return score(run)


def score(run: Path) -> float:
    report = api.evaluate(run, split="test")
    return next(one.value for one in report.scores if one.name == "elbo")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def tensors(folder: Path, *names: str) -> list[Tensor]:
    return [torch.from_numpy(np.load(folder / f"{n}.npz")["X"].reshape(-1, 784)).float() for n in names]


def quality(kind: str, epochs: int, seed: int, peers: list[str]) -> None:
    train, dev, test = tensors(Path(), "train", "dev", "test")
    print(f"{kind}: {len(train):,} rows, {epochs} epochs, seed {seed}", flush=True)
    print(f"  recurra            {by_recurra(kind, epochs, seed):.2f} nats", flush=True)
    if "torch" in peers:
        print(f"  torch              {by_torch(kind, train, dev, test, epochs, seed):.2f} nats", flush=True)
    if "pythae" in peers:
        print(f"  pythae             {by_pythae(kind, train, dev, test, epochs, seed):.2f} nats", flush=True)


def of_pythae(kind: str, seed: int) -> Any:
    """pythae's VAE with the same layers."""
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    torch.manual_seed(seed)
    network = Network(kind)

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            BaseEncoder.__init__(self)
            self.layers, self.mean, self.log_variance = network.encoder, network.mean, network.log_variance

        def forward(self, x: Tensor) -> Any:
            hidden = self.layers(x)
            return ModelOutput(embedding=self.mean(hidden), log_covariance=self.log_variance(hidden))

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            BaseDecoder.__init__(self)
            self.layers = network.decoder

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=torch.sigmoid(self.layers(z)))

    options = VAEConfig(input_dim=(784,), latent_dim=CODE, reconstruction_loss="bce")
    return VAE(options, encoder=Encoder(), decoder=Decoder())


def pythae_trained(kind: str, train: Tensor, dev: Tensor | None, epochs: int, seed: int) -> Any:
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)
    model = of_pythae(kind, seed)
    with tempfile.TemporaryDirectory() as folder, quiet():
        options = BaseTrainerConfig(
            output_dir=folder, num_epochs=epochs, learning_rate=RATE, per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=BATCH, optimizer_cls="Adam", seed=seed, no_cuda=True,
        )  # fmt: skip
        sets = [None if rows is None else BaseDataset(rows, torch.zeros(len(rows))) for rows in (train, dev)]
        trainer = BaseTrainer(model, train_dataset=sets[0], eval_dataset=sets[1], training_config=options)
        trainer.train()
    return trainer


def by_pythae(kind: str, train: Tensor, dev: Tensor, test: Tensor, epochs: int, seed: int) -> float:
    model = pythae_trained(kind, train, dev, epochs, seed).model.eval()
    with torch.no_grad():
        costs = [float(model({"data": some}).loss) * len(some) for some in test.split(1000)]
    return -sum(costs) / len(test)


def speed(kinds: list[str], rounds: int, peers: list[str]) -> None:
    """Seconds of a step, in whole epochs."""
    torch.set_num_threads(1)
    (train,) = tensors(Path(), "timed")
    for kind in kinds:
        runs: dict[str, Callable[[], float]] = {"recurra": lambda kind=kind: recurra_step(kind)}
        runs |= {"torch": lambda kind=kind: torch_step(kind, train)} if "torch" in peers else {}
        runs |= {"pythae": lambda kind=kind: pythae_step(kind, train)} if "pythae" in peers else {}
        found: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                found[name].append(run())
        ours = statistics.median(found["recurra"])
        for name, each in found.items():
            here = statistics.median(each)
            print(f"{kind:9} {name:8} {here * 1e3:7.3f} ms a step   {here / ours:5.2f}", flush=True)


def same(kind: str, steps: int) -> None:
    """Losses of both trainings from the same weights, with the same rows and draws."""
    given = config(kind, 1, 1)
    given["data"] = {"train": "timed.npz", "dev": "few.npz"}
    settings = read_settings(given, (), None)
    prepared = prepare(settings, NoCallback())
    ours = Trainer(settings, prepared.task, prepared.splits["train"], torch.device("cpu"), prepared.fingerprint)
    theirs = Network(kind)
    with torch.no_grad():
        for one, other in zip(parameters_of(theirs), in_its_order(kind, ours.model), strict=True):
            one.copy_(other)
    optimizer = torch.optim.Adam(theirs.parameters(), RATE)
    for step, at in enumerate(torch.arange(steps * BATCH).remainder(TIMED).split(BATCH), start=1):
        examples = [prepared.splits["train"][n] for n in at.tolist()]
        batch = prepared.task.collate(examples, at.tolist())
        torch.manual_seed(step)
        ours.optimizer.zero_grad()
        loss = prepared.task.loss(ours.model.train()(batch), batch)
        (loss.total / loss.count).backward()
        ours.optimizer.step()
        torch.manual_seed(step)
        optimizer.zero_grad()
        other = theirs(batch.targets["values"][0]).mean()
        other.backward()
        optimizer.step()
        if step % 10 == 0 or step == 1:
            print(f"{kind:9} step {step:3}   recurra {loss.total.item() / loss.count:.4f}   torch {other.item():.4f}")
    rows = prepared.splits["train"][:JUDGED]
    said = outputs(ours.model, prepared.task, rows, device=torch.device("cpu"))
    elbo = next(one.value for one in prepared.task.score(said, rows, "train") if one.name == "elbo")
    pixels_of = torch.from_numpy(prepared.task.matrix(rows))
    several = " ".join(f"{bound(theirs, pixels_of):.2f}" for _ in range(5))
    print(f"{kind:9} bound of {JUDGED:,} rows   recurra {elbo:.2f}   torch, five draws {several}", flush=True)


def parameters_of(network: nn.Module) -> list[Tensor]:
    """Encoder, mean, logarithm of the variance, decoder."""
    parts = (network.encoder, network.mean, network.log_variance, network.decoder)
    return [p for part in parts for p in part.parameters()]


def in_its_order(kind: str, model: nn.Module) -> list[Tensor]:
    """Those of a model of recurra. Its places of a picture have their channels side by side, torch's the places."""
    parts = (model.encoder, model.latent.mean, model.latent.log_variance, model.decoder)
    found = [p.detach().clone() for part in parts for p in part.parameters()]
    if kind == "pictures":
        order = torch.arange(64 * 49).view(7, 7, 64).permute(2, 0, 1).reshape(-1)
        flat = (len(list(model.encoder.parameters())), len(list(model.encoder.parameters())) + 2)
        for n in flat:
            found[n] = found[n][:, order]
        first = flat[1] + 2
        found[first : first + 2] = [one[order] for one in found[first : first + 2]]
    return found


def digits(epochs: int, seeds: list[int], peers: list[str]) -> None:
    """The bound of scikit-learn's digits on the test rows of `init`, continuous Bernoulli."""
    from sklearn.datasets import load_digits

    np.savez("digits.npz", X=load_digits().images)
    Path("vae.yaml").write_text(api.init("vae", "digits.npz"), "utf-8")
    for seed in seeds:
        settings = read_settings("vae.yaml", (f"training.epochs={epochs}",), seed)
        prepared = prepare(settings, NoCallback())
        with tempfile.TemporaryDirectory() as folder, quiet():
            api.train("vae.yaml", out=Path(folder) / "run", overrides=[f"training.epochs={epochs}"], seed=seed)
            ours = score(Path(folder) / "run")
        print(f"digits    seed {seed}   recurra {ours:.2f} nats", flush=True)
        if "torch" in peers:
            print(f"digits    seed {seed}   torch   {digits_by_torch(prepared, settings, seed):.2f} nats", flush=True)


def digits_by_torch(prepared: Any, settings: Any, seed: int) -> float:
    """The same layers, optimizer, schedule and rows, in plain torch."""
    torch.manual_seed(seed)
    task, options = prepared.task, settings.training
    rows = {name: torch.from_numpy(task.matrix(prepared.splits[name])).float() for name in ("train", "dev", "test")}
    first, second = settings.tree["model"]["encoder"]["sizes"]
    network = Digits(64, first, second, task.plan.code_size)
    rate = settings.tree["training"]["optimizer"]["lr"]
    optimizer = torch.optim.Adam(network.parameters(), rate)
    sampler = task.sampler(prepared.splits["train"], batch_tokens=options.batch_tokens, batch_rows=options.batch_rows,
                           seed=options.seed)  # fmt: skip
    steps = sum(len(sampler.plan(epoch)) for epoch in range(1, options.epochs + 1))
    schedule, step = build(options.schedule, SCHEDULES, steps), 0
    best, found = -np.inf, 0.0
    for epoch in range(1, options.epochs + 1):
        for batch in sampler.plan(epoch):
            step += 1
            optimizer.param_groups[0]["lr"] = rate * schedule(step)
            optimizer.zero_grad()
            network(rows["train"][list(batch)]).mean().backward()
            optimizer.step()
        if (now := bound(network, rows["dev"])) > best:
            best, found = now, bound(network, rows["test"])
    return found


def log_partition(r: Tensor) -> Tensor:
    """log((e^r - 1) / r). torch.distributions stops at 16, and pixels that are always 0 want more."""
    near = r.abs() < 0.1
    away = torch.where(near, 1.0, r).abs()
    return torch.where(near, r / 2 + r**2 / 24, torch.relu(r) + torch.log(-torch.expm1(-away) / away))


class Digits(nn.Module):
    """Two layers to a code and back, continuous Bernoulli."""

    def __init__(self, width: int, first: int, second: int, code: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(width, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(second, code), nn.Linear(second, code)
        self.decoder = nn.Sequential(
            nn.Linear(code, second), nn.ReLU(), nn.Linear(second, first), nn.ReLU(), nn.Linear(first, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N,) minus the bound of each row, from one drawn code."""
        hidden = self.encoder(x)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        logits = self.decoder(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean))
        cost = (log_partition(logits) - logits * x).sum(1)
        return cost + 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)


def recurra_step(kind: str) -> float:
    """CPU seconds of a step between two epochs, without what comes before the first and after the last."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        given = config(kind, 1, 1)
        given["data"] = {"train": "timed.npz", "dev": "few.npz"}
        watch = Clock()
        api.train(given, out=Path(folder) / "run", watch=watch)
    return watch.seconds()


class Clock:
    """Notes the CPU time of each step."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def seconds(self) -> float:
        steps = TIMED // BATCH
        return (self.at[steps - 1] - self.at[0]) / (steps - 1)

    def note(self, message: str) -> None: ...
    def start(self, total_steps: int, epochs: int) -> None: ...
    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        self.at.append(time.process_time())

    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None: ...
    def done(self) -> None: ...


def torch_step(kind: str, rows: Tensor) -> float:
    torch.manual_seed(1)
    network = Network(kind)
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    torch_epoch(network, optimizer, rows[: 2 * BATCH], 1, 1)  # what the first steps set up is in no figure
    begun = time.process_time()
    torch_epoch(network, optimizer, rows, 2, 1)
    return (time.process_time() - begun) / (len(rows) // BATCH)


def pythae_step(kind: str, rows: Tensor) -> float:
    """Of a training of two epochs less that of one, as a trainer has a beginning and an end."""
    times = []
    for epochs in (1, 2):
        begun = time.process_time()
        pythae_trained(kind, rows, None, epochs, 1)
        times.append(time.process_time() - begun)
    return (times[1] - times[0]) / (len(rows) // BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("quality", "speed", "same", "digits"))
    parser.add_argument("data", type=Path, nargs="?", help="of Fashion-MNIST; digits need none")
    parser.add_argument("--network", choices=tuple(PARTS), help="default: dense; of speed both")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", default="1,2", help="of digits")
    parser.add_argument("--steps", type=int, default=40, help="of same")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=60_000, help="of train, dev among them")
    parser.add_argument("--peers", default="torch")
    given = parser.parse_args()
    peers = given.peers.split(",")
    with tempfile.TemporaryDirectory() as folder:
        if given.what != "digits":
            if given.data is None:
                parser.error("DATA: the folder of Fashion-MNIST's files is missing.")
            write(given.data, given.rows, Path(folder))
        with contextlib.chdir(folder):
            run(given, peers)


def write(data: Path, rows: int, folder: Path) -> None:
    """Files of rows."""
    train = pixels(data / "train-images-idx3-ubyte.gz", 1)[:rows]
    test = pixels(data / "t10k-images-idx3-ubyte.gz", 2)
    parts = {"train": train[:-DEV], "dev": train[-DEV:], "test": test, "few": train[:100], "timed": train[:TIMED]}
    for name, some in parts.items():
        np.savez(folder / f"{name}.npz", X=some)


def run(given: argparse.Namespace, peers: list[str]) -> None:
    kinds = [given.network] if given.network else [*PARTS]
    if given.what == "quality":
        quality(given.network or "dense", given.epochs, given.seed, peers)
    elif given.what == "speed":
        speed(kinds, given.rounds, peers)
    elif given.what == "same":
        for kind in kinds:
            same(kind, given.steps)
    else:
        digits(given.epochs, [int(one) for one in given.seeds.split(",")], peers)


if __name__ == "__main__":
    sys.exit(main())
