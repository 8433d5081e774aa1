"""Every example trains, and the benchmark on top of them counts and scores what it says."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from recurra import api
from scripts_room import script

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/config.yaml"))

# One small epoch: that the example works is tested here, how well it does is measured by benchmarks/quality.py.
TINY = ("model.encoder.hidden_size=4", "model.inputs.embedding_size=4", "training.epochs=1")
# Where texts are written, the decoder and the search are small too.
WRITING = ("model.decoder.hidden_size=4", "task.beam=1")
# Chords are no words, and have no table of vectors.
PLAYING = ("model.encoder.hidden_size=4", "training.epochs=1")
NUM_ROWS = 60


def texts() -> list[str]:
    """Different texts of a few words each, good ones at even places."""
    return [f"number {k} is {('awful', 'lovely')[k % 2 == 0]}, he said" for k in range(NUM_ROWS)]


def hashed(rows: Sequence[str], split: str) -> int:
    """How many texts the published rule puts into a split: SHA-1, first 8 digits, modulo 10; 0 test, 1 dev."""
    places = [int(hashlib.sha1(text.encode()).hexdigest()[:8], 16) % 10 for text in rows]
    return sum({0: "test", 1: "dev"}.get(place, "train") == split for place in places)


def write_sms(folder: Path) -> None:
    rows = [f"{('ham', 'spam')[k % 2]}\t{text}" for k, text in enumerate(texts())]
    write(folder / "sms_spam" / "SMSSpamCollection", "\n".join(rows) + "\n")


def write_sst2(folder: Path) -> None:
    rows = [f"{text} \t{k % 2}" for k, text in enumerate(texts())]
    pack(folder / "sst2" / "glue" / "train.tsv.gz", "\n".join(["sentence\tlabel", *rows]) + "\n")
    write(folder / "sst2" / "glue" / "dev.tsv", "\n".join(["sentence\tlabel", *rows[:7]]) + "\n")
    sentences = [f"{k % 2} a sentence of its own , {text}" for k, text in enumerate(texts()[:5])]
    write(folder / "sst2" / "sentence" / "stsa.binary.test", "\n".join([*sentences, "1 with a \x85 inside"]) + "\n")


def write_hate(folder: Path) -> None:
    columns = ["", "count", "hate_speech", "offensive_language", "neither", "class", "tweet"]
    rows = [[k, 3, 0, 0, 3, k % 3, text] for k, text in enumerate(texts())]
    pack(folder / "hate_offensive" / "labeled_data.csv.gz", as_csv([columns, *rows]))


def write_imdb(folder: Path) -> None:
    for name in ("train", "test"):
        rows = [[f"{name}/{k}", 9 - k % 2, 1 - k % 2, f'{name}: "{text}"<br />'] for k, text in enumerate(texts())]
        pack(folder / "imdb" / f"imdb_{name}.csv.gz", as_csv([["id", "rating", "label", "text"], *rows]))


def sentences() -> list[tuple[str, str]]:
    """Different short sentences and what they mean in another language."""
    return [(f"A dog sees {k} men.", f"Un chien voit {k} hommes.") for k in range(NUM_ROWS)]


def write_multi30k(folder: Path) -> None:
    for name, number in (("train", NUM_ROWS), ("val", 7), ("test_2016_flickr", 5)):
        english, other = zip(*sentences()[:number], strict=True)
        for language, texts in (("en", english), ("de", other), ("fr", other)):
            pack(folder / "multi30k" / f"{name}.{language}.gz", "\n".join(texts) + "\n")


def write_eng_fra(folder: Path) -> None:
    pack(folder / "eng_fra" / "fra.txt.gz", "".join(f"{english}\t{french}\n" for english, french in sentences()))


def write_g2p(folder: Path) -> None:
    for name, number in (("train", NUM_ROWS), ("dev", 7), ("test", 5)):
        words = [f"mo{'t' * (1 + k % 3)}{k:b}\tm o {' '.join(f'{k:b}')}\n" for k in range(number)]
        write(folder / "sigmorphon2020_g2p" / f"fre_{name}.tsv", "".join(words))


def write_shakespeare(folder: Path) -> None:
    write(folder / "tinyshakespeare" / "input.txt", "".join(f"{text}\n\n" for text in texts()))


def write_wikitext2(folder: Path) -> None:
    """Paragraphs a line, with spaces around each word, blank lines between them, and words that are <unk> already."""
    lines = [f" = Part {k} = \n \n number <unk> is {text} . \n" for k, text in enumerate(texts())]
    pack(folder / "wikitext2" / "train.txt.gz", "".join(lines))
    write(folder / "wikitext2" / "valid.txt", "".join(lines[:7]))
    write(folder / "wikitext2" / "test.txt", "".join(lines[:5]))


def write_chorales(folder: Path) -> None:
    sizes = {"train": 12, "valid": 3, "test": 2}
    pieces = {name: [[[60, 64 + k % 5], [62]] * 3 for k in range(number)] for name, number in sizes.items()}
    write(folder / "jsb_chorales" / "jsb-chorales-quarter.json", json.dumps(pieces))
    converted("jsb_chorales", folder / "jsb_chorales")


def write_tunes(folder: Path) -> None:
    tunes = [f"X: {k}\nT:Tune {k:b}\n% a comment\nK:G\nGAB c{'d' * (k % 3)}|\n" for k in range(NUM_ROWS)]
    write(folder / "nottingham" / "ABC_cleaned" / "jigs.abc", "\n".join([*tunes, "X: 9\nT:Without notes\nK:G\n"]))
    converted("nottingham", folder / "nottingham")


def converted(name: str, folder: Path) -> None:
    """What the example's own script makes of the published files."""
    script(f"examples/{name}/convert.py").convert(folder)


def tagged(number: int = NUM_ROWS) -> list[list[tuple[str, str]]]:
    """Different short sentences in which a name is a span."""
    return [[(f"Gene{k}", "O"), ("causes", "O"), ("wilson", "B-X"), ("disease", "I-X")] for k in range(number)]


def columns(rows: Sequence[Sequence[tuple[str, str]]], between: str = "\t") -> str:
    return "\n".join("".join(f"{word}{between}{tag}\n" for word, tag in row) for row in rows)


def write_ewt(folder: Path) -> None:
    for name, number in (("train", NUM_ROWS), ("dev", 7), ("test", 5)):
        blocks = []
        for k in range(number):
            words = [("The", "DET"), (f"dog{k}", "NOUN"), ("runs", "VERB")]
            lines = [f"{n}\t{word}\t_\t{tag}\t_\t_\t0\t_\t_\t_\n" for n, (word, tag) in enumerate(words, 1)]
            blocks.append(f"# sent_id = {k}\n" + "".join(lines))
        path = folder / "ud_english_ewt" / f"en_ewt-ud-{name}.conllu"
        if name == "train":
            pack(path.with_name(f"{path.name}.gz"), "\n".join(blocks) + "\n")
        else:
            write(path, "\n".join(blocks) + "\n")


def write_ncbi(folder: Path) -> None:
    for name, number in (("train", NUM_ROWS), ("devel", 7), ("test", 5)):
        write(folder / "ncbi_disease" / f"{name}.tsv", columns(tagged(number)))


def write_wnut(folder: Path) -> None:
    for name, number in (("wnut17train.conll", NUM_ROWS), ("emerging.dev.conll", 7), ("emerging.test.annotated", 5)):
        write(folder / "wnut17" / name, columns(tagged(number)))


def write_snips(folder: Path) -> None:
    """The published files, and what the example's own script makes of them."""
    intents = ("AddToPlaylist", "BookRestaurant", "GetWeather", "PlayMusic", "RateBook", "Creative", "Screening")
    for intent in intents:
        for name, number in ((f"train_{intent}_full", 12), (f"validate_{intent}", 1)):
            rows = [
                {"data": [{"text": f"{name} {k} play "}, {"text": "café\u00e9", "entity": "artist"}, {"text": " now"}]}
                for k in range(number)
            ]
            text = json.dumps({intent: rows}, ensure_ascii=False)
            path = folder / "snips" / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("latin-1" if intent == "PlayMusic" else "utf-8"))
    converted("snips_slots", folder / "snips")


# Small files in the columns of the real ones.
WRITERS: dict[str, Callable[[Path], None]] = {
    "eng_fra": write_eng_fra,
    "g2p": write_g2p,
    "hate_offensive": write_hate,
    "imdb": write_imdb,
    "jsb_chorales": write_chorales,
    "multi30k_en_de": write_multi30k,
    "multi30k_en_fr": write_multi30k,
    "ncbi_disease": write_ncbi,
    "nottingham": write_tunes,
    "sms_spam": write_sms,
    "snips_slots": write_snips,
    "sst2": write_sst2,
    "tinyshakespeare": write_shakespeare,
    "ud_english_ewt": write_ewt,
    "wikitext2": write_wikitext2,
    "wnut17": write_wnut,
}


def as_csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def pack(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))


# The scores that say what an example is about.
SCORED = {
    "eng_fra": {"bleu"},
    "g2p": {"wer"},
    "hate_offensive": {"f1[0]", "f1[1]", "f1[2]"},
    "imdb": {"f1[0]", "f1[1]"},
    "jsb_chorales": {"nats_after_first"},
    "multi30k_en_de": {"bleu"},
    "multi30k_en_fr": {"bleu"},
    "ncbi_disease": {"f1[X]"},
    "nottingham": {"bits_per_character"},
    "sms_spam": {"f1[ham]", "f1[spam]"},
    "snips_slots": {"f1[artist]"},
    "sst2": {"f1[0]", "f1[1]"},
    "tinyshakespeare": {"bits_per_character"},
    "ud_english_ewt": {"f1[DET]", "f1[NOUN]", "f1[VERB]"},
    "wikitext2": {"bits_per_character"},
    "wnut17": {"f1[X]"},
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder `data`; the examples find it from where they start."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def quality() -> ModuleType:
    return script("benchmarks/quality.py")


def test_each_example_has_rows_to_train_on_here() -> None:
    assert sorted(WRITERS) == EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_trains_on_rows_in_the_columns_it_names(name: str, data: Path, tmp_path: Path) -> None:
    WRITERS[name](data)
    writes = any(score in ("bleu", "wer") for score in SCORED[name])
    tiny = (*TINY, *WRITING) if writes else TINY if name != "jsb_chorales" else PLAYING
    report = api.train(ROOT / "examples" / name / "config.yaml", out=tmp_path / "run", overrides=tiny).report
    assert report is not None
    rows = {
        # 1 % and 2 % of 60 are 0.6 and 1.2: a row each.
        "eng_fra": (NUM_ROWS - 2, 1, 1),
        "g2p": (NUM_ROWS, 7, 5),
        "multi30k_en_de": (NUM_ROWS, 7, 5),
        "multi30k_en_fr": (NUM_ROWS, 7, 5),
        "sms_spam": tuple(hashed(texts(), split) for split in ("train", "dev", "test")),
        "hate_offensive": tuple(hashed(texts(), split) for split in ("train", "dev", "test")),
        "sst2": (NUM_ROWS, 7, None),
        "imdb": (NUM_ROWS * 9 // 10, NUM_ROWS // 10, NUM_ROWS),
        "jsb_chorales": (None, None, None),  # pieces
        "nottingham": (None, None, None),  # documents
        "ncbi_disease": (NUM_ROWS, 7, 5),
        "snips_slots": (7 * 12 - 4, 4, 7),  # 5 % of 84 commands
        "tinyshakespeare": (None, None, None),  # one document
        "ud_english_ewt": (NUM_ROWS, 7, 5),
        "wikitext2": (None, None, None),  # one document
        "wnut17": (NUM_ROWS, 7, 5),
    }[name]
    assert tuple(report.facts.get(f"{split} rows") for split in ("train", "dev", "test")) == rows
    assert SCORED[name] == {
        s.name for s in report.scores if s.name.startswith(("f1[", "bleu", "wer", "bits", "nats_after"))
    }


def test_a_classifier_of_reviews_begins_with_a_language_model_of_the_same_reviews(data: Path) -> None:
    WRITERS["imdb"](data)
    folder = ROOT / "examples" / "imdb"
    api.train(folder / "language_model.yaml", out=Path("runs/language_model"), overrides=TINY)
    trained = api.train(folder / "fine_tune.yaml", out=Path("runs/tuned"), overrides=TINY)
    assert trained.report is not None
    assert {s.name for s in trained.report.scores if s.name.startswith("f1[")} == SCORED["imdb"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*/[!c]*.yaml")), ids=lambda p: f"{p.parent.name}/{p.stem}"
)
def test_another_setting_of_an_example_has_no_mistake(path: Path, data: Path) -> None:
    WRITERS[path.parent.name](data)
    alone = ["training.init_from=null", "training.rate_decay=1.0"] if "init_from" in path.read_text() else []
    assert api.check(path, overrides=alone).facts["parameters"]


def test_a_benchmark_table_holds_mean_and_range_over_the_seeds(quality: ModuleType) -> None:
    def run(seed: int, f1: float) -> object:
        scores, baseline = {"test/f1[spam]": f1, "test/accuracy": 0.99}, {"tfidf": {"test/f1[spam]": 0.91}}
        return quality.Run("sms_spam", seed, 8, 800, 4.0 * seed, 200, 1234, scores, baseline)

    f1_line, accuracy_line = quality.table([run(1, 0.96), run(2, 0.93), run(3, 0.93)]).splitlines()[2:]
    cells = [cell.strip() for cell in f1_line.strip("|").split("|")]
    assert cells == [
        "sms_spam", "test f1[spam]", ">= 0.95 MISSED", "**0.9400** (0.9300 to 0.9600)", "0.9100", "",
        "1, 2, 3", "1,234", "8", "200",
    ]  # fmt: skip
    assert "| **0.9900** (0.9900 to 0.9900) |" in accuracy_line
    assert ">= 0.95 reached" in quality.table([run(1, 0.96), run(2, 0.95)])


def test_texts_that_are_written_have_a_table_of_their_own_with_their_own_baselines(quality: ModuleType) -> None:
    spam = quality.Run("sms_spam", 1, 8, 800, 4.0, 200, 1234, {"test/f1[spam]": 0.96, "test/accuracy": 0.99}, {})
    scores = {"test/bleu": 21.456, "test/chrf": 45.0}
    copied = {"copy": {"test/bleu": 0.5, "test/chrf": 12.0}, "frequent": {"test/bleu": 0.104, "test/chrf": 9.0}}
    captions = quality.Run("multi30k_en_de", 1, 6, 900, 90.0, 10, 99, scores, copied)
    first, second = quality.table([captions, spam]).split("\n\n")
    assert "TF-IDF" in first
    assert "multi30k" not in first
    heads, _, bleu, _ = second.splitlines()
    assert "| copied source | most frequent target |" in heads
    assert "| **21.46** (21.46 to 21.46) | 0.50 | 0.10 |" in bleu


def test_the_benchmark_reads_parallel_files_and_names_the_half_that_is_missing(
    quality: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_multi30k(data)
    write_g2p(data)
    (data / "multi30k" / "val.fr.gz").unlink()
    settings = [word for option in (*TINY, *WRITING) for word in ("--set", option)]
    asked = ["--data", str(data), "--tasks", "multi30k_en_fr,multi30k_en_de,g2p_fre", *settings]
    assert quality.main(asked) == 0
    printed = capsys.readouterr()
    assert f"multi30k_en_fr: left out, because there is no {data / 'multi30k' / 'val.fr.gz'}." in printed.err
    assert "multi30k_en_de, seed 1: epoch 1, dev bleu " in printed.err
    assert "| multi30k_en_de | test chrf | " in printed.out
    assert "| g2p_fre | test wer | " in printed.out


def test_the_benchmark_trains_scores_and_says_what_is_missing(
    quality: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_imdb(data)
    write_sst2(data)
    (data / "imdb" / "imdb_test.csv.gz").unlink()
    settings = [word for option in TINY for word in ("--set", option)]
    found = tmp_path / "quality.json"
    asked = ["--data", str(data), "--tasks", "imdb,sst2", "--seeds", "2,5", "--json", str(found), *settings]
    assert quality.main(asked) == 0
    printed = capsys.readouterr()
    assert f"imdb: left out, because there is no {data / 'imdb' / 'imdb_test.csv.gz'}." in printed.err
    document = json.loads(found.read_text())
    assert [(run["task"], run["seed"], run["epochs"]) for run in document["runs"]] == [("sst2", 2, 1), ("sst2", 5, 1)]
    # 60 texts of "number k is lovely , he said": 7 tokens each, read once.
    assert [run["tokens"] for run in document["runs"]] == [420, 420]
    # 5 sentences and one with a control character inside that Python takes for the end of a line.
    assert document["runs"][0]["scores"]["test/support[0]"] + document["runs"][0]["scores"]["test/support[1]"] == 6
    assert "| sst2 | dev accuracy | >= 0.82 " in printed.out


def test_the_benchmark_without_any_data_ends_with_code_2(
    quality: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quality.main(["--data", str(tmp_path)]) == 2
    assert "holds none of the files of sms_spam, sst2, hate_offensive, imdb" in capsys.readouterr().err


def test_a_sentence_file_with_a_strange_label_is_named_with_its_line(quality: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "test", "1 fine\n4 fine too\n")
    with pytest.raises(ValueError, match=r"test:2: expected 0 or 1, a space and a sentence .* got '4 fine too'"):
        quality.label_first_to_tsv(tmp_path / "test", tmp_path)
