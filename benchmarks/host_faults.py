"""Two hosts made of network namespaces, and what happens to them: a host vanishes, the link is slow, the link drops.

    python benchmarks/host_faults.py [--runs 20] [--seed 1] [--timeout 4] [--epochs 3] [--rows 1000]
    python benchmarks/host_faults.py --efficiency [--batch 1024]

Needs root on Linux, for `ip netns`; addresses exist inside the namespaces only. Each host has a folder of its own, so
that they share no disk, and an elastic agent of torch, as torchrun starts it, that is started again when it fails, as a
scheduler would. Agents and ranks are forks of this process, which saves the time to load torch and is nothing else.

Each run trains a classifier with dropout on names that every machine has, on two ranks, one a host. At a random moment,
in every other run one at which it makes steps, one of these happens: all processes of a host get SIGKILL; packets of
the link are late or few for 3 s (tc); the link is down for 0.5 to 8 s, which is longer or shorter than the ranks wait
(--timeout). The exit code is 0 if every run has the weights, the scores and the log of the undisturbed one, bit for
bit, else 1.

--efficiency: seconds and CPU seconds of the same steps in one process with one thread, in two such processes at once,
and on two hosts with one each; what a small and a large sum over the link take; and what that means for 8, 64 and 512
hosts (docs/concepts/scale.md).
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from kills import KEPT, contents, write_names
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from recurra.api.callbacks import NoCallback
from recurra.api.joined import Joined, Order, Rank
from recurra.api.places import RunFolder
from recurra.api.schema import read_settings
from recurra.api.training_run import run_epochs, start
from recurra.base.atomic import write_text
from recurra.base.contracts import Progress
from recurra.cli import main as recurra
from recurra.training import SingleProcess, Stopping

CONFIG = """\
task: {{text: name, label: language, tokenizer: characters}}
data: {{train: {folder}/train.csv, dev: {folder}/dev.csv, test: {folder}/test.csv}}
model:
  inputs: {{embedding_size: {embedding}, embedding_dropout: 0.1}}
  encoder: {{hidden_size: {hidden}}}
  head: {{pooling: max, output_dropout: 0.2}}
training: {{epochs: {epochs}, patience: null, checkpoint_every: 10, report: scores, batch_rows: {rows}}}
"""
ADDRESSES = ("10.77.0.1", "10.77.0.2")
NEW_NET = 0x40000000  # CLONE_NEWNET
# What makes a link slow: the first that the kernel has.
SLOW = "netem delay 40ms 20ms rate 8mbit", "tbf rate 1mbit burst 8kb latency 2s"
WARM = 2
Work = Callable[[], None]


class Network:
    """Two namespaces and the link between them."""

    def __init__(self) -> None:
        self.hosts = [f"recurra-{os.getpid()}-{letter}" for letter in "ab"]

    def __enter__(self) -> Network:
        one, two = self.hosts
        for name in self.hosts:
            run("ip", "netns", "add", name)
        run("ip", "-n", one, "link", "add", "link0", "type", "veth", "peer", "name", "link0", "netns", two)
        for number, name in enumerate(self.hosts):
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "addr", "add", f"{ADDRESSES[number]}/24", "dev", "link0")
            run("ip", "-n", name, "link", "set", "link0", "up")
        return self

    def __exit__(self, *error: object) -> None:
        for name in self.hosts:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def enter(self, number: int) -> None:
        """Put this process into a host."""
        with open(f"/run/netns/{self.hosts[number]}") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), NEW_NET):
                raise OSError(ctypes.get_errno(), "setns")

    def drop(self, seconds: float) -> None:
        run("ip", "-n", self.hosts[0], "link", "set", "link0", "down")
        time.sleep(seconds)
        run("ip", "-n", self.hosts[0], "link", "set", "link0", "up")

    def slow(self, seconds: float) -> str:
        """What makes packets late, or where the kernel has none of that, few; and the same again taken away."""
        for qdisc in SLOW:
            try:
                for name in self.hosts:
                    run("tc", "-n", name, "qdisc", "add", "dev", "link0", "root", *qdisc.split(), quiet=True)
            except subprocess.CalledProcessError:
                continue
            time.sleep(seconds)
            for name in self.hosts:
                run("tc", "-n", name, "qdisc", "del", "dev", "link0", "root")
            return qdisc
        raise SystemExit("tc: this kernel can make no link slow")


class Host:
    """A host's agent, which is started again when it fails."""

    def __init__(self, network: Network, number: int, folder: Path, work: Work) -> None:
        self.network, self.number, self.folder, self.work = network, number, folder, work
        self.folder.mkdir(parents=True, exist_ok=True)
        self.starts, self.ended, self.pid = 0, False, 0
        self.start()

    def start(self) -> None:
        self.starts += 1
        self.pid = os.fork()
        if self.pid:
            return
        try:
            os.setsid()
            log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            self.network.enter(self.number)
            os.chdir(self.folder)
            agent(self.number, self.work)
        except BaseException as error:  # noqa: BLE001 - the end of this process
            print(f"agent: {type(error).__name__}: {str(error)[:300]}", flush=True)
            os._exit(1)
        os._exit(0)

    def look(self) -> None:
        """Start it again if it has failed."""
        if self.ended:
            return
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return
        self.kill()  # what is left of it
        if os.waitstatus_to_exitcode(status) == 0:
            self.ended = True
        else:
            time.sleep(0.5)
            self.start()

    def kill(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def end(self) -> None:
        if not self.ended:
            self.kill()
            os.waitpid(self.pid, 0)


def agent(number: int, work: Work) -> None:
    """What torchrun does, with forks for the workers.

    With the store that agents share by default, the agent of a host that comes back looks in vain for an address which
    the others published in an earlier round, and all end after a minute.
    """
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    config = LaunchConfig(
        2, 2, 1, run_id="faults", rdzv_backend="c10d", rdzv_endpoint=f"{ADDRESSES[0]}:29400", max_restarts=100,
        start_method="fork", monitor_interval=0.1, local_addr=ADDRESSES[number],
        rdzv_configs={"is_host": number == 0, "keep_alive_interval": 1, "timeout": 120},
    )  # fmt: skip
    elastic_launch(config, work)()


def main() -> int:
    asked = arguments()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch, Network() as network:
        return (
            efficiency(Path(scratch), network, asked.batch)
            if asked.efficiency
            else faults(Path(scratch), network, asked)
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of moments, hosts and faults")
    parser.add_argument("--timeout", type=float, default=4.0, help="seconds without a heartbeat")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1000, help="rows to train on")
    parser.add_argument("--efficiency", action="store_true", help="measure how much two hosts are faster")
    parser.add_argument("--batch", type=int, default=256, help="rows of a step, of both hosts together (--efficiency)")
    return parser.parse_args()


def faults(folder: Path, network: Network, asked: argparse.Namespace) -> int:
    write_names(folder, asked.rows)
    text = CONFIG.format(folder=folder, embedding=16, hidden=32, epochs=asked.epochs, rows=32)
    write_text(folder / "config.yaml", text)
    words = ["--out", "run", "--auto-resume", "--rank-timeout", str(asked.timeout)]

    def work() -> None:
        torch.set_num_threads(1)
        if code := recurra(["train", str(folder / "config.yaml"), *words]):
            os._exit(code)

    length, _ = trained(network, folder / "whole", work, lambda hosts: None, 0)
    names = ["vanish", "drop", "slow"]
    print(f"undisturbed: {length:.1f} s on two hosts; a slow link: {network.slow(0)}", flush=True)
    rng, same = random.Random(asked.seed), 0
    for number in range(1, asked.runs + 1):
        fault, host, moment = names[number % len(names)], rng.randrange(2), rng.uniform(0.2, length)
        seconds = rng.uniform(0.5, 2 * asked.timeout) if fault == "drop" else 3.0
        what: Mapping[str, Callable[[list[Host]], None]] = {
            "vanish": lambda hosts, host=host: hosts[host].kill(),  # type: ignore[misc]
            "drop": lambda hosts, seconds=seconds: network.drop(seconds),  # type: ignore[misc]
            "slow": lambda hosts: network.slow(3.0),
        }
        place = folder / f"run-{number}"
        steps = rng.randrange(1, num_lines(folder / "whole/a/run/log.jsonl")) if number % 2 else 0
        took, hosts = trained(network, place, work, what[fault], moment, steps)
        equal = all(contents(place / "a/run", name) == contents(folder / "whole/a/run", name) for name in KEPT)
        alone = not (place / "b/run").exists()
        same += equal and alone
        resumed = (place / "a/log").read_text(errors="replace").count("resumed at step")
        said = {"vanish": f"host {'ab'[host]} vanishes", "drop": f"link down {seconds:.1f} s", "slow": "link slow 3 s"}
        starts = ", ".join(f"agent {'ab'[one.number]} {one.starts}" for one in hosts)
        after = f"line {steps} of the log" if steps else f"{moment:.1f} s"
        print(
            f"run {number}: {said[fault]} after {after}: resumed {resumed} times, starts: {starts}; ended after "
            f"{took:.1f} s, {'equal' if equal else 'NOT EQUAL'}{'' if alone else ', host b has a run'}",
            flush=True,
        )
        if not equal:
            print((place / "a/log").read_text(errors="replace")[-3000:])
    print(f"{same} of {asked.runs} runs equal the undisturbed one, bit for bit")
    return 0 if same == asked.runs else 1


def trained(
    network: Network, folder: Path, work: Work, fault: Callable[[list[Host]], None], moment: float, lines: int = 0
) -> tuple[float, list[Host]]:
    """Seconds that a training took, and its hosts.

    The fault comes after `moment` of them, or where there is a number of lines, when the log has as many.
    """
    begin, done = time.monotonic(), moment == 0
    with hosts_of(network, folder, work) as hosts:
        while not hosts[0].ended:
            passed = time.monotonic() - begin > moment if not lines else num_lines(folder / "a/run/log.jsonl") >= lines
            if not done and passed:
                fault(hosts)
                done = True
            for host in hosts:
                host.look()
            time.sleep(0.02)
        return time.monotonic() - begin, hosts


@contextmanager
def hosts_of(network: Network, folder: Path, work: Work) -> Iterator[list[Host]]:
    hosts: list[Host] = []
    try:
        for number, letter in enumerate("ab"):
            hosts.append(Host(network, number, folder / letter, work))
        yield hosts
    finally:
        for host in hosts:
            host.end()


class Clock(NoCallback):
    """Seconds and CPU seconds between two steps of this process, written to a file."""

    def __init__(self, path: Path, last: int) -> None:
        self.path, self.last, self.begin = path, last, (0.0, 0.0)

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        now = time.perf_counter(), time.process_time()
        if progress.step == WARM:
            self.begin = now
        if progress.step == self.last:
            write_text(self.path, json.dumps([now[k] - self.begin[k] for k in range(2)]))


def at_once(folder: Path, alone: Callable[[str], None], *names: str) -> list[list[float]]:
    """Seconds and CPU seconds of processes that each do the same, in folders of these names."""
    children = []
    for name in names:
        (folder / name).mkdir()
        children.append(os.fork())
        if not children[-1]:
            alone(name)
            os._exit(0)
    if any(os.waitpid(child, 0)[1] for child in children):
        raise SystemExit("a process alone has failed")
    return [json.loads((folder / f"{name}.json").read_text()) for name in names]


def efficiency(folder: Path, network: Network, rows: int, steps: int = 10) -> int:
    """A recurrent layer of 512 units on batches of names: all that counts is products."""
    write_names(folder, rows * steps)
    text = CONFIG.format(folder=folder, embedding=128, hidden=512, epochs=1, rows=rows)
    write_text(folder / "config.yaml", text)
    cpu, last = torch.device("cpu"), steps - 2

    def alone(name: str) -> None:
        settings = read_settings(folder / "config.yaml", [], None)
        made = start(RunFolder(folder / name), settings, cpu, NoCallback(), SingleProcess())
        with Stopping() as stopping:
            run_epochs(made, stopping, Clock(folder / f"{name}.json", last))

    def shared() -> None:
        number = int(os.environ["RANK"])
        torch.set_num_threads(1)
        found = Joined.here()
        assert found is not None
        rank = Rank(found, Order(folder / "config.yaml", Path("run"), [], None, [], "cpu"), NoCallback())
        made = rank.made(RunFolder(Path("run")))
        with Stopping() as stopping:
            run_epochs(made, stopping, Clock(folder / f"rank-{number}.json", last))
        size = sum(p.numel() for p in made.trainer.model.parameters())
        sums = [size, seconds_of_sum(1, 200), seconds_of_sum(size, 5)]
        write_text(folder / f"link-{number}.json", json.dumps(sums))
        rank.agreed([0.0])

    (one,), pair = at_once(folder, alone, "alone"), at_once(folder, alone, "first", "second")
    trained(network, folder / "both", shared, lambda hosts: None, 0)
    ranks = [json.loads((folder / f"rank-{number}.json").read_text()) for number in range(2)]
    wall, spent = max(rank[0] for rank in ranks), sum(rank[1] for rank in ranks)
    print(f"{last - WARM} steps, one process: {one[0]:.2f} s, {one[1]:.2f} CPU s")
    print(f"{last - WARM} steps, two hosts: {wall:.2f} s, {spent:.2f} CPU s of both")
    print(f"efficiency: {one[0] / (2 * wall):.1%} of the time, {one[1] / spent:.1%} of the CPU time")
    beside, both = max(clock for clock, _ in pair), sum(cpu for _, cpu in pair)
    print(
        f"{last - WARM} steps, two processes that know nothing of each other: {beside:.2f} s, {both:.2f} CPU s of both"
    )
    print(f"efficiency against these: {beside / (2 * wall):.1%} of the time, {both / (2 * spent):.1%} of the CPU time")
    size, small, large = json.loads((folder / "link-0.json").read_text())
    late, rate = small / 2, 4 * size / large
    print(f"a sum of 1 number: {small * 1e6:.0f} us; of {size:,}: {large * 1e3:.1f} ms, {rate / 1e9:.2f} GB/s a host")
    step = one[1] / (last - WARM)
    print("hosts  MB a host and step  share of the step, this link  share, 10 Gbit/s and 30 us")
    for hosts in (2, 8, 64, 512):
        shares = [step / (step + seconds_for(hosts, 4 * size, *link)) for link in ((late, rate), (30e-6, 1.25e9))]
        sent = 8 * size * (hosts - 1) / hosts / 1e6
        print(f"{hosts:5}  {sent:18.1f}  {shares[0]:27.1%}  {shares[1]:25.1%}")
    return 0


def seconds_of_sum(numbers: int, times: int) -> float:
    """One sum of so many float32 over all ranks, in the mean."""
    values = torch.zeros(numbers)
    torch.distributed.all_reduce(values)
    begin = time.perf_counter()
    for _ in range(times):
        torch.distributed.all_reduce(values)
    return (time.perf_counter() - begin) / times


def seconds_for(hosts: int, size: int, late: float, rate: float) -> float:
    """What a step waits for the link: a ring over the gradient and one over a few numbers, and a tree of one word.

    size: bytes of the gradient      late: seconds a message      rate: bytes a second
    """
    ring, tree = 2 * (hosts - 1), hosts.bit_length() - 1
    return (2 * ring + tree) * late + ring / hosts * size / rate


def num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def run(*words: str, quiet: bool = False) -> None:
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL if quiet else None)


if __name__ == "__main__":
    sys.exit(main())
