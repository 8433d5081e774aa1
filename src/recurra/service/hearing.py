"""Sound that comes while it is heard: a WebSocket, and a request that is answered while its body still comes.

Both take WAV, or samples of 16 bits, little-endian, one channel, at the rate of the run; both tell the same events:
`begun`, `partial` (what may still change), `final` (what will not, with the times of its words), `done`, `error`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from recurra.api.hearing import HeardPiece, Hearing, refuse_deaf
from recurra.base.errors import ConfigError, RecurraError
from recurra.base.hot_words import hot_words as hot_words_of
from recurra.data.incoming import RATES
from recurra.service import limits as most
from recurra.service.bodies import refuse_compressed
from recurra.service.errors import RefusedError, answered, busy, failed, json_bytes, refusal_json, refusal_of
from recurra.service.limits import Limits
from recurra.service.models import LoadedModel, chosen
from recurra.service.streams import event

if TYPE_CHECKING:
    from recurra.service.app import Service

PATH = "/hear"
# What the body of a request may be called: none of these can a page of another host send unasked.
KINDS = ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave", "application/octet-stream")
# What ends a sound on a WebSocket.
END = "end"
# Seconds of sound that are heard at once: then others have their turn; and less of it waits for more.
TURN, LEAST = 1.0, 0.05
# For a client to read an event; then its sound is given up.
READ_SECONDS = 30.0
MISSING = (
    'a WebSocket needs the package websockets, which is not installed; pip install "recurra[serve]". POST /hear does '
    "without."
)
# Codes of RFC 6455, 7.4.1: done; too much; a mistake of the client; of ours; come again later.
_DONE, _REFUSED, _FAILED, _LATER = 1000, 1008, 1011, 1013

Events = AsyncIterator[tuple[str, dict[str, Any]]]


class Listening:
    """The sounds that are heard at this moment, a bounded number of them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._begun = 0
        self._oldest: dict[str, datetime] = {}

    def __len__(self) -> int:
        return self._begun

    @contextmanager
    def one(self) -> Iterator[None]:
        """A place for one more. Raises RefusedError, 503, where there is none."""
        if self._begun >= self._limits.sounds:
            raise busy(f"{self._begun} sounds are heard already; come again later.")
        self._begun += 1
        try:
            yield
        finally:
            self._begun -= 1

    def keep(self, version: LoadedModel) -> None:
        """End the sounds that older versions of a run hear than this one."""
        self._oldest[version.name] = version.opened

    def refuse_replaced(self, served: LoadedModel) -> None:
        """Raise RefusedError, 409, for a version that is not kept: else each sound could keep another in memory."""
        if served.opened < self._oldest.get(served.name, served.opened):
            raise RefusedError(409, "sound: its run was replaced twice while it was heard; begin another.")


def hears(served: LoadedModel) -> tuple[int | None, list[str]]:
    """The rate of the sounds that a run takes, None for another run; and the reasons why it cannot hear pieces."""
    try:
        task = refuse_deaf(served.run)
    except ConfigError:
        return None, []
    try:
        task.listener(served.run.model)
    except ConfigError as error:
        return task.rate, list(error.problems)
    return task.rate, []


def hearing_of(served: LoadedModel, how: Mapping[str, Any] | None = None) -> Hearing:
    """What hears a sound piece by piece for a run. Raises RefusedError, 409, with the reasons why there is none.

    how: of the search, as `predict` has it; without a beam the most probable unit is taken, again and again
    Raises ConfigError for a search that the run does not have.
    """
    try:
        refuse_deaf(served.run)
    except ConfigError:
        raise RefusedError(409, f"model: a {served.word} of {served.name} hears no sound; use /predict.") from None
    options = served.options(how or {})
    refuse_deaf(served.run, options)
    try:
        return Hearing(served.run, options=options, device=str(served.device))
    except ConfigError as error:
        whole = "The whole of a recording goes to /predict."
        raise RefusedError(409, [*error.problems, whole]) from None


async def told(
    service: Service,
    served: LoadedModel,
    rate: int | None,
    pieces: AsyncIterator[bytes],
    how: Mapping[str, Any] | None = None,
) -> Events:
    """The events of a sound that comes in pieces of any size, each with what belongs to it.

    Raises RefusedError: 408 for a sound that does not go on, 409 for a run that was replaced twice, 413 for a sound
    that is too long; DataError for no sound.
    """
    hearing = hearing_of(served, how)
    wanted, limits = hearing.rate, service.limits
    incoming = hearing.incoming(rate)
    beam = (how or {}).get("beam", 1)
    search = {"beam": beam, "lm": beam > 1 and "lm" in served.search}
    bounds = {"rate": wanted, "seconds": limits.sound_seconds}
    yield "begun", {"model": served.name, "version": served.version, **bounds, **search}
    shown, stretches, heard = "", 0, HeardPiece((), "", 0.0, 0.0)
    async for piece in _in_time(_turns(pieces, lambda: incoming.rate or rate), limits):
        samples = incoming.feed(piece)
        service.listening.refuse_replaced(served)
        heard = await service.worker.run(partial(hearing.feed, samples, incoming.rate))
        for stretch in heard.final:
            yield "final", dict(stretch)
        if heard.partial != shown:
            yield "partial", {"text": heard.partial, "seconds": heard.seconds}
        shown, stretches = heard.partial, stretches + len(heard.final)
        if heard.seconds > limits.sound_seconds:
            raise RefusedError(413, f"sound: is longer than {limits.sound_seconds:g} s; begin another.")
    rest = incoming.end()
    before, last = await service.worker.run(lambda: (hearing.feed(rest, incoming.rate), hearing.end()))
    for stretch in (*before.final, *last.final):
        yield "final", dict(stretch)
        stretches += 1
    service.metrics.answered(served.name, 1)
    yield "done", {"seconds": last.seconds, "stretches": stretches, "computing": round(last.spent, 3)}


async def _turns(pieces: AsyncIterator[bytes], rate: Callable[[], int | None]) -> AsyncIterator[bytes]:
    """The same bytes in pieces that are worth a turn, and not more. rate: the lowest, as long as it is not known"""
    waiting = b""
    async for piece in pieces:
        waiting, at = waiting + piece, 0
        while len(waiting) - at >= round(2 * (rate() or RATES[0]) * LEAST):
            some = waiting[at : at + round(2 * (rate() or RATES[0]) * TURN)]
            yield some
            at += len(some)
        waiting = waiting[at:]
    if waiting:
        yield waiting


async def _in_time(pieces: AsyncIterator[bytes], limits: Limits) -> AsyncIterator[bytes]:
    """What is worth a turn, until none comes: a byte now and then keeps no place.

    Raises RefusedError, 408, also where all of them together take too long.
    """
    ends = time.monotonic() + limits.sound_seconds + limits.sound_idle
    while True:
        left = ends - time.monotonic()
        if left <= 0:
            raise RefusedError(408, f"sound: took longer than {limits.sound_seconds:g} s; begin another.")
        try:
            async with asyncio.timeout(min(limits.sound_idle, left)):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise RefusedError(408, f"sound: nothing came for {limits.sound_idle:g} s; begin another.") from None
        if piece is None:
            return
        yield piece


_Model = Annotated[str | None, Query(max_length=most.LONGEST_NAME)]
_Rate = Annotated[int | None, Query(ge=1000, le=400_000)]
_Beam = Annotated[int | None, Query(ge=1, le=most.WIDEST_BEAM, description="texts that are followed; 1 is greedy")]
_HotWords = Annotated[
    str | None,
    Query(max_length=most.LONGEST_HOT, description="words that are likelier, with their nats: recurra=3,Kaldi=2"),
]


def add_hearing(app: FastAPI, service: Service, responses: Mapping[int | str, dict[str, Any]]) -> None:
    """Add the routes."""
    _add_events(app, service, responses)
    _add_socket(app, service)


def _add_events(app: FastAPI, service: Service, responses: Mapping[int | str, dict[str, Any]]) -> None:
    @app.post(
        PATH,
        response_class=StreamingResponse,
        responses={
            **responses,
            200: {
                "description": "Events while the sound comes: `begun`, `partial` (`text` that may still change), "
                "`final` (`text`, `start`, `end`, `words`), `done`, or `error`.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in KINDS},
            }
        },
    )
    async def hear(
        request: Request,
        model: _Model = None,
        rate: _Rate = None,
        beam: _Beam = None,
        hot_words: _HotWords = None,
    ) -> Response:
        """Hear a sound while it comes: WAV, or samples of 16 bits, little-endian, one channel, at `rate`."""
        _refuse_other_kinds(request.headers.get("content-type"))
        refuse_compressed(request.headers.get("content-encoding", ""))
        served, how = chosen(service.runs, model), _how(beam, hot_words)
        hearing_of(served, how)  # what it refuses has a status of its own
        service.worker.refuse_more()
        if len(service.listening) >= service.limits.sounds:
            raise busy(f"{len(service.listening)} sounds are heard already; come again later.")
        pieces = (piece async for piece in request.stream() if piece)
        events = _as_lines(service, told(service, served, rate, pieces, how), request.state.request_id)
        return _WhileItComes(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @app.get(PATH, include_in_schema=False)
    async def upgrade(request: Request) -> Response:
        """A WebSocket that the server cannot speak, or a mistake."""
        if "websocket" in request.headers.get("upgrade", "").lower():
            raise RefusedError(501, MISSING)
        raise RefusedError(426, "hear: expected POST with a sound, or a WebSocket.", {"Upgrade": "websocket"})


class _WhileItComes(StreamingResponse):
    """One that does not read the request to its end to see whether the client is there: its body is being heard.

    Raises TimeoutError where nobody reads for too long.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        events: Any = self.body_iterator
        async with aclosing(events):  # the place is given back at once, whoever goes first
            await self.stream_response(_in_time_sent(send))


def _in_time_sent(send: Send) -> Send:
    """The same for who reads; a client that does not would keep its place for as long as it likes."""

    async def sent(message: Message) -> None:
        async with asyncio.timeout(READ_SECONDS):
            await send(message)

    return sent


async def _as_lines(service: Service, events: Events, request_id: str) -> AsyncIterator[bytes]:
    """Server-sent events; one that is refused on its way ends with `error`."""
    try:
        with service.listening.one():
            async for name, data in events:
                yield event(name, data)
    except RecurraError as error:
        yield event("error", refusal_json(refusal_of(error), request_id))
    except ClientDisconnect:
        return


def _refuse_other_kinds(given: str | None) -> None:
    if given is None or given.partition(";")[0].strip().lower() not in KINDS:
        got = "none" if given is None else f"'{given[:60]}'"
        raise RefusedError(415, f"Content-Type: expected audio/wav or application/octet-stream, got {got}.")


def _add_socket(app: FastAPI, service: Service) -> None:
    @app.websocket(PATH)
    async def hear(socket: WebSocket) -> None:
        """The same on a WebSocket: sound in binary messages, then the text `end`."""
        request_id = str(socket.state.request_id)
        try:
            served, rate, how = _asked_for(service, socket)
            with service.listening.one():
                await socket.accept()
                async for name, data in told(service, served, rate, _messages(socket), how):
                    await _send(socket, name, data)
            await socket.close(_DONE)
        except (WebSocketDisconnect, TimeoutError):
            return  # it has gone, or does not read
        except RecurraError as error:
            await refuse_socket(socket, refusal_of(error), request_id)
        except Exception as error:  # noqa: BLE001 - said in the log alone
            service.log.error("failed", error, id=request_id)
            await refuse_socket(socket, failed(request_id), request_id)


def _how(beam: int | None, words: str | None) -> dict[str, Any]:
    """The search of an address, as `predict` has it. Raises RefusedError, 422, for words that are none, or too many."""
    found: dict[str, Any] = {} if beam is None else {"beam": beam}
    if words is None:
        return found
    try:
        hot = hot_words_of(words)
    except ValueError as error:
        raise RefusedError(422, f"hot_words: {error}.") from None
    if len(words) > most.LONGEST_HOT or len(hot) > most.MOST_HOT:
        raise RefusedError(422, f"hot_words: expected at most {most.MOST_HOT}, in {most.LONGEST_HOT:,} characters.")
    if not all(0 < nats <= most.HOTTEST_WORD for nats in hot.values()):
        raise RefusedError(422, f"hot_words: expected nats over 0, up to {most.HOTTEST_WORD:g}.")
    return {**found, "hot_words": hot}


def _asked_for(service: Service, socket: WebSocket) -> tuple[LoadedModel, int | None, dict[str, Any]]:
    """The run, the rate and the search of the address. Raises RefusedError for what is none, or cannot hear."""
    rate = _number(socket, "rate", RATES)
    beam = _number(socket, "beam", range(1, most.WIDEST_BEAM + 1))
    how = _how(beam, socket.query_params.get("hot_words"))
    served = chosen(service.runs, socket.query_params.get("model"))
    hearing_of(served, how)
    service.worker.refuse_more()
    return served, rate, how


def _number(socket: WebSocket, name: str, allowed: range) -> int | None:
    given = socket.query_params.get(name)
    if given is None:
        return None
    # No longer than the largest: what stands behind would count too, and a very long one is no number to Python.
    if given.isascii() and given.isdigit() and len(given) <= len(str(allowed[-1])) and int(given) in allowed:
        return int(given)
    raise RefusedError(422, f"{name}: expected a whole number from {allowed[0]:,} to {allowed[-1]:,}.")


async def _messages(socket: WebSocket) -> AsyncIterator[bytes]:
    """Binary messages up to the text `end`. Raises RefusedError, 422, for another text."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", _DONE))
        if (piece := message.get("bytes")) is not None:
            yield piece
        elif message.get("text") == END:
            return
        else:
            raise RefusedError(422, f"message: expected sound in binary messages, or the text '{END}'.")


async def _send(socket: WebSocket, name: str, data: Mapping[str, Any]) -> None:
    async with asyncio.timeout(READ_SECONDS):
        await socket.send_text(json_bytes({"event": name, **data}).decode("ascii"))


async def refuse_socket(socket: WebSocket, refused: RefusedError, request_id: str) -> None:
    """Refuse a WebSocket that is not open yet with a status and a body; tell one that is, and close it."""
    said = refusal_json(refused, request_id)
    try:
        if socket.application_state is WebSocketState.CONNECTING:
            await socket.send_denial_response(answered(refused, request_id))
            return
        await _send(socket, "error", {**said, "status": refused.status})
        await socket.close({503: _LATER, 500: _FAILED}.get(refused.status, _REFUSED))
    except (RuntimeError, WebSocketDisconnect, TimeoutError):
        return  # it has gone
