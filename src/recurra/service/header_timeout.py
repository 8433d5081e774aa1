"""A head that does not come: a connection that takes too long to ask is closed."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState


class HeaderTimeout(asyncio.Protocol):
    """uvicorn's HTTP/1.1, with a time limit on the head of each request, which uvicorn does not have.

    Between two requests uvicorn's own limit on idle connections holds, until the first byte of the next one.
    """

    def __init__(self, inner: H11Protocol, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._seconds = seconds
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio.Transport; they have its methods.
        self._inner.connection_made(cast(asyncio.Transport, transport))
        self._timer = self._loop.call_later(self._seconds, transport.close)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)
        if self._inner.transport.get_protocol() is not self:  # a WebSocket from now on
            self._stop()
            return
        asks = self._inner.cycle is not None and not self._inner.cycle.response_complete
        if asks:
            self._stop()
        elif not asks and self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._inner.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self._inner.connection_lost(exc)

    def eof_received(self) -> None:
        self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


def with_header_timeout(seconds: float) -> Any:
    """What uvicorn's `http` option takes: it makes the protocol of each connection."""

    def make(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> HeaderTimeout:
        inner = H11Protocol(config, server_state, app_state, _loop)
        return HeaderTimeout(inner, seconds, inner.loop)

    return make
