"""A file of weights that another process replaces while it is read: the old or the new one, whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from recurra.training.weights import load_weights, save_weights

# Gives `path` the content of one file and of the other by turns, atomically as recurra.base.atomic does, until it ends.
REPLACE = """
import os, sys
one, two, path = sys.argv[1:]
print("ready", flush=True)
while True:
    for source in (one, two):
        os.link(source, path + ".new")
        os.replace(path + ".new", path)
"""


def numbered(value: float) -> torch.nn.Module:
    model = torch.nn.LSTM(3, 4)
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, value)
    return model


def test_a_file_that_is_replaced_meanwhile_is_read_whole(tmp_path: Path) -> None:
    path, files = tmp_path / "model.safetensors", [tmp_path / name for name in "ab"]
    for value, file in enumerate(files):
        save_weights(file, numbered(value))
    save_weights(path, numbered(0))
    words = [sys.executable, "-S", "-c", REPLACE, *map(str, files), str(path)]
    found = set()
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            for _ in range(200):
                model = numbered(-1)
                load_weights(path, model)
                found.add(tuple(sorted({float(v) for t in model.state_dict().values() for v in t.unique()})))
        finally:
            process.kill()
    assert found == {(0.0,), (1.0,)}
