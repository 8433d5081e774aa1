"""The service as a process: sockets, slow and rude clients, keys, and an end in time."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from api.api_room import recurra, refused
from forked_room import Forked
from recurra.cli import main
from recurra.cli.commands.serve import _whole
from recurra.service import listening, server, url_of
from service.service_room import Ask, Asked

KEY = "a-key-of-24-characters-1"
BODY = b'{"texts": ["fine"]}'


LOOPS = ("asyncio", "uvloop")


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    """The event loop of Python, and the one that `uvicorn[standard]` brings."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed")
    return str(request.param)


@contextmanager
def listens(asked: Asked, loop: str) -> Iterator[int]:
    """The service on a real socket, in a thread; yields its port."""
    bound, ready = listening("127.0.0.1", 0), threading.Event()
    one = server(asked.service, started=ready.set, loop=loop)
    thread = threading.Thread(target=one.run, kwargs={"sockets": [bound]})
    thread.start()
    assert ready.wait(20)
    try:
        yield bound.getsockname()[1]
    finally:
        one.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def post(port: int, body: bytes = BODY, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/predict", body, {"Content-Type": "application/json", **headers})
    status = connection.getresponse().status
    connection.close()
    return status


def knock(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def seconds_until_closed(connection: socket.socket) -> float:
    start = time.monotonic()
    connection.settimeout(20)
    while connection.recv(4096):
        pass
    return time.monotonic() - start


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_a_head_that_does_not_come_is_not_waited_for(ask: Ask, loop: str) -> None:
    with listens(ask("moods", header_seconds=0.3), loop) as port:
        silent = knock(port)
        halfway = knock(port)
        halfway.sendall(HEAD)
        again = knock(port)
        again.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in again.recv(4096)
        again.sendall(HEAD)  # the second request of a connection, halfway too
        for one in (silent, halfway, again):
            assert seconds_until_closed(one) < 5
            one.close()
        assert post(port) == 200


def test_a_whole_request_has_time_even_when_heads_have_none(ask: Ask, loop: str) -> None:
    # The head is there: the body has a limit of its own.
    with listens(ask("moods", header_seconds=0.2), loop) as port:
        slow = knock(port)
        slow.sendall(HEAD + f"Content-Length: {len(BODY)}\r\nConnection: close\r\n\r\n".encode())
        time.sleep(0.5)
        slow.sendall(BODY)
        assert slow.recv(4096).startswith(b"HTTP/1.1 200")
        slow.close()


def test_idle_and_rude_clients_do_not_hold_up_others(ask: Ask, loop: str) -> None:
    with listens(ask("moods"), loop) as port:
        held = [knock(port) for _ in range(300)]
        for number, one in enumerate(held):
            one.sendall([b"GET ", HEAD, HEAD + b"Content-Length: 9\r\n\r\n{", b"\x16\x03\x01\x00"][number % 4])
        start = time.monotonic()
        assert post(port) == 200
        assert time.monotonic() - start < 5
        for one in held[::2]:
            one.close()
        assert post(port) == 200
        for one in held[1::2]:
            one.close()


def test_a_declared_size_is_refused_without_the_body(ask: Ask, loop: str) -> None:
    with listens(ask("moods"), loop) as port:
        large = knock(port)
        large.sendall(HEAD + b"Content-Length: 2000000\r\n\r\n")
        assert large.recv(4096).startswith(b"HTTP/1.1 413")
        large.close()
        assert post(port) == 200


def test_a_key_opens_everything_but_the_page_and_the_signs_of_life(ask: Ask) -> None:
    asked = ask("moods", key=KEY)
    for path in ("/", "/page.js", "/health", "/ready", "/openapi.json"):
        assert asked.get(path).status_code == 200, path
    for path in ("/models", "/metrics", "/models/moods/report", "/nothing"):
        answer = asked.get(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
    for given in ("", KEY, f"Bearer {KEY[:-1]}", f"Bearer {KEY}x", "Bearer", f"Basic {KEY}", "Bearer \xe4"):
        headers = {"authorization": given.encode("latin-1")}
        assert asked.post("/predict", {"texts": ["a"]}, headers=headers).status_code == 401, given
    assert asked.post("/predict", {"texts": ["a"]}, headers={"authorization": f"bearer {KEY}"}).status_code == 200
    # What the browser opens by itself cannot send that header.
    assert asked.get("/models/moods/report", headers={"cookie": f"recurra_key={KEY}"}).status_code == 200
    assert KEY not in json.dumps(asked.log)


def test_a_request_keeps_its_id(ask: Ask) -> None:
    asked = ask("moods")
    assert asked.get("/health", headers={"x-request-id": "my-id.7"}).headers["x-request-id"] == "my-id.7"
    for odd in ("a b", "x" * 65, "\xe4", '"', ""):
        given = asked.get("/nothing", headers={"x-request-id": odd.encode("latin-1")})
        assert given.headers["x-request-id"] == given.json()["request_id"] != odd
    assert asked.log[0]["id"] == "my-id.7"


def test_every_answer_has_the_headers_that_browsers_heed(ask: Ask) -> None:
    asked = ask("moods")
    for path in ("/", "/nothing", "/models", "/openapi.json", "/models/moods/report"):
        headers = asked.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_metrics_count_by_route_and_not_by_path(ask: Ask) -> None:
    asked = ask("moods")
    for n in range(5):
        asked.get(f"/nothing/{n}")
        asked.post("/predict", {"texts": ["a", "b"]})
    asked.run(lambda client: client.request("BREW", "/predict"))
    text = asked.get("/metrics").text
    for line in (
        'recurra_requests_total{method="GET",route="other",status="404"} 5.0',
        'recurra_requests_total{method="POST",route="/predict",status="200"} 5.0',
        'recurra_requests_total{method="other",route="/predict",status="405"} 1.0',
        'recurra_records_total{model="moods"} 10.0',
        "recurra_batch_records_count 5.0",
        "recurra_requests_waiting 0.0",
        "recurra_requests_running 1.0",
        "recurra_sessions 0.0",
    ):
        assert line in text.splitlines(), line
    assert "/nothing" not in text


def test_addresses(ask: Ask) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"127.0.0.1:{port}: cannot be listened on: .*Choose another"):
            listening("127.0.0.1", port)
    with pytest.raises(ValueError, match="cannot be listened on"):
        listening("no.such.host.invalid", 1)
    with listening("127.0.0.1", 0) as bound:
        assert url_of(bound) == f"http://127.0.0.1:{bound.getsockname()[1]}"


def no_run(here: Path) -> str:
    return str(here)


def cut_weights(here: Path) -> str:
    weights = here / "moods/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    return "moods"


def not_finite(here: Path) -> str:
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(here / "moods/model.safetensors")
    tensors["head.output.bias"] = torch.full_like(tensors["head.output.bias"], torch.nan)
    save_file(tensors, here / "moods/model.safetensors")
    return "moods"


@pytest.mark.parametrize("spoil", [no_run, cut_weights, not_finite])
def test_a_bad_run_is_found_before_anybody_asks(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], str]
) -> None:
    import shutil

    shutil.copytree(folder / "moods", tmp_path / "moods")
    monkeypatch.chdir(tmp_path)
    said = refused("serve", folder / "both", spoil(tmp_path), "--port", 0)
    assert str(tmp_path if spoil is no_run else "moods") in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: RUN"),
        (["moods", "--port", "70000"], "--port: expected a whole number from 0 to 65535, got '70000'"),
        (["moods", "--timeout", "nan"], "--timeout: expected a number from 0.01 to 3600, got 'nan'"),
        (["moods", "./moods"], "a run named 'moods' is served already"),
        (["moods", "--host", "no.such.host.invalid"], "cannot be listened on"),
        (["moods", "--key-file", "short"], "short: expected a key of 16 to 1000 ASCII characters"),
    ],
)
def test_a_mistake_on_the_command_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(folder)
    Path("short").write_text("12345\n")
    assert said in refused("serve", *words)


def test_a_key_file_that_is_not_there_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    said = recurra("serve", "moods", "--key-file", "gone.txt")
    assert (said.code, said.err) == (2, "gone.txt: No such file or directory.\n")


def metrics(port: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {KEY}"})
    said = connection.getresponse().read()
    connection.close()
    return said


def started(loop: str, words: list[str]) -> subprocess.Popen[str] | Forked:
    """The command as a process; it takes uvloop where that can be imported."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RECURRA_API_KEY": KEY, "PYTHONUNBUFFERED": ""}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if loop == "uvloop":
        return subprocess.Popen([sys.executable, "-m", "recurra", *words], text=True, env=environment, **pipes)

    def without_uvloop() -> int:
        sys.modules["uvloop"] = None  # type: ignore[assignment]
        return main(words)

    return Forked(without_uvloop, env=environment, **pipes)


def test_sigterm_ends_what_has_begun_and_then_the_process(folder: Path, loop: str) -> None:
    words = ["serve", str(folder / "digits"), "--port", "0", "--device", "cpu"]
    body = json.dumps({"texts": ["12 12 " * 20] * 8, "options": {"beam": 8}}).encode()
    head = HEAD + f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with started(loop, words) as process, ExitStack() as at_last:
        at_last.callback(process.kill)
        port = int(process.stdout.readline().split(":")[-1].split()[0])
        with_options = socket.create_connection(("127.0.0.1", port), timeout=20)
        idle = socket.create_connection(("127.0.0.1", port), timeout=20)
        with with_options, idle:
            with_options.sendall(head + body)
            while b"recurra_requests_running 2.0" not in metrics(port):
                pass
            process.send_signal(signal.SIGTERM)
            answer = b"".join(iter(lambda: with_options.recv(65536), b""))
            assert idle.recv(1) == b""
        said = process.stderr.read()
        process.wait(60)
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"]) == 8
    assert process.returncode == 143
    *lines, last = said.splitlines()
    assert last == "Terminated."
    told = [json.loads(line) for line in lines]
    assert (told[0]["event"], told[-1]["event"]) == ("started", "stopped")
    assert {line.get("path") for line in told[1:-1]} == {"/metrics", "/predict"}
    assert (told[0]["loop"], told[0]["http"]) == (loop, "h11")
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_without_its_packages_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['fastapi'] = None; from recurra.cli import main; sys.exit(main(['serve', 'x']))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 2
    assert run.stderr == 'recurra serve: fastapi is not installed; pip install "recurra[serve]".\n'


def test_a_prediction_imports_no_compiler(folder: Path) -> None:
    # torch._dynamo and sympy, which it needs, take longer to import than all of recurra.
    code = (
        "import sys; from recurra.cli import main; from recurra.cli.process import leave\n"
        "code = main(['predict', sys.argv[1], 'fine'])\n"
        "print([m for m in ('torch._dynamo', 'sympy', 'sklearn', 'rich', 'matplotlib') if m in sys.modules])\n"
        "leave(code)"
    )
    command = [sys.executable, "-c", code, str(folder / "moods")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100)
    answer, heavy = run.stdout.splitlines()
    assert answer.startswith(("good\t", "bad\t"))
    assert heavy == "[]"


@pytest.mark.parametrize("text", ["0" * 20 + "70000", "9" * 5000, "-1", "1.5"])
def test_a_number_of_an_option_is_read_to_its_last_digit(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a whole number from 0 to 65535"):
        _whole(0, 65535)(text)
