"""A tiny model whose next-token probabilities are a random function of the row and of all that was said, and searches
written without tensors: every sequence there is, and a beam search of Python lists that never stops early."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

START, END = 1, 0
Path = tuple[int, ...]


@dataclass
class StepTokens:
    """A state: which sentence each row belongs to, and what it has read so far, the start included."""

    sentences: list[int]
    tokens: list[Path]


@dataclass
class Toy:
    """Implements Steps. sharpness: of the distributions.  calls: the sentences of each step."""

    num_tokens: int = 4
    seed: int = 0
    sharpness: float = 1.5
    change: Callable[[int, Path, np.ndarray], np.ndarray] = lambda sentence, path, log_probs: log_probs
    calls: list[list[int]] = field(default_factory=list)
    num_selected: int = 0
    given: list[Tensor] = field(default_factory=list)

    def state(self, num_rows: int, first: int = 0) -> StepTokens:
        return StepTokens([first + row for row in range(num_rows)], [()] * num_rows)

    def log_probs(self, sentence: int, path: Path) -> np.ndarray:
        """Of what follows path (without the start) in this sentence, float64."""
        rng = np.random.default_rng([self.seed, sentence, *path])
        logits = self.sharpness * rng.normal(size=self.num_tokens)
        return self.change(sentence, path, logits - np.log(np.exp(logits).sum()))

    def step(self, tokens: Tensor, state: StepTokens) -> tuple[Tensor, StepTokens]:
        assert len(tokens) == len(state.tokens)
        assert not torch.is_grad_enabled()
        said = [(*path, token) for path, token in zip(state.tokens, tokens.tolist(), strict=True)]
        assert all(path[0] == START for path in said)
        self.calls.append(list(state.sentences))
        rows = [self.log_probs(s, path[1:]) for s, path in zip(state.sentences, said, strict=True)]
        self.given.append(torch.from_numpy(np.stack(rows)))
        return self.given[-1], StepTokens(state.sentences, said)

    def select(self, state: StepTokens, rows: Tensor) -> StepTokens:
        chosen = rows.tolist()
        self.num_selected += 1
        assert chosen, "a search that is over asks for nothing"
        return StepTokens([state.sentences[row] for row in chosen], [state.tokens[row] for row in chosen])


@dataclass(frozen=True)
class Rules:
    """What an oracle searches by."""

    max_length: int
    min_length: int = 0
    no_repeat_ngram: int = 0
    divisor: Callable[[int], float] = lambda length: 1.0


DIVISORS: dict[str, Callable[[int], float]] = {
    "none": lambda length: 1.0,
    "mean": float,
    "wu": lambda length: (5 + length) ** 0.6 / (5 + 1) ** 0.6,  # eq. 14 as printed
}


def forbidden(path: Path, token: int, rules: Rules) -> bool:
    if token == END:
        return len(path) < rules.min_length
    n = rules.no_repeat_ngram
    grams = [(*path, token)[i : i + n] for i in range(len(path) + 2 - n)] if n else []
    return len(grams) != len(set(grams))


def continuations(toy: Toy, sentence: int, path: Path, rules: Rules) -> Iterator[tuple[int, float]]:
    for token, value in enumerate(toy.log_probs(sentence, path).tolist()):
        if not forbidden(path, token, rules) and value > -math.inf:
            yield token, value


def every_sequence(toy: Toy, sentence: int, rules: Rules, path: Path = ()) -> Iterator[tuple[float, Path, bool]]:
    """(score, tokens, ended) of each sequence within the rules."""
    for token, _ in continuations(toy, sentence, path, rules):
        longer = (*path, token)
        if token == END or len(longer) == rules.max_length:
            total = sum(toy.log_probs(sentence, longer[:i])[longer[i]] for i in range(len(longer)))
            yield total / rules.divisor(len(longer)), longer[: len(longer) - (token == END)], token == END
        else:
            yield from every_sequence(toy, sentence, rules, longer)


def plain_beam(toy: Toy, sentence: int, rules: Rules, beam: int) -> list[tuple[float, Path, bool]]:
    """All closed hypotheses, best first; a closed one takes its place in the beam with it."""
    live: list[tuple[float, Path]] = [(0.0, ())]
    closed: list[tuple[float, Path, bool]] = []
    while live:
        grown = [
            (total + value, (*path, token))
            for total, path in live
            for token, value in continuations(toy, sentence, path, rules)
        ]
        best = sorted(grown, key=lambda one: -one[0])[: beam - len(closed)]
        live = []
        for total, path in best:
            if path[-1] == END:
                closed.append((total / rules.divisor(len(path)), path[:-1], True))
            elif len(path) == rules.max_length:
                closed.append((total / rules.divisor(len(path)), path, False))
            else:
                live.append((total, path))
    return sorted(closed, key=lambda one: -one[0])
