"""Begin with a language model: vectors by token, layers as they are, rates that fall, layers that are let go."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from api.api_room import Listening, done, kept_of, merged, refused, write_csv
from models.models_room import language_model
from recurra import api
from recurra.api.finetuning import load_pretrained
from recurra.api.trainer import Trainer
from recurra.base.contracts import Progress
from recurra.base.errors import ConfigError
from recurra.data.tokenizers.vocabulary import VocabularyPlan

LM: Mapping[str, Mapping[str, Any]] = {
    "task": {"name": "language_model", "tokenizer": "spaces", "bptt": 5},
    "data": {"train": "d.txt"},
    "model": {"inputs": {"embedding_size": 6}, "encoder": {"hidden_size": 6}},
    "training": {"epochs": 1, "batch_rows": 3},
}
CLASSIFIER: Mapping[str, Mapping[str, Any]] = {
    "task": {"name": "classification", "tokenizer": "spaces"},
    "data": {"train": "data.csv"},
    "model": {
        "inputs": {"embedding_size": 6},
        "encoder": {"hidden_size": 6, "num_layers": 2, "bidirectional": False},
        "head": {"pooling": "max"},
    },
    "training": {"epochs": 4, "batch_rows": 8, "patience": None, "init_from": "lm", "checkpoint_every": 3},
}


def write(name: str, *trees: Mapping[str, Mapping[str, Any]]) -> None:
    Path(name).write_text(yaml.safe_dump(reduce(merged, trees, {})))


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data.csv, a text in its words and a language model of it, `lm`."""
    folder = tmp_path_factory.mktemp("learned")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("recurra.tasks.language_model.tables.SAMPLE", 10)
        pairs = [(f"the {w} film {k} was so", "good" if w in ("fine", "warm") else "bad")
                 for k in range(10) for w in ("fine", "warm", "dull", "cold")]  # fmt: skip
        write_csv(folder / "data.csv", pairs)
        (folder / "d.txt").write_text("".join(f"the {w} film was {w}\n" for w in ("fine", "warm", "dull") * 12))
        write("lm.yaml", LM)
        done("train", "lm.yaml", "--out", "lm")
    return folder


@pytest.fixture
def begun(learned: Path, here: Path) -> Path:
    shutil.copytree(learned, here, dirs_exist_ok=True)
    write("c.yaml", CLASSIFIER)
    return here


def learner_of(config: str, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """The learner of a run before its first step."""
    kept: list[Trainer] = []

    class EndedError(Exception):
        pass

    def steps(self: Trainer) -> Any:
        kept.append(self)
        raise EndedError

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "steps", steps)
        with pytest.raises(EndedError):
            api.train(Path(config), out=Path("new"))
    shutil.rmtree("new")
    return kept[0]


def test_vectors_are_taken_by_token_and_layers_as_they_are(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, model = api.open_run(Path("lm")), learner_of("c.yaml", monkeypatch).model.state_dict()
    words = learner_of("c.yaml", monkeypatch).task.reader.vocabulary  # type: ignore[attr-defined]
    theirs = source.task.reader.vocabulary  # type: ignore[attr-defined]
    rows = source.model.state_dict()["inputs.embedding.weight"]
    for word in ("the", "fine", "film", "was"):
        mine = model["inputs.embedding.weight"][words.ids([word])[0]]
        torch.testing.assert_close(mine, rows[theirs.ids([word])[0]], rtol=0, atol=0)
    unknown = model["inputs.embedding.weight"][words.ids(["so"])[0]]
    torch.testing.assert_close(unknown, rows[4:].mean(0))
    for layer in (0, 1):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            expected = source.model.state_dict()[f"encoder.recurrents.{layer}.{name}_l0"]
            torch.testing.assert_close(model[f"encoder.recurrent.{name}_l{layer}"], expected, rtol=0, atol=0)


def test_both_directions_begin_with_a_language_model_that_has_a_backward_layer(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("b.yaml", LM, {"model": {"encoder": {"num_layers": 1, "backward_layer": True}}})
    done("train", "b.yaml", "--out", "both")
    assert "encoder.backward_layer: no gradient arrives" not in done("doctor", "both").out
    theirs = api.open_run(Path("both")).model.state_dict()
    one = {"encoder": {"num_layers": 1, "bidirectional": True}}
    write("c.yaml", CLASSIFIER, {"model": one, "training": {"init_from": "both"}})
    model = learner_of("c.yaml", monkeypatch).model.state_dict()
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        assert torch.equal(model[f"encoder.recurrent.{name}_l0"], theirs[f"encoder.recurrents.0.{name}_l0"])
        assert torch.equal(
            model[f"encoder.recurrent.{name}_l0_reverse"], theirs[f"encoder.backward_layers.0.{name}_l0"]
        )
    assert done("generate", "both", "--prompt", "the", "--length", "3").out
    # One direction may begin with it too; both directions need both.
    write("c.yaml", CLASSIFIER, {"model": {"encoder": {"num_layers": 1}}, "training": {"init_from": "both"}})
    assert len(learner_of("c.yaml", monkeypatch).model.state_dict()) == len(model) - 4
    write("c.yaml", CLASSIFIER, {"model": one})
    assert "num_layers: at most 2, bidirectional: false" in refused("check", "c.yaml")


def test_elmo_begins_with_the_layers_of_both_directions(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("b.yaml", LM, {"model": {"encoder": {"num_layers": 2, "backward_layer": True}}})
    done("train", "b.yaml", "--out", "both")
    theirs = api.open_run(Path("both")).model.state_dict()
    write("c.yaml", CLASSIFIER, {"model": {"encoder": {"bidirectional": True}}, "training": {"init_from": "both"}})
    assert "model.encoder: name: elmo, cell: lstm, hidden_size: 6, num_layers: at most 2" in refused("check", "c.yaml")
    elmo = {"name": "elmo", "hidden_size": 6, "num_layers": 2}
    settings = {**CLASSIFIER["training"], "init_from": "both", "gradual_unfreezing": True}
    write("c.yaml", {**CLASSIFIER, "model": {**CLASSIFIER["model"], "encoder": elmo}, "training": settings})
    model = learner_of("c.yaml", monkeypatch).model.state_dict()
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        for k in range(2):
            assert torch.equal(model[f"encoder.ahead.{k}.{name}"], theirs[f"encoder.recurrents.{k}.{name}"])
            assert torch.equal(model[f"encoder.behind.{k}.{name}"], theirs[f"encoder.backward_layers.{k}.{name}"])
    done("train", "c.yaml", "--out", "r")
    assert done("inspect", "r", "the warm film").out
    assert done("doctor", "r").out


def test_a_run_says_what_it_took_and_needs_the_other_one_no_more(begun: Path) -> None:
    class Stopper(Listening):
        def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
            super().step(progress, speed, seconds_left)
            if progress.step == 6:
                raise KeyboardInterrupt

    write("c.yaml", CLASSIFIER, {"training": {"gradual_unfreezing": True, "rate_decay": 2.6}})
    said = done("check", "c.yaml")
    assert "training.init_from: lm: 6 of 18 tokens have their vectors from there, and 2 recurrent layers" in said.err
    api.train(Path("c.yaml"), out=Path("whole"))
    with pytest.raises(KeyboardInterrupt):
        api.train(Path("c.yaml"), out=Path("cut"), watch=Stopper())
    shutil.rmtree("lm")
    assert api.resume(Path("cut")).report is not None
    assert kept_of("cut")[0] == kept_of("whole")[0]
    assert done("predict", "cut", "the fine film").out


def test_layers_are_let_go_from_the_top_one_an_epoch(begun: Path) -> None:
    write("c.yaml", CLASSIFIER, {"training": {"gradual_unfreezing": True}})
    seen: list[dict[str, torch.Tensor]] = []

    class Watch(Listening):
        def scores(self, epoch: int, scores: Any, is_best: bool) -> None:
            seen.append({k: v.clone() for k, v in learners[0].model.state_dict().items()})

    learners: list[Trainer] = []
    steps = Trainer.steps

    def noted(self: Trainer) -> Any:
        learners.append(self)
        if not seen:
            seen.append({k: v.clone() for k, v in self.model.state_dict().items()})
        return steps(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "steps", noted)
        api.train(Path("c.yaml"), out=Path("run"), watch=Watch())
    parts = ("output.", "_l1", "_l0", "embedding.")
    for epoch in range(1, 5):
        before, after = seen[epoch - 1], seen[epoch]
        moved = {p for p in parts if any(p in k and not torch.equal(before[k], after[k]) for k in before)}
        assert moved == set(parts[:epoch]), f"epoch {epoch}"


def test_rates_fall_from_layer_to_layer(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("c.yaml", CLASSIFIER, {"training": {"rate_decay": 2.6, "optimizer": {"name": "sgd", "lr": 0.1}}})
    trainer = learner_of("c.yaml", monkeypatch)
    rates = [group["lr"] for group in trainer.optimizer.param_groups]
    assert rates == pytest.approx([0.1, 0.1 / 2.6, 0.1 / 2.6**2, 0.1 / 2.6**3])
    assert sum(len(group["params"]) for group in trainer.optimizer.param_groups) == len(
        list(trainer.model.parameters())
    )
    names = {id(p): name for name, p in trainer.model.named_parameters()}
    firsts = [names[id(group["params"][0])] for group in trainer.optimizer.param_groups]
    assert [name.rpartition("_")[2] for name in firsts] == ["head.output.weight", "l1", "l0", "inputs.embedding.weight"]


@pytest.mark.parametrize("layers", [0, 1])
def test_as_many_layers_are_taken_as_asked(begun: Path, layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Above what is taken, a model may be as it likes.
    shape = {"encoder": {"bidirectional": True, "hidden_size": 7}} if layers == 0 else {}
    write("c.yaml", CLASSIFIER, {"model": shape, "training": {"init_layers": layers}})
    model, source = learner_of("c.yaml", monkeypatch).model.state_dict(), api.open_run(Path("lm")).model.state_dict()
    assert (model["inputs.embedding.weight"] == source["inputs.embedding.weight"][5]).all(1).any()
    names = [(f"encoder.recurrent.weight_hh_l{layer}", f"encoder.recurrents.{layer}.weight_hh_l0") for layer in (0, 1)]
    taken = [layer for layer, (ours, theirs) in enumerate(names) if model[ours].equal(source[theirs])]
    assert taken == [0][:layers]


def test_a_language_model_with_other_layers_takes_the_vectors_alone(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        "e.yaml",
        LM,
        {"model": {"encoder": {"num_layers": 1, "cell": "gru"}}, "training": {"init_from": "lm", "init_layers": 0}},
    )
    model, source = learner_of("e.yaml", monkeypatch).model.state_dict(), api.open_run(Path("lm")).model.state_dict()
    assert torch.equal(model["inputs.embedding.weight"], source["inputs.embedding.weight"])
    assert not torch.equal(model["head.output.bias"], source["head.output.bias"])


def test_a_language_model_begins_with_another_one(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("e.txt").write_text("a warm day was fine\nthe end\n" * 12)
    write("e.yaml", LM, {"data": {"train": "e.txt"}, "training": {"init_from": "lm"}})
    model, source = learner_of("e.yaml", monkeypatch).model, api.open_run(Path("lm"))
    words = api.open_run(Path("lm")).task.reader.vocabulary  # type: ignore[attr-defined]
    bias = source.model.state_dict()["head.output.bias"][words.ids(["warm"])[0]]
    ours = learner_of("e.yaml", monkeypatch).task.reader.vocabulary  # type: ignore[attr-defined]
    assert model.state_dict()["head.output.bias"][ours.ids(["warm"])[0]] == bias
    done("train", "e.yaml", "--out", "more")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"model": {"encoder": {"hidden_size": 7}}},
            "Set model.inputs.embedding_size: 6, and under model.encoder: cell: lstm, hidden_size: 6, num_layers: at ",
        ),
        ({"model": {"encoder": {"bidirectional": True}}}, "other shapes than this model's"),
        ({"model": {"inputs": {"embedding_size": "one_hot"}}}, "have a table of vectors can begin with another one's"),
        ({"model": {"encoder": {"num_layers": 3}}}, "num_layers: at most 2"),
        ({"training": {"init_layers": 3}}, "training.init_layers: is 3, and this model has 2 recurrent layers"),
        (
            {"model": {"inputs": {"embedding_size": 7}}, "training": {"init_layers": 0}},
            "set model.inputs.embedding_size: 6",
        ),
        ({"training": {"init_from": None, "init_layers": 0}}, "has no effect without init_from"),
        ({"training": {"init_from": "nowhere"}}, "nowhere: no such folder"),
        ({"data": {"train": "other.csv"}}, "knows none of"),
        ({"training": {"rate_decay": 2.0, "optimizer": "nt_asgd"}}, "nt_asgd has one rate for all weights"),
        ({"training": {"init_from": None, "rate_decay": 2.0}}, "c.yaml:"),
        ({"training": {"init_from": None, "gradual_unfreezing": True}}, "has no effect without init_from"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(begun: Path, change: Mapping[str, Any], sentence: str) -> None:
    write_csv(Path("other.csv"), [(f"{'xyz'[k % 3] * (k + 1)}", "ab"[k % 2]) for k in range(40)])
    write("c.yaml", CLASSIFIER, change)
    assert sentence in refused("train", "c.yaml", "--out", "run")
    assert not Path("run").exists()


class Words:
    """A package's task: it has a vocabulary, and no option `tokenizer`."""

    def __init__(self, *words: str) -> None:
        self.vocabulary = VocabularyPlan().build(dict.fromkeys(words, 9))


def run_of(task: Words, **encoder: Any) -> Any:
    """A run of a package's language model."""
    options = {"cell": "lstm", "hidden_size": 6, "num_layers": 1, **encoder}
    model = language_model(len(task.vocabulary), embedding_size=6, **options)
    tree = {"task": {"name": "package"}, "model": {"inputs": {"name": "tokens"}, "encoder": {"name": "awd", **options}}}
    return SimpleNamespace(
        folder=SimpleNamespace(path="lm"), model=model, task=task, settings=SimpleNamespace(tree=tree)
    )


def test_the_task_of_a_package_needs_no_tokenizer_option() -> None:
    ours, theirs = Words("fine", "warm"), run_of(Words("f", "i", "n", "e"))
    with pytest.raises(
        ConfigError, match=r"lm: knows none of the 2 tokens, such as 'fine', 'warm'; .* such as 'e', 'f', 'i'\."
    ):
        load_pretrained(theirs, run_of(ours).model, ours)  # type: ignore[arg-type]


def test_what_to_set_is_said_from_the_model_and_not_from_options_that_a_package_may_lack() -> None:
    ours = Words("fine", "warm")
    with pytest.raises(ConfigError, match=r"embedding_size: 6, .* hidden_size: 6, num_layers: at most 1"):
        load_pretrained(run_of(ours), run_of(ours, num_layers=2, hidden_size=7).model, ours)  # type: ignore[arg-type]
    source = run_of(ours)
    source.settings.tree["model"]["encoder"] = {"name": "package", "cell": "lstm"}
    with pytest.raises(ConfigError, match=r"its encoder, package, has other layers than this model's"):
        load_pretrained(source, run_of(ours, num_layers=2, hidden_size=7).model, ours)  # type: ignore[arg-type]


def test_a_classifier_is_no_language_model(begun: Path) -> None:
    done("train", "c.yaml", "--out", "first")
    write("d.yaml", CLASSIFIER, {"training": {"init_from": "first"}})
    assert "is a run of task classification, expected a model that tells the next token" in refused("check", "d.yaml")


def test_a_tagger_begins_with_a_language_model_where_it_reads_words_alone(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"the\tO\n{w}\tQ\nfilm\tO\n{k}\tO\n\n" for k in range(20) for w in ("fine", "dull")]
    Path("t.conll").write_text("".join(rows))
    tagger = {
        "task": {"name": "tagging", "tokens": "word", "tags": "tag"},
        "data": {"train": "t.conll", "columns": ["word", "tag"]},
        "model": {
            "inputs": {"embedding_size": 6, "characters": "none"},
            "encoder": {"hidden_size": 6, "num_layers": 1, "bidirectional": False},
        },
        "training": {"epochs": 2, "init_from": "lm", "gradual_unfreezing": True},
    }
    write("t.yaml", tagger)
    trainer, source = learner_of("t.yaml", monkeypatch), api.open_run(Path("lm"))
    expected = source.model.state_dict()["encoder.recurrents.0.weight_hh_l0"]
    torch.testing.assert_close(trainer.model.state_dict()["encoder.recurrent.weight_hh_l0"], expected, rtol=0, atol=0)
    done("train", "t.yaml", "--out", "tags")
    write("t.yaml", tagger, {"model": {"inputs": {"characters": "lstm"}}})
    assert "of a tagger, inputs: characters: none" in refused("check", "t.yaml")
