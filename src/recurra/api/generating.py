"""Generate and suggest: what a model writes after a text or a piece of music, and which word is being typed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from recurra.api.callbacks import NoCallback
from recurra.api.defaults import in_float32
from recurra.api.folder import OpenRun, opened
from recurra.api.given import AnyPath, text_of
from recurra.api.inference import device_of
from recurra.base.contracts import Listener
from recurra.base.errors import ConfigError
from recurra.tasks import (
    Generates,
    GenerationOptions,
    NamesUnknown,
    Piece,
    Plays,
    SuggestedWord,
    Suggester,
    Suggests,
    WritesFromCodes,
)

MOST_TEXTS = 1000


@in_float32
def generate(
    run: AnyPath | OpenRun,
    prompt: str = "",
    *,
    length: int = 200,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    num: int = 1,
    stop: str | None = None,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    watch: Listener | None = None,
) -> Iterator[Piece]:
    """What follows a prompt, as it is written: `num` texts, one after the other.

    length: tokens of a text, at most, or chords of a piece        seed: the same one, the same texts
    temperature: 0 takes the most probable token; else see `recurra.decode.Draw`, as for top_k and top_p
    stop: a text ends before this        prompt: a text to continue; "" begins a document
    Music is written as chords, and knows neither top_k, top_p nor stop.
    Raises ConfigError, at once, for an option out of its range or a run that does not write.
    """
    trained, prompt = _opened(run, cells, device), text_of(prompt, "prompt")
    if not (type(num) is int and 1 <= num <= MOST_TEXTS):
        raise ConfigError(f"num: expected a whole number from 1 to {MOST_TEXTS:,}, got {num!r}.")
    writer = _generating(trained).writer(trained.model)
    how = GenerationOptions(length=length, temperature=temperature, top_k=top_k, top_p=top_p, stop=stop, seed=seed)
    texts = [writer.write(prompt, replace(how, number=number)) for number in range(num)]
    _note_unknown(trained, prompt, watch or NoCallback())
    return chain.from_iterable(texts)


@in_float32
def suggester(run: AnyPath | OpenRun, *, device: str = "auto", cells: Iterable[AnyPath] = ()) -> Suggester:
    """An object that suggests words while somebody types; it keeps what it has read. Raises ConfigError."""
    trained = _opened(run, cells, device)
    return _suggesting(trained).suggester(trained.model)


@in_float32
def suggest(
    run: AnyPath | OpenRun,
    prompt: str,
    number: int = 5,
    *,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    watch: Listener | None = None,
) -> Sequence[SuggestedWord]:
    """The most probable words at the end of a text: those that the word there may become, or that may follow."""
    trained, prompt = _opened(run, cells, device), text_of(prompt, "prompt")
    found = _suggesting(trained).suggester(trained.model)
    _note_unknown(trained, prompt[: len(prompt) - len(prompt.split(" ")[-1])], watch or NoCallback())
    return found.suggest(prompt, number)


@in_float32
def midi(run: AnyPath | OpenRun, text: str, *, cells: Iterable[AnyPath] = ()) -> bytes:
    """A MIDI file of what a run has written: of chords, where its texts or rows are, else of a tune in ABC notation.

    Raises DataError if there is neither, ConfigError where symusic is not installed.
    """
    trained = opened(run, cells)
    task = trained.task if isinstance(trained.task, Plays) else _generating(trained)
    if not isinstance(task, Plays):
        raise _other(trained, "music, or another whose answers can be played.")
    return task.midi(text_of(text, "text"))


def _opened(run: AnyPath | OpenRun, cells: Iterable[AnyPath], device: str) -> OpenRun:
    trained = opened(run, cells)
    trained.model.to(device_of(device))
    return trained


def _generating(trained: OpenRun) -> Generates:
    if isinstance(trained.task, WritesFromCodes):
        raise ConfigError(f"{trained.folder.path}: writes from codes, and not behind a prompt; use generate_rows.")
    if not isinstance(trained.task, Generates):
        raise _other(trained, "language_model, or another that writes. Use `recurra predict` here.")
    return trained.task


def _suggesting(trained: OpenRun) -> Suggests:
    if not isinstance(trained.task, Suggests):
        raise _other(trained, "language_model, which suggests words.")
    return trained.task


def _other(trained: OpenRun, expected: str) -> ConfigError:
    name = trained.settings.tree["task"]["name"]
    return ConfigError(f"{trained.folder.path}: is a run of task {name}, expected one of task {expected}")


def _note_unknown(trained: OpenRun, prompt: str, watch: Listener) -> None:
    if isinstance(trained.task, NamesUnknown) and (unknown := trained.task.unknown_in(prompt)):
        shown = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        watch.note(f"the prompt holds tokens that training never saw, which are read as unknown: {shown}.")
