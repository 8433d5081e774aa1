"""The image of the service: what its files say fits the repository, the program and the service's own routes."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from recurra.cli.arguments import parse
from recurra.cli.commands import COMMANDS
from recurra.service.middleware import OPEN

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "packaging" / "Dockerfile").read_text()
# One instruction a line, without comments.
LINES = [line for line in re.sub(r"\\\n\s*", "", TEXT).splitlines() if line and not line.startswith("#")]
WHEEL = "dist/recurra-0.1.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl"


def instructions(word: str) -> list[str]:
    return [line.removeprefix(f"{word} ") for line in LINES if line.startswith(f"{word} ")]


def words_of(word: str) -> list[str]:
    (given,) = instructions(word)
    found: list[str] = json.loads(given)
    return found


def test_what_is_copied_is_there_and_nothing_else_is_sent() -> None:
    *sources, target = instructions("COPY")[0].split()
    assert target == "/wheels/"
    assert (ROOT / sources[0]).is_file()
    assert fnmatch.fnmatch(WHEEL, sources[1])
    ignored = (ROOT / "packaging" / "Dockerfile.dockerignore").read_text().split()
    assert ignored[0] == "*"
    assert all(any(fnmatch.fnmatch(name, line[1:]) for line in ignored[1:]) for name in (sources[0], WHEEL))


def test_the_service_runs_as_nobody_with_the_program_s_own_options() -> None:
    assert LINES.index("USER 10001:10001") < next(n for n, line in enumerate(LINES) if line.startswith("ENTRYPOINT"))
    program, verb, *words = words_of("ENTRYPOINT")
    assert (program, verb) == ("recurra", "serve")
    given = parse(verb, COMMANDS[verb], [*words, *words_of("CMD")])
    assert (given.host, given.port, given.allow_host, given.runs) == (
        "0.0.0.0", int(*instructions("EXPOSE")), ["localhost"], [Path("/runs/model")],
    )  # fmt: skip


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_check_of_health_asks_the_service_s_own_route(status: int, code: int) -> None:
    asked = []

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *given: object) -> None:
            """Silent."""

    _, *words = json.loads(instructions("HEALTHCHECK")[0].partition("CMD ")[2])
    with HTTPServer(("127.0.0.1", 0), Ready) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        here = [word.replace(":8000/", f":{server.server_port}/") for word in words]
        done = subprocess.run([sys.executable, "-I", *here], capture_output=True, timeout=60)
    assert done.returncode == code
    assert asked == ["/ready"]
    assert set(asked) <= OPEN, "it has no key"


def test_compose_publishes_on_this_machine_alone_and_takes_away_what_is_not_needed() -> None:
    (service,) = yaml.safe_load((ROOT / "packaging" / "compose.yaml").read_text())["services"].values()
    assert (ROOT / "packaging" / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    assert all(port.startswith("127.0.0.1:") and port.endswith(":8000") for port in service["ports"])
    assert all(volume.endswith(":ro") for volume in service["volumes"])
    assert (service["read_only"], service["cap_drop"], service["user"]) == (True, ["ALL"], "10001:10001")
    assert service["command"][0].startswith("/runs/")
