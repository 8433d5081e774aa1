"""An answer as it grows: server-sent events, a token each."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from recurra.api.generating import generate, suggester
from recurra.base.contracts import Listener, Origin, Record
from recurra.base.errors import RecurraError
from recurra.base.words import counted
from recurra.service.deadline import Deadline, DeadlineExceededError, DeadlineModel
from recurra.service.errors import RefusedError, json_bytes, refusal_json, refusal_of
from recurra.service.limits import Limits
from recurra.service.models import LoadedModel
from recurra.service.worker import Worker
from recurra.tasks import Generates, Streams, Suggester, Suggests
from recurra.tasks.blank import blank_warnings
from recurra.tasks.options import refuse_options

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Grown:
    """An answer after one more token. is_rest: whether `text` is what was added, and not the whole"""

    text: str
    is_rest: bool


def can_generate(served: LoadedModel) -> bool:
    """Whether the run's task answers token by token."""
    return isinstance(served.run.task, Generates | Streams)


def can_suggest(served: LoadedModel) -> bool:
    """Whether the run's task suggests words."""
    return isinstance(served.run.task, Suggests)


def growing(
    served: LoadedModel, text: str, options: Options, deadline: Deadline, listener: Listener
) -> Iterator[Grown]:
    """The answer to a text as it grows. Raises what the task raises, ConfigError for options that it does not have."""
    task: Any = served.run.task
    model: Any = DeadlineModel(served.run.model, deadline)
    if isinstance(task, Generates):
        run = replace(served.run, model=model)
        pieces = generate(run, text, **options, device=str(served.device), watch=listener)
        return (Grown(piece.text, is_rest=True) for piece in pieces)
    refuse_options(options, served.word, ())
    example = task.example(Record({served.input_field: text}, Origin("text")), gold=False)
    for message in blank_warnings([example]):
        listener.note(message)
    return (Grown(so_far, is_rest=False) for so_far in task.stream(model, example, served.device))


class Notes:
    """Keeps what a person should know."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def note(self, message: str) -> None:
        """One sentence."""
        self.sentences.append(message)


class Stream:
    """Runs a growing answer in the worker, one token at a time, so that others have their turn between two."""

    def __init__(self, worker: Worker, limits: Limits) -> None:
        self._worker = worker
        self._limits = limits

    async def begin(self, served: LoadedModel, text: str, options: Options, request_id: str) -> AsyncIterator[bytes]:
        """The events of an answer. What is wrong with the request is raised now, before an answer begins."""
        notes, deadline = Notes(), Deadline(time.monotonic() + self._limits.seconds)

        def first() -> tuple[Iterator[Grown], Grown | None]:
            answer = _in_time(growing(served, text, options, deadline, notes), deadline)
            return answer, next(answer, None)

        answer, grown = await self._worker.ask(first)
        return self._events(answer, grown, notes, request_id)

    async def _events(
        self, answer: Iterator[Grown], grown: Grown | None, notes: Notes, request_id: str
    ) -> AsyncIterator[bytes]:
        """`token` events with what was added (`piece`) or the whole text, where its end has changed; then `done`.

        An answer that fails on its way ends with an `error` event.
        """
        whole = ""
        number = 0
        try:
            while grown is not None:
                number += 1
                if grown.is_rest or grown.text.startswith(whole):
                    piece = grown.text if grown.is_rest else grown.text[len(whole) :]
                    whole += piece
                    yield event("token", {"piece": piece})
                else:
                    whole = grown.text
                    yield event("token", {"text": whole})
                grown = await self._worker.run(lambda: next(answer, None))
            yield event("done", {"text": whole, "tokens": number, "notes": notes.sentences})
        except RecurraError as error:
            yield event("error", refusal_json(refusal_of(error), request_id))
        except DeadlineExceededError:
            late = RefusedError(
                504,
                f"took longer than {self._limits.seconds:g} s; {counted(number, 'token was', 'tokens were')} written.",
            )
            yield event("error", refusal_json(late, request_id))


def _in_time(answer: Iterator[Grown], deadline: Deadline) -> Iterator[Grown]:
    """The same, until the deadline: a task need not ask the model by a call that looks at the clock."""
    for grown in answer:
        yield grown
        deadline.check()


class Suggesters:
    """What suggests words, one for each run that does; it keeps what it has read of the last text."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[LoadedModel, Suggester]] = {}

    def suggest(self, served: LoadedModel, text: str, number: int) -> list[dict[str, Any]]:
        """Words with their probabilities, best first; in the worker's thread."""
        made = self._made.get(served.name)
        if made is None or made[0] is not served:
            made = self._made[served.name] = served, suggester(served.run, device=str(served.device))
        try:
            found = made[1].suggest(text, number)
        except BaseException:
            self.forget(served.name)  # given up on its way, it has read nobody knows how much of the text
            raise
        return [{"word": one.word, "probability": one.probability} for one in found]

    def forget(self, name: str) -> None:
        """Let go of a run's network, which another has replaced."""
        self._made.pop(name, None)


def event(name: str, data: Mapping[str, Any]) -> bytes:
    """One server-sent event; JSON in ASCII has no line ends."""
    return b"event: " + name.encode() + b"\ndata: " + json_bytes(data) + b"\n\n"
