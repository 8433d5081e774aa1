"""A run that replies, trained once: short conversations about numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from recurra import api

TALKS = [[f"is {k} a number", f"yes {k} is one", f"and {k} plus one", f"that is {k + 1}"] for k in range(40)]
TASK: dict[str, Any] = {"name": "dialogue", "max_reply_tokens": 12, "refuse": 0.2}


def trained(folder: Path, name: str = "talks", **sections: dict[str, Any]) -> Path:
    """A run folder of this name."""
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
    api.train(folder / f"{name}.yaml", out=folder / name, device="cpu")
    return folder / name
