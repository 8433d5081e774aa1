"""WebSockets as uvicorn speaks them, but for clients that do not read, or whose handshake is none."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

# For a client to read what was sent; and bytes that may wait for it, as an answer to each ping does at once.
READ_SECONDS, MOST_UNREAD = 30.0, 2**20
_NO_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
# What uvicorn calls an error of ours: a handshake that was refused, and a text of a client that is no UTF-8.
_NO_ERRORS = ("ASGI callable returned without completing handshake.", "Invalid UTF-8 sequence received from client.")


class BoundedSocket(asyncio.Protocol):
    """uvicorn's WebSocket; it is cut where its client does not read for so many seconds, or leaves too much unread.

    A request for one that is no handshake, such as one with a body, is answered with 400: uvicorn says nothing, and
    keeps it open for ever.
    """

    def __init__(self, inner: Any, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._seconds = seconds
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio.Transport; they have its methods.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)  # so that the clock runs from the first byte that waits
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)
        if (transport := self._transport) is None:
            return
        if not self._inner.handshake_initiated:  # the head of a request comes whole
            transport.write(_NO_HANDSHAKE)
            transport.close()
        if transport.get_write_buffer_size() > MOST_UNREAD:
            transport.abort()

    def pause_writing(self) -> None:
        self._inner.pause_writing()
        if self._timer is None and self._transport is not None:
            self._timer = self._loop.call_later(self._seconds, self._transport.abort)

    def resume_writing(self) -> None:
        self._stop()
        self._inner.resume_writing()

    def eof_received(self) -> None:
        self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self._inner.connection_lost(exc)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def bounded_sockets(seconds: float = READ_SECONDS) -> Any:
    """What uvicorn's `ws` option takes: it makes the protocol of each connection. Needs the package websockets."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    def make(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> BoundedSocket:
        inner = WebSocketsSansIOProtocol(config, server_state, app_state, _loop)
        return BoundedSocket(inner, seconds, inner.loop)

    return make


def is_error(message: str) -> bool:
    """Whether what uvicorn logs is one; what a client did is in the line of its request."""
    return message not in _NO_ERRORS
