"""Texts as they are learned and scored, and the units that they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal

import regex  # type: ignore[import-untyped]

from recurra.base.errors import RunError
from recurra.base.normal import normal
from recurra.base.transcripts import SpokenWord
from recurra.data.tokenizers import Tokenizer, tokenizer_from_json
from recurra.data.tokenizers.subwords import INSIDE, SPACE
from recurra.decode.ctc import Emitted

Case = Literal["keep", "lower", "upper"]
Punctuation = Literal["keep", "drop"]
UNKNOWN = "<unk>"
# Signs that are dropped: all but those inside of words, such as "don't" and "twenty-one".
_SIGNS = regex.compile(r"(?<![\p{L}\p{N}])[\p{P}\p{S}]+|[\p{P}\p{S}]+(?![\p{L}\p{N}])|[\p{P}\p{S}--['’\-]]+", regex.V1)


def cleaned(text: str, case: Case, punctuation: Punctuation) -> str:
    """A text in normal form, one space between its words, as the options say."""
    text = normal(text)
    if punctuation == "drop":
        text = _SIGNS.sub(" ", text)
    text = " ".join(text.split())
    return text.lower() if case == "lower" else text.upper() if case == "upper" else text


@dataclass(frozen=True, slots=True)
class Units:
    """What a model can say at a step: the blank, number 0, and the units of the training texts."""

    tokenizer: Tokenizer
    units: tuple[str, ...]
    places: Mapping[str, int] = field(init=False, repr=False, compare=False)
    spelling: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {unit: k for k, unit in enumerate(self.units, start=1)})
        object.__setattr__(self, "spelling", _spelling(self.tokenizer, self.units))

    @classmethod
    def fit(cls, tokenizer: Tokenizer, texts: Iterable[str]) -> Units:
        """All units of these texts, in the order of their code points."""
        found = {unit for text in texts for unit in tokenizer.tokenize(text)} - {UNKNOWN}
        return cls(tokenizer, tuple(sorted(found)))

    def __len__(self) -> int:
        """With the blank."""
        return len(self.units) + 1

    def numbers(self, text: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The units of a text as numbers, and those that no training text had, each once."""
        place, tokens = self.places, self.tokenizer.tokenize(text)
        unknown = dict.fromkeys(token for token in tokens if token not in place)
        return tuple(place[token] for token in tokens if token in place), tuple(unknown)

    def spelled(self, numbers: Sequence[int]) -> str:
        """What units add to a text, the spaces before and behind them too."""
        return "".join([self.spelling[k] for k in numbers])

    def text(self, numbers: Sequence[int]) -> str:
        """What units say."""
        return " ".join(self.spelled(numbers).split())

    def heard(self, said: Emitted) -> str:
        """What was said: words by their pronunciations, or what units spell."""
        return self.text(said.units) if said.words is None else " ".join(word for word, _ in said.words)

    def words(self, said: Emitted, seconds: float) -> tuple[SpokenWord, ...]:
        """The words of what was said with their times. seconds: of a step"""
        if said.words is not None:
            ends = list(accumulate(size for _, size in said.words))
            return tuple(
                _word(word, said, range(end - size, end), seconds)
                for (word, size), end in zip(said.words, ends, strict=True)
            )
        words: list[str] = []
        runs: list[list[int]] = []
        inside = False
        for k, number in enumerate(said.units):
            spelt = self.spelling[number]
            for n, part in enumerate(spelt.split()):
                if n or not inside or spelt[0].isspace():
                    words.append("")
                    runs.append([])
                words[-1] += part
                runs[-1].append(k)
            inside = not spelt[-1:].isspace() if spelt else inside
        return tuple(_word(word, said, run, seconds) for word, run in zip(words, runs, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {"tokenizer": self.tokenizer.to_json(), "units": list(self.units)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Units:
        """The inverse of `to_json`. Raises RunError, KeyError or TypeError for anything else."""
        units = data["units"]
        if not isinstance(units, list) or not units or not all(isinstance(unit, str) and unit for unit in units):
            raise RunError(f"units: expected texts, got {str(units)[:60]}.")
        return cls(tokenizer_from_json(data["tokenizer"]), tuple(units))


def _spelling(tokenizer: Tokenizer, units: Sequence[str]) -> tuple[str, ...]:
    """What each number adds to a text, the blank nothing; a space in front begins a word."""
    how = tokenizer.to_json()
    if how["name"] == "characters":
        return ("", *units)
    if how["name"] != "subwords":
        return ("", *(f" {unit}" for unit in units))
    if how["algorithm"] == "wordpiece":
        return ("", *(u.removeprefix(INSIDE) if u.startswith(INSIDE) else f" {u}" for u in units))
    return ("", *(u.replace(SPACE, " ") for u in units))


def _word(word: str, said: Emitted, run: Sequence[int], seconds: float) -> SpokenWord:
    score = sum(said.probabilities[k] for k in run) / len(run)
    return SpokenWord(word, round(said.starts[run[0]] * seconds, 3), round(said.ends[run[-1]] * seconds, 3), score)
