"""Chat: replies of a run to what somebody says, turn by turn."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import fields
from typing import Any

import torch

from recurra.api.defaults import in_float32
from recurra.api.folder import OpenRun, opened
from recurra.api.given import AnyPath, text_of
from recurra.api.inference import device_of
from recurra.base.errors import ConfigError
from recurra.tasks import ChatOptions, Chats, Reply
from recurra.tasks.blank import emptiness

# Characters of a turn; turns that a chat remembers, and characters of all of them.
LONGEST_TURN, MOST_TURNS, LONGEST_TALK = 10_000, 100, 40_000


class Talk:
    """What was said, oldest first; older than the last MOST_TURNS turns, or LONGEST_TALK characters, is forgotten."""

    def __init__(self) -> None:
        self.turns: tuple[str, ...] = ()

    def keep(self, text: str, reply: Reply | None) -> None:
        """What was said, and the reply as far as it went. A turn that got none, or a refusal, is no part of it."""
        if reply is not None and reply.text.strip() and not reply.refused:
            self.turns = (*self.turns, text, reply.text)[-MOST_TURNS:]
        while sum(map(len, self.turns)) > LONGEST_TALK:
            self.turns = self.turns[2:]  # what was said, and its reply

    def forget(self) -> None:
        """Begin anew."""
        self.turns = ()


class Chat:
    """A run that replies. threshold: of nearness, under which it does not; None: it always does"""

    def __init__(self, run: OpenRun, task: Chats, how: ChatOptions, device: torch.device) -> None:
        self._run, self._task, self._how, self._device = run, task, how, device
        self.talk = Talk()

    @property
    def threshold(self) -> float | None:
        return None if self._how.always else self._task.threshold

    def say(self, text: str) -> Generator[Reply, None, None]:
        """The reply as it grows. Who stops reading keeps what was said until then. Raises ConfigError for no text."""
        text = turn_of(text)
        replies = in_float32(self._task.replies)
        return self._said(text, replies(self._run.model, [*self.talk.turns, text], self._how, self._device))

    def _said(self, text: str, replies: Iterator[Reply]) -> Generator[Reply, None, None]:
        last = None
        try:
            for last in replies:
                yield last
        finally:
            self.talk.keep(text, last)


@in_float32
def chat(
    run: AnyPath | OpenRun,
    *,
    temperature: float = 0.0,
    top_p: float | None = None,
    beam: int | None = None,
    seed: int = 0,
    always: bool = False,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
) -> Chat:
    """A chat with a run; options are those of `ChatOptions`.

    Raises ConfigError for an option out of its range or without effect on this run, or for a run that does not reply.
    """
    how = ChatOptions(temperature=temperature, top_p=top_p, beam=beam, seed=seed, always=always)
    trained = opened(run, cells)
    task = chatting(trained)
    refuse_idle(task, how)
    target = device_of(device)
    trained.model.to(target).eval()
    return Chat(trained, task, how, target)


def chatting(trained: OpenRun) -> Chats:
    """The task of a run that replies. Raises ConfigError for another."""
    if not isinstance(trained.task, Chats):
        name = trained.settings.tree["task"]["name"]
        raise ConfigError(
            f"{trained.folder.path}: is a run of task {name}, which does not reply; expected one that learned from "
            "conversations. `recurra predict` and `recurra generate` answer here."
        )
    return trained.task


def refuse_idle(task: Chats, how: ChatOptions) -> None:
    """Raise ConfigError, a sentence each, for options that have no effect on this task."""
    usual: Any = ChatOptions()
    given = [one.name for one in fields(how) if getattr(how, one.name) != getattr(usual, one.name)]
    problems = [
        f"{name}: has no effect, as this run chooses a reply and writes none; leave it out."
        for name in given
        if name not in task.chat_options
    ]
    if how.always and task.threshold is None:
        problems.append("always: has no effect, as this run has no threshold, and always replies; leave it out.")
    if problems:
        raise ConfigError(problems)


def turn_of(text: str) -> str:
    """What was said. Raises ConfigError for what is no text, blank, or longer than a turn may be."""
    text = text_of(text, "text")
    if wrong := emptiness(text):
        raise ConfigError(f"text: {wrong}, expected something to reply to.")
    if len(text) > LONGEST_TURN:
        raise ConfigError(f"text: has {len(text):,} characters, expected {LONGEST_TURN:,} at most.")
    return text
