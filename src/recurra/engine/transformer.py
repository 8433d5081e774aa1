"""Layers of a Transformer in one native call, float32 on the CPU: an encoder's rows, and each step of either.

Weights are packed before a first step; those of an encoder's rows are read where they are, in each call. A row has the
same bits alone and among others, for any number of threads. Beside the readable path, layer by layer in torch's
functions, results differ by rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch import Tensor

from recurra.base.errors import ConfigError, ShapeError
from recurra.engine import cpu
from recurra.engine.call import recording, transformed
from recurra.engine.memory import PLAIN, address, in_order
from recurra.engine.span_attention import Spans

# In the order in which native code numbers them.
ACTIVATIONS = ("relu", "gelu", "gelu_tanh", "silu")
NORMS = ("none", "layer", "rms")


@dataclass(frozen=True, slots=True)
class LinearNumbers:
    """y = W x + b. weight: (outputs, inputs)      bias: (outputs,) or None"""

    weight: Tensor
    bias: Tensor | None

    def in_order(self) -> LinearNumbers:
        """The same, as it lies in memory."""
        weight, bias = in_order(self.weight), _in_order(self.bias)
        return self if weight is self.weight and bias is self.bias else LinearNumbers(weight, bias)

    def fits(self, outputs: int, inputs: int) -> bool:
        """Whether it has these sizes."""
        return self.weight.shape == (outputs, inputs) and _are_vectors(outputs, self.bias)

    @property
    def addresses(self) -> list[int]:
        """For native code."""
        return [address(self.weight), address(self.bias)]


@dataclass(frozen=True, slots=True)
class NormNumbers:
    """One of NORMS over `size` numbers. weight, bias: (size,) or None"""

    kind: str = "none"
    weight: Tensor | None = None
    bias: Tensor | None = None
    eps: float = 0.0
    size: int = 0

    def in_order(self) -> NormNumbers:
        """The same, as it lies in memory."""
        weight, bias = _in_order(self.weight), _in_order(self.bias)
        same = weight is self.weight and bias is self.bias
        return self if same else replace(self, weight=weight, bias=bias)

    def held(self) -> NormNumbers:
        """The same, in memory that stays where it is when the parameters are given other."""
        weight, bias = (None if t is None else in_order(t.detach()) for t in (self.weight, self.bias))
        return replace(self, weight=weight, bias=bias)

    def fits(self, size: int) -> bool:
        """Whether it is over so many numbers, or none."""
        return self.kind == "none" or (self.size == size and _are_vectors(size, self.weight, self.bias))

    @property
    def addresses(self) -> list[int]:
        """For native code."""
        return [address(self.weight), address(self.bias)]


@dataclass(frozen=True, slots=True)
class DecoderLayerNumbers:
    """A layer: attention to itself, attention to a source, a feed-forward part, and the norm of each.

    projection: to queries, keys and values (3 d, d)      query, across: of attention to the source
    activation: one of ACTIVATIONS      gated: times the second half of what `first` gives
    norm_first: x + f(norm(x)), else norm(x + f(x))
    tensors: weights and biases of the maps, then of the norms, as native code takes them      words: options, too
    """

    projection: LinearNumbers
    out: LinearNumbers
    query: LinearNumbers
    across: LinearNumbers
    first: LinearNumbers
    second: LinearNumbers
    norms: tuple[NormNumbers, NormNumbers, NormNumbers]
    activation: str
    gated: bool
    norm_first: bool
    tensors: tuple[Tensor | None, ...] = field(init=False, repr=False, compare=False)
    words: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", _tensors(self))
        object.__setattr__(self, "words", _words(self))

    @property
    def linears(self) -> tuple[LinearNumbers, ...]:
        """The linear maps, in the order in which they come."""
        return self.projection, self.out, self.query, self.across, self.first, self.second

    def fits(self, d: int) -> bool:
        """Whether all sizes are those of a layer of d numbers."""
        return _fits(self, d)

    @property
    def options(self) -> list[int]:
        """As native code reads them."""
        return [self.second.weight.shape[1], *self.words]


@dataclass(frozen=True, slots=True)
class EncoderLayerNumbers:
    """A layer: attention to itself, a feed-forward part, and the norm of each; else as `DecoderLayerNumbers`."""

    projection: LinearNumbers
    out: LinearNumbers
    first: LinearNumbers
    second: LinearNumbers
    norms: tuple[NormNumbers, NormNumbers]
    activation: str
    gated: bool
    norm_first: bool
    tensors: tuple[Tensor | None, ...] = field(init=False, repr=False, compare=False)
    words: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", _tensors(self))
        object.__setattr__(self, "words", _words(self))

    @property
    def linears(self) -> tuple[LinearNumbers, ...]:
        """The linear maps, in the order in which they come."""
        return self.projection, self.out, self.first, self.second

    def fits(self, d: int) -> bool:
        """Whether all sizes are those of a layer of d numbers."""
        return _fits(self, d)

    @property
    def options(self) -> list[int]:
        """As native code reads them."""
        return [self.second.weight.shape[1], *self.words]


def _tensors(layer: EncoderLayerNumbers | DecoderLayerNumbers) -> tuple[Tensor | None, ...]:
    each: tuple[LinearNumbers | NormNumbers, ...] = (*layer.linears, *layer.norms)
    return tuple([t for one in each for t in (one.weight, one.bias)])


def _words(layer: EncoderLayerNumbers | DecoderLayerNumbers) -> tuple[int, ...]:
    kinds = [NORMS.index(norm.kind) for norm in layer.norms]
    return (ACTIVATIONS.index(layer.activation), int(layer.gated), int(layer.norm_first), *kinds)


def _fits(layer: EncoderLayerNumbers | DecoderLayerNumbers, d: int) -> bool:
    shapes = _shapes(layer.second.weight.shape[-1], d, len(layer.linears), len(layer.norms), layer.gated)
    # In one loop: asked one by one in calls of their own, they take a twentieth of a short text.
    same = all(t is None or t.shape == shape for t, shape in zip(layer.tensors, shapes, strict=True))
    return same and all(n.size == d or n.kind == "none" for n in layer.norms)


@lru_cache(maxsize=64)
def _shapes(units: int, d: int, linears: int, norms: int, gated: bool) -> tuple[tuple[int, ...], ...]:
    """Of the tensors of a layer of d numbers and so many units."""
    maps = [(3 * d, d), *[(d, d)] * (linears - 3), (2 * units if gated else units, d), (d, units)]
    return (*(shape for size in maps for shape in (size, size[:1])), *[(d,)] * (2 * norms))


def _are_vectors(size: int, *given: Tensor | None) -> bool:
    return all(t is None or t.shape == (size,) for t in given)


@dataclass(frozen=True, slots=True)
class StepOfRows:
    """What a step of B rows reads beside the weights.

    tokens: (B,)      place: (d,) what is added to their vectors      turn: (d / heads,) cosines and sines, or None
    held: (steps, B) in which row of the cache each step of each row stands      room: rows of a step in the cache
    source: (B,) which source each row reads      places: (N, 2) its first row, and how many it has
    layers: of each, keys and values (steps, room, d) of what is written, and (R, d) of the sources
    """

    tokens: Tensor
    place: Tensor
    turn: Tensor | None
    held: Tensor
    room: int
    source: Tensor
    places: Tensor
    layers: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class WrittenOn:
    """What rows have said in some steps of a greedy search.

    log_probs, tokens: (steps, B)      rows: (steps, B) which of the B say them, -1 behind the last
    live: (L,) the rows that have not closed      held: (all steps, L) as `StepOfRows` has it, of those
    """

    log_probs: Tensor
    tokens: Tensor
    rows: Tensor
    live: Tensor
    held: Tensor


class DecoderPlan:
    """A decoder's weights, packed; later changes of the matrices are not seen.

    norm, output: behind the last layer      table: (V, d) of tokens      scale: of their vectors
    The caller has asked `can_step`, and each layer whether it fits d: sizes are not looked at here.
    """

    def __init__(
        self,
        layers: Sequence[DecoderLayerNumbers],
        norm: NormNumbers,
        output: LinearNumbers,
        *,
        table: Tensor,
        scale: float,
        num_heads: int,
    ) -> None:
        self.table, self.scale = in_order(table.detach()), scale
        V, d = self.table.shape
        # Norms are read where they are: held, since a model that goes to another type or device lets go of its memory.
        self._norms = [[n.held() for n in one.norms] for one in layers] + [[norm.held()]]
        matrices = [[one.in_order() for one in layer.linears] for layer in layers] + [[output.in_order()]]
        pairs = zip(matrices, self._norms, strict=True)
        *places, ends = [_addresses(found) + _addresses(norms) for found, norms in pairs]
        eps = [[one.eps for one in norms] for norms in self._norms]
        sizes, options = [d, num_heads, V, NORMS.index(norm.kind)], [one.options for one in layers]
        self._native = cpu._native.DecoderPlan(cpu.instruction_set(), sizes, places, options, eps, ends)
        self._numbers = sum(one.weight.numel() for each in matrices for one in each)

    @property
    def nbytes(self) -> int:
        """Of the packed weights."""
        return int(self._native.nbytes)

    def step(self, rows: StepOfRows) -> Tensor:
        """Log-probabilities (B, V) of what comes after the tokens; their keys and values are written to the cache.

        Raises IndexError for a token that the table has not.
        """
        made = self.table.new_empty(len(rows.tokens), len(self.table))
        self._run(rows, 0, made, None)
        return made

    def best(self, rows: StepOfRows, k: int) -> tuple[Tensor, Tensor]:
        """The k greatest of them (B, k), or all where there are fewer, and their tokens; of equals the first is first.

        A row with NaN among them has NaN alone. Raises ConfigError unless k is 1 or more.
        """
        if k < 1:
            raise ConfigError(f"k is {k}, expected 1 or more.")
        k = min(k, len(self.table))
        made, tokens = self.table.new_empty(len(rows.tokens), k), rows.tokens.new_empty(len(rows.tokens), k)
        self._run(rows, k, made, tokens)
        return made, tokens

    def _run(self, rows: StepOfRows, k: int, made: Tensor, best: Tensor | None) -> None:
        B, steps = len(rows.tokens), len(rows.held)
        threads = cpu.threads_of_call(2 * B * self._numbers)
        each = (rows.tokens, self.table, rows.place, rows.turn, rows.held, rows.source, rows.places, made, best)
        addresses = [address(t) for t in each]
        addresses += [t.data_ptr() for layer in rows.layers for t in layer]
        self._native.step([B, steps, rows.room, threads, k], self.scale, addresses)

    def write_on(self, rows: StepOfRows, *, end: int, left: Tensor, never: Sequence[int]) -> WrittenOn:
        """Steps of a greedy search, one after another: as many as `rows.place` has rows, or fewer.

        rows: as of a step, but place (steps, d) and turn (steps, d / heads) of all of them
        end, left (B,): a row leaves behind its end, or when it has taken so many steps      never: tokens not said
        Fewer are made where all rows have closed, or behind a step in which one has no best token, or NaN.
        Raises ShapeError for another number of `left` than rows.
        """
        B, before, steps = len(rows.tokens), len(rows.held), len(rows.place)
        if left.shape != (B,):
            raise ShapeError(f"a search of {B} rows: left has shape {tuple(left.shape)}, expected ({B},).")
        held = rows.held.new_empty((before + steps) * B)
        held[: before * B] = rows.held.flatten()
        made, said = self.table.new_empty(steps, B), rows.tokens.new_empty(2, steps, B)
        threads = cpu.threads_of_call(2 * B * self._numbers)
        each = (rows.tokens, self.table, rows.place, rows.turn, held, rows.source, rows.places, made, *said, left)
        addresses = [address(t) for t in each]
        addresses += [t.data_ptr() for layer in rows.layers for t in layer]
        sizes = [B, before, rows.room, threads, 1, steps, end]
        count, live = self._native.write_on(sizes, self.scale, list(never), addresses)
        table = held[: (before + count) * len(live)].view(before + count, len(live))
        return WrittenOn(made[:count], said[0, :count], said[1, :count], torch.tensor(live, dtype=torch.int64), table)


class OutputPlan:
    """A linear layer to a vocabulary, packed, with the log-softmax behind it; later changes of the matrix are not seen.

    The caller has asked `can_step`, and the layer whether its sizes fit.
    """

    def __init__(self, output: LinearNumbers) -> None:
        held = output.in_order()
        self.size = held.weight.shape[1], held.weight.shape[0]
        self._native = cpu._native.OutputPlan(cpu.instruction_set(), list(self.size), held.addresses)

    @property
    def nbytes(self) -> int:
        """Of the packed weights."""
        return int(self._native.nbytes)

    def log_probs(self, x: Tensor) -> Tensor:
        """(B, V) of what the layer says of x (B, D)."""
        made = x.new_empty(len(x), self.size[1])
        self._run(x, 0, made, None)
        return made

    def best(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k greatest of them, as `DecoderPlan.best` tells them. Raises ConfigError unless k is 1 or more."""
        if k < 1:
            raise ConfigError(f"k is {k}, expected 1 or more.")
        k = min(k, self.size[1])
        made = x.new_empty(len(x), k)
        tokens = torch.empty(len(x), k, dtype=torch.int64, device=x.device)
        self._run(x, k, made, tokens)
        return made, tokens

    def _run(self, x: Tensor, k: int, made: Tensor, best: Tensor | None) -> None:
        (D, V), x = self.size, in_order(x)
        if x.shape[1:] != (D,) or x.dtype != torch.float32 or not x.is_cpu:
            raise ShapeError(
                f"an output layer of {D} numbers: x has shape {tuple(x.shape)}, {x.dtype} on {x.device}, expected "
                f"(B, {D}), float32 on the CPU."
            )
        threads = cpu.threads_of_call(2 * len(x) * D * V)
        self._native.step([len(x), threads, k], [address(x), address(made), address(best)])


class EncoderPlan:
    """A causal encoder's weights, packed, for one step after another; later changes of the matrices are not seen.

    norm: behind the last layer      window: steps that a step sees, itself among them
    The caller has asked `can_step`, and each layer whether it fits d: sizes are not looked at here.
    """

    def __init__(
        self, layers: Sequence[EncoderLayerNumbers], norm: NormNumbers, *, num_heads: int, window: int
    ) -> None:
        self.size, self.window = layers[0].out.weight.shape[0], window
        # Norms are read where they are: held, since a model that goes to another type or device lets go of its memory.
        self._norms = [[n.held() for n in one.norms] for one in layers] + [[norm.held()]]
        matrices = [[one.in_order() for one in layer.linears] for layer in layers]
        places = [_addresses(found) + _addresses(norms) for found, norms in zip(matrices, self._norms, strict=False)]
        eps = [[one.eps for one in norms] for norms in self._norms]
        sizes, options = [self.size, num_heads, window, NORMS.index(norm.kind)], [one.options for one in layers]
        last = self._norms[-1][0].addresses
        self._native = cpu._native.EncoderPlan(cpu.instruction_set(), sizes, places, options, eps, last)
        self._numbers = sum(one.weight.numel() for each in matrices for one in each)

    @property
    def nbytes(self) -> int:
        """Of the packed weights."""
        return int(self._native.nbytes)

    def step(
        self, x: Tensor, seen: Tensor, before: Sequence[Sequence[Tensor | None]], turns: Tensor | None
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """What is said of x (N, d), and keys and values (N, window, d) of each layer, the latest last.

        seen: (N,) int64, steps that there have been      before: keys and values of each layer; None: no steps
        turns: (window, d / heads) cosines and sines of distances, for rotary positions
        Raises ShapeError for another number of `seen` than rows.
        """
        x = in_order(x.detach()).clone()
        N, shape = len(x), (len(x), self.window, self.size)
        if seen.shape != (N,):
            raise ShapeError(f"a step of {N} rows: seen has shape {tuple(seen.shape)}, expected ({N},).")
        # What is kept is `window` steps, and a state that somebody made may say any number.
        seen = in_order(seen.clamp(0, self.window))
        kept = [(x.new_empty(shape), x.new_empty(shape)) for _ in before]
        old = [[None if one is None else in_order(one.detach()) for one in pair] for pair in before]
        threads = cpu.threads_of_call(2 * N * self._numbers)
        addresses = [address(t) for t in (x, seen, turns)]
        for pair, new in zip(old, kept, strict=True):
            addresses += [address(t) for t in (*pair, *new)]
        self._native.step([N, threads], addresses)
        return x, kept


def encode(
    x: Tensor,
    layers: Sequence[EncoderLayerNumbers],
    norm: NormNumbers,
    spans: Spans,
    *,
    num_heads: int,
    causal: bool = False,
    window: int = 0,
    turns: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    """(S, d) of rows (S, d) through layers, and a norm behind the last.

    spans: sequences whose keys are their own rows      causal, window: as of `span_attention.attend`
    turns: (positions, d / heads) cosines and sines of rotary positions, or None      steps: (S,) of each row
    The caller has asked `can_run`, and each layer whether it fits d: sizes are not looked at here.
    """
    made = in_order(x.detach()).clone()
    S, d = made.shape
    held: list[Tensor] = []
    work = 2 * S * sum([one.weight.numel() for layer in layers for one in layer.linears])
    sizes = [S, d, num_heads, len(spans.table), int(causal), window, NORMS.index(norm.kind)]
    cpu._native.encode(
        cpu.instruction_set(),
        [*sizes, cpu.threads_of_call(work)],
        [_in_order_at(layer.tensors, held) for layer in layers],
        [layer.options for layer in layers],
        [*([one.eps for one in layer.norms] for layer in layers), [norm.eps]],
        [*_in_order_at((made, spans.table, turns, steps), held), *_in_order_at((norm.weight, norm.bias), held)],
    )
    return made


def can_run(tensors: Sequence[Tensor]) -> bool:
    """Whether layers of such weights, and such rows, can run: plain float32 on the CPU, no gradient, not recorded."""
    if recording() or not _are_plain(tensors) or transformed(tensors):
        return False
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return False
    return cpu.available() and hasattr(cpu._native, "encode")  # not in an engine built before


def can_step(tensors: Sequence[Tensor]) -> bool:
    """Whether a plan can be made of such weights: as `can_run`, and where no gradient is asked for at all."""
    return not torch.is_grad_enabled() and can_run(tensors) and hasattr(cpu._native, "EncoderPlan")


def weights_of(
    layers: Sequence[DecoderLayerNumbers] | Sequence[EncoderLayerNumbers],
    norms: Sequence[NormNumbers],
    *linears: LinearNumbers,
) -> tuple[list[Tensor], list[Tensor], tuple[object, ...]]:
    """What a plan of them copies, what it reads where it is, and what else it is made of, for `KeptPlan.of`."""
    maps = [*(one for layer in layers for one in layer.linears), *linears]
    all_norms = [*(one for layer in layers for one in layer.norms), *norms]
    copied = [t for one in maps for t in (one.weight, one.bias) if t is not None]
    read = [t for one in all_norms for t in (one.weight, one.bias) if t is not None]
    biases = tuple([one.bias is not None for one in maps])
    kinds = tuple([(one.kind, one.eps, one.weight is not None, one.bias is not None) for one in all_norms])
    return copied, read, (biases, kinds, tuple([tuple(layer.options) for layer in layers]))


def can_write_on() -> bool:
    """Whether `DecoderPlan.write_on` is here: not in an engine built before."""
    return hasattr(cpu._native.DecoderPlan, "write_on")


def has_output() -> bool:
    """Whether `OutputPlan` is here: not in an engine built before."""
    return hasattr(cpu._native, "OutputPlan")


def _are_plain(tensors: Sequence[Tensor]) -> bool:
    # In one loop: asked of 73 tensors one by one in calls of their own, it takes a twentieth of a short text.
    for t in tensors:
        if type(t) not in PLAIN or t.dtype is not torch.float32 or not t.is_cpu or not t.numel():
            return False
    return True


def _addresses(given: Sequence[LinearNumbers] | Sequence[NormNumbers]) -> list[int]:
    return [address for one in given for address in one.addresses]


def _in_order_at(tensors: Sequence[Tensor | None], held: list[Tensor]) -> list[int]:
    """Where tensors lie in order. held: gets copies of those that do not, for as long as they are read"""
    found = []
    for t in tensors:
        if t is not None and (not t.is_contiguous() or t.is_neg()):
            held.append(t := in_order(t))
        found.append(0 if t is None else t.data_ptr())
    return found


def _in_order(given: Tensor | None) -> Tensor | None:
    return None if given is None else in_order(given)
