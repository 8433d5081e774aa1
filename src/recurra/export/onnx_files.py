"""A model to ONNX files, which are run and compared with the model before they are kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import nn

from recurra import __version__
from recurra.base.atomic import replacing
from recurra.base.errors import ConfigError, RunError
from recurra.engine.compact import PRODUCTS
from recurra.export.models import parts_of
from recurra.export.onnx_graph import Array
from recurra.export.parts import PIECES, Named, Part
from recurra.export.runtimes import ANY, ONNX_RUNTIME, Run, Runtime, proving
from recurra.models.contract import STATE
from recurra.nn import Recurrent

# The largest difference that is rounding: float32 has 6e-8 an operation, and a few dozen follow one another in a step.
TOLERANCE = 1e-5
# Where the equations magnify rounding, as layer normalisation does of nearly equal numbers, the model itself is further
# than that from exact numbers: up to 2e-4. In each batch the file may be this many times as far as the model there, or
# as the exact model with weights that are off by NUDGE of themselves, since the model may be near by luck, and no
# further than MOST: a model beyond that has no answer of its own that a file could agree with.
ROUNDINGS, MOST = 8.0, 1e-3
# Half of what two neighbours of float32 are apart.
NUDGE = 2.0**-24
# Rows and steps that are compared: one sequence, batches with an empty one, few steps and many.
SHAPES = ((1, 1), (1, 40), (2, 7), (3, 2), (4, 13), (5, 40))
# Rows of the sequences that are compared in pieces; the model itself, and the model in float64.
ROWS, OWN, EXACT = 4, "own", "exact"


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a file is from the model in float64, and how far the model in float32 is: by output, over all shapes.

    A difference is the largest of |found - exact| / max(1, largest |exact|), over all numbers of the output.
    differences: of the runtime where it is largest      runtimes: of each runtime, by its name and version
    wrong: outputs whose difference is no rounding, each with what it may be in that batch and where it is not
    """

    path: Path
    runtimes: Mapping[str, Mapping[str, float]]
    roundings: Mapping[str, float]
    wrong: Mapping[str, tuple[float, str]]

    @property
    def differences(self) -> Mapping[str, float]:
        """By output, in the runtime where it is largest."""
        return {name: max(found[name] for found in self.runtimes.values()) for name in self.roundings}

    @property
    def largest(self) -> float:
        """The largest difference of all outputs."""
        return max(self.differences.values())


def onnx(
    model: nn.Module, path: Path | str, *, target: str = ANY, metadata: Mapping[str, str] | None = None
) -> tuple[Agreement, ...]:
    """Write a model, or a recurrent layer, as ONNX, run it on the CPU, and keep it if it agrees.

    model:    `nn.Recurrent` and its kin, or a model of `recurra.models`; float32, on any device, as in evaluation
    path:     the file; a model of several parts has the part's name before the ending: out.encoder.onnx, out.step.onnx
    target:   the program that will run it: "any" (and it is run in each of `runtimes.RUNTIMES` that is installed),
              "onnxruntime" (fastest there, and wrong in others), or "openvino"
    metadata: texts that the files carry beside recurra's version
    Returns how far each file is from the model in each runtime; nothing is written unless all agree to `TOLERANCE`.
    Raises ConfigError for a model that has no form in ONNX, such as one of bfloat16_products, or if onnx or the runtime
    is not installed, RunError if the files differ from the model.
    """
    path, texts = Path(path), {"recurra": __version__, **(metadata or {})}
    runtimes = proving(target)
    with torch.no_grad():
        model = _any_backend(copy.deepcopy(model).cpu().eval())
        exact = copy.deepcopy(model).double()
        found_parts = parts_of(model, for_any=target != ONNX_RUNTIME)
        parts = {_named(path, part.name): part for part in found_parts}
        files = {place: part.draw.file(texts) for place, part in parts.items()}
        found = tuple(compare(place, files[place], part, model, exact, runtimes) for place, part in parts.items())
    if problems := [_refusal(one) for one in found if one.wrong]:
        raise RunError("\n".join(problems))
    _write(files)
    return found


def _any_backend(model: nn.Module) -> nn.Module:
    for layers in model.modules():
        if isinstance(layers, Recurrent):
            if layers.precision == PRODUCTS:
                raise ConfigError(
                    f"export: the weights are {PRODUCTS}, and files round no inputs and states; export the model "
                    "before it is quantized, or one with weights of bfloat16."
                )
            layers.backend = "auto"  # one that is named need not have float64
    return model


def compare(
    path: Path,
    data: bytes,
    part: Part,
    model: nn.Module,
    exact: nn.Module,
    runtimes: Sequence[Runtime],
    shapes: Sequence[tuple[int, int]] = SHAPES,
) -> Agreement:
    """How far a file in each runtime, and the model in float32, are from the model in float64, over batches (N, T).

    Of a part that hears pieces also over sequences in `PIECES`, where each goes on from the states that it has left.
    """
    runs, random = {one.title: one.open(data) for one in runtimes}, np.random.default_rng(0)
    found = Differences(part.draw.outputs, list(runs))
    askers: dict[str, Callable[[Named], Named]] = {
        OWN: lambda inputs: part.answer(model, inputs),
        EXACT: lambda inputs: part.answer(exact, _in_float64(inputs)),
        **{title: _by_name(run, part.draw.outputs) for title, run in runs.items()},
    }
    off = cache(lambda: _nudged(exact))

    def answer_off(inputs: Named) -> Named:
        return part.answer(off(), _in_float64(inputs))

    for N, T in shapes:
        inputs = part.ask(random, N, T)
        found.add({who: ask(inputs) for who, ask in askers.items()}, partial(answer_off, inputs))
    states: dict[str, Named] = {who: {} for who in askers}
    for T in PIECES if part.pieces else ():
        inputs = part.ask(random, ROWS, T)
        inputs |= {name: np.zeros_like(one) for name, one in inputs.items() if name.startswith(STATE)}
        said = {who: ask(inputs | states[who]) for who, ask in askers.items()}
        found.add(said, partial(answer_off, inputs | states[EXACT]))
        states = {who: _after(one) for who, one in said.items()}
    return Agreement(path, found.apart, found.rounding, found.wrong)


@final
class Differences:
    """What `Agreement` has, as batch after batch is added."""

    def __init__(self, outputs: Sequence[str], runtimes: Sequence[str]) -> None:
        self.apart = {title: dict.fromkeys(outputs, 0.0) for title in runtimes}
        self.rounding = dict.fromkeys(outputs, 0.0)
        self.wrong: dict[str, tuple[float, str]] = {}

    def add(self, said: Mapping[str, Named], nudged: Callable[[], Named]) -> None:
        """What each runtime, `OWN` and `EXACT` say of one batch; nudged: what the exact model says with `NUDGE`."""
        for name, true in said[EXACT].items():
            ours = difference(said[OWN][name], true)
            self.rounding[name] = max(self.rounding[name], ours)
            for title, apart in self.apart.items():
                here = difference(said[title][name], true)
                apart[name] = max(apart[name], here)
                if here <= _limit(ours):
                    continue
                limit = max(_limit(ours), _limit(difference(nudged()[name], true)))
                if not here <= limit:
                    self.wrong[name] = max((limit, title), self.wrong.get(name, (0.0, "")))


def _limit(rounding: float) -> float:
    return max(TOLERANCE, min(ROUNDINGS * rounding, MOST))


@torch.no_grad()
def _nudged(exact: nn.Module) -> nn.Module:
    """The model with each weight a little more or less."""
    draw, off = torch.Generator().manual_seed(0), copy.deepcopy(exact)
    for weight in filter(torch.is_floating_point, off.parameters()):
        weight.mul_(1 + NUDGE * (2 * torch.randint(2, weight.shape, generator=draw) - 1))
    return off


def _by_name(run: Run, outputs: Sequence[str]) -> Callable[[Named], Named]:
    return lambda inputs: dict(zip(outputs, run(inputs), strict=True))


def _after(said: Named) -> Named:
    """The states for the next piece, of outputs."""
    return {name.removeprefix("next_"): one for name, one in said.items() if name.startswith(f"next_{STATE}")}


def _in_float64(inputs: Named) -> Named:
    return {name: a.astype(np.float64) if a.dtype == np.float32 else a for name, a in inputs.items()}


def difference(got: Array, exact: Array) -> float:
    """max |got - exact| / max(1, max |exact|); infinite for another shape, or for numbers that are not finite."""
    if got.shape != exact.shape or not (np.isfinite(got).all() and np.isfinite(exact).all()):
        return float("inf")
    apart = np.abs(got.astype(np.float64) - exact).max(initial=0.0)
    return float(apart / max(1.0, np.abs(exact).max(initial=0.0)))


def _named(path: Path, part: str) -> Path:
    return path.with_suffix(f".{part}{path.suffix}") if part else path


def _refusal(one: Agreement) -> str:
    worst = max(one.wrong, key=lambda name: one.differences[name])
    limit, runtime = one.wrong[worst]
    return (
        f"{one.path}: not written: in {runtime} the output '{worst}' is {one.runtimes[runtime][worst]:.1e} from the "
        f"model's, expected at most {limit:.1e} of numbers of order 1; recurra's own float32 is "
        f"{one.roundings[worst]:.1e} from float64. Are the weights sensible? `recurra evaluate` tells."
    )


def _write(files: Mapping[Path, bytes]) -> None:
    """All files are whole before the first one takes its name."""
    with ExitStack() as stack:
        for path, data in files.items():
            stack.enter_context(replacing(path)).write(data)
