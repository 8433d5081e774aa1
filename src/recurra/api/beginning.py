"""What it means for a config to begin with a run that was pre-trained: its network, its pieces, a rate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurra.base.errors import RecurraError
from recurra.config import load

# Of the encoder and the inputs: where weights come from and how they are learned is the new config's own affair.
LEFT_OUT = frozenset(
    {
        "folder",
        "frozen_layers",
        "redrawn_layers",
        "frozen",
        "dropout",
        "attention_dropout",
        "embedding_dropout",
        "pooler",
    }
)
# Networks up to this width take larger rates: BERT's small ones 3e-4 and 1e-4 (google-research/bert, README).
SMALL = 256


def implied_by_run(training: Any, encoder: Mapping[str, Any]) -> dict[str, Any]:
    """What `training.init_from` implies of a run whose head tells hidden pieces, as `Implies` has it; else {}.

    encoder: as the config has it; one of another kind is left alone, and refused when weights are to be taken
    """
    run = training.get("init_from") if isinstance(training, Mapping) else None
    if not isinstance(run, str) or encoder.get("folder") is not None or not (Path(run) / "run.json").is_file():
        return {}
    try:
        tree = load(Path(run) / "config.yaml").tree
    except (RecurraError, OSError):  # said when the run is opened
        return {}
    model = tree.get("model", {})
    if model.get("head", {}).get("name") != "masked" or encoder.get("name") not in (None, model["encoder"]["name"]):
        return {}
    parts = {
        part: {name: value for name, value in model[part].items() if name not in LEFT_OUT}
        for part in ("inputs", "encoder")
    }
    longest = parts["inputs"]["max_positions"]
    lr = 3e-4 if parts["encoder"]["hidden_size"] <= SMALL else 5e-5
    return {
        "model": {**parts, "head": dict(model["head"])},
        "task": (
            {"pieces": run, "max_pieces": longest},
            {"tokenizer": {"name": "pretrained", "folder": run}, "max_length": longest},
        ),
        "training": {"optimizer": {"name": "adamw", "lr": lr}, "schedule": {"name": "linear", "warmup": 0.1}},
    }
