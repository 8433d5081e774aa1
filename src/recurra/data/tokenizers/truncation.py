"""Cut what is too long, and remember how much was cut, so that it can be said aloud."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from recurra.base.errors import ConfigError
from recurra.base.option import Opt

T = TypeVar("T")
KEEPS = ("start", "end")


class Truncation:
    """Keeps the start or the end of every sequence it is given, and counts.

    num_seen, num_cut: sequences; longest: steps of the longest one, before the cut.
    """

    def __init__(
        self,
        *,
        max_length: Annotated[int, Opt("time steps kept of a longer sequence", ge=1)] = 512,
        keep: Annotated[Literal["start", "end"], Opt("which part of a longer sequence", choices=KEEPS)] = "start",
    ) -> None:
        if max_length < 1 or keep not in KEEPS:
            raise ConfigError(
                f"truncation: expected max_length of at least 1 and keep one of {', '.join(KEEPS)}, "
                f"got {max_length} and {keep!r}."
            )
        self._max_length = max_length
        self._keep = keep
        self.num_seen = 0
        self.num_cut = 0
        self.longest = 0

    def apply(self, tokens: list[T]) -> list[T]:
        """At most max_length of `tokens`."""
        self.num_seen += 1
        self.longest = max(self.longest, len(tokens))
        if len(tokens) <= self._max_length:
            return tokens
        self.num_cut += 1
        return tokens[: self._max_length] if self._keep == "start" else tokens[-self._max_length :]

    def __str__(self) -> str:
        """A sentence for the log and the report."""
        if not self.num_cut:
            return f"nothing was cut: the longest of {self.num_seen:,} sequences has {self.longest:,} steps."
        lost = "end" if self._keep == "start" else "start"
        return (
            f"{self.num_cut:,} of {self.num_seen:,} sequences were cut to {self._max_length:,} steps and lost their "
            f"{lost}; the longest has {self.longest:,}."
        )
