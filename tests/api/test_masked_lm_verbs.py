"""The verbs on a masked language model: from a text to filled places; the same bits after a stop; a time budget."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from api.api_room import Listening, done, kept_of, log_of, refused
from api.test_resume import Stopper
from recurra import api
from recurra.api import training_run
from recurra.api.finetuning import load_pretrained, load_published
from recurra.api.folder import open_run
from recurra.api.prepare import prepare
from recurra.api.schema import read_settings
from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import read
from recurra.service import Limits, open_runs
from service.service_room import Asked

SMALL = {
    "inputs": {"name": "word_pieces", "embedding_size": 16, "max_positions": 32},
    "encoder": {"name": "pretrained", "hidden_size": 16, "num_layers": 1, "num_heads": 2, "pooler": False},
}


def text(number: int = 60) -> str:
    """Lines in which a colour follows from the thing."""
    rng = np.random.default_rng(3)
    things = [("grass", "green"), ("snow", "white"), ("coal", "black")]
    lines = []
    for n in range(number):
        thing, colour = things[rng.integers(3)]
        lines.append(f"the {thing} is {colour}.\n" + "\n" * (n % 7 == 6))
    return "".join(lines)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with t.txt, c.yaml and a finished run under the name `run`."""
    folder = tmp_path_factory.mktemp("mlm")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("t.txt").write_text(text())
        config = yaml.safe_load(api.init("masked_lm", "t.txt"))
        config["model"] |= SMALL
        config["task"] |= {"max_length": 32, "tokenizer": {"name": "wordpiece", "vocab_size": 80}}
        config["training"] |= {"epochs": 3, "batch_rows": 2, "accumulate": 2}
        Path("c.yaml").write_text(yaml.safe_dump(config))
        done("train", "c.yaml", "--out", "run")
    return folder


@pytest.fixture
def here(learned: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(learned)
    return learned


def test_init_states_the_vocabulary_and_what_is_packed(here: Path) -> None:
    said = done("init", "masked_lm", "t.txt")
    assert "document: file, as its lines are one text." in said.err
    tree = yaml.safe_load(said.out)
    assert tree["task"]["tokenizer"] == {"name": "wordpiece", "vocab_size": 4000, "lowercase": True}
    assert "about 240 words" in said.out


def test_a_report_has_the_scores_beside_those_of_counting(here: Path) -> None:
    scores = json.loads((here / "run" / "scores.json").read_text())
    assert [one["name"] for one in scores] == ["perplexity", "log_loss", "accuracy"]
    assert "unigram" in (here / "run" / "report.html").read_text()
    assert "at most 4 rows and 8,192 tokens" in done("train", "c.yaml", "--set", "training.epochs=1").err


def test_predict_fills_and_says_where_there_is_nothing_to_fill(here: Path) -> None:
    said = done("predict", "run", "the snow is [MASK].", "the end", "--json", "--n-best", "3")
    first, other = (json.loads(line) for line in said.out.splitlines())
    assert len(first["masks"]) == 1
    assert len(first["masks"][0]) == 3
    assert first["output"].startswith("the snow is ")
    assert first["score"] == first["masks"][0][0]["probability"]
    assert other["masks"] == []
    assert other["note"] == "no [MASK] in the text"
    assert "1 of 2 texts has no [MASK]" in said.err


def test_a_run_has_texts_to_try_it_with(here: Path) -> None:
    texts = json.loads((here / "run" / "examples.json").read_text())["texts"]
    assert texts
    assert all(one.count("[MASK]") == 1 for one in texts)
    assert done("predict", "run", *texts, "--json").err == ""


def test_a_person_reads_the_best_pieces_below_the_text(here: Path) -> None:
    lines = done("predict", "run", "the snow is [MASK].").out.splitlines()
    assert lines[0].startswith("the snow is ")
    assert lines[1].startswith("  1. ")
    assert lines[1].count("%") == 5


def test_a_folder_of_texts_is_read_file_by_file(here: Path) -> None:
    Path("texts").mkdir()
    Path("texts/b.txt").write_text("the snow is white.\n\nthe end\n")
    Path("texts/a.txt").write_text("the grass is green.\n")
    Path("texts/notes.md").write_text("nothing\n")
    said = done("init", "masked_lm", "texts")
    assert "document: file" in said.err
    rows = list(read(Path("texts"), format="auto"))
    assert [(row.fields["text"], str(row.origin)) for row in rows] == [
        ("the grass is green.", "texts/a.txt:1"),
        ("the snow is white.", "texts/b.txt:1"),
        ("", "texts/b.txt:2"),
        ("the end", "texts/b.txt:3"),
    ]


def test_texts_have_vectors(here: Path) -> None:
    done("encode", "run", "the snow is white.", "the grass", "--output", "v.npy")
    assert np.load("v.npy").shape == (2, 16)


def test_evaluate_scores_other_texts_and_always_hides_the_same(here: Path) -> None:
    Path("more.txt").write_text(text(30))
    first, again = (done("evaluate", "run", "more.txt", "--json").json for _ in range(2))
    assert first["scores"] == again["scores"]


@pytest.mark.parametrize("stop", [2, 7])
def test_a_run_that_is_stopped_and_resumed_hides_the_same_and_ends_with_the_same_bits(stop: int, here: Path) -> None:
    name = f"cut-{stop}"
    assert api.train("c.yaml", out=name, watch=Stopper(stop)).stopped_by == signal.SIGTERM
    assert api.resume(name).report is not None
    assert kept_of(name) == kept_of("run")


def test_a_time_budget_ends_a_run_and_the_rate_follows_the_time(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by 10 s each time it is looked at, once a step: 100 s are ten steps and the last."""
    now = iter(range(0, 10**6, 10))
    monkeypatch.setattr(training_run, "time", SimpleNamespace(perf_counter=lambda: next(now)))
    monkeypatch.setattr(training_run, "LOG_EVERY", 1)
    config = yaml.safe_load(Path("c.yaml").read_text())
    config["training"] |= {"hours": 100 / 3600, "accumulate": 1, "epochs": 50, "batch_rows": 1, "batch_tokens": 40}
    config["training"] |= {"optimizer": {"name": "adamw", "lr": 1.0}, "schedule": {"name": "linear", "warmup": 0.1}}
    config["data"] = {"train": "t.txt", "dev": "t.txt"}
    heard = Listening()
    ended = api.train(config, out="timed", watch=heard)
    assert ended.report is not None
    assert heard.steps == list(range(1, 12))
    rates = [line["lr"] for line in log_of("timed") if line["event"] == "step"]
    # t = 1 + 10,000 of the share that is spent; up over the first 1,000, then straight down over 9,000.
    expected = [1 / 1000] + [1 - (1000 * k - 1000) / 9000 for k in range(1, 10)] + [1 / 9000]
    np.testing.assert_allclose(rates, expected, rtol=1e-9)
    assert heard.epochs == [1]


def test_epochs_that_end_before_the_time_does_are_said(here: Path) -> None:
    said = done("train", "c.yaml", "--set", "training.hours=5", "--set", "training.epochs=1")
    assert "training.hours: all 1 epochs were done after" in said.err
    assert "set training.epochs higher" in said.err


def test_a_budget_may_be_raised_when_a_run_is_resumed(here: Path) -> None:
    done("train", "c.yaml", "--out", "longer", "--set", "training.hours=5", "--set", "training.epochs=1")
    said = done("train", "--resume", "longer", "--set", "training.hours=6", "--set", "training.epochs=2")
    assert "training.hours: was 5.0, is 6.0 now" in said.err


def test_a_tokenizer_without_marks_is_refused_with_its_line(here: Path) -> None:
    said = refused("train", "c.yaml", "--set", "task.tokenizer=words")
    assert "tokenizer: 'words' has no [MASK]; expected wordpiece" in said


# -- what a run is good for afterwards ---------------------------------------------------------------------------------


def weights(path: Path | str) -> dict[str, torch.Tensor]:
    return load_file(Path(path) / "model.safetensors")


def begun(config: dict[str, Any]) -> tuple[Any, Any, str]:
    """A task and a model as training begins with them, and what was said."""
    settings = read_settings(config)
    heard = Listening()
    prepared = prepare(settings, heard)
    model = settings.model(prepared.task.model_sizes)
    run = settings.training.init_from
    said = load_published(model) if run is None else load_pretrained(open_run(Path(run)), model, prepared.task)
    return prepared.task, model, said


def labelled() -> dict[str, str]:
    Path("labels.csv").write_text("text,label\n" + "the snow is white.,a\nthe coal is black.,b\n" * 8)
    return {"train": "labels.csv", "dev": "labels.csv"}


def test_a_classifier_begins_with_a_run_by_one_word(here: Path) -> None:
    config = {"task": "classification", "data": labelled(), "training": {"init_from": "run"}}
    task, model, said = begun(config)
    assert said == "training.init_from: run: inputs and 1 layers have their weights from there."
    theirs = weights("run")
    for name, ours in model.named_parameters():
        if name.startswith(("inputs.", "encoder.blocks.")):
            assert torch.equal(ours, theirs[name]), name
    assert task.pieces.to_json() == open_run(Path("run")).task.pieces.to_json()
    assert task.reader.max_length == 32
    done("check", write({**config, "model": {"head": {"pooling": "mean"}}}))


def test_a_tagger_begins_with_a_run_by_one_word(here: Path) -> None:
    Path("t.conll").write_text("the O\nsnow X\nis O\n\nthe O\ncoal X\n\n" * 6)
    config = {
        "task": "tagging",
        "data": {"train": "t.conll", "dev": "t.conll", "columns": ["token", "tag"]},
        "model": {"head": {"output": "softmax"}},
        "training": {"init_from": "run"},
    }
    _, model, said = begun(config)
    assert "inputs and 1 layers have their weights from there." in said
    assert torch.equal(model.inputs.words.weight, weights("run")["inputs.words.weight"])


def test_another_text_is_learned_from_a_run_with_its_pieces_and_its_head(here: Path) -> None:
    Path("other.txt").write_text("the end of the snow.\n" * 40)
    config = {"task": "masked_lm", "data": {"train": "other.txt"}, "training": {"init_from": "run"}}
    _, model, said = begun(config)
    assert said.endswith("1 layers have their weights from there, its head among them.")
    theirs = weights("run")
    assert all(torch.equal(ours, theirs[name]) for name, ours in model.named_parameters())


def test_other_pieces_or_shapes_than_those_of_the_run_are_refused(here: Path) -> None:
    config: dict[str, Any] = {
        "task": {"name": "masked_lm", "tokenizer": {"name": "wordpiece", "vocab_size": 60}},
        "data": {"train": "t.txt"}, "training": {"init_from": "run"},
    }  # fmt: skip
    with pytest.raises(ConfigError, match="its pieces are others than those of this task"):
        begun(config)
    config = {
        "task": "classification", "data": labelled(), "training": {"init_from": "run"},
        "model": {"encoder": {"feed_forward_size": 20}},
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"other shapes than this model's; leave model\.inputs"):
        begun(config)


def test_a_run_becomes_a_folder_of_a_masked_bert_and_a_folder_a_run(here: Path) -> None:
    said = done("export", "run", "--transformers", "hf").out
    assert "of a BertForMaskedLM" in said
    found, ours = weights("hf"), weights("run")
    assert torch.equal(found["cls.predictions.transform.dense.weight"], ours["head.transform.weight"])
    assert torch.equal(found["cls.predictions.transform.LayerNorm.bias"], ours["head.norm.bias"])
    assert torch.equal(found["cls.predictions.bias"], ours["head.bias"])
    assert json.loads(Path("hf/config.json").read_text())["architectures"] == ["BertForMaskedLM"]
    encoder = {"name": "pretrained", "folder": "hf"}
    config = {"task": "masked_lm", "data": {"train": "t.txt"}, "model": {"encoder": encoder}}
    _, model, told = begun(config)
    assert "5 tensors are the head's." in told
    assert all(torch.equal(mine, ours[name]) for name, mine in model.named_parameters())


def test_a_folder_with_a_torn_head_or_an_untied_table_is_refused(here: Path) -> None:
    if not Path("hf2").exists():
        done("export", "run", "--transformers", "hf2")
    config = {
        "task": "masked_lm", "data": {"train": "t.txt"},
        "model": {"encoder": {"name": "pretrained", "folder": "hf2"}},
    }  # fmt: skip
    whole = weights("hf2")
    lacking = {name: one for name, one in whole.items() if name != "cls.predictions.transform.dense.bias"}
    save_file(lacking, "hf2/model.safetensors")
    with pytest.raises(DataError, match=r"lacks cls\.predictions\.transform\.dense\.bias"):
        begun(config)
    save_file(whole | {"cls.predictions.decoder.weight": whole["bert.embeddings.word_embeddings.weight"] + 1},
              "hf2/model.safetensors")  # fmt: skip
    with pytest.raises(DataError, match=r"decoder\.weight differs from the table of the inputs"):
        begun(config)
    save_file({n: t for n, t in whole.items() if "predictions" not in n}, "hf2/model.safetensors")
    assert "no head for hidden pieces, which begins as it is drawn." in begun(config)[2]


def test_a_file_of_onnx_says_what_the_model_says_at_every_step(here: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx (pip install recurra[onnx])")
    found = done("export", "run", "--onnx", "m.onnx", "--json").json
    assert max(found["m.onnx"].values()) < 1e-4


def test_inspect_shows_what_each_head_looked_at(here: Path) -> None:
    found = api.inspect("run", "the [MASK] is white.")
    assert found.tokens == ("[CLS]", "the", "[MASK]", "is", "white", ".", "[SEP]")
    titles = [one.title for one in found.maps]
    assert any("Attention of layer 1, head 1" in title for title in titles)
    assert any("Attention of layer 1, head 2" in title for title in titles)
    assert "for the first [MASK]" in found.meaning
    assert abs(found.saliency.gap) < 0.1
    with pytest.raises(DataError, match=r"the text has no \[MASK\]"):
        api.inspect("run", "the snow")


def write(config: dict[str, Any]) -> str:
    Path("config.yaml").write_text(yaml.safe_dump(config))
    return "config.yaml"


def test_data_on_the_disk_gives_the_same_bits(here: Path) -> None:
    done("train", "c.yaml", "--out", "disk", "--set", "data.store=disk", "--set", "training.epochs=1")
    done("train", "c.yaml", "--out", "memory", "--set", "training.epochs=1")
    assert kept_of("disk") == kept_of("memory")


def test_the_service_fills_places_and_names_a_model_by_what_it_answers(here: Path) -> None:
    served = Asked(open_runs([here / "run"], device="cpu"), Limits(), None)
    (one,) = served.get("/models").json()["models"]
    assert one["answer"] == "fill"
    assert all("[MASK]" in text for text in one["examples"])
    said = served.post("/predict", {"texts": ["the snow is [MASK].", "the end"], "options": {"n_best": 3}})
    assert said.status_code == 200
    first, other = said.json()["predictions"]
    assert [len(guesses) for guesses in first["masks"]] == [3]
    assert other["note"] == "no [MASK] in the text"
    assert served.post("/predict", {"texts": ["[MASK]"], "options": {"beam": 2}}).status_code == 422


# -- next-sentence prediction ------------------------------------------------------------------------------------------


def paired() -> dict[str, Any]:
    """A config whose sequences are pairs: documents of three rows."""
    Path("p.txt").write_text("".join(f"the {d} is {d}.\nall {d} are {d}.\nso is the {d}.\n\n" for d in "abcdefgh" * 3))
    config: dict[str, Any] = yaml.safe_load(Path("c.yaml").read_text())
    config["task"]["next_sentence"] = True
    config["data"] = {"train": "p.txt", "dev": "p.txt"}
    config["model"]["encoder"].pop("pooler")
    config["training"] |= {"epochs": 2, "report": "scores"}
    return config


def with_pairs() -> None:
    """The run `pairs`."""
    if not Path("pairs").exists():
        done("train", write(paired()), "--out", "pairs")


def test_pairs_are_told_and_a_run_that_is_resumed_draws_the_same_and_has_the_same_bits(here: Path) -> None:
    with_pairs()
    scores = {one["name"]: one["value"] for one in json.loads(Path("pairs/scores.json").read_text())}
    assert {"perplexity", "pair_log_loss", "pair_accuracy"} <= scores.keys()
    assert weights("pairs")["head.pair.weight"].shape == (2, 16)
    assert weights("pairs")["encoder.pooler.weight"].shape == (16, 16)  # next_sentence implies it
    config = write(paired())
    assert api.train(config, out="pairs-cut", watch=Stopper(5)).stopped_by == signal.SIGTERM
    assert api.resume("pairs-cut").report is not None
    assert kept_of("pairs-cut") == kept_of("pairs")
    done("train", config, "--out", "pairs-disk", "--set", "data.store=disk")
    assert kept_of("pairs-disk") == kept_of("pairs")


def test_the_head_of_pairs_goes_into_a_folder_and_comes_back_with_the_pooler(here: Path) -> None:
    with_pairs()
    assert "of a BertForPreTraining" in done("export", "pairs", "--transformers", "pairs-hf").out
    ours, theirs = weights("pairs"), weights("pairs-hf")
    assert torch.equal(theirs["cls.seq_relationship.weight"], ours["head.pair.weight"])
    assert torch.equal(theirs["cls.seq_relationship.bias"], ours["head.pair.bias"])
    assert torch.equal(theirs["bert.pooler.dense.weight"], ours["encoder.pooler.weight"])
    config = paired()
    config["model"] = {"encoder": {"name": "pretrained", "folder": "pairs-hf"}}
    config["task"].pop("tokenizer")
    _, model, said = begun(config)
    assert "7 tensors are the head's." in said
    assert all(torch.equal(mine, ours[name]) for name, mine in model.named_parameters())
    bare = {name: tensor for name, tensor in theirs.items() if "seq_relationship" not in name}
    save_file(bare, "pairs-hf/model.safetensors")
    assert "5 tensors are the head's. It has no head for pairs, which begins as it is drawn." in begun(config)[2]


def test_a_classifier_begins_with_the_pooler_that_pairs_have_taught(here: Path) -> None:
    with_pairs()
    config = {"task": "classification", "data": labelled(), "training": {"init_from": "pairs"}}
    _, model, said = begun(config)
    assert said.endswith("1 layers have their weights from there, and the pooler.")
    assert torch.equal(model.encoder.pooler.weight, weights("pairs")["encoder.pooler.weight"])
    plain = {"task": "masked_lm", "data": {"train": "t.txt"}, "training": {"init_from": "pairs"}}
    assert begun(plain)[2].endswith("its head among them.")


def test_a_file_of_onnx_tells_pairs_too(here: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx (pip install recurra[onnx])")
    with_pairs()
    found = done("export", "pairs", "--onnx", "pairs.onnx", "--json").json
    assert max(found["pairs.onnx"].values()) < 1e-4
