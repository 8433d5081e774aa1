"""What heads of attention look at in a batch, and whether outputs depend on what is read: for any model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Loss
from recurra.doctor.heads import HeadProbe, mean_probes
from recurra.nn.modes import in_evaluation
from recurra.nn.transformer.attention import CrossAttention, SelfAttention
from recurra.nn.transformer.rows import Rows

# Of what a head gives out, what its answer is made of.
OUTPUTS = ("logits", "choice_logits", "span_logits", "emissions", "numbers", "hidden")
# Places of a longer sequence are not kept: the weights of a head are its square.
LONGEST = 512


@dataclass(frozen=True, slots=True)
class AttentionProbe:
    """heads: of each module of attention, by its name in the model; none of one of which no sequence says something

    spread: how far outputs are from their mean over all rows and steps, as a share of their size; None: not measured
    unread: nats a target that the loss is higher by where each row has the encoding of another row's source; None of a
    model without a decoder, and of one that says again what it reads, whose loss need not be in nats
    """

    heads: dict[str, list[HeadProbe]]
    spread: float | None
    unread: float | None


def attention_probe(model: nn.Module, batch: Batch, loss: Callable[[Any, Batch], Loss]) -> AttentionProbe:
    """Look at a model in evaluation. The model stays as it is, and torch's random state is not used."""
    with in_evaluation(model):
        with torch.no_grad(), _watched(model) as seen:
            prediction = model(batch)
            right = loss(prediction, batch)
        heads = {name: mean_probes(each) for name, each in seen.items()}
        again = "codes" in prediction.outputs
        unread = None if again else _unread(model, batch, loss, right)
        return AttentionProbe(heads, _spread(prediction.outputs, batch), unread)


def has_heads(model: nn.Module) -> bool:
    """Whether it has heads of attention to look at."""
    return any(map(_is_attention, model.modules()))


def _is_attention(module: nn.Module) -> bool:
    return isinstance(module, SelfAttention | CrossAttention)


@contextmanager
def _watched(model: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Weights (heads, S, T) of each sequence, by the name of the module; of all modules, also where none was seen."""
    seen: dict[str, list[Tensor]] = {name: [] for name, module in model.named_modules() if _is_attention(module)}
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, SelfAttention):
            handles.append(module.register_forward_pre_hook(partial(_to_itself, seen, name), with_kwargs=True))
        elif isinstance(module, CrossAttention):
            handles.append(module.register_forward_pre_hook(partial(_to_another, seen, name), with_kwargs=True))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _to_itself(
    seen: dict[str, list[Tensor]], name: str, layer: SelfAttention, given: tuple[Any, ...], named: dict[str, Any]
) -> None:
    x, rows = given[0], named["rows"] if "rows" in named else given[1]
    for group in rows.groups:
        each = x[group.rows].view(group.sequences, group.length, -1)
        alone = Rows.of(group.length, torch.tensor([group.length], dtype=torch.int64))
        for one in each if group.length <= LONGEST else ():
            seen[name].append(layer.weights(one, alone))


def _to_another(
    seen: dict[str, list[Tensor]], name: str, layer: CrossAttention, given: tuple[Any, ...], named: dict[str, Any]
) -> None:
    x, memory, pairs = given
    weights = layer.weights(x, memory[0], pairs)
    for target, source in pairs.groups:
        for n in target.members if source.length <= LONGEST else ():
            seen[name].append(weights[:, : target.length, n, : source.length])


def _spread(outputs: dict[str, Tensor], batch: Batch) -> float | None:
    """Root mean square of outputs around their mean over rows and real steps, beside that around zero."""
    N = len(batch.lengths)
    named = [outputs[name] for name in OUTPUTS if name in outputs]
    if not named or N < 2 or "target" in batch.inputs:
        return None
    found = named[0].double()
    if found.dim() == 4 and found.shape[1] == N:  # several parameters of each number
        found = found.flatten(2)
    if found.dim() == 3 and found.shape[1] == N:
        lengths = batch.inputs.get("place_lengths", batch.lengths).to(found.device)
        found = found[torch.arange(len(found), device=found.device).unsqueeze(1) < lengths]
    if found.dim() != 2 or len(found) < 2 or not bool(found.isfinite().all()):
        return None
    size = found.square().mean().sqrt()
    return float((found - found.mean(0)).square().mean().sqrt() / size) if size else 0.0


def _unread(model: nn.Module, batch: Batch, loss: Callable[[Any, Batch], Loss], right: Loss) -> float | None:
    """What the loss is higher by where the decoder reads the encoding of another row."""
    encoder = getattr(model, "encoder", None)
    if not hasattr(model, "decoder") or encoder is None or len(batch.lengths) < 2 or not right.count:
        return None
    if "source_copy" in batch.inputs:  # tokens to copy stand at places of their own source
        return None
    handle = encoder.register_forward_hook(lambda module, given, encoded: _of_another_row(encoded))
    try:
        with torch.no_grad():
            wrong = loss(model(batch), batch)
    finally:
        handle.remove()
    return float(wrong.mean - right.mean)


def _of_another_row(encoded: Any) -> Any:
    """An `Encoded` whose rows are one place further."""
    moved = {
        "outputs": encoded.outputs.roll(1, 1),
        "lengths": encoded.lengths.roll(1, 0),
        "summary": encoded.summary.roll(1, 0),
        "states": {name: state.roll(1, 0) for name, state in encoded.states.items()},
    }
    assert moved.keys() <= {one.name for one in fields(encoded)}
    return replace(encoded, **moved)
