"""The heads that tell hidden pieces of DistilBERT and of RoBERTa: read from a folder, learned, and written back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from api.api_room import Listening, done
from api.test_finetuning import write
from oracles import bert
from published_room import CONFIG, WORDS, Tensors, folder, tensors
from recurra import api
from recurra.base.contracts import Origin, Record
from recurra.data.tokenizers import read_pieces

LINES = [f"the {thing} is {colour}." for thing, colour in (("snow", "white"), ("coal", "black")) for _ in range(30)]
DISTIL = {
    "attention.self.query": "attention.q_lin", "attention.self.key": "attention.k_lin", "attention.self.value":
    "attention.v_lin", "attention.output.dense": "attention.out_lin", "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1", "output.dense": "ffn.lin2", "output.LayerNorm": "output_layer_norm",
}  # fmt: skip
HEADS = {
    "distilbert": ("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
    "roberta": ("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
}


def head_of(family: str, pieces: int) -> Tensors:
    """By the names of `transformers`."""
    random, d = np.random.default_rng(9), CONFIG["hidden_size"]
    dense, norm, bias = HEADS[family]
    shapes = {f"{dense}.weight": (d, d), f"{dense}.bias": (d,), f"{norm}.weight": (d,), f"{norm}.bias": (d,)}
    return {name: random.normal(0, 0.5, shape).astype("f4") for name, shape in {**shapes, bias: (pieces,)}.items()}


def distilbert(path: Path) -> Path:
    weights = {n: t for n, t in tensors().items() if "token_type" not in n and "pooler" not in n}
    named = {f"distilbert.{_distil(name)}": tensor for name, tensor in weights.items()}
    config = {"model_type": "distilbert", "vocab_size": len(WORDS), "dim": 8, "n_layers": 2, "n_heads": 2,
              "hidden_dim": 12, "activation": "gelu", "max_position_embeddings": 24}  # fmt: skip
    return folder(path, named | head_of("distilbert", len(WORDS)), config=config)


def _distil(name: str) -> str:
    for theirs, ours in DISTIL.items():
        name = name.replace(f".{theirs}.", f".{ours}.")
    return name.replace("encoder.layer", "transformer.layer")


def roberta(path: Path) -> Path:
    """With pieces of bytes, <mask> behind all others, and positions from 2."""
    path.mkdir()
    library = Tokenizer(models.BPE())
    library.pre_tokenizer, library.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=marks, initial_alphabet=alphabet, show_progress=False)
    library.train_from_iterator(LINES, trainer)
    library.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    random, weights, number = np.random.default_rng(4), tensors(), library.get_vocab_size()
    weights["embeddings.word_embeddings.weight"] = random.normal(0, 0.5, (number, 8)).astype("f4")
    weights["embeddings.position_embeddings.weight"] = random.normal(0, 0.5, (26, 8)).astype("f4")
    weights["embeddings.token_type_embeddings.weight"] = weights["embeddings.token_type_embeddings.weight"][:1]
    named = {f"roberta.{name}": tensor for name, tensor in weights.items() if "pooler" not in name}
    config = {**CONFIG, "model_type": "roberta", "vocab_size": number, "max_position_embeddings": 26,
              "type_vocab_size": 1, "pad_token_id": 1, "layer_norm_eps": 1e-5}  # fmt: skip
    made = folder(path, named | head_of("roberta", number), config=config)
    library.save(str(made / "tokenizer.json"))
    return made


MAKE = {"distilbert": distilbert, "roberta": roberta}
MASK = {"distilbert": "[MASK]", "roberta": "<mask>"}


def trained(family: str, rate: float) -> Any:
    """A run that began with such a folder, and the folder."""
    where = MAKE[family](Path(family))
    Path("t.txt").write_text("\n".join(LINES) + "\n")
    write("c.yaml", {
        "task": {"name": "masked_lm"}, "data": {"train": "t.txt"},
        "model": {"encoder": {"name": "pretrained", "folder": str(where)}},
        "training": {"epochs": 1, "batch_rows": 4, "optimizer": {"name": "adamw", "lr": rate}, "report": "scores"},
    })  # fmt: skip
    heard = Listening()
    api.train("c.yaml", out="run", watch=heard)
    assert any("5 tensors are the head's." in note for note in heard.notes)
    return api.open_run(Path("run")), where


def log_probs(family: str, w: dict[str, NDArray[np.float64]], ids: list[int]) -> NDArray[np.float64]:
    """(L, V) by the definition, in float64, of the tensors of a folder."""
    prefix = f"{family}."
    plain = {name.removeprefix(prefix): tensor for name, tensor in w.items()}
    for theirs, ours in DISTIL.items():
        plain = {n.replace(f".{ours}.", f".{theirs}."): t for n, t in plain.items()}
    plain = {n.replace("transformer.layer", "encoder.layer"): t for n, t in plain.items()}
    if family == "roberta":
        plain["embeddings.position_embeddings.weight"] = plain["embeddings.position_embeddings.weight"][2:]
    else:
        plain["embeddings.token_type_embeddings.weight"] = np.zeros((1, 8))
    eps = 1e-5 if family == "roberta" else 1e-12
    h = bert.run(plain, ids, [0] * len(ids), layers=2, heads=2, eps=eps)
    dense, norm, bias = HEADS[family]
    h = h @ w[f"{dense}.weight"].T + w[f"{dense}.bias"]
    h = h * 0.5 * (1 + np.vectorize(math.erf)(h / math.sqrt(2)))
    h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + eps)
    logits = (h * w[f"{norm}.weight"] + w[f"{norm}.bias"]) @ plain["embeddings.word_embeddings.weight"].T + w[bias]
    said: NDArray[np.float64] = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return said


def doubles(path: Path) -> dict[str, NDArray[np.float64]]:
    return {name: tensor.astype(np.float64) for name, tensor in load_file(path / "model.safetensors").items()}


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("family", ["distilbert", "roberta"])
def test_a_head_begins_with_the_folders_and_goes_back_into_one_that_says_the_same(there: Path, family: str) -> None:
    run, where = trained(family, 0.01)
    word = {"distilbert": "DistilBert", "roberta": "Roberta"}[family]
    assert f"of a {word}ForMaskedLM" in done("export", "run", "--transformers", "back").out
    before, after = doubles(where), doubles(Path("back"))
    assert {name: tensor.shape for name, tensor in after.items()} == {n: t.shape for n, t in before.items()}
    assert not np.array_equal(after[f"{HEADS[family][0]}.weight"], before[f"{HEADS[family][0]}.weight"])
    config = json.loads(Path("back/config.json").read_text())
    assert config["architectures"] == [f"{word}ForMaskedLM"]
    assert config["max_position_embeddings"] == (26 if family == "roberta" else 24)
    example = run.task.example(Record({"text": "the [MASK] is white."}, Origin("x", 1)), gold=False)
    batch = run.task.collate([example], (0,))
    ids = run.model.inputs.pieces(batch.inputs["tokens"])[:, 0].tolist()
    at = int(batch.inputs["places"][0, 0])
    expected = log_probs(family, after, ids)[at]
    with torch.no_grad():
        said = run.model(batch).outputs
        ours = torch.log_softmax(said["hidden"][0, 0] @ said["output.weight"].T + said["output.bias"], 0)
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)  # float32 beside float64
    again = read_pieces(Path("back"))
    assert again.tokenize("the snow is white.") == run.task.pieces.tokenize("the snow is white.")


def test_robertas_mask_takes_the_space_before_it(there: Path) -> None:
    """As `<mask>` has lstrip in its tokenizer.json: otherwise a piece that is a space alone stands before each."""
    run, _ = trained("roberta", 1e-3)
    for text in ("the [MASK] is [MASK].", "the <mask> is <mask>."):
        example = run.task.example(Record({"text": text}, Origin("x", 1)), gold=False)
        assert example.encoded.tokens == ("<s>", "the", "<mask>", "Ġis", "<mask>", ".", "</s>")
    done("export", "run", "--transformers", "back")
    added = json.loads(Path("back/tokenizer.json").read_text())["added_tokens"]
    assert {one["content"]: one["lstrip"] for one in added if one["lstrip"]} == {"<mask>": True}
    answer = done("predict", "run", "--json", "the [MASK] is white.").json
    assert run.task._filled("a [MASK] man", ["ĠnaÃ¯ve"]) == "a naïve man"  # pieces are bytes in disguise
    assert answer["output"].startswith("the ")
    assert "Ġ" not in answer["output"]
