"""What the components of a model are to one another: inputs, an encoder, a head.

A component is made from the sizes of the data (or of the component before it), and its options are the keyword-only
parameters of its constructor. Nobody inherits from these; a component is whatever has these members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.nn import Embedding

T = TypeVar("T")
# How many there are of what the data consists of: tokens, words, characters, features, labels.
Sizes = Mapping[str, int]
# In front of the names of states among a batch's inputs and a prediction's outputs.
STATE = "state."
# The parameters of one layer, by their names without the layer's number.
Layer = Mapping[str, Parameter]


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoder makes of a sequence.

    outputs: (T, N, M), anything where padded       lengths: (N,), on the outputs' device
    summary: (N, M), what is known after each row's last step
    states:  by name, rows first (N, ...): what the encoder goes on from
    more:    what is there in training only, by name
    """

    outputs: Tensor
    lengths: Tensor
    summary: Tensor
    states: Mapping[str, Tensor]
    more: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ends:
    """What an encoder ends with, or a decoder starts with: the two ends of a bridge.

    states: width by name      layers: how many there are of each      output: M
    top: width by name in the last layer, where it has another than the ones below
    together: states that no map sets alone (`Cell.together`)
    cell, hidden_size: of recurrent layers, for a decoder that is made like its encoder
    """

    states: Mapping[str, int]
    layers: int
    output: int
    together: tuple[str, ...] = ()
    cell: str | None = None
    hidden_size: int | None = None
    top: Mapping[str, int] | None = None

    def widths(self, layer: int) -> Mapping[str, int]:
        """The width of each state in one layer, counted from below, from 0."""
        return self.top if self.top is not None and layer == self.layers - 1 else self.states


class Inputs(Protocol):
    """INPUTS[word](sizes, *, options): from a batch to the numbers that each step reads.

    output_size: I, numbers of a step       table: (V, I), a vector for each token, for weights that are tied; or None
    """

    output_size: int

    @property
    def table(self) -> Parameter | None: ...
    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """x (T, N, I) and lengths (N,) on x's device. What stands in the batch's padding reaches no real step."""
        ...


@runtime_checkable
class ReadsWhole(Protocol):
    """Inputs that need all of a row before they say anything of it."""

    def cannot_stream(self) -> list[str]:
        """Why, a sentence each."""
        ...


@runtime_checkable
class JoinsSteps(Protocol):
    """Inputs that make one step of several; the class of them tells how many."""

    def joined(self, options: Mapping[str, Any]) -> int:
        """Steps that become one. options: of the inputs, as resolved"""
        ...

    def piece(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """x and lengths as `Inputs` have them, and by name the states after them, which `batch` may have of before."""
        ...

    def state_sizes(self) -> Mapping[str, int]:
        """The width of each state, by name; none of inputs that cannot be read in pieces."""
        ...


class Encoder(Protocol):
    """ENCODERS[word](input_size, *, options): from the numbers of each step to outputs that know of other steps.

    output_size: M       causal: no output knows of a later step, so that a sequence may come piece by piece
    """

    output_size: int
    causal: bool

    def __call__(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        """x (T, N, I), lengths (N,), states by name as `Encoded.states` has them; one that is left out is zero."""
        ...

    def state_sizes(self) -> Mapping[str, int]:
        """The width of each state, by name."""
        ...

    def incremental(self) -> Step:
        """One step after another, in evaluation, with the weights of now. Raises ConfigError if it is not causal."""
        ...

    def ends(self) -> Ends:
        """What its states are, for the bridge to a decoder."""
        ...

    def layers(self) -> Sequence[Layer]:
        """The parameters of each layer, from below: for rates by layer, unfreezing, and weights from elsewhere."""
        ...

    def cannot_stream(self) -> list[str]:
        """Why it cannot read a sequence piece by piece, a sentence each beginning with an option; none where it can."""
        ...


@runtime_checkable
class SeesAhead(Protocol):
    """What an encoder has besides that waits for later steps: of a sequence in pieces it says less than it has read.

    waits: later steps that a step waits for, at most
    """

    @property
    def waits(self) -> int: ...
    def piece(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor], *, last: bool) -> Encoded:
        """What can be said with a piece more, and the states to go on from. last: nothing more comes"""
        ...


@runtime_checkable
class Implies(Protocol):
    """What the class of an encoder, or of inputs, has besides whose options mean something for other options too."""

    def implies(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Values by section, for what a config leaves open; of "task" several, of which the first one is taken whose
        options the task has. options: the encoder's, as given. Raises ConfigError."""
        ...


@runtime_checkable
class StatesInput(Protocol):
    """What the class of an encoder has besides whose options say how many numbers a step has."""

    def least_input(self, options: Mapping[str, Any]) -> int:
        """Of each step, at least. options: the encoder's, as resolved."""
        ...


@runtime_checkable
class BeginsWith(Protocol):
    """What an encoder has besides that begins with weights from elsewhere."""

    def begin(self, inputs: Any, head: Any = None) -> str:
        """Put them into encoder, inputs and head, in place; a sentence on what was taken, "" for nothing."""
        ...


@runtime_checkable
class Publishes(Protocol):
    """What an encoder has besides that can be written as a Hugging Face folder."""

    def publish(
        self, path: Path, inputs: Any, head: Any, labels: Sequence[str], files: Mapping[str, str], pad: int
    ) -> str:
        """Write it with its inputs and head; a sentence. files: of the tokenizer. Raises ConfigError or RunError."""
        ...


class Step(Protocol):
    """One step of an encoder: outputs (N, M) and the states after x (N, I), from the states before."""

    def __call__(self, x: Tensor, states: Mapping[str, Tensor], /) -> tuple[Tensor, dict[str, Tensor]]: ...


class Head(Protocol):
    """HEADS[word](input_size, sizes, table, *, options): from what is encoded to named outputs.

    predicts_next: it tells what follows each step, so the encoder must be causal, and states are outputs too
    """

    predicts_next: bool

    def __call__(self, encoded: Encoded) -> dict[str, Tensor]: ...
    def cannot_stream(self) -> list[str]:
        """Why its answer cannot be had from the states alone, a sentence each; none where it can."""
        ...


@runtime_checkable
class TiesPieces(Protocol):
    """What a head has besides whose weights are the inputs' table of pieces."""

    def tie(self, inputs: Any) -> None:
        """Take the table. Raises ConfigError for inputs that have none which fits."""
        ...


@runtime_checkable
class ReadsEnds(Protocol):
    """What a head has besides a part of which is made for what the encoder ends with."""

    def attach(self, ends: Ends) -> None:
        """Make it. Raises ConfigError for ends that do not fit."""
        ...


@runtime_checkable
class ReadsTarget(Protocol):
    """What a head has besides that says each unit of a target given those before it."""

    def told(self, encoded: Encoded, target: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Named outputs, beside those of the head, of a target (U, N), lengths (N,) of it real."""
        ...


class DecoderOptions(Protocol):
    """DECODERS[word](*, options): what a decoder is made of, once its encoder is known.

    embedding_size: numbers of a target token's vector      tie: none, target or all, which tables are one
    """

    @property
    def embedding_size(self) -> int: ...
    @property
    def tie(self) -> str: ...
    def make(self, embedding: Embedding, source: Ends) -> Module:
        """A `Decoder` over a source that ends so; embedding: of the target's tokens. Raises ConfigError."""
        ...


class Decoder(Protocol):
    """What `DecoderOptions.make` gives, a module: a target under teacher forcing, or step by step."""

    def __call__(self, encoded: Encoded, tokens: Tensor, lengths: Tensor, copies: Tensor | None) -> dict[str, Tensor]:
        """Named outputs, of tokens (S, N), lengths (N,) of them real, as `EncoderDecoder.forward` has them."""
        ...

    def start(self, encoded: Encoded, copies: Tensor | None) -> DecodingState:
        """The state before the first step."""
        ...

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, DecodingState]:
        """Log-probabilities (B, V) of what comes after tokens (B,), without dropout, and the state after them."""
        ...


@runtime_checkable
class SaysSteps(Protocol):
    """A decoder that knows what takes its steps."""

    def steps_run(self) -> str:
        """In words, such as "each is one native call"."""
        ...


class DecodingState(Protocol):
    """What a decoder carries from step to step, for each row; it may be gone on from more than once."""

    def select(self, rows: Tensor) -> DecodingState:
        """The rows (K,), in this order; a row may come several times, or not at all."""
        ...


class Wide(Protocol):
    """WIDES[word](sizes, *, options): what is said of a whole sequence beside inputs, encoder and head."""

    def __call__(self, batch: Batch, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The model's outputs, from the head's; in training the head's alone."""
        ...

    def cannot_stream(self) -> list[str]:
        """Why it needs the whole sequence, a sentence each; none where it does not."""
        ...


def layer_state(states: Mapping[str, Tensor], name: str, layer: int) -> Tensor:
    """(N, width): a state of one layer, both directions side by side."""
    forward, backward = states[f"{name}_l{layer}"], states.get(f"{name}_l{layer}_reverse")
    return forward if backward is None else torch.cat([forward, backward], 1)


# Sizes in the place of those of a component that is refused: one that nothing divides, and one that has many divisors.
STAND_INS = (1, 60)


class Problems:
    """Collects what components refuse, so that all of it is said at once."""

    def __init__(self) -> None:
        self.found: list[str] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        """ConfigErrors raised inside are kept."""
        try:
            yield
        except ConfigError as error:
            self.found += error.problems

    def of_every(self, sizes: Sequence[T], make: Callable[[T], object]) -> None:
        """Keep what `make` refuses for each of `sizes`: what follows from a size that only stands in is no problem."""
        each = [_refused(make, size) for size in sizes]
        self.found += [problem for problem in each[0] if all(problem in other for other in each)]

    def raise_all(self) -> None:
        """Raise ConfigError with all that was found, if there is anything."""
        if self.found:
            raise ConfigError(self.found)


def _refused(make: Callable[[T], object], size: T) -> list[str]:
    problems = Problems()
    with problems.collected():
        make(size)
    return problems.found


def states_of(tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """The states among the inputs of a batch, or the outputs of a prediction, by their names in `Encoded.states`."""
    return {name.removeprefix(STATE): value for name, value in tensors.items() if name.startswith(STATE)}
