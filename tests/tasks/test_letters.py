"""Language models that read letters: every path to the model gives it the same letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError
from recurra.data.tokenizers import EOS, UNK, Vocabulary
from recurra.models import SequenceModel
from recurra.nn import softmax_log_probabilities
from recurra.tasks import GenerationOptions, LanguageModelConfig, LanguageModelling
from recurra.tasks.language_model import documents
from recurra.tasks.letters import KnownWords, Spellings, letters_of, shortened

TEXTS = ("ab ab ba", "ab ba cab")


def fitted(texts: Sequence[str] = TEXTS, **options: Any) -> LanguageModelling:
    given = {"tokenizer": "spaces", "letters": True, "document": "row", "min_count": 2, **options}
    records = [Record({"text": text}, Origin("a.txt", n)) for n, text in enumerate(texts, start=1)]
    return LanguageModelConfig(**given).fit(records, "a.txt")


def model_for(task: LanguageModelling) -> SequenceModel:
    torch.manual_seed(0)
    parts = {
        "inputs": {"name": "characters", "embedding_size": 5, "filters": 2, "window": 3},
        "encoder": {"name": "awd", "hidden_size": 5},
        "head": {"name": "vocabulary", "tied": False},
    }
    model = SequenceModel(task.model_sizes, **parts).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # so that words differ
    return model


def passages(task: LanguageModelling, texts: Sequence[str]) -> list[documents.Passage]:
    return list(task.examples([documents.TextRow(text, Origin("a.txt", n)) for n, text in enumerate(texts, 1)]))


def words_of(task: LanguageModelling, inputs: Any, row: int = 0) -> list[str]:
    """What letters of a batch say, step by step."""
    assert task.letters is not None
    letters, sizes = inputs["characters"][:, :, row], inputs["character_lengths"][:, row].tolist()
    return ["".join(task.letters.tokens(letters[:n, t].tolist())) for t, n in enumerate(sizes)]


def test_tokens_come_with_their_letters_also_those_without_a_number() -> None:
    task = fitted()
    assert task.model_sizes == {"tokens": 6, "characters": 7}  # ab ba; a b c
    batch = task.collate(passages(task, ["ab cab zb", "ba"]), (0, 1))
    assert words_of(task, batch.inputs) == ["<eos>", "ab", "cab", "<unk>b"]
    assert batch.inputs["tokens"][:, 0].tolist() == [EOS, 4, UNK, UNK]
    assert words_of(task, batch.inputs, 1)[:2] == ["<eos>", "ba"]


def test_letters_reach_every_passage_of_a_long_text_and_what_is_read_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PIECE", 4)
    monkeypatch.setattr(documents, "WARM_UP", 2)
    task = fitted(("ab ab ba ba x1 x2 x3 x4 x5",))  # letters of rare words are known
    words = ["ab", "x1", "ba", "x2", "ab", "x3", "x4", "ba", "ba", "x5", "ab"]
    found = passages(task, [" ".join(words)])
    assert [passage.first for passage in found] == [0, 2, 6]
    for passage in found:
        spellings = task.spellings()
        assert spellings is not None
        inputs = spellings.inputs(passage.spelt(task.start, spellings)[:-1, None])
        assert words_of(task, inputs) == ["<eos>", *words][passage.first : passage.stop]


def test_training_reads_the_letters_that_an_evaluation_reads() -> None:
    task = fitted()
    texts = ["ab cab zb ba", "bb ab ab", "ba abba ab ab ab bb"]
    sampler = task.sampler(passages(task, texts), batch_tokens=6, batch_rows=2, seed=1)
    seen = []
    for item in sampler.plan(1):
        batch = sampler.batch(item)
        for row, length in enumerate(batch.lengths.tolist()):
            seen += words_of(task, batch.inputs, row)[:length]
    plain = [w if set(w) <= set("abc") else w.replace("z", "<unk>") for text in texts for w in text.split()]
    assert sorted(seen) == sorted([*plain, *["<eos>"] * 3])


def test_a_word_outside_the_vocabulary_is_read_by_its_letters_wherever_it_comes_from() -> None:
    task = fitted()
    model = model_for(task)
    text = "ab cab ba abc"
    example = task.example(Record({"text": text}, Origin("-", 1)), gold=False)
    batch = task.collate([example], (0,))
    with torch.inference_mode():
        nats = list(task.predict(model, batch, [example])[0].nats)
        log_probs = softmax_log_probabilities(model(batch).outputs)[:, 0]
    other = task.example(Record({"text": "ab bac ba abc"}, Origin("-", 1)), gold=False)
    assert nats[2:] != list(task.predict(model, task.collate([other], (0,)), [other])[0].nats)[2:]
    stream = task.predictor(model)
    place = stream.begin()
    for piece in ("ab c", "ab ba", " abc"):
        place, answer = stream.read(place, piece)
    assert answer["log_prob"] == pytest.approx(-sum(nats), abs=1e-5)
    writer = task.writer(model)
    numbers, _ = writer.read(text)
    for t, number in enumerate(numbers):
        state = writer.state(numbers[:t])
        found, _ = writer.step(torch.tensor([number]), state)
        kept = found[0] > -torch.inf
        torch.testing.assert_close(found[0][kept], log_probs[t][kept], atol=1e-5, rtol=0)
    assert list(writer.write("ab cab", GenerationOptions(length=3, seed=1)))
    assert task.suggester(model).suggest("ab cab ")


def test_no_more_words_are_remembered_than_said() -> None:
    known = KnownWords(Vocabulary(["ab"]), Vocabulary(["a", "b"]))
    spellings = Spellings(known, 2)
    assert spellings.numbers(["ab", "a", "b"]) == [4, 5, 6]
    assert spellings.numbers(["b", "ba"]) == [6, 7]
    assert spellings.numbers(["a"]) == [8]  # forgotten; a number is never given twice
    with pytest.raises(ConfigError, match="more than 2 different words outside the vocabulary"):
        spellings.numbers(["x", "y", "z"])


def test_a_long_word_is_its_first_and_last_letters() -> None:
    assert shortened("a" * 40 + "b" * 40) == "a" * 32 + "b" * 32
    assert letters_of({"ab": 2, "b": 1}).tokens([4, 5]) == ["b", "a"]


def test_the_letters_are_kept_with_a_run() -> None:
    task = fitted()
    config = LanguageModelConfig(tokenizer="spaces", letters=True, document="row", min_count=2)
    assert config.restore(task.to_json(), "run").model_sizes == task.model_sizes


def test_letters_that_nothing_can_read_are_refused() -> None:
    with pytest.raises(ConfigError, match="letters: has no effect with tokenizer: characters"):
        LanguageModelConfig(tokenizer="characters", letters=True)
    with pytest.raises(ConfigError, match=r"letters: has no effect with model\.inputs tokens"):
        LanguageModelConfig(letters=True).refuse_inputs({"name": "tokens"})


def test_a_batch_of_no_unknown_words_has_the_letters_of_the_table() -> None:
    task = fitted()
    spellings = task.spellings()
    assert spellings is not None
    inputs = spellings.inputs(np.array([[4, 0], [5, 4]]))
    assert inputs["character_lengths"].tolist() == [[2, 1], [2, 2]]
    assert words_of(task, inputs) == ["ab", "ba"]
