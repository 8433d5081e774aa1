"""A hundred command lines that cannot be done: each ends in a sentence and exit code 2, and changes nothing.

In a folder with a trained classifier `run`, its data `data.csv` and its config `c.yaml`.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from api.api_room import done, refused
from forked_room import Forked
from recurra.cli import main

LINES = """
recura
trainn c.yaml
--hlep
data
data exprot names out
data export nmaes out
data export names data.csv
data list extra
init
init classification
init clasification data.csv
init classification nowhere.csv
init classification run
init classification data.csv -o nowhere/c.yaml
init classification data.csv -o c.yaml
init translation c.yaml
init music data.csv
init classification data.csv --force
check
check nowhere.yaml
check run
check data.csv
check c.yaml d.yaml
check c.yaml --set model.hiden_size=4
check c.yaml --set model.encoder.hidden_size=four
check c.yaml --set model.encoder.hidden_size=-4
check c.yaml --set model.encoder.hidden_size=1e999
check c.yaml --set model.encoder.hidden_size=99999999999
check c.yaml --set model.hidden_size
check c.yaml --set hidden_size=4
check c.yaml --set .=4
check c.yaml --set =4
check c.yaml --set model.encoder.cell=lsmt
check c.yaml --set model=lstm
check c.yaml --set model.encoder.dropout=0.5
check c.yaml --set task.name=tagging
check c.yaml --set task.text=nope
check c.yaml --set task.label=text
check c.yaml --set data.train=nowhere.csv
check c.yaml --set data.format=xlsx
check c.yaml --set training.optimizer=adamm
check c.yaml --set training.optimizer.lr=nan
check c.yaml --set training.epochs=0
check c.yaml --set training.select=f2
check c.yaml --set 'training.schedule={name: cosine, warmup: 2}'
check c.yaml --set 'training={'
check c.yaml --cell nowhere.py
check c.yaml --cell data.csv
train
train nowhere.yaml
train c.yaml --out run
train c.yaml --out data.csv
train c.yaml --out new --seed -1
train c.yaml --out new --seed one
train c.yaml --out new --device cuda:77
train c.yaml --out new --device tpu
train c.yaml --out new --device meta
train c.yaml --resume run
train --resume nowhere
train --resume data.csv
train --resume run --out new
train --resume run --set training.epochs=1
train --resume run --seed 3
evaluate
evaluate nowhere
evaluate run nowhere.csv
evaluate run c.yaml
evaluate run --split trian
evaluate run --device tpu
predict
predict run
predict nowhere text
predict run text --input data.csv
predict run - text
predict run --input nowhere.csv
predict run --input run
predict run text --output out.txt
predict run text --output nowhere/out.csv
predict run text --output out.csv --json
predict run text --output out.png
predict run text --beam 3
predict run text --beam zero
predict run text --n-best -1
predict run text --attention
predict run text --tokens
predict run text --device tpu
generate
generate run
generate run --suggest 3
generate nowhere
generate run --temperature hot
serve
serve nowhere
serve run run
serve run --port 70000
serve run --port http
serve run --host 999.1.1.1 --port 0
serve run --key-file nowhere
serve run --max-waiting 0
serve run --timeout 0
export
export run
export run --onnx nowhere/out.onnx
export nowhere --onnx out.onnx
export run --torch run
inspect
inspect run
inspect nowhere text
inspect run text --png nowhere/a.png
doctor
doctor nowhere.yaml
doctor c.yaml --steps 0
doctor c.yaml --html nowhere/a.html
explain nothing
explain cell lsmt
explain cell lstm gru
demo nmaes
bench --modes trian
bench --cells lsmt
bench --grid 9
bench --grid 1x2x3
bench --threads 0
bench --seconds 0
bench --peers jaxx
""".strip().splitlines()


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time, but for the lock, which a refused command may have taken."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != ".lock":
            status = path.stat()
            found[str(path.relative_to(folder))] = (status.st_size, status.st_mtime_ns)
    return found


def test_there_are_more_than_a_hundred_different_ones() -> None:
    assert len(set(LINES)) == len(LINES) > 100


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_that_cannot_be_done_is_refused_and_changes_nothing(line: str, run: Path) -> None:
    before = listing(Path())
    said = refused(*shlex.split(line))
    assert said.strip()
    assert len(said) < 4000
    assert listing(Path()) == before


def test_a_killed_prediction_leaves_no_half_file(run: Path) -> None:
    Path("many.csv").write_text("text\n" + "".join(f"some text of number {k}\n" for k in range(50_000)), "utf-8")
    words = ["predict", "run", "--input", "many.csv", "--output", "out.csv"]
    with Forked(lambda: main(words), env=os.environ, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 60
        while not any(p.stat().st_size > 10_000 for p in Path().glob(".*out.csv*")):
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not Path("out.csv").exists()
    done("predict", "run", "some text", "--output", "out.csv")
    assert len(Path("out.csv").read_text("utf-8").splitlines()) == 2
