"""Positions in time: what is read of a path, turned windows, drawn paths, and the distances that are scored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recurra.api.inference import outputs
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError
from recurra.metrics.forecasting import path_scores
from recurra.models import MODELS
from recurra.tasks.forecasting import Forecasting, ForecastingConfig
from recurra.tasks.forecasting.naive import Past
from recurra.tasks.forecasting.paths import constant_velocity, turned_walks
from recurra.tasks.forecasting.windows import together

WALK: dict[str, Any] = {
    "target": ("x", "y"), "time": "t", "id": "who", "frequency": "1", "horizon": 2, "context": 4, "base": "velocity",
    "scaling": "none", "coordinates": True, "differences": True, "loss": "gaussian", "lags": (),
}  # fmt: skip


def plan(**options: Any) -> ForecastingConfig:
    return ForecastingConfig(**(WALK | options))


def walk(name: str, x: list[float], y: list[float], at: list[int] | None = None) -> Record:
    return Record({"who": name, "t": at or list(range(len(x))), "x": x, "y": y}, Origin(f"{name}.json"))


def curve(name: str, T: int, seed: int) -> Record:
    rng = np.random.default_rng(seed)
    return walk(name, np.cumsum(rng.normal(1, 0.2, T)).tolist(), np.cumsum(rng.normal(0, 0.2, T)).tolist())


def fitted(config: ForecastingConfig) -> tuple[Forecasting, list[Any]]:
    return config.fit_examples([config.read(curve(name, 9 + k, k)) for k, name in enumerate("abc")], "walks")


def test_differences_are_read_in_place_of_positions_and_a_forecast_goes_on_by_the_last_step() -> None:
    config = plan()
    task, _ = fitted(config)
    window = task.example(walk("d", [0, 9, 10, 12, 15, 1, 2], [5, 5, 6, 6, 4, 0, 0]))
    batch = task.collate([window], [0])
    # Four positions are read, (9, 5) to (15, 4); what was before them is not.
    expected = [[0, 0], [1, 1], [2, 0], [3, -2]]
    assert batch.inputs["features"][:, 0].tolist() == expected
    # The walk goes on from (15, 4) by (3, -2); in numbers of the model the last position is 0.
    assert batch.inputs["base"][0].tolist() == [[18, 2], [21, 0]]
    assert batch.targets["values"][:, 0].tolist() == [[1 - 18, 0 - 2], [2 - 21, 0 - 0]]


def test_constant_velocity_goes_on_by_the_last_known_step_and_stands_where_only_one_position_is_known() -> None:
    config = plan(missing="mask")
    rows = [config.read(walk("a", [1, 2, 4, 4, 4], [0, 0, 3, 3, 3], [0, 1, 3, 4, 5])), config.read(curve("b", 6, 1))]
    task, _ = config.fit_examples(rows, "walks")
    store, _, _ = together([task.example(walk("a", [1, 2, 4, 4, 4], [0, 0, 3, 3, 3], [0, 1, 3, 4, 5]))])
    said = constant_velocity(Past(store, 1), np.zeros(2, np.int64), np.array([4, 1]), 2)
    # Step 2 is missing: from step 1 to step 3 the walk went (2, 3) in two steps.
    assert said.tolist() == [[[5, 4.5], [6, 6]], [[1, 0], [1, 0]]]


def test_distances_are_means_of_steps_and_of_the_end_and_the_best_path_counts_for_each() -> None:
    truth = np.array([[[0.0, 0.0], [3.0, 4.0]]])
    said = np.array([[[0.0, 1.0], [0.0, 0.0]]])
    paths = np.array([[[[3.0, 4.0], [3.0, 4.0]], [[0.0, 0.0], [3.0, 0.0]]]])
    found = {one.name: one.value for one in path_scores(truth, said, paths, split="test")}
    # The first path ends where the truth does and is 2.5 away in the mean; the second ends 4 away, and is 2 away.
    assert found == {"ade": 3.0, "fde": 5.0, "min_ade": 2.0, "min_fde": 0.0}


def test_a_turned_window_keeps_its_distances_and_has_another_angle_in_each_epoch() -> None:
    task, train = fitted(plan(rotate=True))
    plain, _ = fitted(plan())
    batches = {}
    for name, one in (("turned", task), ("again", task), ("plain", plain)):
        sampler = one.sampler(train, batch_tokens=10_000, batch_rows=64, seed=3)
        batches[name] = [sampler.batch(item) for epoch in (1, 2) for item in sampler.plan(epoch)]
    seen, kept, still = (batches[key] for key in ("turned", "again", "plain"))
    assert all(np.array_equal(a.inputs["features"], b.inputs["features"]) for a, b in zip(seen, kept, strict=True))
    angles = []
    for a, b in zip(seen, still, strict=True):
        x, y = a.targets["values"].numpy(), b.targets["values"].numpy()
        assert np.allclose(np.linalg.norm(x, axis=2), np.linalg.norm(y, axis=2), atol=1e-5)
        steps, flat = a.inputs["features"].numpy()[1:], b.inputs["features"].numpy()[1:]
        turn = _angles(steps[-1], flat[-1])
        assert np.allclose(turn, _angles(x[0], y[0]), atol=1e-3)  # inputs and targets by the same angle
        angles.append(turn)
    assert len({round(float(one), 3) for one in np.concatenate(angles)}) == sum(map(len, angles))


def _angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.angle((a[:, 0] + 1j * a[:, 1]) / (b[:, 0] + 1j * b[:, 1]))


def test_drawn_paths_are_the_same_alone_and_together_and_lie_at_one_level_all_the_way() -> None:
    task, _ = fitted(plan(paths=20))
    model = MODELS["forecaster"](
        task.model_sizes, encoder={"name": "recurrent", "hidden_size": 6, "cell": "gru"}, head={"name": "direct"}
    ).eval()
    examples = [task.example(curve(name, 8, k)) for k, name in enumerate("defg")]
    together_ = outputs(model, task, examples, device="cpu")
    for one, example in zip(together_, examples, strict=True):
        (alone,) = outputs(model, task, [example], device="cpu")
        assert np.array_equal(alone.paths, one.paths)
        assert one.paths.shape == (20, 2, 2)
        # Who is ahead of the middle at the first step is ahead at the last one, in the same order.
        order = (one.paths - one.point).argsort(0)
        assert np.array_equal(order[:, 0], order[:, 1])
    scores = {one.name: one.value for one in task.score(together_, examples, "test")}
    assert scores["min_ade"] < scores["ade"]
    assert scores["min_fde"] < scores["fde"]


def test_the_first_of_the_turned_walks_goes_straight_on_and_all_are_as_long() -> None:
    task, _ = fitted(plan())
    store, series, cuts = together([task.example(curve("d", 8, 4))])
    past = Past(store, 1)
    straight, walks = constant_velocity(past, series, cuts, 2), turned_walks(past, series, cuts, 2, 20)
    assert np.allclose(walks[:, 0], straight)
    start = past.last(series, cuts)[0][:, None, None]
    lengths = np.linalg.norm(walks - start, axis=3)
    assert np.allclose(lengths, lengths[:, :1])


def test_every_origin_of_a_file_is_forecast_from_a_whole_context_on() -> None:
    config = plan(origins="every")
    task, _ = fitted(config)
    rows = [config.read(curve("d", 9, 4)), config.read(curve("e", 5, 5))]
    # Nine steps: four are read, two are said, so forecasts begin behind steps 4, 5, 6 and 7; five steps are too few.
    assert [one.cut for one in task.examples(rows)] == [4, 5, 6, 7]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"target": "x"}, "coordinates"),
        ({"rotate": True, "coordinates": False}, "rotate"),
        ({"rotate": True, "scaling": "standard", "scaling_over": "series"}, "scaling_over"),
        ({"paths": 5, "coordinates": False}, "paths"),
        ({"paths": 5, "loss": "mae"}, "paths"),
        ({"origins": "every", "context": None}, "origins"),
    ],
)
def test_what_cannot_take_effect_on_positions_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        plan(**options)
