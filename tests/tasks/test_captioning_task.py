"""Captioning and retrieval, verb by verb: what is read, drawn, said and scored, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from picture_room import captions, picture
from recurra.base.contracts import Origin, Prediction, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.models import DualEncoder, EncoderDecoder
from recurra.tasks import Captioning, CaptioningConfig, Retrieval, RetrievalConfig
from recurra.tasks.picture_maps import overlays
from recurra.tasks.picture_reader import Moves

KINDS = [("red", "left"), ("blue", "right"), ("green", "left"), ("red", "right")]


def record(k: int, said: Any = None) -> Record:
    fields = {"image": picture(*KINDS[k], k), "caption": list(captions(*KINDS[k])) if said is None else said}
    return Record(fields, Origin("p.csv", k + 2))


def records() -> list[Record]:
    return [record(k) for k in range(len(KINDS))]


def captioner(**options: Any) -> Captioning:
    return CaptioningConfig(**{"height": 8, **options}).fit(records(), "p.csv")


def model_for(task: Captioning, **parts: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    small = {"inputs": "images", "encoder": {"name": "image", "channels": [4, 6]}, **parts}
    decoder = {"name": "recurrent", "cell": "gru", "embedding_size": 8, "hidden_size": 8}
    return EncoderDecoder(task.model_sizes, **small, decoder=decoder).eval()


def finder(**options: Any) -> Retrieval:
    return RetrievalConfig(**{"height": 8, **options}).fit(records(), "p.csv")


def test_a_picture_is_one_example_with_all_of_its_captions():
    task = captioner()
    example = task.example(record(0))
    assert example.captions == captions("red", "left")
    assert task.model_sizes == {"height": 8, "width": 8, "channels": 3, "target": 13}
    assert example.length == 16


def test_pictures_without_a_group_are_split_each_by_itself():
    none, blank, own = (
        Record({**record(k).fields, "group": g}, record(k).origin) for k, g in enumerate((None, "", "a"))
    )
    for plan in (CaptioningConfig(height=8, group="group"), RetrievalConfig(height=8, group="group")):
        rows = [plan.read(one) for one in (none, blank, own)]
        assert [row.key for row in rows] == [rows[0].shown.digest.hex(), rows[1].shown.digest.hex(), "a"]


def test_each_epoch_draws_one_caption_whatever_stands_beside():
    task = captioner(shift=1, flip=True)
    examples = [task.example(one) for one in records()]
    seen = set()
    for epoch in range(8):
        batch = task.drawn(examples, range(4), 1, epoch)
        (alone,) = [task.drawn(examples[2:3], [2], 1, epoch)]
        assert torch.equal(batch.inputs["pixels"][2], alone.inputs["pixels"][0])
        n = int(alone.inputs["target_lengths"][0])
        assert batch.inputs["target"][:n, 2].tolist() == alone.inputs["target"][:, 0].tolist()
        seen.add(n)
    assert seen == {7, 5}  # either caption, with its start


def test_a_shift_moves_pixels_and_repeats_edges():
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    found = {Moves(shift=1)(pixels, key).tobytes() for key in range(60)}
    down = np.vstack([pixels[:1], pixels[:3]])
    assert pixels.tobytes() in found
    assert down.tobytes() in found
    assert len(found) == 9
    assert {Moves(flip=True)(pixels, key)[0, 0, 0] for key in range(20)} == {0, 3}


def test_greedy_and_beam_say_what_a_caption_alone_says():
    task = captioner(beam=3)
    model, examples = model_for(task), [task.example(one) for one in records()]
    together = task.predict(model, task.collate(examples, range(4)), examples)
    for n, example in enumerate(examples):
        (alone,) = task.predict(model, task.collate([example], [n]), [example])
        assert alone.best.tokens == together[n].best.tokens
        assert len(alone.best.tokens) <= task.search.longest == 7


def test_attention_has_a_weight_for_each_place():
    task = captioner().with_options({"attention": True, "n_best": 2, "beam": 2})
    model, example = model_for(task), task.example(record(1))
    (output,) = task.predict(model, task.collate([example], [0]), [example])
    answer = task.answer(example, output).to_dict()
    assert answer["attention"]["grid"] == [2, 2]
    np.testing.assert_allclose(np.sum(answer["attention"]["weights"], 1), 1, atol=1e-6)
    assert len(answer["n_best"]) == 2
    assert task.with_options({}).explain(model, example, torch.device("cpu")).maps[0].image.startswith(b"\x89PNG")


def test_overlays_are_brightest_where_a_word_looked():
    pixels = np.full((4, 4, 3), 200, np.uint8)
    drawn = overlays(pixels, np.array([[[0.0, 1.0], [0.0, 0.0]]]))
    assert drawn.shape == (96, 196, 3)
    assert (drawn[:48, 148:] == 200).all()
    assert (drawn[48:, 100:] == 30).all()


def test_perfect_captions_are_scored_and_a_single_picture_is_doubted():
    task = captioner()
    examples = [task.example(one) for one in records()]
    found = {s.name: s.value for s in task.score(task.perfect(examples), examples, "dev")}
    assert found["bleu_4"] == pytest.approx(1)
    assert found["rouge_l"] == pytest.approx(1)
    assert found["repeated"] == 1
    assert 3 < found["cider_d"] < 10
    assert any("single picture" in one for one in task.doubts(examples[:1], ()))
    assert {s.name: s.value for s in task.score(task.perfect(examples[:1]), examples[:1], "dev")}["cider_d"] == 0


def test_a_task_is_restored_as_it_was():
    plan = CaptioningConfig(height=8)
    task = plan.fit(records(), "p.csv")
    again = plan.restore(task.to_json(), "task.json")
    assert again.to_json() == task.to_json()
    assert "a RED wall on the left." in again.seen
    with pytest.raises(RunError, match=r"task.json: expected words of captions"):
        plan.restore({**task.to_json(), "seen": "xyz"}, "task.json")


def test_whatever_is_said_of_a_picture_is_right_for_it_drawn_or_not():
    task = finder()
    said = (["a wall", "red"], ["red", "blue"], ["a house"])
    fields = [{"image": record(k).fields["image"], "caption": some} for k, some in enumerate(said)]
    batch = task.collate([task.example(Record(one, Origin("p.csv", 2))) for one in fields], range(3))
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    texts = torch.zeros(5, 2)
    texts[batch.targets["first"]] = vectors
    found = task.loss(Prediction({"image": vectors, "text": texts, "scale": torch.tensor(2.0)}), batch)
    # of the first captions, "a wall", "red" and "a house", the first picture has two
    alike = np.exp(2.0 * vectors.double().numpy() @ vectors.double().numpy().T)
    right = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]])
    expected = -sum(np.log((alike * right).sum(k) / alike.sum(k)).sum() for k in (0, 1)) / 2
    assert float(found.total) == pytest.approx(expected, rel=1e-6)


def test_features_are_read_in_the_place_of_pictures(tmp_path: Path):
    rows = []
    for k in range(3):
        np.save(tmp_path / f"{k}.npy", np.full((2, 2, 5), k, np.float32))
        rows.append(Record({"image": f"{k}.npy", "caption": f"number {k}"}, Origin(str(tmp_path / "f.csv"), k + 2)))
    task = CaptioningConfig(features=True).fit(rows, "f.csv")
    assert task.model_sizes == {"features": 5, "target": 8}
    example = task.example(rows[2])
    batch = task.collate([example], [0])
    assert batch.inputs["features"].shape == (4, 1, 5)
    assert task.reader.grid(example.shown, 4) == (2, 2)
    model = model_for(task, inputs="vectors", encoder="identity")
    (output,) = task.predict(model, batch, [example])
    assert task.answer(example, output).picture == str(tmp_path / "2.npy")
    np.save(tmp_path / "1.npy", np.zeros(6))
    with pytest.raises(DataError, match=r"f.csv:3: .*has 6 numbers a place, training data had 5"):
        task.example(rows[1])


def test_options_that_have_no_effect_are_refused():
    with pytest.raises(ConfigError) as said:
        CaptioningConfig(features=True, height=32, flip=True, caption="image")
    text = str(said.value)
    for one in ("height: has no effect with features", "flip: has no effect", "caption: is 'image'"):
        assert one in text
    with pytest.raises(ConfigError, match="vectors do not read pictures; set images or patches"):
        CaptioningConfig().refuse_inputs({"name": "vectors"})
    with pytest.raises(ConfigError, match="accumulate: a pair is contrasted"):
        RetrievalConfig().refuse_training({"accumulate": 2})


@pytest.mark.parametrize(("said", "why"), [([], "no caption"), ("  ", "caption"), ([3], "expected a caption")])
def test_captions_that_are_none_are_named_with_their_line(said: Any, why: str):
    with pytest.raises(DataError, match=rf"p.csv:2: .*{why}"):
        captioner().example(record(0, said))


def test_equal_pictures_and_captions_are_right_for_each_other():
    task = finder()
    examples = [task.example(one) for one in (record(0), record(0), record(1))]
    found = {s.name: s.value for s in task.score(task.perfect(examples), examples, "dev")}
    assert found["text_to_image_r1"] == found["image_to_text_r1"] == found["mean_recall"] == 1
    assert found["text_to_image_median_rank"] == 1
    batch = task.collate(examples, range(3))
    assert batch.targets["picture"].tolist() == [0, 0, 1]
    assert batch.targets["first"].tolist() == [0, 2, 4]


def test_vectors_are_those_of_a_search():
    task = finder()
    torch.manual_seed(0)
    model = DualEncoder(task.model_sizes, encoder={"name": "image", "channels": [4, 6]}, embedding_size=6).eval()
    examples = [task.example(one) for one in records()]
    with torch.inference_mode():  # as `predict` of the API; with gradients a block's norms are torch's
        outputs = task.predict(model, task.collate(examples, range(4)), examples)
    device = torch.device("cpu")
    np.testing.assert_array_equal(task.picture_vectors(model, records(), device)[1], outputs[1].image)
    np.testing.assert_array_equal(task.text_vectors(model, list(captions("blue", "right")), device), outputs[1].texts)
    assert task.strange_in("a purple wall") == ("purple",)
    loss = task.loss(model(task.collate(examples, range(4))), task.collate(examples, range(4)))
    assert loss.count == 4
    assert float(loss.total.detach()) > 0
