"""What every test needs: a table of cells as it was, a disk that nobody waits for, and no pictures."""

from __future__ import annotations

import gc
import os
import sqlite3
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from recurra.cells import BUILT_IN, CELLS
from recurra.report.png import Pictures

# Compiled modules are kept, also where the environment says otherwise: rewriting the asserts of all tests takes half
# of the time of their collection, and a process that a test starts compiles `src` as long as it loads torch.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """Modules and nine thousand tests are made here, and stay: the garbage collector never looks at them.

    A full collection would walk over all of them, which took a tenth of the time of tests that train; and in a forked
    process, where it writes into every object, it would copy their memory first. What tests leave is
    looked at less often.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000, 20, 50)  # instead of 700, 10, 10
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes many seconds begins first: at the end it would keep one core busy, and leave the others idle."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A worker of xdist sends one report of a test that passes, its call, and says neither that it begins nor ends.

    Five messages for each test took 1.5 ms of the two cores that tests run on: 20 s for all. Who asks for the others,
    as with `--durations`, gets them.
    """
    asked = item.config.getoption
    all_of_them = asked("durations") is not None or asked("xmlpath", None) or asked("verbose") > 0
    if all_of_them or not hasattr(item.config, "workerinput"):
        return None
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed:
            item.ihook.pytest_runtest_logreport(report=report)
    return True


@pytest.fixture(autouse=True)
def _only_built_in_cells() -> Iterator[None]:
    """A user's cell is registered for the process; a test that loads one must not change what others see."""
    yield
    for name in set(CELLS) - BUILT_IN:
        CELLS.remove(name)


@pytest.fixture(scope="session", autouse=True)
def _nobody_waits_for_the_disk() -> Iterator[None]:
    """Thousands of small files are written, and a disk takes 4 ms for each; only a power cut would show a difference.

    What is to be on the disk must still be an open file. Tests of what is done in which order put their own in place.
    """
    connect = sqlite3.dbapi2.connect

    def connected(*words: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*words, **options)
        connection.execute("pragma synchronous = off").close()
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: [os.fstat(handle)].clear())
        patch.setattr(sqlite3.dbapi2, "connect", connected)  # of the studies of searches, which commit at every turn
        yield


@pytest.fixture(scope="session", autouse=True)
def _a_seed_is_one_of_the_processor() -> Iterator[None]:
    """torch.manual_seed writes down the stack for three kinds of devices that may come: half a millisecond, and 10 kB.

    Where a device is there, all is as torch has it.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or torch.accelerator.is_available():
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "manual_seed", torch.default_generator.manual_seed)
        yield


@pytest.fixture(scope="session", autouse=True)
def _runs_have_no_pictures() -> Iterator[None]:
    """Drawing takes ten times as long as training a tiny model; tests/report and the first guide look at the pictures.

    Of the session, so that it holds for runs that a session or a module trains once.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.report.folder.pictures", lambda report, charts, maps: Pictures({}, ()))
        yield
