"""`recurra bench`: its words, its progress, its results."""

from __future__ import annotations

import json

import pytest

from recurra.cli import main

TINY = ["bench", "--modes", "infer", "--cells", "rnn", "--grid", "3x2x4x5", "--peers", "torch", "--seconds", "0.001"]


def test_results_go_to_standard_output_and_progress_to_standard_error(capsys):
    assert main(TINY) == 0
    captured = capsys.readouterr()
    assert captured.err == "1/1  infer rnn 3x2x4x5\n"
    machine, _, row, _, heading, mean = captured.out.splitlines()
    assert "1 thread, CPU time, float32" in machine
    assert row.split()[:3] == ["infer", "rnn", "3x2x4x5"]
    assert "best peer torch" in row
    assert heading.startswith("geometric means")
    assert mean.split()[:2] == ["infer", "rnn"]


def test_json_is_all_there_is_on_standard_output(capsys):
    assert main([*TINY, "--json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert set(got) == {"machine", "rows", "means"}
    (row,) = got["rows"]
    assert (row["mode"], row["cell"], row["T"], row["N"], row["I"], row["H"]) == ("infer", "rnn", 3, 2, 4, 5)
    assert row["value"] > 0
    assert row["peers"]["torch"]["value"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cells", "lsmt"], "unknown cell 'lsmt'. Did you mean 'lstm'?\n"),
        (["--modes", "trian"], "unknown mode 'trian'. Did you mean 'train'?\n"),
        (["--peers", "torhc"], "unknown peer 'torhc'. Did you mean 'torch'?\n"),
        (["--thread", "2"], "recurra bench: unknown option '--thread'. Did you mean '--threads'?\n"),
    ],
)
def test_a_misspelt_word_is_answered_with_its_neighbour(words, message, capsys):
    assert main(["bench", *words]) == 2
    assert capsys.readouterr() == ("", message)


def test_who_is_not_measured_is_said(capsys, monkeypatch):
    from recurra import bench

    monkeypatch.setattr(type(bench.PEERS["flax"]), "packages", ("no_such_package",))
    monkeypatch.setattr(bench, "choose_peers", lambda words: {})
    words = TINY[: TINY.index("--peers")] + TINY[TINY.index("--peers") + 2 :]
    assert main(words) == 0
    said = capsys.readouterr().err.splitlines()[0]
    assert said.startswith("Not measured: ")
    assert "flax" in said
    assert "no_such_package" in said
