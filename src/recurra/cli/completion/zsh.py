"""The script for zsh: a specification of `_arguments` for each command."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from recurra.cli.completion.verbs import FILE, FOLDER, RUN, Flag, Place, Value, Verb

_SCRIPT = r"""#compdef recurra
# Completion of recurra for zsh. Load it with: source <(recurra completion zsh)
# or write it to a file _recurra in a folder of $fpath.

_recurra_runs() {
  local -a found=(${~PREFIX}*/run.json(N:h) ${~PREFIX}*/*/run.json(N:h))
  if (( $#found )); then compadd -f -- $found; else _files -/; fi
}

_recurra_words() {
  local -a words=(
@WORDS@
  )
  _describe -t commands command words
}

_recurra() {
  if (( CURRENT == 2 )); then _recurra_words; return; fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
@GROUPS@
  esac
  case $words[1] in
@VERBS@
  esac
}

if [[ $funcstack[1] == _recurra ]]; then
  _recurra "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit; compinit; }
  compdef _recurra recurra
fi
"""
_ACTIONS = {RUN: "_recurra_runs", FILE: "_files", FOLDER: "_files -/"}


def script(verbs: Sequence[Verb]) -> str:
    """The completion of all commands, as a script for zsh."""
    text = _SCRIPT
    for name, lines in {"WORDS": _words(verbs), "GROUPS": _groups(verbs), "VERBS": map(_verb, verbs)}.items():
        text = text.replace(f"@{name}@", "\n".join(lines))
    return text


def _words(verbs: Sequence[Verb]) -> Iterable[str]:
    """The first words, each with what it does; of a group the words behind it."""
    said: dict[str, list[str]] = {}
    for one in verbs:
        first, _, second = one.word.partition(" ")
        said.setdefault(first, []).append(second or one.summary)
    return (f"    {shlex.quote(f'{word}:' + _plain(', '.join(several)))}" for word, several in said.items())


def _groups(verbs: Sequence[Verb]) -> Iterable[str]:
    """Commands of two words: the second one is asked for first, and both are then one word."""
    for group in dict.fromkeys(one.word.split()[0] for one in verbs if " " in one.word):
        inner = (one for one in verbs if one.word.startswith(f"{group} "))
        known = " ".join(shlex.quote(f"{one.word.split()[1]}:{_plain(one.summary)}") for one in inner)
        yield f"    {group})"
        yield "      if (( CURRENT == 2 )); then"
        yield f"        local -a inner=({known})"
        yield "        _describe -t commands command inner"
        yield "        return"
        yield "      fi"
        yield f'      words[2]="{group} $words[2]"'
        yield "      shift words"
        yield "      (( CURRENT-- )) ;;"


def _verb(verb: Verb) -> str:
    specs = [
        *(spec for flag in verb.flags for spec in _flag(flag)),
        *map(_place, range(1, len(verb.places) + 1), verb.places),
    ]
    lines = " \\\n".join(f"        {shlex.quote(spec)}" for spec in specs)
    return f"    {shlex.quote(verb.word)})\n      _arguments \\\n{lines} ;;"


def _flag(flag: Flag) -> Iterable[str]:
    """`--name[help]:VALUE:what is offered`, for each name of an option, which exclude one another."""
    value = f":{_message(flag.value)}:{_action(flag.value)}" if flag.value else ""
    before = "*" if flag.several else f"({' '.join(flag.names)})" if len(flag.names) > 1 else ""
    return (f"{before}{name}[{_plain(flag.help)}]{value}" for name in flag.names)


def _place(number: int, place: Place) -> str:
    return f"{'*' if place.several else number}:{_message(place.value)}:{_action(place.value)}"


def _message(value: Value) -> str:
    return value.name.replace(":", " ")


def _action(value: Value) -> str:
    if value.words and value.words[0].endswith("="):  # with no space behind it
        return f" compadd -S '' - {' '.join(value.words)}"
    return f"({' '.join(value.words)})" if value.words else _ACTIONS.get(value.kind, " ")


def _plain(text: str) -> str:
    """Help without the characters that end it."""
    return "".join(f"\\{c}" if c in "[]:\\" else c for c in " ".join(text.split()))
