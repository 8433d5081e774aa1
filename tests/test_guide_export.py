"""The guide of exports works: its commands are run in their order, and its lines of plain ONNX Runtime answer."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy
import onnxruntime
import pytest
import torch

from models.seq2seq_room import SOURCES, padded, small
from recurra.base.contracts import Batch
from recurra.cli import main
from recurra.data.tokenizers import BOS
from recurra.export import onnx
from recurra.models import SequenceModel

GUIDES = Path(__file__).resolve().parents[1] / "docs" / "guide"


def blocks(page: str, language: str) -> list[str]:
    text = (GUIDES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_guide_of_exports_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("from-csv.md", "python")[0], "from-csv.md", "exec"), {})
    assert main(["init", "classification", "parcels.csv", "-o", "config.yaml"]) == 0
    quick = [
        "--set",
        "training.epochs=5",
        "--set",
        "model.encoder.hidden_size=16",
        "--set",
        "training.optimizer.lr=0.03",
        "--set",
        "model.wide=none",
        "--set",
        "task.ngrams=none",
    ]
    assert main(["train", "config.yaml", "--out", "runs/parcels", *quick]) == 0
    Path("ask.py").write_text(blocks("export.md", "py")[0], encoding="utf-8")
    asked = 0
    for block in blocks("export.md", "console"):
        (line,) = (line[2:] for line in block.splitlines() if line.startswith("$ "))
        words, expected = shlex.split(line), block.splitlines()[1]
        if words[0] == "python":
            found = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=True)
            assert main(["predict", "runs/parcels", words[-1], "--json"]) == 0
            assert f'"{found.stdout.strip()}"' in capsys.readouterr().out.splitlines()[-1]
            assert found.stdout.strip() == expected
            asked += 1
        else:
            capsys.readouterr()
            assert main(words[1:]) == 0
            said = capsys.readouterr().out
            assert re.sub(r"[\d.]+e-\d+", "", said) == re.sub(r"[\d.]+e-\d+", "", expected) + "\n"
    assert asked == 1


def test_its_loop_over_pieces_hears_what_the_model_hears(tmp_path: Path) -> None:
    torch.manual_seed(0)
    chunked = {"name": "chunked", "chunk": 4, "ahead": 2, "left": 3, "hidden_size": 8, "num_heads": 2}
    model = SequenceModel({"features": 3, "units": 5}, inputs="vectors", encoder=chunked, head="ctc").eval()
    (file,) = onnx(model, tmp_path / "s.onnx")
    session = onnxruntime.InferenceSession(file.path)
    lengths, features = numpy.array([11, 6]), numpy.random.default_rng(0).normal(size=(11, 2, 3)).astype(numpy.float32)
    pieces = [
        (features[at : at + 3], numpy.clip(lengths - at, 0, 3), (lengths <= at + 3).astype(numpy.int64))
        for at in range(0, 11, 3)
    ]
    names = {"numpy": numpy, "session": session, "pieces": pieces, "N": 2}
    exec(compile(blocks("export.md", "py")[1], "export.md", "exec"), names)
    with torch.no_grad():
        whole = model(Batch({"features": torch.from_numpy(features)}, torch.from_numpy(lengths), {}, ()))
    best = whole.outputs["logits"].argmax(2)
    assert names["heard"] == [best[:11, 0].tolist(), best[:6, 1].tolist()]


def test_its_loop_over_steps_translates(tmp_path: Path) -> None:
    model = small().eval()
    first, second = (onnxruntime.InferenceSession(one.path) for one in onnx(model, tmp_path / "out.onnx"))
    lengths = numpy.array(list(map(len, SOURCES)))
    names = {
        "numpy": numpy,
        "encoder": first,
        "step": second,
        "names_of_encoder": [output.name for output in first.get_outputs()],
        "names_of_step": [output.name for output in second.get_outputs()],
        "ids": padded(SOURCES).numpy(),
        "lengths": lengths,
    }
    code = blocks("export.md", "py")[2].replace("range(100)", "range(3)")
    exec(compile(code, "export.md", "exec"), names)
    with torch.no_grad():
        batch = Batch({"tokens": padded(SOURCES)}, torch.from_numpy(lengths), {}, ())
        state, tokens = model.start(batch), torch.full((len(SOURCES),), BOS)
        for _ in range(3):
            log_probs, state = model.step(tokens, state)
            tokens = log_probs.argmax(1)
    assert names["token"].tolist() == tokens.tolist()


def test_every_model_that_can_be_written_is_in_its_table() -> None:
    from recurra.export.models import PARTS
    from recurra.models import MODELS

    text = (GUIDES / "export.md").read_text(encoding="utf-8").partition("## Inputs and outputs")[2]
    text = text.partition("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
    through_its_task = {"autoencoder"}  # `Exports`: a task gives what is written in the model's place
    assert named == {word for word, kind in MODELS.items() if kind in PARTS} | through_its_task
