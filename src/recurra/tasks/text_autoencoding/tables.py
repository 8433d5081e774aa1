"""What a report shows of a text autoencoder: formulas, the worst texts, and texts that were drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recurra.base.contracts import Table
from recurra.data.draws import normals
from recurra.tasks.autoencoding.tables import SAMPLED
from recurra.tasks.text_autoencoding.rows import CodedText
from recurra.tasks.text_autoencoding.scores import FORMULAS, Rewritten

if TYPE_CHECKING:
    from recurra.tasks.text_autoencoding.task import TextAutoencoding

WORST = 20
# Characters of a text that a table shows.
SHOWN = 300
# Codes that are drawn, steps from the first to the second, and tokens of what is written.
DRAWN, STEPS, LONGEST = 6, 5, 60


def formulas(names: Sequence[str]) -> Table:
    """What the scores are."""
    return Table("What the scores are", ("score", "formula"), tuple((name, FORMULAS[name]) for name in names))


def worst_texts(task: TextAutoencoding, outputs: Sequence[Rewritten], examples: Sequence[CodedText]) -> Table:
    """Texts with the most nats a token, beside what was written of them."""
    pairs = sorted(zip(outputs, examples, strict=True), key=lambda pair: -pair[0].nats / pair[0].count)[:WORST]
    rows = tuple(
        (f"{one.nats / one.count:.3f}", e.text[:SHOWN], task.joined(one.tokens)[:SHOWN], str(e.origin))
        for one, e in pairs
    )
    return Table("The worst texts", ("nats a token", "read", "written", "place"), rows)


@torch.inference_mode()
def drawn_texts(task: TextAutoencoding, model: Any, device: torch.device) -> tuple[Table, ...]:
    """What is written from N(0, 1), always from the same codes, and on the line from the first one to the second."""
    size = task.plan.code_size
    codes = np.stack([normals(n, size, SAMPLED) for n in range(DRAWN)])
    share = np.linspace(0, 1, STEPS)[:, None]
    every = np.concatenate([codes, codes[0] + share * (codes[1] - codes[0])]).astype(np.float32)
    model.eval()
    longest = torch.full((len(every),), LONGEST, dtype=torch.int64)
    found = task.written(model, torch.from_numpy(every).to(device), longest)
    texts = [task.joined(one.tokens)[:SHOWN] for one in found]
    line = tuple((f"{part:.0%}", text) for part, text in zip(share[:, 0], texts[DRAWN:], strict=True))
    return (
        Table("Drawn texts", ("text",), tuple((text,) for text in texts[:DRAWN])),
        Table("From one drawn code to another", ("of the way", "text"), line),
    )
