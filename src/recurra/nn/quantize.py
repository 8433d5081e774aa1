"""Models with weights of fewer bits, for inference: bfloat16 or int8, with sums of float32; products of bfloat16."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

from torch import nn

from recurra.base.errors import ConfigError, did_you_mean
from recurra.engine.compact import FLOAT32, TYPES
from recurra.nn.recurrent import Recurrent

PRECISIONS = tuple(TYPES)
Module = TypeVar("Module", bound=nn.Module)


def quantize(module: Module, precision: str, *, inplace: bool = False) -> Module:
    """The module in evaluation mode, with the matrices of its recurrent layers in fewer bits.

    precision: "bfloat16" takes half the memory of float32, each number rounded to 8 significant bits; "int8" a quarter,
               whole numbers from -127 to 127 with a scale for each unit's row (the largest magnitude / 127);
               "bfloat16_products" is bfloat16, and inputs and states are rounded like the weights where these multiply
               them: fast where the processor multiplies such numbers (AMX, AVX512-BF16), elsewhere as "bfloat16"
    inplace: change the module itself; otherwise a copy
    Biases, peepholes and gains stay float32, and so do inputs, states, outputs and all sums. The results are those of
    a layer with the rounded weights, to the last bit; of products of bfloat16 they are the same alone and in any
    batch, but differ between processors by the order of sums. Gradients to inputs remain, and run on float32.
    Raises ConfigError for an unknown precision, a module without recurrent layers, or weights that are not plain
    finite float32.
    """
    if precision not in PRECISIONS:
        hint = did_you_mean(precision, PRECISIONS) or f" Select from {', '.join(PRECISIONS)}."
        raise ConfigError(f"precision: unknown '{precision}'.{hint}")
    if not any(isinstance(part, Recurrent) for part in module.modules()):
        raise ConfigError(f"{type(module).__name__} has no recurrent layer, whose weights could be {precision}.")
    module = module if inplace else deepcopy(module)
    for layer in module.modules():
        if isinstance(layer, Recurrent):
            layer.store_weights(precision)
    return module.eval()


def num_parameters(module: nn.Module) -> int:
    """Numbers that were learned, whatever they are stored as."""
    layers = [part for part in module.modules() if isinstance(part, Recurrent) and part.precision != FLOAT32]
    stored = sum(layer.num_stored for layer in layers)
    return sum(p.numel() for p in module.parameters()) + stored
