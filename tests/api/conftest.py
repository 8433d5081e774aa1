"""A folder of its own for each test, and a trained run to copy: training one takes a tenth of a second."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from api.api_room import done, rows, write_config, write_csv


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and we are in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data(here: Path) -> Path:
    """data.csv and a tiny config c.yaml for it."""
    write_config()
    return write_csv(here / "data.csv", rows())


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data.csv, c.yaml and a finished run of two epochs, all checkpoints kept, under the name `run`."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_csv(folder / "data.csv", rows())
        write_config(training={"epochs": 2, "keep_checkpoints": "all"}, model={"head": {"pooling": "max"}})
        done("train", "c.yaml", "--out", "run")
    return folder


@pytest.fixture
def run(trained: Path, here: Path) -> Path:
    """A copy of the trained run, `run`, beside its data and config; we are in their folder."""
    shutil.copytree(trained, here, dirs_exist_ok=True)
    return Path("run")


@pytest.fixture
def another(run: Path) -> Callable[[], Path]:
    """Makes fresh copies of the trained run."""
    numbers = iter(range(10_000))
    return lambda: Path(shutil.copytree(run, f"run-{next(numbers)}"))
