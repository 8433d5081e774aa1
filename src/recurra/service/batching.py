"""Requests that come at the same time share a batch; no answer depends on who else is in it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recurra.api.answering import BATCH_ROWS, outputs
from recurra.base.contracts import Record
from recurra.service.limits import Limits
from recurra.service.patience import Deadline, GivenUpError, Patient
from recurra.service.refusals import busy, late
from recurra.service.served import Served
from recurra.service.worker import Worker
from recurra.tasks import Task


@dataclass(frozen=True, slots=True)
class Answers:
    """A plain dict for each record of a request, in order, and what a person should know beside them."""

    rows: list[dict[str, Any]]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One request. task: as it answers with `options`; since: when it came, in seconds of `time.monotonic`."""

    served: Served
    task: Task
    options: Mapping[str, Any]
    records: Sequence[Record]
    answer: asyncio.Future[Answers]
    since: float = field(default_factory=time.monotonic)

    @property
    def kind(self) -> object:
        """What questions of one batch have in common."""
        return self.served.name, sorted(self.options.items())


class Batcher:
    """A queue of questions before the worker.

    While the worker is idle, a question waits up to `limits.delay` seconds for others; while it computes, those that
    come meanwhile make the next batch. rows: called with the number of records in each batch.
    """

    def __init__(self, worker: Worker, limits: Limits, rows: Callable[[int], None] = lambda number: None) -> None:
        self._worker = worker
        self._limits = limits
        self._rows = rows
        self._waiting: deque[Question] = deque()
        self._arrived = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Questions in the queue."""
        return len(self._waiting)

    @property
    def is_stuck(self) -> bool:
        """Whether the oldest question has waited longer than any may."""
        return bool(self._waiting) and time.monotonic() - self._waiting[0].since > self._limits.seconds

    async def ask(self, served: Served, options: Mapping[str, Any], records: Sequence[Record]) -> Answers:
        """The answers to one request.

        Raises RefusedError: 503 for a full queue, 504 after `limits.seconds`; else what the task raises.
        """
        task = served.run.task.asking(options)
        if len(self._waiting) >= self._limits.waiting:
            raise busy(f"{len(self._waiting)} requests wait already; come again later.")
        question = Question(served, task, options, records, asyncio.get_running_loop().create_future())
        self._waiting.append(question)
        self._arrived.set()
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await question.answer
        except (TimeoutError, GivenUpError):
            raise late(self._limits.seconds) from None

    async def serve(self) -> None:
        """Answer for ever; cancelled at the end."""
        self._arrived = asyncio.Event()  # of this event loop
        while True:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            late = self._waiting[0].since + self._limits.delay - time.monotonic()
            if late > 0 and sum(len(one.records) for one in self._waiting) < BATCH_ROWS:
                await asyncio.sleep(late)
            batch = self._next()
            if batch:
                self._rows(sum(len(one.records) for one in batch))
                await self._worker.run(lambda batch=batch: _answer(batch, self._limits.seconds))  # type: ignore[misc]

    def _next(self) -> list[Question]:
        """The first question and all of its kind that fit beside it; those that nobody waits for any more go."""
        living = [one for one in self._waiting if not one.answer.done()]
        taken: list[Question] = []
        rows = 0
        for one in living:
            if not taken or (one.kind == taken[0].kind and rows + len(one.records) <= BATCH_ROWS):
                taken.append(one)
                rows += len(one.records)
        self._waiting = deque(one for one in living if all(one is not other for other in taken))
        return taken


def _answer(batch: Sequence[Question], seconds: float) -> None:
    """Answer questions of one kind; in the worker's thread. If that fails, each is asked alone and fails alone."""
    try:
        results: Sequence[Answers | Exception] = _answers(batch, seconds)
    except Exception as error:  # noqa: BLE001 - handed to those who asked
        results = [error] if len(batch) == 1 else [_alone(one, seconds) for one in batch]
    for one, result in zip(batch, results, strict=True):
        one.answer.get_loop().call_soon_threadsafe(_settle, one.answer, result)


def _alone(question: Question, seconds: float) -> Answers | Exception:
    try:
        return _answers([question], seconds)[0]
    except Exception as error:  # noqa: BLE001 - handed to who asked
        return error


def _answers(batch: Sequence[Question], seconds: float) -> list[Answers]:
    served, task = batch[0].served, batch[0].task
    examples = [[task.example(record, gold=False) for record in one.records] for one in batch]
    deadline = Deadline(max(one.since for one in batch) + seconds, lambda: any(not one.answer.done() for one in batch))
    model: Any = Patient(served.run.model, deadline)
    found = iter(outputs(model, task, [e for some in examples for e in some], device=served.device))
    answers = []
    for some in examples:
        said = [next(found) for _ in some]
        answers.append(Answers(list(map(task.answer, some, said)), task.remarks(said, some)))
    return answers


def _settle(future: asyncio.Future[Answers], result: Answers | Exception) -> None:
    if future.done():  # who asked has gone
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
