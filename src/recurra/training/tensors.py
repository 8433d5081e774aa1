"""Named tensors as safetensors bytes and back: no pickle, ties kept, nothing that is not finite."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from recurra.base.errors import RunError, TrainingError

# A mistake in a big model can touch every tensor; a message lists this many.
MAX_LISTED = 5


def untied(tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Contiguous CPU tensors that share no memory, and for each tied name the name it is tied to.

    Tied means the very same elements (an embedding that is also the output layer); overlapping views are copied.
    """
    kept: dict[str, torch.Tensor] = {}
    tied: dict[str, str] = {}
    seen: dict[tuple[Any, ...], str] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        key = (tensor.data_ptr(), tensor.device, tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() and (twin := seen.setdefault(key, name)) != name:
            tied[name] = twin
            continue
        flat = tensor.detach().cpu().contiguous()
        storage = flat.untyped_storage().data_ptr()
        kept[name] = flat.clone() if storage in storages else flat
        storages.add(storage)
    return kept, tied


def retied(tensors: Mapping[str, torch.Tensor], tied: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """The inverse of `untied`: tied names share one tensor again. Raises KeyError if a twin is missing."""
    return {**tensors, **{name: tensors[twin] for name, twin in tied.items()}}


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, in the order of the names; hexadecimal."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        if tensor.numel():
            sha.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def refuse_nonfinite(tensors: Mapping[str, torch.Tensor], owner: object) -> None:
    """Raise TrainingError naming the tensors that hold NaN or infinity: a broken state is never kept as a good one."""
    broken = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not all_finite(tensor)]
    if broken:
        raise TrainingError(
            f"{owner}: not written: expected finite numbers, got NaN or infinity in {listed(broken)}."
            " Lower the learning rate or clip the gradient; what was saved before still stands."
        )


def all_finite(tensor: torch.Tensor) -> bool:
    """Is every entry finite?"""
    return bool(torch.isfinite(tensor).all())


def put_weights(model: nn.Module, tensors: Mapping[str, torch.Tensor], source: object) -> None:
    """Copy `tensors` into the model's parameters and buffers, all of them or none.

    Raises RunError that names every missing, extra, misshaped or mistyped tensor.
    """
    have = {name: (tuple(t.shape), t.dtype) for name, t in tensors.items()}
    refuse_mismatch(model, have, source)
    model.load_state_dict(dict(tensors), strict=True)


def refuse_mismatch(model: nn.Module, have: Mapping[str, tuple[tuple[int, ...], torch.dtype]], source: object) -> None:
    """Raise RunError unless names, shapes and types are exactly those of the model."""
    want = {name: (tuple(t.shape), t.dtype) for name, t in model.state_dict().items()}
    missing, extra = sorted(want.keys() - have.keys()), sorted(have.keys() - want.keys())
    unlike = [
        f"'{name}' is {_kind(have[name])}, expected {_kind(want[name])}"
        for name in want
        if name in have and have[name] != want[name]
    ]
    faults = [
        *([f"missing {listed(missing)}"] if missing else []),
        *([f"unexpected {listed(extra)}"] if extra else []),
        *unlike[:MAX_LISTED],
    ]
    if faults:
        raise RunError(
            f"{source}: these weights do not fit the model: {'; '.join(faults)}. Use the config they were trained with."
        )


def listed(names: list[str]) -> str:
    """The first few names, quoted, and how many more."""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(f"'{name}'" for name in names[:MAX_LISTED]) + more


def _kind(kind: tuple[tuple[int, ...], torch.dtype]) -> str:
    return f"{kind[0]} {str(kind[1]).removeprefix('torch.')}"
