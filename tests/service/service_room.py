"""Tiny trained runs, and a service around them that is asked in this process, without a socket."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp

from recurra.service import Limits, LoadedModel, Log, Service, create_app
from recurra.service.deadline import Deadline, DeadlineExceededError

Client = httpx2.AsyncClient


class Asked:
    """A service, what it logs, and a client of it."""

    def __init__(
        self,
        runs: dict[str, LoadedModel],
        limits: Limits,
        key: str | None,
        root_path: str = "",
        origins: Sequence[str] = (),
        hosts: Sequence[str] | None = None,
    ) -> None:
        self.written = io.StringIO()
        self.service = Service(runs, limits, Log(self.written))
        self.key = key
        self.root_path = root_path
        self.origins = origins
        self.hosts = hosts

    @cached_property
    def app(self) -> ASGIApp:
        return create_app(self.service, key=self.key, root_path=self.root_path, origins=self.origins, hosts=self.hosts)

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        return [json.loads(line) for line in self.written.getvalue().splitlines()]

    @asynccontextmanager
    async def client(self) -> Any:
        """A client, while the service is alive. What the service raises is no answer, and fails the test."""
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=True)
        async with self.service.alive(), Client(transport=transport, base_url="http://here", timeout=30) as client:
            yield client

    def run(self, talk: Callable[[Client], Awaitable[Any]]) -> Any:
        """What `talk` returns."""

        async def whole() -> Any:
            async with self.client() as client:
                return await talk(client)

        return asyncio.run(whole())

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.run(lambda client: client.get(path, **options))

    def post(self, path: str, body: Any = None, **options: Any) -> httpx2.Response:
        given = options if body is None else {"json": body, **options}
        return self.run(lambda client: client.post(path, **given))


Ask = Callable[..., Asked]


@contextmanager
def full(asked: Asked) -> Iterator[None]:
    """As many requests wait for a model as may."""
    number = [asked.service.limits.waiting]
    asked.service.worker.count(lambda: number[0])
    yield
    number[0] = 0


def is_told_to_come_again(answer: httpx2.Response) -> bool:
    return (answer.status_code, answer.headers.get("retry-after")) == (503, "1") and "wait already" in answer.text


class Held:
    """Keeps the worker busy until it is let go."""

    def __init__(self, asked: Asked) -> None:
        self._gone = threading.Event()
        self._worker = asked.service.worker

    async def __aenter__(self) -> None:
        self._task = asyncio.ensure_future(self._worker.run(lambda: self._gone.wait(20)))
        await asyncio.sleep(0)

    async def __aexit__(self, *_: object) -> None:
        self._gone.set()
        await self._task


@contextmanager
def hurried(asked: Asked, seconds: float) -> Iterator[None]:
    """What is asked for may take so long, and not what it may otherwise."""
    worker = asked.service.worker
    before, worker._seconds = worker._seconds, seconds
    yield
    worker._seconds = before


@contextmanager
def late_at_look(number: int) -> Iterator[None]:
    """The time of what is asked for is over at this look at the clock, counted from 0, and not before."""

    class Late(Deadline):
        looks = 0

        def check(self) -> None:
            Late.looks += 1
            if Late.looks > number:
                raise DeadlineExceededError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.service.worker.Deadline", Late)
        yield


def late_though_another_computes(asked: Asked, path: str, body: Any) -> bool:
    """Whether a request is answered at its limit while the worker is busy, and then leaves nothing behind."""

    async def talk(client: Client) -> httpx2.Response:
        async with Held(asked):
            answer = await client.post(path, json=body)
            async with asyncio.timeout(15):
                while asked.service.worker.waiting:
                    await asyncio.sleep(0.01)
            return answer

    with hurried(asked, 0.02):
        return is_late(asked.run(talk), 0.02)


def is_late(answer: httpx2.Response, seconds: float) -> bool:
    said = f"took longer than {seconds:g} s; ask for fewer or shorter texts, or a smaller beam."
    return (answer.status_code, answer.json()["error"]) == (504, said)


def events(text: str) -> Iterator[tuple[str, Any]]:
    """Names and data of server-sent events."""
    for block in text.split("\n\n"):
        if block:
            name, data = block.split("\n")
            yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def hidden(path: Path) -> set[str]:
    """Words of our machine that no answer may hold."""
    return {str(path), "Traceback"}
