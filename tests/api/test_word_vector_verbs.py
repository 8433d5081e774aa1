"""The verbs on word vectors: from a text to vectors, to a file, to another model; the same bits after a stop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from api.api_room import done, recurra, refused
from recurra import api
from recurra.data.word_vectors import read_vectors
from recurra.engine import cpu

pytestmark = pytest.mark.skipif(not cpu.available(), reason="needs the native engine")
FEW = {"task": {"name": "word_vectors"}, "data": {"train": "few.txt", "dev": "few.txt"}}
TOPICS = ("king queen crown throne palace royal", "bread butter cheese milk oven flour")


def text(number: int = 160) -> str:
    """Lines of eight words, each of one topic, with a word of both."""
    rng = np.random.default_rng(3)
    return "".join(f"the {' '.join(rng.choice(TOPICS[n % 2].split(), 7))}\n" for n in range(number))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with t.txt, c.yaml and a finished run under the name `run`."""
    folder = tmp_path_factory.mktemp("words")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("t.txt").write_text(text())
        config = yaml.safe_load(api.init("word_vectors", "t.txt"))
        config["model"]["vector_size"] = 12
        config["task"] |= {"sample": 0.0, "window": 3}
        config["training"] |= {"epochs": 12, "batch_tokens": 100, "optimizer": {"name": "sgd", "lr": 0.1}}
        Path("c.yaml").write_text(yaml.safe_dump(config))
        done("train", "c.yaml", "--out", "run")
    return folder


@pytest.fixture
def here(learned: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(learned)
    return learned


def test_a_text_becomes_vectors_by_topic(here: Path) -> None:
    near = {row["word"] for row in done("similar", "run", "king", "--top", "5", "--json").json}
    assert near == set(TOPICS[0].split()) - {"king"}
    assert done("analogy", "run", "king", "queen", "bread", "--top", "1").out
    assert "Map of frequent words" in (here / "run" / "report.html").read_text()
    assert "Neighbours of frequent words" in (here / "run" / "report.html").read_text()


def test_the_next_command_asks_for_neighbours(here: Path) -> None:
    assert "recurra similar " in done("train", "c.yaml", "--set", "training.epochs=1").err


@pytest.mark.parametrize("name", ["v.txt", "v.bin", "v.vec", "v.safetensors"])
def test_vectors_go_to_a_file_and_come_back(here: Path, name: str) -> None:
    assert done("export", "run", "--vectors", name).out == f"{name}: written; 13 words.\n"
    assert np.array_equal(read_vectors(name).matrix, api.vectors("run").matrix)


def test_a_file_of_another_kind_is_refused(here: Path) -> None:
    assert "expected a name that ends with one of .txt, .vec" in refused("export", "run", "--vectors", "v.csv")


def test_a_run_is_where_other_models_begin(here: Path) -> None:
    Path("d.csv").write_text(
        "text,label\n" + "".join(f"{line},{n % 2}\n" for n, line in enumerate(text(40).splitlines()))
    )
    tree = {
        "task": {"name": "classification"},
        "data": {"train": "d.csv"},
        "model": {"inputs": {"embedding_size": 12}},
        "training": {"init_vectors": "run"},
    }
    Path("k.yaml").write_text(yaml.safe_dump(tree))
    said = done("check", "k.yaml")
    assert "13 of 13 words (100.0%) have their vector from there" in said.out + said.err


def test_a_run_of_fewer_epochs_goes_on_to_the_same_bits(here: Path) -> None:
    """With a constant rate: that of a schedule depends on the number of epochs."""
    constant = ["--set", "training.schedule=constant", "--set", "training.select=log_loss"]
    done("train", "c.yaml", "--out", "whole", *constant, "--set", "training.epochs=4")
    done("train", "c.yaml", "--out", "part", *constant, "--set", "training.epochs=2")
    done("train", "--resume", "part", "--set", "training.epochs=4")
    assert np.array_equal(api.vectors("whole").matrix, api.vectors("part").matrix)


@pytest.mark.parametrize("method", ["glove", "subwords"])
def test_other_methods_go_on_to_the_same_bits_and_to_a_file(here: Path, method: str) -> None:
    options = [f"task.method={method}", "training.schedule=constant", "training.optimizer.lr=0.05"]
    options += ["task.buckets=50"] if method == "subwords" else ["task.x_max=10", "task.sample=0.001"]
    last = ["training.select=" + ("pair_accuracy" if method == "glove" else "log_loss")]
    given = [word for option in (*options, *last) for word in ("--set", option)]
    done("train", "c.yaml", "--out", f"{method}-whole", *given, "--set", "training.epochs=4")
    done("train", "c.yaml", "--out", f"{method}-part", *given, "--set", "training.epochs=2")
    done("train", "--resume", f"{method}-part", "--set", "training.epochs=4")
    whole, part = (load_file(f"{method}-{name}/model.safetensors") for name in ("whole", "part"))
    assert len(whole) == (4 if method == "glove" else 2)  # AdaGrad's sums among them
    assert all(torch.equal(whole[name], part[name]) for name in whole)
    done("export", f"{method}-whole", "--vectors", "w.bin")
    found = read_vectors("w.bin")
    assert np.array_equal(found.matrix, api.vectors(f"{method}-whole").matrix)
    assert found.makes_unseen is (method == "subwords")


def test_what_cannot_be_learned_ends_in_a_sentence(here: Path) -> None:
    Path("few.txt").write_text("a b c\nd e f\n" * 2)
    Path("f.yaml").write_text(yaml.safe_dump(FEW))
    assert "appears at least 5 times" in refused("check", "f.yaml")
    said = recurra("train", "c.yaml", "--out", "high", "--set", "training.optimizer.lr=1e30")
    assert said.code == 1
    assert "Lower training.optimizer.lr, now 1e+30" in said.err


def test_several_processes_are_refused(here: Path) -> None:
    assert "--ranks: this task learns with the threads of one process" in refused("train", "c.yaml", "--ranks", "2")
    assert "--ranks: this task learns" in refused("train", "--resume", "run", "--ranks", "2")
