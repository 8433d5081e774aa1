"""What codes are used for: rows drawn, between two others, filled in, and compressed to a few bits and back."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from api.api_room import done, refused
from recurra import api, load
from recurra.api.coding import _way, coder_of
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.cli.tables import TABLES
from recurra.report.png import Pictures
from recurra.tasks.autoencoding.coder import RowCoder

SIDE = 6


def pictures(number: int, seed: int = 0) -> NDArray[np.float64]:
    """A bright bar that stands at one of six places, with one of many brightnesses."""
    rng = np.random.default_rng(seed)
    found = np.zeros((number, SIDE, SIDE))
    for picture in found:
        picture[:, rng.integers(SIDE)] = rng.integers(100, 255)
    return found


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures, a run with plain codes, and one whose codes are distributions and that fills in."""
    folder = tmp_path_factory.mktemp("codes")
    np.savez(folder / "d.npz", X=pictures(160))
    np.savez(folder / "new.npz", X=pictures(12, seed=9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.report.folder.pictures", lambda report, charts, maps: Pictures({}, ()))
        for name, task in (
            ("plain", {"code_size": 4}),
            (
                "fills",
                {
                    "code_size": 5,
                    "variational": True,
                    "likelihood": "continuous_bernoulli",
                    "missing": "mask",
                    "noise": {"name": "mask", "share": 0.3, "each": "block"},
                },
            ),
        ):
            config = {
                "task": {"name": "autoencoding", "values": "values", "flatten": True, "scaling": "range", **task},
                "data": {"train": str(folder / "d.npz")},
                "model": {"encoder": {"name": "dense", "sizes": [24]}},
                "training": {
                    "epochs": 8,
                    "batch_rows": 16,
                    "report": "scores",
                    "optimizer": {"name": "adam", "lr": 0.01},
                },
            }
            api.train(config, out=folder / name, device="cpu")
    return folder


# -- rows that are drawn, and between two ------------------------------------------------------------------------------


def test_a_drawn_row_is_a_function_of_seed_and_place_and_spreads_with_the_temperature(here: Path) -> None:
    run = api.open_run(here / "fills")
    many, few = api.generate_rows(run, num=5, seed=3), api.generate_rows(run, num=2, seed=3)
    assert many.rows[:2] == few.rows
    assert api.generate_rows(run, num=2, seed=4).rows != few.rows
    cold, hot = (api.generate_rows(run, num=5, seed=3, temperature=one) for one in (0, 2))
    assert np.array_equal(hot.codes, 2 * np.asarray(many.codes))
    assert all(row == cold.rows[0] for row in cold.rows)
    assert many.pictures is not None
    scaled = np.array([row["values"] for row in many.rows]) / pictures(160).max()
    assert np.abs(many.pictures - 255 * scaled).max() <= 0.51  # a grey is the nearest whole number


def test_the_ways_between_two_codes() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 7))
    assert np.allclose(_way(a, b, 5, "linear"), [a + k / 4 * (b - a) for k in range(5)], atol=1e-6)
    # Two units of a plane: on the great circle each step is a turn by the same angle.
    one, other = a / np.linalg.norm(a), b - (a @ b) / (a @ a) * a
    other /= np.linalg.norm(other)
    angle = 0.7
    turned = [math.cos(k / 4 * angle) * one + math.sin(k / 4 * angle) * other for k in range(5)]
    assert np.allclose(_way(turned[0], turned[-1], 5, "spherical"), turned, atol=1e-6)
    assert np.allclose(_way(a, 2 * a, 3, "spherical"), [a, 1.5 * a, 2 * a], atol=1e-6)
    with pytest.raises(ConfigError, match="opposite"):
        _way(a, -a, 3, "spherical")
    with pytest.raises(ConfigError, match="unknown word 'round'"):
        _way(a, b, 3, "round")


def test_rows_between_two_begin_and_end_with_what_is_said_of_these(here: Path, tmp_path: Path) -> None:
    new = here / "new.npz"
    done(
        "generate", here / "plain", "--between", "1", "2", "--input", new, "--steps", 3, "--output", tmp_path / "w.npz"
    )
    with np.load(tmp_path / "w.npz") as file:
        found = dict(file)
    run = load(here / "plain", progress=False)
    said = [one.reconstruction["values"] for one in run.predict(new)[:2]]
    assert np.allclose(found["values"][[0, 2]], said, atol=1e-4)
    assert np.allclose(found["codes"][1], (found["codes"][0] + found["codes"][2]) / 2, atol=1e-6)
    assert "no distribution" in refused("generate", here / "plain")
    assert "expected a place from 1 to 12" in refused(
        "generate", here / "plain", "--between", "1", "99", "--input", new
    )
    for words, said_of in (
        (("--prompt", "a"), "--prompt is for runs that write texts"),
        (("--steps", "3"), "steps: has no effect"),
        (("--between", "1", "2", "--input", new, "--num", "3"), "num: is of rows that are drawn"),
        (("--input", new), "give --between"),
        (("--output", "rows.txt"), "expected a name that ends in"),
    ):
        assert said_of in refused("generate", here / "fills", *words)


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".npy", ".png", ""])
def test_rows_are_written_as_the_ending_says(here: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows{ending}"
    done("generate", here / "fills", "--num", 3, "--output", path)
    rows = np.array([row["values"] for row in api.generate_rows(here / "fills", num=3).rows])
    if ending == ".csv":
        found = np.array([json.loads(row["values"]) for row in csv.DictReader(path.read_text().splitlines())])
    elif ending in (".json", ".jsonl"):
        text = path.read_text()
        found = np.array(
            [one["values"] for one in (json.loads(text) if ending == ".json" else map(json.loads, text.splitlines()))]
        )
    elif ending == ".npy":
        found = np.load(path)
    else:
        image = pytest.importorskip("PIL.Image", reason="pictures need pillow")
        if not ending:
            assert sorted(one.name for one in path.iterdir()) == ["1.png", "2.png", "3.png"]
            assert "is there already" in refused("generate", here / "fills", "--output", path)
            path = path / "3.png"
        grey = np.array(image.open(path)) / 255 * pictures(160).max()
        assert grey.shape == ((SIDE, SIDE) if not ending else (2 * SIDE + 2, 2 * SIDE + 2))
        assert np.allclose(grey[-SIDE:, :SIDE], rows[2], atol=0.6)
        return
    assert np.allclose(found, rows, atol=1e-6)


# -- filling in --------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_filled_in_and_what_is_known_stays(here: Path) -> None:
    run = load(here / "fills", progress=False)
    broken = pictures(3, seed=5)
    broken[0, 0, 0] = 0.1  # no number of float32
    broken[0, 3] = broken[2, :, 1] = np.nan
    rows = [{"values": one.tolist()} for one in broken]
    filled = np.array([one["values"] for one in run.inpaint(rows)])
    known = ~np.isnan(broken)
    assert np.array_equal(filled[known], broken[known])
    assert np.isfinite(filled).all()
    (alone,) = run.inpaint([rows[2]])
    assert np.array_equal(alone["values"], filled[2])
    # As it says a row of which as much is missing.
    said = run.predict(rows[0]).reconstruction["values"]
    assert np.allclose(filled[0, 3], said[3], atol=1e-4)
    assert "no number is missing" in refused("inpaint", here / "fills", "--input", here / "new.npz")
    with pytest.raises(ConfigError, match=r"task\.missing=mask"):
        load(here / "plain", progress=False).inpaint([{"values": pictures(1)[0].tolist()}], lines=(1, 2))


def test_a_region_is_judged_by_what_it_held_beside_the_nearest_number(here: Path) -> None:
    words = ("inpaint", here / "fills", "--input", here / "new.npz", "--lines", "2-3", "--columns", "1-6", "--json")
    said, truth = done(*words).json, pictures(12, seed=9)
    filled = np.array([row["values"] for row in said["rows"]])
    assert said["filled"] == [12] * 12
    assert np.array_equal(np.delete(filled, [1, 2], 1), np.delete(truth, [1, 2], 1))
    top = pictures(160).max()
    mse = ((filled[:, 1:3] - truth[:, 1:3]) ** 2).mean() / top**2
    assert said["errors"]["this model"] == pytest.approx(mse, rel=1e-4)
    # Row by row, the first half of 12 hidden numbers is nearest to line 1's last number, the second to line 4's first.
    flat = truth.reshape(12, -1)
    nearest = np.repeat(np.stack([flat[:, 5], flat[:, 18]], 1), 6, 1)
    assert said["errors"]["neighbour"] == pytest.approx(((nearest - flat[:, 6:18]) ** 2).mean() / top**2, rel=1e-4)
    assert said["errors"]["this model"] < said["errors"]["neighbour"]
    assert "new.npz:1 has, got 6-7" in refused(*words[:4], "--lines", "6-7")


# -- compression -------------------------------------------------------------------------------------------------------


def unpacked(content: bytes) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """The header and the codes of a file, bit by bit."""
    assert content[:8] == b"RECODES1"
    (length,) = struct.unpack("<I", content[8:12])
    header = json.loads(content[12 : 12 + length])
    N, Z, b = header["rows"], header["code_size"], header["bits"]
    body = content[12 + length : -32]
    low, high = np.array(struct.unpack(f"<{2 * Z}f", body[: 8 * Z])).reshape(2, Z)
    bits = "".join(f"{byte:08b}" for byte in body[8 * Z :])
    levels = np.array([int(bits[k * b : (k + 1) * b], 2) for k in range(N * Z)]).reshape(N, Z)
    assert hashlib.sha256(content[:-32]).digest() == content[-32:]
    return header, low + levels * (high - low) / (2**b - 1)


@pytest.mark.parametrize("bits", [1, 5, 11])
def test_codes_come_back_within_half_a_step_and_the_error_is_that_of_the_rows(here: Path, bits: int) -> None:
    run, new = api.open_run(here / "plain"), here / "new.npz"
    done("encode", here / "plain", "--input", new, "--output", here / "codes.npy")
    codes = np.load(here / "codes.npy")
    said = done("compress", here / "plain", "--input", new, "--output", here / "n.codes", "--bits", bits, "--json").json
    header, found = unpacked((here / "n.codes").read_bytes())
    assert (header["rows"], header["code_size"], header["bits"]) == (12, 4, bits)
    step = (codes.max(0) - codes.min(0)) / (2**bits - 1)
    assert (np.abs(found - codes) <= step / 2 * (1 + 1e-4) + 1e-6).all()
    again = api.decompress(run, here / "n.codes")
    assert np.allclose(again.codes, found, atol=1e-5)
    top, truth = pictures(160).max(), pictures(12, seed=9)
    rows = np.array([row["values"] for row in again.rows])
    assert said["error"] == pytest.approx(((rows - truth) ** 2).mean() / top**2, rel=1e-4)
    assert said["bits_a_value"] == pytest.approx(8 * (here / "n.codes").stat().st_size / truth.size)


def test_pca_beside_has_as_many_numbers_at_as_many_bits(here: Path) -> None:
    found = api.compress(here / "plain", here / "new.npz", bits=4)
    top = pictures(160).max()
    train = np.stack([one.values[0] for one in trained_on(here)]).astype(np.float64)
    new = pictures(12, seed=9).reshape(12, -1) / top
    mean = train.mean(0)
    axes = np.linalg.svd(train - mean, full_matrices=False)[2][:4]
    codes = (new - mean) @ axes.T
    low, span = codes.min(0), np.ptp(codes, 0)
    rounded = low + np.round((codes - low) / span * 15) / 15 * span
    assert found.pca == pytest.approx(((mean + rounded @ axes - new) ** 2).mean(), rel=1e-3)
    assert api.compress(here / "plain", here / "new.npz", bits=4, beside=False).pca is None


def trained_on(here: Path) -> Any:
    """The training examples of the run."""
    from recurra.api.callbacks import NoCallback
    from recurra.api.prepare import prepare

    run = api.open_run(here / "plain")
    return prepare(run.settings, NoCallback(), task=run.task).splits["train"]


def test_an_error_takes_the_fewest_bits_that_reach_it(here: Path) -> None:
    run, new = load(here / "plain", progress=False), here / "new.npz"
    errors = {bits: run.compress(new, bits=bits).error for bits in (3, 4, 5)}
    wanted = errors[4]
    fewest = min(bits for bits in range(1, 5) if run.compress(new, bits=bits).error <= wanted)
    assert run.compress(new, error=wanted).bits == fewest
    with pytest.raises(ConfigError, match="is not reached"):
        run.compress(new, error=1e-9)
    with pytest.raises(ConfigError, match="give one of them"):
        run.compress(new, error=0.1, bits=3)


def test_a_file_of_another_run_a_cut_one_and_a_lying_header_are_refused(here: Path, tmp_path: Path) -> None:
    path = tmp_path / "n.codes"
    done("compress", here / "plain", "--input", here / "new.npz", "--output", path, "--no-beside")
    whole = path.read_bytes()
    with pytest.raises(RunError, match="by another run"):
        api.decompress(here / "fills", path)
    (length,) = struct.unpack("<I", whole[8:12])
    header = json.loads(whole[12 : 12 + length])

    def lying(**changed: Any) -> bytes:
        text = json.dumps(header | changed).encode()
        body = whole[:8] + struct.pack("<I", len(text)) + text + whole[12 + length : -32]
        return body + hashlib.sha256(body).digest()

    turned = bytearray(whole)
    turned[-40] ^= 1
    for content, said in (
        (whole[:-5], "checksum"),
        (bytes(turned), "checksum"),
        (b"PK" + whole, "does not begin with"),
        (whole[:8], "damaged or cut"),
        (lying(rows=10**12), "cannot be"),
        (lying(rows=13), "its header tells of"),
        (lying(bits=99), "cannot be"),
        (lying(code_size=3), "its header tells of"),
        (lying(rows="12"), "cannot be"),
        (lying(rows=None), "cannot be"),
    ):
        with pytest.raises(DataError, match=said):
            api.decompress(here / "plain", content)
    path.write_bytes(whole[:-5])
    assert "checksum" in refused("decompress", here / "plain", "--input", path)


# -- series ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on series of two numbers a step and of several lengths."""
    folder, rng = tmp_path_factory.mktemp("waves"), np.random.default_rng(0)
    rows = [
        {"values": np.stack([np.sin(t := rng.uniform(0, 6) + np.arange(8 + n % 3)), t / 9], 1).tolist()}
        for n in range(40)
    ]
    (folder / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"name": "autoencoding", "missing": "mask", "code_size": 3, "variational": True, "likelihood": "gaussian"}
    config = {
        "task": task | {"noise": {"name": "mask", "share": 0.3}},
        "data": {"train": str(folder / "d.jsonl")},
        "model": {
            "encoder": {"name": "recurrent", "hidden_size": 8},
            "decoder": {"name": "recurrent", "hidden_size": 8},
        },
        "training": {"epochs": 2, "report": "scores"},
    }
    api.train(config, out=folder / "run", device="cpu")
    return folder


def test_series_of_several_lengths_are_drawn_filled_in_and_compressed(waves: Path, tmp_path: Path) -> None:
    run = load(waves / "run", progress=False)
    assert [len(row["values"]) for row in run.generate_rows(num=2)] == [10, 10]
    assert np.shape(run.generate_rows(length=5)[0]["values"]) == (5, 2)
    rows = [json.loads(line) for line in (waves / "d.jsonl").read_text().splitlines()[:3]]
    way = run.generate_rows(between=(rows[0], rows[2]), steps=3)
    assert [len(row["values"]) for row in way] == [8, 9, 10]
    broken = json.loads(json.dumps(rows))
    broken[1]["values"][4][0] = None
    filled = run.inpaint(broken)
    assert filled[0] == rows[0]
    assert filled[2] == rows[2]
    assert [a for a, b in zip(filled[1]["values"], rows[1]["values"], strict=True) if a != b] == [
        filled[1]["values"][4]
    ]
    assert run.inpaint([broken[1]])[0]["values"] == pytest.approx(np.array(filled[1]["values"]))
    found = run.compress(rows, tmp_path / "w.codes", bits=12, beside=True)
    assert found.pca is None  # the lengths of the training rows differ
    again = run.decompress(tmp_path / "w.codes")
    said = [one.reconstruction["values"] for one in run.predict(rows)]
    for row, other, length in zip(again, said, (8, 9, 10), strict=True):
        assert np.shape(row["values"]) == (length, 2)
        assert np.allclose(row["values"], other, atol=0.01)  # 12 bits of a code


def test_a_file_that_tells_of_endless_rows_is_refused_before_any_is_said(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load(waves / "run", progress=False)
    rows = [json.loads(line) for line in (waves / "d.jsonl").read_text().splitlines()[:3]]
    whole = run.compress(rows, beside=False).content
    (length,) = struct.unpack("<I", whole[8:12])
    start = 12 + length + 8 * 3  # behind the ends of 3 numbers of a code

    def telling(*steps: int) -> bytes:
        body = whole[:start] + struct.pack("<3I", *steps) + whole[start + 12 : -32]
        return body + hashlib.sha256(body).digest()

    monkeypatch.setattr(RowCoder, "values", lambda *_: pytest.fail("rows were said"))
    with pytest.raises(DataError, match="a row has 100,001 steps, expected at most 100,000"):
        api.decompress(waves / "run", telling(8, 100_001, 8))
    with pytest.raises(DataError, match="no steps"):
        api.decompress(waves / "run", telling(8, 0, 8))
    with pytest.raises(DataError, match="300,000 steps of 3 rows, expected at most 299,999"):
        api.decompress(waves / "run", telling(*[100_000] * 3), most_steps=299_999)
    with pytest.raises(DataError, match=r"steps of 1,000 rows, expected at most 67,108,864"):
        run.generate_rows(num=1000, length=100_000)
    with pytest.raises(DataError, match=r"between, steps: are .* steps of 100,000 rows"):
        run.generate_rows(between=({"values": [[0.0, 1.0]] * 10}, {"values": [[0.0, 1.0]] * 9000}), steps=100_000)


def test_a_long_row_pads_no_others_and_rows_are_those_of_each_alone(
    waves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = api.open_run(waves / "run")
    coder = coder_of(trained, "cpu")
    codes, lengths = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32), [3, 50, 1, 1, 2, 40]
    alone = [coder.values(codes[n : n + 1], [length])[0] for n, length in enumerate(lengths)]
    monkeypatch.setattr("recurra.tasks.autoencoding.coder.PADDED", 60)
    sizes, said = [], RowCoder._said
    monkeypatch.setattr(RowCoder, "_said", lambda one, c, t: sizes.append(len(t) * max(t)) or said(one, c, t))
    together = coder.values(codes, lengths)
    assert sizes == [3, 50, 6, 40]
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one, other)


def test_large_arrays_that_were_read_stand_whole_beside_answers(tmp_path: Path) -> None:
    array = np.arange(1200.0).reshape(30, 40)
    array[0, 0] = math.nan
    for suffix in (".csv", ".tsv", ".jsonl"):
        TABLES[suffix](tmp_path / f"a{suffix}", [{"values": array, "name": "a"}])
    with (tmp_path / "a.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    (line,) = (tmp_path / "a.jsonl").read_text().splitlines()
    cell = (tmp_path / "a.tsv").read_text().splitlines()[1].split("\t")[0]
    for found in (json.loads(row["values"]), json.loads(line)["values"], json.loads(cell)):
        assert found == [[None, *array[0, 1:]], *array[1:].tolist()]


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_rows_of_several_lengths_are_no_array(waves: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"a{suffix}"
    said = refused("generate", waves / "run", "--between", 1, 3, "--input", waves / "d.jsonl", "--output", output)
    assert "'values' has 8 to 10 steps, and an array holds rows of one length; take .jsonl or .csv." in said
    assert not output.exists()
    done("generate", waves / "run", "--between", 1, 4, "--input", waves / "d.jsonl", "--output", output)


def test_rows_that_are_all_alike_are_said_where_none_is_left_for_dev(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", X=np.full((20, 4), 3.0))
    config = {"task": {"name": "autoencoding", "flatten": True}, "data": {"train": str(tmp_path / "d.npz")}}
    with pytest.raises(DataError, match="out of 20 rows, 1 different, and equal ones stay in one split"):
        api.check(config)
