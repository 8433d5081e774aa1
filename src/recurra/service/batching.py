"""Requests that come at the same time share a batch; no answer depends on who else is in it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from recurra.api.inference import BATCH_ROWS, outputs
from recurra.base.contracts import Record
from recurra.data.fields import FIELD_KINDS, TEXT
from recurra.service.deadline import Deadline, DeadlineExceededError, DeadlineModel
from recurra.service.errors import late
from recurra.service.limits import Limits
from recurra.service.models import LoadedModel
from recurra.service.worker import Worker
from recurra.tasks import Task
from recurra.tasks.options import task_with

# Characters (or tokens of a list) of one request that are answered before others have their turn.
TURN = 8_000


@dataclass(frozen=True, slots=True)
class Answers:
    """A plain dict for each record of a request, in order, and what a person should know beside them."""

    rows: list[dict[str, Any]]
    notes: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Question:
    """One request. task: as it answers with `options`; since: when it came, in seconds of `time.monotonic`.

    parts: what is not answered yet, a turn's work each        examples, said: of the parts that are answered
    """

    served: LoadedModel
    task: Task
    options: Mapping[str, Any]
    parts: deque[Sequence[Record]]
    answer: asyncio.Future[Answers]
    since: float = field(default_factory=time.monotonic)
    examples: list[Any] = field(default_factory=list)
    said: list[Any] = field(default_factory=list)

    @property
    def kind(self) -> object:
        """What questions of one batch have in common."""
        return self.served, sorted(self.options.items())

    @property
    def rows(self) -> int:
        """Records of its next turn."""
        return len(self.parts[0])


class Batcher:
    """A queue of questions before the worker.

    While the worker is idle, a question waits up to `limits.delay` seconds for others; while it computes, those that
    come meanwhile make the next batch. One with much text has a turn for each part of it, and goes to the end of the
    queue between two. rows: called with the number of records in each batch.
    """

    def __init__(self, worker: Worker, limits: Limits, rows: Callable[[int], None] = lambda number: None) -> None:
        self._worker = worker
        self._limits = limits
        self._rows = rows
        self._waiting: deque[Question] = deque()
        self._arrived = asyncio.Event()
        worker.count(lambda: self.waiting)

    @property
    def waiting(self) -> int:
        """Questions in the queue that somebody waits for."""
        return sum(not one.answer.done() for one in self._waiting)

    @property
    def is_stuck(self) -> bool:
        """Whether the oldest question has waited longer than any may."""
        return bool(self._waiting) and time.monotonic() - self._waiting[0].since > self._limits.seconds

    async def ask(self, served: LoadedModel, options: Mapping[str, Any], records: Sequence[Record]) -> Answers:
        """The answers to one request.

        Raises RefusedError: 503 for a full queue, 504 after `limits.seconds`; else what the task raises.
        """
        task = task_with(served.run.task, options, served.word)
        self._worker.refuse_more()
        future: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self._waiting.append(Question(served, task, options, turns(served, records), future))
        self._arrived.set()
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await future
        except (TimeoutError, DeadlineExceededError):
            raise late(self._limits.seconds) from None

    async def serve(self) -> None:
        """Answer for ever; cancelled at the end."""
        self._arrived = asyncio.Event()  # of this event loop
        while True:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            wait = self._waiting[0].since + self._limits.delay - time.monotonic()
            if wait > 0 and sum(one.rows for one in self._waiting) < BATCH_ROWS:
                await asyncio.sleep(wait)
            if batch := self._next():
                self._rows(sum(one.rows for one in batch))
                await self._worker.run(partial(_answer, batch, self._limits.seconds))
                self._waiting += [one for one in batch if one.parts]

    def _next(self) -> list[Question]:
        """The first question and all of its kind that fit beside it; those that nobody waits for any more go."""
        living = [one for one in self._waiting if not one.answer.done()]
        taken: list[Question] = []
        rows = 0
        for one in living:
            if not taken or (one.kind == taken[0].kind and rows + one.rows <= BATCH_ROWS):
                taken.append(one)
                rows += one.rows
        self._waiting = deque(one for one in living if all(one is not other for other in taken))
        return taken


def turns(served: LoadedModel, records: Sequence[Record]) -> deque[Sequence[Record]]:
    """Records in groups of at most TURN characters (of numbers: numbers), but of one record at least."""
    kinds = {one.name: FIELD_KINDS[one.kind] for one in served.inputs}
    parts: deque[Sequence[Record]] = deque()
    some: list[Record] = []
    size = 0
    for record in records:
        more = sum(kinds.get(name, TEXT).size(value) for name, value in record.fields.items())
        if some and size + more > TURN:
            parts.append(some)
            some, size = [], 0
        some.append(record)
        size += more
    parts.append(some)
    return parts


def _answer(batch: Sequence[Question], seconds: float) -> None:
    """Answer the next part of questions of one kind; in the worker's thread.

    If that fails, each is asked alone and fails alone.
    """
    try:
        _take_turn(batch, seconds)
    except Exception as error:  # noqa: BLE001 - handed to those who asked
        if len(batch) > 1:
            for one in batch:
                _answer([one], seconds)
            return
        batch[0].parts.clear()
        _tell(batch[0], error)


def _take_turn(batch: Sequence[Question], seconds: float) -> None:
    served, task = batch[0].served, batch[0].task
    examples = [[task.example(record, gold=False) for record in one.parts[0]] for one in batch]
    deadline = Deadline(max(one.since for one in batch) + seconds, lambda: any(not one.answer.done() for one in batch))
    model: Any = DeadlineModel(served.run.model, deadline)
    found = iter(outputs(model, task, [e for some in examples for e in some], device=served.device))
    for one, some in zip(batch, examples, strict=True):
        one.examples += some
        one.said += [next(found) for _ in some]
        one.parts.popleft()
        if not one.parts:
            rows = [answer.to_dict() for answer in map(task.answer, one.examples, one.said)]
            _tell(one, Answers(rows, task.warnings(one.said, one.examples)))


def _tell(question: Question, result: Answers | Exception) -> None:
    """Hand a result to the event loop, where it is waited for."""
    question.answer.get_loop().call_soon_threadsafe(_settle, question.answer, result)


def _settle(future: asyncio.Future[Answers], result: Answers | Exception) -> None:
    if future.done():  # who asked has gone
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
