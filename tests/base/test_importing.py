"""The garbage collector rests while modules are imported, and is as it was afterwards."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from recurra.base.importing import FEW, uncollected


class Knot:
    """Refers to itself: only the collector can free it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    was = gc.isenabled()
    gc.unfreeze()  # tests/conftest.py has frozen what there was
    yield
    gc.freeze()
    (gc.enable if was else gc.disable)()


def test_the_collector_rests_inside_and_works_again_after_an_error() -> None:
    gc.enable()
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), uncollected():
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()


def test_what_is_made_inside_is_old_afterwards_and_can_be_collected() -> None:
    gc.enable()
    with uncollected():
        knot = weakref.ref(Knot())
        many: list[list[None]] = [[] for _ in range(FEW)]
    assert len(many) == FEW
    gc.collect(1)  # the young generations
    assert knot() is not None
    gc.collect()
    assert knot() is None


def test_what_was_frozen_stays_frozen() -> None:
    gc.enable()
    gc.freeze()
    frozen = gc.get_freeze_count()
    with uncollected():
        pass
    assert gc.get_freeze_count() == frozen > 0


def test_frozen_objects_are_not_counted_where_few_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.enable()
    gc.collect()
    monkeypatch.setattr(gc, "get_freeze_count", lambda: pytest.fail("they are counted one by one"))
    with uncollected():
        few: list[list[None]] = [[] for _ in range(FEW // 10)]
    assert few
    assert gc.isenabled()
