"""The tagger: what it is made of, padding that changes nothing, and options that act or are refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from models.models_room import tagger
from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.cells import CELLS
from recurra.lower import projects
from recurra.models import SequenceModel
from recurra.nn.crf import crf_nats

WORDS, LETTERS, LABELS = 11, 7, 4
# A word is its number and its letters.
ROWS = ([(5, [1, 2, 3]), (7, [4]), (9, [5, 6]), (4, [1, 1])], [(8, [2, 6, 3, 1])], [], [(10, [3]), (4, [1, 1])])


def tagging_batch(*rows: list[tuple[int, list[int]]], filling: int = 0) -> Batch:
    """Rows of words, with `filling` where a row has no word and a word no letter."""
    T = max((len(row) for row in rows), default=0)
    C = max((len(letters) for row in rows for _, letters in row), default=0)
    words = torch.full((T, len(rows)), filling)
    characters = torch.full((C, T, len(rows)), filling)
    sizes = torch.full((T, len(rows)), filling)
    for n, row in enumerate(rows):
        for t, (word, letters) in enumerate(row):
            words[t, n], sizes[t, n] = word, len(letters)
            characters[: len(letters), t, n] = torch.tensor(letters)
    inputs = {"words": words, "characters": characters, "character_lengths": sizes, "patterns": words % LETTERS}
    inputs["dictionary"] = torch.stack([words / 16, words / 8], 2).masked_fill((words == filling).unsqueeze(2), filling)
    return Batch(inputs, torch.tensor([len(row) for row in rows]), {}, tuple(range(len(rows))))


def small(**options: Any) -> SequenceModel:
    torch.manual_seed(0)
    given: dict[str, Any] = {"embedding_size": 3, "hidden_size": 4, "word_dropout": 0.0, **options}
    if given.get("characters") != "none":
        given = {"character_embedding_size": 2, "character_size": 3, **given}
    if projects(CELLS[given.get("cell", "lstm")]):
        given.setdefault("proj_size", 2)
    return tagger(WORDS, LETTERS, LABELS, **given)


def nats(model: SequenceModel, batch: Batch) -> torch.Tensor:
    """The loss of tagging every word with label 1."""
    outputs = dict(model(batch).outputs)
    return crf_nats(labels=torch.ones_like(batch.inputs["words"]), lengths=batch.lengths, **outputs).sum()


@pytest.mark.parametrize("cell", CELLS.keys())
@pytest.mark.parametrize("characters", ["none", "lstm", "cnn"])
def test_every_cell_with_every_way_to_read_letters_learns_and_does_not_notice_padding(
    cell: str, characters: str
) -> None:
    model = small(cell=cell, characters=characters)
    nats(model, tagging_batch(*ROWS)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        # All relu units may be off at this start.
        assert parameter.grad.any() or cell == "rnn_relu", name
    model.eval()
    together = model(tagging_batch(*ROWS, filling=-5)).outputs["emissions"]
    assert together.shape == (4, len(ROWS), LABELS)
    for n, row in enumerate(ROWS):
        alone = model(tagging_batch(row)).outputs["emissions"][:, 0]
        torch.testing.assert_close(alone, together[: len(row), n], atol=1e-6, rtol=0)


@pytest.mark.parametrize("characters", ["none", "lstm", "cnn"])
def test_padding_changes_no_gradient(characters: str) -> None:
    model = small(characters=characters, num_layers=2).double()
    single = copy.deepcopy(model)
    nats(model, tagging_batch(*ROWS, filling=-5)).backward()
    for row in ROWS:
        nats(single, tagging_batch(row)).backward()
    for (name, together), alone in zip(model.named_parameters(), single.parameters(), strict=True):
        torch.testing.assert_close(together.grad, alone.grad, atol=1e-12, rtol=1e-12, msg=name)


def test_patterns_and_dictionary_learn_and_do_not_notice_padding() -> None:
    model = small(pattern_size=2, dictionary=2)
    nats(model, tagging_batch(*ROWS)).backward()
    assert model.inputs.patterns.weight.grad.any()
    model.eval()
    together = model(tagging_batch(*ROWS, filling=-5)).outputs["emissions"]
    for n, row in enumerate(ROWS):
        alone = model(tagging_batch(row)).outputs["emissions"][:, 0]
        torch.testing.assert_close(alone, together[: len(row), n], atol=1e-6, rtol=0)


def test_a_word_is_its_vector_its_letters_its_pattern_and_what_the_dictionary_says() -> None:
    model = small(characters="none", pattern_size=2, dictionary=2)
    assert model.inputs.output_size == 3 + 2 + 2
    vectors, _ = model.inputs(tagging_batch(ROWS[0]))
    for (word, _), vector in zip(ROWS[0], vectors[:, 0], strict=True):
        own, pattern = model.inputs.embedding.weight[word], model.inputs.patterns.weight[word % LETTERS]
        assert torch.equal(vector, torch.cat([own, pattern, torch.tensor([word / 16, word / 8])]))
    assert not model.inputs.patterns.weight[1].any()  # an unknown pattern is no noise


def test_a_word_that_is_hidden_in_training_stands_in_no_dictionary_either() -> None:
    model = small(characters="none", pattern_size=2, dictionary=2, word_dropout=0.5)
    batch = tagging_batch([(5, [1])] * 200)
    vectors = model.inputs._vectors(batch, torch.ones(200, 1, dtype=torch.bool))[:, 0]
    hidden = ~vectors[:, :3].any(1)
    assert 60 < int(hidden.sum()) < 140
    assert torch.equal(vectors[:, 5:], torch.where(hidden.unsqueeze(1), 0.0, torch.tensor([5 / 16, 5 / 8])))
    assert torch.equal(vectors[:, 3:5], model.inputs.patterns.weight[5].expand(200, 2))


def test_emissions_are_the_last_layer_of_what_the_parts_give() -> None:
    """Written out for one row and one direction: word and letters side by side, torch's LSTM, linear."""
    model = small(bidirectional=False, output="softmax").eval()
    reader, letters_reader = nn.LSTM(3 + 6, 4), nn.LSTM(2, 3, bidirectional=True)
    reader.load_state_dict(model.encoder.recurrent.state_dict())
    assert model.inputs.characters is not None
    letters_reader.load_state_dict(model.inputs.characters.recurrent.state_dict())
    vectors = []
    for word, letters in ROWS[0]:
        _, (h, _) = letters_reader(model.inputs.characters.embedding.weight[letters])
        vectors.append(torch.cat([model.inputs.embedding.weight[word], h[0], h[1]]))
    outputs, _ = reader(torch.stack(vectors))
    expected = outputs @ model.head.output.weight.T + model.head.output.bias
    found = model(tagging_batch(ROWS[0])).outputs
    torch.testing.assert_close(found["emissions"][:, 0], expected, atol=1e-6, rtol=0)
    assert set(found) == {"emissions"}


def test_a_crf_adds_scores_of_pairs_and_ends_that_are_zero_at_the_start() -> None:
    model = small(output="crf")
    outputs = model(tagging_batch(*ROWS)).outputs
    shapes = {name: tuple(tensor.shape) for name, tensor in outputs.items() if name != "emissions"}
    assert shapes == {"transitions": (LABELS, LABELS), "first": (LABELS,), "last": (LABELS,)}
    assert not any(outputs[name].any() for name in shapes)


def test_without_letters_a_batch_needs_none() -> None:
    model = small(characters="none")
    batch = tagging_batch(*ROWS)
    bare = Batch({"words": batch.inputs["words"]}, batch.lengths, {}, batch.indices)
    assert torch.equal(model(bare).outputs["emissions"], model(batch).outputs["emissions"])


def test_sizes_over_letters_are_those_of_the_papers_unless_given() -> None:
    for word, sizes in {"lstm": (25, 50), "cnn": (30, 30)}.items():
        letters = tagger(WORDS, LETTERS, LABELS, characters=word, embedding_size=3, hidden_size=4).inputs.characters
        assert letters is not None
        assert (letters.embedding.output_size, letters.output_size) == sizes


OPTIONS = ["word_dropout", "embedding_dropout", "output_dropout", "variational_dropout", "zoneout", "dropout"]


@pytest.mark.parametrize("option", OPTIONS)
def test_each_dropout_acts_in_training_and_only_there(option: str) -> None:
    model = small(**{option: 0.5, "num_layers": 2})
    batch = tagging_batch(*ROWS)

    def twice() -> bool:
        return torch.equal(model(batch).outputs["emissions"], model(batch).outputs["emissions"])

    torch.manual_seed(1)
    assert not twice()
    model.eval()
    assert twice()


def test_word_dropout_reads_words_as_unknown_and_leaves_letters() -> None:
    model = small(word_dropout=0.5)
    with torch.no_grad():
        model.inputs.embedding.weight[1] = 7.0
    row = [(5, [1, 2, 3])] * 200
    batch = tagging_batch(row)
    vectors = model.inputs._vectors(batch, torch.ones(200, 1, dtype=torch.bool))[:, 0]
    hidden = (vectors[:, :3] == 7.0).all(1)
    assert 70 < int(hidden.sum()) < 130
    torch.testing.assert_close(
        vectors[~hidden][:, :3], model.inputs.embedding.weight[5].expand(int((~hidden).sum()), 3)
    )
    torch.testing.assert_close(vectors[:, 3:], vectors[:1, 3:].expand(200, 6))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dropout": 0.5}, "dropout: acts between layers, and there is one"),
        ({"characters": "none", "character_size": 3}, "character_size: has no effect with characters: none"),
        ({"characters": "lsmt"}, "characters: is 'lsmt', expected none, lstm or cnn"),
        ({"output": "crff"}, "output: is 'crff', expected crf or softmax"),
        ({"bidirectional": False, "merge": "sum"}, "merge"),
        ({"proj_size": 2}, "proj_size"),
        ({"cell": "gru", "forget_bias": 1.0}, "forget_bias"),
        ({"cell": "lsmt"}, "unknown cell 'lsmt'. Did you mean 'lstm'"),
    ],
)
def test_options_that_cannot_take_effect_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        tagger(WORDS, LETTERS, LABELS, **{"embedding_size": 3, "hidden_size": 4, **options})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        tagger(WORDS, LETTERS, LABELS, characters="none", character_size=3, character_embedding_size=2, dropout=0.5)
    begun = [problem.split(":")[0] for problem in error.value.problems]
    assert begun == ["character_embedding_size", "character_size", "dropout"]


def test_a_backend_that_is_named_runs_both_the_words_and_the_letters() -> None:
    model = small(backend="reference")
    assert model.encoder.recurrent.executor() == "reference"
    assert model.inputs.characters is not None
    assert model.inputs.characters.recurrent.executor() == "reference"


def test_a_tagger_learns_labels_that_only_order_and_letters_tell() -> None:
    """Words of one unknown number: label 1 where a word ends in letter 6, 2 after such a word, else 0."""
    torch.manual_seed(0)
    model = tagger(
        WORDS, LETTERS, LABELS, embedding_size=4, character_embedding_size=4, character_size=8, hidden_size=8
    )
    row = [(1, [2, 6]), (1, [3]), (1, [4, 2]), (1, [6]), (1, [3]), (1, [4, 2])]
    batch, labels = tagging_batch(row, row[2:]), torch.tensor([[1, 0], [2, 1], [0, 2], [1, 0], [2, 0], [0, 0]])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        loss = crf_nats(labels=labels, lengths=batch.lengths, **model(batch).outputs).sum()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_an_unknown_word_is_nothing_until_training_has_one() -> None:
    model = small()
    assert not model.inputs.embedding.weight[1].any()
    nats(model, tagging_batch([(1, [2]), (5, [3])])).backward()
    assert model.inputs.embedding.weight.grad is not None
    assert model.inputs.embedding.weight.grad[1].any()
