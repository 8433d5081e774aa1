"""The process: an address, the server, and an end in time."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from typing import Literal

import uvicorn

from recurra.base.errors import RunError
from recurra.service.app import Service, create_app
from recurra.service.header_timeout import with_header_timeout
from recurra.service.log import LogHandler
from recurra.service.sockets import bounded_sockets, is_error

# Between two requests of a connection that is kept.
IDLE_SECONDS = 5
# Of the head of a request: what it asks for and its headers.
HEAD_BYTES = 64 * 1024
BACKLOG = 512
Loop = Literal["auto", "asyncio", "uvloop"]


def listening(host: str, port: int) -> socket.socket:
    """A socket on which clients can knock; port 0 takes a free one. Raises RunError for what cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with ExitStack() as undo:
            bound = undo.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            # The server listens again later; until then clients wait, and are not turned away.
            bound.listen(BACKLOG)
            undo.pop_all()
    except (OSError, OverflowError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise RunError(f"{host}:{port}: cannot be listened on: {reason}. Choose another --host or --port.") from None
    return bound


def url_of(bound: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if bound.family == socket.AF_INET6 else f"http://{host}:{port}"


def serve(
    service: Service,
    bound: socket.socket,
    *,
    key: str | None,
    started: Callable[[], None],
    root_path: str = "",
    origins: Sequence[str] = (),
    hosts: Sequence[str] | None = None,
) -> None:
    """Answer until SIGTERM or Ctrl-C, which are raised again after what has begun has ended; read runs again on SIGHUP.

    started: called once requests are answered
    """
    _log_as_json(service)
    try:
        begin = partial(_begin, service, started)
        one = server(service, key=key, started=begin, root_path=root_path, origins=origins, hosts=hosts)
        one.run(sockets=[bound])
    finally:
        if not service.stop(1.0):
            # A model that does not come to an end would hold up the end of the process.
            service.log.error("killed", message="a computation did not end in time")
            os._exit(128 + signal.SIGTERM)
        service.log.info("stopped")


def server(
    service: Service,
    *,
    key: str | None = None,
    started: Callable[[], None] = lambda: None,
    root_path: str = "",
    origins: Sequence[str] = (),
    hosts: Sequence[str] | None = None,
    loop: Loop = "auto",
) -> uvicorn.Server:
    """What speaks HTTP for the service. loop: `auto` takes uvloop where it is installed, as uvicorn does"""
    limits = service.limits
    config = uvicorn.Config(
        create_app(service, key=key, started=started, root_path=root_path, origins=origins, hosts=hosts),
        # h11 even where httptools is installed: HEAD_BYTES is a limit of h11 alone.
        http=with_header_timeout(limits.header_seconds),
        loop=loop,
        # Without the package an upgrade is a request like others, and refused by the package's name.
        ws=bounded_sockets() if find_spec("websockets") else "none",
        ws_max_size=limits.body_bytes,
        # A client answers a ping behind all the sound that it has sent: a file that is sent at once is no dead client,
        # which sound_idle ends.
        ws_ping_timeout=None,
        ws_per_message_deflate=False,  # sound does not shrink, and a small message could become a large one
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=round(limits.drain_seconds),
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    return uvicorn.Server(config)


def _begin(service: Service, started: Callable[[], None]) -> None:
    """From now on SIGHUP has the runs read again; where it says that the terminal was closed, the process ends."""
    terminals = [one for one in (0, 1, 2) if os.isatty(one)]

    def hangup() -> None:
        if terminal_is_there(terminals):
            service.reloads.ask_all()
        else:
            signal.raise_signal(signal.SIGTERM)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, hangup)
    service.log.info("started", loop=type(loop).__module__.partition(".")[0], http="h11")
    started()


def terminal_is_there(terminals: Iterable[int]) -> bool:
    """Whether all of these, which were terminals once, are so still; one that was closed is none any more."""
    return all(map(os.isatty, terminals))


def _log_as_json(service: Service) -> None:
    for name in ("uvicorn.error", "uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.filters = [lambda record: is_error(record.getMessage())]
        logger.handlers = [LogHandler(service.log)]
        logger.propagate = False
        logger.setLevel(logging.WARNING)
