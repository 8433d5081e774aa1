"""Greedy decoding of CTC: repetitions are one unit, a blank between them makes two."""

import numpy as np
import torch

from recurra.decode.ctc import collapsed, greedy


def test_a_path_collapses():
    chances = np.array([0.5, 0.7, 1.0, 0.9, 0.8, 0.6])
    said = collapsed(np.array([2, 2, 0, 2, 1, 1]), chances)
    assert (said.units, said.starts, said.ends) == ((2, 2, 1), (0, 3, 4), (2, 4, 6))
    assert np.allclose(said.probabilities, [0.6, 0.9, 0.7])
    assert (said.blanks, said.frames) == (1, 6)


def test_what_stands_behind_a_row_is_not_read():
    logits = torch.zeros(4, 2, 3)
    logits[:, :, 1] = 5.0
    logits[2:, 1, 2] = 9.0
    logits[3, 1] = float("nan")
    (
        first,
        second,
    ) = greedy(logits, torch.tensor([4, 2]))
    assert first.units == second.units == (1,)
    assert (second.ends, second.frames) == ((2,), 2)
    assert greedy(logits, torch.tensor([0, 0]))[0].units == ()


def test_another_unit_may_be_the_blank():
    logits = torch.eye(3)[[2, 0, 2]].unsqueeze(1) * 9
    assert greedy(logits, torch.tensor([3]), blank=2)[0].units == (0,)
