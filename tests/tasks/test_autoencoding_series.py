"""Autoencoders of rows of several steps: what is read back, what stands beside them, and what `init` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oracles import autoencoder as oracle
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, RunError
from recurra.models.autoencoder import Autoencoder
from recurra.tasks import Autoencoding, AutoencodingConfig
from recurra.tasks.autoencoding.baselines import Components, Neighbour
from recurra.tasks.autoencoding.columns import autoencoding_suggested
from recurra.tasks.autoencoding.config import AutoencodingConfig as Config
from recurra.tasks.autoencoding.series import ByColumns, Flat
from recurra.tasks.sizing import Seen

LENGTHS = (4, 7, 1, 7, 3, 6, 2, 5)


def records(lengths: tuple[int, ...] = LENGTHS) -> list[Record]:
    rng = np.random.default_rng(0)
    rows = [np.cumsum(rng.normal(size=(length, 2)), 0) * (3, 0.1) + (5, 0) for length in lengths]
    return [Record({"values": row}, Origin("rows.ts", n)) for n, row in enumerate(rows, 1)]


def fitted(lengths: tuple[int, ...] = LENGTHS, **options: Any) -> tuple[Autoencoding, list[Any]]:
    config = AutoencodingConfig(**{"code_size": 3, **options})
    task, examples = config.fit_examples([config.read(record) for record in records(lengths)], "rows.ts")
    return task, list(examples)


def model_of(task: Autoencoding, teacher_forcing: bool, **parts: Any) -> Autoencoder:
    torch.manual_seed(0)
    encoder = {"name": "recurrent", "cell": "gru", "hidden_size": 6}
    decoder = {"name": "recurrent", "teacher_forcing": teacher_forcing}
    return Autoencoder(task.model_sizes, encoder=encoder, decoder=decoder, **parts).eval()


@pytest.mark.parametrize("variational", [False, True])
@pytest.mark.parametrize("teacher_forcing", [False, True])
def test_a_row_alone_has_the_answer_and_the_nats_that_it_has_among_others(
    teacher_forcing: bool, variational: bool
) -> None:
    task, examples = fitted(likelihood="gaussian", variational=variational, importance_samples=3 * variational)
    model = model_of(task, teacher_forcing, latent="variational" if variational else "plain")
    with torch.inference_mode():
        together = task.predict(model, task.collate(examples, range(8)), examples)
        for n, example in enumerate(examples):
            (alone,) = task.predict(model, task.collate([example], (n,)), [example])
            np.testing.assert_array_equal(alone.values, together[n].values)
            assert alone.values.shape == (LENGTHS[n], 2)
            assert alone.nats == pytest.approx(together[n].nats, rel=1e-6)
            assert alone.parts == pytest.approx(dict(together[n].parts), rel=1e-6)


def test_an_answer_reads_what_was_said_and_a_likelihood_what_was_true() -> None:
    task, examples = fitted(likelihood="gaussian")
    model = model_of(task, True)
    batch = task.collate(examples, range(8))
    with torch.inference_mode():
        outputs = task.predict(model, batch, examples)
        said = model(batch).outputs["numbers"]
        codes, values = model.codes(batch), batch.targets["values"]
        own = torch.zeros_like(values)
        for _ in range(7):  # step by step: what is read is what was said, from the first step on
            own = task.likelihood.mean(model.decode(codes, batch.lengths, own))
    for n, length in enumerate(LENGTHS):
        np.testing.assert_allclose(outputs[n].values, own[:length, n], atol=1e-6)
        nats = 0.0
        for t in range(length):
            for d in range(2):
                mean, r = (float(x) for x in said[t, n, d])
                deviation = np.exp(-6 + np.log1p(np.exp(r + 6)))
                nats += oracle.gaussian(mean, deviation, float(values[t, n, d]))
        assert outputs[n].nats == pytest.approx(nats, rel=1e-5)
    with torch.inference_mode():
        assert float(task.loss(model(batch), batch).total) == pytest.approx(sum(o.nats for o in outputs), rel=1e-5)
    assert not np.allclose(outputs[1].values, task.likelihood.mean(said)[:7, 1], atol=1e-4)


def test_errors_are_of_all_steps_and_answers_in_the_units_of_the_data() -> None:
    task, examples = fitted()
    with torch.inference_mode():
        outputs = task.predict(model_of(task, False), task.collate(examples, range(8)), examples)
    scores = {score.name: score.value for score in task.score(outputs, examples, "dev")}
    rows = [np.asarray(record.fields["values"], float) for record in records()]
    together = np.concatenate(rows)
    scaled = (together - together.mean(0)) / together.std(0)
    said = np.concatenate([one.values for one in outputs]).astype(float)
    assert scores["mse"] == pytest.approx(((scaled - said) ** 2).mean(), rel=1e-5)
    assert scores["r2"] == pytest.approx(1 - ((scaled - said) ** 2).sum() / (scaled**2).sum(), rel=1e-4)
    answer = task.answer(examples[1], outputs[1])
    np.testing.assert_allclose(
        answer.reconstruction["values"], outputs[1].values * together.std(0) + together.mean(0), rtol=1e-5
    )
    assert [task.model_sizes[name] for name in ("steps", "row")] == [7, 14]
    again = Config(code_size=3).restore(task.to_json(), "task.json")
    assert again.model_sizes == task.model_sizes
    with pytest.raises(RunError, match="rows of 0 steps"):
        Config().restore({**task.to_json(), "statistics": {**task.to_json()["statistics"], "steps": 0}}, "task.json")


def test_principal_components_stand_beside_rows_of_one_length_alone() -> None:
    task, examples = fitted((6,) * 8, noise={"name": "mask", "share": 0.4}, missing="mask")
    found = task.baselines(examples, {"test": examples})
    assert set(found.scores) == {"mean", "pca_3", "copy", "neighbour"}
    flat = np.stack([row.ravel() for row in task.rows(examples)]).astype(float)
    pca = Flat(Components(3))
    rows = [row.astype(float) for row in task.rows(examples)]
    pca.fit(rows, rows)
    wanted = oracle.principal_components(flat, 3, flat)
    np.testing.assert_allclose(np.stack(pca.predict(rows)).reshape(8, -1), wanted, atol=1e-6)
    mean = {score.name: score.value for score in found.scores["mean"]}
    assert mean["r2"] == pytest.approx(0, abs=1e-6)
    task, examples = fitted()
    assert set(task.baselines(examples, {"test": examples}).scores) == {"mean"}


def test_a_hidden_number_is_taken_from_the_nearest_step_of_the_same_column() -> None:
    near = ByColumns(Neighbour())
    near.fit([], [np.zeros((1, 2))])
    row = np.array([[1.0, np.nan], [np.nan, 5.0], [np.nan, np.nan], [4.0, np.nan]])
    assert near.predict([row])[0].tolist() == [[1, 5], [1, 5], [4, 5], [4, 5]]


def test_a_dense_decoder_is_refused_for_rows_of_several_steps() -> None:
    task, _ = fitted()
    with pytest.raises(ConfigError, match="dense writes rows that are one vector, and these have several steps"):
        Autoencoder(task.model_sizes, encoder="recurrent", decoder="dense")


@pytest.mark.parametrize(
    ("fields", "name", "flat"),
    [
        ([np.zeros((5, 1)) + 0.5, np.zeros((5, 1))], "rows.ts", False),
        ([np.zeros((5, 1)) + 0.5, np.zeros((5, 1))], "rows.npz", True),
        ([np.zeros((5, 1)) + 0.5, np.zeros((6, 1))], "rows.npz", False),
        ([np.zeros((5, 3)) + 0.5, np.zeros((5, 3))], "rows.npz", False),
        ([np.zeros((8, 8)), np.zeros((8, 8)) + 16], "rows.npz", True),
    ],
)
def test_init_tells_series_from_vectors(fields: list[np.ndarray], name: str, flat: bool) -> None:
    rows = [Record({"values": one}, Origin(name, n)) for n, one in enumerate(fields, 1)]
    found = autoencoding_suggested(rows, Path(name))
    assert ("flatten" in found.task) is flat
    choices = {c.path: c.value for c in Config.sized(found.task, Seen(rows, 2))}
    assert choices["model.encoder.name"] == ("dense" if flat else "recurrent")
    assert choices.get("model.decoder.name") == (None if flat else "recurrent")


def test_init_puts_rows_of_one_id_together() -> None:
    rows = [Record({"id": n // 4, "t": n % 4, "x": 0.5 * n}, Origin("rows.csv", n + 2)) for n in range(12)]
    found = autoencoding_suggested(rows, Path("rows.csv"))
    assert found.data == {"layout": {"name": "long", "id": "id", "time": "t"}}
    assert found.task == {"values": "x"}
    choices = {c.path: c.value for c in Config.sized(found.task, Seen(rows, 12))}
    assert (choices["model.decoder.name"], choices["task.code_size"]) == ("recurrent", 2)
    alone = [Record({"id": n, "x": 0.5 * n}, Origin("rows.csv", n + 2)) for n in range(4)]
    assert autoencoding_suggested(alone, Path("rows.csv")).data == {}
