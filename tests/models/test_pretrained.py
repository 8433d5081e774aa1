"""Published weights: BERT by its definition in NumPy, by every name that files have for its tensors, and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from oracles import bert
from published_room import CONFIG, WORDS, Tensors, folder, tensors
from recurra.api.schema import read_settings
from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError, DataError, ShapeError
from recurra.data.tokenizers import PAIR, read_pieces
from recurra.models import SequenceModel
from recurra.tasks.text import TextEncoder, pad_arrays

TEXTS = ["the good film", "bad!" + PAIR + "was the film filming", "", "naïve 北 x"]


def made(where: Path, **options: Any) -> SequenceModel:
    """The model of a config that names a folder, and nothing else of its encoder; with the folder's weights."""
    encoder = {"name": "pretrained", "folder": str(where), **options}
    tree = {"task": "classification", "data": {"train": "x.csv"}, "model": {"encoder": encoder}}
    model = read_settings(tree).model({**reader(where).sizes, "labels": 2})
    assert isinstance(model, SequenceModel)
    model.said = model.encoder.begin(model.inputs)
    return model.eval()


def reader(where: Path) -> TextEncoder:
    pieces = read_pieces(where)
    return TextEncoder(pieces, pieces.vocabulary, 24, "start")


def batch(where: Path, texts: list[str] = TEXTS) -> Batch:
    tokens, lengths = pad_arrays([reader(where).encode(text)[0].ids for text in texts])
    return Batch({"tokens": tokens}, lengths, {}, tuple(range(len(texts))))


def outputs(where: Path, **options: Any) -> torch.Tensor:
    """(T, N, d) in float64, zero where padded."""
    model = made(where, **options).double()
    with torch.no_grad():
        x, lengths = model.inputs(batch(where))
        return model.encoder(x, lengths, {}).outputs


def test_it_says_what_bert_says_by_its_definition_in_numpy(tmp_path: Path) -> None:
    where = folder(tmp_path / "tiny")
    w = {name: tensor.astype(np.float64) for name, tensor in tensors().items()}
    model, asked = made(where).double(), batch(where)
    with torch.no_grad():
        x, lengths = model.inputs(asked)
        said = model.encoder(x, lengths, {})
    for n, pieces in enumerate(
        [
            ["[CLS]", "the", "good", "film", "[SEP]"],
            ["[CLS]", "bad", "!", "[SEP]", "was", "the", "film", "film", "##ing", "[SEP]"],
            ["[CLS]", "[SEP]"],
            ["[CLS]", "n", "##a", "##i", "##v", "##e", "[UNK]", "x", "[SEP]"],
        ]
    ):
        second = pieces.index("[SEP]") + 1
        ids, segments = [WORDS.index(p) for p in pieces], [int(t >= second) for t in range(len(pieces))]
        expected = bert.run(w, ids, segments, layers=2, heads=2, eps=1e-12)
        assert int(lengths[n]) == len(pieces)
        # Both are float64; only the order of sums differs.
        np.testing.assert_allclose(said.outputs[: len(pieces), n].numpy(), expected, atol=1e-12)
        pooled = np.tanh(expected[0] @ w["pooler.dense.weight"].T + w["pooler.dense.bias"])
        np.testing.assert_allclose(said.summary[n].numpy(), pooled, atol=1e-12)


def _renamed(rename: Callable[[str], str]) -> Tensors:
    return {rename(name): tensor for name, tensor in tensors().items()}


def _legacy(name: str) -> str:
    return f"bert.{name}".replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def test_names_of_old_files_and_heads_change_nothing_and_heads_are_said(tmp_path: Path) -> None:
    plain = outputs(folder(tmp_path / "plain"))
    old = _renamed(_legacy) | {
        "bert.embeddings.position_ids": np.arange(24)[None],
        "cls.predictions.bias": np.zeros(len(WORDS), np.float32),
        "cls.predictions.decoder.weight": tensors()["embeddings.word_embeddings.weight"],
        "cls.predictions.decoder.bias": np.zeros(len(WORDS), np.float32),
        "cls.seq_relationship.weight": np.zeros((2, 8), np.float32),
    }
    where = folder(tmp_path / "old", old)
    assert torch.equal(outputs(where), plain)
    said = made(where).said
    assert "cls.predictions.bias" in said
    assert "1 more" in said
    assert "position_ids" not in said


def test_distilbert_says_what_a_bert_with_these_weights_says_without_segments(tmp_path: Path) -> None:
    flat = tensors()
    flat["embeddings.token_type_embeddings.weight"][:] = 0
    theirs = {
        "attention.self.query": "attention.q_lin", "attention.self.key": "attention.k_lin",
        "attention.self.value": "attention.v_lin", "attention.output.dense": "attention.out_lin",
        "attention.output.LayerNorm": "sa_layer_norm", "intermediate.dense": "ffn.lin1", "output.LayerNorm":
        "output_layer_norm", "output.dense": "ffn.lin2",
    }  # fmt: skip

    def rename(name: str) -> str:
        if not name.startswith("encoder.layer."):
            return f"distilbert.{name}"
        number, part = name.removeprefix("encoder.layer.").split(".", 1)
        stem, end = part.rsplit(".", 1)
        return f"distilbert.transformer.layer.{number}.{theirs[stem]}.{end}"

    weights = {rename(n): t for n, t in flat.items() if "token_type" not in n and "pooler" not in n}
    config = {"model_type": "distilbert", "vocab_size": len(WORDS), "dim": 8, "n_layers": 2, "n_heads": 2,
              "hidden_dim": 12, "activation": "gelu", "max_position_embeddings": 24}  # fmt: skip
    distil = folder(tmp_path / "distil", weights, config=config)
    assert torch.equal(outputs(distil), outputs(folder(tmp_path / "bert", flat)))
    assert made(distil).encoder.pooler is None


def test_robertas_first_piece_has_position_two_and_no_segment_counts(tmp_path: Path) -> None:
    one_segment, shifted = tensors(), tensors()
    one_segment["embeddings.token_type_embeddings.weight"][1] = one_segment["embeddings.token_type_embeddings.weight"][
        0
    ]
    name = "embeddings.position_embeddings.weight"
    shifted[name] = np.concatenate([np.full((2, 8), np.nan, np.float32), shifted[name]])
    shifted["embeddings.token_type_embeddings.weight"] = shifted["embeddings.token_type_embeddings.weight"][:1]
    config = {**CONFIG, "model_type": "roberta", "max_position_embeddings": 26, "type_vocab_size": 1, "pad_token_id": 1}
    theirs = folder(tmp_path / "r", {f"roberta.{n}": t for n, t in shifted.items()}, config=config)
    assert torch.equal(outputs(theirs), outputs(folder(tmp_path / "b", one_segment)))


def test_shards_are_one_file_and_a_missing_one_is_named(tmp_path: Path) -> None:
    where, plain = folder(tmp_path / "shards", {}), outputs(folder(tmp_path / "plain"))
    (where / "model.safetensors").unlink()
    names = sorted(tensors())
    parts = {"model-00001-of-00002.safetensors": names[:20], "model-00002-of-00002.safetensors": names[20:]}
    for file, some in parts.items():
        save_file({name: tensors()[name] for name in some}, where / file)
    index = {"weight_map": {name: file for file, some in parts.items() for name in some}}
    (where / "model.safetensors.index.json").write_text(json.dumps(index))
    assert torch.equal(outputs(where), plain)
    (where / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(DataError, match=r"model-00002-of-00002\.safetensors: is missing"):
        made(where)


def test_a_tensor_that_is_missing_is_named_and_nothing_is_made_up_for_it(tmp_path: Path) -> None:
    weights = tensors()
    del weights["encoder.layer.1.output.dense.bias"]
    with pytest.raises(DataError, match=r"lacks encoder\.layer\.1\.output\.dense\.bias, expected every tensor"):
        made(folder(tmp_path / "tiny", weights))


def test_gamma_is_a_name_of_layer_norm_alone(tmp_path: Path) -> None:
    weights = tensors()
    weights["encoder.layer.1.output.dense.gamma"] = weights.pop("encoder.layer.1.output.dense.weight")
    with pytest.raises(DataError, match=r"lacks encoder\.layer\.1\.output\.dense\.weight"):
        made(folder(tmp_path / "tiny", weights))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"intermediate_size": 16}, r"intermediate\.dense\.weight has the shape \(12, 8\).*\(16, 8\)"),
        ({"vocab_size": len(WORDS) + 1}, r"word_embeddings\.weight has the shape"),
        (
            {"vocab_size": len(WORDS) - 1},
            rf"num_pieces: is {len(WORDS) - 1}, and the vocabulary has {len(WORDS)} pieces",
        ),
        ({"model_type": "gpt2"}, r"config\.json: has model_type 'gpt2', expected one of bert"),
        ({"hidden_act": "mish"}, r"config\.json: has hidden_act 'mish'"),
        ({"position_embedding_type": "relative_key"}, r"position_embedding_type 'relative_key', expected absolute"),
        ({"num_attention_heads": 0}, r"config\.json: num_attention_heads is 0, expected 1 or more"),
        ({"hidden_size": -8}, r"config\.json: hidden_size is -8, expected 1 or more"),
        ({"vocab_size": "many"}, r"config\.json: says no invalid literal"),
        ({"num_attention_heads": 3}, r"num_attention_heads does not divide hidden_size 8"),
        ({"num_hidden_layers": 3}, r"lacks encoder\.layer\.2\.attention\.self\.query\.weight.* and 13 more"),
    ],
)
def test_a_config_that_disagrees_with_the_weights_is_refused(
    tmp_path: Path, config: Mapping[str, Any], words: str
) -> None:
    with pytest.raises((DataError, ConfigError), match=words):
        made(folder(tmp_path / "tiny", config={**CONFIG, **config}))


def test_a_pickle_is_refused_under_its_own_name_and_under_that_of_safetensors(tmp_path: Path) -> None:
    where = folder(tmp_path / "tiny")
    (where / "model.safetensors").unlink()
    (where / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(DataError, match=r"pytorch_model\.bin: is not read: a pickle can run any code"):
        made(where)
    (where / "model.safetensors").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(DataError, match=r"model\.safetensors: is a pickle"):
        made(where)
    (where / "model.safetensors").write_bytes(b"not a file of tensors")
    with pytest.raises(DataError, match=r"model\.safetensors: damaged"):
        made(where)


def test_a_text_has_the_same_bits_alone_and_in_any_batch_and_padding_reaches_nobody(tmp_path: Path) -> None:
    where = folder(tmp_path / "tiny")
    model, together = made(where), batch(where)
    with torch.no_grad():
        whole = model.encoder(*model.inputs(together), {})
        for n, text in enumerate(TEXTS):
            alone = model.encoder(*model.inputs(batch(where, [text])), {})
            length = int(alone.lengths[0])
            assert torch.equal(alone.outputs[:, 0], whole.outputs[:length, n])
            assert torch.equal(alone.summary[0], whole.summary[n])
            assert not whole.outputs[length:, n].any()


def test_frozen_layers_and_their_inputs_have_no_gradient_and_no_dropout(tmp_path: Path) -> None:
    where = folder(tmp_path / "tiny")
    model, asked = made(where, frozen_layers=2), batch(where)
    quiet = model(asked).outputs["logits"]
    model.train()
    loud = model(asked).outputs["logits"]
    assert torch.allclose(quiet, loud, atol=1e-6)  # other kernels of the same numbers: no dropout is left
    loud.sum().backward()
    learn = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learn == {"encoder.pooler.weight", "encoder.pooler.bias", "head.output.weight", "head.output.bias"}


def test_inputs_of_another_kind_are_refused(tmp_path: Path) -> None:
    where = folder(tmp_path / "tiny")
    encoder = {"name": "pretrained", "folder": str(where)}
    model = {"inputs": {"name": "tokens", "embedding_size": 8}, "encoder": encoder}
    tree = {"task": "classification", "data": {"train": "x.csv"}, "model": model}
    made_of = read_settings(tree).model({**reader(where).sizes, "labels": 2})
    with pytest.raises(ConfigError, match=r"model\.inputs: an encoder pretrained with a folder needs word_pieces"):
        made_of.encoder.begin(made_of.inputs)


def test_redrawn_layers_begin_as_they_are_drawn_and_those_below_as_the_folder_has_them(tmp_path: Path) -> None:
    where = folder(tmp_path / "tiny")
    whole, part = made(where), made(where, redrawn_layers=1)
    assert "The upper 1 layers begin as they are drawn." in part.said
    before, after = whole.state_dict(), part.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith(("inputs.", "encoder.blocks.0."))} <= same
    assert not {"encoder.blocks.1.linear1.weight", "encoder.pooler.weight"} & same
    drawn = after["encoder.blocks.1.linear1.weight"]
    assert float(drawn.std()) == pytest.approx(0.02, rel=0.3)  # 96 numbers of N(0, 0.02)
    with pytest.raises(ConfigError, match="redrawn_layers: is 2, and 1 of 2 layers learn"):
        made(where, redrawn_layers=2, frozen_layers=1)


def test_a_piece_that_the_table_does_not_have_is_named(tmp_path: Path) -> None:
    where = folder(tmp_path / "tiny")
    model = made(where)
    rows = len(WORDS)
    asked = Batch({"tokens": torch.tensor([[rows + 4]])}, torch.tensor([1]), {}, (0,))
    with pytest.raises(ShapeError, match=rf"tokens: has piece {rows}, expected at most {rows - 1}"):
        model.inputs(asked)
    padded = Batch({"tokens": torch.tensor([[5], [rows + 4]])}, torch.tensor([1]), {}, (0,))
    model.inputs(padded)  # what stands in the padding is not read
