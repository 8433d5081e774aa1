"""The service under load, beside the same model behind plain FastAPI and torch.nn.LSTM, in one run.

    python benchmarks/service_load.py [--seconds 60] [--clients 8] [--hidden 256] [--slices 6] [--peer/--no-peer]

A bidirectional LSTM classifier of 256 units a direction answers texts of 5 to 35 words. Clients are in this process;
each sends the next request as soon as it has the last answer. The two services take turns, a slice of the time each, so
that a busy machine is as busy for both. Every answer is checked: the probabilities of recurra's service are those of
`recurra predict` for that text alone. The exit code is 1 if there was an error, a wrong answer, or a p99 over 50 ms.

    python benchmarks/service_load.py --soak 10 [--clients 8] [--hidden 256]

asks recurra's service alone for so many minutes, and looks every two seconds at its memory, open files and threads.
Every answer is checked here too. One request in 50 is a mistake, and must be refused; one in 200 goes away before its
answer, and another connection takes its place. What comes in the first minute does not count (of less than two minutes,
in the first half). The exit code is 1 if there was a wrong answer, if memory grew by 1 MB a minute or more (least
squares), or if there were more files or threads in the second half of the rest than in the first (medians).

The peer is what one writes by hand: a route that is a plain function (so FastAPI runs it in a thread of its pool), the
text split into words, nn.LSTM on a batch of one, softmax. Both have one thread (OMP_NUM_THREADS=1), and loopback alone.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recurra import api
from recurra.base.contracts import Origin, Record

WORDS, LABELS, EMBEDDING, TEXTS = 5000, 4, 128, 400
P99_MS, MB_A_MINUTE = 50.0, 1.0
COUNTS = ("files", "threads")
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
HERE = Path(__file__)


@dataclass
class Load:
    """What one service has answered. times: seconds of each request; wrong: errors and wrong answers."""

    name: str
    times: list[float] = field(default_factory=list)
    wrong: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    memory: tuple[float, float] = (0.0, 0.0)

    def line(self) -> str:
        ordered = sorted(self.times)
        p50, p95, p99 = (1000 * ordered[min(int(q * len(ordered)), len(ordered) - 1)] for q in (0.5, 0.95, 0.99))
        rate, cpu = len(ordered) / self.seconds, 1000 * self.cpu / len(ordered)
        then, now = self.memory
        return (
            f"{self.name:<22} {len(ordered):>9,} {self.wrong:>6} {rate:>11.0f} {p50:>8.1f} {p95:>8.1f} {p99:>8.1f} "
            f"{cpu:>11.2f} {then:>7.0f} {now:>7.0f}"
        )

    @property
    def p99(self) -> float:
        return 1000 * sorted(self.times)[int(0.99 * len(self.times))]


@dataclass(frozen=True, slots=True)
class Seen:
    """The process at one moment. seconds: since the start"""

    seconds: float
    mb: float
    files: int
    threads: int


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=60.0, help="for each service, over all its slices")
    options.add_argument("--clients", type=int, default=8)
    options.add_argument("--hidden", type=int, default=256)
    options.add_argument("--slices", type=int, default=6)
    options.add_argument("--peer", action=argparse.BooleanOptionalAction, default=True)
    options.add_argument("--soak", type=float, metavar="MINUTES", help="only this: does anything grow?")
    options.add_argument("--seed", type=int, default=1)
    args = options.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = sentences(TEXTS, args.seed)
        run = trained(folder, args.hidden, args.seed)
        expected = [row["probabilities"] for row in api.predict(run, map(record, texts), device="cpu")]
        if args.soak is not None:
            args.peer = False
            with started(folder, run, args) as [(port, process)]:
                return asyncio.run(soak(port, process, texts, expected, args))
        loads = [Load("recurra serve")] + [Load("FastAPI + torch.nn")] * args.peer
        with started(folder, run, args) as ports:
            for _ in range(args.slices):
                for load, (port, process) in zip(loads, ports, strict=True):
                    answers = expected if load is loads[0] else None
                    asyncio.run(one_slice(load, port, process, texts, answers, args))
    print(f"{'':<22} {'requests':>9} {'wrong':>6} {'requests/s':>11} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} "
          f"{'CPU ms/req':>11} {'MB then':>7} {'MB now':>7}")  # fmt: skip
    for load in loads:
        print(load.line())
    return int(any(load.wrong for load in loads) or loads[0].p99 > P99_MS)


async def soak(port: int, process: int, texts: Sequence[str], expected: Sequence[Any], args: argparse.Namespace) -> int:
    """All clients ask for `args.soak` minutes; the exit code."""
    load, seen, start = Load("recurra serve"), list[Seen](), time.monotonic()
    stop, draws = start + 60 * args.soak, [random.Random(1000 * args.seed + n) for n in range(args.clients)]
    with_options = asyncio.gather(*(restless(load, port, texts, expected, stop, draw) for draw in draws))
    print(f"{'minute':>6} {'requests':>9} {'wrong':>6} {'MB':>7} {'files':>6} {'threads':>8}")
    while not with_options.done():
        if len(seen) % 30 == 0:
            print_line(load, start, process)
        seen.append(Seen(time.monotonic() - start, megabytes(process), open_files(process), threads(process)))
        await asyncio.wait([with_options], timeout=2)
    await with_options  # raises what a client has raised
    print_line(load, start, process)
    settled = [one for one in seen if one.seconds >= min(60.0, 30 * args.soak)]
    growth = 60 * statistics.linear_regression([one.seconds for one in settled], [one.mb for one in settled]).slope
    halves = settled[: len(settled) // 2], settled[len(settled) // 2 :]
    files, lines = ([statistics.median(getattr(one, of) for one in half) for half in halves] for of in COUNTS)
    print(f"{growth:+.3f} MB a minute; files {files[0]:g}, then {files[1]:g}; threads {lines[0]:g}, then {lines[1]:g}")
    return int(load.wrong > 0 or growth >= MB_A_MINUTE or files[1] > files[0] or lines[1] > lines[0])


def print_line(load: Load, start: float, process: int) -> None:
    minute, files, lines = (time.monotonic() - start) / 60, open_files(process), threads(process)
    mb = megabytes(process)
    print(f"{minute:>6.1f} {len(load.times):>9,} {load.wrong:>6} {mb:>7.1f} {files:>6} {lines:>8}", flush=True)


async def restless(
    load: Load, port: int, texts: Sequence[str], expected: Sequence[Any], stop: float, draw: random.Random
) -> None:
    """A client that makes mistakes, and goes away at times."""
    while time.monotonic() < stop:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(200):
            n = draw.randrange(len(texts))
            fine = draw.random() >= 0.02
            status, answer = await asked(load, reader, writer, {"texts": [texts[n]] if fine else texts[n]})
            right = same(json.loads(answer), expected[n]) if status == 200 else not fine and status == 422
            load.wrong += not (right and fine == (status == 200))
            if time.monotonic() >= stop:
                break
        else:
            writer.write(request({"texts": [texts[0]]}))
            await writer.drain()
        writer.close()


async def one_slice(
    load: Load, port: int, process: int, texts: Sequence[str], expected: Sequence[Any] | None, args: argparse.Namespace
) -> None:
    """All clients ask one service for its share of the time."""
    before, start = cpu_seconds(process), time.monotonic()
    if not load.seconds:
        load.memory = (megabytes(process), 0.0)
    stop = start + args.seconds / args.slices
    draws = [random.Random(1000 * args.seed + n) for n in range(args.clients)]
    await asyncio.gather(*(client(load, port, texts, expected, stop, draw) for draw in draws))
    load.seconds += time.monotonic() - start
    load.cpu += cpu_seconds(process) - before
    load.memory = (load.memory[0], megabytes(process))


async def client(
    load: Load, port: int, texts: Sequence[str], expected: Sequence[Any] | None, stop: float, draw: random.Random
) -> None:
    """One connection that is kept; the next question follows the last answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < stop:
        n = draw.randrange(len(texts))
        status, answer = await asked(load, reader, writer, {"texts": [texts[n]]})
        if status != 200 or (expected is not None and not same(json.loads(answer), expected[n])):
            load.wrong += 1
    writer.close()


async def asked(
    load: Load, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: dict[str, Any]
) -> tuple[int, bytes]:
    """One question and its answer, timed."""
    whole = request(body)
    start = time.monotonic()
    writer.write(whole)
    answer = await read_answer(reader)
    load.times.append(time.monotonic() - start)
    return answer


def request(body: dict[str, Any]) -> bytes:
    text = json.dumps(body).encode()
    return HEAD + str(len(text)).encode() + b"\r\n\r\n" + text


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


def same(answer: Any, expected: dict[str, float]) -> bool:
    """Whether an answer is that of this text, and of no other."""
    found = answer["predictions"][0]["probabilities"]
    return found.keys() == expected.keys() and all(abs(found[k] - expected[k]) <= 1e-6 for k in expected)


def sentences(number: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(f"w{draw.randrange(WORDS)}" for _ in range(draw.randrange(5, 36))) for _ in range(number)]


def record(text: str) -> Record:
    return Record({"text": text}, Origin("here"))


def trained(folder: Path, hidden: int, seed: int) -> Path:
    """A run of one short epoch: what the weights are makes no difference to the time."""
    draw = random.Random(seed)
    with open(folder / "data.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["text", "label"])
        table.writerow([" ".join(f"w{n}" for n in range(WORDS)), "label0"])
        table.writerows([text, f"label{draw.randrange(LABELS)}"] for text in sentences(200, seed + 1))
    (folder / "config.yaml").write_text(
        f"task: {{name: classification, max_length: 64}}\ndata: {{train: {folder / 'data.csv'}}}\n"
        f"model:\n  inputs: {{embedding_size: {EMBEDDING}}}\n  encoder: {{hidden_size: {hidden}}}\n"
        "training: {epochs: 1}\n"
    )
    run = api.train(folder / "config.yaml", out=folder / "run", device="cpu").run
    return Path(run)


@contextmanager
def started(folder: Path, run: Path, args: argparse.Namespace) -> Iterator[list[tuple[int, int]]]:
    """The services in processes of their own; yields (port, process) of each."""
    commands = [[sys.executable, "-m", "recurra", "serve", str(run), "--port", "0", "--device", "cpu"]]
    if args.peer:
        commands.append([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(HERE.parent)!r}); "
                         f"import service_load; service_load.plain({args.hidden})"])  # fmt: skip
    processes = [
        subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder) for c in commands
    ]
    try:
        yield [(port_of(process), process.pid) for process in processes]
    finally:
        for process in processes:
            process.terminate()
            process.communicate(timeout=15)


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline().rpartition(":")[2].split()[0])


def plain(hidden: int) -> None:
    """The peer: what one writes by hand."""
    import socket

    import torch
    import uvicorn
    from fastapi import FastAPI
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(WORDS + 1, EMBEDDING)
            self.lstm = nn.LSTM(EMBEDDING, hidden, bidirectional=True)
            self.output = nn.Linear(2 * hidden, LABELS)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            _, (h, _) = self.lstm(self.embedding(tokens).unsqueeze(1))
            return self.output(torch.cat([h[0], h[1]], 1))

    net, numbers = Net().eval(), {f"w{n}": n + 1 for n in range(WORDS)}
    app = FastAPI()

    @app.post("/predict")
    def predict(body: dict[str, list[str]]) -> dict[str, Any]:
        found = []
        for text in body["texts"]:
            with torch.inference_mode():
                logits = net(torch.tensor([numbers.get(word, 0) for word in text.split()]))
            shares = torch.softmax(logits[0], 0).tolist()
            found.append({"probabilities": {f"label{n}": share for n, share in enumerate(shares)}})
        return {"predictions": found}

    with socket.create_server(("127.0.0.1", 0)) as bound:
        print(f"http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[bound])


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(process: int) -> float:
    """Memory of a process that is resident."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def open_files(process: int) -> int:
    """File descriptors of a process."""
    return len(os.listdir(f"/proc/{process}/fd"))


def threads(process: int) -> int:
    return len(os.listdir(f"/proc/{process}/task"))


if __name__ == "__main__":
    sys.exit(main())
