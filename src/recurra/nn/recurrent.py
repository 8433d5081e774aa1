"""Recurrent layers: stacked, one or both directions, any cell. RNN, LSTM and GRU are drop-in for torch.nn's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from recurra.base.errors import ConfigError, ShapeError
from recurra.cells import CELLS, Cell
from recurra.engine import (
    BACKENDS,
    Call,
    Compact,
    Weights,
    Zoneout,
    choose,
    masked,
    nothing_padded,
    record,
    recording,
    run_many,
    step_recording,
)
from recurra.engine.compact import FLOAT32, TYPES, rounded
from recurra.engine.operator import has_operator
from recurra.engine.step_recording import Watch
from recurra.engine.straight import Straight
from recurra.lower import Parameter, layout, projects, recurrent_width
from recurra.nn.dropout import dropout, locked_mask, zoneout_mask
from recurra.nn.initial import INITIALIZERS, set_forget_bias
from recurra.nn.input_format import InputFormat, Lengths, check_dense, normalize_input
from recurra.nn.merge import MERGES, merged_size

State = Tensor | tuple[Tensor, ...]


class Recurrent(nn.Module):
    """Layers of one recurrent cell over a sequence, in one or both directions.

    Positional arguments are those of torch.nn.LSTM, with the same defaults. After them:
    cell:      a word of `recurra.cells.CELLS`, or a Cell made with @cell
    merge:     how two directions become one output: concat, sum, mean, product
    variational_dropout: probability; one mask a sequence on each layer's input and on what each recurrent product
               takes, the same at every step (Gal & Ghahramani 2016)
    zoneout:   probability that a state keeps its old value, for all states or one number for each (Krueger et al. 2017)
    init:      "torch" or "orthogonal"; forget_bias sets the total bias of gate f afterwards
    backend:   "auto", or the word of an executor (`recurra.engine.BACKENDS`)

    Parameters have torch's names and packing: weight_ih_l0 (G*H, I), weight_hh_l0 (G*H, H), bias_ih_l0, bias_hh_l0
    (G*H), weight_hr_l0 (P, H); also weight_v_l0 and gain_l0 (G*H) where the cell has them; `_reverse` for the second
    direction. Gates in the order of first use in the equations.

    Raises ConfigError for an option that cannot take effect (dropout with one layer, merge with one direction).
    """

    # Set by who wants to see every step: layers run step by step, whatever `backend` is (engine/step_recording.py).
    watch: Watch | None = None
    # What the matrices consist of: a word of `recurra.nn.quantize`.
    precision: str = FLOAT32

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        cell: str | Cell = "lstm",
        merge: str = "concat",
        variational_dropout: float = 0.0,
        zoneout: float | Sequence[float] = 0.0,
        init: str = "torch",
        forget_bias: float | None = None,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.cell = CELLS[cell] if isinstance(cell, str) else cell
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = _probability(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.merge = merge
        self.variational_dropout = float(variational_dropout)
        self.zoneout = _per_state(self.cell, zoneout)
        self.init = init
        self.forget_bias = forget_bias
        self.backend = backend
        _check_options(self)
        self._register(device, dtype)
        self._names = [[(p.name, _name(p, *place)) for p in self._layout()] for place in self._places()]
        self._parameter_names, self._registered_names = zip(*self._names[0], strict=True)
        # A quarter of the time of a comprehension.
        names = self._registered_names
        self._take = itemgetter(*names) if len(names) > 1 else partial(_only, names[0])
        sizes = self._sizes(0)
        self._state_sizes = tuple(sizes[self.cell.size(state)] for state in self.cell.states)
        self._shortest = [Straight() for _ in self._places()]
        # Found out now: torch's compiler cannot look into a cell's equations.
        self._operated = has_operator(self.cell)
        self._mask_width = sizes[recurrent_width(self.cell)]
        self.reset_parameters()

    # -- sizes ---------------------------------------------------------------------------------------------------

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Features of the output."""
        one = self._sizes(0)[self.cell.size(self.cell.states[0])]
        return merged_size(self.merge, one) if self.bidirectional else one

    def _sizes(self, layer: int) -> dict[str, int]:
        return {
            "I": self.input_size if layer == 0 else self.output_size,
            "H": self.hidden_size,
            "P": self.proj_size,
        }

    def state_sizes(self) -> tuple[int, ...]:
        """Width of each state of the cell, in its order."""
        return self._state_sizes

    # -- parameters ----------------------------------------------------------------------------------------------

    def _register(self, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
        for layer, direction in self._places():
            sizes = self._sizes(layer)
            for parameter in self._layout():
                tensor = torch.empty(parameter.shape(sizes), device=device, dtype=dtype)
                self.register_parameter(_name(parameter, layer, direction), nn.Parameter(tensor))

    def _layout(self) -> tuple[Parameter, ...]:
        return layout(self.cell, bias=self.bias)

    def _described(self, layer: int, direction: int) -> list[tuple[Parameter, Tensor]]:
        return list(zip(self._layout(), self._packed(layer, direction).values(), strict=True))

    def weights_of(self, layer: int, direction: int) -> Weights:
        """The parameters of one layer and direction, as the engine takes them."""
        kept = self._shortest[layer * self.num_directions + direction].kept
        compact = None if self.precision == FLOAT32 else self._compact(layer, direction)
        # Where there is a gradient, or a recording, the numbers that they stand for; what they multiply stays rounded.
        if compact is None or ((torch.is_grad_enabled() or recording()) and not compact.rounds_arguments):
            return Weights(self.cell, self._packed(layer, direction), kept)
        return Weights.of(self.cell, compact, kept)

    def _compact(self, layer: int, direction: int) -> Compact:
        names = self._names[layer * self.num_directions + direction]
        scales = {name: getattr(self, full + SCALE) for name, full in names if hasattr(self, full + SCALE)}
        return Compact(self.precision, {name: getattr(self, full) for name, full in names}, scales)

    def store_weights(self, precision: str) -> None:
        """Keep the matrices as `precision` from now on: see `recurra.nn.quantize`. Raises ConfigError."""
        made = {full: self._rounded(full, precision) for full in self._matrices()}
        for full, (numbers, scale) in made.items():
            delattr(self, full)
            self.register_buffer(full, numbers)
            if scale is not None:
                self.register_buffer(full + SCALE, scale)
        self.requires_grad_(False)
        self.precision = precision

    def _rounded(self, full: str, precision: str) -> tuple[Tensor, Tensor | None]:
        matrix = self._parameters.get(full)
        if matrix is None:
            raise ConfigError(f"{full} is parametrized, pruned or quantized already; undo that before quantize.")
        if matrix.dtype is not torch.float32:
            raise ConfigError(f"{full} is {matrix.dtype}, expected float32 to make {precision} of.")
        try:
            return rounded(matrix.detach(), precision)
        except ConfigError as error:
            raise ConfigError(f"{full} {error}") from None

    def _matrices(self) -> list[str]:
        return [_name(p, *place) for place in self._places() for p in self._layout() if p.columns is not None]

    @property
    def num_stored(self) -> int:
        """Numbers in matrices of fewer bits, without scales."""
        return sum(getattr(self, full).numel() for full in self._matrices() if self.precision != FLOAT32)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As torch's, which would round floats to whole numbers without a word: that is refused, and the reverse."""
        for full in self._matrices():
            given, own = state_dict.get(prefix + full), getattr(self, full, None)
            types = [t.dtype for t in (given, own) if isinstance(t, Tensor)]
            if len(set(types)) > 1 and (self.precision != FLOAT32 or torch.int8 in types):
                raise ConfigError(
                    f"{prefix}{full}: got {types[0]}, expected {types[1]}: load weights before "
                    "`recurra.nn.quantize`, or into a layer that was quantized alike."
                )
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _like(self) -> Tensor:
        """Of the type and device that inputs must have."""
        full = self._names[0][0][1]
        first: Tensor = getattr(self, full + SCALE, getattr(self, full))
        return first.new_empty(0, dtype=torch.float32) if first.dtype in TYPES.values() else first

    def _packed(self, layer: int, direction: int) -> dict[str, Tensor]:
        """The same by their names in the cell, for each forward."""
        if self.precision != FLOAT32:
            return dict(Weights.of(self.cell, self._compact(layer, direction)).packed)
        # Never kept, so that parametrizations, pruning and functional_call take effect. The registered ones are looked
        # up directly, since a module's own look-up takes ten times as long.
        registered, found = self._parameters, {}
        for name, full in self._names[layer * self.num_directions + direction]:
            tensor = registered.get(full)
            found[name] = getattr(self, full) if tensor is None else tensor
        return found

    def _places(self) -> list[tuple[int, int]]:
        return [(layer, direction) for layer in range(self.num_layers) for direction in range(self.num_directions)]

    def reset_parameters(self) -> None:
        """Draw all parameters anew, by the rule named `init`. Raises ConfigError for a layer that was quantized."""
        if self.precision != FLOAT32:
            raise ConfigError(f"its weights are {self.precision}, and cannot be drawn anew; make a new layer.")
        with torch.no_grad():
            for layer, direction in self._places():
                INITIALIZERS[self.init](self._described(layer, direction), self.hidden_size)
                if self.forget_bias is not None:
                    set_forget_bias(self.cell, self._described(layer, direction), self.forget_bias)

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """Parameters by layer and direction, as in torch."""
        return [[tensor for _, tensor in self._described(*place)] for place in self._places()]

    def flatten_parameters(self) -> None:
        """Nothing to do: kept because torch's layers have it."""

    # -- forward -------------------------------------------------------------------------------------------------

    def forward(
        self, input: Tensor | PackedSequence, hx: State | None = None, *, lengths: Lengths | None = None
    ) -> tuple[Tensor | PackedSequence, State]:
        """All layers over a sequence.

        input:   (T, N, I), (N, T, I) if batch_first, (T, I) for one sequence, or a PackedSequence
        hx:      initial states (layers * directions, N, width): a tensor for a cell with one state, else a tuple;
                 zeros if None. Without N for one sequence
        lengths: real steps of each sequence, any order, any device, zeros allowed; padding may hold anything
        Returns (output, state): the last layer's outputs in the form of the input, zero where padded, and the states
        after each sequence's last real step, shaped as hx. T = 0 gives hx back (torch refuses it).
        Raises ShapeError.
        """
        if not torch.compiler.is_compiling() and (lengths is None or self._is_whole(input, lengths)):
            # By its name, a module looks each of its attributes up in several places.
            own = self.__dict__
            made = own["_shortest"][0].again(own, input) if hx is None else None
            made = made or (self._straight(input, hx) if own["num_layers"] == 1 else self._straight_layers(input, hx))
            if made is not None:
                return made
        name = type(self).__name__
        weight = getattr(self, self._names[0][0][1]) if self.precision == FLOAT32 else self._like()
        entered = normalize_input(
            name, input, lengths, input_size=self.input_size, batch_first=self.batch_first, weight=weight
        )
        states = self._initial_states(name, hx, entered)
        x = entered.x
        final: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            x, ends = self._layer(layer, x, entered.lengths, states)
            final += ends
            if layer + 1 < self.num_layers:
                x = dropout(x, self.dropout) if self.training else x
        # No copy of what is alone, unless it may be the caller's own hx.
        alone = len(final) == 1 and len(x) > 0
        ends_of = [s[0].unsqueeze(0) if alone else torch.stack(s) for s in zip(*final, strict=True)]
        stacked = tuple([entered.restore_state(s) for s in ends_of])
        return entered.restore(x), stacked if len(stacked) > 1 else stacked[0]

    def _is_whole(self, input: Tensor | PackedSequence, lengths: Lengths) -> bool:
        """Whether lengths (N,) say nothing but that all steps of a batch are real."""
        if type(input) is not Tensor or input.dim() != 3 or type(lengths) is not Tensor:
            return False
        T, N = input.shape[:2] if not self.batch_first else (input.shape[1], input.shape[0])
        return lengths.dtype is torch.int64 and lengths.shape == (N,) and nothing_padded(lengths, T)

    def _straight(self, input: Tensor | PackedSequence, hx: State | None) -> tuple[Tensor, State] | None:
        """One plain layer, the shortest way; None where there is more to do."""
        own = self.__dict__
        if not isinstance(input, Tensor) or not self._is_plain(input):
            return None
        batch_first = own["batch_first"]
        if batch_first and input.dim() != 3:
            return None
        x = input.transpose(0, 1) if batch_first else input
        plain = True
        try:
            weights: tuple[Any, ...] = own["_take"](own["_parameters"])
        except KeyError:  # parametrized, pruned, or of fewer bits
            plain = False
            if self.precision != FLOAT32 and torch.is_grad_enabled():
                return None
            weights = tuple(self._packed(0, 0).values()) if self.precision == FLOAT32 else self._compact(0, 0).tensors
        states = self._given(hx)
        if states is None:
            return None
        made = own["_shortest"][0].run(own["cell"], x, own["_parameter_names"], weights, self.precision, states)
        if made is None:
            return None
        if plain and hx is None:
            own["_shortest"][0].remember(own, own["_registered_names"])
        output, finals = made
        return output.transpose(0, 1) if batch_first else output, finals if len(finals) > 1 else finals[0]

    def _given(self, hx: State | None) -> tuple[Tensor, ...] | None:
        """The states of hx, none where it is None; None where they are others than the cell has, which is refused."""
        if hx is None:
            return ()
        given = tuple(hx) if isinstance(hx, tuple | list) else (hx,)
        fits = len(given) == len(self._state_sizes) and all(isinstance(state, Tensor) for state in given)
        return given if fits else None

    def _is_plain(self, input: Tensor) -> bool:
        """Whether layers of one direction do nothing that the shortest way does not know."""
        own = self.__dict__
        if recording() or own["bidirectional"] or own["variational_dropout"] or any(own["zoneout"]):
            return False
        return type(input) is Tensor and own["backend"] in ("auto", "cpu") and self.watch is None

    def _straight_layers(
        self, input: Tensor | PackedSequence, hx: State | None
    ) -> tuple[Tensor, tuple[Tensor, ...] | Tensor] | None:
        """Several plain layers without gradients, each the shortest way; None where there is more to do."""
        if torch.is_grad_enabled() or (self.training and self.dropout) or self.precision != FLOAT32:
            return None
        if not isinstance(input, Tensor) or not self._is_plain(input) or input.dim() != 3:
            return None
        given = self._given(hx)
        if given is None or any(state.dim() != 3 or len(state) != self.num_layers for state in given):
            return None
        x, finals = input.transpose(0, 1) if self.batch_first else input, []
        for layer, shortest in enumerate(self._shortest):
            packed = self._packed(layer, 0)
            states = tuple(state[layer : layer + 1] for state in given)
            made = shortest.run(self.cell, x, tuple(packed), tuple(packed.values()), self.precision, states)
            if made is None:
                return None
            x, after = made
            finals.append(after)
        stacked = tuple([torch.cat(each) for each in zip(*finals, strict=True)])
        return x.transpose(0, 1) if self.batch_first else x, stacked if len(stacked) > 1 else stacked[0]

    def last(self, state: State) -> Tensor:
        """The last layer's final h, its directions merged like the output: (N, output_size).

        state: as `forward` returns it. The forward direction ends at the last real step, the backward one at the first.
        """
        h = state[0] if isinstance(state, tuple) else state
        return MERGES[self.merge](h[-2], h[-1]) if self.bidirectional else h[-1]

    def _layer(
        self, layer: int, x: Tensor, lengths: Tensor | None, states: list[tuple[Tensor, ...]]
    ) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """One layer in all its directions: merged output, and the final states of each direction."""
        if self.variational_dropout and self.training:
            x = masked(x, locked_mask(x, (1, x.shape[1], x.shape[2]), self.variational_dropout))
        calls = [self._call(layer, direction, x, lengths, states) for direction in range(self.num_directions)]
        if self.watch is None and recording():
            results = record(calls, backend=self.backend, operated=self._operated)
        elif self.watch is None:
            results = run_many(calls, backend=self.backend)
        else:
            results = [step_recording.run(call, partial(self.watch, layer, k)) for k, call in enumerate(calls)]
        outputs = [r.output for r in results]
        return MERGES[self.merge](*outputs) if self.bidirectional else outputs[0], [r.states for r in results]

    def _call(
        self, layer: int, direction: int, x: Tensor, lengths: Tensor | None, states: list[tuple[Tensor, ...]]
    ) -> Call:
        """The work of one layer in one direction."""
        return Call(
            x,
            states[layer * self.num_directions + direction],
            self.weights_of(layer, direction),
            lengths,
            direction == 1,
            self._zoneouts(x),
            self._recurrent_mask(x),
        )

    def executor(self) -> str:
        """The word of the executor that a padded batch runs on now: on this device, in training or evaluation."""
        if self.backend != "auto":
            return self.backend
        x = self._like().new_zeros(1, 1, self.input_size)
        states = [tuple(x.new_zeros(1, size) for size in self.state_sizes())]
        return choose(self._call(0, 0, x, torch.ones(1, dtype=torch.int64, device=x.device), states))

    def _zoneouts(self, x: Tensor) -> tuple[Zoneout, ...]:
        if not any(self.zoneout):
            return ()
        T, N, _ = x.shape
        pairs = zip(self.zoneout, self._state_sizes, strict=True)
        return tuple(zoneout_mask(x, (T, N, size), p, training=self.training) for p, size in pairs)

    def _recurrent_mask(self, x: Tensor) -> Tensor | None:
        if not (self.variational_dropout and self.training):
            return None
        return locked_mask(x, (x.shape[1], self._mask_width), self.variational_dropout)

    def _initial_states(self, name: str, hx: State | None, entered: InputFormat) -> list[tuple[Tensor, ...]]:
        """States (N, width) of each layer and direction, checked; zeros if none were given."""
        L, N = self.num_layers * self.num_directions, entered.x.shape[1]
        if hx is None:
            return [tuple([entered.x.new_zeros(N, size) for size in self._state_sizes])] * L
        given = hx if isinstance(hx, tuple | list) else (hx,)
        if len(given) != len(self.cell.states):
            raise ShapeError(
                f"{name}: hx has {len(given)} states, expected {len(self.cell.states)}: {', '.join(self.cell.states)}."
            )
        for word, state in zip(self.cell.states, given, strict=True):
            check_dense(f"{name}: initial {word}", state)
        if entered.form is None:
            _check_dims(name, given, batched=entered.batched)
        if not entered.batched:
            given = tuple(s.unsqueeze(1) for s in given)
        for place, (state, size) in enumerate(zip(given, self._state_sizes, strict=True)):
            self._check_state(name, place, state, (L, N, size))
            _check_kind(f"{name}: initial {self.cell.states[place]}", state, entered.x)
        return list(zip(*(s.unbind(0) for s in given), strict=True))

    def _check_state(self, name: str, place: int, state: Tensor, expected: tuple[int, int, int]) -> None:
        if tuple(state.shape) != expected:
            which = f"hidden[{place}]" if len(self.cell.states) > 1 else "hidden"
            raise ShapeError(
                f"{name}: initial {self.cell.states[place]}: Expected {which} size {expected}, got "
                f"{list(state.shape)}: (layers * directions = {self.num_layers} * {self.num_directions}, N, width)"
            )

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if type(self) is Recurrent:
            parts.append(f"cell={self.cell.name}")
        for word, usual in DEFAULTS.items():
            if (value := getattr(self, word)) != usual:
                parts.append(f"{word}={value}")
        if any(self.zoneout):
            parts.append(f"zoneout={self.zoneout}")
        return ", ".join(parts)


# What `repr` leaves out.
DEFAULTS: dict[str, Any] = {
    "num_layers": 1,
    "bias": True,
    "batch_first": False,
    "dropout": 0.0,
    "bidirectional": False,
    "proj_size": 0,
    "merge": "concat",
    "variational_dropout": 0.0,
    "init": "torch",
    "forget_bias": None,
    "backend": "auto",
    "precision": FLOAT32,
}

# Behind the name of a matrix of int8.
SCALE = "_scale"


# RNN, LSTM and GRU are Recurrent with a cell chosen and torch's own signature; nothing is overridden but the
# constructor. They are classes because `isinstance`, `repr` and annotations in existing code expect classes.


class RNN(Recurrent):
    """Vanilla recurrent network; drop-in for torch.nn.RNN. nonlinearity: tanh or relu. See `Recurrent` for the rest."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **extra: Any,
    ) -> None:
        cells = {"tanh": "rnn", "relu": "rnn_relu", "sigmoid": "rnn_sigmoid"}
        if nonlinearity not in cells:
            raise ConfigError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh', 'relu' or 'sigmoid'.")
        self.nonlinearity = nonlinearity
        _refuse(extra, "cell", "proj_size")
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype,
            cell=cells[nonlinearity], **extra,
        )  # fmt: skip


class LSTM(Recurrent):
    """Long short-term memory; drop-in for torch.nn.LSTM, proj_size too. See `Recurrent` for the rest."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **extra: Any,
    ) -> None:
        _refuse(extra, "cell")
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype,
            cell="lstm_projected" if proj_size else "lstm", **extra,
        )  # fmt: skip


class GRU(Recurrent):
    """Gated recurrent unit, reset after the product; drop-in for torch.nn.GRU. See `Recurrent` for the rest."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **extra: Any,
    ) -> None:
        _refuse(extra, "cell", "proj_size")
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype,
            cell="gru", **extra,
        )  # fmt: skip


REFUSALS = {
    "cell": "cell= is not an option of this layer; use recurra.nn.Recurrent(cell=...).",
    "proj_size": "proj_size argument is only supported for LSTM, not RNN or GRU; of cells, lstm_projected has it.",
}


def _refuse(extra: dict[str, Any], *words: str) -> None:
    for word in words:
        if word in extra:
            raise ConfigError(REFUSALS[word])


def _only(name: str, registered: Mapping[str, Any]) -> tuple[Any, ...]:
    """As an itemgetter of several names, of one."""
    return (registered[name],)


def _name(parameter: Parameter, layer: int, direction: int) -> str:
    return f"{parameter.name}_l{layer}{'_reverse' if direction else ''}"


def _per_state(cell: Cell, zoneout: float | Sequence[float]) -> tuple[float, ...]:
    given = (zoneout,) * len(cell.states) if isinstance(zoneout, int | float) else tuple(zoneout)
    if len(given) != len(cell.states):
        raise ConfigError(f"zoneout has {len(given)} numbers, expected one or {len(cell.states)}: {cell.states}.")
    return tuple(float(p) for p in given)


def _check_dims(name: str, given: Sequence[Tensor], *, batched: bool) -> None:
    """Raise ShapeError, in torch's words, if a state has N and the input has not, or the other way round."""
    right, form = (3, "batched") if batched else (2, "unbatched")
    found = [f"{state.dim()}-D" for state in given]
    if set(found) != {f"{right}-D"}:
        which = "hx and cx" if len(found) == 2 else "hx"
        got = f"{found[0]} tensor" if len(found) == 1 else f"({', '.join(found)}) tensors"
        raise ShapeError(f"{name}: For {form} {right}-D input, {which} should also be {right}-D but got {got}")


def _check_kind(what: str, state: Tensor, x: Tensor) -> None:
    if state.device != x.device:
        raise ShapeError(f"{what} is on {state.device} and the input is on {x.device}; move one of them.")
    if state.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
        raise ShapeError(f"{what} is {state.dtype} and the input is {x.dtype}; they must have the same dtype.")


def _check_options(layer: Recurrent) -> None:
    """Raise ConfigError for a value out of range, or an option that could not take effect."""
    _check_sizes(layer)
    for word in ("bias", "batch_first"):
        if not isinstance(value := getattr(layer, word), bool):
            raise TypeError(f"{word} should be of type bool, got: {type(value).__name__}")
    for word, values in (("variational_dropout", (layer.variational_dropout,)), ("zoneout", layer.zoneout)):
        if not all(0 <= p < 1 for p in values):
            wrong = next(p for p in values if not 0 <= p < 1)
            raise ConfigError(f"{word} should be a number in range [0, 1), got {wrong}: a probability.")
    _check_zoneout(layer)
    if not layer.bias and layout(layer.cell) == layout(layer.cell, bias=False):
        raise ConfigError(f"bias=False: cell '{layer.cell.name}' has no bias, so it would do nothing; leave it out.")
    if layer.dropout and layer.num_layers == 1:
        raise ConfigError(
            f"dropout={layer.dropout} acts between layers and num_layers is 1, so it would do nothing: "
            "use more layers, variational_dropout, or dropout 0."
        )
    if layer.merge not in MERGES or (layer.merge != "concat" and not layer.bidirectional):
        MERGES[layer.merge]
        raise ConfigError(f"merge='{layer.merge}' joins two directions; set bidirectional, or leave merge out.")
    if layer.backend != "auto":
        BACKENDS[layer.backend]
    INITIALIZERS[layer.init]
    _check_projection(layer)


def _check_zoneout(layer: Recurrent) -> None:
    """Raise ConfigError for zoneout on states that mean something only together: each has a mask of its own."""
    cell = layer.cell
    if any(p for name, p in zip(cell.states, layer.zoneout, strict=True) if name in cell.together):
        alone = tuple(0.0 if name in cell.together else 0.1 for name in cell.states)
        raise ConfigError(
            f"zoneout={layer.zoneout}: the states {', '.join(cell.together)} of cell '{cell.name}' are one memory, "
            f"which breaks where only one of them stays; use variational_dropout, or zoneout={alone}."
        )


def _probability(dropout: float) -> float:
    if isinstance(dropout, bool) or not 0 <= float(dropout) <= 1:
        raise ConfigError(
            "dropout should be a number in range [0, 1] representing the probability of an element being zeroed, "
            f"got {dropout}"
        )
    return float(dropout)


def _check_sizes(layer: Recurrent) -> None:
    for word in ("input_size", "hidden_size", "num_layers", "proj_size"):
        value = getattr(layer, word)
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{word} should be of type int, got: {type(value).__name__}")
        if word == "proj_size" and value < 0:
            raise ConfigError(f"proj_size should be a positive integer or zero to disable projections, got {value}")
        if word != "proj_size" and value <= 0:
            raise ConfigError(f"{word} must be greater than zero, got {value}")


def _check_projection(layer: Recurrent) -> None:
    if projects(layer.cell) and not layer.proj_size > 0:
        raise ConfigError(f"cell '{layer.cell.name}' projects its output: set proj_size (below hidden_size).")
    if layer.proj_size and not projects(layer.cell):
        raise ConfigError(
            f"proj_size={layer.proj_size}: cell '{layer.cell.name}' has no projection; use cell='lstm_projected', or 0."
        )
    if 0 < layer.hidden_size <= layer.proj_size:
        raise ConfigError(
            f"proj_size has to be smaller than hidden_size, got {layer.proj_size} and {layer.hidden_size}."
        )
