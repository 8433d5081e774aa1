"""A folder of its own for each test, and one run that is trained once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import recurra
from api.api_room import rows, write_csv
from python.python_room import TINY


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and we are in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data(here: Path) -> Path:
    """data.csv: texts with the labels good and bad."""
    return write_csv(Path("data.csv"), rows())


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data.csv and a run of it, `run`."""
    folder = tmp_path_factory.mktemp("python")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_csv(Path("data.csv"), rows())
        recurra.train("data.csv", task="sentiment", out="run", progress=False, **TINY)
    return folder


@pytest.fixture
def run(trained: Path, here: Path) -> recurra.Run:
    """A copy of that run, beside its data; we are in their folder."""
    shutil.copytree(trained, here, dirs_exist_ok=True)
    return recurra.load("run", progress=False)
