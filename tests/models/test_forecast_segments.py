"""The head of segments, against SegRNN's equations written out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from recurra.cells import CELLS
from recurra.models.forecasts import FORECASTS

H, SEGMENT, HORIZON, N = 3, 2, 5, 2


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def _gru(x: NDArray[np.float64], h: NDArray[np.float64], w: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """One step (Cho et al. 2014, as torch has it), gates r, z, n."""
    given = x @ w["weight_ih_l0"].T + w["bias_ih_l0"]
    before = h @ w["weight_hh_l0"].T + w["bias_hh_l0"]
    r, z = (_sigmoid(given[k : k + H] + before[k : k + H]) for k in (0, H))
    n = np.tanh(given[2 * H :] + r * before[2 * H :])
    return (1 - z) * n + z * h


def test_a_piece_reads_its_number_its_steps_and_once_what_is_of_the_series() -> None:
    """Lin et al. 2023, section 3.3: all pieces at once, from the state that the past made. One number is known of each
    step and two of the series; the last piece is half behind the horizon, where zeros stand."""
    head = FORECASTS["segments"](H, 3, {"horizon": HORIZON, "targets": 1, "numbers": 1, "future": 1}, segment=SEGMENT)
    random = np.random.default_rng(0)
    summary = random.normal(size=(N, H)).astype(np.float32)
    steps, of_series = random.normal(size=(HORIZON, N, 1)), random.normal(size=(1, N, 2))
    future = np.concatenate([steps, np.repeat(of_series, HORIZON, 0)], 2).astype(np.float32)
    with torch.no_grad():
        found = head(torch.from_numpy(summary), torch.from_numpy(future)).numpy()
    w = {name: tensor.double().numpy() for name, tensor in head.state_dict().items()}
    gru = {name.removeprefix("recurrent."): value for name, value in w.items() if name.startswith("recurrent.")}
    for n in range(N):
        said = []
        for k, piece in enumerate(w["pieces"]):
            known = [steps[t, n, 0] if t < HORIZON else 0.0 for t in range(k * SEGMENT, (k + 1) * SEGMENT)]
            h = _gru(np.array([*piece, *known, *of_series[0, n]]), summary[n].astype(np.float64), gru)
            said += [*(w["output.weight"] @ h + w["output.bias"])]
        np.testing.assert_allclose(found[:, n, 0], said[:HORIZON], atol=2e-6)  # float32, sums of at most seven products


@pytest.mark.parametrize("cell", sorted(CELLS.keys() - {"lstm_projected"}))  # whose state is narrower than its layer
def test_training_says_what_an_answer_says_with_the_same_gradients(cell: str) -> None:
    """Products that pieces, or rows, share are made once in training; without dropout nothing else differs."""
    torch.manual_seed(0)
    sizes = {"horizon": HORIZON, "targets": 1, "numbers": 1, "future": 1}
    head = FORECASTS["segments"](H, 3, sizes, segment=SEGMENT, cell=cell)
    summary, future = torch.randn(N, H, requires_grad=True), torch.randn(1, N, 3).repeat(HORIZON, 1, 1)
    future[:, :, 0] = torch.randn(HORIZON, N)
    answers, gradients = [], []
    for training in (True, False):
        said = head.train(training)(summary, future)
        answers.append(said)
        gradients.append(torch.autograd.grad(said.pow(2).sum(), [summary, *head.parameters()]))
    torch.testing.assert_close(*answers)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)  # float32, in another order


@pytest.mark.parametrize("asked", ["hook", "backend", "nothing"])
def test_a_layer_that_somebody_asked_of_is_called_in_training(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, called = {"horizon": HORIZON, "targets": 1, "numbers": 1, "future": 1}, []
    head = FORECASTS["segments"](H, 3, sizes, segment=SEGMENT, backend="reference" if asked == "backend" else "auto")
    if asked == "hook":
        head.recurrent.register_forward_hook(lambda *_: called.append(asked))
    else:
        run = head.recurrent.forward
        monkeypatch.setattr(head.recurrent, "forward", lambda *given: called.append(asked) or run(*given))
    head.train()(torch.randn(N, H), torch.randn(HORIZON, N, 3))
    assert called == ([] if asked == "nothing" else [asked])
