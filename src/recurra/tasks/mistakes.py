"""The rows that a classifier got wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from recurra.base.contracts import Table
from recurra.metrics.outputs import LabelOutput, LabelSetOutput

WORST = 20
# Characters of a text that the table shows.
SHOWN = 300


def mistaken(
    outputs: Sequence[LabelOutput | LabelSetOutput],
    examples: Sequence[Any],
    what: Literal["text", "series"] = "text",
    shown: Callable[[Any], str] = lambda example: str(example.text),
) -> Table:
    """The rows with another answer than the right one, and where they stand; the surest mistakes first.

    what: what a row is called      shown: what the table has of one
    How sure: the probability of what was said, or of many labels that of the label that was decided most wrongly.
    """
    pairs = [(o, e) for o, e in zip(outputs, examples, strict=True) if _said(o) != _true(e.gold)]
    worst = sorted(pairs, key=lambda pair: -_sureness(*pair))[:WORST]
    rows = tuple((_short(shown(e)), _true(e.gold), _said(o), _sureness(o, e), str(e.origin)) for o, e in worst)
    caption = {"text": "Mistaken texts, the surest first", "series": "Mistaken series, the surest first"}[what]
    return Table(caption, (what, "true", "predicted", "sureness", "place"), rows)


def _said(output: LabelOutput | LabelSetOutput) -> str:
    return output.label if isinstance(output, LabelOutput) else ", ".join(sorted(output.labels))


def _true(gold: str | tuple[str, ...]) -> str:
    return gold if isinstance(gold, str) else ", ".join(sorted(gold))


def _sureness(output: LabelOutput | LabelSetOutput, example: Any) -> float:
    if isinstance(output, LabelOutput):
        return float(output.probabilities[output.label])
    wrong = set(output.labels) ^ set(example.gold)
    chance = output.probabilities
    return max(chance[label] if label in output.labels else 1 - chance.get(label, 0.0) for label in wrong)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
