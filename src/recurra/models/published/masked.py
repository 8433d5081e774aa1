"""The head that tells hidden pieces, as it is called where it was published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from recurra.base.errors import DataError
from recurra.models.heads.masked import MaskedHead

# Ours -> theirs, by family. The table is the inputs' own, and may stand there once more, with the bias beside it.
_NAMES: Mapping[str, Mapping[str, str]] = {
    "bert": {
        "transform": "cls.predictions.transform.dense",
        "norm": "cls.predictions.transform.LayerNorm",
        "bias": "cls.predictions.bias",
        "table": "cls.predictions.decoder",
    },
    "distilbert": {
        "transform": "vocab_transform",
        "norm": "vocab_layer_norm",
        "bias": "vocab_projector.bias",
        "table": "vocab_projector",
    },
    "roberta": {
        "transform": "lm_head.dense",
        "norm": "lm_head.layer_norm",
        "bias": "lm_head.bias",
        "table": "lm_head.decoder",
    },
}
WORDS = "embeddings.word_embeddings.weight"
# The head for next-sentence prediction.
PAIR = "cls.seq_relationship"


def tensors_of(head: MaskedHead, family: str) -> dict[str, Tensor]:
    """The tensors of a head by their names there, without the table; of pairs too, where it tells them."""
    assert head.bias is not None
    names = _NAMES[family]
    pair = {} if head.pair is None else {f"{PAIR}.weight": head.pair.weight, f"{PAIR}.bias": head.pair.bias}
    return {
        **pair,
        f"{names['transform']}.weight": head.transform.weight,
        f"{names['transform']}.bias": head.transform.bias,
        f"{names['norm']}.weight": head.norm.weight,
        f"{names['norm']}.bias": head.norm.bias,
        names["bias"]: head.bias,
    }


def taken(head: MaskedHead, family: str, tensors: Mapping[str, Tensor], names: Mapping[str, str], where: Path) -> str:
    """Put a folder's tensors into a head, in place; a sentence on whether there were any.

    names: theirs as `stripped` has them -> as the file has them
    Raises DataError for a part of a head, tensors of another shape, and a table that is not the inputs'.
    """
    own, bare = tensors_of(head, family), ""
    if head.pair is not None and f"{PAIR}.weight" not in names:
        own = {name: tensor for name, tensor in own.items() if not name.startswith(PAIR)}
        bare = " It has no head for pairs, which begins as it is drawn."
    bias, table = _NAMES[family]["bias"], _NAMES[family]["table"]
    found = {name: names.get(name, names.get(f"{table}.bias") if name == bias else None) for name in own}
    if not any(found.values()):
        return " It has no head for hidden pieces, which begins as it is drawn."
    if missing := [name for name, real in found.items() if real is None]:
        raise DataError(f"{where}: lacks {missing[0]}, expected every tensor of the head for hidden pieces.")
    if (tied := names.get(f"{table}.weight")) and not torch.equal(tensors[tied], tensors[names[WORDS]]):
        raise DataError(
            f"{where}: {tied} differs from the table of the inputs, and the head here has that table (tied weights); "
            "it cannot be continued."
        )
    for name, ours in own.items():
        theirs = tensors[str(found[name])]
        if ours.shape != theirs.shape:
            raise DataError(
                f"{where}: {found[name]} has the shape {tuple(theirs.shape)}, expected {tuple(ours.shape)}."
            )
        with torch.no_grad():
            ours.copy_(theirs)
    return f" {len(own)} tensors are the head's.{bare}"


def names_of(head: MaskedHead, family: str) -> tuple[str, ...]:
    """All names that belong to such a head."""
    names = _NAMES[family]
    ends = [f"{names[part]}.{end}" for part in ("transform", "norm", "table") for end in ("weight", "bias")]
    pair = () if head.pair is None else (f"{PAIR}.weight", f"{PAIR}.bias")
    return (*ends, names["bias"], *pair)
