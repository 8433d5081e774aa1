"""Captions and a search for pictures through every verb: halves of three colours, from `init` to a service."""

from __future__ import annotations

import base64
import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from api.api_room import done, refused
from picture_room import captions, picture, write
from recurra.api import open_run, text_search, text_searching
from recurra.base.errors import ConfigError, DataError
from recurra.data.pictures import decoded_pixels
from recurra.data.vector_index import VectorIndex, read_index
from recurra.report.png import Pictures
from recurra.service import Beside, Limits, body_bytes_of, open_runs
from service.service_room import Asked, full

SMALL = [
    "task.height=12",
    "task.shift=0",
    "model.encoder.channels=[8, 16]",
    "model.encoder.dropout=0",
    "training.patience_share=null",
    "training.optimizer.lr=0.01",
]
WRITES = [
    "model.decoder.hidden_size=24",
    "model.decoder.embedding_size=12",
    "training.epochs=14",
    "training.optimizer.lr=0.02",
]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures, and two runs that were trained on them."""
    folder = tmp_path_factory.mktemp("walls")
    write(folder / "data" / "train", 24, 1)
    write(folder / "data" / "test", 12, 2)
    sets = [*SMALL, f"data.dev={folder / 'data' / 'test'}", f"data.test={folder / 'data' / 'test'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.report.folder.pictures", lambda report, charts, maps: Pictures({}, ()))
        for task, more in (("captioning", WRITES), ("retrieval", ["training.epochs=10", "training.batch_rows=12"])):
            done("init", task, folder / "data" / "train", "-o", folder / f"{task}.yaml")
            words = [word for one in (*sets, *more) for word in ("--set", one)]
            done("train", folder / f"{task}.yaml", "--out", folder / task, *words)
    return folder


def test_init_says_what_it_took_for_what(here: Path) -> None:
    text = (here / "captioning.yaml").read_text()
    for line in ("name: captioning", "image: image", "caption: caption", "name: long", "id: image", "inputs: images"):
        assert line in text


def test_captions_are_learned_and_scored_beside_the_nearest_picture(here: Path) -> None:
    said = done("evaluate", here / "captioning", "--split", "test", "--json").json
    scores = {one["name"]: one["value"] for one in said["scores"]}
    assert scores["bleu_1"] > 0.7
    assert {"cider_d", "rouge_l", "repeated", "different", "log_loss"} <= set(scores)
    assert set(said["baselines"]) == {"nearest", "frequent"}


def test_a_picture_is_answered_with_words(here: Path, tmp_path: Path) -> None:
    (tmp_path / "new.png").write_bytes(picture("blue", "right", 77))
    said = done("predict", here / "captioning", tmp_path / "new.png", "--attention", "--json").json
    answer = said[0] if isinstance(said, list) else said
    assert {"blue", "right"} <= set(answer["output"].split())
    assert answer["attention"]["grid"] == [3, 3]
    (tmp_path / "new.csv").write_text("image\nnew.png\n")
    done("predict", here / "captioning", "--input", tmp_path / "new.csv", "--output", tmp_path / "o.csv")
    (row,) = csv.DictReader((tmp_path / "o.csv").read_text().splitlines())
    assert row["predicted"] == answer["output"]


def test_what_each_word_looked_at_is_shown(here: Path, tmp_path: Path) -> None:
    (tmp_path / "new.png").write_bytes(picture("red", "left", 78))
    text = done("inspect", here / "captioning", tmp_path / "new.png", "--html", tmp_path / "i.html").out
    assert "What each word looked at" in text
    assert "data:image/png;base64," in (tmp_path / "i.html").read_text()
    assert "data:image/png;base64," in (here / "captioning" / "report.html").read_text()


def test_runs_are_served_and_never_open_a_name(here: Path) -> None:
    runs = open_runs([here / "captioning"], device="cpu")
    asked = Asked(runs, Limits(body_bytes=body_bytes_of(runs.values())), None)
    sent = base64.b64encode(picture("green", "left", 79)).decode()
    (answer,) = asked.post("/predict", {"records": [{"image": sent}]}).json()["predictions"]
    assert {"green", "left"} <= set(answer["output"].split())
    for bad in (str(here / "data" / "test" / "0.png"), base64.b64encode(b"hello").decode()):
        assert asked.post("/predict", {"records": [{"image": bad}]}).status_code == 422
    # The largest file that the page lets go arrives, in a body of another size than texts need.
    full = base64.b64encode(picture("red", "left", 80).ljust(12_000_000, b"\0")).decode()
    assert asked.post("/predict", {"records": [{"image": full}]}).status_code == 200
    assert body_bytes_of([]) == Limits().body_bytes == 2**20
    assert asked.service.stop(10)


def test_pictures_are_found_by_words_and_words_by_a_picture(here: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(here / "data" / "test", images)
    (images / "cut.png").write_bytes(picture("red", "left")[:60])
    (images / "gone.png").symlink_to(tmp_path / "nowhere.png")
    first = done("search", here / "retrieval", "a blue wall on the right", "--images", images, "-n", "2", "--json")
    kinds = {Path(one["name"]).stem for one in first.json}
    assert kinds <= {"4", "10", "1", "7"}  # blue ones
    assert "1 of 13 pictures were left out" in first.err
    again = done("search", here / "retrieval", "a blue wall on the right", "--images", images, "-n", "2", "--json")
    assert again.json == first.json
    page = tmp_path / "found.html"
    done("search", here / "retrieval", "red", "--images", images, "-n", "2", "--html", page)
    assert page.read_text().count("data:image/png;base64,") == 2
    (images / "cut.png").unlink()
    (images / "new.png").write_bytes(picture("blue", "right", 99))
    more = done("search", here / "retrieval", "a blue wall on the right", "--images", images)
    assert "13 pictures, 1 of them encoded now" in more.err
    (tmp_path / "t.txt").write_text("\n".join(caption for c in ("red", "blue") for caption in captions(c, "left")))
    found = done("search", here / "retrieval", "--like", images / "0.png", "--texts", tmp_path / "t.txt").out
    assert "red" in found.splitlines()[0]


def test_an_index_of_another_run_is_made_anew_and_a_damaged_one_is_named(here: Path, tmp_path: Path) -> None:
    index, images = tmp_path / "i.safetensors", here / "data" / "test"
    ask = ("search", here / "retrieval", "red", "--images", images, "--index", index)
    done(*ask)
    raw = index.read_bytes()
    owner = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]["owner"]
    index.write_bytes(raw.replace(owner.encode(), b"f" * len(owner)))
    assert "was made by another run" in done(*ask).err
    shutil.copytree(here / "retrieval", tmp_path / "other")
    config = tmp_path / "other" / "config.yaml"
    config.write_text("# other\n" + config.read_text())
    assert "was made by another run" in done("search", tmp_path / "other", *ask[2:]).err
    done(*ask)
    known = read_index(index)
    VectorIndex(known.vectors[:, :5], known.entries, known.owner).write(index)
    assert "has vectors of 5 numbers, the run's have 128" in refused(*ask)
    index.write_bytes(raw[:100])
    assert "Remove it, to build it anew" in refused(*ask)


def test_words_that_do_not_go_together_are_refused(here: Path, tmp_path: Path) -> None:
    run, images = here / "retrieval", here / "data" / "test"
    for words, said in (
        ((run, "--images", images), "expected a text, or --like"),
        ((run, "red"), "expected --images FOLDER, or --texts"),
        ((run, "red", "--texts", "t.txt"), "add --like"),
        ((here / "captioning.yaml", "red", "--images", images), "unexpected argument 'red'"),  # of a config: settings
        ((here / "captioning", "red", "--images", images), "does not compare pictures"),
        ((run, "red", "--images", images, "--approximate"), "leave it out below 100,000"),
        ((run, "red", "--images", tmp_path), "holds no picture"),
    ):
        assert said in refused("search", *words)


def test_ranks_would_change_what_pairs_are_contrasted_with(here: Path, tmp_path: Path) -> None:
    assert "--ranks" in refused("train", here / "retrieval.yaml", "--ranks", "2", "--out", tmp_path / "r")


def test_bad_pictures_are_named_before_training(here: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(here / "data" / "train", folder)
    (folder / "cut.png").write_bytes(picture("red", "left")[:70])
    (folder / "text.png").write_text("this is no picture")
    good = (folder / "captions.csv").read_text()
    for line, said in {
        "gone.png,x": "no such file",
        "cut.png,x": "captions.csv:50: ",
        "text.png,x": "expected a PNG, JPEG or WebP picture",
    }.items():
        (folder / "captions.csv").write_text(f"{good}{line}\n")
        assert said in refused("check", here / "captioning.yaml", "--set", f"data.train={folder}")


def test_what_has_no_form_in_onnx_is_refused_by_name(here: Path, tmp_path: Path) -> None:
    assert "Image" in refused("export", here / "captioning", "--onnx", tmp_path / "c.onnx")
    assert "DualEncoder" in refused("export", here / "retrieval", "--onnx", tmp_path / "r.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_searched_by_http_and_no_file_outside_it_is_shown(here: Path, tmp_path: Path) -> None:
    images, index = tmp_path / "images", tmp_path / "i.safetensors"
    shutil.copytree(here / "data" / "test", images)
    (tmp_path / "secret.png").write_bytes(picture("blue", "right", 5))
    (images / "way.png").symlink_to(tmp_path / "secret.png")
    said: list[str] = []
    runs = open_runs([here / "retrieval"], device="cpu", beside=Beside(images, index), note=said.append)
    assert "1 picture is a link to a file outside" in said[-1]
    asked = Asked(runs, Limits(body_bytes=body_bytes_of(runs.values())), "k" * 16)

    def post(body: object, status: int = 200, path: str = "/search") -> dict[str, object]:
        answer = asked.post(path, body, headers={"authorization": "Bearer " + "k" * 16})
        assert answer.status_code == status, answer.text
        assert str(tmp_path) not in answer.text
        return answer.json()

    with full(asked):
        assert "wait already" in str(post({"text": "a blue wall"}, 503))
    words = done("search", here / "retrieval", "a blue wall zzz", "--images", images, "-n", "13", "--json").json
    found = post({"text": "a blue wall zzz", "number": 50})
    expected = [(Path(one["name"]).name, round(one["likeness"], 5)) for one in words if "way" not in one["name"]]
    assert [(one["name"], round(one["likeness"], 5)) for one in found["found"]] == expected
    assert (found["pictures"], len(expected)) == (12, 12)
    assert found["notes"] == ["never in training, and read as unknown: 'zzz'."]
    assert {decoded_pixels(base64.b64decode(one["thumbnail"])) for one in found["found"]} == {160 * 160}
    sent = base64.b64encode((images / "4.png").read_bytes()).decode()
    alike = post({"picture": sent, "number": 2})["found"]
    assert (alike[0]["name"], round(alike[0]["likeness"], 4)) == ("4.png", 1.0)
    for body in (
        {},
        {"text": "a", "picture": sent},
        {"text": "a", "number": 51},
        {"text": " "},
        {"picture": "aGVsbG8="},
    ):
        post(body, 422)
    gallery = runs["retrieval"].gallery
    assert gallery is not None
    (images / "0.png").unlink()
    (images / "0.png").symlink_to(tmp_path / "secret.png")
    (images / "1.png").unlink()
    names = ("0.png", "1.png", "../secret.png", str(tmp_path / "secret.png"), "../images/2.png")
    assert [gallery.thumbnail(name) is None for name in names] == [True] * 4 + [False]
    gone = {one["name"] for one in post({"text": "red", "number": 12})["found"] if one["thumbnail"] is None}
    assert gone == {"0.png", "1.png"}
    (images / "new.png").write_bytes(picture("green", "left", 6))
    assert post({}, path="/models/retrieval/reload")["outcome"] == "loaded"
    assert {one["name"] for one in post({"text": "green"})["found"]} >= {"new.png"}
    assert post({}, path="/models/retrieval/reload")["outcome"] == "unchanged"
    shutil.rmtree(images)
    assert "images: is no folder" in post({}, 409, "/models/retrieval/reload")["error"]
    assert asked.service.stop(10)


def test_texts_of_a_file_are_found_by_http_with_a_picture(here: Path, tmp_path: Path) -> None:
    texts, index = tmp_path / "t.txt", tmp_path / "i.safetensors"
    lines = [f"a {colour} wall on the {side}" for colour in ("red", "green", "blue") for side in ("left", "right")]
    texts.write_text("\n".join([*lines, "", lines[0], "  "]))
    beside, said = Beside(texts=texts, text_index=index), []
    runs = open_runs([here / "retrieval"], device="cpu", beside=beside, note=said.append)
    assert said == [f"{index}: 6 texts, 6 of them encoded now."]
    asked = Asked(runs, Limits(body_bytes=body_bytes_of(runs.values())), "k" * 16)

    def post(body: object, status: int = 200, path: str = "/search_texts") -> dict[str, object]:
        answer = asked.post(path, body, headers={"authorization": "Bearer " + "k" * 16})
        assert answer.status_code == status, answer.text
        assert str(tmp_path) not in answer.text
        return answer.json()

    like = here / "data" / "test" / "0.png"
    sent = base64.b64encode(like.read_bytes()).decode()
    words = done("search", here / "retrieval", "--like", like, "--texts", texts, "-n", "9", "--json").json
    found = post({"picture": sent, "number": 50})
    assert found["texts"] == len(words) == 6
    expected = [(one["name"], round(one["likeness"], 5)) for one in words]
    assert [(one["text"], round(one["likeness"], 5)) for one in found["found"]] == expected
    assert post({"picture": sent, "number": 1})["found"] == found["found"][:1]
    with full(asked):
        assert "wait already" in str(post({"picture": sent}, 503))
    for body in ({}, {"picture": "aGVsbG8="}, {"picture": str(like)}, {"picture": sent, "number": 51}):
        post(body, 422)
    assert "--images FOLDER" in post({"text": "red"}, 409, "/search")["error"]
    assert b"wall" not in index.read_bytes()
    before = read_index(index)
    texts.write_text("a yellow wall\n" + texts.read_text())
    assert post({}, path="/models/retrieval/reload")["outcome"] == "loaded"
    assert post({"picture": sent})["texts"] == 7
    assert (read_index(index).vectors[1:] == before.vectors).all()
    assert post({}, path="/models/retrieval/reload")["outcome"] == "unchanged"
    texts.write_bytes(b"\xff")
    assert "texts: is no UTF-8 text at byte 1." in post({}, 409, "/models/retrieval/reload")["error"]
    assert post({"picture": sent})["texts"] == 7
    assert asked.service.stop(10)


def test_a_known_text_is_not_encoded_again(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(here / "retrieval")
    read: list[str] = []
    encode = type(run.task).text_vectors

    def counted(self: object, model: object, texts: list[str], device: object) -> object:
        read.extend(texts)
        return encode(self, model, texts, device)  # type: ignore[arg-type]

    monkeypatch.setattr(type(run.task), "text_vectors", counted)
    said: list[str] = []
    for lines in (["red", "blue"], ["blue", "green", "red"], ["red"], ["red"]):
        (tmp_path / "t.txt").write_text("\n".join(lines))
        search = text_search(run, tmp_path / "t.txt", index=tmp_path / "i", device="cpu", note=said.append)
        alone = encode(run.task, run.model, lines, search.device)  # type: ignore[arg-type]
        assert np.array_equal(search.index.vectors, alone)
    assert read == ["red", "blue", "green"]
    assert [note.split(": ")[1] for note in said] == [
        "2 texts, 2 of them encoded now.", "3 texts, 1 of them encoded now.", "1 texts, 0 of them encoded now."
    ]  # fmt: skip


def test_texts_that_cannot_be_searched_are_named(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "t.txt"
    monkeypatch.setattr(text_searching, "MOST_TEXTS", 2)
    for content, words in (
        ("\n \n", "has no line of text"),
        ("a\n" + "b" * 10_001, r"t.txt:2: has 10,001 characters, expected at most 10,000"),
        ("a\nb\nc", "has 3 texts, more than 2"),
    ):
        file.write_text(content)
        with pytest.raises(DataError, match=words):
            open_runs([here / "retrieval"], device="cpu", beside=Beside(texts=file, text_index=tmp_path / "i"))
    file.write_text("a")
    (tmp_path / "other").symlink_to(here / "retrieval")
    for runs, beside, words in (
        (["captioning"], Beside(texts=file), "texts: no run that is served compares"),
        (["retrieval", "other"], Beside(texts=file, text_index=tmp_path / "i"), "text-index: is of one run"),
        (
            ["retrieval"],
            Beside(tmp_path, tmp_path / "i", texts=file, text_index=tmp_path / "i"),
            "file of the pictures",
        ),
    ):
        with pytest.raises(ConfigError, match=words):
            open_runs([here / r if r != "other" else tmp_path / r for r in runs], device="cpu", beside=beside)
    assert not (tmp_path / "i").exists()
    assert "--text-index has no effect without --texts" in refused("serve", here / "retrieval", "--text-index", "i")


def test_an_index_that_two_runs_would_write_is_written_by_none(here: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(here / "retrieval")
    two, beside = [here / "retrieval", tmp_path / "other"], Beside(here / "data" / "test", tmp_path / "i.safetensors")
    with pytest.raises(ConfigError, match="index: is of one run, and retrieval, other search pictures"):
        open_runs(two, device="cpu", beside=beside)
    assert not (tmp_path / "i.safetensors").exists()


def test_a_service_without_pictures_says_how_to_have_them(here: Path) -> None:
    with pytest.raises(ConfigError, match="no run that is served compares pictures with texts"):
        open_runs([here / "captioning"], device="cpu", beside=Beside(here / "data" / "test"))
    runs = open_runs([here / "retrieval", here / "captioning"], device="cpu")
    asked = Asked(runs, Limits(), None)
    sent = base64.b64encode(picture("red", "left")).decode()
    for path, name, reason in (
        ("/search", "retrieval", "--images FOLDER"),
        ("/search", "captioning", "does not compare pictures"),
        ("/search_texts", "retrieval", "--texts FILE"),
        ("/search_texts", "captioning", "does not compare pictures"),
    ):
        answer = asked.post(path, {"model": name, **({"picture": sent} if "texts" in path else {"text": "red"})})
        assert (answer.status_code, reason in answer.json()["error"]) == (409, True)
    assert asked.service.stop(10)
