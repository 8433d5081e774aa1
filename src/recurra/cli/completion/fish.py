"""The script for fish: a line for each command, option and place, each where it is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from recurra.cli.completion.verbs import FILE, FOLDER, RUN, Flag, Value, Verb

_SCRIPT = r"""# Completion of recurra for fish. Load it with: recurra completion fish | source

function __recurra_runs
    set -l typed (commandline -ct)
    set -l found $typed*/run.json $typed*/*/run.json
    if set -q found[1]
        string replace /run.json '' -- $found
    else
        __fish_complete_directories $typed
    end
end

# The options that take a value, of each command.
function __recurra_valued
    switch $argv[1]
@VALUED@
    end
end

# Is this the command (in the place $argv[2], if one is given; or behind it, with +)?
function __recurra_at
    set -l words (commandline -opc)
    set -e words[1]
    for word in (string split ' ' -- $argv[1])
        test "$words[1]" = $word; or return 1
        set -e words[1]
    end
    set -q argv[2]; or return 0
    set -l valued (__recurra_valued $argv[1])
    set -l place 0
    while set -q words[1]
        if contains -- $words[1] $valued
            set -e words[1]
        else if not string match -q -- '-?*' $words[1]
            set place (math $place + 1)
        end
        set -e words[1]
    end
    test $place -eq (string trim -r -c + -- $argv[2]); and return 0
    string match -q '*+' -- $argv[2]; and test $place -gt (string trim -r -c + -- $argv[2])
end

complete -c recurra -f
@LINES@
"""
_OFFERS = {RUN: "-f -a '(__recurra_runs)'", FILE: "-F", FOLDER: "-f -a '(__fish_complete_directories)'"}


def script(verbs: Sequence[Verb]) -> str:
    """The completion of all commands, as a script for fish."""
    lines = [*_words(verbs), *(line for one in verbs for line in _lines(one))]
    return _SCRIPT.replace("@VALUED@", "\n".join(map(_valued, verbs))).replace("@LINES@", "\n".join(lines))


def _words(verbs: Sequence[Verb]) -> Iterable[str]:
    """The first words, and where one is a group, the second ones."""
    for one in verbs:
        first, _, second = one.word.partition(" ")
        if second:
            yield f"complete -c recurra -n __fish_use_subcommand -f -a {first}"
            inner = f"__recurra_at {first} 0"
            yield f"complete -c recurra -n {_quoted(inner)} -f -a {second} -d {_quoted(one.summary)}"
        else:
            yield f"complete -c recurra -n __fish_use_subcommand -f -a {first} -d {_quoted(one.summary)}"


def _valued(verb: Verb) -> str:
    names = [name for flag in verb.flags if flag.value for name in flag.names]
    return f"        case {_quoted(verb.word)}\n            string split ' ' -- {_quoted(' '.join(names))}"


def _lines(verb: Verb) -> Iterable[str]:
    for flag in verb.flags:
        yield f"complete -c recurra -n {_quoted(f'__recurra_at {_quoted(verb.word)}')} {_flag(flag)}"
    for number, place in enumerate(verb.places):
        at = f"__recurra_at {_quoted(verb.word)} {number}{'+' if place.several else ''}"
        if place.value.words or place.value.kind in _OFFERS:
            yield f"complete -c recurra -n {_quoted(at)} {_offer(place.value)}"


def _flag(flag: Flag) -> str:
    names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names)
    value = f" -r {_offer(flag.value)}" if flag.value else ""
    return f"{names}{value} -d {_quoted(' '.join(flag.help.split()))}"


def _offer(value: Value) -> str:
    return f"-f -a {_quoted(' '.join(value.words))}" if value.words else _OFFERS.get(value.kind, "-f")


def _quoted(text: str) -> str:
    """One word of fish: within single quotes, only \\ and ' are to be escaped."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
