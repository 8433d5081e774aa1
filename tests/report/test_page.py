"""The page: what it says, that it is well formed, that it loads nothing, and that labels stay text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.base.contracts import Score, Table
from recurra.report import Chart, Curve, html
from recurra.report.scores import shown
from report.reporting import matrix, parsed, small_report, small_scores

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;</style></title></pre>"
CHARTS = (Chart("Loss", "step", "nats", (Curve("train", ((1.0, 2.0), (2.0, 1.0))),)),)


def cells(page):
    """The texts of each row's cells."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL)
    return [[re.sub("<.*?>", "", c) for c in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)] for row in rows]


def test_scores_stand_beside_the_baselines_and_the_best_is_bold():
    page = html(small_report())
    assert ["accuracy", "91.0 %", "80.0 %", "88.0 %"] in cells(page)
    assert ["log_loss", "0.25 nats", "0.5 nats", "0.2 nats"] in cells(page)
    assert '<td class="n best">91.0 %</td>' in page
    assert '<td class="n best unit">0.2 nats</td>' in page


def test_the_headline_compares_with_the_strongest_baseline_in_words():
    spans = parsed(html(small_report())).text_of("span")
    assert "3.0 points better than tfidf" in spans
    assert "0.05 nats worse than tfidf" in spans


def test_the_test_split_stands_in_the_headline():
    scores = small_scores(0.5, 1.0, "dev") + small_scores(0.6, 0.9, "test")
    page = html(small_report(scores=scores, baselines={}))
    assert "Accuracy, test" in page
    assert "Accuracy, dev" not in page
    assert [t for t in parsed(page).text_of("h2") if t.startswith("Scores")] == ["Scores: test", "Scores: dev"]


def test_each_label_has_its_scores_and_the_baselines_f1():
    assert ["spam", "91.0 %", "1,200", "80.0 %", "88.0 %"] in cells(html(small_report()))


def test_the_confusion_matrix_is_coloured_by_the_share_of_the_row():
    page = html(small_report())
    assert '<td class="hit deep" style="--a:0.90" title="spam → spam: 9 of 10 (90.0 %)">9</td>' in page
    assert '<td class="miss" style="--a:0.32" title="spam → ham: 1 of 10 (10.0 %)">1</td>' in page
    assert ["ham", "", "10"] in cells(page)


def test_a_label_outside_the_set_has_a_row_of_its_own_in_the_matrix():
    table = matrix(("a", "b"), ((1, 0), (0, 1)))
    page = html(small_report(tables=(Table("C", table.columns, (*table.rows, ("new", 0, 3))),)))
    assert "new → b: 3 of 3 (100.0 %)" in page


@pytest.mark.parametrize(("num_labels", "size"), [(3, "few"), (40, "many")])
def test_a_large_matrix_is_drawn_small(num_labels, size):
    names = [f"language {i}" for i in range(num_labels)]
    counts = [[5 if i == j else 0 for j in range(num_labels)] for i in range(num_labels)]
    reader = parsed(html(small_report(tables=(matrix(names, counts),))))
    assert f"heat {size}" in [attributes.get("class") for _, attributes in reader.elements]
    assert sum(attributes.get("class") == "hit deep" for _, attributes in reader.elements) == num_labels


def test_too_many_labels_get_a_sentence_instead_of_a_matrix():
    names = [str(i) for i in range(101)]
    page = html(small_report(tables=(matrix(names, [[0] * 101] * 101),)))
    assert "101 labels are too many to show as a matrix." in page


def test_fractions_in_a_table_are_percent_but_a_fact_is_as_it_is():
    page = html(small_report())
    assert ["spam", "10.0 %"] in cells(page)
    assert "<dt>seconds</dt><dd>0.8</dd>" in page
    assert "<dt>train rows</dt><dd>4,459</dd>" in page


def test_the_page_is_well_formed_and_loads_nothing():
    page = html(small_report(), charts=CHARTS, settings="task: classification\n")
    reader = parsed(page)
    assert not {"script", "link", "img", "iframe", "object", "base"} & {name for name, _ in reader.elements}
    assert not [a for _, attributes in reader.elements for a in attributes if a in ("src", "href", "srcset", "action")]
    assert "http" not in page.replace("http-equiv", "")
    assert "url(" not in page
    assert "@import" not in page


def test_a_strangers_text_stays_text_wherever_it_stands():
    hostile_scores = tuple(s for s in small_scores(0.5, 1.0)) + tuple(
        type(s)(s.name.replace("spam", HOSTILE), s.value, s.unit, s.better, HOSTILE) for s in small_scores(0.5, 1.0)
    )
    report = small_report(
        title=HOSTILE,
        scores=hostile_scores,
        baselines={HOSTILE: hostile_scores},
        tables=(matrix((HOSTILE, "b"), ((1, 1), (1, 1))), Table(HOSTILE, (HOSTILE, "n"), ((HOSTILE, 1),))),
        facts={HOSTILE: HOSTILE},
    )
    charts = (Chart(HOSTILE, HOSTILE, HOSTILE, (Curve(HOSTILE, ((0.0, 1.0), (1.0, 2.0))),)), Chart(HOSTILE, "", "", ()))
    page = html(report, charts=charts, settings=HOSTILE)
    reader = parsed(page)
    assert not {"script", "img"} & {name for name, _ in reader.elements}
    assert not [a for _, attributes in reader.elements for a in attributes if a.startswith("on")]
    for place in ("title", "h1", "h2", "th", "td", "dt", "dd", "pre", "b", "text"):
        assert any(HOSTILE in text for text in reader.text_of(place)), place


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(exclude_categories=()), min_size=1, max_size=12))
def test_any_label_gives_a_well_formed_page_that_can_be_written(label):
    page = html(
        small_report(title=label, tables=(matrix((label, label + "b"), ((1, 2), (3, 4))),), facts={label: label})
    )
    page.encode("utf-8")
    parsed(page)


def test_an_empty_report_is_a_page():
    page = html(small_report(scores=(), baselines={}, tables=(), facts={}))
    assert parsed(page).text_of("h1") == ["Spam or not"]


def test_a_table_without_rows_says_none():
    assert "None." in parsed(html(small_report(tables=(Table("Pairs", ("true",), ()),)))).text_of("p")


def test_a_baseline_without_one_of_the_scores_leaves_a_blank():
    report = small_report(baselines={"majority": small_scores(0.8, 0.5)[:1]})
    assert ["log_loss", "0.25 nats", ""] in cells(html(report))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.87651, "0..1", "87.7 %"),
        (0.41249, "nats", "0.4125 nats"),
        (0.00123456, "nats", "0.001235 nats"),
        (1200.0, "rows", "1,200 rows"),
        (53210.7, "tokens/s", "53,211 tokens/s"),
        (0.0, "rows", "0 rows"),
        (141.23, "", "141.2"),
        (float("nan"), "nats", "nan"),
    ],
)
def test_numbers_are_shown_with_the_digits_that_people_read(value, unit, text):
    assert shown(value, unit) == text


def test_a_score_that_is_better_neither_way_is_no_headline_and_no_distance():
    def scores(share):
        first = [Score(name, 0.5, "0..1", "higher", "test") for name in ("exact", "a", "b")]
        return (first[0], Score("other", share, "0..1", "neither", "test"), *first[1:], *small_scores(0.5, 0.7)[1:2])

    page = parsed(html(small_report(scores=scores(0.25), baselines={"copy": scores(0.0)})))
    cards = [text for inside, text in page.texts if inside == "span"]
    assert "Log loss, test" in cards
    assert "Other, test" not in cards
    few = parsed(html(small_report(scores=scores(0.25)[:2], baselines={"copy": scores(0.0)[:2]})))
    assert not [text for inside, text in few.texts if "worse than" in text]
