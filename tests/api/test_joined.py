"""Training on ranks that a launcher has started: torch's elastic agent on the loopback interface, with forked workers.

The agent is torchrun's own, with its rendezvous; a fresh process would take seconds to load torch, a fork takes none.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.distributed import TCPStore
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from api.api_room import log_of, recurra, write_config
from api.test_ranks import CELL, PLAIN, TEXT, forked, text  # noqa: F401  fixtures
from recurra import api
from recurra.api import joined
from recurra.api.distributed import Distributed
from recurra.api.places import RunFolder
from recurra.api.trainer import Trainer
from recurra.base.errors import ConfigError
from recurra.base.launchers import Place
from recurra.cli import main
from recurra.training import Meeting, choose_interface, rendezvous
from training.toys import exit_of, fork_child


def elastic(ranks: int, restarts: int, work: Callable[[], None]) -> int:
    """The exit code of an agent, in a fork, that lets so many processes work, and again if one fails."""

    def agent() -> int:
        config = LaunchConfig(
            1, 1, ranks, rdzv_backend="c10d", rdzv_endpoint="127.0.0.1:0", max_restarts=restarts, start_method="fork",
            monitor_interval=0.05, rdzv_configs={"keep_alive_interval": 1},
        )  # fmt: skip
        elastic_launch(config, work)()
        return 0

    return exit_of(fork_child(agent))


def ends(words: list[str]) -> None:
    """Run the program; come back where it has ended well, which the agent waits for, else end as a process does."""
    code = main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    if code:
        os._exit(code)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def dying_at(step: int) -> None:
    """Let this process die when it has made so many steps."""
    steps = Trainer.steps

    def until(self: Trainer):  # type: ignore[no-untyped-def]
        for progress in steps(self):
            if progress.step == step:
                os.kill(os.getpid(), signal.SIGKILL)
            yield progress

    Trainer.steps = until  # type: ignore[method-assign]


@pytest.mark.slow
def test_torchrun_trains_as_ranks_do_and_restarts_on_hosts_without_a_shared_disk(forked: None) -> None:  # noqa: F811
    config = write_config(**TEXT, training={**PLAIN, "epochs": 1, "batch_rows": 5, "checkpoint_every": 2})
    api.train(config, out=Path("ranks"), distributed=Distributed(2))
    other = Path("other")  # another host's disk: the same files, and no run
    other.mkdir()
    for name in (config, "text.csv"):
        shutil.copy(name, other)

    def work() -> None:
        torch.set_num_threads(1)
        if os.environ["RANK"] == "1":
            os.chdir(other)
            if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
                dying_at(3)
        ends(["train", str(config), "--out", "run", "--auto-resume"])

    assert elastic(2, 1, work) == 0
    assert Path("run/model.safetensors").read_bytes() == Path("ranks/model.safetensors").read_bytes()
    assert [x["step"] for x in log_of("run")] == [x["step"] for x in log_of("ranks")]
    assert files(other) == {config.name, "text.csv"}


def test_a_process_that_trains_twice_is_a_rank_twice_and_then_none(forked: None) -> None:  # noqa: F811
    config = write_config(**TEXT, training={**PLAIN, "epochs": 1, "batch_rows": 30})

    def work() -> None:
        torch.set_num_threads(1)
        for out in ("one", "two"):
            api.train(config, out=out, distributed=api.Joined.here())
        if torch.distributed.is_initialized() or any(one.name == "heartbeat" for one in threading.enumerate()):
            os._exit(3)

    assert elastic(2, 0, work) == 0
    assert Path("one/model.safetensors").read_bytes() == Path("two/model.safetensors").read_bytes()


def test_a_host_without_the_run_gets_all_that_it_is_resumed_from_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.py").write_text(CELL)
    config = write_config(model={"encoder": {"cell": "mine", "hidden_size": 4}}, training={**PLAIN, "epochs": 1})
    api.train(config, out="run", cells=["mine.py"])
    run, there = RunFolder(Path("run")), RunFolder(Path("there"))
    there.path.mkdir()
    monkeypatch.setattr(joined, "PIECE", 100)
    sent: list[bytes] = []

    class Line:
        """What the first rank says, for another one to hear behind it."""

        def bytes_from(self, source: int, data: bytes | None) -> bytes:
            assert source == 0
            if data is None:
                return sent.pop(0)
            sent.append(data)
            return data

    joined._share(Line(), run, run, first=True)  # type: ignore[arg-type]
    assert max(map(len, sent)) == 100
    joined._share(Line(), run, there, first=False)  # type: ignore[arg-type]
    assert not sent
    assert files(there.path) == {"run.json", "config.yaml", "cell.json", "last.ckpt"}
    assert all(path.read_bytes() == (run.path / path.name).read_bytes() for path in there.path.iterdir())


def test_each_rank_of_a_host_has_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    places = [Place(4 + local, 8, local, None, "a", 7, True, "srun") for local in range(3)]
    assert [joined.device_for("auto", place).index for place in places[:2]] == [0, 1]
    assert taken == [0, 1]
    assert joined.device_for("cpu", places[1]) == torch.device("cpu")
    with pytest.raises(ConfigError, match=r"device cuda: rank 6 is number 3 on its host, which has 2; start one proc"):
        joined.device_for("auto", places[2])


@pytest.mark.parametrize(
    ("found", "locals", "chosen"),
    [("lo", 2, "lo"), ("lo", 1, None), ("lo", None, None), ("eth1", 1, "eth1"), (None, 2, None)],
)
def test_gloo_takes_the_loopback_only_where_all_ranks_are_on_one_host(
    found: str | None, locals: int | None, chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "")  # so that it is put back
    monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    monkeypatch.setattr(rendezvous, "interface_to", lambda address, port: found)
    place = Place(0, 2, 0, locals, "a", 7, True, "RANK")
    choose_interface(place)
    assert os.environ.get("GLOO_SOCKET_IFNAME") == chosen
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "mine")
    choose_interface(place)
    assert os.environ["GLOO_SOCKET_IFNAME"] == "mine"


def test_the_interface_is_the_one_whose_address_packets_have(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = {"eth0": "10.0.0.1", "lo": "127.0.0.1"}

    def asked(handle: int, request: int, name: bytes) -> bytes:
        found = addresses.get(name.rstrip(b"\0").decode())
        if found is None:
            raise OSError
        return bytes(20) + socket.inet_aton(found) + bytes(8)

    monkeypatch.setattr("socket.if_nameindex", lambda: list(enumerate(("down0", "eth0", "lo"))))
    monkeypatch.setattr("fcntl.ioctl", asked)
    assert rendezvous.interface_to("127.0.0.1", 7) == "lo"
    assert rendezvous.interface_to("::1", 7) is None  # no address of IPv4


def test_a_first_rank_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "LOADING", 0.5)
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    place = Place(1, 2, 1, 2, "127.0.0.1", store.port, False, "RANK")
    with pytest.raises(
        ConfigError, match=r"rank 1 of 2: rank 0 does not answer at 127\.0\.0\.1:\d+ .*does it still run"
    ):
        Meeting(place, 1.0)


def test_what_is_wrong_everywhere_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    config = write_config(training=PLAIN)
    rows = Path("data.csv").read_text().splitlines()
    Path("data.csv").write_text("\n".join([*rows[:3], '"unclosed', *rows[3:]]))
    assert elastic(2, 0, lambda: ends(["train", str(config), "--out", "none"])) != 0
    assert capfd.readouterr().err.count("a quote opens here and is never closed") == 1
    assert not Path("none/run.json").exists()  # the agent may end the first rank before it has removed its folder


def test_a_rank_that_is_silent_ends_all(tmp_path: Path) -> None:
    """It is stopped, so that no connection is closed; all others end within the time that they are given."""

    def rank(number: int, port: int) -> int:
        def end(message: str) -> None:
            (tmp_path / f"said-{number}").write_text(message)
            os._exit(7)

        Meeting(Place(number, 3, number, 3, "127.0.0.1", port, True, "RANK"), 1.0, end)
        if number == 1:
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(30)
        return 0

    port = 20_000 + os.getpid() % 10_000
    processes = [fork_child(lambda number=number: rank(number, port)) for number in range(3)]
    assert [exit_of(processes[0]), exit_of(processes[2])] == [7, 7]
    os.kill(processes[1], signal.SIGKILL)
    exit_of(processes[1])
    assert (tmp_path / "said-0").read_text() == "rank 0 of 3 ends: rank 1 has sent no heartbeat for 1 seconds."
    assert (tmp_path / "said-2").read_text() == ""  # not the first of its host


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--out", "run", "--restarts", "2"], "--restarts has no effect on processes that torchrun has started"),
        (["--out", "run", "--ranks", "2"], "--ranks has no effect on processes that torchrun has started"),
        (["--out", "run", "--seeds", "1,2"], "--seeds has no effect"),
        (["--out", "run", "--set", "data.split=folds"], "a launcher's processes make one run"),
        (["--out", "run", "--rank-timeout", "0"], "expected 1 to 86,400 seconds, got 0"),
        ([], "--out: several processes make one run"),
        (["--resume", "run", "--auto-resume"], "leave out --auto-resume"),
    ],
)
def test_what_has_no_effect_on_a_launchers_processes_is_refused(
    words: list[str], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "TORCHELASTIC_RUN_ID": "j"}.items():
        monkeypatch.setenv(name, value)
    said = recurra("train", *([] if "--resume" in words else [write_config()]), *words)
    assert (said.code, what in said.err) == (2, True)


def test_a_process_alone_is_told_how_to_resume() -> None:
    said = recurra("train", write_config(), "--out", "run", "--auto-resume")
    assert (said.code, "give --resume RUN" in said.err) == (2, True)
