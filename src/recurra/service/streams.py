"""An answer as it grows: server-sent events, a token each."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from recurra.base.contracts import Origin, Record
from recurra.base.errors import RecurraError
from recurra.service.limits import Limits
from recurra.service.log import Log
from recurra.service.patience import Deadline, GivenUpError, Patient
from recurra.service.refusals import RefusedError, json_bytes, refusal_json, refusal_of
from recurra.service.served import Served
from recurra.service.worker import Worker

# An answer's text after each token.
Growing = Iterator[str]


def can_generate(served: Served) -> bool:
    """Whether the run's task answers token by token."""
    return hasattr(served.run.task, "spoken")


def spoken(served: Served, text: str, deadline: Deadline) -> Growing:
    """The answer to a text as it grows. Raises what the task raises."""
    task: Any = served.run.task
    example = task.example(Record({served.input_field: text}, Origin("text")), gold=False)
    growing: Growing = task.spoken(Patient(served.run.model, deadline), example, served.device)
    return growing


class Stream:
    """Runs a growing answer in the worker, one token at a time, so that others have their turn between two."""

    def __init__(self, worker: Worker, limits: Limits, log: Log) -> None:
        self._worker = worker
        self._limits = limits
        self._log = log

    async def begin(self, start: Callable[[Deadline], Growing]) -> tuple[Growing, str | None]:
        """The iterator and its first text, None where it has none: a mistake is found before an answer begins."""
        deadline = Deadline(time.monotonic() + self._limits.seconds)

        def first() -> tuple[Growing, str | None]:
            growing = start(deadline)
            return growing, next(growing, None)

        return await self._worker.run(first)

    async def events(self, growing: Growing, text: str | None, request_id: str) -> AsyncIterator[bytes]:
        """`token` events with what was added (`piece`) or the whole text, where its end has changed; then `done`.

        An answer that fails on its way ends with an `error` event.
        """
        before = ""
        number = 0
        try:
            while text is not None:
                number += 1
                added = text.startswith(before)
                yield event("token", {"piece": text[len(before) :]} if added else {"text": text})
                before = text
                text = await self._worker.run(lambda: next(growing, None))
            yield event("done", {"text": before, "tokens": number})
        except RecurraError as error:
            yield event("error", refusal_json(refusal_of(error), request_id))
        except GivenUpError:
            late = RefusedError(504, f"took longer than {self._limits.seconds:g} s; {number} tokens were written.")
            yield event("error", refusal_json(late, request_id))


def event(name: str, data: Mapping[str, Any]) -> bytes:
    """One server-sent event; JSON in ASCII has no line ends."""
    return b"event: " + name.encode() + b"\ndata: " + json_bytes(data) + b"\n\n"
