"""What a participant can be asked."""

from __future__ import annotations

from typing import Protocol

from recurra.bench.clock import Work
from recurra.bench.configuration import Configuration
from recurra.bench.problem import Problem


class Peer(Protocol):
    """A library, and the way of using it that is measured.

    doc:      one line of the legend of the tables
    packages: what must be installed, by the name that Python imports
    """

    @property
    def doc(self) -> str: ...
    @property
    def packages(self) -> tuple[str, ...]: ...

    def start(self, threads: int) -> None:
        """Load the library and set its threads; called once, before the first `work`."""

    def refuses(self, configuration: Configuration) -> bool:
        """Whether it has no way of doing this."""

    def work(self, problem: Problem) -> Work:
        """A function that does the whole work once, and waits for it.

        It returns (output, d_x) where the mode trains, (output,) in inference, the new states in mode "stream".
        """
