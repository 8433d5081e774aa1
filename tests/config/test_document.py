"""YAML in, a plain tree with lines out; every trap and every refusal by value."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recurra.base.errors import ConfigError
from recurra.config.document import MAX_BYTES, load, override, parse
from recurra.config.scalars import parse_plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.5e3", 1500.0),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("+3", 3),
        ("-0", 0),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_plain_words_with_a_meaning(text: str, value: object) -> None:
    assert parse_plain(text) == value
    assert type(parse_plain(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "off", "y", "n", "True", "NO", "1_000", "017", "017.5", "01e3", "0o17", "0x1F", "1:30",
     "2024-01-31", "1e", ".", "e3", "12345678901234567890", "Null", "=", "<<", "nan", "inf", "-", "+"],
)  # fmt: skip
def test_plain_words_that_yaml_1_1_would_turn_into_something_else_stay_text(text: str) -> None:
    assert parse_plain(text) == text


def test_not_a_number_is_read_as_one() -> None:
    assert str(parse_plain(".nan")) == "nan"


def test_a_file_becomes_a_tree_with_the_line_of_every_key(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(
        b"\xef\xbb\xbf# head\r\ntask: classification\r\nmodel:\r\n  cell: lstm  # which\r\n  sizes: [1, 2]\r\n"
    )
    document = load(path)
    assert document.tree == {"task": "classification", "model": {"cell": "lstm", "sizes": [1, 2]}}
    assert document.lines == {("task",): 2, ("model",): 3, ("model", "cell"): 4, ("model", "sizes"): 5}


def test_keys_are_the_text_they_are() -> None:
    assert parse("w: {no: 1, 0: 2, true: 3, 1e2: 4, ~: 5}").tree == {
        "w": {"no": 1, "0": 2, "true": 3, "1e2": 4, "~": 5}
    }


def test_quotes_make_text_of_anything() -> None:
    assert parse("""a: "1"\nb: 'null'\nc: "\\u00e4" """).tree == {"a": "1", "b": "null", "c": "ä"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c.yaml: expected a map of sections (`task: ...`, `model: ...`), got nothing."),
        ("# only a comment\n", "c.yaml: expected a map of sections (`task: ...`, `model: ...`), got nothing."),
        ("[1, 2]", "c.yaml: expected a map of sections (`task: ...`, `model: ...`), got [1, 2]."),
        ("a: 1\n\tb: 2", "c.yaml:2: a tab cannot indent YAML. Use spaces."),
        ("a:\n  b: 1\n c: 2", "c.yaml:3: not valid YAML: expected <block end>, but found '<block mapping start>'"),
        ("a: [1,\nb: 2", "c.yaml:2: not valid YAML: "),
        ("a: 1\nb: &x 2", "c.yaml:2: anchors (&) and aliases (*) are not supported."),
        ("a: 1\nb: *x", "c.yaml:2: anchors (&) and aliases (*) are not supported."),
        ("a: !!python/object/apply:os.system [ls]", "c.yaml:1: tags are not supported: 'tag:yaml.org,2002:python"),
        ("a: !!str 1", "c.yaml:1: tags are not supported"),
        ("a: 1\n---\nb: 2", "c.yaml:2: a second document begins"),
        ("a: 1\n? [x]\n: 2", "c.yaml:2: a key is a single word"),
        ("a: 1\nb: \0", "c.yaml:2: character U+0000 is not allowed"),
        ("a: " + "[" * 30 + "]" * 30, "c.yaml:1: nested more than 20 levels deep."),
        ("a: " + "[" * 100_000, "c.yaml:1: nested more than 20 levels deep."),
        ("%YAML 3.0\n---\na: 1", "c.yaml:1: not valid YAML: found incompatible YAML document"),
        ("a: 'x", "c.yaml:1: not valid YAML: found unexpected end of stream"),
    ],
)  # fmt: skip
def test_what_is_no_config_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text, "c.yaml")
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file\. `recurra init TASK FILE -o .*none\.yaml`"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"expected a config file, got a folder"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml:2: not UTF-8: byte 0xe9"):
        load(tmp_path / "latin.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match=r"large\.yaml: larger than 1 MiB"):
        load(tmp_path / "large.yaml")


def test_a_key_given_twice_is_kept_for_the_list_of_mistakes() -> None:
    document = parse("a:\n  b: 1\n  c: 2\n  b: 3\na: 4\n", "c.yaml")
    assert [p.sentence for p in document.problems] == [
        "c.yaml:4: a.b: given twice; first in line 2. Remove one.",
        "c.yaml:5: a: given twice; first in line 1. Remove one.",
    ]
    assert document.tree == {"a": {"b": 1, "c": 2}}


def test_set_puts_values_in_and_leaves_the_document_as_it_was() -> None:
    document = parse("model:\n  cell: lstm\n  sizes: [1]\n", "c.yaml")
    changed = override(document, ["model.cell=gru", "model.sizes=[1, 2]", "training.lr=1e-3", "a=null", "b=x=y"])
    assert changed.tree == {
        "model": {"cell": "gru", "sizes": [1, 2]}, "training": {"lr": 1e-3}, "a": None, "b": "x=y",
    }  # fmt: skip
    assert document.tree == {"model": {"cell": "lstm", "sizes": [1]}}
    assert changed.problem(("model", "cell"), "no.").sentence == "--set model.cell: no."
    assert changed.problem(("model", "sizes"), "no.").sentence == "--set model.sizes: no."
    assert changed.problem(("model", "new"), "no.").sentence == "c.yaml:1: model.new: no."
    assert changed.problem(("task",), "no.").sentence == "c.yaml: task: no."


def test_set_forgets_the_lines_below_what_it_replaces() -> None:
    changed = override(parse("a:\n  b:\n    c: 1\n", "c.yaml"), ["a.b={c: 2}"])
    assert changed.problem(("a", "b", "c"), "no.").sentence == "--set a.b.c: no."


def test_set_below_a_short_form_opens_it() -> None:
    assert override(parse("optimizer: sgd"), ["optimizer.lr=0.1"]).tree == {"optimizer": {"name": "sgd", "lr": 0.1}}


@pytest.mark.parametrize(
    "setting", ["model.cell", "=1", "a..b=1", "a.=1", "a=", "a= ", "a=1\nb=2", ".".join("a" * 50) + "=1"]
)
def test_what_is_no_setting_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)--set .*expected dotted\.key=value"):
        override(parse("a: 1"), [setting])


def test_a_setting_inside_a_list_or_with_broken_yaml_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--set a\.x=1: a is \[1\], and has no options inside\."):
        override(parse("a: [1]"), ["a.x=1"])
    with pytest.raises(ConfigError, match=r"--set a=\[1:1: not valid YAML"):
        override(parse("a: 1"), ["a=[1"])
    with pytest.raises(ConfigError, match=r"given twice"):
        override(parse("a: 1"), ["a={b: 1, b: 2}"])


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_tree_or_a_clear_refusal(text: str) -> None:
    try:
        outcome: object = parse(text).tree
    except ConfigError as error:
        outcome = str(error)
    assert isinstance(outcome, dict) or str(outcome).startswith("config:")


WORDS = st.from_regex(r"[a-z]{1,5}", fullmatch=True)
VALUES = (
    st.integers(-(10**9), 10**9)
    | st.text("abc é:#", max_size=5)
    | st.lists(st.booleans(), max_size=3)
    | st.floats(allow_nan=False, allow_infinity=False)
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(WORDS.map("k_{}".format), VALUES, min_size=1))
def test_what_another_writer_writes_is_read_as_it_was_meant(tree: dict[str, object]) -> None:
    assert parse(yaml.safe_dump(tree)).tree == tree


def test_a_key_is_the_same_in_any_spelling() -> None:
    document = parse("task: {class_weights: {caf\u00e9: 2}}")
    changed = override(document, ["task.class_weights.cafe\u0301=3", "task.class_weights.\u200bspam=4"])
    assert changed.tree == {"task": {"class_weights": {"caf\u00e9": 3, "spam": 4}}}


def test_a_key_given_twice_in_two_spellings_is_given_twice() -> None:
    document = parse("task:\n  caf\u00e9: 1\n  cafe\u0301: 2\n")
    assert [p.sentence for p in document.problems] == [
        "config:3: task.caf\u00e9: given twice; first in line 2. Remove one."
    ]


CONFIG = (
    "task: {name: x, l: [1, 2]}\nmodel: # of all\n  a: 'q''q'\n  b: \"x\\ty\"\n  c: |\n    t # x\n  d: >-\n    u\n...\n"
)
ODD = "\t #:-?,[]{}&*!|>'\"%@`\n\r\\ab01~\u00e9\u0085\u2028\ufeff\x7f\x01\U0001f600"


def outcome(text: str) -> object:
    try:
        document = parse(text)
    except ConfigError as error:
        return str(error)
    return document.tree, document.lines, document.problems


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(CONFIG)), st.integers(0, 2), st.text(ODD, max_size=2)), max_size=4))
@example([(5, 0, "\t")])
@example([(0, 0, "%YAML 1.1#\n---\n")])
@example([(18, 1, "?")])
@example([(57, 0, ">#")])
@example([(17, 0, "!")])
def test_a_config_means_the_same_with_and_without_libyaml(changes: list[tuple[int, int, str]]) -> None:
    text = CONFIG
    for place, taken, given_instead in changes:
        text = text[:place] + given_instead + text[place + taken :]
    found = outcome(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "__with_libyaml__", False)
        assert outcome(text) == found
