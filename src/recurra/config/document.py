"""A config file as a plain tree, with the line of every key. Knows YAML, and no option."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recurra.base.errors import ConfigError
from recurra.base.normal import name_of
from recurra.base.shell import as_word
from recurra.config.scalars import parse_plain, shown

KeyPath = tuple[str, ...]

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
# Of files that are no config, as their names say.
DATA_ENDINGS = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".txt", ".conll", ".conllu"})
_FROM_COMMAND_LINE = 0
# Where libyaml's parser and that of PyYAML itself take a text differently: tabs and marks of byte order, tags, question
# marks in a list, the line ends that only Unicode has, a comment that touches `|` or `>` or a directive.
_DIFFERS = re.compile("[\t\ufeff!?\x85\u2028\u2029]|[|>][-+0-9]*#|^%", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. line: 1-based in the file, 0 for `--set`, None where the file has no such place."""

    line: int | None
    sentence: str

    @property
    def order(self) -> tuple[bool, int]:
        """Problems sort by line, those of the command line last."""
        return self.line == _FROM_COMMAND_LINE, self.line or 0


@dataclass(frozen=True, slots=True)
class Document:
    """What a config file says. lines: the line of each key, as a tuple of words; 0 where `--set` put it."""

    name: str
    tree: Mapping[str, Any]
    lines: Mapping[KeyPath, int]
    problems: tuple[Problem, ...] = ()

    def problem(self, path: KeyPath, message: str) -> Problem:
        """`message` with the place of `path` in front: `config.yaml:7: model.cell: ...` or `--set model.cell: ...`."""
        line = self.line(path)
        return Problem(line, f"{_place(self.name, line)}{_dotted(path)}: {message}")

    def line(self, path: KeyPath) -> int | None:
        """The line of `path`, or of the nearest key around it."""
        return next((self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), None)


def load(path: Path | str) -> Document:
    """Read a YAML file.

    Raises ConfigError if it is missing, a folder, over 1 MiB, not UTF-8, not YAML, or not a map of sections.
    Anchors, aliases and tags are refused: a config is plain data, and a small file stays small.
    """
    name = str(path)
    data = _read(Path(path), name)
    if Path(name.removesuffix(".gz")).suffix.lower() in DATA_ENDINGS:
        raise ConfigError(
            f"{name}: is data, and a config is expected. Write one for it first: `recurra init TASK {as_word(name)} -o "
            "config.yaml`, with what is to be learned in the place of TASK, e.g. classification or tagging."
        )
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{name}: larger than {MAX_BYTES >> 20} MiB; a config file is a few kilobytes.")
    return parse_bytes(data, name)


def parse_bytes(data: bytes, name: str) -> Document:
    """The document that the bytes of a file hold. Raises ConfigError, as `load` does."""
    try:
        return parse(data.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{name}:{line}: not UTF-8: byte 0x{data[error.start]:02x}. Save the file as UTF-8."
        ) from None


def parse(text: str, name: str = "config") -> Document:
    """The document that `text` holds; `name` stands for the file in messages. Raises ConfigError, as `load` does."""
    builder, tree = _built_by_libyaml(text, name) or _built(text, name)
    if not isinstance(tree, dict):
        got = "nothing" if tree is None else shown(tree)
        raise ConfigError(f"{name}: expected a map of sections (`task: ...`, `model: ...`), got {got}.")
    return Document(name, tree, builder.lines, tuple(builder.problems))


def _built_by_libyaml(text: str, name: str) -> tuple[_Builder, Any] | None:
    """The tree, in a tenth of the time; None where `_built` is to decide, or to say what is wrong."""
    if not yaml.__with_libyaml__ or _DIFFERS.search(text):
        return None
    try:
        builder = _Builder(name, yaml.parse(text, Loader=yaml.CSafeLoader))
        return builder, builder.document()
    except (yaml.YAMLError, ConfigError, UnicodeEncodeError):
        return None


def _built(text: str, name: str) -> tuple[_Builder, Any]:
    try:
        builder = _Builder(name, yaml.parse(text, Loader=yaml.SafeLoader))
        return builder, builder.document()
    except yaml.YAMLError as error:
        raise ConfigError(_syntax(name, text, error)) from None


def document_of(tree: Mapping[str, Any], name: str = "config") -> Document:
    """A dict of sections as the document of a file that says the same; `name` stands for the file in messages.

    Raises ConfigError for a key that is no text, a value that no file holds, or more than 20 levels.
    """
    return Document(name, _plain_map(tree, (), name), {})


def override(document: Document, settings: Iterable[str]) -> Document:
    """The document with `dotted.key=value` settings put in; values are YAML (`512`, `null`, `[a, b]`, `{spam: 2}`).

    A setting below a component's short form opens it: `optimizer: adam` with `optimizer.lr=0.1` becomes
    `{name: adam, lr: 0.1}`. An unknown key is found by `resolve`. Raises ConfigError for what is no setting at all.
    """
    tree, lines = _copy(document.tree), dict(document.lines)
    for setting in settings:
        path, value = _setting(setting)
        _put(tree, path, value, setting)
        lines = {known: line for known, line in lines.items() if known[: len(path)] != path}
        lines[path] = _FROM_COMMAND_LINE
    return Document(document.name, tree, lines, document.problems)


def _read(path: Path, name: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{name}: no such file. `recurra init TASK FILE -o {name}` writes a config.") from None
    except IsADirectoryError:
        raise ConfigError(f"{name}: expected a config file, got a folder.") from None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}.") from None


class _Builder:
    """Turns YAML events into a tree; one pass, bounded depth, keys are text: names of options, or of labels."""

    def __init__(self, name: str, events: Iterator[Any]) -> None:
        self.name = name
        self.events = events
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []

    def document(self) -> Any:
        """The only document of the stream, or None for an empty one."""
        start = self._skip_to(yaml.DocumentStartEvent, yaml.StreamEndEvent)
        if isinstance(start, yaml.StreamEndEvent):
            return None
        tree = self.value(next(self.events), ())
        end = self._skip_to(yaml.DocumentStartEvent, yaml.StreamEndEvent)
        if isinstance(end, yaml.DocumentStartEvent):
            self._refuse(end, "a second document begins ('---'); expected one per file.")
        return tree

    def value(self, event: Any, path: KeyPath) -> Any:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._refuse(
                event, "anchors (&) and aliases (*) are not supported. Write the value out, or put it in quotes."
            )
        if event.tag is not None:
            self._refuse(event, f"tags are not supported: '{event.tag}'. Write the plain value, or put it in quotes.")
        if len(path) > MAX_DEPTH:
            self._refuse(event, f"nested more than {MAX_DEPTH} levels deep.")
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path)
        return parse_plain(event.value) if event.implicit[0] else event.value

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse(event, "a key is a single word; got a list or a map. Quote text that begins with [ or {.")
            key, line = name_of(event.value), event.start_mark.line + 1
            value = self.value(next(self.events), (*path, key))
            if key in tree:
                self._duplicate((*path, key), line)
            else:
                tree[key], self.lines[*path, key] = value, line
        return tree

    def sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.value(event, (*path, str(len(items)))))
        return items

    def _duplicate(self, path: KeyPath, line: int) -> None:
        first = self.lines[path]
        sentence = f"{_place(self.name, line)}{_dotted(path)}: given twice; first in line {first}. Remove one."
        self.problems.append(Problem(line, sentence))

    def _skip_to(self, *kinds: type) -> Any:
        return next(event for event in self.events if isinstance(event, kinds))

    def _refuse(self, event: Any, message: str) -> None:
        sentence = f"{_place(self.name, event.start_mark.line + 1)}{message}"
        raise ConfigError([*(p.sentence for p in self.problems), sentence])


def _syntax(name: str, text: str, error: yaml.YAMLError) -> str:
    """A parser's error as one sentence with its line."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"{name}:{line}: character U+{ord(text[error.position]):04X} is not allowed in a config file."
    assert isinstance(error, yaml.MarkedYAMLError)
    mark = error.problem_mark or error.context_mark
    assert mark is not None
    lines = text.splitlines()
    line_text = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line_text[: len(line_text) - len(line_text.lstrip())]:
        return f"{name}:{mark.line + 1}: a tab cannot indent YAML. Use spaces."
    context = f" {error.context}" if error.context else ""
    return f"{name}:{mark.line + 1}: not valid YAML: {error.problem}{context} (column {mark.column + 1})."


def _setting(setting: str) -> tuple[KeyPath, Any]:
    key, equals, value = setting.partition("=")
    path = tuple(map(name_of, key.strip().split(".")))
    if not equals or not all(path) or not value.strip() or "\n" in value or len(path) > MAX_DEPTH:
        raise ConfigError(f"--set {setting}: expected dotted.key=value, for example --set training.epochs=20.")
    document = parse(f"value: {value.strip()}", f"--set {setting}")
    if document.problems:
        raise ConfigError(problem.sentence for problem in document.problems)
    return path, document.tree["value"]


def _put(tree: dict[str, Any], path: KeyPath, value: Any, setting: str) -> None:
    for depth, key in enumerate(path[:-1], start=1):
        below = tree.get(key)
        if isinstance(below, str):
            below = {"name": below}
        if not isinstance(below, dict | None):
            raise ConfigError(f"--set {setting}: {_dotted(path[:depth])} is {shown(below)}, and has no options inside.")
        tree[key] = tree = below or {}
    tree[path[-1]] = value


def _plain_map(tree: Mapping[Any, Any], path: KeyPath, name: str) -> dict[str, Any]:
    for key in tree:
        if not isinstance(key, str):
            raise ConfigError(f"{name}: {_dotted(path) or 'a section'}: expected keys that are text, got {shown(key)}.")
    return {key: _plain(value, (*path, key), name) for key, value in tree.items()}


def _plain(value: Any, path: KeyPath, name: str) -> Any:
    """A value as a file would give it: a path is text, a tuple a list."""
    if len(path) > MAX_DEPTH:
        raise ConfigError(f"{name}: {_dotted(path[:3])}...: nested more than {MAX_DEPTH} levels deep.")
    if isinstance(value, Mapping):
        return _plain_map(value, path, name)
    if isinstance(value, list | tuple):
        return [_plain(item, (*path, str(number)), name) for number, item in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, str | int | float | bool | None):
        return value
    raise ConfigError(
        f"{name}: {_dotted(path)}: expected text, a number, true, false, null, a list or a map, got "
        f"{type(value).__name__}."
    )


def _copy(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in tree.items()}


def _place(name: str, line: int | None) -> str:
    if line == _FROM_COMMAND_LINE:
        return "--set "
    return f"{name}: " if line is None else f"{name}:{line}: "


def _dotted(path: KeyPath) -> str:
    return ".".join(path)
