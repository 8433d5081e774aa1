"""A run that replies, trained once for all tests that only read it: short conversations about numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from recurra import api

TALKS = [[f"is {k} a number", f"yes {k} is one", f"and {k} plus one", f"that is {k + 1}"] for k in range(40)]
TASK: dict[str, Any] = {"name": "dialogue", "max_reply_tokens": 12, "refuse": 0.2}
_ONCE: list[Path] = []


def talk_run(factory: pytest.TempPathFactory) -> Path:
    """The run with the options above, to be read and not written to."""
    if not _ONCE:
        _ONCE.append(trained(factory.mktemp("talks")))
    return _ONCE[0]


def trained(folder: Path, name: str = "talks", **sections: dict[str, Any]) -> Path:
    """A run folder of this name."""
    api.train(configured(folder, name, **sections), out=folder / name, device="cpu")
    return folder / name


def configured(folder: Path, name: str = "talks", **sections: dict[str, Any]) -> Path:
    """Its config."""
    (folder / "chat.jsonl").write_text("".join(json.dumps({"turns": one}) + "\n" for one in TALKS))
    config = {
        "task": {**TASK, **sections.get("task", {})},
        "data": {"train": str(folder / "chat.jsonl")},
        "model": sections.get("model")
        or {
            "inputs": {"embedding_size": 8},
            "encoder": {"hidden_size": 8},
            "decoder": {"embedding_size": 8},
        },
        "training": {"epochs": 2, "batch_rows": 16},
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    return folder / f"{name}.yaml"
