"""What is said of options of a model that stand at a wrong place, task by task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from recurra.api import answers, evaluating
from recurra.api.callbacks import NoCallback
from recurra.api.schema import settings_of
from recurra.base.errors import ConfigError
from recurra.config import document_of
from recurra.data.preparing import Means
from recurra.data.store import InMemory

DATA = {"train": "rows.csv"}


def refusals(task: str, model: Mapping[str, Any]) -> list[str]:
    document = document_of({"task": task, "model": model, "data": DATA})
    with pytest.raises(ConfigError) as caught:
        settings_of(document, to_train=False)
    return list(caught.value.problems)


@pytest.mark.parametrize("task", ["classification", "language_model", "music"])
def test_a_hint_leads_to_no_option_of_a_component_that_the_task_cannot_use(task: str) -> None:
    """`backend` is an option of the inputs of tagging too, and of decoders, and these tasks have none of them."""
    assert refusals(task, {"backend": "aten"}) == [
        "config: model.backend: unknown option. It belongs at 'model.encoder.backend'."
    ]


def test_an_option_that_several_components_have_is_led_to_all_of_them() -> None:
    assert refusals("tagging", {"backend": "aten"}) == [
        "config: model.backend: unknown option. It belongs at 'model.inputs.backend' or 'model.encoder.backend'."
    ]
    assert refusals("translation", {"hidden_size": 8}) == [  # not to that of an attention: the components come first
        "config: model.hidden_size: unknown option. It belongs at 'model.encoder.hidden_size' or "
        "'model.decoder.hidden_size'."
    ]


@pytest.mark.parametrize(
    ("task", "flat", "place"),
    [
        ("translation", "decoder_cell", "decoder.cell"),
        ("translation", "decoder_size", "decoder.hidden_size"),
        ("translation", "decoder_layers", "decoder.num_layers"),
        ("translation", "decoder_proj_size", "decoder.proj_size"),
        ("translation", "decoder_embed_dim", "decoder.embedding_size"),
        ("translation", "decoder_attention", "decoder.attention"),
        ("translation", "tgt_embedding_size", "decoder.embedding_size"),
        ("translation", "dec_layers", "decoder.num_layers"),
        ("translation", "attention_heads", "decoder.attention.num_heads"),
        ("translation", "attention_type", "decoder.attention"),
        ("translation", "encoder_embed_dim", "inputs.embedding_size"),
        ("translation", "reverse_source", "encoder.reverse"),
        ("translation", "tie_weights", "decoder.tie"),
        ("classification", "encoder_cell", "encoder.cell"),
        ("classification", "enc_rnn_size", "encoder.hidden_size"),
        ("classification", "encoder_type", "encoder"),
        ("classification", "head_pooling", "head.pooling"),
        ("tagging", "char_hidden_size", "inputs.character_size"),
        ("tagging", "use_crf", "head.output"),
        ("language_model", "tie_weights", "head.tied"),
    ],
)
def test_a_name_with_its_component_in_front_leads_to_the_component_s_option(task: str, flat: str, place: str) -> None:
    assert refusals(task, {flat: 1}) == [f"config: model.{flat}: unknown option. Here it is called 'model.{place}'."]


def test_a_name_with_a_component_in_front_that_is_not_here_leads_to_no_other_one() -> None:
    for flat in ("decoder_hidden_size", "dec_layers", "encoder_colour"):
        assert refusals("classification", {flat: 1}) == [
            f"config: model.{flat}: unknown option. Known: inputs, encoder, head, wide."
        ]


def test_an_option_in_a_wrong_component_is_led_to_the_right_one_beside_it() -> None:
    assert refusals("translation", {"decoder": {"bidirectional": True}}) == [
        "config: model.decoder.bidirectional: unknown option. It belongs at 'model.encoder.bidirectional'."
    ]


def test_components_that_are_expected_are_those_that_the_task_can_use() -> None:
    assert refusals("language_model", {"encoder": 3}) == [
        "config: model.encoder: expected one of awd, recurrent, transformer, got 3."
    ]
    assert refusals("tagging", {"head": 3}) == ["config: model.head: expected tags, got 3."]
    assert refusals("tagging", {"head": "notse"}) == [
        "config: model.head: unknown head 'notse'. Known: tags. `recurra explain model.head` lists all."
    ]
    assert "identity, " in refusals("classification", {"encoder": 3})[0] + ", "


def test_an_option_of_another_component_at_its_place_names_the_components_that_have_it() -> None:
    assert refusals("classification", {"encoder": {"name": "identity", "hidden_size": 8}}) == [
        "config: model.encoder.hidden_size: unknown option. It is an option of recurrent or awd or "
        "convolutional or lrcn or transformer or chunked or pretrained or elmo; choose that, or leave it out."
    ]
    assert refusals("classification", {"encoder": {"name": "recurrent", "weight_drop": 0.5}}) == [
        "config: model.encoder.weight_drop: unknown option. It is an option of awd; choose that, or leave it out."
    ]


def test_a_backward_layer_is_refused_where_nothing_tells_the_token_before() -> None:
    encoder = {"name": "awd", "num_layers": 1, "last_layer": "hidden_size", "backward_layer": True}
    for task in ("classification", "tagging", "music", "translation"):
        (problem,) = refusals(task, {"encoder": encoder})
        assert problem == (
            "config: model.encoder.backward_layer: tells the token before each, which is learned with the head "
            "vocabulary alone; leave it out."
        )


def test_refused_inputs_bring_no_second_problem_that_follows_from_their_size() -> None:
    """Without inputs nobody knows how wide a step is, or whether there is a table to tie weights to."""
    locked = {"locked_dropout": True}
    said = (
        "config: model.inputs.locked_dropout: has no effect without embedding_dropout; set it, or leave this one out."
    )
    assert refusals("language_model", {"inputs": locked}) == [said]
    assert refusals("language_model", {"inputs": locked, "encoder": {"name": "awd", "num_layers": 1}}) == [said]
    bridge = {"encoder": "identity", "decoder": {"bridge": "last", "hidden_size": 128, "cell": "gru"}}
    assert refusals("translation", {"inputs": locked, **bridge}) == [said]


def test_what_is_wrong_beside_refused_inputs_whatever_their_size_is_said_too() -> None:
    wrong = {"inputs": {"locked_dropout": True}, "encoder": {"dropout": 0.5}}
    for task in ("classification", "translation"):
        said = refusals(task, wrong)
        assert [one.split(": ")[1] for one in said] == ["model.inputs.locked_dropout", "model.encoder.dropout"]
    said = refusals("translation", {"inputs": wrong["inputs"], "decoder": {"dropout": 0.5}})
    assert [one.split(": ")[1] for one in said] == ["model.inputs.locked_dropout", "model.decoder.dropout"]
    said = refusals("language_model", {"inputs": wrong["inputs"], "head": {"cutoffs": [0.5]}})
    assert [one.split(": ")[1] for one in said] == ["model.inputs.locked_dropout", "model.head.cutoffs"]
    reverse = {"encoder": {"name": "recurrent", "reverse": True}}
    said = refusals("language_model", {"inputs": wrong["inputs"], **reverse})
    assert [one.split(": ")[1] for one in said] == ["model.inputs.locked_dropout", "model.encoder"]


def test_a_decoder_is_looked_at_beside_a_refused_encoder() -> None:
    said = refusals("translation", {"encoder": {"dropout": 0.5}, "decoder": {"input_feeding": True, "bridge": "last"}})
    assert [one.split(": ")[1] for one in said] == ["model.encoder.dropout", "model.decoder.input_feeding"]


def test_each_encoder_that_a_language_model_can_have_works_by_its_word_alone() -> None:
    """Weights are tied by default, so the encoder gives out as many numbers as a token's vector has."""
    for encoder in ("awd", "recurrent"):
        settings = settings_of(document_of({"task": "language_model", "model": {"encoder": encoder}, "data": DATA}))
        model = settings.outline({"tokens": 9})
        assert model.head.output.weight is model.inputs.table


def test_the_seed_alone_draws_the_weights() -> None:
    def drawn(seed: int) -> list[torch.Tensor]:
        settings = settings_of(document_of({"data": DATA, "training": {"seed": seed}}))
        return list(settings.model({"tokens": 9, "labels": 2}).parameters())

    first = drawn(1)
    torch.rand(3, dtype=torch.float32)
    torch.testing.assert_close(drawn(1), first, atol=0, rtol=0)
    assert not any(torch.equal(a, b) for a, b in zip(drawn(2), first, strict=True) if a.dim() > 1)


def test_widths_that_cannot_be_tied_are_refused_with_what_to_set_for_each_encoder() -> None:
    for encoder in ("awd", "recurrent"):
        cell = {"cell": "lstm_projected", "proj_size": 50}
        (problem,) = refusals("language_model", {"encoder": {"name": encoder, **cell}})
        assert problem == (
            "config: model.head.tied: the output layer reads 50 numbers and a token's vector has 200; make the "
            "encoder's outputs (hidden_size, or proj_size; of awd also last_layer) and embedding_size equal, or set "
            "tied: false."
        )


def test_the_settings_of_a_run_have_no_signature_of_a_url() -> None:
    data = {"train": "https://host/train.csv?X-Amz-Signature=secret", "test": "https://host/test.csv?version=2"}
    settings = settings_of(document_of({"task": "classification", "data": data}), to_train=False)
    assert "secret" not in str(settings.tree)
    assert settings.data.train == "https://host/train.csv"
    assert settings.data.test == data["test"]


def test_what_is_scored_and_answered_has_no_signature_of_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(evaluating, "read_rows", lambda path, *_: asked.append(path) or [])
    monkeypatch.setattr(answers, "read", lambda *_, **__: iter(()))
    monkeypatch.setattr(answers, "recognised", lambda path: asked.append(path) or ("csv", ""))
    settings = settings_of(document_of({"task": "classification", "data": {"train": "train.csv"}}), to_train=False)
    monkeypatch.setattr(answers, "open_settings", lambda *_, to_train: (None, settings))
    url, means, watch = "https://host/more.csv?X-Amz-Signature=secret", Means(InMemory()), NoCallback()
    assert evaluating._given_rows(url, settings, watch, means)[0] == "more.csv"
    assert str(answers.source_for("run", url).path) == "https:/host/more.csv"
    assert asked == [Path("https://host/more.csv")] * 2


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        (
            {
                "task": {"name": "translation", "label_smoothing": 0.1},
                "model": {"decoder": {"name": "recurrent", "attention": "additive", "copying": True}},
            },
            "task.label_smoothing: cannot be used with a model that copies; set it to 0.",
        ),
        (
            {"task": {"name": "masked_lm", "max_length": 64}, "model": {"inputs": {"max_positions": 32}}},
            "task.max_length: a sequence has 64 pieces, and model.inputs.max_positions has positions for 32; set it to "
            "32, or max_positions to 64.",
        ),
        (
            {"training": {"average": 3, "optimizer": "nt_asgd"}},
            "training.average: nt_asgd averages its weights by itself; take sgd, or leave it out.",
        ),
        (
            {"training": {"average_decay": 0.9, "optimizer": "nt_asgd"}},
            "training.average_decay: nt_asgd averages its weights by itself; take sgd, or leave it out.",
        ),
        (
            {"training": {"rate_decay": 2.0, "init_from": "some", "optimizer": "nt_asgd"}},
            "training.rate_decay: nt_asgd has one rate for all weights; take sgd, or leave it out.",
        ),
        (
            {"training": {"average": 1}},
            "training.average: the mean of one epoch is that epoch; expected 2 to 100, or leave it out.",
        ),
    ],
)
def test_options_that_training_would_refuse_are_refused_with_the_config(tree: dict[str, Any], sentence: str) -> None:
    document = document_of({"task": {"name": "classification"}, "data": DATA, **tree})
    with pytest.raises(ConfigError) as caught:
        settings_of(document)
    assert [problem.split(": ", 1)[1] for problem in caught.value.problems] == [sentence]


def test_a_run_that_was_trained_with_a_mean_of_one_epoch_can_still_answer() -> None:
    document = document_of({"task": {"name": "classification"}, "data": DATA, "training": {"average": 1}})
    assert settings_of(document, to_train=False).training.average == 1
