"""What stands around every request: its id, limits on size and time, the key, headers for browsers, log, metrics."""

from __future__ import annotations

import asyncio
import hmac
import itertools
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from recurra.service.bodies import CLOSING, Room, refuse_unreadable
from recurra.service.errors import RefusedError, answered, busy, failed
from recurra.service.hearing import PATH as HEAR
from recurra.service.hearing import refuse_socket
from recurra.service.hosts import Hosts
from recurra.service.limits import Limits
from recurra.service.log import Log
from recurra.service.metrics import Metrics
from recurra.service.root import Root

# What a client may call its request; anything else gets an id of ours.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# These need no key: the page (which asks for it), and what tells an operator whether the service lives.
PAGE = ("/", "/page.css", "/page.js", "/recorder.js", "/docs", "/docs.js", "/icon.svg")
OPEN = frozenset((*PAGE, "/health", "/ready", "/openapi.json"))
COOKIE = "recurra_key"
# After the time limit of a request, for an answer to be written; then it is cut.
GRACE_SECONDS = 5.0
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Guard:
    """The outermost application. key: what clients must send as `Authorization: Bearer KEY`; None asks for none.

    origins: of pages that may open a WebSocket, beside the service's own      hosts: names that it answers to
    HEAD is answered as GET is, without the body, for every route.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Limits,
        log: Log,
        metrics: Metrics,
        key: str | None,
        root: Root,
        origins: Sequence[str] = (),
        hosts: Hosts | None = None,
    ) -> None:
        self._app = app
        self._root = root
        self._limits = limits
        self._log = log
        self._metrics = metrics
        self._key = key
        self._origins = tuple(one.lower().rstrip("/") for one in origins)
        self._hosts = hosts or Hosts(None)
        self._running = 0
        self._room = Room(limits)
        self._begun, self._numbers = secrets.token_hex(4), itertools.count(1)
        metrics.watch("recurra_requests_running", "Requests in progress.", lambda: self._running)
        metrics.watch("recurra_bodies_bytes", "Bytes of bodies that are held.", lambda: self._room.held)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        # The server has its own scope: by its method it knows that no body follows.
        inner = {**scope, "method": "GET" if scope["method"] == "HEAD" else scope["method"]}
        request = _Request(
            given if _REQUEST_ID.fullmatch(given) else self._new_id(), scope["method"], self._root.enter(inner), send
        )
        inner.setdefault("state", {})["request_id"] = request.id
        self._running += 1
        try:
            await self._guarded(inner, headers, receive, request)
        finally:
            self._running -= 1
            self._note(inner, request)

    def _new_id(self) -> str:
        # No secret, so no system call, at which a thread that computes would take its turn.
        return f"{self._begun}-{next(self._numbers):x}"

    async def _guarded(self, scope: Scope, headers: Headers, receive: Receive, request: _Request) -> None:
        """The answer, whatever happens on the way to it."""
        try:
            if self._running > self._limits.requests and request.path not in OPEN:
                raise busy(f"{self._limits.requests} requests are answered at this moment; come again later.")
            self._hosts.refuse_stranger(headers.get("host", ""), request.path)
            self._refuse_stranger(scope["method"], request.path, headers)
            if (scope["method"], request.path) == ("POST", HEAR):  # its body is answered while it comes
                await self._app(scope, receive, request.send)
                return
            with self._room.of_one() as take:
                self._room.refuse(_said_length(headers, self._limits))
                body = await _body(headers, receive, self._limits, take)
                async with asyncio.timeout(self._limits.seconds + GRACE_SECONDS):
                    await self._app(scope, _replayed(body, headers, receive), request.send)
        except RefusedError as error:
            await request.refuse(scope, receive, error)
        except ConnectionAbortedError:
            request.status = 499  # the client has gone: nobody reads an answer (the number is nginx's)
        except TimeoutError:
            await request.refuse(scope, receive, RefusedError(504, "took too long, and was given up."))
        except Exception as error:  # noqa: BLE001 - the outermost handler there is
            self._log.error("failed", error, id=request.id)
            if not request.is_whole:  # else the application has answered that it failed, before it said why
                await request.refuse(scope, receive, failed(request.id))

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket: with a key as a request has one, and of no other page than those that may."""
        headers, inner = Headers(scope=scope), dict(scope)
        request = _Request(self._new_id(), "GET", self._root.enter(inner), send)
        inner.setdefault("state", {})["request_id"] = request.id
        self._running += 1
        try:
            if self._running > self._limits.requests:
                raise busy(f"{self._limits.requests} requests are answered at this moment; come again later.")
            self._hosts.refuse_stranger(headers.get("host", ""), request.path)
            self._refuse_stranger("GET", request.path, headers)
            self._refuse_other_pages(headers)
            if request.path != HEAR:
                raise RefusedError(404, f"there is no WebSocket here, only at {HEAR}.")
            await self._app(inner, receive, request.send)
        except RefusedError as error:
            await refuse_socket(WebSocket(inner, receive, request.send), error, request.id)
        finally:
            self._running -= 1
            self._note(inner, request)

    def _refuse_other_pages(self, headers: Headers) -> None:
        """A browser says whose page asks; what keeps pages from the answers of others does not hold for WebSockets."""
        origin = headers.get("origin")
        if origin is None or origin.lower() in self._origins:
            return
        host = headers.get("host", "").lower()
        if not host or _host_of(origin) != host:
            raise RefusedError(
                403, f"Origin: {origin[:100]} is another page than the service's own; see --allow-origin."
            )

    def _refuse_stranger(self, method: str, path: str, headers: Headers) -> None:
        if self._key is None or path in OPEN:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            # What a browser sends by itself opens reports, and changes nothing: any page can make it send a POST.
            given = cookie_parser(headers.get("cookie", "")).get(COOKIE, "") if method == "GET" else ""
        if not hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._key.encode()):
            raise RefusedError(
                401, "a key is needed: send it as `Authorization: Bearer KEY`.", {"WWW-Authenticate": "Bearer"}
            )

    def _note(self, scope: Scope, request: _Request) -> None:
        route = str(getattr(scope.get("route"), "path", "other"))
        seconds = time.monotonic() - request.since
        self._metrics.request(request.method, route, request.status, seconds)
        client: Any = scope.get("client") or ("",)
        self._log.info(
            "request",
            id=request.id,
            client=client[0],
            method=request.method[:20],
            path=request.path[:200],
            status=request.status,
            seconds=round(seconds, 6),
        )


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # such as http://[
        return ""


class _Request:
    """One request's answer on its way out. path: without the root path of a proxy

    status: what was sent, 0 before; is_whole: whether all of it was
    """

    def __init__(self, id: str, method: str, path: str, send: Send) -> None:
        self.id = id
        self.method = method
        self.path = path
        self.status = 0
        self.is_whole = False
        self.since = time.monotonic()
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.accept":
            self.status = 101
        elif message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self._headers().items():
                headers.setdefault(name, value)
        elif self.method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)
        self.is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)

    def _headers(self) -> Mapping[str, str]:
        return {"X-Request-ID": self.id, "Content-Security-Policy": POLICY, **HEADERS}

    async def refuse(self, scope: Scope, receive: Receive, error: RefusedError) -> None:
        """Answer with a refusal; where an answer has begun already, break it off, so that it does not look whole."""
        if self.status:
            raise ConnectionResetError(f"request {self.id}: broken off: {error}")
        await answered(error, self.id)(scope, receive, self.send)


def _said_length(headers: Headers, limits: Limits) -> int:
    """Bytes that a body will have by its head. Raises RefusedError, 413, for more than one may have."""
    length = headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 18 or int(length) > limits.body_bytes:
        raise _too_large(limits)
    return int(length)


def _too_large(limits: Limits) -> RefusedError:
    sentence = f"the body is larger than {limits.body_bytes:,} bytes; send less, or have --max-body raised."
    return RefusedError(413, sentence, CLOSING)


async def _body(headers: Headers, receive: Receive, limits: Limits, take: Callable[[int], None]) -> bytes:
    """All of the body. take: is told how many bytes have come, and may refuse them

    Raises RefusedError: 413 as soon as it is known to be too large, 408 if it takes too long; ConnectionAbortedError
    where the client has gone.
    """
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return b""
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionAbortedError
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limits.body_bytes:
                    raise _too_large(limits)
                take(len(parts[-1]))
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        sentence = f"the body did not arrive within {limits.body_seconds:g} s."
        raise RefusedError(408, sentence, CLOSING) from None


def _replayed(body: bytes, headers: Headers, receive: Receive) -> Receive:
    """The body as one message, then whatever comes. Raises RefusedError where it is asked for and cannot be read."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        refuse_unreadable(headers, body)
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
