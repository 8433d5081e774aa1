"""One file, whole or not at all, every bit checked; checkpoint_manager; model.safetensors; the lock."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import random
import struct
import time
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
import safetensors.torch
import torch
from torch import nn

from recurra.base.atomic import write_text
from recurra.base.errors import RunError, TrainingError
from recurra.training import (
    OPTIMIZERS,
    Checkpoint,
    Checkpoints,
    DamagedError,
    FolderLock,
    check_weights,
    checkpoint_manager,
    load_weights,
    save_weights,
)
from recurra.training.checkpoint import FORMAT, MAGIC, load, save
from recurra.training.tensors import put_weights
from training.toys import Toy, exit_of, fork_child, run_recipe, same_bits


def state_of(step: int, size: int = 6) -> Checkpoint:
    """A checkpoint whose every part says which step it is from."""
    model = {"w": torch.full((size,), float(step)), "n": torch.tensor(step)}
    group = {"lr": 0.1 / step, "betas": (0.9, 0.999), "params": [0]}
    optimizer = {
        "state": {0: {"m": torch.full((size,), step / 3), "step": torch.tensor(float(step))}},
        "param_groups": [group],
    }
    return Checkpoint(model, optimizer, step, epoch=1, position=step, extra={"words": ["é", str(step)]})


def assert_is_state_of(step: int, found: Checkpoint) -> None:
    """All parts are from the same step: nothing is mixed."""
    expected = state_of(step, found.model["w"].numel())
    assert same_bits(dict(found.model), dict(expected.model))
    assert found.optimizer["param_groups"] == expected.optimizer["param_groups"]
    assert same_bits(found.optimizer["state"][0], expected.optimizer["state"][0])
    assert (found.step, found.position, found.extra) == (step, step, expected.extra)


def signed(version: int, header: bytes, data: bytes) -> bytes:
    """A checkpoint file written by hand from the description of the format, with a checksum that holds."""
    body = MAGIC + struct.pack("<IQ", version, len(header)) + header + data
    return body + hashlib.sha256(body).digest()


def test_what_is_saved_comes_back_with_types_and_bits(tmp_path):
    model = {
        "half": torch.tensor([1.5, -2.0]).half(), "brain": torch.tensor([0.1]).bfloat16(),
        "double": torch.tensor(1 / 3, dtype=torch.float64), "long": torch.tensor([[2**40]]),
        "bool": torch.tensor([True]), "empty": torch.zeros(0, 3), "turned": torch.arange(6.0).view(2, 3).T,
    }  # fmt: skip
    was = replace(
        state_of(3), model=model, epoch=2, log_lines=7, schedule={"now": 0.1 + 0.2}, best={"value": None},
        patience={"waited": 1}, on_nonfinite={"skipped": 0}, config={"a": {"b": [1, "x"]}},
    )  # fmt: skip
    save(tmp_path / "c", was)
    got = load(tmp_path / "c")
    assert same_bits(dict(got.model), model)
    assert {k: t.dtype for k, t in got.model.items()} == {k: t.dtype for k, t in model.items()}
    for name in (
        "step",
        "epoch",
        "position",
        "log_lines",
        "schedule",
        "best",
        "patience",
        "on_nonfinite",
        "config",
        "extra",
        "version",
    ):
        assert getattr(got, name) == getattr(was, name), name


@pytest.mark.parametrize(
    ("name", "options"), [("sgd", {"momentum": 0.9}), ("sgd", {}), ("rmsprop", {}), ("adam", {}), ("adamw", {})]
)
def test_an_optimizer_comes_back_and_makes_the_same_next_step(name, options, tmp_path):
    def model_and_rule():
        model = nn.Linear(3, 2)
        nn.init.constant_(model.weight, 0.5), nn.init.zeros_(model.bias)
        return model, OPTIMIZERS[name](model.parameters(), lr=0.1, **options)

    def step(model, rule, t):
        model.weight.grad, model.bias.grad = torch.full((2, 3), 0.1 * t), torch.tensor([0.3, -0.1 * t])
        rule.step()

    model, rule = model_and_rule()
    step(model, rule, 1), step(model, rule, 2)
    save(tmp_path / "c", replace(state_of(2), model=model.state_dict(), optimizer=rule.state_dict()))
    twin, twin_rule = model_and_rule()
    got = load(tmp_path / "c")
    put_weights(twin, got.model, "c"), twin_rule.load_state_dict(got.optimizer)
    step(model, rule, 3), step(twin, twin_rule, 3)
    assert same_bits(model.state_dict(), twin.state_dict())


def test_tied_tensors_are_written_once_and_come_back_tied(tmp_path):
    w = torch.arange(1000.0)
    tied = replace(state_of(1), model={"in": w, "out": w, "part": w[10:20], "other": w.clone()})
    save(tmp_path / "c", tied)
    got = load(tmp_path / "c").model
    assert same_bits(dict(got), dict(tied.model))
    assert got["in"].data_ptr() == got["out"].data_ptr() != got["other"].data_ptr()
    assert 8000 < (tmp_path / "c").stat().st_size < 10_500  # two thousand floats, not three


def test_loading_then_saving_to_the_same_path_changes_nothing_on_disk_or_in_memory(tmp_path):
    save(tmp_path / "c", state_of(4))
    before, got = (tmp_path / "c").read_bytes(), load(tmp_path / "c")
    save(tmp_path / "c", got)
    assert (tmp_path / "c").read_bytes() == before
    assert_is_state_of(4, got)


def test_every_flipped_bit_and_every_truncation_is_noticed_and_the_file_is_named(tmp_path):
    path, rng = tmp_path / "c.ckpt", random.Random(0)
    save(path, state_of(5))
    size = path.stat().st_size
    with open(path, "r+b", buffering=0) as file:  # in place: rewriting 2,500 files takes seconds on some disks
        for bit in rng.sample(range(8 * size), 2000):
            flip(file, bit)
            assert_damage_is_noticed(path)
            flip(file, bit)
        assert_is_state_of(5, load(path))
        for length in [size + 1, *sorted((rng.randrange(size) for _ in range(500)), reverse=True), 0]:
            file.truncate(length)
            assert_damage_is_noticed(path)


def flip(file: IO[bytes], bit: int) -> None:
    file.seek(bit // 8)
    byte = file.read(1)[0]
    file.seek(bit // 8)
    file.write(bytes([byte ^ 1 << bit % 8]))


def assert_damage_is_noticed(path: Path) -> None:
    with pytest.raises(DamagedError, match=path.name):
        load(path)


def test_a_file_that_is_no_checkpoint_is_said_to_be_none(tmp_path):
    (tmp_path / "c").write_text("a,b\n" * 100)
    with pytest.raises(DamagedError, match=r"expected a recurra checkpoint, found 400 bytes of something else"):
        load(tmp_path / "c")
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(RunError, match="expected a checkpoint, found no file"):
            load(path)


def test_a_newer_format_is_refused_with_its_version_and_no_older_file_is_used_instead(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(signed(FORMAT + 6, b"whatever it holds", b""))
    save(tmp_path / "last.prev.ckpt", state_of(1))
    with pytest.raises(
        RunError, match=rf"has format {FORMAT + 6}, and recurra [\d.]+ reads formats up to {FORMAT}"
    ) as caught:
        Checkpoints(tmp_path).newest()
    assert not isinstance(caught.value, DamagedError)


HEADER = {
    "step": 1, "epoch": 1, "position": 0, "log_lines": 0, "version": "0.1.0", "schedule": {}, "best": {},
    "patience": {}, "on_nonfinite": {}, "config": {}, "extra": {}, "tied": {}, "optimizer": {"rest": [], "groups": []},
}  # fmt: skip
TENSORS = safetensors.torch.save({"model/w": torch.zeros(2)})


def test_a_file_made_by_hand_from_the_description_loads(tmp_path):
    (tmp_path / "c").write_bytes(signed(FORMAT, json.dumps(HEADER).encode(), TENSORS))
    assert load(tmp_path / "c").model["w"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("header", "tensors"),
    [
        (b"", TENSORS),
        (b"[]", TENSORS),
        (b"\xff", TENSORS),
        (b"[" * 100_000, TENSORS),
        (json.dumps({**HEADER, "step": -1}).encode(), TENSORS),
        (json.dumps({**HEADER, "step": True}).encode(), TENSORS),
        (json.dumps({**HEADER, "config": []}).encode(), TENSORS),
        (json.dumps({**HEADER, "tied": {"model/v": "model/x"}}).encode(), TENSORS),
        (json.dumps({**HEADER, "optimizer": {"rest": [[1]], "groups": []}}).encode(), TENSORS),
        (json.dumps({**HEADER, "optimizer": {"rest": [], "groups": [3]}}).encode(), TENSORS),
        (json.dumps(HEADER).encode(), b""),
        (json.dumps(HEADER).encode(), struct.pack("<Q", 2**62) + b"{}"),
        (json.dumps(HEADER).encode(), safetensors.torch.save({"optimizer/x/m": torch.zeros(1)})),
    ],
)
def test_a_hostile_file_with_a_right_checksum_is_refused_in_a_sentence(header, tensors, tmp_path):
    (tmp_path / "c").write_bytes(signed(FORMAT, header, tensors))
    with pytest.raises(DamagedError, match=r"c: not a checkpoint of this recurra"):
        load(tmp_path / "c")


def test_a_length_beyond_the_file_is_refused_before_anything_is_allocated(tmp_path):
    body = MAGIC + struct.pack("<IQ", FORMAT, 2**63) + b"{}"
    (tmp_path / "c").write_bytes(body + hashlib.sha256(body).digest())
    with pytest.raises(DamagedError, match="expected at most 2 bytes of JSON"):
        load(tmp_path / "c")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", ["model", "optimizer"])
@pytest.mark.parametrize("method", ["save_last", "save_best"])
def test_a_state_that_is_not_finite_is_never_written(bad, place, method, tmp_path):
    good, broken = state_of(1), state_of(2)
    checkpoints = Checkpoints(tmp_path)
    getattr(checkpoints, method)(good)
    name = {"model": "model/w", "optimizer": "optimizer/0/m"}[place]
    {"model": broken.model["w"], "optimizer": broken.optimizer["state"][0]["m"]}[place][3] = bad
    with pytest.raises(TrainingError, match=rf"not written: expected finite numbers, got NaN or infinity in '{name}'"):
        getattr(checkpoints, method)(broken)
    assert_is_state_of(1, checkpoints.newest().checkpoint)


def test_nothing_saved_yet_is_no_error_but_nothing_good_is(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.newest() is None
    for name in ("last.ckpt", "last.prev.ckpt"):
        (tmp_path / name).write_bytes(b"rubbish")
    with pytest.raises(RunError) as caught:
        checkpoints.newest()
    for words in ("last.ckpt: expected", "last.prev.ckpt: expected", "no good checkpoint is left"):
        assert words in str(caught.value)


def test_a_damaged_last_is_passed_over_aloud_and_never_pushes_out_the_good_previous_one(tmp_path):
    first = Checkpoints(tmp_path)
    for step in (1, 2):
        first.save_last(state_of(step))
    (tmp_path / "last.ckpt").write_bytes(b"cut")
    for fresh in (Checkpoints(tmp_path), Checkpoints(tmp_path)):
        found = fresh.newest()
        assert_is_state_of(1, found.checkpoint)
        assert "last.ckpt: expected a recurra checkpoint, found 3 bytes" in found.notes[0]
        assert "last.prev.ckpt: used instead of last.ckpt; it is from step 1" in found.notes[1]
    for saver in (fresh, Checkpoints(tmp_path)):  # one has looked at the folder, the other has not
        (tmp_path / "last.ckpt").write_bytes(b"cut")
        saver.save_last(state_of(3))
        assert_is_state_of(1, load(tmp_path / "last.prev.ckpt"))
        assert_is_state_of(3, load(tmp_path / "last.ckpt"))


def test_a_file_that_this_process_wrote_itself_is_not_read_again_at_the_next_save(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save_last(state_of(1))
    monkeypatch.setattr(checkpoint_manager, "load", lambda path: pytest.fail("a save costs one write and no read"))
    checkpoints.save_last(state_of(2))
    assert load(tmp_path / "last.prev.ckpt").step == 1


def test_a_sound_last_becomes_the_previous_one_and_best_is_the_last_resort(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save_best(state_of(1))
    for step in (2, 3):
        checkpoints.save_last(state_of(step))
    assert checkpoints.newest().notes == ()
    assert [load(p).step for p in (checkpoints.last, checkpoints.previous, checkpoints.best)] == [3, 2, 1]
    assert_is_state_of(1, checkpoints.load_best())
    checkpoints.last.unlink(), checkpoints.previous.write_bytes(b"")
    found = checkpoints.newest()
    assert found.checkpoint.step == 1
    assert len(found.notes) == 2


def test_a_run_whose_last_checkpoint_is_damaged_still_ends_with_the_bits_of_an_undisturbed_one(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    whole = run_recipe(tmp_path / "a")
    run_recipe(tmp_path / "b", stop_after=9)
    os.truncate(tmp_path / "b/last.ckpt", 1000)
    assert same_bits(whole, run_recipe(tmp_path / "b"))


def test_without_hard_links_the_previous_one_is_kept_by_renaming(tmp_path, monkeypatch):
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        checkpoints.save_last(state_of(step))
    assert [load(p).step for p in (checkpoints.last, checkpoints.previous)] == [3, 2]


def test_readers_see_one_whole_state_at_any_moment_of_many_saves(tmp_path):
    Checkpoints(tmp_path).save_last(state_of(1, size=5000))

    def save_for_a_while() -> None:
        checkpoints, step, end = Checkpoints(tmp_path), 1, time.monotonic() + 0.6
        while time.monotonic() < end:
            step += 1
            checkpoints.save_last(state_of(step, size=5000))

    writer, seen = fork_child(save_for_a_while), []
    while os.waitpid(writer, os.WNOHANG) == (0, 0):
        found = Checkpoints(tmp_path).newest()
        assert found.notes == ()
        assert_is_state_of(found.checkpoint.step, found.checkpoint)
        seen.append(found.checkpoint.step)
    assert len(set(seen)) > 5, "the reader must have met several states"
    assert seen == sorted(seen), "a state never goes back"


def test_a_second_run_in_the_folder_is_refused_and_the_first_goes_on(tmp_path):
    with (
        FolderLock(tmp_path),
        pytest.raises(RunError, match=rf"process {os.getpid()} is training there.*--out"),
        FolderLock(tmp_path),
    ):
        raise AssertionError
    heard: list[str] = []
    with FolderLock(tmp_path, heard.append):
        assert heard == []


def test_a_lock_ends_with_its_process_even_if_a_worker_of_it_lives_on(tmp_path):
    ready, tell = os.pipe()

    def holder() -> None:
        FolderLock(tmp_path).__enter__()
        worker = fork_child(lambda: time.sleep(30))
        os.write(tell, struct.pack("<I", worker))
        time.sleep(30)

    pid = fork_child(holder)
    (worker,) = struct.unpack("<I", os.read(ready, 4))
    try:
        with pytest.raises(RunError, match=f"process {pid} "), FolderLock(tmp_path):
            raise AssertionError
        os.kill(pid, 9)
        assert exit_of(pid) == -9
        with FolderLock(tmp_path):
            pass
    finally:
        os.kill(worker, 9)


def test_taking_the_lock_makes_the_folder_and_removes_what_a_killed_run_left(tmp_path):
    folder = tmp_path / "runs" / "one"
    with FolderLock(folder):
        (folder / ".tmp-4194305-ab-last.ckpt").write_bytes(b"half")
        (folder / "config.yaml").write_text("a: 1\n")
    with FolderLock(folder):
        assert sorted(p.name for p in folder.iterdir()) == [".lock", "config.yaml"]


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Embedding(7, 3)
        self.out = nn.Linear(3, 7, bias=False)
        self.out.weight = self.inside.weight
        self.register_buffer("count", torch.tensor(4))


def test_weights_come_back_and_any_reader_of_safetensors_opens_the_file(tmp_path):
    path = tmp_path / "model.safetensors"
    model, twin = Tied(), Tied()
    save_weights(path, model)
    load_weights(path, twin)
    assert same_bits(model.state_dict(), twin.state_dict())
    plain = safetensors.torch.load_file(path)
    assert torch.equal(plain["inside.weight"], model.inside.weight)
    before = path.read_bytes()
    save_weights(path, twin)
    assert path.read_bytes() == before
    assert same_bits(model.state_dict(), twin.state_dict())


def test_weights_written_by_another_program_load_if_they_fit(tmp_path):
    model, twin = Toy(), Toy()
    nn.init.constant_(model.out.weight, 0.25)
    safetensors.torch.save_file(model.state_dict(), tmp_path / "w")
    load_weights(tmp_path / "w", twin)
    assert same_bits(model.state_dict(), twin.state_dict())


def test_missing_extra_misshaped_and_mistyped_weights_are_all_named_and_none_is_loaded(tmp_path):
    model = Toy()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    wrong = {name: t + 1 for name, t in model.state_dict().items()}
    del wrong["out.bias"]
    wrong |= {
        "out.biass": torch.zeros(3),
        "out.weight": torch.zeros(3, 6),
        "embedding.weight": torch.zeros(11, 4).half(),
    }
    safetensors.torch.save_file(wrong, tmp_path / "w")
    for load_them in (lambda: load_weights(tmp_path / "w", model), lambda: put_weights(model, wrong, "w")):
        with pytest.raises(RunError) as caught:
            load_them()
        for words in (
            "missing 'out.bias'", "unexpected 'out.biass'", "'out.weight' is (3, 6) float32, expected (3, 5) float32",
            "'embedding.weight' is (11, 4) float16, expected (11, 4) float32",
        ):  # fmt: skip
            assert words in str(caught.value)
    assert same_bits(before, model.state_dict())


def test_damage_in_a_file_of_weights_is_noticed(tmp_path):
    path, model, rng = tmp_path / "model.safetensors", Toy(), random.Random(1)
    save_weights(path, model)
    size = path.stat().st_size
    with open(path, "r+b", buffering=0) as file:
        data = 8 + struct.unpack("<Q", file.read(8))[0]
        for bit in rng.sample(range(8 * data, 8 * size), 400):
            flip(file, bit)
            assert_weights_are_refused(path, model)
            flip(file, bit)
        load_weights(path, model)
        for length in sorted((rng.randrange(size) for _ in range(100)), reverse=True):
            file.truncate(length)
            assert_weights_are_refused(path, model)


def test_damage_in_the_header_of_a_file_of_weights_is_noticed_or_harmless(tmp_path):
    path, rng = tmp_path / "model.safetensors", random.Random(2)
    save_weights(path, Toy())
    with open(path, "r+b", buffering=0) as file:
        data = 8 + struct.unpack("<Q", file.read(8))[0]
        refused = 0
        for bit in rng.sample(range(8 * data), 150):
            flip(file, bit)
            model = Toy()
            nn.init.zeros_(model.out.weight)
            try:
                load_weights(path, model)
            except RunError:
                refused += 1
            else:  # a flipped bit in our metadata, or in the blanks at its end
                assert same_bits(model.state_dict(), Toy().state_dict())
            flip(file, bit)
    assert refused > 100


def assert_weights_are_refused(path: Path, model: nn.Module) -> None:
    with pytest.raises(RunError, match=path.name):
        load_weights(path, model)


def test_weights_that_are_not_finite_are_neither_written_nor_read(tmp_path):
    path, model = tmp_path / "w", Toy()
    model.out.bias.data[1] = float("nan")
    with pytest.raises(TrainingError, match=r"not written: .* in 'out\.bias'"):
        save_weights(path, model)
    assert not path.exists()
    safetensors.torch.save_file(model.state_dict(), path)
    with pytest.raises(RunError, match=r"found NaN or infinity in 'out\.bias'"):
        load_weights(path, Toy())


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 7, struct.pack("<Q", 2**60) + b"{}", b"\x80\x04cos\nsystem\n", b"PK\x03\x04" * 9]
)
def test_files_that_are_no_weights_are_refused_in_a_sentence(content, tmp_path):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(RunError, match=r"w: damaged or not a safetensors file"):
        load_weights(tmp_path / "w", Toy())
    with pytest.raises(RunError, match=r"expected a file of weights, found none"):
        load_weights(Path(tmp_path / "nothing"), Toy())


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_noted_and_used(error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(handle: int, how: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", flock)
    heard: list[str] = []
    with FolderLock(tmp_path, heard.append):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
    (note,) = heard
    assert note.startswith(f"{tmp_path}: this disk has no file locks ({os.strerror(error)}), so a second training ")


def test_a_disk_that_does_not_sync_folders_is_noted_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(handle: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", fsync)
    heard: list[str] = []
    with FolderLock(tmp_path, heard.append):
        write_text(tmp_path / "a", "whole")
    (note,) = heard
    assert note == f"{tmp_path}: this disk does not sync folders: after a power cut the newest files may be missing."


@pytest.mark.parametrize(
    "header", ['{"__metadata__": null}', '{"__metadata__": {"tied": 1}}', '{"__metadata__": []}', "[]", "7"]
)
def test_a_header_of_another_form_is_refused_in_words_of_ours(header, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
    with pytest.raises(RunError, match=r"its header is no map of tensors, whose __metadata__ is a map of texts\."):
        check_weights(path, nn.Linear(1, 1))
