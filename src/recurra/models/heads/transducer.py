"""What is said between steps, given what was said before: for a transducer (RNN-T)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Encoded, Sizes, Step
from recurra.models.encoders.recurrent import Steps, sizes_of
from recurra.models.heads.ctc import BlankShare, begin_on_blank
from recurra.nn import Embedding, Recurrent, SteadyLinear


class TransducerHead(nn.Module):
    """Transcription: at each step any number of units, each given those before it (RNN-T; Graves 2012,
    arXiv:1211.3711).

    A prediction network, recurrent layers of any cell, reads the units that were said, the blank standing for the
    beginning. The joint network has W tanh(left_t + right_u) + b as logits of what follows them at a step.

    outputs: "frames" (T, N, D), and of a target "said" (U + 1, N, D) with "weight" (V, D) and "bias" (V,), from which
    the loss makes the logits, D = joint_size, V = sizes["units"], the blank first; "fast_emit" where it is set.
    """

    predicts_next = False

    def __init__(
        self,
        input_size: int,
        sizes: Sizes,
        table: nn.Parameter | None,
        *,
        cell: o.CellName = "gru",
        hidden_size: o.HiddenSize = 128,
        num_layers: o.NumLayers = 1,
        embedding_size: o.EmbeddingSize = 64,
        joint_size: Annotated[int, Opt("numbers in which steps and what was said meet", ge=1, le=o.WIDEST)] = 128,
        fast_emit: Annotated[
            float,
            Opt(
                "gradients of units are so much larger, that they come early (FastEmit; Yu et al. 2021); 0.001 to 0.01",
                ge=0,
                le=1,
            ),
        ] = 0.0,
        blank_share: BlankShare = None,
        embedding_dropout: o.EmbeddingDropout = 0.0,
        output_dropout: o.OutputDropout = 0.0,
        init: o.Init = "torch",
        backend: o.Backend = "auto",
    ) -> None:
        super().__init__()
        self.embedding = Embedding(sizes["units"], embedding_size)
        self.prediction = Recurrent(embedding_size, hidden_size, num_layers, cell=cell, init=init, backend=backend)
        self.left = SteadyLinear(input_size, joint_size)
        self.right = SteadyLinear(self.prediction.output_size, joint_size, bias=False)
        self.output = SteadyLinear(joint_size, sizes["units"])
        self.embedding_dropout, self.dropout = nn.Dropout(embedding_dropout), nn.Dropout(output_dropout)
        self.fast_emit = fast_emit
        if blank_share is not None:
            begin_on_blank(self.output, blank_share)

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        return {"frames": self.left(self.dropout(encoded.outputs))}

    def told(self, encoded: Encoded, target: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What has been said before each unit. target: (U + 1, N), the blank first      lengths: (N,)"""
        vectors = self.embedding_dropout(self.embedding(target))
        h, _ = self.prediction(vectors, lengths=lengths)
        found = {"said": self.right(self.dropout(h)), "weight": self.output.weight, "bias": self.output.bias}
        return found | ({"fast_emit": target.new_tensor(self.fast_emit, dtype=h.dtype)} if self.fast_emit else {})

    def joint(self, frames: Tensor, said: Tensor) -> Tensor:
        """Logits (B, V) of frames (B, D) with what was said (B, D), in evaluation."""
        found: Tensor = self.output(torch.tanh(frames + said))
        return found

    def reader(self) -> UnitReader:
        """The prediction network step by step, in evaluation, with the weights of now."""
        return UnitReader(self)

    def cannot_stream(self) -> list[str]:
        return []


class UnitReader:
    """Reads units one by one; what it says after each is (B, D). begin: its state, one row, before the first."""

    def __init__(self, head: TransducerHead) -> None:
        self._head = head
        self._step: Step = Steps([head.prediction])
        weight = head.output.weight
        self.begin = {name: weight.new_zeros(1, size) for name, size in sizes_of(head.prediction).items()}

    def step(self, tokens: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """What is known after tokens (B,), and the state after them."""
        h, after = self._step(self._head.embedding(tokens), state)
        return self._head.right(h), after

    def select(self, state: Mapping[str, Tensor], rows: Tensor) -> Mapping[str, Tensor]:
        """Rows (K,) of a state."""
        return {name: one[rows] for name, one in state.items()}
