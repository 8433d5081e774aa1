"""Four runs, trained once for all tests of the service: two classifiers, a translation and a language model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.api_room import done, rows, write_config, write_csv
from recurra.service import Limits, LoadedModel, open_runs
from service.service_room import Ask, Asked

FORWARD = {"encoder": {"bidirectional": False, "hidden_size": 8}, "head": {"pooling": "last"}}
TEXT = "the cat sat on the mat and the dog sat on the log while the bird sang to the cat and the dog\n"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folders `moods` (one direction), `both` (two) and `digits` (letters to letters)."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_csv(folder / "data.csv", rows(24))
        for name, model in (("moods", FORWARD), ("both", {"encoder": {"hidden_size": 8}})):
            write_config(model=model)
            done("train", "c.yaml", "--out", name)
        write_csv(folder / "pairs.csv", [(f"{n} {n}", f"{n * 7}") for n in range(10, 34)], "source,target")
        task = {"source_tokenizer": "characters", "target_tokenizer": "characters", "scores": "exact", "beam": 1}
        (folder / "c.yaml").unlink()
        write_config(
            task={"name": "translation", "source": "source", "target": "target", **task},
            data={"train": "pairs.csv"},
            model={"inputs": {"embedding_size": 4}, "encoder": {"hidden_size": 8}, "decoder": {"embedding_size": 4}},
        )
        done("train", "c.yaml", "--out", "digits")
    return folder


@pytest.fixture(scope="session")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of task language_model on one sentence."""
    folder = tmp_path_factory.mktemp("writer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "text.txt").write_text(TEXT * 30)
        write_config(
            task={"name": "language_model", "document": "file", "tokenizer": "words", "bptt": 8},
            data={"train": "text.txt", "split": {"name": "ordered", "dev": 0.1, "test": 0}},
            model={"inputs": {"embedding_size": 16}, "encoder": {"hidden_size": 16}},
        )
        done("train", "c.yaml", "--out", "cats")
    return folder / "cats"


@pytest.fixture(scope="session")
def served(folder: Path) -> dict[str, LoadedModel]:
    """The three runs, open."""
    return open_runs([folder / name for name in ("moods", "both", "digits")], device="cpu")


@pytest.fixture
def ask(served: dict[str, LoadedModel]) -> Iterator[Ask]:
    """Makes services around the runs of these names (all, if none is named); they end with the test."""
    made: list[Asked] = []

    def make(*names: str, key: str | None = None, root_path: str = "", **limits: Any) -> Asked:
        runs = {name: served[name] for name in names or served}
        made.append(Asked(runs, Limits(**limits), key, root_path))
        return made[-1]

    yield make
    for one in made:
        assert one.service.stop(10)
