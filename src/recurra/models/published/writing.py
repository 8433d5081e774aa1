"""A Hugging Face folder, from a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from recurra.base.atomic import replacing, write_text
from recurra.base.errors import RunError
from recurra.models.published.files import WHOLE


def write_folder(
    path: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any], files: Mapping[str, str]
) -> None:
    """Write model.safetensors, config.json and the files of a tokenizer. Raises RunError for a folder that has any."""
    taken = [name for name in (WHOLE, "config.json", *files) if (path / name).exists()]
    if taken:
        raise RunError(f"{path / taken[0]}: is there already; choose another folder.")
    path.mkdir(parents=True, exist_ok=True)
    # Contiguous: of a view safetensors would write what lies behind it in memory (its issue 825).
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path / WHOLE) as file:
        file.write(safetensors.torch.save(plain, {"format": "pt"}))
    for name, text in files.items():
        write_text(path / name, text)
    write_text(path / "config.json", json.dumps(dict(config), indent=2) + "\n")
