"""Models of speech as ONNX files: they say what the model says, whole or in pieces, whatever stands in the padding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from export.onnx_room import File, exported
from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError, RunError
from recurra.decode.transducer import transducer_greedy
from recurra.export import onnx, onnx_files, seeing_ahead
from recurra.export.parts import Part
from recurra.export.runtimes import Runtime
from recurra.models import SequenceModel
from recurra.tasks.transcription.methods.transducer import network_of

LENGTHS = np.array([6, 1, 0, 4])


def speech(bidirectional: bool, *, inputs: str = "vectors", head: Any = "ctc", encoder: Any = None) -> SequenceModel:
    torch.manual_seed(0)
    layers = {"name": "recurrent", "cell": "gru", "hidden_size": 4, "num_layers": 2, "bidirectional": bidirectional}
    return SequenceModel({"features": 3, "units": 5}, inputs=inputs, encoder=encoder or layers, head=head).eval()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_file_says_what_the_model_says(bidirectional: bool, tmp_path: Path) -> None:
    model = speech(bidirectional)
    file = exported(model, tmp_path / "s.onnx")
    features = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(np.float32)
    features[4:, 3] = 99.0
    states = {} if bidirectional else {f"state.h_l{k}": np.zeros((4, 4), np.float32) for k in range(2)}
    got = file(features=features, lengths=LENGTHS, **states)["logits"]
    with torch.no_grad():
        batch = Batch({"features": torch.from_numpy(features)}, torch.from_numpy(LENGTHS), {}, ())
        wanted = model(batch).outputs["logits"].numpy()
    for n, length in enumerate(LENGTHS):
        np.testing.assert_allclose(got[:length, n], wanted[:length, n], atol=1e-6, rtol=0)
        assert not got[length:, n].any()


def test_a_recording_in_pieces_is_the_whole(tmp_path: Path) -> None:
    file = exported(speech(False), tmp_path / "s.onnx")
    features = np.random.default_rng(1).normal(size=(6, 1, 3)).astype(np.float32)
    states = {f"state.h_l{k}": np.zeros((1, 4), np.float32) for k in range(2)}
    whole = file(features=features, lengths=np.array([6]), **states)["logits"]
    first = file(features=features[:2], lengths=np.array([2]), **states)
    after = {name: first[f"next_{name}"] for name in states}
    rest = file(features=features[2:], lengths=np.array([4]), **after)["logits"]
    np.testing.assert_allclose(np.concatenate([first["logits"], rest]), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_files_of_a_transducer_say_greedily_what_the_model_says_in_pieces_too(cell: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    head = {"name": "transducer", "cell": cell, "hidden_size": 5, "embedding_size": 3, "joint_size": 6, "num_layers": 2}
    encoder = {"name": "recurrent", "cell": "gru", "hidden_size": 4, "num_layers": 2}
    model = SequenceModel({"features": 3, "units": 5}, inputs="vectors", encoder=encoder, head=head).eval()
    with torch.no_grad():
        model.head.output.weight *= 6
    paths = [one.path for one in onnx(model, tmp_path / "s.onnx")]
    assert [path.name for path in paths] == ["s.encoder.onnx", "s.predictor.onnx", "s.joiner.onnx"]
    files = [File(path) for path in paths]
    features = np.random.default_rng(0).normal(size=(12, 1, 3)).astype(np.float32)
    with torch.no_grad():
        frames = model(Batch({"features": torch.from_numpy(features)}, torch.tensor([12]), {}, ())).outputs["frames"]
    (wanted,) = transducer_greedy(frames, torch.tensor([12]), network_of(model), most=3)
    states, heard = {f"state.h_l{k}": np.zeros((1, 4), np.float32) for k in range(2)}, []
    for piece in np.split(features, [5]):
        found = files[0](features=piece, lengths=np.array([len(piece)]), **states)
        states = {name: found[f"next_{name}"] for name in states}
        heard += [*found["frames"]]
    zeros = {
        f"state.{name}_l{k}": np.zeros((1, 5), np.float32) for k in range(2) for name in ("hc"[: 1 + (cell == "lstm")])
    }
    assert _greedily(heard, files[1], files[2], zeros, most=3) == wanted.units
    assert len(wanted.units) > 3


AHEAD = {"name": "chunked", "chunk": 4, "ahead": 2, "left": 3, "hidden_size": 8, "num_heads": 2}


def in_pieces(file: File, features: Any, lengths: Any, sizes: list[int], name: str) -> list[Any]:
    """What is said of each row, which ends in the piece in which it has no more; each begins at zeros."""
    N, inputs = len(lengths), {one.name: one.shape for one in file.session.get_inputs()}
    states = {name: np.zeros((N, shape[1]), np.float32) for name, shape in inputs.items() if "state." in name}
    said, first = [[np.zeros((0, 5), np.float32)] for _ in range(N)], 0
    for size in sizes:
        left = np.clip(lengths - first, 0, size)
        last = (lengths <= first + size).astype(np.int64)
        found = file(features=features[first : first + size], lengths=left, last=last, **states)
        states, first = {name: found[f"next_{name}"] for name in states}, first + size
        for n in range(N):
            said[n].append(found[name][: found["output_lengths"][n], n])
            assert not found[name][found["output_lengths"][n] :, n].any()
    return [np.concatenate(rows) for rows in said]


@pytest.mark.parametrize("options", [{}, {"ahead": 0, "positions": "sinusoid"}, {"left": 0}, {"chunk": 1, "ahead": 0}])
def test_a_file_of_chunks_says_of_pieces_what_the_model_says_of_the_whole(
    options: dict[str, Any], tmp_path: Path
) -> None:
    model = speech(True, encoder={**AHEAD, **options})
    file = exported(model, tmp_path / "s.onnx")
    lengths, features = np.array([23, 14, 0]), np.random.default_rng(2).normal(size=(23, 3, 3)).astype(np.float32)
    for n, length in enumerate(lengths):
        features[length:, n] = np.nan
    with torch.no_grad():
        batch = Batch({"features": torch.from_numpy(features)}, torch.from_numpy(lengths), {}, ())
        wanted = model(batch).outputs["logits"].numpy()
    for sizes in ([23], [1] * 23, [5, 0, 11, 7]):
        for n, said in enumerate(in_pieces(file, features, lengths, sizes, "logits")):
            assert len(said) == lengths[n]
            np.testing.assert_allclose(said, wanted[: lengths[n], n], atol=2e-6, rtol=0)  # float32, in two orders


def test_a_file_of_chunks_says_a_step_as_soon_as_the_model_does(tmp_path: Path) -> None:
    model = speech(True, encoder=AHEAD)
    file = exported(model, tmp_path / "s.onnx")
    features, said = np.random.default_rng(3).normal(size=(20, 1, 3)).astype(np.float32), []
    states = {one.name: np.zeros((1, one.shape[1]), np.float32) for one in file.session.get_inputs()[3:]}
    for t in range(20):
        found = file(features=features[t : t + 1], lengths=np.array([1]), last=np.array([0]), **states)
        states = {name: found[f"next_{name}"] for name in states}
        said.append(int(found["output_lengths"][0]))
    assert said == [0] * 5 + [4, 0, 0, 0] * 3 + [4, 0, 0]


def test_a_transducer_over_chunks_is_three_files_whose_frames_come_in_pieces(tmp_path: Path) -> None:
    head = {"name": "transducer", "hidden_size": 5, "embedding_size": 3, "joint_size": 5}
    model = speech(True, encoder=AHEAD, head=head)
    paths = [one.path for one in onnx(model, tmp_path / "s.onnx")]
    assert [path.name for path in paths] == ["s.encoder.onnx", "s.predictor.onnx", "s.joiner.onnx"]
    features = np.random.default_rng(0).normal(size=(12, 1, 3)).astype(np.float32)
    with torch.no_grad():
        wanted = model(Batch({"features": torch.from_numpy(features)}, torch.tensor([12]), {}, ())).outputs["frames"]
    (said,) = in_pieces(File(paths[0]), features, np.array([12]), [5, 7], "frames")
    np.testing.assert_allclose(said, wanted[:, 0].numpy(), atol=2e-6, rtol=0)


@pytest.mark.parametrize("head", ["label", "tags"])
def test_chunks_under_another_head_are_read_as_a_whole(head: str, tmp_path: Path) -> None:
    sizes = {"features": 3, "labels": 5, "tags": 5}
    torch.manual_seed(0)
    model = SequenceModel(sizes, inputs="vectors", encoder={**AHEAD, "positions": "none"}, head=head).eval()
    file = exported(model, tmp_path / "s.onnx")
    features = np.random.default_rng(0).normal(size=(9, 2, 3)).astype(np.float32)
    features[4:, 1] = np.nan
    lengths = np.array([9, 4])
    with torch.no_grad():
        wanted = model(Batch({"features": torch.from_numpy(features)}, torch.from_numpy(lengths), {}, ())).outputs
    assert [one.name for one in file.session.get_inputs()] == ["features", "lengths"]
    name = {"label": "logits", "tags": "emissions"}[head]
    got, expected = file(features=features, lengths=lengths)[name], wanted[name].numpy()
    if head == "label":
        np.testing.assert_allclose(got, expected, atol=2e-6, rtol=0)
    for n, length in enumerate(lengths if head == "tags" else []):
        np.testing.assert_allclose(got[:length, n], expected[:length, n], atol=2e-6, rtol=0)


def test_a_file_that_leaves_other_states_than_the_model_is_not_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    right = seeing_ahead.chunked

    def forgets(draw: Any, *given: Any) -> Any:
        outputs, said, after = right(draw, *given)
        return outputs, said, {**after, "v_l0": after["k_l0"]}

    monkeypatch.setattr(seeing_ahead, "chunked", forgets)
    with pytest.raises(RunError, match=r"not written: .*next_state\.v_l0"):
        exported(speech(True, encoder=AHEAD), tmp_path / "s.onnx")
    assert not list(tmp_path.iterdir())


def test_pieces_are_compared_each_from_the_states_that_the_file_itself_has_left() -> None:
    """A difference of one call that is small enough adds up."""

    def ask(random: np.random.Generator, N: int, T: int) -> dict[str, Any]:
        return {"state.sum": random.normal(size=(N, 1)).astype(np.float32)}

    def drifting(inputs: dict[str, Any]) -> list[Any]:
        return [inputs["state.sum"].astype(np.float64) + 0.25 + 4e-6]

    draw: Any = SimpleNamespace(outputs=["next_state.sum"])
    part = Part("", draw, ask, lambda model, inputs: {"next_state.sum": inputs["state.sum"] + 0.25}, pieces=True)
    runtime = Runtime("numpy", "drifting", lambda data: drifting, "1")
    for one, apart, wrong in ((part, 2e-5 / 1.25, True), (replace(part, pieces=False), 4e-6, False)):
        found = onnx_files.compare(Path("s.onnx"), b"", one, nn.Identity(), nn.Identity(), [runtime])
        assert found.runtimes["drifting 1"]["next_state.sum"] == pytest.approx(apart, rel=0.1)
        assert bool(found.wrong) == wrong


def test_a_file_may_be_as_far_as_what_the_equations_make_of_a_rounded_weight() -> None:
    """The model in float32 may be near exact numbers by luck, where they magnify rounding."""

    class Magnifies(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

    def answer(model: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"y": 100 * (model.weight.detach().numpy() - 1)}

    def ask(random: np.random.Generator, N: int, T: int) -> dict[str, Any]:
        return {"x": np.zeros(1, np.float32)}

    draw: Any = SimpleNamespace(outputs=["y"])
    for far, wrong in ((4e-5, False), (6e-5, True)):  # 8 * 100 * 2^-24 = 4.8e-5
        runtime = Runtime("numpy", "far", lambda data, far=far: lambda inputs: [np.array([far])], "1")
        model = Magnifies()
        found = onnx_files.compare(Path("s.onnx"), b"", Part("", draw, ask, answer), model, model.double(), [runtime])
        assert bool(found.wrong) == wrong
        assert model.weight.item() == 1


def test_states_of_no_network_are_the_last_step_or_what_they_were(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = exported(speech(False, encoder="identity"), tmp_path / "s.onnx")
    features, before = np.arange(12, dtype=np.float32).reshape(2, 2, 3), np.full((2, 3), -1, np.float32)
    found = file(features=features, lengths=np.array([1, 0]), **{"state.h_l0": before})
    np.testing.assert_array_equal(found["next_state.h_l0"], [[0, 1, 2], [-1, -1, -1]])


def _greedily(frames: list[Any], predictor: File, joiner: File, states: dict[str, Any], most: int) -> tuple[int, ...]:
    units: list[int] = []
    said = predictor(tokens=np.array([0]), **states)
    for frame in frames:
        for _ in range(most):
            unit = int(joiner(frames=frame, said=said["said"])["logits"].argmax())
            if unit == 0:
                break
            units.append(unit)
            said = predictor(tokens=np.array([unit]), **{name: said[f"next_{name}"] for name in states})
    return tuple(units)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"head": "attention"}, "a head AttentionHead as ONNX; .*ctc.* have one"),
        ({"encoder": "lrcn"}, "an encoder LRCN as ONNX; .*transformer, chunked.* have one"),
        ({"inputs": "frames"}, "inputs Frames as ONNX; .*vectors.* have one"),
    ],
)
def test_what_no_file_can_be_made_of_is_refused_by_name_and_none_is_left(
    parts: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        exported(speech(True, **parts), tmp_path / "s.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("lengths", [[3, 5], [0, 0], [7, 1]])
def test_a_file_of_chunks_has_as_many_outputs_as_inputs(lengths: list[int], tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"features": 3, "labels": 5}
    model = SequenceModel(sizes, inputs="vectors", encoder=AHEAD, head={"name": "tags", "output": "softmax"}).eval()
    file = exported(model, tmp_path / "s.onnx")
    features, numbers = np.random.default_rng(0).normal(size=(7, 2, 3)).astype(np.float32), np.array(lengths)
    got = file(**{one.name: {"lengths": numbers}.get(one.name, features) for one in file.session.get_inputs()})
    with torch.no_grad():
        batch = Batch({"features": torch.from_numpy(features)}, torch.from_numpy(numbers), {}, ())
        expected = model(batch).outputs
    assert got["emissions"].shape == (7, 2, 5)
    real = np.arange(7)[:, None] < numbers
    np.testing.assert_allclose(got["emissions"][real], expected["emissions"].numpy()[real], atol=1e-5)
