"""A language model that replies: what was said and the reply are one text, which is read from its beginning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.errors import ConfigError
from recurra.base.option import OneOf, Opt
from recurra.engine.linear import steady_linear
from recurra.models.contract import Sizes
from recurra.models.encoders import ENCODERS
from recurra.models.heads import HEADS
from recurra.models.inputs import INPUTS
from recurra.models.options import Component
from recurra.models.sequence_model import IncrementalModel, SequenceModel
from recurra.nn import FullSoftmax


class DecoderOnly(nn.Module):
    """A source and its target as one sequence, of which a causal encoder and its head tell what comes next.

    The target stands behind the source of its own row, with its start between the two; what is said of it and how it
    is asked is as of `EncoderDecoder`. sizes: "tokens" and "target", one vocabulary
    Raises ConfigError, with all problems at once, for options that cannot take effect and for parts that do not fit.
    Source: Radford et al. 2018, "Improving language understanding by generative pre-training", section 3.3, where a
    structured input becomes one sequence with delimiters; for dialogue Zhang et al. 2020, arXiv:1911.00536, eq. 1.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        inputs: Annotated[Component, OneOf("input layer", INPUTS)] = "tokens",
        encoder: Annotated[Component, OneOf("encoder, which reads what is before each step", ENCODERS)] = "recurrent",
        head: Annotated[Component, OneOf("output head", HEADS)] = "vocabulary",
        learns: Annotated[
            Literal["replies", "turns"],
            Opt("what the loss is of: replies; or all turns, those of the context and their ends too"),
        ] = "replies",
    ) -> None:
        super().__init__()
        self.network = SequenceModel(sizes, inputs=inputs, encoder=encoder, head=head)
        self.learns = learns
        if problems := _problems(self.network.head):
            raise ConfigError(problems)

    def forward(self, batch: Batch) -> Prediction:
        """Teacher forcing: for each target token that is read, what should come next.

        batch: tokens (T, N), lengths (N,), inputs["target"] (S, N), inputs["target_lengths"] (N,)
        outputs: "hidden" (S, N, D), "weight" (V, D), "bias" (V,), whose product is the logits; in training with learns:
        turns also "source_hidden" (T, N, D), of what follows each token of the source.
        """
        read, places = self._joined(batch)
        if self.training and self.learns == "turns":
            outputs = self.network(read).outputs
            hidden = outputs["hidden"].flatten(0, 1)[places.flatten()].unflatten(0, places.shape)
            source = outputs["hidden"][: len(batch.inputs["tokens"])]
            return Prediction(_named({**outputs, "hidden": hidden}) | {"source_hidden": source})
        alone = {"places": places, "place_lengths": batch.inputs["target_lengths"]}
        return Prediction(_named(self.network(Batch({**read.inputs, **alone}, read.lengths, {}, ())).outputs))

    def start(self, batch: Batch) -> ReadSoFar:
        """The state before the first step: the source is read, once."""
        with torch.no_grad():
            read = Batch({"tokens": _some(batch.inputs["tokens"])}, batch.lengths, {}, ())
            return ReadSoFar(self.network.advance(read)[1], IncrementalModel(self.network))

    def step(self, tokens: Tensor, state: ReadSoFar) -> tuple[Tensor, ReadSoFar]:
        """Log-probabilities (B, V) of the tokens after `tokens` (B,), and the state after them. Never any dropout."""
        outputs, after = state.steps(tokens, state.states)
        with torch.no_grad():
            logits = steady_linear(outputs["hidden"][0], outputs["output.weight"], outputs["output.bias"])
        return torch.log_softmax(logits, -1), ReadSoFar(after, state.steps)

    def most_steps(self, state: ReadSoFar) -> int | Tensor | None:
        """How many can follow, of each row (N,) or of all; None: any number."""
        return state.steps.most_steps(state.states)

    def select(self, state: ReadSoFar, rows: Tensor) -> ReadSoFar:
        """The rows (K,) of the state, in this order; a row may come several times, or not at all."""
        return state.select(rows)

    def _joined(self, batch: Batch) -> tuple[Batch, Tensor]:
        """Sources with their targets behind them, and of each target step (S, N) the place t * N + n in these."""
        source, target = _some(batch.inputs["tokens"]), batch.inputs["target"]
        lengths = batch.lengths.to(source.device)
        counts = batch.inputs["target_lengths"].to(source.device)
        steps = int((lengths + counts).max()) if len(lengths) else 0
        t = torch.arange(steps, device=source.device).unsqueeze(1) - lengths
        before = source[(t + lengths).clamp(max=len(source) - 1), torch.arange(source.shape[1], device=source.device)]
        tokens = torch.where(t < 0, before, target.gather(0, t.clamp(0, len(target) - 1)))
        s = torch.arange(len(target), device=source.device).unsqueeze(1)
        rows = torch.arange(source.shape[1], device=source.device)
        places = (s + lengths).clamp(max=steps - 1) * source.shape[1] + rows
        return Batch({"tokens": tokens}, lengths + counts, {}, ()), places


@dataclass(frozen=True, slots=True)
class ReadSoFar:
    """What is known of all that was read, N rows of it. states: by name, rows first      steps: with packed weights"""

    states: Mapping[str, Tensor]
    steps: IncrementalModel

    def select(self, rows: Tensor) -> ReadSoFar:
        """The rows (K,), in this order; a row may come several times, or not at all."""
        return ReadSoFar({name: one[rows] for name, one in self.states.items()}, self.steps)


def _some(tokens: Tensor) -> Tensor:
    """Sources with one step at least, which may be padding."""
    return tokens if len(tokens) else tokens.new_zeros(1, tokens.shape[1])


def _named(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {"hidden": outputs["hidden"], "weight": outputs["output.weight"], "bias": outputs["output.bias"]}


def _problems(head: nn.Module) -> list[str]:
    """Options of the head that nothing here reads."""
    found = []
    if not isinstance(getattr(head, "output", None), FullSoftmax):
        found.append("head.softmax: adaptive cannot be used where replies are ranked and searched for; use full.")
    for name in ("activation", "temporal"):
        if getattr(head, "penalties", {}).get(f"penalty.{name}"):
            found.append(f"head.{name}_penalty: has no effect on replies; leave it out, or use output_dropout.")
    return found
