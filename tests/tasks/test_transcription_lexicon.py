"""Transcription by pronunciations: texts are words, units are what they are said by, answers are words."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.lexicons import Lexicon
from recurra.decode.fusion import Fusion
from recurra.decode.ngrams import NGrams
from recurra.tasks import Transcription, TranscriptionConfig
from recurra.tasks.sizing import Seen
from tasks.test_transcription_task import model_for, parts_of

RNG = np.random.default_rng(5)
FRAMES = [RNG.normal(size=(n, 4)).astype(np.float32) for n in (20, 14, 22, 16)]
WORDS = "One W AH1 N\nWON W AH1 N\nto T UW1\nto(2) T AH0\nto-do T UW0 D UW1\nand AE1 N D\na.m. EY1 EH1 M\n"
ARPA = """\\data\\
ngram 1=4
ngram 2=1
\\1-grams:
-9 <s>
-0.5 </s>
-0.4 one
-0.6 won -0.3
\\2-grams:
-0.1 won one
\\end\\
"""


@pytest.fixture
def words(tmp_path: Path) -> Path:
    (tmp_path / "words.dict").write_text(WORDS, encoding="utf-8")
    return tmp_path / "words.dict"


def record(number: int, text: str) -> Record:
    return Record({"audio": FRAMES[number], "text": text}, Origin("s.csv", number + 2))


def records() -> list[Record]:
    return [record(n, text) for n, text in enumerate(("One, to one", "to one", "and One", "won strange"))]


def plan(words: Path, **options: Any) -> TranscriptionConfig:
    usual = {"stack": 2, "tokenizer": "spaces", "case": "lower", "punctuation": "drop", "stress": "drop"}
    return TranscriptionConfig(lexicon=str(words), **{**usual, **options})


@pytest.fixture
def task(words: Path) -> Transcription:
    return plan(words).fit(records(), "s.csv")


def test_units_are_those_of_the_first_way_of_each_word(task: Transcription, words: Path) -> None:
    assert task.units.units == ("AE", "AH", "D", "N", "T", "UW", "W")
    example = task.example(record(0, "One, to one"))
    assert task.units.text(example.units) == "W AH N T UW W AH N"
    assert example.text == "one to one"
    stressed = plan(words, stress="keep").fit(records(), "s.csv")
    assert stressed.units.units == ("AE1", "AH1", "D", "N", "T", "UW1", "W")
    # A compound has its own way, or those of its parts.
    assert task.units.text(task.example(record(0, "to-do one-and")).units) == "T UW D UW W AH N AE N D"


def test_other_pronunciations_are_other_data(task: Transcription, words: Path, tmp_path: Path) -> None:
    """A run that is resumed must find the same units."""
    (tmp_path / "other.dict").write_text(WORDS.replace("One W AH1 N", "One AH1 N"))
    other = plan(tmp_path / "other.dict").fit(records(), "s.csv")
    assert other.units.units == task.units.units
    one, same, two = (
        some.example(record(0, "to one")).digest() for some in (task, plan(words).fit(records(), "s.csv"), other)
    )
    assert one == same != two


def test_words_without_a_pronunciation_are_named_and_left_out_of_training_alone(task: Transcription) -> None:
    examples = [task.example(one) for one in records()]
    assert [e.strange for e in examples] == [(), (), (), ("strange",)]
    kept, notes = task.filter(examples, "train")
    assert list(kept) == examples[:3]
    left = "train: 1 of 4 recordings is of words without a pronunciation in the lexicon, and left out of training"
    assert f"{left}; the first: s.csv:5: 'strange'." in notes
    # "to(2)" and "to-do" are said with units of training; "a.m." is two words.
    assert any(note.startswith("task.lexicon: 5 words can be said with these units, of 5; answers") for note in notes)
    assert any(note.startswith("task.lexicon: 1 lines are left out, as with case lower") for note in notes)
    kept, notes = task.filter(examples, "dev")
    assert list(kept) == examples
    assert any("dev: 1 of 4 recordings is of words without a pronunciation" in note for note in notes)


def answered(task: Transcription, frames: list[str], number: int = 0) -> Any:
    """The output for a recording whose steps say these units."""
    example = task.example(record(number, "one to one"))
    at = [0 if one == "-" else task.units.places[one] for one in frames]
    logits = torch.full((example.heard, 1, len(task.units)), -9.0)
    logits[torch.arange(example.heard), 0, torch.tensor([*at, *[0] * (example.heard - len(at))])] = 9.0
    batch = task.collate([example], [0])

    class Says(torch.nn.Module):
        def forward(self, batch: Any) -> Any:
            return type("Prediction", (), {"outputs": {"logits": logits}})()

    return example, task.predict(Says(), batch, [example])[0]


SAID = ["W", "AH", "N", "-", "T", "UW", "W", "AH", "N"]


def test_answers_are_words_with_their_times(task: Transcription, tmp_path: Path) -> None:
    example, said = answered(task, SAID)
    answer = task.answer(example, said)
    assert [word.word for word in answer.words] == answer.output.split() == ["one", "to", "one"]
    assert [(word.start, word.end) for word in answer.words] == [(0.0, 0.06), (0.08, 0.12), (0.12, 0.18)]
    assert task.units.text(said.phones) == "W AH N T UW W AH N"
    (tmp_path / "words.arpa").write_text(ARPA)
    lm = Fusion(NGrams.read(tmp_path / "words.arpa"), "word", 1.0, 5.0)
    assert answered(task.with_options({"lm": lm, "lexicon": small(tmp_path)}), SAID[:3])[1].text == "one"
    assert answered(task.with_options({"hot_words": {"Won": 3.0}}), SAID)[1].text == "won to won"


def small(folder: Path, text: str = "one W AH N\nwon W AH N\n") -> Lexicon:
    (folder / "small.dict").write_text(text)
    return Lexicon.read(folder / "small.dict")


def test_another_lexicon_takes_the_place_of_the_runs_own(task: Transcription, tmp_path: Path) -> None:
    other = task.with_options({"lexicon": small(tmp_path, "ONETO W AH N T UW\nx Q\nread 1\n")})
    assert answered(other, SAID)[1].text == "oneto"
    assert other.with_options({"beam": 3}).decoding.lexicon is other.decoding.lexicon  # is kept
    with pytest.raises(DataError, match=r"small.dict:2: 'and' has no pronunciation"):
        task.with_options({"lexicon": small(tmp_path, "one W AH N\nand\n")})
    with pytest.raises(ConfigError, match="none of its words can be said with the units of training"):
        task.with_options({"lexicon": small(tmp_path, "one Q\n")})
    with pytest.raises(ConfigError, match="hears units of pronunciations; expected the path of a file"):
        task.with_options({"lexicon": ["one", "two"]})


def test_a_beam_of_one_hears_units_and_epochs_are_compared_by_them(task: Transcription) -> None:
    assert task.beam == 64
    quick = task.for_validation
    assert quick.beam == 1
    assert quick.usual_score == "per"
    example, said = answered(quick, [*SAID[:3], "-", "T", "AH", "W", "AH", "N"])
    assert said.text == "W AH N T AH W AH N"
    scores = {one.name: one.value for one in quick.score([said], [example], "dev")}
    assert scores["per"] == 1 / 8
    assert set(scores) == {"per", "blank_share", "length_ratio", "unit_nats"}
    assert scores["length_ratio"] == 1.0
    (worst,) = (table for table in quick.tables([said], [example]) if table.caption == "The worst recordings")
    assert worst.rows[0][:3] == ("W AH N T UW W AH N", "W AH N T AH W AH N", 1)
    example, said = answered(task, [*SAID[:3], "-", "T", "AH", "W", "AH", "N"])
    scores = {one.name: one.value for one in task.score([said], [example], "dev")}
    assert scores["wer"] == 0.0  # "to" has this way too
    assert scores["per"] == 1 / 8
    known = {one.name for one in task.possible_scores([example])}
    assert known == {"per", "unit_nats"}
    perfect = task.perfect([example])
    assert {one.name: one.value for one in task.score(perfect, [example], "dev")}["wer"] == 0.0
    # What has a word without a pronunciation is no reference of units.
    strange = task.example(record(3, "won strange"))
    assert {one.name: one.value for one in task.score([said], [strange], "dev")}["per"] == 0.0


def test_a_row_says_the_same_alone_and_in_a_batch(task: Transcription) -> None:
    model, examples = model_for(task), [task.example(one) for one in records()]
    together = task.predict(model, task.collate(examples, range(4)), examples)
    for n, example in enumerate(examples):
        (alone,) = task.predict(model, task.collate([example], [0]), [example])
        assert (alone.text, alone.phones) == (together[n].text, together[n].phones)


def test_a_task_comes_back_from_json_with_its_words(task: Transcription, words: Path) -> None:
    data = json.loads(json.dumps(task.to_json()))
    words.unlink()  # the run needs it no more
    again = task.plan.restore(data, "run")
    assert again.to_json() == task.to_json()
    assert answered(again, SAID)[1].text == "one to one"
    bad: list[Any] = [{"lines": 3}, {"lines": "one 0.0"}, {"lines": "one x W"}, {"lines": "one 0.5 W"}]
    bad += [{"lines": "one -inf W"}, {"lines": "one 0.0  W"}, {"texts": 10**400}]
    for part in (*bad, {"counts": "one"}, {"counts": "one 0"}, {"counts": "one -1"}, {"texts": -1}, {"texts": "1"}):
        with pytest.raises(RunError, match="run: expected scales and units of speech"):
            task.plan.restore({**data, "lexicon": {**data["lexicon"], **part}}, "run")
    with pytest.raises(RunError, match="run: expected scales and units of speech"):
        task.plan.restore({**data, "lexicon": None}, "run")


def test_what_no_answer_can_have_is_not_said_to_be_right(words: Path) -> None:
    """Compounds are answered as their parts; training has no unit of "to" here."""
    task = plan(words).fit([record(0, "and one")], "s.csv")
    examples = [task.example(record(0, text)) for text in ("one-and strange to one", "won and")]
    assert [e.strange for e in examples] == [("strange", "T", "UW"), ()]
    assert task.example(record(0, "one-strange and")).strange == ("one-strange",)  # not said in part
    assert [one.text for one in task.perfect(examples)] == ["one and one", "won and"]
    what = "words without a pronunciation in the lexicon, or with units that no training text has"
    assert task.doubts(examples, ())[0].startswith(f"1 of 2 texts hold {what}; the first: s.csv:2: 'strange', 'T'")
    assert (
        f"dev: 1 of 2 recordings is of {what}, and cannot be got right; the first: s.csv:2: 'strange', 'T', 'UW'."
        in (task.filter(examples, "dev")[1])
    )


def test_ways_that_are_one_without_stress_count_as_the_likeliest_of_them(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("to 0.25 T UW0\nto 0.5 T UW1\nto 1.0 T AH0\n")
    task = plan(tmp_path / "p.txt").fit([record(0, "to")], "s.csv")
    assert task.lexicon is not None
    assert task.units.units == ("T", "UW")  # the first way of the file is what is learned
    assert task.lexicon.ways(task.units) == {"to": [((1, 2), math.log(0.5))]}


def test_probabilities_of_ways_count(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("to 0.01 T UW\ntwo 1.0 T UW\n")
    task = plan(tmp_path / "p.txt").fit([record(0, "to two")], "s.csv")
    assert answered(task, ["T", "UW"])[1].text == "two"
    assert task.lexicon is not None
    assert task.lexicon.ways(task.units)["to"] == [((1, 2), math.log(0.01))]


def test_requests_share_the_tree_and_what_words_are_worth(task: Transcription, tmp_path: Path) -> None:
    """Making them takes seconds of a large dictionary."""
    (tmp_path / "words.arpa").write_text(ARPA)
    lm = Fusion(NGrams.read(tmp_path / "words.arpa"), "word")
    for given in ({}, {"lm": lm}):
        one, two = (task.with_options({"beam": beam, **given}).decoding.spoken for beam in (3, 4))
        hot = task.with_options({"hot_words": {"one": 2.0}, **given}).decoding.spoken
        assert one is not None
        assert two is not None
        assert hot is not None
        assert one() is two()
        assert hot().tree is one().tree
    assert task.for_validation.beam == task.with_options({"lm": lm}).for_validation.beam == 1


def test_without_a_language_model_words_count_as_often_as_training_texts_have_them(words: Path) -> None:
    texts = ("won", "won won", "one to-and", "strange to")
    task = plan(words).fit([record(n, text) for n, text in enumerate(texts)], "s.csv")
    assert answered(task, SAID[:3])[1].text == "won"
    assert task.lexicon is not None
    usual: Any = task.lexicon.usual.scores
    # Of 7 words and 4 ends, of 4 and 1 kinds: 11 tokens, and 5 of 16 parts are left to those that were not seen.
    assert usual.alone("won") == pytest.approx(math.log(3 / 16))
    assert usual.alone("and") == pytest.approx(math.log(1 / 16))
    assert usual.end([None]) == [pytest.approx(math.log(4 / 16))]
    assert usual.alone("to-do") == pytest.approx(math.log(5 / 16))
    assert not usual.knows("to-do")
    spoken = task.decoding.spoken
    assert spoken is not None
    # Known are "one", "won", "to" and "and": "to-do" is alone with what is left.
    assert spoken().closed([(spoken().start(), "to-do", 0.0)])[0][0] == pytest.approx(0.7 * math.log(5 / 16))


def test_what_has_no_effect_or_cannot_be_is_refused(task: Transcription, words: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"units of a lexicon stand between spaces; set task\.tokenizer: spaces"):
        plan(words, tokenizer="characters")
    with pytest.raises(ConfigError, match="stress: has no effect without lexicon"):
        TranscriptionConfig(stress="drop")
    for head in ("transducer", "attention"):
        with pytest.raises(ConfigError, match=f"need model.head: ctc, and this is {head}"):
            plan(words).for_model(parts_of(head))
    with pytest.raises(ConfigError, match="'strange' has no pronunciation in the lexicon"):
        task.with_options({"hot_words": {"strange": 1.0}})
    (tmp_path / "words.arpa").write_text(ARPA)
    ngrams = NGrams.read(tmp_path / "words.arpa")
    with pytest.raises(ConfigError, match="judges units, and this run says words by their pronunciations"):
        task.with_options({"lm": Fusion(ngrams, "unit")})
    with pytest.raises(ConfigError, match="have no effect with a beam of 1"):
        task.with_options({"beam": 1, "lm": Fusion(ngrams, "word")})
    other = small(tmp_path, "one W AH N\nread Q\n")
    with pytest.raises(ConfigError, match="'read' needs units that no training text has"):
        task.with_options({"lexicon": other, "hot_words": {"read": 1.0}})
    with pytest.raises(DataError, match="nothing is said in any recording"):
        plan(words).fit([record(0, "")], "s.csv")
    with pytest.raises(
        DataError, match=r"s.csv: column 'text': no word has a pronunciation in .*words.dict; the first"
    ):
        plan(words).fit([record(0, "strange")], "s.csv")
    (tmp_path / "none.dict").write_text("a.m. EY EH M\n")
    with pytest.raises(ConfigError, match="none of its words is one to the run"):
        plan(tmp_path / "none.dict").fit(records(), "s.csv")


def test_words_are_not_streamed_and_units_are(words: Path) -> None:
    task = plan(words, scaling="running").fit(records(), "s.csv")
    model = model_for(task, bidirectional=False)
    with pytest.raises(ConfigError, match="when the whole recording was heard; with a beam of 1 its units are heard"):
        task.predictor(model)
    place = task.with_options({"beam": 1}).predictor(model).begin()
    assert place.final == ()


def test_init_finds_how_texts_are_to_be_read(words: Path) -> None:
    rows = [Record({"audio": FRAMES[0], "text": text}, Origin("s.csv", 2)) for text in ("One, to WON.", "And one")]
    options = {"audio": "audio", "text": "text", **TranscriptionConfig.by_lexicon(str(words))}
    found = {one.path: one.value for one in TranscriptionConfig.sized(options, Seen(rows, 2))}
    assert found["task.case"] == "lower"
    assert found["task.punctuation"] == "drop"
    assert found["task.stress"] == "drop"
    assert found["task.stack"] == 1  # 40 frames for 14 units
    assert "task.tokenizer" not in found
    plain = [Record({"audio": FRAMES[0], "text": "to and"}, Origin("s.csv", 2))]
    found = {one.path: one.value for one in TranscriptionConfig.sized(options, Seen(plain, 1))}
    assert "task.case" not in found
    assert "task.punctuation" not in found
