"""Texts from codes: drawn, and between two others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.tasks.autoencoding.coder import drawn_codes
from recurra.tasks.text_autoencoding.rows import CodedText

if TYPE_CHECKING:
    from recurra.tasks.text_autoencoding.task import TextAutoencoding

Floats = NDArray[np.float32]
# Texts that are read or written together; tokens of one that is drawn, at most; and tokens that one may have when it is
# written again, beyond those that it has.
TEXTS, LONGEST, ROOM = 256, 60, 10


class TextWriter:
    """Codes of texts, and texts from codes, each token the most probable one behind those before it.

    Bowman et al. 2016, arXiv:1511.06349, section 4.3: what lies between two texts is mostly a text too.
    """

    def __init__(self, task: TextAutoencoding, model: torch.nn.Module, device: torch.device) -> None:
        self.task, self.device = task, device
        self.model: Any = model.to(device).eval()
        self.code_size = int(task.plan.code_size)
        self.is_distribution = bool(task.plan.variational)
        self.steps, self.width = LONGEST, 1

    @torch.inference_mode()
    def codes(self, examples: Sequence[CodedText], /) -> Floats:
        """(N, Z) of texts: the code that stands for each, without anything drawn."""
        found = [np.zeros((0, self.code_size), np.float32)]
        for first in range(0, len(examples), TEXTS):
            some = examples[first : first + TEXTS]
            batch = self.task.collate(some, range(len(some))).to(self.device)
            found.append(self.model.code(batch).best.cpu().numpy())
        return np.concatenate(found)

    @torch.inference_mode()
    def values(self, codes: Floats, lengths: Sequence[int], /) -> list[str]:
        """A text of each code (N, Z), of so many tokens at most."""
        found: list[str] = []
        for first in range(0, len(codes), TEXTS):
            some = torch.from_numpy(codes[first : first + TEXTS]).to(self.device)
            longest = torch.tensor([*lengths[first : first + TEXTS]], dtype=torch.int64)
            found += [self.task.joined(one.tokens) for one in self.task.written(self.model, some, longest)]
        return found

    def drawn(self, number: int, temperature: float, seed: int) -> Floats:
        """(N, Z) codes of N(0, temperature^2), a function of seed and place.

        Raises ConfigError for a code that is no distribution: nobody knows which codes stand for texts.
        """
        return drawn_codes(self, number, temperature, seed)

    def between(self, first: int, last: int, number: int) -> list[int]:
        """Tokens that each may have, as nobody knows how long a text between two others is."""
        return [max(first, last) + 1 + ROOM] * number  # 1: the end

    def by_column(self, values: Sequence[str]) -> list[dict[str, Any]]:
        """Texts in their column."""
        return [{self.task.plan.text: value} for value in values]

    def pictures(self, values: Sequence[str]) -> None:
        """Texts are none."""
