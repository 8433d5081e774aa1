"""Inputs, an encoder and a head: every model that reads a sequence once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction, most_steps
from recurra.base.deadline import check_deadline
from recurra.base.option import OneOf
from recurra.config import build, located
from recurra.models.contract import (
    STAND_INS,
    STATE,
    Encoded,
    JoinsSteps,
    Problems,
    ReadsEnds,
    ReadsTarget,
    ReadsWhole,
    SeesAhead,
    Sizes,
    TiesPieces,
    states_of,
)
from recurra.models.encoders import ENCODERS
from recurra.models.encoders.awd import refuse_backward_layer
from recurra.models.features import Freezes, KeptFeatures
from recurra.models.heads import HEADS, VocabularyHead
from recurra.models.inputs import INPUTS
from recurra.models.ngrams import NGramFeatures
from recurra.models.options import Component
from recurra.models.wide import WIDES

# The table of the inputs, for a head that reads so many numbers.
Table = Callable[[int], nn.Parameter | None]


class SequenceModel(nn.Module):
    """A batch to a prediction: what a step reads (`inputs`), what the steps know of one another (`encoder`), what is
    said of them (`head`), and what is said beside that of all that was counted (`wide`).

    sizes: of the data, by name, as the task states them
    Raises ConfigError, with all problems at once, for options that cannot take effect and for parts that do not fit.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        inputs: Annotated[Component, OneOf("input layer", INPUTS)] = "tokens",
        encoder: Annotated[Component, OneOf("encoder, which relates the steps to one another", ENCODERS)] = "recurrent",
        head: Annotated[Component, OneOf("output head", HEADS)] = "label",
        wide: Annotated[Component, OneOf("linear part beside inputs, encoder and head", WIDES)] = "none",
    ) -> None:
        super().__init__()
        self.kept: KeptFeatures | None = None
        problems, table = Problems(), _any_table(sizes)
        widths: Sequence[int] = STAND_INS
        with problems.collected():
            self.inputs = build(inputs, INPUTS, sizes)
            widths, table = (self.inputs.output_size,), lambda size: self.inputs.table
        problems.of_every(widths, lambda width: self._make_above(width, sizes, encoder, head, table))
        with problems.collected():
            self.wide = build(wide, WIDES, sizes)
        if not problems.found and "ngrams" in sizes and not any(_counts(part) for part in (self.inputs, self.wide)):
            problems.found += [
                "wide: nothing reads the n-grams that task.ngrams counts; set task.ngrams: none, or model.wide: bag, "
                "or model.inputs: bag."
            ]
        if not problems.found and isinstance(self.head, TiesPieces):
            with problems.collected():
                self.head.tie(self.inputs)
        problems.raise_all()
        # Asked once: to look for a method that a module lacks takes longer than a short forward pass.
        self._sees_ahead, self._joins_steps = isinstance(self.encoder, SeesAhead), isinstance(self.inputs, JoinsSteps)

    def _make_above(self, width: int, sizes: Sizes, encoder: Component, head: Component, table: Table) -> None:
        """The encoder over inputs of this width, and the head."""
        problems = Problems()
        widths: Sequence[int] = STAND_INS
        with problems.collected():
            self.encoder = build(encoder, ENCODERS, width)
            widths = (self.encoder.output_size,)
        problems.of_every(widths, lambda size: self._make_head(head, size, sizes, table(size)))
        if not problems.found and isinstance(self.head, ReadsEnds):
            with problems.collected():
                self.head.attach(self.encoder.ends())
        if not problems.found and not isinstance(self.head, VocabularyHead):
            with problems.collected(), located(encoder):
                refuse_backward_layer(self.encoder)
        if not problems.found and self.head.predicts_next and not self.encoder.causal:
            reasons = self.encoder.cannot_stream()
            problems.found += [f"encoder: the head predicts what follows each step. {why}" for why in reasons]
        problems.raise_all()

    def _make_head(self, head: Component, size: int, sizes: Sizes, table: nn.Parameter | None) -> None:
        self.head = build(head, HEADS, size, sizes, table)

    def forward(self, batch: Batch) -> Prediction:
        """The head's outputs; of a head that predicts what follows, also "state.*", after each row's last real step.

        batch: what the inputs read, and lengths (N,); "places" (P, N), if the head reads some steps alone,
        so many of each row as "place_lengths" (N,) says, or lengths.
        "target" (U, N) and "target_lengths" (N,), for a head that tells a target given its beginnings;
        "state.*": the states before the first step, zero where absent;
        "fresh" (N,) bool: rows whose state before is zero, whatever was given.
        """
        outputs, states = self._run(batch)
        return Prediction(outputs | states if self.head.predicts_next else outputs)

    def advance(self, batch: Batch, *, last: bool = False) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The outputs for all that was read, and "state.*" to read on from; see `cannot_stream`.

        Of an encoder that `SeesAhead` those for what can be said already. last: nothing more comes, so that all can
        """
        return self._run(batch, partial(self.encoder.piece, last=last) if self._sees_ahead else self.encoder)

    @property
    def waits(self) -> int:
        """Later steps that a step waits for, at most, where it comes in pieces."""
        return self.encoder.waits if self._sees_ahead else 0

    def _run(
        self, batch: Batch, encode: Callable[..., Encoded] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        check_deadline()
        encoded = self._encoded(batch, encode)
        if "places" in batch.inputs:
            number = batch.inputs.get("place_lengths", batch.lengths)
            encoded = at_places(encoded, batch.inputs["places"], number.to(encoded.outputs.device))
        outputs = self.head(encoded)
        if "target" in batch.inputs and isinstance(self.head, ReadsTarget):
            outputs |= self.head.told(encoded, batch.inputs["target"], batch.inputs["target_lengths"])
        return self.wide(batch, outputs), {STATE + name: state for name, state in encoded.states.items()}

    def _encoded(self, batch: Batch, encode: Callable[..., Encoded] | None = None) -> Encoded:
        encode = encode or self.encoder
        encoded: Encoded
        if self.kept is not None:
            encoded = self.encoder.above(*self.kept(batch))
        elif self._joins_steps:
            x, lengths, after = self.inputs.piece(batch)
            encoded = encode(x, lengths, _before(batch.inputs))
            encoded = replace(encoded, states={**encoded.states, **after})
        else:
            x, lengths = self.inputs(batch)
            encoded = encode(x, lengths, _before(batch.inputs))
        return encoded

    def keep_features(self, room: int) -> bool:
        """From now on keep what frozen inputs and layers say of each text, in so many bytes at most.

        False, and nothing is kept, where nothing is frozen, or texts are others in each epoch: pieces are hidden.
        """
        frozen = isinstance(self.encoder, Freezes) and self.encoder.frozen_layers > 0
        if not frozen or not getattr(self.inputs, "frozen", False) or isinstance(self.head, TiesPieces) or not room:
            return False
        self.kept = KeptFeatures(self.inputs, self.encoder, room)
        return True

    def forget_features(self) -> KeptFeatures:
        """Compute all of each text again; what was kept until now."""
        assert self.kept is not None
        kept, self.kept = self.kept, None
        return kept

    def cannot_stream(self, *, waiting: bool = False) -> list[str]:
        """Why this model cannot read a text piece by piece, a sentence for each reason; none where it can.

        waiting: outputs may come later than what they are of, as `advance` says it of an encoder that `SeesAhead`
        """
        parts: Mapping[str, Any] = {"encoder": self.encoder, "head": self.head, "wide": self.wide}
        if waiting and self._sees_ahead:
            del parts["encoder"]  # type: ignore[attr-defined]
        if isinstance(self.inputs, ReadsWhole):
            parts = {"inputs": self.inputs, **parts}
        return [f"model.{name}.{reason}" for name, part in parts.items() for reason in part.cannot_stream()]


def at_places(encoded: Encoded, places: Tensor, lengths: Tensor) -> Encoded:
    """What an encoder says at some of its steps alone, such as the first pieces of words.

    places: (T, N), numbers of steps t * R + r of outputs (P, R, M)      lengths: (N,)
    The first N rows are those of which the summaries are.
    """
    flat = encoded.outputs.flatten(0, 1)
    outputs = flat[places.flatten()].view(*places.shape, flat.shape[1])
    return Encoded(outputs, lengths, encoded.summary[: len(lengths)], {}, encoded.more)


def _counts(part: nn.Module) -> bool:
    return isinstance(part, NGramFeatures)


def _any_table(sizes: Sizes) -> Table:
    """A table of vectors in the place of that of refused inputs: as wide as wanted, without memory."""
    return lambda size: nn.Parameter(torch.empty(max(sizes.values()), size, dtype=torch.float32, device="meta"))


class IncrementalModel:
    """One token after another, in evaluation: a model whose inputs are tokens and whose head tells what follows.

    Weights are packed once: they must not change while this is used. Raises ConfigError if the encoder is not causal.
    """

    def __init__(self, model: SequenceModel, vectors: Callable[[Tensor], Tensor] | None = None) -> None:
        """vectors: of tokens (N,) the vectors (N, I), for inputs that have no table of them"""
        self._vectors, self._head, self._encoder = vectors or model.inputs.embedding, model.head, model.encoder
        with torch.no_grad():
            self._step = model.encoder.incremental()

    def __call__(self, tokens: Tensor, states: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The head's outputs (1, N, ...) for what follows tokens (N,), and "state.*" after them."""
        check_deadline()
        with torch.no_grad():
            h, after = self._step(self._vectors(tokens), states_of(states))
            outputs = self._head(Encoded(h.unsqueeze(0), torch.ones_like(tokens), h, after))
        return outputs, {STATE + name: state for name, state in after.items()}

    def most_steps(self, states: Mapping[str, Tensor]) -> int | Tensor | None:
        """How many can follow "state.*", of each row (N,) or of all; None: any number."""
        return most_steps(self._encoder, states_of(states))


def _before(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The states before the first step, zero in rows that begin anew."""
    states, fresh = states_of(inputs), inputs.get("fresh")
    if fresh is None:
        return states
    return {name: torch.where(_like(fresh, s), s.new_zeros(()), s) for name, s in states.items()}


def _like(rows: Tensor, state: Tensor) -> Tensor:
    return rows.view(-1, *[1] * (state.dim() - 1))
