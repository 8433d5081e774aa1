"""Layer normalisation where nothing varies, under masks of dropout and zoneout: gradients are finite."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from recurra.cells import CELLS
from recurra.engine import Call, Weights, masked, run
from recurra.lower import layout
from recurra.nn.dropout import locked_mask

CELL = CELLS["lstm_layernorm"]
T, N, I = 2, 2, 3
# Of weights and inputs. Rows without variance divide by sqrt(eps), 1 / 316; so do zeros and what eps swallows.
FORMS = {
    "equal": lambda t, g: torch.full_like(t, 0.7),
    "equal in each row": lambda t, g: torch.randn((*t.shape[:-1], 1), generator=g).expand(t.shape).clone(),
    "equal rows": lambda t, g: torch.randn(t.shape[-1:], generator=g).expand(t.shape).clone(),
    "zeros": lambda t, g: torch.zeros_like(t),
    "huge": lambda t, g: 1e9 * torch.randn(t.shape, generator=g),
    "tiny": lambda t, g: 1e-30 * torch.randn(t.shape, generator=g),
    "random": lambda t, g: torch.randn(t.shape, generator=g),
}


def drawn(weights: str, inputs: str, H: int, p: float, zoneout: bool) -> tuple[dict[str, Tensor], list[Tensor], tuple]:
    """Named tensors in float64 that hold float32 numbers, the masks of inputs and of h, and those of zoneout."""
    g = torch.Generator().manual_seed(H)
    sizes = {"I": I, "H": H}
    found = {p.name: FORMS[weights](torch.empty(p.shape(sizes)), g) for p in layout(CELL)}
    found["gain"] = torch.randn(found["gain"].shape, generator=g)  # a huge one is a huge gradient, and no mask's fault
    found["x"] = FORMS[inputs](torch.empty(T, N, I), g)
    found |= {state: torch.randn(N, H, generator=g) for state in CELL.states}
    torch.manual_seed(H)
    masks = [locked_mask(found["x"], shape, p).double() for shape in ((1, N, I), (N, H))]
    zones = tuple(torch.rand(T, N, H, generator=g) < 0.5 for _ in CELL.states) if zoneout else ()
    return {name: t.double() for name, t in found.items()}, masks, zones


def outcome(tensors: dict[str, Tensor], masks: list[Tensor], zones: tuple, backend: str, dtype: torch.dtype):
    """Outputs, last states, and the gradients of their sum, by name."""
    given = {name: t.to(dtype).requires_grad_() for name, t in tensors.items()}
    x_mask, h_mask = (mask.to(dtype) for mask in masks)
    packed = {p.name: given[p.name] for p in layout(CELL)}
    call = Call(
        masked(given["x"], x_mask), tuple(given[s] for s in CELL.states), Weights(CELL, packed), zoneout=zones,
        recurrent_mask=h_mask,
    )  # fmt: skip
    result = run(call, backend=backend)
    total = result.output.sum() + sum(state.sum() for state in result.states)
    gradients = torch.autograd.grad(total, list(given.values()))
    return {"output": result.output, **{f"d {name}": d for name, d in zip(given, gradients, strict=True)}}


@pytest.mark.parametrize(("p", "zoneout"), [(0.999, False), (0.5, True)])
def test_rows_without_variance_have_finite_gradients_under_masks(p: float, zoneout: bool) -> None:
    compared = 0
    for weights, inputs, H in product(FORMS, ("equal", "zeros", "huge", "random"), (1, 5)):
        tensors, masks, zones = drawn(weights, inputs, H, p, zoneout)
        exact = outcome(tensors, masks, zones, "reference", torch.float64)
        # Where float64 has more than float32 can hold there is nothing to compare.
        if max(float(t.detach().abs().max()) for t in exact.values()) > 1e30:
            continue
        for backend in ("cpu", "reference"):
            found = outcome(tensors, masks, zones, backend, torch.float32)
            assert [name for name, t in found.items() if not t.isfinite().all()] == [], (backend, weights, inputs, H)
            compared += 1
    assert compared > 80


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_an_infinite_gradient_of_layer_normalisation_stops_at_what_is_dropped(backend: str) -> None:
    tensors, masks, _ = drawn("equal", "random", 5, 0.5, zoneout=False)
    dropped = [mask.flatten(0, -2) == 0 for mask in masks]
    assert all(0 < int(gone.sum()) < gone.numel() for gone in dropped)
    tensors["gain"] = torch.full_like(tensors["gain"], 1e37)
    tensors["bias_ih"] = torch.zeros_like(tensors["bias_ih"])
    found = outcome(tensors, masks, (), backend, torch.float32)
    assert not found["d weight_hh"].isfinite().all()
    assert not found["d x"][:, dropped[0]].any()
    assert not found["d h"][dropped[1]].any()
