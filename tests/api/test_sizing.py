"""What `init` chooses by the size of the data, and says why."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.api_room import done
from recurra import api
from recurra.base.contracts import Origin, Record
from recurra.tasks.series_classification.sizing import sized
from recurra.tasks.sizing import Seen

NAMES = ["Anna", "met", "Bob", "in", "Rome"]
TAGS = ["B-PER", "O", "B-PER", "O", "B-LOC"]


def config(task: str, path: Path) -> dict[str, Any]:
    return yaml.safe_load(api.init(task, path))


def texts(path: Path, number: int, words: int = 8, different: int = 97) -> Path:
    def text(n: int) -> str:
        return " ".join(f"w{(n * k) % different}" for k in range(1, words + 1))

    lines = [f"{text(n)},{'ab'[n % 2]}" for n in range(number)]
    text = "\n".join(["text,label", *lines]) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_text(text)
    return path


def sentences(path: Path, number: int, tags: list[str] = TAGS) -> Path:
    one = "\n".join(f"{word}\t{tag}" for word, tag in zip(NAMES, tags, strict=True))
    path.write_text("\n\n".join([one] * number) + "\n")
    return path


@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_the_whole_file_counts_and_not_only_the_rows_that_are_looked_at(suffix: str, here: Path) -> None:
    small, large = (config("classification", texts(here / f"{n}.{suffix}", n)) for n in (900, 30_000))
    assert (small["training"]["batch_rows"], large["training"]["batch_rows"]) == (16, 64)
    assert small["training"]["epochs"] > large["training"]["epochs"]
    assert "about 30,000 rows" in api.init("classification", here / f"30000.{suffix}")
    assert "900 rows" in api.init("classification", here / f"900.{suffix}")


def test_sentences_of_many_lines_are_counted_as_sentences(here: Path) -> None:
    """6 lines each, so 3,000 sentences are 18,000 lines."""
    assert "about 3,000 rows" in api.init("tagging", sentences(here / "d.conll", 3000))


@pytest.mark.parametrize("number", [60, 300, 1000, 5000])
@pytest.mark.parametrize("task", ["classification", "tagging"])
def test_few_rows_make_enough_steps(task: str, number: int, here: Path) -> None:
    make = {"classification": texts, "tagging": sentences}[task]
    training = config(task, make(here / f"d.{'csv' if task == 'classification' else 'conll'}", number))["training"]
    assert number / training["batch_rows"] * training["epochs"] >= 350
    assert training["patience"] is None
    assert training["patience_share"] == 0.5


@pytest.mark.parametrize(("number", "pooling"), [(60, "mean"), (1000, "mean"), (2500, "max"), (30_000, "max")])
def test_every_word_of_a_few_texts_teaches_and_one_word_may_decide_in_many(
    number: int, pooling: str, here: Path
) -> None:
    """The gradient of a maximum reaches only the steps that win, that of a mean every step."""
    assert config("classification", texts(here / "d.csv", number, different=997))["model"]["head"]["pooling"] == pooling


@pytest.mark.parametrize(
    ("number", "select", "epochs"), [(1000, "log_loss", 10), (5400, "log_loss", 12), (20_000, "auto", 5)]
)
def test_the_epoch_is_chosen_by_log_loss_where_dev_has_a_few_hundred_texts(
    number: int, select: str, epochs: int, here: Path
) -> None:
    found = config("classification", texts(here / "d.csv", number, different=997))["training"]
    assert (found["select"], found["epochs"]) == (select, epochs)


def test_names_are_learned_with_a_crf_and_parts_of_speech_word_by_word(here: Path) -> None:
    names = config("tagging", sentences(here / "names.conll", 50))
    speech = config("tagging", sentences(here / "speech.conll", 50, ["PROPN", "VERB", "PROPN", "ADP", "PROPN"]))
    assert (names["model"]["head"]["output"], names["task"]["scheme"]) == ("crf", "iobes")
    assert (speech["model"]["head"]["output"], speech["task"]["scheme"]) == ("softmax", "auto")


def test_long_texts_have_fewer_epochs(here: Path) -> None:
    short, long = (config("classification", texts(here / f"{w}.csv", 12_000, w))["training"] for w in (10, 300))
    assert long["epochs"] < short["epochs"]


def test_every_choice_says_why_and_the_config_is_read_back(here: Path) -> None:
    texts(here / "d.csv", 40)
    done("init", "classification", "d.csv", "-o", "c.yaml")
    done("check", "c.yaml")
    text = " ".join(line.partition("#")[2].strip() for line in (here / "c.yaml").read_text().splitlines())
    for reason in ("here: 40 rows: small batches make enough steps", "here: the last steps are small ones"):
        assert reason in " ".join(text.split())


def test_a_config_points_to_explanations_that_there_are(here: Path) -> None:
    texts(here / "d.csv", 30, different=29)
    written = done("init", "classification", "d.csv").out
    pointers = set(re.findall(r"`recurra explain ([^`]+)`", re.sub(r"\n +# ", " ", written)))
    assert "model sequence_model" in pointers
    for pointer in pointers:
        assert done("explain", *pointer.split()).out


def series(path: Path, number: int, steps: int) -> Path:
    def line(n: int) -> str:
        return f'{{"values": {[float((n + k) % 7) for k in range(steps)]}, "label": "{"ab"[n % 2]}"}}'

    path.write_text("\n".join(map(line, range(number))) + "\n")
    return path


@pytest.mark.parametrize(
    ("number", "steps", "wide"), [(100, 30, "kernels"), (4100, 3, "forest"), (40, 26_000, "forest")]
)
def test_kernels_stand_beside_few_short_series_and_trees_beside_others(
    number: int, steps: int, wide: str, here: Path
) -> None:
    found = config("series_classification", series(here / "s.jsonl", number, steps))
    assert found["model"]["wide"]["name"] == wide


@pytest.mark.parametrize(
    ("number", "steps", "passes"),
    # 30 passes of 1,000, fewer of more by the square root; then twelve, while 25 million steps allow them.
    [(1_000, 40, 30), (4_000, 40, 15), (54_000, 28, 12), (60_000, 100, 4), (12_000, 208, 10), (12_000, 400, 9)],
)
def test_many_series_are_passed_over_as_often_as_ten_minutes_allow(number: int, steps: int, passes: int) -> None:
    row = Record({"values": [0.0] * steps, "label": "a"}, Origin("s.jsonl", 1))
    chosen = {choice.path: choice.value for choice in sized({}, Seen([row] * 20, number))}
    assert chosen["training.epochs"] == passes


def pairs(path: Path, number: int, different: int) -> Path:
    """Sentences of eight words, of so many different ones in all."""
    words = [[f"{side}{(n * k + k) % different}" for k in range(1, 9)] for n in range(number) for side in "ab"]
    rows = zip(words[::2], words[1::2], strict=True)
    path.write_text("source\ttarget\n" + "".join(f"{' '.join(a)}\t{' '.join(b)}\n" for a, b in rows))
    return path


@pytest.mark.parametrize(
    ("number", "pieces", "encoder", "layers"),
    [
        (1_000, "words", "recurrent", (1, None)),
        (3_000, 2_000, "recurrent", (1, None)),
        (6_000, 4_000, "recurrent", (1, None)),
        (25_000, 5_000, "transformer", (4, 2)),
        (120_000, 16_000, "transformer", (6, 3)),
    ],
)
def test_the_network_of_a_translation_and_its_pieces_go_by_the_number_of_pairs(
    number: int, pieces: Any, encoder: str, layers: tuple[int, int | None], here: Path
) -> None:
    said = api.init("translation", pairs(here / "d.tsv", number, 2003))
    found = yaml.safe_load(said)
    tokenizer, model = found["task"]["source_tokenizer"], found["model"]
    assert tokenizer.get("vocab_size", tokenizer["name"]) == pieces
    assert found["task"]["vocabulary"] == ("separate" if pieces == "words" else "shared")
    assert (model["encoder"]["name"], model["decoder"]["name"]) == (encoder, encoder)
    assert (model["encoder"]["num_layers"], model["decoder"]["num_layers"]) == layers
    if encoder == "transformer":
        width = 256 if layers[0] == 6 else 128
        assert model["inputs"]["embedding_size"] == model["encoder"]["hidden_size"] == width
        assert model["decoder"]["hidden_size"] == width
        assert (model["decoder"]["tie"], found["task"]["label_smoothing"]) == ("all", 0.1)
        plain = " ".join(said.replace("#", " ").split())
        assert f"an encoder of {layers[0]} layers of {width}; the config says why" in plain


def test_few_different_words_are_read_as_words_however_many_pairs_there_are(here: Path) -> None:
    """Numbers as people say them have a few dozen words: a small network learns them from a thousand pairs."""
    found = config("translation", pairs(here / "d.tsv", 25_000, 97))
    assert found["task"]["source_tokenizer"]["name"] == "words"
    assert found["model"]["encoder"]["name"] == "recurrent"


def test_genes_of_one_length_are_counted_by_place(here: Path) -> None:
    def genes(name: str, lengths: tuple[int, ...]) -> dict[str, Any]:
        lines = [f"{('acgt' * 20)[n % 7 : n % 7 + lengths[n % len(lengths)]]},{'ab'[n % 2]}" for n in range(90)]
        (here / name).write_text("\n".join(["text,label", *lines]) + "\n")
        return config("classification", here / name)["task"]["ngrams"]

    same, unlike = genes("same.csv", (60,)), genes("unlike.csv", (60, 61))
    assert (same["places"], same["words"], same["characters"]) == (True, 0, [1, 4])
    assert (unlike["places"], unlike["words"]) == (False, 2)


@pytest.mark.parametrize(("number", "dropout"), [(3_000, 0.1), (350_000, 0.0)])
def test_a_masked_language_model_begins_with_norms_in_front_and_rotary_positions(
    number: int, dropout: float, here: Path
) -> None:
    (here / "t.txt").write_text("a b c d e f g h i j\n" * number)
    found = config("masked_lm", here / "t.txt")["model"]
    encoder = found["encoder"]
    assert (encoder["name"], encoder["positions"], encoder["norm_first"]) == ("transformer", "rotary", True)
    assert (encoder["dropout"], found["inputs"]["embedding_dropout"]) == (dropout, dropout)
