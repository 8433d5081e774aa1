"""`recurra doctor` from the command line: a config, a trained run, pages and pictures, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from api.api_room import done, recurra, refused, write_config, write_csv
from recurra import api
from recurra.api.callbacks import NoCallback
from recurra.api.prepare import prepare
from recurra.api.schema import read_settings
from recurra.api.trainer import Trainer
from recurra.doctor import Advice


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*")}


def test_a_config_is_trained_a_little_and_judged(data: Path) -> None:
    before = files()
    said = done("doctor", "c.yaml", "--steps", 8, "--json").json
    assert files() == before  # nothing is written
    assert [probe["step"] for probe in said["probes"]] == [0, 2, 4, 6, 8]
    assert [layer["name"] for layer in said["probes"][0]["layers"]] == [
        "encoder.recurrent, forward", "encoder.recurrent, backward",
    ]  # fmt: skip
    assert [step for step, _ in said["course"]["norms"]] == list(range(1, 9))
    assert set(said["course"]["ratios"]) >= {
        "inputs.embedding.weight", "encoder.recurrent.weight_hh_l0", "head.output.weight",
    }  # fmt: skip
    assert said["verdict"]["word"] in {"healthy", "vanishing", "exploding", "saturated"}


def test_the_same_steps_as_in_training(data: Path) -> None:
    settings = read_settings(Path("c.yaml"))
    prepared = prepare(settings, NoCallback())
    learner = Trainer(settings, prepared.task, prepared.splits["train"], torch.device("cpu"), "")
    expected = [[progress.step, float(progress.grad_norm)] for progress in learner.steps()]
    norms = done("doctor", "c.yaml", "--steps", len(expected), "--json").json["course"]["norms"]
    assert norms == expected


def test_more_steps_than_an_epoch_has_go_on_in_the_next(data: Path) -> None:
    assert done("doctor", "c.yaml", "--steps", 30, "--json").json["probes"][-1]["step"] == 30


def test_a_person_reads_the_verdict_first_and_the_experiments_last(data: Path) -> None:
    lines = done("doctor", "c.yaml", "--steps", 2).out.splitlines()
    assert lines[0].split(":")[0] in {"healthy", "vanishing", "exploding", "saturated"}
    assert any(line.startswith("Activations: ") for line in lines)


def test_long_rows_of_a_sigmoid_network_vanish_and_the_experiment_is_named(here: Path) -> None:
    words = [" ".join("ab"[(n + k) % 2] for k in range(30)) for n in range(20)]
    write_csv(here / "data.csv", [(f"{text} c{n}", "xy"[n % 2]) for n, text in enumerate(words)])
    write_config(model={"encoder": {"cell": "rnn_sigmoid", "bidirectional": False, "hidden_size": 32}})
    said = done("doctor", "c.yaml", "--steps", 2).out
    assert said.startswith("vanishing: encoder.recurrent: of a gradient, ")
    assert "\nTry model.encoder.cell: lstm, model.encoder.forget_bias: 3\n" in said
    assert "\n  recurra doctor c.yaml --set model.encoder.cell=lstm --set model.encoder.forget_bias=3" in said
    once = done("doctor", "c.yaml", "--steps", 1, "--set", "training.seed=7").out
    both = "--set model.encoder.cell=lstm --set model.encoder.forget_bias=3"
    assert f"\n  recurra doctor c.yaml --set training.seed=7 {both}" in once
    tried = done("doctor", "c.yaml", "--steps", 2, "--try", "--html", "t.html", "--json").json
    assert [one["change"] for one in tried["experiments"]] == [
        "as it is",
        "model.encoder.cell: lstm, model.encoder.forget_bias: 3",
        "model.encoder.init: orthogonal",
        "model.head.pooling: max",
    ]
    assert [one["word"] for one in tried["experiments"]] == ["vanishing", "healthy", "vanishing", "healthy"]
    before, *others = (one["loss"] for one in tried["experiments"])
    helped = [
        one["change"] for one, loss in zip(tried["experiments"][1:], others, strict=True) if loss <= before * 1.02
    ]
    assert [one["change"] for one in tried["advice"]] == [change for change in helped if "orthogonal" not in change]
    assert "<h2>The experiments</h2>" in Path("t.html").read_text("utf-8")


def test_an_experiment_that_does_not_fit_the_config_is_a_result(here: Path) -> None:
    words = [" ".join("ab"[(n + k) % 2] for k in range(40)) for n in range(20)]
    write_csv(here / "data.csv", [(f"{text} c{n}", "xy"[n % 2]) for n, text in enumerate(words)])
    config = write_config(model={"encoder": {"cell": "lstm_projected", "proj_size": 2, "bidirectional": False}})
    fake = Advice("model.encoder.cell: lstm", "why", ("model.encoder.cell=lstm",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.api.doctoring.advice", lambda diagnosis, tree: (fake,))
        found = api.doctor(config, steps=1, experiments=True)
    as_it_is, changed = found.experiments
    assert as_it_is.word == found.diagnosis.verdict.word
    assert (changed.change, changed.word) == ("model.encoder.cell: lstm", "refused")
    assert "has no projection" in changed.evidence


def test_page_and_picture_are_written(data: Path) -> None:
    done("doctor", "c.yaml", "--steps", 2, "--html", "d.html", "--png", "d.png")
    page = Path("d.html").read_text("utf-8")
    assert "Gradient carried back by the recurrence" in page
    assert "<script" not in page
    assert Path("d.png").read_bytes().startswith(b"\x89PNG")


def test_a_trained_run_is_looked_at_as_it_is(run: Path) -> None:
    before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    said = done("doctor", run, "--json").json
    assert len(said["probes"]) == 1
    assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    assert refused("doctor", run, "--set", "model.encoder.hidden_size=8") == (
        "run: a trained run keeps its own settings; leave out --set, --seed and --try.\n"
    )


def test_a_training_that_learned_nothing_is_named_at_its_end_in_the_report_and_by_the_doctor(data: Path) -> None:
    write_config(training={"epochs": 2, "optimizer": {"name": "sgd", "lr": 1e-9}})
    trained = done("train", "c.yaml", "--out", "nothing")
    sentence = (
        "too few steps: dev accuracy is 0.5 at its best, and takes no learning to reach (0.5); there were 8 steps."
    )
    assert sentence in trained.err
    assert "too few steps" in Path("nothing/report.html").read_text("utf-8")
    assert sentence in done("doctor", "nothing").out
    (found,) = done("doctor", "nothing", "--json").json["findings"]
    assert found["advice"][0]["settings"] == ["training.epochs=6"]


def test_a_run_of_an_earlier_version_has_no_findings_and_damaged_ones_are_refused(run: Path) -> None:
    (run / "findings.json").write_text('[{"word": 3}]')
    assert "findings.json: damaged" in refused("doctor", run)
    (run / "findings.json").unlink()
    assert done("doctor", run, "--json").json["findings"] is None


def test_the_report_of_every_run_has_a_verdict_and_the_curves_behind_it(run: Path) -> None:
    page = (run / "report.html").read_text("utf-8")
    assert "<dt>gradients</dt><dd>healthy: encoder.recurrent, " in page
    assert "Gradient carried back by the recurrence" in page
    assert "Gradient before clipping" in page


def test_a_language_model_is_looked_at_as_far_as_its_gradient_goes(here: Path) -> None:
    """Its documents have thirty tokens, and training carries a gradient back over five."""
    lines = (" ".join("abcd"[(n * k) % 4] for k in range(30)) for n in range(20))
    Path("t.txt").write_text("\n".join(lines), "utf-8")
    write_config(
        task={"name": "language_model", "bptt": 5}, data={"train": "t.txt"}, model={"encoder": {"hidden_size": 3}}
    )
    said = done("doctor", "c.yaml", "--steps", 4, "--json").json
    assert [layer["name"] for layer in said["probes"][-1]["layers"]] == ["encoder.recurrents.0", "encoder.recurrents.1"]
    assert {probe["layers"][0]["steps"] for probe in said["probes"]} == {5}
    assert said["probes"][-1]["layers"][0]["carried"]["reach"] == 4


def test_training_that_fails_is_a_verdict(data: Path) -> None:
    said = done("doctor", "c.yaml", "--steps", 20, "--set", "training.optimizer={name: sgd, lr: 1e38}", "--json").json
    assert said["verdict"]["word"] == "exploding"
    assert "training ended after step" in said["verdict"]["evidence"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["c.yaml", "--steps", "0"], "--steps: expected at least 1"),
        (["c.yaml", "--html", "page.txt"], "expected a name that ends in .html, got 'page.txt'"),
        (["c.yaml", "--png", "no/where.png"], "there is no folder 'no'"),
        (["c.yaml", "--set", "model.encoder.cell=lsmt"], "Did you mean 'lstm'?"),
        (["none.yaml"], "none.yaml: no such file"),
        (["."], "not a run folder"),
    ],
)
def test_mistakes_are_said_in_a_sentence(words: list[str], sentence: str, data: Path) -> None:
    assert sentence in refused("doctor", *words)


def test_in_python(data: Path) -> None:
    found = api.doctor(Path("c.yaml"), steps=4, overrides=["model.encoder.cell=gru"])
    assert found.tree["model"]["encoder"]["cell"] == "gru"
    assert [layer.cell for layer in found.diagnosis.probes[-1].layers] == ["gru", "gru"]
    assert recurra("doctor", "c.yaml", "--steps", 1).code == 0
