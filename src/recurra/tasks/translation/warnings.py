"""What a person should know beside the answers: what was not known, not seen in training, or not finished."""

from __future__ import annotations

import re
from collections.abc import Sequence

from recurra.base.errors import ConfigError
from recurra.tasks.blank import blank_warnings
from recurra.tasks.translation.answers import Translated
from recurra.tasks.translation.pairs import TextPair
from recurra.tasks.translation.readers import Sides

# Sources that must have one answer before that is said.
ALIKE = 5
_APART = re.compile(r"\s[.,](?=\s|$)")


def warnings(outputs: Sequence[Translated], examples: Sequence[TextPair], sides: Sides) -> tuple[str, ...]:
    """A sentence for each thing that is so, with how often, and the first place."""
    seen = [k for k, example in enumerate(examples) if not example.is_blank]
    read, said = [examples[k] for k in seen], [outputs[k] for k in seen]
    return (
        *blank_warnings(examples),
        *_unknown(read),
        *too_long(read, sides, ""),
        *_unfinished(said, read),
        *_all_alike(said, read),
    )


def too_long(examples: Sequence[TextPair], sides: Sides, split: str) -> tuple[str, ...]:
    """Sources longer than any of training, if there are some."""
    found = [e for e in examples if len(e.encoded) > sides.longest]
    if not found:
        return ()
    return (
        f"{split}{': ' if split else ''}{_of(found, examples)} longer than the longest source of training "
        f"({sides.longest} tokens), so the answer may be poor; the first: {found[0].origin}, with "
        f"{len(found[0].encoded)} tokens.",
    )


def tokenised(outputs: Sequence[Translated], sides: Sides) -> tuple[str, ...]:
    """A sentence on answers with spaces before their signs, where the targets of training have them too."""
    if sides.joining is None or not sides.joining.tokenised or not any(_APART.search(o.best.text) for o in outputs):
        return ()
    return (
        "the targets of training are tokenised, with spaces before full stops and commas, and so are the answers; "
        "--join (in Python and HTTP the option join) puts them together.",
    )


def refuse_join(sides: Sides) -> None:
    """Raise ConfigError where there is nothing to put together."""
    if sides.joining is None:
        raise ConfigError("join: this run does not know how its targets were written. Train it again, or leave it out.")
    if not sides.joining.tokenised:
        raise ConfigError(
            "join: has no effect, because the targets of training are not tokenised, and answers are put together as "
            "they were written; leave it out."
        )


def _unknown(examples: Sequence[TextPair]) -> tuple[str, ...]:
    found = [e for e in examples if e.encoded.spelling]
    if not found:
        return ()
    tokens = dict.fromkeys(token for e in found for token in e.encoded.unknown)
    shown = ", ".join(repr(token) for token in list(tokens)[:5]) + (", ..." if len(tokens) > 5 else "")
    word = "holds tokens" if len(found) == 1 else "hold tokens"
    return (
        f"{len(found)} of {len(examples)} texts {word} that training never saw, which are read as unknown: {shown}; "
        f"the first: {found[0].origin}.",
    )


def _unfinished(outputs: Sequence[Translated], examples: Sequence[TextPair]) -> tuple[str, ...]:
    found = [e for o, e in zip(outputs, examples, strict=True) if not o.best.ended]
    if not found:
        return ()
    were = "was" if len(found) == 1 else "were"
    return (
        f"{len(found)} of {len(examples)} answers {were} cut at the longest length, before the model came to an end; "
        f"the first: {found[0].origin}. Raise task.max_length_factor, or train longer.",
    )


def _all_alike(outputs: Sequence[Translated], examples: Sequence[TextPair]) -> tuple[str, ...]:
    """A sentence where several different sources have one answer."""
    sources = {example.text for example in examples}
    if len(sources) < ALIKE or len({output.best.text for output in outputs}) > 1:
        return ()
    return (
        f"all {len(sources)} different sources have one answer, {outputs[0].best.text!r:.60}: the model does not read "
        "its source. Try a longer warm-up (training.schedule: {name: inverse_sqrt, warmup: 0.1}) and a lower rate "
        "(training.optimizer.lr), or train longer.",
    )


def _of(found: Sequence[TextPair], examples: Sequence[TextPair]) -> str:
    return f"{len(found)} of {len(examples)} sources {'is' if len(found) == 1 else 'are'}"
