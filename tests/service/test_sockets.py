"""WebSockets of clients that do not read, or whose handshake is none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from recurra.service.sockets import MOST_UNREAD, BoundedSocket, is_error


class Transport:
    """What was written to it, and how it ended; a client that reads nothing."""

    def __init__(self) -> None:
        self.written, self.ends = b"", []
        self.high: int | None = None

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.ends.append("closed")

    def abort(self) -> None:
        self.ends.append("aborted")


class Echo:
    """uvicorn's protocol, which answers whatever comes at once. handshake_initiated: whether it has been asked well"""

    def __init__(self, *, asked_well: bool) -> None:
        self.handshake_initiated = asked_well
        self.calls: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated:
            self.transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.calls.append(name)


def connected(*, asked_well: bool = True, seconds: float = 30.0, loop: Any = None) -> tuple[BoundedSocket, Transport]:
    transport: Any = Transport()
    one = BoundedSocket(Echo(asked_well=asked_well), seconds, loop)
    one.connection_made(transport)
    return one, transport


def test_a_request_that_is_no_handshake_is_answered_and_closed() -> None:
    one, transport = connected(asked_well=False)
    one.data_received(b"POST /hear HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    assert transport.written.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert transport.ends == ["closed"]


def test_answers_that_nobody_reads_are_bounded() -> None:
    one, transport = connected()
    one.data_received(bytes(MOST_UNREAD))
    assert transport.ends == []
    one.data_received(b"\0")
    assert transport.ends == ["aborted"]


@pytest.mark.parametrize("reads", [True, False])
def test_a_client_that_does_not_read_in_time_is_cut(reads: bool) -> None:
    async def talk() -> list[str]:
        one, transport = connected(seconds=0.01, loop=asyncio.get_running_loop())
        assert transport.high == 0
        one.pause_writing()
        if reads:
            one.resume_writing()
        await asyncio.sleep(0.05)
        one.connection_lost(None)
        return transport.ends

    assert asyncio.run(talk()) == ([] if reads else ["aborted"])


def test_a_refused_handshake_is_no_error_of_ours() -> None:
    assert not is_error("ASGI callable returned without completing handshake.")
    assert is_error("Exception in ASGI application\n")
