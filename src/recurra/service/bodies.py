"""The body of a request: JSON in UTF-8, or a sentence that says what it is instead; and room for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from email.message import Message
from typing import Any

from starlette.datastructures import Headers

from recurra.service.errors import RefusedError, busy
from recurra.service.limits import LONGEST_NAME, Limits

# How much of a header's value is shown, and how many keys.
SHOWN, MOST_KEYS = 60, 5
CHARSETS = (None, "utf-8", "utf8", "us-ascii")


# What is not read to its end must not be taken for the next request.
CLOSING = {"Connection": "close"}


class Room:
    """Bytes for the bodies of all requests at once, each held until it is answered; one body fits by itself always."""

    def __init__(self, limits: Limits) -> None:
        self._most, self.held = max(limits.bodies_bytes, limits.body_bytes), 0

    @contextmanager
    def of_one(self) -> Iterator[Callable[[int], None]]:
        """For one body: called with its bytes as they come. Raises RefusedError, 503, where there is no room."""
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            self.refuse(size)
            mine += size
            self.held += size

        try:
            yield take
        finally:
            self.held -= mine

    def refuse(self, size: int) -> None:
        """Raise RefusedError, 503, where so many bytes do not fit now."""
        if self.held + size > self._most:
            refused = busy("the bodies of other requests fill the memory that there is for them; come again later.")
            raise RefusedError(refused.status, refused.problems, {**refused.headers, **CLOSING})


def refuse_unreadable(headers: Headers, body: bytes) -> None:
    """Raise RefusedError for what is no JSON object in UTF-8: 415 by the headers, 400 or 422 by the body.

    A form of another page can send a body without asking the browser's leave, but only as a form or as text: so no
    other type is taken for JSON, whatever the body holds.
    """
    if not body:
        return
    refuse_compressed(headers.get("content-encoding", ""))
    _refuse_other_types(headers.get("content-type"))
    if twice := _keys_given_twice(_text(body)):
        raise RefusedError(422, [f"{key[:LONGEST_NAME]}: the key is given twice in one object." for key in twice])


def refuse_compressed(coding: str) -> None:
    """Raise RefusedError, 415, for what Content-Encoding says of a body, but for nothing."""
    if coding.strip().lower() not in ("", "identity"):
        raise RefusedError(
            415,
            f"Content-Encoding: expected a body that is not compressed, got '{coding[:SHOWN]}'.",
            {"Accept-Encoding": "identity"},
        )


def _refuse_other_types(given: str | None) -> None:
    said = Message()
    said["content-type"] = given or ""
    kind = said.get_content_subtype() if said.get_content_maintype() == "application" else ""
    if given is None or not (kind == "json" or kind.endswith("+json")):
        got = "none" if given is None else f"'{given[:SHOWN]}'"
        raise RefusedError(
            415,
            f"Content-Type: expected application/json, got {got}; with curl: -H 'Content-Type: application/json'.",
        )
    charset = said.get_content_charset()
    if charset not in CHARSETS:
        raise RefusedError(415, f"Content-Type: expected JSON in UTF-8, got charset '{charset[:SHOWN]}'.")


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = body[error.start]
        sentence = f"the body is not UTF-8: byte 0x{byte:02x} at {error.start}. Send JSON in UTF-8."
        raise RefusedError(400, sentence) from None


def _keys_given_twice(text: str) -> list[str]:
    """Keys that stand more than once in one object. Raises RefusedError, 400, for what is no JSON."""
    twice: dict[str, None] = {}

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice.update(dict.fromkeys(_repeated(key for key, _ in pairs)))
        return found

    try:
        json.loads(text, object_pairs_hook=made)
    except json.JSONDecodeError as error:
        raise RefusedError(400, f"the body is no JSON: {error.msg} at character {error.pos}.") from None
    except RecursionError:
        raise RefusedError(400, "the body is no JSON that can be read: it is nested too deeply.") from None
    except ValueError:
        raise RefusedError(400, "the body is no JSON that can be read: a number has too many digits.") from None
    return list(twice)[:MOST_KEYS]


def _repeated(keys: Iterable[str]) -> Iterable[str]:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            yield key
        seen.add(key)
