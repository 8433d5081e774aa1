"""Autoencoders: what is read, disturbed, said and scored, without training one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from oracles import autoencoder as oracle
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.draws import key_of, normals
from recurra.models.autoencoder import Autoencoder
from recurra.tasks import Autoencoding, AutoencodingConfig
from recurra.tasks.autoencoding import bounds
from recurra.tasks.autoencoding.baselines import Components, Copy, Neighbour
from recurra.tasks.autoencoding.tables import units_table
from recurra.tasks.autoencoding.task import Rebuilt


def records(rows: Any) -> list[Record]:
    return [Record({"values": np.asarray(row).reshape(-1, 1)}, Origin("rows.npy", n)) for n, row in enumerate(rows, 1)]


def fitted(rows: Any, **options: Any) -> tuple[Autoencoding, list[Any]]:
    config = AutoencodingConfig(flatten=True, **{"code_size": 2, **options})
    task, examples = config.fit_examples([config.read(record) for record in records(rows)], "rows.npy")
    return task, list(examples)


def model_of(task: Autoencoding, **parts: Any) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(task.model_sizes, encoder={"name": "dense", "sizes": [5, 4]}, **parts).eval()


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, 6)) @ np.diag([5.0, 3, 1, 1, 0.5, 0.1]) + 7


def test_errors_are_of_scaled_numbers_and_answers_in_the_units_of_the_data(rows: np.ndarray) -> None:
    task, examples = fitted(rows)
    model = model_of(task)
    with torch.inference_mode():
        outputs = task.predict(model, task.collate(examples, range(40)), examples)
        said = model(task.collate(examples, range(40))).outputs["numbers"][0, :, :, 0].double().numpy()
    scaled = (rows - rows.mean(0)) / rows.std(0)
    scores = {score.name: score.value for score in task.score(outputs, examples, "dev")}
    error = ((said - scaled) ** 2).mean()
    span = scaled.max() - scaled.min()
    assert scores["mse"] == pytest.approx(error, rel=1e-5)
    assert scores["psnr"] == pytest.approx(10 * np.log10(span**2 / error), abs=1e-4)
    assert scores["r2"] == pytest.approx(1 - error / (scaled**2).mean(), abs=1e-5)
    answer = task.answer(examples[3], outputs[3])
    np.testing.assert_allclose(answer.reconstruction["values"], said[3] * rows.std(0) + rows.mean(0), rtol=1e-5)
    assert answer.error == pytest.approx(((said[3] - scaled[3]) ** 2).mean(), rel=1e-5)
    floor = {score.name: score.value for score in task.possible_scores(examples)}
    assert floor["r2"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("likelihood", ["squared_error", "gaussian"])
def test_a_row_alone_has_the_loss_and_the_answer_that_it_has_among_others(rows: np.ndarray, likelihood: str) -> None:
    task, examples = fitted(rows, likelihood=likelihood, noise={"name": "gaussian", "deviation": 0.2})
    model = model_of(task)
    with torch.inference_mode():
        together = task.predict(model, task.collate(examples[:7], range(7)), examples[:7])
        alone = task.predict(model, task.collate(examples[4:5], (4,)), examples[4:5])
        whole = task.collate(examples[:7], range(7))
        losses = [task.loss(model(b), b).total for b in (task.collate([e], (0,)) for e in examples[:7])]
        assert float(task.loss(model(whole), whole).total) == pytest.approx(float(sum(losses)), rel=1e-6)
    np.testing.assert_allclose(together[4].values, alone[0].values, rtol=1e-5, atol=1e-6)
    assert together[4].nats == pytest.approx(alone[0].nats, rel=1e-5)


def test_noise_is_a_function_of_seed_epoch_and_row_and_of_no_batch(rows: np.ndarray) -> None:
    task, examples = fitted(rows, noise={"name": "salt_and_pepper", "share": 0.4})
    sampler = task.sampler(examples, batch_tokens=100, batch_rows=8, seed=3)
    seen = {}
    for item in sampler.plan(2):
        batch = sampler.batch(item)
        for n, index in enumerate(batch.indices):
            seen[index] = batch.inputs["features"][0, n].numpy()
            np.testing.assert_array_equal(batch.targets["values"][0, n], examples[index].values[0])
    for index, example in enumerate(examples):
        np.testing.assert_array_equal(seen[index], task.disturbed(example, 3, 2)[0])
    low, high = task.statistics.ends
    changed = np.array([seen[n] != examples[n].values[0] for n in range(40)])
    assert 0.2 < changed.mean() < 0.6
    assert {*np.array([seen[n] for n in range(40)])[changed].tolist()} <= {np.float32(low), np.float32(high)}
    others = (
        np.array([task.disturbed(e, 3, 3)[0] for e in examples]),
        np.array([task.disturbed(e, 4, 2)[0] for e in examples]),
    )
    assert all((other != np.array([seen[n] for n in range(40)])).any() for other in others)
    asked = task.example(records(rows)[0], gold=False)
    np.testing.assert_array_equal(task.collate([asked], (0,)).inputs["features"][0, 0], asked.values[0])


def test_hidden_numbers_are_marked_and_still_count(rows: np.ndarray) -> None:
    holes = rows.copy()
    holes[0, 2] = np.nan
    task, examples = fitted(holes, missing="mask", noise={"name": "mask", "share": 0.5, "each": "block"})
    batch = task.collate(examples, range(40))
    marks = batch.inputs["features"][0, :, 6:].numpy()
    assert marks[1:].sum(1).tolist() == [3.0] * 39  # three of six are hidden, in one stretch
    assert all(np.flatnonzero(row == 0).tolist() in ([0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]) for row in marks[1:])
    assert (batch.inputs["features"][0, :, :6].numpy()[marks == 0] == 0).all()
    assert batch.targets["there"][0, 0].tolist() == [1, 1, 0, 1, 1, 1]
    assert float(batch.targets["there"].sum()) == 239


def test_numbers_become_0_or_1_once_and_as_often_as_they_say() -> None:
    grey = np.tile(np.linspace(0, 1, 101), (400, 1))
    grey[:, 0] = np.arange(400) / 1000  # no two rows are alike
    _, examples = fitted(grey, scaling="none", binarize="static", binarize_seed=5, likelihood="bernoulli")
    again, _ = fitted(grey[::-1], scaling="none", binarize="static", binarize_seed=5, likelihood="bernoulli")
    drawn = np.array([e.values[0] for e in examples])
    assert set(np.unique(drawn)) == {0.0, 1.0}
    # 400 draws of p: a deviation of at most 0.025, and 101 of them.
    np.testing.assert_allclose(drawn[:, 1:].mean(0), grey[0, 1:], atol=0.1)
    assert (again.example(records(grey)[7]).values == examples[7].values).all()
    assert any(
        (fitted(grey[:9], scaling="none", binarize="static")[1][n].values != examples[n].values).any() for n in range(9)
    )


def test_principal_components_are_those_of_the_singular_values(rows: np.ndarray) -> None:
    pca = Components(2)
    pca.fit(rows, rows)
    np.testing.assert_allclose(
        np.stack(pca.predict(rows[:5])), oracle.principal_components(rows, 2, rows[:5]), atol=1e-9
    )


def test_a_hidden_number_is_taken_from_its_nearest_neighbour() -> None:
    near = Neighbour()
    near.fit([], [np.zeros(6)])
    row = np.array([np.nan, 1.0, np.nan, np.nan, 4.0, np.nan])
    assert near.predict([row])[0].tolist() == [1, 1, 1, 4, 4, 4]
    copy = Copy()
    copy.fit([], [np.full(6, 9.0)])
    assert copy.predict([row])[0].tolist() == [9, 1, 9, 9, 4, 9]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scaling": "series"}, "scaling: by a row itself cannot be undone"),
        ({"binarize": "static"}, "binarize: reads numbers from 0 to 1; set scaling to range or none"),
        ({"binarize_seed": 3}, "binarize_seed: has no effect without binarize: static"),
        ({"likelihood": "bernoulli"}, "scaling: standard leaves no whole numbers for likelihood bernoulli"),
        ({"sound": {"name": "kaldi", "rate": 8000}}, "sound: an autoencoder reads numbers and pictures"),
    ],
)
def test_options_that_cannot_take_effect_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AutoencodingConfig(**options)


def test_data_that_cannot_be_learned_from_is_refused_with_its_place(rows: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"rows\.npy: has one row to learn from"):
        fitted(rows[:1])
    with pytest.raises(DataError, match=r"rows\.npy:1: holds 0\.\d+ as it is scaled, and bernoulli"):
        fitted(rows, scaling="range", likelihood="bernoulli")
    with pytest.raises(DataError, match=r"rows\.npy:2: has 5 steps, expected 6, as rows\.npy:1 has"):
        fitted([rows[0], rows[1][:5]])
    _, notes = fitted(np.column_stack([rows, np.ones(40)]))[0].filter(
        fitted(np.column_stack([rows, np.ones(40)]))[1], "train"
    )
    assert any("the same number in every step and series: number 7" in note for note in notes)


def test_a_code_as_large_as_a_row_needs_noise(rows: np.ndarray) -> None:
    with pytest.raises(ConfigError, match=r"task\.code_size is 6, and a row has 6 numbers: a plain code"):
        model_of(fitted(rows, code_size=6)[0])
    model_of(fitted(rows, code_size=6, noise={"name": "gaussian"})[0])


def test_the_decoder_mirrors_the_encoder(rows: np.ndarray) -> None:
    model = model_of(fitted(rows)[0])
    assert [tuple(layer.weight.shape) for layer in model.decoder.layers] == [(4, 2), (5, 4)]
    assert tuple(model.decoder.output.weight.shape) == (6, 5)
    with pytest.raises(ConfigError, match="sizes: null mirrors encoder dense"):
        Autoencoder(fitted(rows)[0].model_sizes, encoder="identity")


def test_a_folder_keeps_what_is_needed_to_read_and_to_answer(rows: np.ndarray) -> None:
    task, examples = fitted(rows)
    again = task.plan.restore(task.to_json(), "task.json")
    np.testing.assert_array_equal(again.example(records(rows)[0]).values, examples[0].values)
    assert again.statistics.ends == task.statistics.ends
    known = task.to_json()
    before = known | {"statistics": {name: one for name, one in known["statistics"].items() if name != "steps"}}
    with pytest.raises(RunError, match=r"^task.json: .* how many steps its rows have.* Train it again\.$"):
        task.plan.restore(before, "task.json")


VAE = {"variational": True, "likelihood": "gaussian"}


def test_bounds_are_those_of_the_paper_and_alone_as_together(rows: np.ndarray) -> None:
    task, examples = fitted(rows, **VAE, importance_samples=5)
    model = model_of(task, latent="variational")
    with torch.inference_mode():
        outputs = task.predict(model, task.collate(examples, range(40)), examples)
        alone = task.predict(model, task.collate(examples[3:4], (3,)), examples[3:4])
        coded = model.code(task.collate(examples[3:4], (3,)))
        mean, deviation = coded.mean[0].double().numpy(), np.exp(0.5 * coded.log_variance[0].double().numpy())
        key = key_of(0, 0, examples[3].values.tobytes())
        noise = np.stack([normals(key, 2, bounds.FIRST + k) for k in range(5)])
        codes = torch.from_numpy((mean + deviation * noise).astype(np.float32))
        numbers = model.decode(codes, torch.ones(5, dtype=torch.int64))[0].double().numpy()
    x = examples[3].values[0].astype(np.float64)
    s = np.exp(-6 + np.log1p(np.exp(numbers[0, :, 1] + 6)))
    nats = np.array([sum(oracle.gaussian(m, d, v) for m, d, v in zip(row[:, 0], s, x, strict=True)) for row in numbers])
    assert outputs[3].nats == pytest.approx(nats[0], abs=1e-4)
    assert outputs[3].parts["kl"] == pytest.approx(oracle.divergence(mean, deviation, 40_000), abs=1e-5)
    assert outputs[3].parts["nll"] == pytest.approx(oracle.importance_bound(mean, deviation, noise, -nats), abs=1e-4)
    assert alone[0].nats == pytest.approx(outputs[3].nats, rel=1e-6)
    scores = {score.name: score.value for score in task.score(outputs, examples, "test")}
    assert scores["elbo"] == pytest.approx(-scores["nats"] - scores["kl"])
    assert scores["nll"] <= -scores["elbo"] + 1
    with torch.inference_mode():
        quick = task.for_validation.predict(model, task.collate(examples[:1], (0,)), examples[:1])
    assert "nll" not in quick[0].parts


def test_a_code_that_tells_rows_apart_has_their_logarithm_as_information_and_one_that_is_noise_none() -> None:
    apart = [Rebuilt(np.zeros((1, 1)), np.array([10.0 * n]), 0, 0, 1, 0, {}, np.array([-4.0])) for n in range(16)]
    alike = [Rebuilt(np.zeros((1, 1)), np.zeros(1), 0, 0, 1, 0, {}, np.zeros(1)) for n in range(16)]
    assert bounds.mutual_information(apart) == pytest.approx(np.log(16), abs=1e-6)
    assert bounds.mutual_information(alike) == pytest.approx(0, abs=1e-9)


def test_a_code_that_is_a_distribution_is_asked_for_in_one_place(rows: np.ndarray) -> None:
    assert AutoencodingConfig.implies({"variational": True}) == {"model": {"latent": {"name": "variational"}}}
    with pytest.raises(ConfigError, match=r"latent: with task\.variational a code is a distribution"):
        model_of(fitted(rows, **VAE)[0])
    with pytest.raises(ConfigError, match="likelihood: squared_error is none, and variational needs one"):
        AutoencodingConfig(variational=True)
    with pytest.raises(ConfigError, match="importance_samples: have no effect without variational"):
        AutoencodingConfig(importance_samples=3)


def test_a_loss_says_its_parts(rows: np.ndarray) -> None:
    task, examples = fitted(rows, **VAE)
    model = model_of(task, latent={"name": "variational", "beta": 2.0})
    batch = task.collate(examples, range(40))
    loss = task.loss(model(batch), batch)
    assert set(loss.parts) == {"reconstruction", "kl"}
    assert float(loss.total.detach()) == pytest.approx(
        float(loss.parts["reconstruction"] + 2 * loss.parts["kl"]), rel=1e-5
    )


def test_numbers_of_a_code_that_say_nothing_are_counted(rows: np.ndarray) -> None:
    codes = [np.array([0.0, n, 2.0]) for n in range(1, 5)]
    some = [Rebuilt(np.zeros((1, 1)), code, 0, 0, 1, 0) for code in codes]
    assert [row[1] for row in units_table(some).rows] == [3, 2, "66.7%", "2"]


def test_rows_are_drawn_that_look_like_rows(rows: np.ndarray) -> None:
    task, examples = fitted(rows, **VAE)
    maps = task.pictures(model_of(task, latent="variational"), examples, torch.device("cpu"))
    assert [one.title for one in maps][-1] == "Drawn row 4"
    assert len(maps[-1].weights) == 6
    assert all(0 <= value <= 1 for one in maps for line in one.weights for value in line)
