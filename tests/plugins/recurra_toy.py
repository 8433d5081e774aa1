"""A package that somebody else could write: a task, an encoder, a head, a format, a cell, without an edit of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.cells import cell
from recurra.cells.language import tanh
from recurra.data.formats.format import Format
from recurra.models.contract import Encoded, Ends, Layer, Sizes, Step
from recurra.tasks import ClassificationConfig
from recurra.tasks.contract import Needs
from recurra.tasks.sizing import usual


class Window(nn.Module):
    """The mean of the last steps, and a linear layer."""

    causal = True

    def __init__(self, input_size: int, *, steps: Annotated[int, Opt("steps of a mean", ge=1, le=64)] = 3) -> None:
        super().__init__()
        self.steps, self.output_size = steps, input_size
        self.product = nn.Linear(input_size, input_size)

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        padded = torch.cat([x.new_zeros(self.steps - 1, *x.shape[1:]), x])
        outputs = torch.tanh(self.product(padded.unfold(0, self.steps, 1).mean(-1)))
        place = (lengths - 1).clamp(min=0).view(1, -1, 1).expand(1, -1, x.shape[2])
        return Encoded(outputs, lengths, outputs.gather(0, place).squeeze(0), {})

    def state_sizes(self) -> dict[str, int]:
        return {}

    def incremental(self) -> Step:
        raise ConfigError(self.cannot_stream())

    def ends(self) -> Ends:
        return Ends({}, 0, self.output_size)

    def layers(self) -> list[Layer]:
        return [dict(self.product.named_parameters())]

    def cannot_stream(self) -> list[str]:
        return ["steps: a mean of steps keeps no state."]


class Sum(nn.Module):
    """Logits of labels from the sum of all steps."""

    predicts_next = False

    def __init__(self, input_size: int, sizes: Sizes, table: nn.Parameter | None) -> None:
        super().__init__()
        self.output = nn.Linear(input_size, sizes["labels"])

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        steps = torch.arange(len(encoded.outputs)).unsqueeze(1) < encoded.lengths
        return {"logits": self.output(torch.where(steps.unsqueeze(2), encoded.outputs, 0.0).sum(0))}

    def cannot_stream(self) -> list[str]:
        return ["a sum needs every step."]


@dataclass(frozen=True, slots=True)
class Shouting(ClassificationConfig):
    """Which label a text has, by the sum of its words."""

    needs: ClassVar = Needs("sequence_model", {"inputs": ("tokens",), "encoder": ("window",), "head": ("sum",)})

    @classmethod
    def sized(cls, options: Any, seen: Any) -> Any:
        """Whatever the size of the data, the components' own defaults."""
        return usual(seen)


class Rows:
    """Lines of "label: text"."""

    columns = ("label", "text")

    def __init__(self, lines: Any) -> None:
        self._lines = lines

    def next_row(self) -> tuple[Any, dict[str, str]]:
        line = next(self._lines)
        label, _, text = line.text.partition(": ")
        return line, {"label": label, "text": text}


COLONS = Format("lines of label: text", (".colons",), lambda lines, options: Rows(lines))


@cell(paper="a toy")
def toy(x, h, p):  # type: ignore[no-untyped-def]
    """A plain unit."""
    return tanh(p.W("h", x) + p.R("h", h) + p.b("h"))
