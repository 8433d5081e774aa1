"""What inspect shows of a row: its error, what each number adds to it, and how far the code's numbers reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from api.api_room import done
from recurra import api
from recurra.losses.likelihoods import ContinuousBernoulli

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(40, 6)).round(3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> api.OpenRun:
    """A run whose decoder is one linear layer, so that a step along the code changes as much anywhere."""
    folder = tmp_path_factory.mktemp("inspected")
    rows = ["a,b,c,d,e,f", *(",".join(map(str, row)) for row in ROWS)]
    (folder / "d.csv").write_text("\n".join(rows) + "\n")
    config: dict[str, Any] = {
        "task": {"name": "autoencoding", "values": list("abcdef"), "code_size": 2},
        "data": {"train": str(folder / "d.csv")},
        "model": {"encoder": {"name": "dense", "sizes": [5]}, "decoder": {"name": "dense", "sizes": []}},
        "training": {"epochs": 2, "report": "scores"},
    }
    return api.open_run(api.train(config, out=folder / "run", device="cpu").run)


def row(n: int) -> dict[str, float]:
    return dict(zip("abcdef", ROWS[n], strict=True))


def test_the_error_is_what_predict_says_and_numbers_add_up_to_it(run: api.OpenRun) -> None:
    found = api.inspect(run, row(3))
    assert found.saliency.whole == pytest.approx(found.answer["error"], rel=1e-5)
    assert sum(found.saliency.steps) == pytest.approx(found.saliency.whole - found.saliency.nothing, abs=1e-3)
    assert {name for name, _ in found.by_feature.rows} <= set("abcdef")  # type: ignore[union-attr]
    worst = found.tables[0].rows
    squared = [float(line[3]) for line in worst]
    assert squared == sorted(squared, reverse=True)
    assert np.mean(squared) == pytest.approx(found.answer["error"], rel=1e-2)  # four digits are shown


def test_a_step_along_the_code_of_a_linear_decoder_changes_what_its_weights_say(run: api.OpenRun) -> None:
    weight = run.model.decoder.output.weight.detach().double().numpy()
    expected = {k + 1: np.sqrt((weight[:, k] ** 2).mean()) for k in range(2)}
    table = api.inspect(run, row(5)).tables[1]
    assert table.columns == ("number", "value", "reach", "changes most")
    for number, _, reach, name in table.rows:
        assert float(reach) == pytest.approx(expected[int(number)], rel=1e-3)
        assert name == "abcdef"[np.abs(weight[:, int(number) - 1]).argmax()]
    first, second = (float(line[2]) for line in table.rows)
    assert first >= second


def test_it_is_shown_in_a_terminal_and_on_a_page(run: api.OpenRun, tmp_path: Path) -> None:
    done("inspect", run.folder.path, "--input", Path(run.settings.data.train), "--html", tmp_path / "i.html")
    page = (tmp_path / "i.html").read_text()
    for words in ("The row", "Along number 1 of the code", "The numbers that are said worst", "mean squared error"):
        assert words in page


def test_the_mean_of_a_sure_continuous_bernoulli_has_a_gradient() -> None:
    r = torch.tensor([-900.0, -70.0, -0.01, 0.0, 70.0, 900.0], dtype=torch.float64, requires_grad=True)
    mean = ContinuousBernoulli(2).mean(r[:, None])
    mean.sum().backward()  # type: ignore[no-untyped-call]
    # d/dr (1 / (1 - e^-r) - 1 / r) = 1 / r^2 away from 0, 1 / 12 at it
    assert r.grad is not None
    assert r.grad.tolist() == pytest.approx([1 / 900**2, 1 / 70**2, 1 / 12, 1 / 12, 1 / 70**2, 1 / 900**2], rel=1e-4)
    assert mean.detach()[-1].item() == pytest.approx(1 - 1 / 900)
