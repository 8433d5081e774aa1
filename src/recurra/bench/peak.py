"""The machine's own speed: fused multiply-adds from registers, by independent chains, on as many cores as are asked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from recurra.bench.clock import Work
from recurra.engine import cpu

NAME = "FMA peak"
# About 1 ms of one core with AVX-512. Several cores do more, as waking a thread takes tenths of a millisecond.
ROUNDS = 500_000
ROUNDS_OF_SEVERAL = 4_000_000


class Peak:
    """`work` does `operations` floating-point operations; `stop` ends its threads.

    There is none without the native engine: `available` says so.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.operations = 0.0
        self._rounds = ROUNDS if threads == 1 else ROUNDS_OF_SEVERAL
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        if self.available():
            self.operations = threads * cpu.fma_rounds(self._rounds)

    @staticmethod
    def available() -> bool:
        return cpu.available()

    def works(self) -> dict[str, Work]:
        """What is measured in turn with the others; nothing where there is no native engine."""
        return {NAME: self._work} if self.available() else {}

    def _work(self) -> None:
        if self._pool is None:
            cpu.fma_rounds(self._rounds)
            return
        for done in [self._pool.submit(cpu.fma_rounds, self._rounds) for _ in range(self.threads)]:
            done.result()

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
