"""What every test needs: a table of cells that the last test has not written to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recurra.cells import BUILT_IN, CELLS


@pytest.fixture(autouse=True)
def _only_built_in_cells() -> Iterator[None]:
    """A user's cell is registered for the process; a test that loads one must not change what others see."""
    yield
    for name in set(CELLS) - BUILT_IN:
        CELLS.remove(name)
