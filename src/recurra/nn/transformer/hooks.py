"""Whether something else runs when a module is called.

Layers of Transformers are asked for rows and not called, so hooks of a whole layer run in no stack
(docs/concepts/engine.md); parts are called one by one for such a hook all the same.
"""

from __future__ import annotations

from torch import nn
from torch.nn.modules import module as torch_module


def is_watched(module: nn.Module) -> bool:
    """Whether something else wants to run when a part of it is called, or a part has dropout now."""
    return is_hooked(module, training=True)


def is_hooked(module: nn.Module, *, training: bool = False) -> bool:
    """Whether something else wants to run when a part of it is called. training: or whether a part is in training"""
    if torch_module._has_any_global_hook():  # type: ignore[no-untyped-call]
        return True
    # By hand: `modules()` takes three times as long, a thirtieth of a short text.
    parts: list[nn.Module | None] = [module]
    while parts:
        if (part := parts.pop()) is None:
            continue
        if part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or (training and part.training):
            return True
        parts.extend(part._modules.values())
    return False
