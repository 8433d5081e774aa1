"""Inputs over time, an encoder of the past, and a head for what follows: every model that forecasts numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from recurra.base.contracts import Batch, Prediction
from recurra.base.deadline import check_deadline
from recurra.base.option import OneOf, Opt
from recurra.config import build
from recurra.engine import recording, sequence_mask
from recurra.models import options as o
from recurra.models.contract import STAND_INS, Encoded, Problems, Sizes, Step
from recurra.models.encoders import ENCODERS
from recurra.models.forecasts import FORECASTS
from recurra.models.gains import Gains
from recurra.models.options import Component
from recurra.nn import SteadyLinear


class Forecaster(nn.Module):
    """The past of a series to numbers about each step of what follows.

    sizes: "features" F of a step, "future" G of a step to come, "horizon" h, "targets" D, "numbers" P of each target,
      "categories" K and "category_0", ...: values of each; "gains": 1 for gains on the targets that are learned
      (`Gains`), with "masked", 1 where marks follow the targets, and "place", of a target's point among its numbers;
      for a recursive head "past", numbers of a step that are known of the past alone, and "fed", the place of a
      target's value among its numbers, -1 where there is none
    inputs["features"] (T, N, F), zero where padded; inputs["future"] (h, N, G); inputs["categories"] (N, K) int64
    outputs: "numbers" (h, N, D, P).
    Raises ConfigError, with all problems at once, for options that cannot take effect.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        encoder: Annotated[Component, OneOf("encoder, which relates the steps to one another", ENCODERS)] = "recurrent",
        head: Annotated[Component, OneOf("how the steps of a forecast are said", FORECASTS)] = "direct",
        segment: Annotated[int, Opt("steps that are read together as one; 1: each by itself", ge=1, le=4096)] = 1,
        segment_size: Annotated[int, Opt("numbers that a segment becomes", ge=1, le=o.WIDEST)] = 128,
        category_size: Annotated[int, Opt("numbers that a static category becomes", ge=1, le=o.WIDEST)] = 8,
        categories_in: Annotated[
            Literal["both", "head"],
            Opt("what reads the static categories: encoder and head, or the head alone, as SegRNN does"),
        ] = "both",
    ) -> None:
        super().__init__()
        self.segment, self.targets = segment, sizes["targets"]
        self.gains = Gains(self.targets) if sizes.get("gains", 0) else None
        self.masked, self.place, self.fed = (sizes.get(name, 0) for name in ("masked", "place", "fed"))
        counts = [sizes[f"category_{k}"] for k in range(sizes["categories"])]
        self.categories = nn.ModuleList(nn.Embedding(count, category_size) for count in counts)
        beside = category_size * len(counts)
        width = sizes["features"]
        if segment > 1:
            self.project = SteadyLinear(width * segment, segment_size)
            width = segment_size
        problems = Problems()
        found: tuple[int, ...] = STAND_INS
        self.encoder_categories = categories_in == "both"
        read = beside if self.encoder_categories else 0
        with problems.collected():
            self.encoder = build(encoder, ENCODERS, width + read)
            found = (self.encoder.output_size,)
        problems.of_every(found, lambda size: self._make_head(head, size, sizes["future"] + beside, sizes))
        if categories_in == "head" and not counts:
            problems.found.append(
                "categories_in: there are no static categories; leave it out, or set task.categories."
            )
        if not problems.found and self.head.recursive:
            problems.found += self._cannot_recur()
        problems.raise_all()
        self.encoder_size = width + read

    def _cannot_recur(self) -> list[str]:
        if not self.encoder.causal:
            return [
                f"encoder: head recursive reads one step after another. {why}" for why in self.encoder.cannot_stream()
            ]
        if not self.encoder_categories:
            return ["categories_in: head recursive says each step by the encoder, which reads them; expected both."]
        if self.segment > 1:
            return ["segment: has no effect with head recursive, which reads one step after another; leave it out."]
        return []

    def _make_head(self, head: Component, size: int, future: int, sizes: Sizes) -> None:
        self.head = build(head, FORECASTS, size, future, sizes)

    def forward(self, batch: Batch) -> Prediction:
        """Numbers about each step, each target: what they mean, the task says."""
        check_deadline()
        features, future = batch.inputs["features"], batch.inputs["future"]
        lengths = batch.lengths.to(features.device)
        if self.gains is not None:
            features = self._gained(self.gains, features)
        if self.segment > 1:
            features, lengths = self._segments(features, lengths)
        known = self._categories(batch.inputs["categories"])
        x = _beside([features, known.expand(len(features), -1, -1)], 2) if self.encoder_categories else features
        x = torch.where(sequence_mask(lengths, len(x)).unsqueeze(2), x, 0.0)
        encoded = self.encoder(x, lengths, {})
        ahead = _beside([future, known.expand(len(future), -1, -1)], 2)
        if self.head.recursive:
            said = batch.targets.get("values") if self.training else None
            numbers = self._taught(encoded, ahead, said) if said is not None else self._step_by_step(encoded, ahead)
        else:
            numbers = self.head(encoded.summary, ahead)
        numbers = numbers.reshape(len(future), len(lengths), self.targets, -1)
        return Prediction({"numbers": numbers if self.gains is None else self._turned_back(self.gains, numbers)})

    def _gained(self, gains: Gains, features: Tensor) -> Tensor:
        """Features whose first D have gains; what is missing stays 0, as does padding later."""
        D = self.targets
        values = gains(features[..., :D])
        if self.masked:
            values = values * features[..., D : 2 * D]
        return torch.cat([values, features[..., D:]], 2)

    def _turned_back(self, gains: Gains, numbers: Tensor) -> Tensor:
        """Numbers (h, N, D, P) whose point is in scaled units; what says how far about it values are, is so already."""
        k = self.place
        point = gains.back(numbers[..., k], shifted=self.fed >= 0).unsqueeze(3)
        return torch.cat([numbers[..., :k], point, numbers[..., k + 1 :]], 3)

    def _taught(self, encoded: Encoded, ahead: Tensor, values: Tensor) -> Tensor:
        """All steps at once, each behind the true values (h, N, D) before it."""
        outputs = encoded.summary.unsqueeze(0)
        if len(ahead) > 1:
            x = self._read(values[:-1] if self.gains is None else self.gains(values[:-1]), ahead[:-1])
            lengths = torch.full_like(encoded.lengths, len(x))
            outputs = torch.cat([outputs, self.encoder(x, lengths, encoded.states).outputs])
        found: Tensor = self.head(torch.cat([outputs, ahead], 2))
        return found

    def _step_by_step(self, encoded: Encoded, ahead: Tensor) -> Tensor:
        """Each step behind what was said of the one before it."""
        output, states, found = encoded.summary, encoded.states, []
        step = self._step(encoded.lengths)
        for k in range(len(ahead)):
            check_deadline()
            found.append(self.head(_beside([output, ahead[k]], 1)))
            if k + 1 < len(ahead):
                x = self._read(self.head.value(found[-1]).unsqueeze(0), ahead[k : k + 1])
                output, states = step(x[0], states)
        return torch.stack(found)

    def _step(self, lengths: Tensor) -> Step:
        """The encoder by one step; where only an answer is wanted, with weights that are packed once for all steps."""
        if not (self.training or torch.is_grad_enabled() or recording()):
            step: Step = self.encoder.incremental()
            return step
        one = torch.ones_like(lengths)

        def slow(x: Tensor, states: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
            after = self.encoder(x.unsqueeze(0), one, states)
            return after.summary, after.states

        return slow

    def _read(self, values: Tensor, ahead: Tensor) -> Tensor:
        """(T, N, I) steps to come as the encoder reads steps: values, marks that they are there, what is known."""
        marks = values.new_ones(*values.shape[:2], self.encoder_size - self.targets - ahead.shape[2])
        return _beside([values, marks, ahead], 2)

    def _categories(self, chosen: Tensor) -> Tensor:
        """(1, N, K E) the vectors of each row's categories."""
        found = [table(chosen[:, k]) for k, table in enumerate(self.categories)]
        return torch.cat(found, 1).unsqueeze(0) if found else chosen.new_zeros(1, len(chosen), 0, dtype=torch.float32)

    def _segments(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Steps in pieces, the last of which ends where a row does: its first one may be filled up with zeros."""
        s, (T, N, F) = self.segment, x.shape
        lacking = (-lengths) % s
        whole = -(-T // s) * s
        place = torch.arange(whole, device=x.device).unsqueeze(1) - lacking  # (T', N)
        real = (place >= 0) & (place < lengths)
        index = place.clamp(0, max(T - 1, 0)).unsqueeze(2).expand(-1, -1, F)
        moved = torch.where(real.unsqueeze(2), pad(x, (0, 0, 0, 0, 0, int(T == 0))).gather(0, index), 0.0)
        pieces = moved.view(whole // s, s, N, F).transpose(1, 2).reshape(whole // s, N, s * F)
        return torch.relu(self.project(pieces)), -(-lengths // s)


def _beside(parts: list[Tensor], dim: int) -> Tensor:
    """Numbers side by side, without a copy where all but the first have none: as at each step of a recursive head."""
    return torch.cat(parts, dim) if any(part.shape[dim] for part in parts[1:]) else parts[0]
