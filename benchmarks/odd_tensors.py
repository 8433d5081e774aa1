"""Odd tensors by the thousand into recurrent layers: each gives the reference's answer or a sentence, never a crash.

    python benchmarks/odd_tensors.py                        2,000 draws, about a minute
    python benchmarks/odd_tensors.py --draws 300 --seed 7

Inputs, states, lengths and parameters that lie in memory in every way a view can (transposed, expanded, overlapping,
with an offset, negated lazily), that are empty, of any type, on no device, or of a wrong size; gradients asked of some.
The answers and gradients are those of the cell's equations in float64, on tensors that lie in order; where a draw
magnifies roundings, the tolerance follows from the error of the same equations in float32. What has a mistake
in it must be refused by one of recurra's errors, and nothing else may be. The exit code is 1 if a draw does otherwise.
"""

from __future__ import annotations

import argparse
import copy
import random
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recurra.base.errors import RecurraError
from recurra.cells import CELLS
from recurra.engine import cpu
from recurra.nn import GRU, LSTM, RNN, Recurrent

# Of the largest number of each tensor: some thirty roundings one after another, in two layers.
TOLERANCE = {torch.float64: 1e-11, torch.float32: 1e-5, torch.float16: 2e-2, torch.bfloat16: 0.15}
# Where a draw magnifies roundings (layer normalisation of weights that are all equal: 316 times a layer), the error of
# the cell's equations in float32 is allowed too, so many times: two programs round differently, and one may be lucky.
# The largest ratio in 1,500 draws is 14. A wrong answer differs by more than CEILING, however a draw magnifies.
LUCK, CEILING = 20, 1e-2
TYPES = tuple(TOLERANCE)
OTHER_TYPES = (torch.int64, torch.int8, torch.bool, torch.complex64)

# -- ways to lie in memory -----------------------------------------------------------------------------------------


def between(x: Tensor) -> Tensor:
    """Every second number of twice as many, the others NaN."""
    return torch.stack([x, torch.full_like(x, float("nan"))], -1)[..., 0]


def windowed(x: Tensor) -> Tensor:
    """Behind an offset, in a wider tensor of NaN."""
    wide = x.new_full([size + 3 for size in x.shape], float("nan"))
    inside = wide[tuple(slice(2, 2 + size) for size in x.shape)]
    inside.copy_(x)
    return inside


def reverse_sequences(x: Tensor) -> Tensor:
    """Its dimensions in memory the other way round."""
    order = tuple(reversed(range(x.dim())))
    return x.permute(order).contiguous().permute(order)


def negated(x: Tensor) -> Tensor:
    """A view that is minus what lies in memory: torch's lazy negation."""
    if x.dtype not in (torch.float32, torch.float64):
        return x
    return torch.complex(torch.zeros_like(x), -x).conj().imag


def expanded(x: Tensor) -> Tensor:
    """Its first row along the first dimension, once in memory: other numbers, so for whole tensors only."""
    return x[:1].expand(x.shape) if x.dim() and len(x) else x


def overlapping(x: Tensor) -> Tensor:
    """Each row one number behind the one before: other numbers too."""
    if x.dim() < 2 or not x.numel():
        return x
    row = x[0].numel()
    memory = x.reshape(-1)[: row + len(x) - 1].contiguous()
    inner = torch.empty(x.shape[1:]).stride()
    return memory.as_strided(x.shape, (1, *inner)) if len(memory) == row + len(x) - 1 else x


LAYOUTS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda x: x,
    "between others": between,
    "in a window": windowed,
    "turned": reverse_sequences,
    "negated": negated,
    "expanded": expanded,
    "overlapping": overlapping,
}

# -- a draw --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draw:
    """One call of a layer. mistake: what is wrong with it, or "" where it must be answered."""

    layer: Recurrent
    x: Tensor
    hx: tuple[Tensor, ...] | None
    lengths: Any
    mistake: str
    words: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a draw ended. kind: matched, refused or broken; what: the draw in words; detail: what went wrong."""

    kind: str
    what: str
    detail: str = ""


def new_draw(rng: random.Random) -> Draw:
    """A layer and what it is called with; the same for the same state of `rng`."""
    torch.manual_seed(rng.randrange(2**31))
    layer, dtype = new_layer(rng), rng.choice((torch.float32,) * 12 + TYPES)
    layer.to(dtype)
    T, N = rng.choice((1, 1, 2, 3, 3, 4, 5, 5, 6, 0)), rng.choice((1, 1, 2, 2, 3, 3, 4, 17, 33, 0))
    batched = rng.random() < 0.85
    shape = ((N, T) if layer.batch_first else (T, N)) if batched else (T,)
    x, way = laid(torch.randn(*shape, layer.input_size).to(dtype), rng)
    words = [f"{layer} {dtype} backend={layer.backend}, x {tuple(x.shape)} {way}"]
    hx = None
    if rng.random() < 0.6:
        # Above zero, where every cell is smooth.
        pairs = [laid(0.1 + torch.rand(*size).to(dtype), rng) for size in state_shapes(layer, N if batched else None)]
        hx = tuple(state for state, _ in pairs)
        words.append(f"states {', '.join(way for _, way in pairs)}")
    lengths = new_lengths(rng, T, N) if batched else None
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.data = laid(parameter.data, rng)[0]
            parameter.requires_grad_(rng.random() < 0.6)
    mistake = ""
    if rng.random() < 0.25:
        mistake, x, hx, lengths = spoilt(rng, x, hx, lengths, N if batched else None)
    elif layer.backend == "cpu" and (dtype != torch.float32 or not x.numel()):
        mistake = "the executor that was asked for does not take it"
    words.append(f"lengths {lengths}, mistake: {mistake or 'none'}")
    for one in (x, *(hx or ())):
        if one.is_floating_point() and one.is_leaf and one.layout == torch.strided and rng.random() < 0.5:
            one.requires_grad_()
    return Draw(layer, x, hx, lengths, mistake, "; ".join(words))


def new_layer(rng: random.Random) -> Recurrent:
    """Small, with options that no executor treats like another."""
    options: dict[str, Any] = {
        "num_layers": rng.choice((1, 1, 2)),
        "batch_first": rng.random() < 0.5,
        "bidirectional": rng.random() < 0.4,
        "backend": rng.choice(("auto", "cpu", "cpu")),
    }
    sizes, kind = (rng.choice((1, 3, 8)), rng.choice((2, 5, 16, 21))), rng.randrange(5)
    if kind == 0:
        return LSTM(*sizes, **options, proj_size=rng.choice((0, 1)))
    if kind == 1:
        return GRU(*sizes, **options, bias=rng.random() < 0.7)
    if kind == 2:
        return RNN(*sizes, **options, bias=rng.random() < 0.7)
    name = rng.choice(tuple(CELLS))
    return Recurrent(*sizes, **options, cell=name, proj_size=1 if name == "lstm_projected" else 0)


def laid(x: Tensor, rng: random.Random) -> tuple[Tensor, str]:
    """The tensor in a random layout, and its word."""
    way = rng.choice(tuple(LAYOUTS))
    return LAYOUTS[way](x), way


def state_shapes(layer: Recurrent, N: int | None) -> list[tuple[int, ...]]:
    rows = layer.num_layers * layer.num_directions
    return [(rows, size) if N is None else (rows, N, size) for size in layer.state_sizes()]


def new_lengths(rng: random.Random, T: int, N: int) -> Any:
    """None, a list, or a tensor of a whole type in any layout."""
    found = [rng.randint(0, T) for _ in range(N)]
    kind = rng.randrange(5)
    if kind == 0:
        return None
    if kind == 1 and N:
        return found
    made = torch.tensor(found, dtype=rng.choice((torch.int64, torch.int32, torch.uint8)))
    if kind == 2:
        return torch.stack([made, made + 100])[0] if N else made
    return torch.stack([made, made + 100], 1)[:, 0] if kind == 3 else made


def spoilt(
    rng: random.Random, x: Tensor, hx: tuple[Tensor, ...] | None, lengths: Any, N: int | None
) -> tuple[str, Tensor, tuple[Tensor, ...] | None, Any]:
    """The same with one mistake, and its name."""
    mistakes: dict[str, Callable[[], tuple[Tensor, tuple[Tensor, ...] | None, Any]]] = {
        "a feature too many": lambda: (torch.cat([x, x[..., :1]], -1), hx, lengths),
        "a dimension too many": lambda: (x.unsqueeze(0).unsqueeze(0), hx, lengths),
        "no dimension": lambda: (x.new_zeros(()), hx, lengths),
        "another type": lambda: (x.detach().to(another(rng, x.dtype)), hx, lengths),
        "no device": lambda: (x.to("meta"), hx, lengths),
        "sparse": lambda: (x.detach().to_sparse(), hx, lengths),
    }
    if N is not None:
        mistakes |= {
            "a length too many": lambda: (x, hx, [0] * (N + 1)),
            "lengths with a fraction": lambda: (x, hx, torch.zeros(N)),
        }
    if N:
        mistakes["a length too long"] = lambda: (x, hx, [x.numel() + 1] * N)
        mistakes["a length below zero"] = lambda: (x, hx, torch.full((N,), -1))
    if hx:
        first, rest = hx[0], hx[1:]
        mistakes |= {
            "a unit too many": lambda: (x, (torch.cat([first, first[..., :1]], -1), *rest), lengths),
            "a layer too many": lambda: (x, (torch.cat([first, first[:1]]), *rest), lengths),
            "a state too many": lambda: (x, (*hx, first), lengths),
            "a state of another type": lambda: (x, (first.to(another(rng, first.dtype)), *rest), lengths),
            "a state on no device": lambda: (x, (first.to("meta"), *rest), lengths),
            "a sparse state": lambda: (x, (first.detach().to_sparse(), *rest), lengths),
        }
    name = rng.choice(tuple(mistakes))
    return name, *mistakes[name]()


def another(rng: random.Random, dtype: torch.dtype) -> torch.dtype:
    return rng.choice([one for one in TYPES + OTHER_TYPES if one != dtype])


# -- the answer ----------------------------------------------------------------------------------------------------


def plainly(draw: Draw, dtype: torch.dtype) -> Draw:
    """The same in this type, in order in memory, by the reference executor."""
    layer = copy.deepcopy(draw.layer).to(dtype)
    layer.backend = "reference"
    for parameter in layer.parameters():
        parameter.data = in_order(parameter.data, dtype)

    def again(t: Tensor) -> Tensor:
        return in_order(t.detach(), dtype).requires_grad_(t.requires_grad)

    hx = None if draw.hx is None else tuple(map(again, draw.hx))
    lengths = draw.lengths.tolist() if isinstance(draw.lengths, Tensor) else draw.lengths
    if lengths == []:
        lengths = None
    return Draw(layer, again(draw.x), hx, lengths, draw.mistake, draw.words)


def in_order(t: Tensor, dtype: torch.dtype) -> Tensor:
    return t.resolve_neg().to(dtype).clone(memory_format=torch.contiguous_format)


def answer(draw: Draw, seed: int) -> dict[str, Tensor]:
    """Output, states and the gradients that are asked for, of a random weighting of some of them."""
    hx = draw.hx if draw.hx is None or len(draw.hx) > 1 else draw.hx[0]
    output, state = draw.layer(draw.x, hx, lengths=draw.lengths)
    states = state if isinstance(state, tuple) else (state,)
    found = {"output": output, **{f"state {k}": s for k, s in enumerate(states)}}
    rng = random.Random(seed)
    # Drawn for all, so that what depends on nothing that asks for a gradient changes no other draw.
    tops = {name: (value, weighting(value, rng)) for name, value in found.items() if rng.random() < 0.7}
    used = [pair for pair in tops.values() if pair[0].requires_grad]
    leaves = {"x": draw.x, **{f"hx {k}": s for k, s in enumerate(draw.hx or ())}, **dict(draw.layer.named_parameters())}
    leaves = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    gradients: Sequence[Tensor | None] = [None] * len(leaves)
    if used and leaves:
        values, above = zip(*used, strict=True)
        gradients = torch.autograd.grad(values, list(leaves.values()), above, allow_unused=True)
    found |= {
        f"gradient of {name}": torch.zeros_like(leaf) if g is None else g
        for (name, leaf), g in zip(leaves.items(), gradients, strict=True)
    }
    return {name: value.detach() for name, value in found.items()}


def weighting(top: Tensor, rng: random.Random) -> Tensor:
    """What comes from above: any layout, and often one number, expanded, as from a sum."""
    number = torch.tensor(rng.choice((1.0, -0.5)), dtype=top.dtype)
    if rng.random() < 0.4:
        return number.expand(top.shape)
    waves = torch.linspace(-1, 1, max(1, top.numel()), dtype=torch.float64)[: top.numel()].reshape(top.shape)
    made = (waves * number).to(top.dtype)
    return LAYOUTS[rng.choice(("plain", "between others", "in a window", "turned", "negated"))](made)


def outcome(draw: Draw, seed: int) -> Outcome:
    """Do it and compare. Raises nothing."""
    try:
        got = answer(draw, seed)
    except RecurraError as error:
        if draw.mistake and str(error).strip():
            return Outcome("refused", draw.words)
        return Outcome("broken", draw.words, f"refused: {error}")
    except Exception:  # noqa: BLE001 - that is what is looked for
        return Outcome("broken", draw.words, traceback.format_exc())
    if draw.mistake:
        return Outcome("broken", draw.words, "was answered")
    wrong = mistake_in(got, draw, seed)
    return Outcome("broken", draw.words, wrong) if wrong else Outcome("matched", draw.words)


def mistake_in(got: Mapping[str, Tensor], draw: Draw, seed: int) -> str:
    """In what an answer is wrong, or ""."""
    dtype = draw.x.dtype
    exact = answer(plainly(draw, torch.float64), seed)
    usual = dict.fromkeys(exact, TOLERANCE[dtype])
    wrong = difference(got, exact, usual)
    if not wrong or dtype == torch.float64:
        return wrong
    rounded = answer(plainly(draw, dtype), seed)
    if dtype == torch.float32:
        return difference(got, exact, allowed(rounded, exact))
    return difference(got, rounded, usual)  # half precision runs on the equations themselves: only layouts differ


def allowed(rounded: Mapping[str, Tensor], exact: Mapping[str, Tensor]) -> dict[str, float]:
    """How far each float32 answer may be off, by the error of the equations' own float32 answers."""
    usual = TOLERANCE[torch.float32]
    return {name: max(usual, min(usual + LUCK * error(rounded[name], right), CEILING)) for name, right in exact.items()}


def error(found: Tensor, right: Tensor) -> float:
    """The largest difference, of the largest number where that is above 1."""
    if not right.numel():
        return 0.0
    return float((found.resolve_neg().double() - right.double()).abs().max()) / max(1.0, float(right.abs().max()))


def difference(got: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: Mapping[str, float]) -> str:
    """In what they differ by more than each one's tolerance, or ""."""
    if got.keys() != expected.keys():
        return f"has {', '.join(got)}; expected {', '.join(expected)}"
    for name, right in expected.items():
        if got[name].shape != right.shape:
            return f"{name}: shape {tuple(got[name].shape)}, expected {tuple(right.shape)}"
        if not (off := error(got[name], right)) <= tolerance[name]:
            return f"{name}: differs by {off:.3g}, expected at most {tolerance[name]:.3g}"
    return ""


def outcomes(number: int, seed: int) -> Iterator[Outcome]:
    """Outcomes of so many draws, the same ones for the same seed."""
    rng = random.Random(seed)
    for _ in range(number):
        yield outcome(new_draw(rng), rng.randrange(2**31))


def main(words: Sequence[str] | None = None) -> int:
    """Draw, count, print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(words)
    counts = Counter[str]()
    for found in outcomes(asked.draws, asked.seed):
        counts[found.kind] += 1
        if found.kind == "broken":
            print(f"{found.what}\n  {found.detail}", file=sys.stderr, flush=True)
    native = "with" if cpu.available() else "without"
    ends = ", ".join(f"{n:,} {kind}" for kind, n in sorted(counts.items()))
    print(f"{asked.draws:,} draws {native} the native engine: {ends}")
    return 1 if counts["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
