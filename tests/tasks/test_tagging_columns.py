"""Files of every layout: which column is the tokens, which the tags, how they are spelled; and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import read
from recurra.tasks import Tagging, TaggingConfig
from recurra.tasks.contract import Suggestion

# Sentences as (word, part of speech, chunk, name), and a second level of names inside the first.
SENTENCES = [
    "EU/NNP/B-NP/B-ORG rejects/VBZ/B-VP/O German/JJ/B-NP/B-MISC call/NN/I-NP/O ././O/O",
    "Peter/NNP/B-NP/B-PER Blackburn/NNP/I-NP/I-PER",
    "The/DT/B-NP/O European/NNP/I-NP/B-ORG Commission/NNP/I-NP/I-ORG said/VBD/B-VP/O it/PRP/B-NP/O ././O/O",
    "He/PRP/B-NP/O met/VBD/B-VP/O Anna/NNP/B-NP/B-PER in/IN/B-PP/O Rome/NNP/B-NP/B-LOC today/NN/B-NP/O ././O/O",
    "Bonn/NNP/B-NP/B-LOC and/CC/O/O Oslo/NNP/B-NP/B-LOC agree/VBP/B-VP/O",
]
ROWS = [[tuple(word.split("/")) for word in sentence.replace("././", ".#./").split()] for sentence in SENTENCES]
ROWS = [[tuple(cell for part in word for cell in part.split("#")) for word in row] for row in ROWS]
FIELDS = {"word": 0, "pos": 1, "chunk": 2, "name": 3}


def put(folder: Path, layout: str, *, name: str = "a.conll", between: str = " ", head: str = "", top: str = "") -> Path:
    """The sentences in a layout such as "number word name"; `-` is a column of `_`. head: before each sentence."""
    lines = [top]
    for row in ROWS:
        lines.append(head)
        for number, word in enumerate(row, 1):
            cells = [cell(field, number, word) for field in layout.split()]
            lines.append(between.join(cells) + "\n")
        lines.append("\n")
    path = folder / name
    path.write_text("".join(lines), encoding="utf-8")
    return path


def cell(field: str, number: int, word: tuple[str, ...]) -> str:
    if field == "number":
        return str(number)
    return {"-": "_", "O": "O", "doc": "doc7"}.get(field) or word[FIELDS[field]]


def chosen(path: Path) -> Suggestion:
    form = TaggingConfig.format_of(path)
    return TaggingConfig.suggested(list(read(path, format=form)), path)


def fitted(path: Path) -> Tagging:
    """The task as the config that `init` writes fits it."""
    found = chosen(path)
    form = TaggingConfig.format_of(path)
    rows = list(read(path, format=form, columns=found.data.get("columns")))
    task = TaggingConfig(**found.task).fit(rows, str(path))
    assert task.example(rows[1]).tokens == ("Peter", "Blackburn")
    return task


LAYOUTS = [
    ("word pos chunk name", "CoNLL-2003"),
    ("word name", "CoNLL-2002"),
    ("word pos name", "three columns"),
    ("number word name", "number first"),
    ("number word pos chunk name", "number first, five columns"),
    ("name word", "tag first"),
    ("name chunk pos word", "all tags first"),
    ("word name O O", "nested, the last levels empty"),
    ("word pos chunk name -", "an empty last column"),
    ("doc number word pos name", "document and number first"),
    ("word name pos", "names in the middle"),
]


@pytest.mark.parametrize("between", [" ", "\t"], ids=["spaces", "tabs"])
@pytest.mark.parametrize("layout", [layout for layout, _ in LAYOUTS], ids=[name for _, name in LAYOUTS])
def test_tokens_and_tags_are_found_in_every_layout(layout: str, between: str, tmp_path: Path) -> None:
    task = fitted(put(tmp_path, layout, between=between))
    assert task.tagset.written == "bio"
    labels = {tag[2:] for tag in task.tagset.tags if tag != "O"}
    assert labels == {"ORG", "MISC", "PER", "LOC"}


def test_chunks_and_parts_of_speech_are_found_where_they_are_last(tmp_path: Path) -> None:
    chunks = fitted(put(tmp_path, "word pos chunk", name="2000.conll"))
    assert {tag[2:] for tag in chunks.tagset.tags if tag != "O"} == {"NP", "VP", "PP"}
    parts = fitted(put(tmp_path, "word pos", name="pos.conll"))
    assert parts.tagset.written == "plain"
    assert {"NNP", "VBZ", "."} <= set(parts.tagset.tags)
    turned = fitted(put(tmp_path, "pos word", name="turned.conll"))
    assert turned.tagset.tags == parts.tagset.tags


def test_of_nested_names_the_level_with_the_most_spans_is_taken(tmp_path: Path) -> None:
    path = put(tmp_path, "word name O name", name="nested.conll")
    lines = path.read_text().replace("B-LOC\n", "O\n")  # the last level has fewer, but some
    path.write_text(lines)
    found = chosen(path)
    assert found.task["tags"] == "column2" or found.task["tags"] == "pos"
    assert "could be tags as well: column 4" in found.said[-1]


def test_what_was_chosen_is_said_with_what_stands_there(tmp_path: Path) -> None:
    assert chosen(put(tmp_path, "number word pos name")).said == (
        "tokens: column 2, EU, rejects, German, ...: 22 different in 24.",
        "tags: column 4, scheme bio; 4 labels: LOC (3), ORG (2), PER (2), MISC (1).",
        "column 1 is left out: numbers in order.",
        "could be tags as well: column 3, NNP, VBZ, JJ, ...: 11 different in 24. task.tags chooses.",
    )


@pytest.mark.parametrize(
    ("top", "head"),
    [
        ("-DOCSTART- -X- -X- O\n\n", ""),
        ("", "# sent_id = 7\n# text = EU rejects\n"),
        ("# all of it made by hand\n\n", ""),
        ("# newdoc id = x\n", "# newpar\n"),
        ("", "#a longer comment that stands there\n"),
    ],
)
@pytest.mark.parametrize("layout", ["word name", "number word pos name"])
def test_comments_and_documents_are_no_tokens(layout: str, top: str, head: str, tmp_path: Path) -> None:
    path = put(tmp_path, layout, top=top, head=head)
    found = chosen(path)
    rows = list(read(path, columns=found.data.get("columns")))
    assert [list(row.fields[found.task["tokens"]]) for row in rows] == [[word[0] for word in row] for row in ROWS]


def test_a_hash_is_a_token_where_it_has_its_tag(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("# O\n1 B-NUM\n\nwe O\n# O\n\n#tag O\nx O\n")
    assert [row.fields["token"] for row in read(path)] == [["#", "1"], ["we", "#"], ["#tag", "x"]]
    path.write_text("we O\n#tag\n")
    with pytest.raises(DataError, match=r"a\.conll:2: expected 2 columns \(token, tag\) but found 1: '#tag'"):
        list(read(path))


def test_conllu_is_read_under_another_name(tmp_path: Path) -> None:
    word = "{}\t{}\t_\t{}\t_\t_\t0\t_\t_\t_\n"
    lines = "# text = du\n1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_\n" + word.format(1, "de", "ADP") + word.format(2, "le", "DET")
    path = tmp_path / "a.conll"
    path.write_text(lines)
    assert chosen(path).task == {"tokens": "form", "tags": "upos"}
    assert next(iter(read(path))).fields["form"] == ["de", "le"]


def test_ontonotes_is_read_with_its_brackets(tmp_path: Path) -> None:
    head = "bc/cctv/00/cctv_0000 0"
    lines = [
        "#begin document (bc/cctv/00/cctv_0000); part 000",
        f"{head} 0 Anna NNP (TOP(S(NP* - - - Speaker#1 (PERSON* (ARG0* -",
        f"{head} 1 Smith NNP *) - - - Speaker#1 *) *) (3)",
        f"{head} 2 visited VBD (VP* visit 01 1 Speaker#1 * (V*) -",
        f"{head} 3 Rome NNP *))) - - - Speaker#1 (GPE) * -".replace("(GPE)", "(GPE*)"),
        "",
        f"{head} 0 Yes UH (TOP*) - - - Speaker#2 * -",
        f"{head} 1 . . *) - - - Speaker#2 * -",
        "",
        "#end document",
    ]
    path = tmp_path / "a.conll"
    path.write_text("\n".join(lines) + "\n")
    found = chosen(path)
    rows = list(read(path, columns=found.data.get("columns")))
    task = TaggingConfig(**{**found.task, "tokens": "token", "tags": "tag"}).fit(rows, "a")
    assert task.example(rows[0]).tokens == ("Anna", "Smith", "visited", "Rome")
    assert task.example(rows[0]).tags == ("B-PERSON", "I-PERSON", "O", "B-GPE")
    assert task.tagset.in_file(("B-PERSON", "I-PERSON", "O", "B-GPE")) == ("(PERSON*", "*)", "*", "(GPE*)")


@pytest.mark.parametrize("name", ["a.tsv", "a.txt", "a.annotated", "a.conll"])
def test_a_token_a_line_is_seen_under_any_name(name: str, tmp_path: Path) -> None:
    assert fitted(put(tmp_path, "word name", name=name, between="\t")).tagset.written == "bio"
    table = tmp_path / "t.tsv"
    table.write_text("tokens\ttags\nIn Rome\tO B-LOC\nIn Oslo\tO B-LOC\n")
    assert TaggingConfig.format_of(table) == "auto"


# -- spelling ----------------------------------------------------------------------------------------------------------

LETTERS = {"BIO": "BII", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES", "BMEWO": "BMEW"}


def spelt(tags: str, separator: str, last: bool, lower: bool) -> list[str]:
    """Tags such as "B-X O", spelled otherwise."""
    found = []
    for tag in tags.split():
        letter, _, label = tag.partition("-")
        letter = letter.lower() if lower else letter
        pair = (letter, label) if last else (label, letter)
        found.append(letter if not label or not separator else separator.join(pair))
    return found


SCHEMES = [
    ("bio", "B-X I-X I-X O B-Y O", "B-X I-X I-X O B-Y O"),
    ("iobes", "B-X I-X E-X O S-Y O", "B-X I-X E-X O S-Y O"),
    ("iobes", "B-X I-X L-X O U-Y O", "B-X I-X E-X O S-Y O"),
    ("iobes", "B-X M-X E-X O S-Y O", "B-X I-X E-X O S-Y O"),
    ("iobes", "B-X M-X E-X O W-Y O", "B-X I-X E-X O S-Y O"),
    ("iobes", "U-X O U-Y O O O", "S-X O S-Y O O O"),
    ("iob1", "I-X I-X B-X O I-Y O", "B-X I-X B-X O B-Y O"),
]


@pytest.mark.parametrize("lower", [False, True], ids=["upper", "lower"])
@pytest.mark.parametrize(("separator", "last"), [(s, last) for s in "-_:/" for last in (True, False)] + [("", True)])
@pytest.mark.parametrize(("scheme", "tags", "expected"), SCHEMES)
def test_every_scheme_is_known_in_every_spelling_and_written_back_in_it(
    scheme: str, tags: str, expected: str, separator: str, last: bool, lower: bool
) -> None:
    from tasks.test_tagging_task import record

    own = spelt(tags, separator, last, lower)
    if not separator and tags.startswith("U"):
        return  # U and O alone may be anything
    row = record(["a", "b", "c", "d", "e", "f"], own)
    task = TaggingConfig().fit([row], "f")
    assert task.tagset.written == scheme
    inside = task.example(row).tags or ()
    assert [tag.replace("span", "?") for tag in inside] == [
        tag if separator or tag == "O" else f"{tag[0]}-?" for tag in expected.split()
    ]
    assert list(task.tagset.in_file(inside)) == own
    restored = TaggingConfig().restore(task.to_json(), "task.json")
    assert list(restored.tagset.in_file(inside)) == own


@pytest.mark.parametrize("tags", ["NN VB DT", "N_s V_p N_p", "S E BN A", "O X Y", "A B C", "X:e Y:i O"])
def test_other_tags_stay_plain(tags: str) -> None:
    from tasks.test_tagging_task import record

    row = record(["a", "b", "c", "d"][: len(tags.split())], tags.split())
    assert TaggingConfig().fit([row], "f").tagset.written == "plain"


def test_other_names_of_a_scheme_are_taken() -> None:
    from tasks.test_tagging_task import record

    row = record(["a", "b"], ["U-X", "O"])
    for name in ("bilou", "biluo", "bioes"):
        assert TaggingConfig(file_scheme=name).fit([row], "f").tagset.written == "iobes"
    with pytest.raises(DataError, match=r"tag 'I_X' stands after 'O'; in scheme bio"):
        TaggingConfig(file_scheme="iob2").read(record(["a", "b"], ["O", "I_X"]))


# -- what is refused ---------------------------------------------------------------------------------------------------


def refused(tokens: list[Any], tags: list[str], number: int = 1) -> str:
    from tasks.test_tagging_task import record

    with pytest.raises(DataError) as caught:
        TaggingConfig().fit([record(tokens, tags)] * number, "f.conll")
    return str(caught.value)


def test_what_cannot_be_learned_is_refused() -> None:
    said = refused(["a", "b"], ["O", "O"])
    assert said.startswith("f.conll: all 2 tags in column 'tag' are 'O'; expected at least two different ones")
    said = refused(["1", "2", "3"], ["O", "B-X", "O"])
    assert said.startswith("f.conll: column 'token' holds numbers in order (1, 2, 3, ...), not tokens.")
    said = refused(["O", "B-X", "O"], ["in", "Rome", "now"])
    assert said.startswith("f.conll: column 'token' looks like tags (2 different), and column 'tag' like words (3 diff")
    words = [f"w{k}" for k in range(10)]
    said = refused(["NN", "VB"] * 5, words, 3)
    assert said.startswith("f.conll: column 'token' looks like tags (2 different), and column 'tag' like words (10 dif")


def test_a_file_without_tags_is_refused_by_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no two columns look like tokens and tags\. Columns: 1: EU, rejects"):
        chosen(put(tmp_path, "word O -"))
