"""Scores of written answers: by hand, and against the papers' formulas written out."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter

import pytest

from recurra.base.errors import ConfigError
from recurra.metrics import SEQUENCE_SCORES, Pair, exact_scores, length_bins, main_score
from recurra.metrics.sequences import edit_distance


def pair(output: str, reference: str, *accepted: str) -> Pair:
    return Pair(output, reference, (reference, *accepted))


def values(kind: str, pairs: list[Pair], **options: object) -> dict[str, float]:
    return {score.name: score.value for score in SEQUENCE_SCORES[kind](**options).scores(pairs, "test")}


# "the cat sat" lacks two words of five; "a dog ran on" has one too many in the middle.
TWO = [pair("the cat sat", "the cat sat on mats"), pair("a dog ran on", "a dog on")]


def bleu_by_hand(pairs: list[Pair]) -> float:
    """Papineni et al. 2002, eq. for corpora, with sacrebleu's exponential smoothing of precisions that are zero."""
    logs, halvings = [], 0
    for n in (1, 2, 3, 4):
        hits = total = 0
        for one in pairs:
            said, should = (
                Counter(tuple(w[i : i + n]) for i in range(len(w) - n + 1))
                for w in (one.output.split(), one.reference.split())
            )
            hits, total = hits + sum((said & should).values()), total + sum(said.values())
        halvings += hits == 0
        logs.append(math.log(hits / total if hits else 1 / (2**halvings * total)))
    written = sum(len(one.output.split()) for one in pairs)
    wanted = sum(len(one.reference.split()) for one in pairs)
    return 100 * min(1.0, math.exp(1 - wanted / written)) * math.exp(sum(logs) / 4)


def test_bleu_is_that_of_the_paper():
    assert values("translation", TWO)["bleu"] == pytest.approx(bleu_by_hand(TWO), abs=1e-9)
    assert values("translation", [pair("a b c d", "a b c d")])["bleu"] == pytest.approx(100)
    assert values("translation", [pair("", "a b c d")])["bleu"] == 0


def test_chrf_is_the_f2_of_character_n_grams():
    # One character of two is right (F 1/2), no pair of the one is; orders without n-grams on both sides do not count.
    assert values("translation", [pair("ab", "ac")])["chrf"] == pytest.approx(100 * (0.5 + 0) / 2)


def test_bleu_comes_with_its_parts_and_signature():
    (table,) = SEQUENCE_SCORES["translation"](lowercase=True, tokenize="none").tables(TWO)
    rows = dict(table.rows)
    assert rows["precision of 1-grams, %"] == round(100 * 6 / 7, 2)
    assert rows["precision of 2-grams, %"] == round(100 * 3 / 5, 2)
    assert rows["brevity penalty"] == round(math.exp(1 - 8 / 7), 4)
    assert (rows["tokens written"], rows["tokens of the references"]) == (7, 8)
    assert "case:lc" in str(rows["BLEU signature"])
    assert "tok:none" in str(rows["BLEU signature"])
    assert "version:" in str(rows["chrF signature"])


def test_case_and_cutting_are_options():
    loud = [pair("The dog barks , loudly", "the dog barks, loudly")]
    assert (
        values("translation", loud)["bleu"] < values("translation", loud, lowercase=True)["bleu"] == pytest.approx(100)
    )
    assert values("translation", loud, lowercase=True, tokenize="none")["bleu"] < 100


def test_rouge_is_the_mean_f1_of_rows():
    found = values("summarization", TWO)
    # Row 1: 3 hits of 3 written and 5 wanted; row 2: 3 of 4 and 3; bigrams 2/2, 2/4 and 1/3, 1/2.
    assert found["rouge1"] == pytest.approx(((2 * 3 / 8) + (2 * 3 / 7)) / 2)
    assert found["rouge2"] == pytest.approx(((2 * 2 / 6) + (2 * 1 / 5)) / 2)
    assert found["rougeL"] == pytest.approx(((2 * 3 / 8) + (2 * 3 / 7)) / 2)


def test_rouge_reads_other_scripts_only_if_told_to():
    greek = [pair("ένα δύο", "ένα δύο τρία")]
    assert values("summarization", greek)["rouge1"] == 0
    assert values("summarization", greek, words="any")["rouge1"] == pytest.approx(2 * 2 / 5)
    stems = [pair("running dogs", "run dog")]
    assert values("summarization", stems)["rouge1"] == 0
    assert values("summarization", stems, stemmer=True)["rouge1"] == 1
    with pytest.raises(ConfigError, match="stemmer: has no effect with words: any"):
        SEQUENCE_SCORES["summarization"](words="any", stemmer=True)


def test_wer_counts_words_with_a_mistake_and_per_counts_edits_per_phone():
    rows = [pair("a b", "a b"), pair("a x c", "a b c d"), pair("", "a"), pair("k i", "c i", "k i")]
    found = values("grapheme_to_phoneme", rows)
    assert found["wer"] == 2 / 4
    assert found["per"] == pytest.approx((0 + 2 + 1 + 0) / (2 + 4 + 1 + 2))


def test_another_accepted_answer_is_right_and_is_counted_apart():
    rows = [pair("x", "x"), pair("y", "x", "y"), pair("z", "x", "y"), pair("z", "x")]
    found = {score.name: score for score in exact_scores(rows, "dev")}
    assert (found["exact_match"].value, found["other_accepted"].value) == (0.5, 0.25)
    assert found["other_accepted"].better == "neither"
    assert [score.name for score in exact_scores([pair("x", "x")], "dev")] == ["exact_match"]


def test_exactness_is_of_the_text_as_the_model_would_write_it():
    assert exact_scores([Pair("a , b", "A, b", ("a , b",))], "dev")[0].value == 1


@pytest.mark.parametrize(("kind", "name"), [("translation", "bleu"), ("summarization", "rougeL"),
                                           ("grapheme_to_phoneme", "wer"), ("exact", "exact_match")])  # fmt: skip
def test_each_kind_has_a_score_that_counts_and_a_quality_of_one_row(kind: str, name: str):
    made = SEQUENCE_SCORES[kind]()
    assert main_score(made, TWO).name == name == made.main
    assert made.quality(pair("a b c", "a b c")) == pytest.approx(1)
    assert 0 < made.quality(pair("a b x", "a b c")) < 1
    assert made.quality(pair("", "a b c")) == 0


@pytest.mark.parametrize(("package", "kind"), [("sacrebleu", "translation"), ("rouge_score", "summarization"),
                                              ("jiwer", "grapheme_to_phoneme")])  # fmt: skip
def test_a_package_that_is_missing_is_named_with_the_way_to_get_it(
    package: str, kind: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"{kind} needs {package}, .*pip install \"recurra\[translation\]\""):
        SEQUENCE_SCORES[kind]()
    assert SEQUENCE_SCORES["exact"]()


EDITS = [("", "", 0), ("kitten", "sitting", 3), ("abc", "", 3), ("ab", "ba", 2), ("a", "ab", 1)]


@pytest.mark.parametrize(("first", "second", "edits"), EDITS)
def test_edits_are_counted(first: str, second: str, edits: int):
    assert edit_distance(first, second) == edits == edit_distance(second, first)


@pytest.mark.parametrize(
    ("lengths", "bins"),
    [
        ([3], [(3, 3)]),
        ([1, 8], [(k, k) for k in range(1, 9)]),
        ([1, 9], [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10)]),
        ([4, 40], [(1, 5), (6, 10), (11, 15), (16, 20), (21, 25), (26, 30), (31, 35), (36, 40)]),
        ([0, 5, 30], [(0, 0), (1, 5), (6, 10), (11, 15), (16, 20), (21, 25), (26, 30)]),
        ([4, 41], [(1, 10), (11, 20), (21, 30), (31, 40), (41, 50)]),
    ],
)
def test_lengths_fall_into_a_few_round_bins(lengths: list[int], bins: list[tuple[int, int]]):
    assert length_bins(lengths) == bins


def test_heavy_packages_are_imported_only_where_they_are_used():
    code = "import sys, recurra.metrics; print({'sacrebleu', 'rouge_score', 'jiwer'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"


# -- scripts of the world ----------------------------------------------------------------------------------------------


def rouge(output: str, reference: str, **options: object) -> dict[str, float]:
    pytest.importorskip("rouge_score", reason="rouge_score is not installed; it comes with recurra[test]")
    return values("summarization", [pair(output, reference)], words="any", **options)


def test_rouge_of_any_words_tells_vowel_signs_apart() -> None:
    # Devanagari "ki" and "kī": one letter, two vowel signs; the words differ, so nothing is shared.
    assert rouge("कि", "की")["rouge1"] == 0
    assert rouge("हिन्दी में", "हिन्दी में") == {"rougeL": 1, "rouge1": 1, "rouge2": 1}


def test_rouge_of_any_words_cuts_scripts_without_spaces_by_character() -> None:
    # 我 and 爱 of four characters each; 我爱 is one of three pairs.
    assert rouge("我爱北京", "我爱上海") == {"rougeL": 0.5, "rouge1": 0.5, "rouge2": pytest.approx(1 / 3)}
    # Katakana and Thai likewise: 2 of 3 characters, 1 of 2 (a letter with its marks is one).
    assert rouge("カメラ", "カメロ")["rouge1"] == pytest.approx(2 / 3)
    assert rouge("ที่นี่", "ที่นั่")["rouge1"] == 0.5


def test_rouge_of_any_words_reads_other_words_as_before() -> None:
    assert rouge("The cat_1 sat, really", "the cat_1 ran")["rouge1"] == pytest.approx(2 * 2 / (4 + 3))


def doubts(kind: str, references: list[str], **options: object) -> tuple[str, ...]:
    for package in ("sacrebleu", "rouge_score", "jiwer"):
        pytest.importorskip(package, reason=f"{package} is not installed; it comes with recurra[test]")
    return SEQUENCE_SCORES[kind](**options).doubts([pair(text, text) for text in references])


def test_english_words_of_rouge_are_doubted_on_another_alphabet() -> None:
    (sentence,) = doubts("summarization", ["мама мыла раму", "Москва 2024"])
    assert sentence == (
        "ROUGE with words: english counts a-z and 0-9 alone, and 0 % of the letters of the references are a-z; set "
        "task.scores: {name: summarization, words: any}."
    )
    assert doubts("summarization", ["мама мыла раму"], words="any") == ()
    assert doubts("summarization", ["le café était agréable"]) == ()


def test_bleu_is_doubted_where_no_reference_has_four_tokens() -> None:
    (sentence,) = doubts("translation", ["a b c", "d e"])
    assert sentence.startswith("BLEU counts runs of four tokens, and none of 2 references has as many")
    assert doubts("translation", ["a b c", "d e f g"]) == ()


@pytest.mark.parametrize("text", ["我们今天去北京看长城,明天去上海。", "今日はとても良い天気ですね", "วันนี้อากาศดีมาก"])
def test_bleu_is_doubted_where_a_sentence_without_spaces_is_a_word(text: str) -> None:
    found = doubts("translation", [text] * 3)
    assert any("tokenize: 13a" in one and "tokenize: char" in one for one in found)
    assert doubts("translation", [text] * 3, tokenize="char") == ()
    assert doubts("translation", ["서울은 대한민국의 수도 이다"]) == ()


def test_bleu_of_chinese_that_is_cut_into_words_is_not_doubted() -> None:
    assert doubts("translation", ["我们 今天 去 北京 看 长城"], tokenize="none") == ()


def test_phone_errors_are_doubted_where_no_reference_has_a_space() -> None:
    (sentence,) = doubts("grapheme_to_phoneme", ["kæt", "dɒɡ"])
    assert sentence.startswith("per counts what stands between spaces, and none of 2 references has a space")
    assert doubts("grapheme_to_phoneme", ["k æ t", "a"]) == ()
    assert doubts("exact", ["kæt"]) == ()
