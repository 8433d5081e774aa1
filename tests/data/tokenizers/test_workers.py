"""Texts that other processes cut have the tokens that this one finds; a process that is lost is a sentence."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from recurra.base.errors import RunError
from recurra.data.tokenizers import blocks, workers
from recurra.data.tokenizers.blocks import cut_block
from recurra.data.tokenizers.cutter import Cutter
from recurra.data.tokenizers.spaces import Spaces
from recurra.data.tokenizers.words import Words
from recurra.data.tokenizers.workers import Crew, Worker

TEXTS = [f"the {n % 7}th sea, isn't it \ud800 {chr(228 + n % 3)}{n}\nfar \r\n off" for n in range(60)]
CUTTERS = [Cutter(Words(lowercase=True)), Cutter(Spaces(), True, "\n", "\n"), Cutter(Spaces(), True)]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "TEXTS", 7)
    monkeypatch.setattr(workers, "WORTH", 100)


def cut(cutter: Cutter, number: int) -> list[tuple[str, list[str]]]:
    return [
        (row, tokens)
        for rows, block in Crew(cutter, number).blocks(iter(TEXTS), str)
        for row, tokens in zip(rows, texts_of(block), strict=True)
    ]


def texts_of(block: blocks.Block) -> Iterator[list[str]]:
    numbers = iter(block.numbers.tolist())
    return ([block.tokens[next(numbers)] for _ in range(length)] for length in block.lengths.tolist())


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    """Workers that were started."""
    found: list[Worker] = []
    make = Worker.__init__
    monkeypatch.setattr(Worker, "__init__", lambda self, cutter: found.append(self) or make(self, cutter))
    return found


@pytest.mark.parametrize("cutter", CUTTERS, ids=lambda one: type(one.tokenizer).__name__)
def test_a_worker_cuts_as_this_process_does(cutter: Cutter) -> None:
    told, said = io.BytesIO(), io.BytesIO()
    workers._write(told, json.dumps(cutter.to_json()).encode())
    workers._write(told, workers.marshal.dumps(TEXTS))
    workers.main(io.BytesIO(told.getvalue()), said)
    tokens, numbers, lengths = workers.marshal.loads(workers._read(io.BytesIO(said.getvalue())))
    alone = cut_block(cutter, TEXTS)
    assert (tokens, numbers, lengths) == (alone.tokens, alone.numbers.tobytes(), alone.lengths.tobytes())
    assert list(texts_of(alone)) == [cutter(text) for text in TEXTS]


def test_two_workers_find_what_one_process_finds_and_are_gone_then(started: list[Worker]) -> None:
    assert cut(CUTTERS[0], 2) == [(text, CUTTERS[0](text)) for text in TEXTS]
    assert len(started) == 2
    assert all(worker._process.poll() is not None for worker in started)


def test_no_worker_is_started_for_few_texts_or_by_one_process(
    started: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(CUTTERS[0], 1)
    monkeypatch.setattr(workers, "WORTH", 10**6)
    cut(CUTTERS[0], 2)
    assert started == []


def test_a_tokenizer_of_somebody_elses_package_is_used_here(started: list[Worker]) -> None:
    class Mine(Spaces):
        pass

    Mine.__module__ = "their.tokenizers"
    assert cut(Cutter(Mine()), 2) == [(text, text.split()) for text in TEXTS]
    assert started == []


def test_a_worker_that_is_killed_is_a_sentence_and_leaves_no_other(started: list[Worker]) -> None:
    found = Crew(CUTTERS[0], 2).blocks(iter(TEXTS), str)

    def go() -> None:
        for _ in found:
            for worker in started:
                os.kill(worker._process.pid, signal.SIGKILL)

    with pytest.raises(RunError, match=r"data\.workers: a process that cuts texts has ended early \(signal SIGKILL\)"):
        go()
    assert all(worker._process.poll() is not None for worker in started)


def test_who_stops_in_the_middle_leaves_no_worker(started: list[Worker]) -> None:
    found: Any = Crew(CUTTERS[0], 2).blocks(iter(TEXTS), str)
    while not started:
        next(found)
    found.close()
    assert all(worker._process.poll() is not None for worker in started)
