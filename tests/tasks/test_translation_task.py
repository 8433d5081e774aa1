"""The five verbs of a translation: example, collate, loss, predict, score; by value, with a model that is a table."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Origin, Prediction, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.tokenizers import BOS, EOS, PAD, UNK
from recurra.decode import Hypothesis
from recurra.metrics import Pair
from recurra.models import EncoderDecoder
from recurra.tasks import TASKS, Translation, TranslationConfig
from recurra.tasks.translation.answers import Candidate, Translated, attention_of
from recurra.tasks.translation.losses import Forced, forced_rows
from recurra.tasks.translation.pairs import wanted
from recurra.tasks.translation.search import longest
from recurra.tasks.translation.tables import by_group

ROWS = [("a b", "X Y"), ("b b c", "Y Y Z"), ("c", "Z"), ("a", "X")]


def record(source: object = "a b", target: object = "X Y", line: int = 7, **more: object) -> Record:
    return Record({"source": source, "target": target, **more}, Origin("f.tsv", line))


def records(rows: list[tuple[str, str]] = ROWS) -> list[Record]:
    return [record(source, target, line) for line, (source, target) in enumerate(rows, start=2)]


def task_of(rows: list[tuple[str, str]] = ROWS, **options: Any) -> Translation:
    return TranslationConfig(**{"scores": "exact", **options}).fit(records(rows), "f.tsv")


@dataclass(frozen=True)
class At:
    """Which row of the batch each hypothesis belongs to, and how many tokens it has said."""

    rows: Tensor
    step: int


class Mirror(nn.Module):
    """Says each source token's number again, then the end, with probability 0.9 each; the rest is spread evenly."""

    def __init__(self, num_target: int, *, looks: bool = True) -> None:
        super().__init__()
        self.num_target, self.looks = num_target, looks

    def probabilities(self, batch: Batch, row: int, step: int) -> Tensor:
        said = [*batch.inputs["tokens"][: int(batch.lengths[row]), row].tolist(), EOS]
        found = torch.full((self.num_target,), 0.1 / (self.num_target - 1))
        found[said[min(step, len(said) - 1)]] = 0.9
        return found

    def forward(self, batch: Batch) -> Prediction:
        S, N = batch.inputs["target"].shape
        logits = torch.stack([torch.stack([self.probabilities(batch, n, s) for n in range(N)]) for s in range(S)]).log()
        V = self.num_target
        looked = torch.eye(S, len(batch.inputs["tokens"])).unsqueeze(1).expand(S, N, -1)
        found = {"hidden": logits, "weight": torch.eye(V), "bias": torch.zeros(V)}
        return Prediction(found | ({"attention": looked} if self.looks else {}))

    def start(self, batch: Batch) -> At:
        self.batch = batch
        return At(torch.arange(len(batch.lengths)), 0)

    def step(self, tokens: Tensor, state: At) -> tuple[Tensor, At]:
        rows = [self.probabilities(self.batch, int(n), state.step) for n in state.rows]
        return torch.stack(rows).log(), At(state.rows, state.step + 1)

    def select(self, state: At, rows: Tensor) -> At:
        return At(state.rows[rows], state.step)


# -- plan --------------------------------------------------------------------------------------------------------------


LOWER = {"name": "words", "lowercase": True}


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"source_tokenizer": LOWER, "scores": "translation"}, True),
        ({"target_tokenizer": LOWER, "scores": "translation"}, True),
        ({"source_tokenizer": LOWER, "target_tokenizer": "words", "scores": "translation"}, False),
        ({"source_tokenizer": LOWER, "scores": {"name": "translation", "lowercase": True}}, False),
        ({"source_tokenizer": LOWER, "scores": "summarization"}, False),
        ({"source_tokenizer": LOWER, "scores": "exact"}, False),
    ],
)
def test_scores_with_capitals_need_a_target_with_capitals(options, refused):
    if not refused:
        TranslationConfig(**options)
        return
    with pytest.raises(ConfigError, match=r"could be right; set scores: \{name: translation, lowercase: true"):
        TranslationConfig(**options)


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ({"source": "a", "target": "a"}, ["target: is 'a', the column of source too; expected another column."]),
        ({"group": "target"}, ["group: is 'target', the column of target too; expected another column."]),
        (
            {"vocabulary": "shared", "target_tokenizer": "words", "accepted_separator": ""},
            [
                "target_tokenizer: has no effect with vocabulary: shared; leave it out.",
                "accepted_separator: has no effect without accepted; leave it out.",
                "accepted_separator: is empty; expected a text that stands between answers, such as '|'.",
            ],
        ),
    ],
)
def test_options_without_effect_are_all_named(options: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        TranslationConfig(**options)
    assert list(caught.value.problems) == problems


def test_scores_whose_package_is_missing_are_refused_with_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'sacrebleu, which is not installed; pip install "recurra\[translation\]"'):
        TranslationConfig()
    assert TranslationConfig(scores="exact").inputs[0].name == "source"


def test_each_side_has_its_vocabulary_or_both_share_one() -> None:
    task = task_of()
    assert task.sides.source.vocabulary.tokens(range(4, 7)) == ["b", "a", "c"]
    assert task.sides.target.vocabulary.tokens(range(4, 7)) == ["Y", "X", "Z"]
    shared = task_of(vocabulary="shared")
    assert shared.model_sizes == {"tokens": 10, "target": 10}
    assert task.model_sizes == {"tokens": 7, "target": 7}
    assert shared.sides.source.vocabulary.ids(["a", "X"]) == shared.sides.target.vocabulary.ids(["a", "X"])


def test_sides_may_be_cut_differently() -> None:
    task = task_of(source_tokenizer="characters", target_tokenizer={"name": "subwords", "vocab_size": 20})
    example = task.example(record("a b", "X Y"))
    assert example.source == ("a", " ", "b")
    assert example.wanted is not None
    assert task.sides.target.tokenizer.join(example.wanted.tokens) == "X Y"


def test_rows_that_are_too_long_teach_neither_words_nor_the_model() -> None:
    task = task_of(max_source_length=2, max_target_length=1)
    assert [len(reader.vocabulary) for reader in (task.sides.source, task.sides.target)] == [6, 6]  # c and a; Z and X
    examples = [task.example(row) for row in records()]
    kept, notes = task.filter(examples, "train")
    assert [example.text for example in kept] == ["c", "a"]
    assert notes == (
        "train: 2 of 4 rows were left out, because they are longer than max_source_length 2 or max_target_length 1; "
        "the first: f.tsv:2, with 2 source and 2 target tokens.",
    )
    kept, notes = task.filter(examples, "test")
    assert len(kept) == 4, "what a model is judged by is not chosen by length"
    assert notes == (
        "test: 2 of 4 sources are longer than the longest source of training (1 tokens), so the answer may be poor; "
        "the first: f.tsv:2, with 2 tokens.",
    )


def test_limits_that_leave_out_every_row_are_named_with_the_shortest_rows() -> None:
    with pytest.raises(DataError) as caught:
        task_of([("a b c", "X Y"), ("a b", "X Y Z")], max_source_length=1, max_target_length=2)
    assert str(caught.value) == (
        "f.tsv: all 2 training rows are longer than task.max_source_length 1 or task.max_target_length 2; the shortest "
        "source has 2 tokens, the shortest target 2. Set them higher, or to null."
    )
    with pytest.raises(
        DataError, match=r"longer than task\.max_source_length 1; the shortest source has 2 tokens, the"
    ):
        task_of([("a b c", "X Y"), ("a b", "X Y Z")], max_source_length=1)


# -- example -----------------------------------------------------------------------------------------------------------


def test_an_example_has_both_texts_and_their_tokens() -> None:
    task = task_of(accepted="also", group="lang", accepted_separator=";")
    example = task.example(record("a  b?", "X Y", also="X Y; Y X ;;Z", lang="de"))
    assert (example.text, example.source, example.key) == ("a  b?", ("a", "b", "?"), "a  b?")
    assert example.wanted is not None
    assert example.wanted.right == (("X", "Y"), ("Y", "X"), ("Z",))
    assert (example.wanted.text, example.wanted.group, str(example.origin)) == ("X Y", "de", "f.tsv:7")
    assert example.length == 3
    assert task.example(record("a", "X Y Z", also=["Z"], lang=1)).length == 4, "three tokens and the end"


def task_with(**options: Any) -> Translation:
    rows = [record("a", "X", also="", lang=""), record("b", "Y", also="", lang="")]
    return TranslationConfig(scores="exact", **options).fit(rows, "f.tsv")


def task_accepting() -> Translation:
    return task_with(accepted="also", group="lang", accepted_separator=";")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (record("", "X"), r"^f\.tsv:7: column 'source' is empty, expected text\. Fill it in, or set data\.on_error"),
        (record("a", " "), r"^f\.tsv:7: column 'target' is empty"),
        (record("a", 3), r"^f\.tsv:7: column 'target' holds 3, expected text"),
        (Record({"source": "a"}, Origin("f.tsv", 7)), r"^f\.tsv:7: no column 'target'"),
    ],
)
def test_a_row_without_both_texts_is_refused_by_file_and_line(row: Record, sentence: str) -> None:
    for read in (TranslationConfig(scores="exact").read, task_of().example):
        with pytest.raises(DataError, match=sentence):
            read(row)


def test_accepted_answers_that_are_no_texts_are_refused() -> None:
    with pytest.raises(DataError, match=r"^f\.tsv:7: column 'also' holds \[.Y., 2\], expected texts"):
        task_accepting().example(record("a", "X", also=["Y", 2], lang=""))


def test_to_predict_needs_only_the_source_and_takes_an_empty_one() -> None:
    example = task_of().example(Record({"source": ""}, Origin("argument")), gold=False)
    assert (example.source, example.wanted, example.length) == ((), None, 0)


# -- collate -----------------------------------------------------------------------------------------------------------


def test_a_batch_has_what_is_read_what_is_written_and_what_should_come_next() -> None:
    task = task_of()
    batch = task.collate([task.example(row) for row in records()[:2]], [4, 9])
    assert batch.inputs["tokens"].tolist() == [[5, 4], [4, 4], [0, 6]]  # a b | b b c
    assert batch.lengths.tolist() == [2, 3]
    assert batch.inputs["target"].tolist() == [[BOS, BOS], [5, 4], [4, 4], [0, 6]]  # X Y | Y Y Z
    assert batch.inputs["target_lengths"].tolist() == [3, 4]
    assert batch.targets["tokens"].tolist() == [[5, 4], [4, 4], [EOS, 6], [0, EOS]]
    assert batch.indices == (4, 9)


def test_a_model_that_copies_can_point_at_words_that_nobody_knows() -> None:
    task = task_of([("a b", "a X"), ("b", "X")])  # target vocabulary: 4 X, 5 a; size 6
    examples = [task.example(record("b zoo a zoo", "zoo X b pig")), task.example(record("a", "a"))]
    batch = task.collate(examples, [0, 1])
    assert batch.inputs["source_copy"].t().tolist() == [[6, 7, 5, 7], [5, 0, 0, 0]]
    assert batch.targets["copied"].t().tolist() == [[7, 4, 6, UNK, EOS], [5, EOS, 0, 0, 0]]
    assert batch.targets["tokens"].t().tolist()[0] == [UNK, 4, UNK, UNK, EOS]
    assert batch.inputs["target"].t().tolist()[0] == [BOS, UNK, 4, UNK, UNK]


def test_without_answers_there_are_no_targets() -> None:
    task = task_of()
    unknown = task.example(record(), gold=False)
    batch = task.collate([task.example(record()), unknown], [0, 1])
    assert batch.targets == {}
    assert set(batch.inputs) == {"tokens", "source_copy"}


# -- loss --------------------------------------------------------------------------------------------------------------


def hidden(logits: Tensor) -> dict[str, Tensor]:
    """Outputs of a model whose logits these are."""
    V = logits.shape[-1]
    return {"hidden": logits, "weight": torch.eye(V, dtype=logits.dtype), "bias": torch.zeros(V, dtype=logits.dtype)}


def test_the_loss_is_a_sum_in_nats_over_real_target_tokens(rng: np.random.Generator) -> None:
    task, smooth = task_of(), task_of(label_smoothing=0.2)
    batch = task.collate([task.example(row) for row in records()[:2]], [0, 1])
    logits = rng.normal(size=(4, 2, 7))
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = smoothed = 0.0
    for n, length in enumerate((3, 4)):
        for s in range(length):
            target = int(batch.targets["tokens"][s, n])
            expected -= log_probs[s, n, target]
            smoothed -= 0.8 * log_probs[s, n, target] + 0.2 * log_probs[s, n].mean()
    outputs = hidden(torch.tensor(logits))
    outputs["hidden"][3, 0] = math.nan  # padding
    loss = task.loss(Prediction(outputs), batch)
    assert (loss.total.item(), loss.count) == (pytest.approx(expected, abs=1e-12), 7)
    assert smooth.loss(Prediction(outputs), batch).total.item() == pytest.approx(smoothed, abs=1e-12)
    forced = forced_rows(Prediction(outputs), batch)
    assert math.fsum(row.nats for row in forced) == pytest.approx(expected, abs=1e-5)  # scored in float32
    assert [row.count for row in forced] == [3, 4]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_a_model_that_copies_is_judged_by_its_own_probabilities_and_its_coverage() -> None:
    task = task_of([("a b", "a X"), ("b", "X")])
    batch = task.collate([task.example(record("zoo", "zoo"))], [0])
    probabilities = torch.full((2, 1, 7), 1e-3)
    probabilities[0, 0, 6], probabilities[1, 0, EOS] = 0.5, 0.25
    outputs = {"log_probs": probabilities.log(), "coverage_loss": torch.tensor([[0.125], [0.5]])}
    loss = task.loss(Prediction(outputs), batch)
    assert loss.total.item() == pytest.approx(-math.log(0.5) - math.log(0.25) + 0.625)
    assert forced_rows(Prediction(outputs), batch) == [Forced(pytest.approx(-math.log(0.125)), 2, 2)]
    with pytest.raises(ConfigError, match="label_smoothing: cannot be used with a model that copies"):
        task_of(label_smoothing=0.1).loss(Prediction(outputs), batch)


# -- predict -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beam", [1, 3])
def test_the_best_answer_is_found_and_joined(beam: int) -> None:
    task = task_of(beam=beam)
    examples = [task.example(row) for row in records()]
    model = Mirror(7)
    outputs = task.predict(model, task.collate(examples, range(4)), examples)
    assert [output.best.text for output in outputs] == ["X Y", "Y Y Z", "Z", "X"]
    assert outputs[1].best.log_prob == pytest.approx(4 * math.log(0.9))
    assert outputs[1].best.score == pytest.approx(0.9)
    assert all(output.best.ended for output in outputs)
    assert outputs[0].forced == Forced(pytest.approx(-3 * math.log(0.9)), 3, 3)


def test_without_answers_nothing_is_forced() -> None:
    task = task_of()
    examples = [task.example(record("a b"), gold=False)]
    (output,) = task.predict(Mirror(7), task.collate(examples, [0]), examples)
    assert (output.forced, output.attention, output.best.text) == (None, None, "X Y")


def test_several_answers_come_best_first_and_attention_for_the_best() -> None:
    task = task_of().with_options({"beam": 4, "n_best": 3, "attention": True})
    examples = [task.example(record("a b"), gold=False), task.example(record("c"), gold=False)]
    outputs = task.predict(Mirror(7), task.collate(examples, [0, 1]), examples)
    answer = task.answer(examples[0], outputs[0]).to_dict()
    assert (answer["output"], answer["text"], len(answer["n_best"])) == ("X Y", "a b", 3)
    assert answer["n_best"][0] == {"output": "X Y", "score": answer["score"],
                                   "log_prob": pytest.approx(3 * math.log(0.9))}  # fmt: skip
    assert answer["attention"]["rows"] == ["X", "Y", "<eos>"]
    assert answer["attention"]["columns"] == ["a", "b"]
    assert answer["attention"]["weights"] == [[1, 0], [0, 1], [0, 0]]
    assert task.answer(examples[1], outputs[1]).attention.weights == ((1,), (0,))


def test_a_copied_word_is_shown_as_it_is() -> None:
    task = task_of([("a b", "a X"), ("b", "X")])

    class Copies(Mirror):
        def probabilities(self, batch: Batch, row: int, step: int) -> Tensor:
            said = [*batch.inputs["source_copy"][: int(batch.lengths[row]), row].tolist(), EOS]
            found = torch.full((8,), 0.01)
            found[said[min(step, len(said) - 1)]] = 0.93
            return found

    examples = [task.example(record("zoo a pig"), gold=False), task.example(record("a"), gold=False)]
    outputs = task.predict(Copies(8), task.collate(examples, [0, 1]), examples)
    assert [output.best.text for output in outputs] == ["zoo a pig", "a"]


def test_padding_and_starts_are_never_said() -> None:
    class Mumbles(Mirror):
        def probabilities(self, batch: Batch, row: int, step: int) -> Tensor:
            found = torch.full((7,), 0.01)
            found[PAD], found[BOS], found[4 if step < 2 else EOS] = 0.4, 0.4, 0.15
            return found

    task = task_of(beam=1)
    examples = [task.example(record("a"), gold=False)]
    (output,) = task.predict(Mumbles(7), task.collate(examples, [0]), examples)
    assert output.best.tokens == ("Y", "Y")


def test_the_longest_answer_grows_with_the_source() -> None:
    assert longest(torch.tensor([0, 1, 7]), 1.5).tolist() == [10, 12, 21]

    class Endless(Mirror):
        def probabilities(self, batch: Batch, row: int, step: int) -> Tensor:
            found = torch.full((7,), 1e-3)
            found[4] = 0.99
            return found

    task = task_of(max_length_factor=1.0)  # 7 target tokens for 7 source tokens in training
    examples = [task.example(record("a b"), gold=False), task.example(record("c"), gold=False)]
    outputs = task.predict(Endless(7), task.collate(examples, [0, 1]), examples)
    assert [len(output.best.tokens) for output in outputs] == [12, 11]
    assert task.warnings(outputs, examples)[-1] == (
        "2 of 2 answers were cut at the longest length, before the model came to an end; the first: f.tsv:7. "
        "Raise task.max_length_factor, or train longer."
    )
    answered = task.with_options({"attention": True}).predict(Endless(7), task.collate(examples, [0, 1]), examples)
    assert [len(output.attention or ()) for output in answered] == [12, 11], "no row for an end that did not come"


def test_what_a_person_should_know_beside_the_answers() -> None:
    task = task_of()
    examples = [task.example(record(text), gold=False) for text in ("a", "a zoo pig", "a b c a")]
    outputs = task.predict(Mirror(7), task.collate(examples, range(3)), examples)
    assert task.warnings(outputs, examples) == (
        "1 of 3 texts holds tokens that training never saw, which are read as unknown: 'zoo', 'pig'; "
        "the first: f.tsv:7.",
        "1 of 3 sources is longer than the longest source of training (3 tokens), so the answer may be poor; "
        "the first: f.tsv:7, with 4 tokens.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_best": 6}, "n_best: expected at most beam, which is 5, got 6. Widen the beam."),
        ({"beam": 2, "n_best": 3}, "n_best: expected at most beam, which is 2, got 3. Widen the beam."),
        ({"beam": 0}, "beam: expected a whole number from 1 to 1000, got 0."),
        ({"beam": 2.5}, "beam: expected a whole number from 1 to 1000, got 2.5."),
        (
            {"beams": 2},
            "beams: has no effect, because a translation has no such option of predict. Did you mean 'beam'?",
        ),
    ],
)
def test_options_of_predict_that_cannot_take_effect_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        task_of().with_options(options)
    assert caught.value.problems == (sentence,)


def test_attention_of_a_model_without_any_is_refused() -> None:
    task = task_of().with_options({"attention": True})
    examples = [task.example(record("a"), gold=False)]
    with pytest.raises(ConfigError, match="attention: this model has none"):
        task.predict(Mirror(7, looks=False), task.collate(examples, [0]), examples)


def test_a_source_of_nothing_has_an_answer_and_looks_at_nothing() -> None:
    task = task_of().with_options({"attention": True})
    examples = [task.example(record(""), gold=False)]
    batch = task.collate(examples, [0])
    (output,) = task.predict(Mirror(7), batch, examples)
    assert (output.best.text, output.attention) == ("", ((),))
    assert attention_of(Mirror(7), batch, [Hypothesis((), (0.0,), 0.0, True)]) == [((),)]


def test_numbers_that_are_not_finite_are_named_by_row_and_step() -> None:
    class Broken(Mirror):
        def probabilities(self, batch: Batch, row: int, step: int) -> Tensor:
            return super().probabilities(batch, row, step) * (math.nan if (row, step) == (1, 1) else 1)

    task = task_of(beam=2)
    examples = [task.example(record(text), gold=False) for text in ("a b", "b c")]
    with pytest.raises(RunError, match=r"row 1, step 2: the model's log-probabilities hold NaN"):
        task.predict(Broken(7), task.collate(examples, [0, 1]), examples)


def test_epochs_are_compared_greedily_and_the_task_stays_as_it_is() -> None:
    task = task_of(beam=4)
    assert (task.for_validation.search.beam, task.search.beam) == (1, 4)
    assert task.for_validation.sides is task.sides


# -- score -------------------------------------------------------------------------------------------------------------


def output_of(text: str, forced: Forced | None = None) -> Translated:
    return Translated((Candidate(text, tuple(text.split()), -1.0, True),), forced)


def test_scores_are_of_all_tokens_together_and_other_readings_are_no_mistakes() -> None:
    task = task_accepting()
    rows = [
        record("a", "X", also="", lang="de"),
        record("b", "Y", also="Z", lang="fr"),
        record("a", "Y", also="", lang="fr"),
    ]
    examples = [task.example(row) for row in rows]
    outputs = [output_of("X", Forced(1.0, 2, 2)), output_of("Z", Forced(2.0, 2, 1)), output_of("X", Forced(3.0, 2, 0))]
    found = {score.name: score.value for score in task.score(outputs, examples, "test")}
    assert found == {
        "exact_match": pytest.approx(2 / 3), "other_accepted": pytest.approx(1 / 3), "token_accuracy": 0.5,
        "perplexity": pytest.approx(math.e), "log_loss": 1.0,
    }  # fmt: skip
    tables = {table.caption: table for table in task.tables(outputs, examples)}
    assert tables["exact_match by lang"].columns == ("lang", "rows", "exact_match", "other_accepted")
    assert tables["exact_match by lang"].rows == (("fr", 2, 0.5, 0.5), ("de", 1, 1.0, 0.0))
    assert tables["exact_match by source length"].rows == (("1", 3, pytest.approx(2 / 3), pytest.approx(1 / 3)),)
    assert [row[2:] for row in tables["Worst examples"].rows] == [("X", "Y", 0.0)]
    assert tables["Best examples"].rows[1][2:] == ("Z", "Y", "another accepted answer")
    (chart,) = task.charts(outputs, examples)
    assert chart.curves[0].points == ((1.0, pytest.approx(2 / 3)),)


def test_a_perplexity_beyond_all_numbers_is_infinite() -> None:
    task = task_of()
    found = task.score([output_of("X", Forced(2e4, 2, 0))], [task.example(record("a", "X"))], "dev")
    assert {score.name: score.value for score in found}["perplexity"] == math.inf


def test_bleu_is_of_the_text_in_the_file_and_by_length_always() -> None:
    task = task_of([("a b c d", "The dog, again"), ("a", "dog")], scores={"name": "translation", "lowercase": True},
                   target_tokenizer={"name": "words", "lowercase": True})  # fmt: skip
    examples = [task.example(record("a b c d", "The dog, again")), task.example(record("a", "a dog barks loudly"))]
    outputs = [output_of("the dog , again"), output_of("a dog barks loudly")]
    found = {score.name: score.value for score in task.score(outputs, examples, "test")}
    assert found["bleu"] == pytest.approx(100)
    assert found["exact_match"] == 1
    assert "perplexity" not in found, "nobody saw these answers under teacher forcing"
    tables = {table.caption: table for table in task.tables(outputs, examples)}
    assert [row[:2] for row in tables["bleu by source length"].rows] == [("1", 1), ("4", 1)]
    assert "tok:13a" in str(dict(tables["BLEU in its parts"].rows)["BLEU signature"])


def test_the_usual_score_is_one_of_those_there_are() -> None:
    for kind in ("translation", "summarization", "grapheme_to_phoneme", "exact"):
        task = task_of(scores=kind)
        names = [score.name for score in task.possible_scores([task.example(row) for row in records()])]
        assert task.usual_score in names
        assert {"exact_match", "token_accuracy", "perplexity", "log_loss"} <= set(names)


def test_baselines_copy_the_source_or_write_the_most_frequent_target() -> None:
    task = task_of([("a", "X"), ("b", "X"), ("Y", "Y")])
    train = [task.example(row) for row in records([("a", "X"), ("b", "X"), ("Y", "Y")])]
    test = [task.example(row) for row in records([("X", "X"), ("b", "X"), ("Y", "Y"), ("c", "Z")])]
    compared = task.baselines(train, {"test": test})
    values = {name: {s.name: s.value for s in scores} for name, scores in compared.scores.items()}
    assert (values["copy"]["exact_match"], values["frequent"]["exact_match"]) == (0.5, 0.5)


def test_a_baseline_knows_how_frequent_each_token_is_and_nothing_else() -> None:
    task = task_of([("a", "X"), ("b", "X"), ("Y", "Y")])
    train = [task.example(row) for row in records([("a", "X"), ("b", "X"), ("Y", "Y")])]
    test = [task.example(row) for row in records([("a", "X"), ("b", "Y Z")])]
    (found,) = task.baselines(train, {"test": test}).scores["unigrams"]
    # Six entries: four special ones, X and Y. Counts and 1: X 3, Y 2, the end 4, others 1; of 6 + 6. Z is unknown.
    nats = [-math.log(count / 12) for count in (3, 4, 2, 1, 4)]
    assert (found.name, found.split, found.value) == ("log_loss", "test", pytest.approx(sum(nats) / 5))


def test_one_answer_to_five_sources_is_said() -> None:
    task = task_of()
    examples = [task.example(record(text), gold=False) for text in ("a", "b", "a b", "b a", "a a")]
    same, other = (Translated((Candidate(text, (text,), 0.0, True),)) for text in ("X", "Y"))
    (said,) = task.warnings([same] * 5, examples)
    assert said.startswith("all 5 different sources have one answer, 'X': the model does not read its source.")
    assert task.warnings([same] * 4 + [other], examples) == ()
    assert task.warnings([same] * 4, examples[:4]) == ()


def test_heads_are_shown_by_layer_with_a_table_of_what_they_do() -> None:
    torch.manual_seed(0)
    task, attention = task_of(), {"name": "transformer", "hidden_size": 8, "num_heads": 2}
    inputs = {"name": "tokens", "embedding_size": 8}
    model = EncoderDecoder(task.model_sizes, inputs=inputs, encoder=attention, decoder=attention).eval()
    with torch.no_grad():
        model.decoder.output.bias[EOS] = -20.0  # an answer of several tokens
    found = task.explain(model, task.example(record("a b")), torch.device("cpu"))
    names = [f"Attention of layer {layer}, head {head}" for layer in (1, 2) for head in (1, 2)]
    assert [one.title for one in found.maps] == ["Attention: what each token of the answer looked at", *names]
    assert all(len(one.rows) > 2 and one.columns == ("a", "b") for one in found.maps)
    (table,) = found.tables
    assert (table.caption, [row[:2] for row in table.rows]) == (
        "Heads of attention", [(1, 1), (1, 2), (2, 1), (2, 2)],
    )  # fmt: skip


def test_facts_have_the_sizes_of_both_sides() -> None:
    task = task_of()
    facts = task.facts({"dev": [task.example(record("a zz", "X Y Q Q"))]})
    assert facts == {
        "source vocabulary": 7, "target vocabulary": 7, "dev rows": 1, "dev source tokens": 2,
        "dev unknown source tokens": "50.00%", "dev target tokens": 4, "dev unknown target tokens": "50.00%",
    }  # fmt: skip


def test_a_row_whose_group_is_null_has_none_as_one_whose_cell_is_empty() -> None:
    task = task_with(group="lang")
    groups = (None, "", "de")
    examples = [task.example(record("a", "X", lang=group, also="")) for group in groups]
    assert [wanted(example).group for example in examples] == ["", "", "de"]
    pairs = [Pair("X", "X", ("X",))] * 3
    rows = by_group(task.kind, pairs, examples, "lang").rows
    assert sorted(row[:2] for row in rows) == [("(none)", 2), ("de", 1)]


def test_pictures_are_of_examples_of_different_groups() -> None:
    task = task_with(group="lang")
    rows = [record("a", "X", lang="de", also=""), record("b", "Y", lang="de", also=""),
            record("a b", "X Y", lang="fr", also="")]  # fmt: skip
    examples = [task.example(row) for row in rows]
    maps = task.pictures(Mirror(6), examples, torch.device("cpu"))
    assert [one.title.partition(" ← ")[2] for one in maps] == ["a", "a b", "b"], "de, fr, then the next one"
    assert (maps[0].columns, maps[0].rows[-1], len(maps[0].weights)) == (("a",), "<eos>", 2)
    assert task.pictures(Mirror(6, looks=False), examples, torch.device("cpu")) == ()


# -- to a run folder and back ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vocabulary", ["separate", "shared"])
def test_a_stored_task_reads_and_writes_as_before(vocabulary: Any) -> None:
    plan = TranslationConfig(scores="exact", vocabulary=vocabulary)
    task = plan.fit(records(), "f.tsv")
    back = plan.restore(json.loads(json.dumps(task.to_json())), "task.json")
    assert back.to_json() == task.to_json()
    assert back.model_sizes == task.model_sizes
    example = task.example(record("a b zoo"))
    assert back.example(record("a b zoo")) == example
    for name, tensor in task.collate([example], [0]).inputs.items():
        assert torch.equal(back.collate([example], [0]).inputs[name], tensor)
    assert (back.sides.longest, back.sides.ratio) == (3, 1.0)


@pytest.mark.parametrize(
    "change",
    [{"source": None}, {"source": {}}, {"target": 3}, {"longest": -1}, {"longest": "3"}, {"longest": None},
     {"ratio": -0.5}, {"ratio": "1"}, {"ratio": 1e12}, {"ratio": math.nan}],
)  # fmt: skip
def test_a_stored_task_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    stored = task_of().to_json()
    with pytest.raises(RunError, match=r"^task\.json: expected "):
        TranslationConfig(scores="exact").restore({"sides": {**stored["sides"], **change}}, "task.json")
    with pytest.raises(RunError, match=r"^task\.json: expected the two sides"):
        TranslationConfig(scores="exact").restore({"labels": ["a"]}, "task.json")


def test_the_task_is_registered() -> None:
    assert TASKS["translation"] is TranslationConfig


# -- how answers are written -------------------------------------------------------------------------------------------

RAW = [("a", "Deux chiens, à la plage."), ("b", "Qui est là ?"), ("c", "Il dit : viens, vite.")]
CUT = [("a", "deux chiens , à la plage ."), ("b", "l' eau , est là ."), ("c", "il dit , viens .")]


def answering(rows: list[tuple[str, str]], said: list[str], **options: Any) -> tuple[Any, list[str], tuple[str, ...]]:
    """The task that was fitted to these rows, what it makes of answers that a model said, and its remarks."""
    records = [Record({"source": one, "target": other}, Origin("d", n)) for n, (one, other) in enumerate(rows)]
    task = TranslationConfig(scores="exact").fit(records, "d").with_options(options)
    examples = [task.example(Record({"source": "a"}, Origin("t", n)), gold=False) for n, _ in enumerate(said)]
    outputs = [Translated((Candidate(text, tuple(text.split()), -0.5, True),)) for text in said]
    return (
        task,
        [task.answer(e, o).output for e, o in zip(examples, outputs, strict=True)],
        task.warnings(outputs, examples),
    )


def test_an_answer_is_put_together_as_the_targets_of_training_were_written() -> None:
    task, shown, warnings = answering(RAW, ["chiens , viens .", "est - ce vite ?", "là : vite"])
    assert shown == ["chiens, viens.", "est - ce vite ?", "là : vite"]
    assert warnings == ()
    back = TranslationConfig(scores="exact").restore(json.loads(json.dumps(task.to_json())), "task.json")
    assert back.shown("chiens , viens .") == "chiens, viens."
    with pytest.raises(ConfigError, match=r"^join: has no effect, because the targets of training are not tokenised"):
        task.with_options({"join": True})


def test_several_answers_are_put_together_too() -> None:
    task, _, _ = answering(RAW, [])
    asked = task.with_options({"beam": 2, "n_best": 2})
    example = asked.example(Record({"source": "a"}, Origin("t")), gold=False)
    found = Translated(tuple(Candidate(text, ("x",), -0.5, True) for text in ("là .", "là , là")))
    assert [one.output for one in asked.answer(example, found).n_best] == ["là.", "là, là"]


def test_scores_are_of_the_answer_as_the_tokenizer_joins_it() -> None:
    """So that figures that were published stay what they are."""
    task, _, _ = answering(RAW, [])
    example = task.example(Record({"source": "a", "target": "là, là."}, Origin("t")))
    outputs = [Translated((Candidate(text, ("x",), -0.5, True),)) for text in ("là , là .", "là, là.")]
    exact = [{s.name: s.value for s in task.score([o], [example], "test")}["exact_match"] for o in outputs]
    assert exact == [1.0, 0.0]


def test_answers_stay_tokenised_where_training_is_and_that_is_said() -> None:
    said = ["chiens , l' eau ."]
    _, shown, warnings = answering(CUT, said)
    assert shown == said
    assert len(warnings) == 1
    assert warnings[0].startswith("the targets of training are tokenised, with spaces before full stops and commas")
    assert answering(CUT, said, join=True)[1:] == (["chiens, l'eau."], ())


def test_a_run_of_before_answers_as_it_did() -> None:
    task, _, _ = answering(RAW, [])
    stored = task.to_json()
    del stored["sides"]["joining"]
    back = TranslationConfig(scores="exact").restore(stored, "task.json")
    assert back.shown("là , là .") == "là , là ."
    with pytest.raises(ConfigError, match="join: this run does not know how its targets were written"):
        back.with_options({"join": True})


def test_the_digest_of_a_pair_changes_with_all_that_scores_read() -> None:
    """Case is not learned from here, and an accepted answer never is; both decide which epoch is kept."""
    task = task_of(accepted="also", target_tokenizer={"name": "words", "lowercase": True})
    rows = [record(also=["X Y"]), record(target="x y", also=["X Y"]), record(also=["X Y", "Y"])]
    assert len({task.example(one).digest() for one in rows}) == 3
    assert task.example(record(also=["X Y"], line=9)).digest() == task.example(rows[0]).digest()


LEARNED = {"name": "transformer", "hidden_size": 8, "num_heads": 2, "positions": "learned", "max_positions": 5}


@pytest.mark.parametrize("beam", [1, 2])
def test_an_answer_that_does_not_end_is_cut_where_the_positions_end_and_shows_what_it_looked_at(beam: int) -> None:
    task = task_of().with_options({"beam": beam, "attention": True})
    model = EncoderDecoder(task.model_sizes, decoder=LEARNED).eval()
    with torch.no_grad():
        cast(Any, model.decoder).output.bias[EOS] = -50.0
    examples = [task.example(record("a b"), gold=False)]
    with torch.inference_mode():
        (output,) = task.predict(model, task.collate(examples, [0]), examples)
    assert (len(output.best.tokens), output.best.ended, len(output.attention or ())) == (5, False, 5)
