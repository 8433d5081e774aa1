"""Training with nt_asgd: dev scores and the best model are of the mean weights, and a resumed run has the same bits."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from api.api_room import Listening, kept_of, write_config
from api.test_resume import Stopper, resume_from
from recurra import api
from recurra.base.errors import ConfigError
from recurra.training import AveragedSGD
from recurra.training.checkpoint import load


@pytest.fixture
def config(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four epochs of four steps; averaging begins after the first, however the scores may be."""

    def begin(self: AveragedSGD, score: object) -> None:
        self.param_groups[0]["averaging"] = True

    monkeypatch.setattr(AveragedSGD, "observe", begin)
    optimizer = {"name": "nt_asgd", "lr": 0.5, "evaluations": 1}
    options = {"schedule": "constant", "select": "log_loss", "keep_checkpoints": "all"}
    return write_config(training={"epochs": 4, "optimizer": optimizer, **options})


def test_the_best_model_is_the_mean_of_the_weights_and_the_last_checkpoint_keeps_their_own(config: Path) -> None:
    api.train(config, out=Path("run"))
    last, best = load(Path("run/last.ckpt")), load(Path("run/best.ckpt"))
    assert best.step == last.step == 16  # log loss falls in each epoch
    means = [state["mean"] for state in last.optimizer["state"].values()]
    assert last.optimizer["param_groups"][0]["averaged"] == 12
    kept = load_file("run/model.safetensors")
    for name, weights in best.model.items():
        # The optimizer keeps parameters by number, a model by name; no two have the same numbers.
        assert any(torch.equal(weights, mean) for mean in means)
        assert torch.equal(weights, kept[name])
        assert not torch.equal(weights, last.model[name])


@pytest.mark.parametrize("stop", [3, 4, 9, 16])
def test_a_run_that_is_stopped_and_resumed_ends_with_the_same_bits(stop: int, config: Path) -> None:
    api.train(config, out=Path("whole"))
    assert resume_from(Path("cut"), config, Stopper(stop)).stopped_by == signal.SIGTERM
    assert resume_from(Path("cut"), config, Listening()).report is not None
    assert kept_of("cut") == kept_of("whole")


OPTIONS = {"select": "log_loss", "keep_checkpoints": "all", "optimizer": {"name": "sgd", "lr": 0.5}, "epochs": 4}


def test_the_best_model_is_the_mean_of_the_last_epochs(data: Path) -> None:
    api.train(write_config(training={**OPTIONS, "average": 3}), out=Path("run"))
    ends = []
    for epoch in (2, 3, 4):  # runs of fewer epochs end with the weights of these
        api.train(write_config(training={**OPTIONS, "epochs": epoch}), out=Path(f"to-{epoch}"))
        ends.append(load(Path(f"to-{epoch}/last.ckpt")).model)
    best = load(Path("run/best.ckpt"))
    assert best.step == 16
    assert load(Path("run/last.ckpt")).model.keys() == best.model.keys()
    for name, weights in best.model.items():
        mean = sum(end[name].double() for end in ends) / 3
        torch.testing.assert_close(weights.double(), mean, rtol=0, atol=1e-7)
        assert torch.equal(weights, load_file("run/model.safetensors")[name])


@pytest.mark.parametrize("options", [{"average": 3}, {"average_decay": 0.9}])
@pytest.mark.parametrize("stop", [5, 8, 16])
def test_a_run_with_a_mean_that_is_stopped_ends_with_the_same_bits(
    stop: int, options: dict[str, float], data: Path
) -> None:
    config = write_config(training={**OPTIONS, **options})
    api.train(config, out=Path("whole"))
    assert resume_from(Path("cut"), config, Stopper(stop)).stopped_by == signal.SIGTERM
    assert resume_from(Path("cut"), config, Listening()).report is not None
    assert kept_of("cut") == kept_of("whole")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"average": 3, "average_decay": 0.9}, "average_decay: average makes a mean of the weights already"),
        ({"average": 3, "optimizer": "nt_asgd"}, "training.average: nt_asgd averages its weights by itself"),
    ],
)
def test_two_means_at_once_are_refused(options: dict[str, object], sentence: str, data: Path) -> None:
    with pytest.raises(ConfigError, match=sentence):
        api.train(write_config(training={"epochs": 1, **options}), out=Path("run"))
