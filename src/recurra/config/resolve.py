"""A document against a schema: every default written out, or every mistake at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.base.errors import ConfigError, did_you_mean
from recurra.base.option import OneOf, Opt
from recurra.config.aliases import is_prefixed, ours
from recurra.config.build import Section, sentences
from recurra.config.document import Document, KeyPath, Problem
from recurra.config.options import Option
from recurra.config.scalars import shown
from recurra.config.schema import Fixed, Schema
from recurra.config.values import MisfitError, UnknownWordError, fit, unknown, words

_WRONG = object()


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """A config with nothing left open, equal to itself alone: what follows from it is remembered by it.

    tree: section -> options, plain values; a component's word is its `name`
    """

    tree: Mapping[str, Mapping[str, Any]]
    document: Document

    def section(self, name: str) -> Section:
        """The section as `build` takes it; it remembers its lines, for errors that a constructor finds."""
        return Section(self.tree[name], (name,), self.document)


@dataclass(frozen=True, slots=True)
class Check:
    """A rule that no single option shows. `run` raises ValueError; it runs if `sections` hold no mistake so far.

    A message that begins with an option of the first section and a colon is put at that option's line.
    """

    sections: tuple[str, ...]
    run: Callable[[Resolved], object]


# Unknown keys of one map that are named.
MOST_UNKNOWN = 10


def resolve(document: Document, schema: Schema, checks: Sequence[Check] = ()) -> Resolved:
    """Check every key of `document`, and write every default out.

    Raises ConfigError with all mistakes, sorted by line: unknown sections and options, missing ones, wrong kinds and
    bounds, unknown words, keys given twice, and what `checks` find in the sections that are otherwise right.
    """
    mistakes = _Mistakes(document)
    mistakes.unknown_keys((), document.tree, schema.sections, schema)
    tree = {name: _section(name, section, schema, mistakes) for name, section in schema.sections.items()}
    resolved = Resolved(tree, document)
    for check in checks:
        if not mistakes.touch(check.sections):
            mistakes.collect(check, resolved)
    if mistakes.problems:
        raise ConfigError(p.sentence for p in sorted(mistakes.problems, key=lambda problem: problem.order))
    return resolved


class _Mistakes:
    """Collects problems of one document, and knows which sections have any."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = list(document.problems)
        self._sections: set[str] = set()

    def add(self, path: KeyPath, message: str) -> None:
        self.problems.append(self.document.problem(path, message))
        self._sections.add(path[0])

    def touch(self, sections: Iterable[str]) -> bool:
        return not self._sections.isdisjoint(sections)

    def unknown_keys(self, path: KeyPath, given: Mapping[str, Any], known: Iterable[str], schema: Schema) -> None:
        """Name the keys of `given` that are not known, with where each belongs or its nearest neighbour.

        Only the first ones: who has many has another file.
        """
        known = list(known)
        unknown_keys = [key for key in given if key not in known]
        if len(unknown_keys) > MOST_UNKNOWN:
            more = len(unknown_keys) - MOST_UNKNOWN
            self.add((*path, unknown_keys[MOST_UNKNOWN]), f"the first of {more} more that are not known.")
        for key in unknown_keys[:MOST_UNKNOWN]:
            self.add((*path, key), f"unknown {'option' if path else 'section'}.{_neighbour(path, key, known, schema)}")

    def collect(self, check: Check, resolved: Resolved) -> None:
        try:
            check.run(resolved)
        except ValueError as error:
            name = check.sections[0]
            for line, sentence in sentences(error, resolved.section(name)):
                self.problems.append(Problem(line, sentence))
            self._sections.add(name)


def _neighbour(path: KeyPath, key: str, known: Sequence[str], schema: Schema) -> str:
    if words_with := schema.words_with(key, path):
        return f" It is an option of {' or '.join(words_with)}; choose that, or leave it out."
    if places := schema.places(key, path):
        return f" It belongs at {_quoted(places)}."
    names = ours(key)
    if here := [name for name in names if name in known]:
        return f" Here it is called '{here[0]}'."
    if places := [place for name in names for place in schema.places(name, path)] or schema.prefixed(key, path):
        return f" Here it is called {_quoted(places)}."
    listed = f" Known: {', '.join(known)}." if known else " There are no options here."
    if is_prefixed(key):  # the nearest name would be of the other side
        return listed
    return (schema.like(key, path, known) if path else did_you_mean(key, known)) or listed


def _quoted(places: Sequence[str]) -> str:
    return " or ".join(f"'{place}'" for place in places)


def _section(name: str, section: Fixed | OneOf, schema: Schema, mistakes: _Mistakes) -> dict[str, Any]:
    given = mistakes.document.tree.get(name)
    if isinstance(section, OneOf):
        component = _component((name,), given, section, schema.defaults.get(name), schema, mistakes)
        return component if isinstance(component, dict) else {}
    if not isinstance(given, Mapping | None):
        mistakes.add((name,), f"expected options, one per line below it, got {shown(given)}.")
        return {}
    return _options((name,), given or {}, section.constructor, schema, mistakes)


def _component(
    path: KeyPath, given: Any, note: OneOf, default: str | None, schema: Schema, mistakes: _Mistakes
) -> dict[str, Any] | object:
    """The word and options of a component that is given as a word, as a map with a `name`, or not at all."""
    if isinstance(given, Mapping):
        word, word_path, options = given.get("name", default), (*path, "name"), given
    else:
        word, word_path, options = (default if given is None else given), path, {}
    if word is None:
        mistakes.add(path, f"missing; expected {_choices(path, note, schema)}: {note.doc}.")
        return _WRONG
    if not isinstance(word, str):
        mistakes.add(word_path, f"expected {_choices(path, note, schema)}, got {shown(word)}.")
        return _WRONG
    if word not in note.registry:
        kind = getattr(note.registry, "kind", path[-1])
        mistakes.add(
            word_path, unknown(kind, word, schema.words_at(path, note.registry)) + _pointer(path, note.registry)
        )
        return _WRONG
    try:
        maker = note.registry[word]
    except ConfigError as error:  # of a package that cannot be loaded
        mistakes.add(word_path, str(error))
        return _WRONG
    options = {key: value for key, value in options.items() if key != "name"}
    return {"name": word, **_options(path, options, maker, schema, mistakes)}


def _options(
    path: KeyPath, given: Mapping[str, Any], maker: Callable[..., Any], schema: Schema, mistakes: _Mistakes
) -> dict[str, Any]:
    options = schema.options(path, maker)
    mistakes.unknown_keys(path, given, [option.name for option in options], schema)
    values = {option.name: _value(path, given, option, schema, mistakes) for option in options}
    return {name: value for name, value in values.items() if value is not _WRONG}


def _value(path: KeyPath, given: Mapping[str, Any], option: Option, schema: Schema, mistakes: _Mistakes) -> Any:
    path, note = (*path, option.name), option.note
    if isinstance(note, OneOf):
        return _nested(path, given, option, note, schema, mistakes)
    if option.name not in given:
        if not option.required:
            return _default(option, note)
        mistakes.add(path, f"missing; expected {_article(words(option.kind, note))}: {note.doc}.")
        return _WRONG
    try:
        return fit(option.kind, note, given[option.name])
    except UnknownWordError as misfit:
        mistakes.add(path, misfit.got + _pointer(path, note.choices))
    except MisfitError as misfit:
        mistakes.add(path, f"expected {_article(words(option.kind, note))}, {misfit.got}.{misfit.hint}")
    return _WRONG


def _nested(
    path: KeyPath, given: Mapping[str, Any], option: Option, note: OneOf, schema: Schema, mistakes: _Mistakes
) -> Any:
    """A component inside a component; null switches it off where its default is null."""
    value = given.get(option.name)
    if value is None and option.default is None:
        return None
    default = option.default if isinstance(option.default, str) else None
    return _component(path, value, note, default, schema, mistakes)


def _default(option: Option, note: Opt) -> Any:
    """The default, in the form a given value takes. A default that does not fit is the constructor's mistake."""
    try:
        return fit(option.kind, note, option.default)
    except MisfitError as misfit:
        raise TypeError(f"the default of '{option.name}' does not fit its own note: {misfit.got}") from None


def _pointer(path: KeyPath, choices: object) -> str:
    """Where to read about all words of a registry."""
    return f" `recurra explain {'.'.join(path)}` lists all." if hasattr(choices, "kind") else ""


def _choices(path: KeyPath, note: OneOf, schema: Schema) -> str:
    words = list(schema.words_at(path, note.registry))
    return f"one of {', '.join(words)}" if len(words) > 1 else words[0]


def _article(phrase: str) -> str:
    first = phrase.partition(" ")[0]
    return {"integer": f"an {phrase}", "number": f"a {phrase}", "list": f"a {phrase}", "map": f"a {phrase}"}.get(
        first, phrase
    )
