"""Run folders that are cut short, newer, foreign or hostile; and a disk that fills up."""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import pickle
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from api.api_room import cut, done, kept_of, recurra, refused, rows, write_config, write_csv
from recurra.api import open_run
from recurra.api.folder import open_settings
from recurra.base import atomic
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.training import log, save_weights, step_of
from recurra.training.checkpoint import PREFIX as CHECKPOINT_PREFIX
from recurra.training.checkpoint import Checkpoint, load, save

NEEDED = ("run.json", "config.yaml", "task.json", "model.safetensors")
CHECKPOINTS = ("last.ckpt", "last.prev.ckpt", "best.ckpt")
REST = ("log.jsonl", "scores.json", "baselines.json", "report.html", "examples.json", "findings.json", "README.md")
TEXT = "lovely item a1"


def test_these_tests_know_every_file_of_a_run(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == {*NEEDED, *CHECKPOINTS, *REST, ".lock"}


@pytest.mark.parametrize("name", NEEDED)
def test_a_file_that_was_cut_short_is_named_or_nothing_was_lost_with_it(name: str, run: Path) -> None:
    path, whole = run / name, (run / name).read_bytes()
    answer = done("predict", run, TEXT).out
    refusals = 0
    for length in cut(path):
        path.write_bytes(whole[:length])
        said = recurra("predict", run, TEXT)
        if said.code == 0:
            assert said.out == answer
            continue
        assert said.code == 2
        assert said.err.startswith(str(path)), said.err
        assert said.err == refused("evaluate", run)
        refusals += 1
    assert refusals >= 5
    path.unlink()
    assert str(run) in refused("predict", run, TEXT)


@pytest.mark.parametrize("name", [*NEEDED, *CHECKPOINTS, *REST])
def test_a_run_with_a_file_cut_short_resumes_to_the_same_end_or_names_the_file(name: str, run: Path) -> None:
    """model.safetensors, task.json and the reports are written anew; a checkpoint has an older one behind it.

    The last line of the log is the end of the run, which no checkpoint knows: nothing is lost with it.
    """
    whole, end = (run / name).read_bytes(), kept_of(run)
    must_refuse = name in ("run.json", "config.yaml", "best.ckpt")
    for length in (0, len(whole) // 3, len(whole) - 2):
        (run / name).write_bytes(whole[:length])
        said = recurra("train", "--resume", run)
        assert said.code == (2 if must_refuse else 0), said.err
        if must_refuse:
            assert str(run / name) in said.err
            continue
        assert kept_of(run)[:2] == end[:2]
        lost = name == "last.ckpt" or (name == "log.jsonl" and length < len(whole) - 2)
        assert (name in said.err) == lost
        if name == "last.ckpt":
            assert "used instead of last.ckpt; it is from step" in said.err
        if lost and name == "log.jsonl":
            assert "lines; training continues without them." in said.err
        else:
            assert kept_of(run)[2] == end[2]
        assert done("predict", run, TEXT)
        (run / name).write_bytes(whole)


def test_without_one_good_checkpoint_nobody_starts_anew_unasked(run: Path) -> None:
    for name in CHECKPOINTS:
        data = bytearray((run / name).read_bytes())
        data[len(data) // 2] ^= 1
        (run / name).write_bytes(data)
    said = refused("train", "--resume", run)
    assert [name in said for name in CHECKPOINTS] == [True] * 3
    assert said.endswith("run: no good checkpoint is left. Train again in another folder.\n")
    done("predict", run, TEXT)  # the weights of the run are a file of their own


def test_a_lost_best_checkpoint_is_not_replaced_by_other_weights_in_silence(run: Path) -> None:
    (run / "best.ckpt").unlink()
    (run / "model.safetensors").unlink()  # these were the same weights
    assert str(run / "best.ckpt") in refused("train", "--resume", run)


def test_a_run_of_a_newer_recurra_is_refused_with_both_versions(run: Path) -> None:
    (run / "run.json").write_text('{"format": 3, "recurra": "9.1.0"}')
    said = refused("predict", run, TEXT)
    assert said.startswith("run: was written by recurra 9.1.0 in format 3; this is ")
    assert "which reads formats up to 2. Install the newer recurra." in said
    assert said == refused("train", "--resume", run) == refused("evaluate", run)


def test_a_run_of_an_older_recurra_is_refused_with_what_to_do(run: Path) -> None:
    (run / "run.json").write_text('{"format": 1, "recurra": "0.1.0"}')
    said = refused("predict", run, TEXT)
    assert said.startswith(
        "run: was written by recurra 0.1.0 in format 1, whose models had other parts; expected format 2"
    )
    assert "Train it again: recurra train CONFIG --out RUN" in said


def test_a_checkpoint_of_a_newer_recurra_is_refused(run: Path) -> None:
    data = (run / "last.ckpt").read_bytes()[:-32]
    magic, version, length = CHECKPOINT_PREFIX.unpack(data[: CHECKPOINT_PREFIX.size])
    data = CHECKPOINT_PREFIX.pack(magic, version + 1, length) + data[CHECKPOINT_PREFIX.size :]
    (run / "last.ckpt").write_bytes(data + hashlib.sha256(data).digest())
    assert "this checkpoint has format 2, and recurra " in refused("train", "--resume", run)


def test_what_is_no_run_folder_is_said_to_be_none(data: Path) -> None:
    Path("empty").mkdir()
    for verb in (["predict", "{}", "x"], ["evaluate", "{}"], ["train", "--resume", "{}"]):
        words = {name: [word.format(name) for word in verb] for name in ("nowhere", "empty", "data.csv")}
        assert refused(*words["nowhere"]) == "nowhere: no such folder; expected a run, as `recurra train` makes it.\n"
        assert refused(*words["empty"]).startswith("empty: not a run folder: it has no run.json.")
        assert refused(*words["data.csv"]).startswith("data.csv: not a run folder: it has no run.json.")
    assert list(Path("empty").iterdir()) == []


def test_a_run_that_was_not_finished_says_how_to_finish_it(run: Path) -> None:
    (run / "model.safetensors").unlink()
    assert refused("predict", run, "x") == (
        "run: has no model.safetensors: its training has not ended. Resume it with `recurra train --resume run`, or "
        "end it with its best weights so far: `recurra finish run`.\n"
    )


@pytest.mark.parametrize(
    "mark", ["[]", "{}", '{"format": "1"}', '{"format": true}', '{"format": 0}', "1" * 5000, "[" * 9999]
)
def test_a_mark_that_is_none_is_refused(mark: str, run: Path) -> None:
    (run / "run.json").write_text(mark)
    assert "run.json: damaged" in refused("predict", run, "x")


def test_a_refused_resume_changes_nothing(run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.name != ".lock"}
    write_csv(Path("data.csv"), [*rows(), ("something wholly new", "good")])
    said = refused("train", "--resume", run)
    assert "the data is not what it was" in said
    write_csv(Path("data.csv"), rows())
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("lr: 0.03", "lr: 0.04").replace("batch_rows: 8", "batch_rows: 9"))
    said = refused("train", "--resume", run)
    assert "config.yaml: training.batch_rows: was 8, is 9 now; it cannot change in a run" in said
    assert "training.optimizer.lr: was" not in said, "this one may"
    (run / "config.yaml").write_text(text)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.name != ".lock"} == before


def test_a_resume_notices_that_the_rows_which_choose_the_best_epoch_have_changed(data: Path) -> None:
    write_csv(Path("dev.csv"), [("warm day", "good"), ("cold day", "bad")])
    write_config(data={"dev": "dev.csv"})
    done("train", "c.yaml", "--out", "run")
    write_csv(Path("dev.csv"), [("warm day", "bad"), ("cold day", "bad")])
    assert "rows of train or dev were changed" in refused("train", "--resume", "run")


# -- hostile files -----------------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=4), SCALARS, max_size=2)
VALUES |= st.sampled_from([10**400, -1, [[]], "words", "characters", "subwords", "\ud800", {"name": "subwords"}])


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every node of a JSON value."""
    yield path
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], value: Any, remove: bool) -> Any:
    """A copy of the tree with another value at `path`, or without it."""
    if not path:
        return value
    result = copy.deepcopy(tree)
    node = result
    for key in path[:-1]:
        node = node[key]
    if remove:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return result


TOKENIZERS = ["words", "characters", {"name": "subwords", "algorithm": "bpe", "vocab_size": 300}]


@pytest.fixture(scope="session")
def three_tasks(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, Any]]:
    """What task.json holds for a run with each tokenizer, and what reads it."""
    folder, found = tmp_path_factory.mktemp("three"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_csv(folder / "data.csv", rows())
        for number, tokenizer in enumerate(TOKENIZERS):
            write_config(task={"tokenizer": tokenizer, "class_weights": "balanced"})
            done("train", "c.yaml", "--out", f"run{number}")
            settings = open_settings(Path(f"run{number}"))[1]
            found.append((settings.plan, json.loads(Path(f"run{number}/task.json").read_text())))
    return found


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(data=st.data())
def test_a_task_of_wrong_shapes_is_refused_by_name(three_tasks: list[tuple[Any, Any]], data: st.DataObject) -> None:
    plan, tree = data.draw(st.sampled_from(three_tasks))
    path = data.draw(st.sampled_from(list(places(tree))))
    hostile = changed(tree, path, data.draw(VALUES), data.draw(st.booleans()))
    said = sentence_of(lambda: read_with(plan, hostile))
    assert said is None or (said.startswith("run/task.json: ") and len(said) < 600), (path, said)


def read_with(plan: Any, stored: Any) -> None:
    """What predict does with task.json."""
    task = plan.restore(stored, "run/task.json")
    example = task.example(Record({"text": "lovely \U0001f600 <pad> item"}, Origin("a")), gold=False)
    task.collate([example], [0])


def sentence_of(work: Callable[[], object]) -> str | None:
    """What a refusal says, or None; any other error fails the test."""
    try:
        work()
    except (RunError, ConfigError, DataError) as error:
        return str(error)
    return None


def test_a_task_file_of_no_json_is_refused(run: Path) -> None:
    for content in (b"", b"null", b"[]", b"\xff", b"[" * 100_000, b'{"labels": 1e999}', pickle.dumps({"a": 1})):
        (run / "task.json").write_bytes(content)
        assert refused("predict", run, TEXT).startswith("run/task.json: ")


def test_a_config_with_yaml_of_another_kind_is_refused(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    for old, new, sentence in (
        ("cell: lstm ", "cell: !!python/name:os.system ", "tags are not supported"),
        ("cell: lstm ", "cell: &a lstm ", "anchors (&) and aliases (*) are not supported"),
        ("hidden_size: 4 ", "hidden_size: 65536 ", "model: takes 128.0 GiB, expected at most 2"),
        ("hidden_size: 4 ", "hidden_size: 5 ", "these weights do not fit the model"),
        ("embedding_size: 3 ", "embedding_size: one_hot ", "these weights do not fit the model"),
        ("cell: lstm ", "cell: evil ", "unknown cell 'evil'"),
    ):
        assert old in text
        (run / "config.yaml").write_text(text.replace(old, new))
        assert sentence in refused("predict", run, TEXT)
        assert sentence in refused("evaluate", run)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(at=st.floats(0, 1), length=st.integers(1, 400), put=st.binary(max_size=3))
def test_a_config_with_a_hole_is_refused_or_still_a_config(trained: Path, at: float, length: int, put: bytes) -> None:
    folder = trained.parent / "hole"
    if not folder.exists():
        shutil.copytree(trained / "run", folder)
    whole = (trained / "run/config.yaml").read_bytes()
    begin = int(at * len(whole))
    (folder / "config.yaml").write_bytes(whole[:begin] + put + whole[begin + length :])
    said = sentence_of(lambda: open_run(folder))
    assert said is None or str(folder) in said


HOSTILE_CELLS: dict[str, Any] = {
    "no object": [],
    "a built-in name": {"name": "lstm"},
    "a name that is a path": {"name": "../x"},
    "an unknown kind": {"nodes": [["eval", [], "x", 0.0, "H"]]},
    "too many nodes": {"nodes": [["x", [], "", 0.0, "I"]] * 20_000},
    "an argument that points forward": {"nodes": [["tanh", [1], "", 0.0, "H"], ["state", [], "h", 0.0, "H"]]},
    "nodes that are none": {"nodes": [1]},
    "outputs that are none": {"outputs": {"h": 99}},
    "states that are none": {"states": 3},
}

LEAKY = '''\
from recurra.cells import cell
from recurra.cells.language import tanh


@cell(paper="a test")
def leaky_test(x, h, p):
    """Half of the old, half of the new."""
    return 0.5 * h + 0.5 * tanh(p.W("h", x) + p.R("h", h) + p.b("h"))
'''


@pytest.fixture
def leaky_run(data: Path) -> Path:
    """A run with a user's own cell."""
    Path("leaky.py").write_text(LEAKY)
    done("train", "c.yaml", "--out", "run", "--cell", "leaky.py", "--set", "model.encoder.cell=leaky_test")
    return Path("run")


def test_a_hostile_cell_is_refused(leaky_run: Path) -> None:
    stored = json.loads((leaky_run / "cell.json").read_text())
    for what, hostile in HOSTILE_CELLS.items():
        value = {**stored, **hostile} if isinstance(hostile, dict) else hostile
        (leaky_run / "cell.json").write_text(json.dumps(value))
        assert refused("predict", leaky_run, TEXT).startswith("run/cell.json: "), what
    (leaky_run / "cell.json").write_text(json.dumps(stored)[:-5])
    assert refused("predict", leaky_run, TEXT).startswith("run/cell.json: damaged: ")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda t: {name: tensor for name, tensor in t.items() if name != "head.output.bias"},
            "missing 'head.output.bias'",
        ),
        (lambda t: {**t, "evil": torch.zeros(2)}, "unexpected 'evil'"),
        (
            lambda t: {**t, "head.output.bias": torch.zeros(7)},
            "'head.output.bias' is (7,) float32, expected (2,) float32",
        ),
        (lambda t: {**t, "head.output.bias": torch.zeros(2, dtype=torch.int64)}, "'head.output.bias' is (2,) int64"),
        (
            lambda t: {**t, "head.output.bias": torch.tensor([0.0, float("nan")])},
            "NaN or infinity in 'head.output.bias'",
        ),
        (
            lambda t: {**t, "head.output.bias": torch.tensor([0.0, float("inf")])},
            "NaN or infinity in 'head.output.bias'",
        ),
    ],
)
def test_weights_that_are_not_the_models_are_named(
    spoil: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], sentence: str, run: Path
) -> None:
    save_file(spoil(load_file(run / "model.safetensors")), run / "model.safetensors")
    said = refused("predict", run, TEXT)
    assert said.startswith("run/model.safetensors: ")
    assert sentence in said


def header(length: int, text: str) -> bytes:
    return struct.pack("<Q", length) + text.encode()


@pytest.mark.parametrize(
    "content",
    [
        header(2**63, "{}"),
        header(2**40, "{}"),
        header(100_000_001, "{}"),
        header(2, "{}"),
        header(2, "[]"),
        header(10, '{"a": null'),
        header(84, '{"head.output.bias":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}} '),
        pickle.dumps({"head.output.bias": 1}),
        b"PK\x03\x04 a zip of a pickle",
    ],
)
def test_weights_that_are_no_safetensors_are_refused_without_much_memory(content: bytes, run: Path) -> None:
    (run / "model.safetensors").write_bytes(content)
    assert refused("predict", run, TEXT).startswith("run/model.safetensors: ")


class Canary:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("canary"),))


@pytest.mark.parametrize("name", [*NEEDED, *CHECKPOINTS, "log.jsonl"])
def test_no_file_of_a_run_is_ever_unpickled(name: str, run: Path) -> None:
    (run / name).write_bytes(pickle.dumps(Canary()))
    for words in (["predict", run, TEXT], ["evaluate", run], ["train", "--resume", run]):
        assert recurra(*words).code in (0, 2)
    assert not Path("canary").exists()


def test_weights_that_are_loaded_and_saved_under_the_same_name_are_the_same(run: Path) -> None:
    before = (run / "model.safetensors").read_bytes()
    model = open_run(run).model
    values = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_weights(run / "model.safetensors", model, step=step_of(run / "model.safetensors"))
    assert (run / "model.safetensors").read_bytes() == before
    assert all(torch.equal(tensor, values[name]) for name, tensor in model.state_dict().items())


# -- a disk that fills up ----------------------------------------------------------------------------------------------


class Full:
    """Files of recurra's own writers, until `room` bytes are written; then every write fails, as on a full disk."""

    def __init__(self, room: float) -> None:
        self.room, self.written = room, 0

    def open(self, path: Path, mode: str, buffering: int = -1) -> Any:
        file = open(path, mode, buffering=0)  # noqa: SIM115  closed by Through
        write = file.write

        def limited(data: bytes) -> int:
            if self.written + len(data) > self.room:
                write(bytes(data)[: int(self.room - self.written)])
                self.written = self.room
                raise OSError(errno.ENOSPC, "No space left on device")
            self.written += len(data)
            return write(data)

        return Through(file, limited)


class Through:
    """A file whose writes go elsewhere first."""

    def __init__(self, file: Any, write: Callable[[bytes], int]) -> None:
        self._file, self.write = file, write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Through:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


@contextmanager
def disk(room: float) -> Iterator[Full]:
    full = Full(room)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "open", full.open, raising=False)
        patch.setattr(log, "open", full.open, raising=False)
        yield full


def test_a_disk_that_fills_up_anywhere_in_a_run_is_named_and_the_resumed_run_ends_the_same(data: Path) -> None:
    write_config(training={"epochs": 2, "checkpoint_every": 3})
    with disk(float("inf")) as whole:
        done("train", "c.yaml", "--out", "whole")
    rng = random.Random(1)
    for number, room in enumerate(sorted(rng.sample(range(whole.written), 12))):
        run = Path(f"run-{number}")
        with disk(room):
            said = recurra("train", "c.yaml", "--out", run)
        assert said.code == 1
        assert said.err.splitlines()[-1].startswith(str(run)), said.err
        assert "No space left on device" in said.err.splitlines()[-1]
        assert list(run.glob(".tmp-*")) == []
        begun = (run / "run.json").exists()
        done("train", *(["--resume", run] if begun else ["c.yaml", "--out", run]))
        assert kept_of(run) == kept_of("whole")


def test_predictions_that_do_not_fit_on_the_disk_leave_the_file_that_was_there(run: Path) -> None:
    Path("out.csv").write_text("mine")
    with disk(100):
        said = recurra("predict", run, "--input", "data.csv", "--output", "out.csv")
    assert (said.code, said.err) == (1, "out.csv: No space left on device.\n")
    assert Path("out.csv").read_text() == "mine"
    assert list(Path().glob(".tmp-*")) == []


# -- a checkpoint that is well signed, and yet none of ours ------------------------------------------------------------


def shorter_moments(checkpoint: Checkpoint) -> dict[str, Any]:
    state = {i: {key: value[:1] if value.ndim else value for key, value in entry.items()}
             for i, entry in checkpoint.optimizer["state"].items()}  # fmt: skip
    return {"optimizer": {**checkpoint.optimizer, "state": state}}


@pytest.mark.parametrize(
    "hostile",
    [
        shorter_moments,
        lambda c: {"optimizer": {"state": {}, "param_groups": []}},
        lambda c: {"optimizer": {"state": {0: {"exp_avg": "x"}}, "param_groups": c.optimizer["param_groups"]}},
        lambda c: {"optimizer": {**c.optimizer, "param_groups": [{"params": "abc"}]}},
        lambda c: {"optimizer": {**c.optimizer, "param_groups": [{"params": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}]}},
        lambda c: {"model": {**c.model, "head.output.bias": torch.zeros(3)}},
        lambda c: {"config": {}},
        lambda c: {"config": {"task": 3, "data": None, "model": [], "training": "x"}},
        lambda c: {"best": {}},
        lambda c: {"best": {"value": [], "step": {}}},
        lambda c: {"patience": {"waited": None}},
        lambda c: {"extra": {**c.extra, "seconds": "long"}},
        lambda c: {"extra": {}},
    ],
)
def test_a_checkpoint_of_other_contents_is_refused_by_name(
    hostile: Callable[[Checkpoint], dict[str, Any]], run: Path
) -> None:
    good = load(run / "last.ckpt")
    save(run / "last.ckpt", replace(good, **hostile(good)))
    said = refused("train", "--resume", run)
    assert "run/last.ckpt: " in said or "run/config.yaml: " in said, said
