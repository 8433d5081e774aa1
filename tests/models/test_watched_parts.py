"""What a head and inputs pass over for speed, they do where somebody asks for it."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.base.contracts import Batch
from recurra.models.contract import Encoded
from recurra.models.heads.label import LabelHead
from recurra.models.inputs.vectors import Vectors

ENCODED = Encoded(torch.ones(2, 1, 6), torch.tensor([2]), torch.ones(1, 6), {})
BATCH = Batch({"features": torch.ones(2, 1, 16)}, torch.tensor([2]), {}, (0,))


def _of_head(head: LabelHead) -> Tensor:
    (found,) = head(ENCODED).values()
    return found


def test_dropout_that_is_on_alone_is_drawn() -> None:
    head = LabelHead(6, {"labels": 3}, None, output_dropout=0.5).eval()
    inputs = Vectors({"features": 16}, input_dropout=0.5).eval()
    for dropout, run in ((head.dropout, lambda: _of_head(head)), (inputs.dropout, lambda: inputs(BATCH)[0])):
        same = run()
        torch.testing.assert_close(run(), same, rtol=0, atol=0)
        dropout.train()
        torch.manual_seed(1)
        assert any(not torch.equal(run(), same) for _ in range(8))


def test_a_hook_of_what_gives_the_last_state_is_called() -> None:
    head, seen = LabelHead(6, {"labels": 3}, None).eval(), []
    head.pool.register_forward_hook(lambda *given: seen.append(given))
    _of_head(head)
    assert len(seen) == 1
