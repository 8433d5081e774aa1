"""A text that comes in pieces: after each of them the answer is that for all of the text so far."""

from __future__ import annotations

import random

import pytest
import torch

from models.models_room import classifier, language_model
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError
from recurra.models import SequenceModel
from recurra.tasks import Classification, ClassificationConfig, LanguageModelConfig, LanguageModelling

# Words, marks that combine, a final sigma, a prepended mark before a space, flags, CR LF, Han without spaces.
PARTS = ["fine", " ", "  ", "item", "\r", "\n", "e\u0301", "\u0301", "ΟΔΟΣ", "Σ", "'"]
PARTS += ["\u0600", "🇩", "🇪", "天气", ".", "x"]
WHERE = Origin("here")


def task_of(tokenizer: object, **options: object) -> Classification:
    texts = {"fine item x \u00e9 οδος ος": "good", "天 . 🇩🇪 οδοσ": "bad"}
    rows = [Record({"text": text, "label": label}, WHERE) for text, label in texts.items()]
    return ClassificationConfig(tokenizer=tokenizer, **options).fit(rows, "here")  # type: ignore[arg-type]


def model_of(task: Classification, **options: object) -> SequenceModel:
    torch.manual_seed(0)
    options = {"embedding_size": 5, "hidden_size": 6, "bidirectional": False, **options}
    return classifier(*task.model_sizes.values(), **options).eval()  # type: ignore[arg-type]


def whole(task: Classification, model: SequenceModel, text: str) -> dict[str, float]:
    example = task.example(Record({"text": text}, WHERE), gold=False)
    with torch.inference_mode():
        (output,) = task.predict(model, task.collate([example], (0,)), [example])
    return task.answer(example, output).probabilities


@pytest.mark.parametrize("cell", ["lstm", "gru", "slstm"])
@pytest.mark.parametrize("tokenizer", ["words", "characters", "spaces", {"name": "characters", "lowercase": True}])
def test_pieces_are_answered_as_their_whole(tokenizer: object, cell: str) -> None:
    task = task_of(tokenizer)
    model = model_of(task, cell=cell, num_layers=2)
    draw = random.Random(7)
    for _ in range(12):
        predictor = task.predictor(model)
        place, text = predictor.begin(), ""
        for _ in range(8):
            piece = "".join(draw.choices(PARTS, k=draw.randrange(4)))
            text += piece
            place, answer = predictor.read(place, piece)
            # Only the order of products in a call differs.
            assert answer["probabilities"] == pytest.approx(whole(task, model, text), abs=1e-6), repr(text)
            assert answer["tokens"] == len(task.reader.tokens(text)), repr(text)


def test_what_stands_behind_the_limit_is_not_read() -> None:
    task = task_of("words", max_length=3)
    model = model_of(task)
    predictor = task.predictor(model)
    place, _ = predictor.read(predictor.begin(), "fine item ")
    place, answer = predictor.read(place, "x fine fine item")
    assert answer["tokens"] == 3
    assert answer["probabilities"] == pytest.approx(whole(task, model, "fine item x"), abs=1e-6)


def test_an_old_place_can_be_gone_on_from_again() -> None:
    task = task_of("words")
    predictor = task.predictor(model_of(task))
    first, _ = predictor.read(predictor.begin(), "fine ")
    _, one = predictor.read(first, "item x")
    _, other = predictor.read(first, ". . .")
    _, again = predictor.read(first, "item x")
    assert one == again
    assert one != other


def test_what_cannot_go_on_says_every_reason() -> None:
    task = task_of("words", max_length=3, keep="end")
    with pytest.raises(ConfigError) as caught:
        task.predictor(model_of(task, bidirectional=True, pooling="mean"))
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "model.encoder.bidirectional",
        "model.head.pooling",
        "task.keep",
    ]


def test_a_word_without_end_is_refused_before_it_fills_the_memory() -> None:
    task = task_of("words")
    predictor = task.predictor(model_of(task))
    place, _ = predictor.read(predictor.begin(), "x" * 9_000)
    with pytest.raises(DataError, match="12,000 characters without white space"):
        predictor.read(place, "x" * 3_000)


@pytest.mark.parametrize("document", ["row", "file"])
@pytest.mark.parametrize("tokenizer", ["words", "characters"])
def test_a_language_model_judges_pieces_as_their_whole(tokenizer: str, document: str) -> None:
    rows = [Record({"text": "fine item x \u00e9 οδος 天 ."}, WHERE), Record({"text": "fine fine x"}, WHERE)]
    task = LanguageModelConfig(text="text", tokenizer=tokenizer, document=document).fit(rows, "here")
    assert isinstance(task, LanguageModelling)
    torch.manual_seed(0)
    model = language_model(*task.model_sizes.values(), embedding_size=6, hidden_size=6, num_layers=2).eval()
    predictor, draw = task.predictor(model), random.Random(11)
    for _ in range(8):
        place, text = predictor.begin(), ""
        for _ in range(8):
            piece = "".join(draw.choices(PARTS, k=draw.randrange(4)))
            text += piece
            place, answer = predictor.read(place, piece)
            example = task.example(Record({"text": text}, WHERE), gold=False)
            with torch.inference_mode():
                (output,) = task.predict(model, task.collate([example], (0,)), [example])
            expected = task.answer(example, output).to_dict()
            assert answer["num_tokens"] == expected["num_tokens"], repr(text)
            # A sum of some dozens of nats in float32, in another order.
            assert answer["log_prob"] == pytest.approx(expected["log_prob"], abs=1e-4), repr(text)
            assert answer["perplexity"] == pytest.approx(expected["perplexity"], rel=1e-4), repr(text)
