"""best, patience, every, speed, log: each by itself."""

from __future__ import annotations

import errno
import json
import math
import threading

import pytest
import torch

from recurra.base.contracts import Progress, Score
from recurra.base.errors import ConfigError, TrainingError
from recurra.training import Best, EarlyStopping, Log, Speed, Stopping, every
from recurra.training.log import read


def score_of(value: float, better: str) -> Score:
    return Score("score", value, "0..1", better, "dev")


@pytest.mark.parametrize(
    ("better", "values", "expected"),
    [
        ("higher", [0.5, 0.5, 0.6, 0.4, 0.6], [True, False, True, False, False]),
        ("lower", [2.0, 2.0, 1.0, 3.0, 0.5], [True, False, True, False, True]),
        ("lower", [math.nan, -math.inf, 1.0, math.nan, 0.9], [False, False, True, False, True]),
    ],
)
def test_best_is_the_strictly_better_finite_value(better, values, expected):
    best = Best()
    assert [best.offer(score_of(v, better), step=i) for i, v in enumerate(values, 1)] == expected


def test_best_remembers_value_and_step_also_through_its_state():
    best, twin = Best(), Best()
    twin.restore(best.state())
    assert twin.value is None
    best.offer(score_of(0.7, "higher"), step=30), best.offer(score_of(0.6, "higher"), step=40)
    twin.restore(json.loads(json.dumps(best.state())))
    assert (twin.value, twin.step) == (0.7, 30)
    assert not twin.offer(score_of(0.65, "higher"), step=50)


def test_best_refuses_a_score_without_a_direction():
    with pytest.raises(ConfigError, match="score 'score' has no better direction"):
        Best().offer(score_of(1.0, "neither"), step=1)


def test_patience_is_spent_after_so_many_evaluations_in_a_row():
    patience, endless, spent = EarlyStopping(evaluations=2), EarlyStopping(), []
    for improved in [True, False, True, False, False]:
        patience.note(improved), endless.note(improved)
        spent.append(patience.spent)
    assert spent == [False, False, False, False, True]
    assert not endless.spent
    resumed = EarlyStopping(evaluations=2)
    resumed.restore(patience.state())
    assert resumed.spent


def test_patience_counts_once_the_score_has_left_its_floor():
    patience, spent = EarlyStopping(evaluations=2), []
    for improved, on_floor in zip([1, 0, 0, 1, 0, 0], [1, 1, 1, 0, 0, 0], strict=True):
        patience.note(bool(improved), on_floor=bool(on_floor))
        spent.append(patience.spent)
    assert spent == [False] * 5 + [True]


def test_a_score_that_never_leaves_its_floor_ends_training_after_ten_times_the_patience():
    patience, spent = EarlyStopping(evaluations=2), []
    for epoch in range(20):
        patience.note(epoch == 0, on_floor=True)
        spent.append(patience.spent)
    assert spent == [False] * 19 + [True]
    resumed = EarlyStopping(evaluations=2)
    resumed.restore(patience.state())
    assert resumed.spent


def test_patience_in_steps_counts_from_the_best_step_or_the_last_one_on_the_floor():
    patience, spent = EarlyStopping(steps=100), []
    for step, improved, on_floor in [(60, True, True), (200, False, True), (260, True, False), (359, False, False)]:
        patience.note(improved, step=step, on_floor=on_floor)
        spent.append(patience.spent)
    resumed = EarlyStopping(steps=100)
    resumed.restore(patience.state())
    for one in (patience, resumed):
        one.note(False, step=360)
    assert (spent, patience.spent, resumed.spent) == ([False] * 4, True, True)


def test_of_two_limits_both_must_pass():
    patience, spent = EarlyStopping(evaluations=1, steps=100), []
    for step in (10, 50, 109, 110):
        patience.note(step == 10, step=step)
        spent.append(patience.spent)
    assert spent == [False, False, False, True]


def test_a_checkpoint_of_an_earlier_version_has_waited_as_long():
    patience = EarlyStopping(evaluations=2)
    patience.restore({"waited": 1})
    patience.note(False)
    assert patience.spent


def test_every_counts_steps_of_the_run():
    zero = torch.zeros(())
    assert [s for s in range(1, 11) if every(3, Progress(s, 1, zero, 1, 0.1, zero))] == [3, 6, 9]


def test_speed_is_tokens_over_seconds_of_the_last_steps_only():
    now = iter([0.0, 10.0, 11.0, 12.0, 14.0])
    speed = Speed(window=2, clock=lambda: next(now))
    assert (speed.tokens_per_second, speed.seconds_left(5)) == (0.0, math.inf)
    speed.add(50)
    assert (speed.tokens_per_second, speed.seconds_left(3)) == (5.0, 30.0)
    for tokens in (7, 100, 200):
        speed.add(tokens)
    assert speed.tokens_per_second == 300 / 3  # the steps from 11 to 14
    assert speed.seconds_left(10) == 10 * 3 / 2


def test_speed_of_a_clock_that_stands_still_is_zero():
    speed = Speed(clock=lambda: 1.0)
    speed.add(5)
    assert speed.tokens_per_second == 0.0


def test_a_log_is_cut_after_the_lines_of_the_checkpoint_and_goes_on(tmp_path):
    path = tmp_path / "log.jsonl"
    log = Log(path)
    for step in (1, 2, 3):
        log.write(step=step, loss=0.1 * step)
    kept = log.lines
    log.write(step=4, loss=0.4), log.write(step=4, dev_loss=0.5)
    with open(path, "a") as file:
        file.write('{"step": 5, "lo')  # torn by a kill
    assert [line["step"] for line in read(path)] == [1, 2, 3, 4, 4]
    resumed = Log(path, keep=kept)
    assert resumed.lines == 3
    resumed.write(step=4, note="zwölf")
    assert read(path) == [{"step": s, "loss": 0.1 * s} for s in (1, 2, 3)] + [{"step": 4, "note": "zwölf"}]


def test_a_new_log_starts_empty_and_no_log_reads_as_empty(tmp_path):
    path = tmp_path / "log.jsonl"
    assert read(path) == []
    path.write_text('{"step": 1}\n')
    assert Log(path).lines == 0
    assert path.read_text() == ""


@pytest.mark.parametrize("rubbish", [b"\xff\xfe\n", b"[1]\n", b"{\n"])
def test_a_garbled_line_ends_what_is_kept(rubbish, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1}\n' + rubbish + b'{"step": 3}\n')
    assert Log(path, keep=3).lines == 1
    assert read(path) == [{"step": 1}]


def test_a_log_line_is_json_also_for_nan(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    log.write(step=1, loss=math.nan, lr=-math.inf, skipped=True)
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 1, "loss": null, "lr": null, "skipped": true}\n'


class FullDisk:
    """A file that takes half a line and then no more."""

    def __init__(self, path, mode, buffering):
        self.file = open(path, mode, buffering)  # noqa: SIM115

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, data):
        return self.file.write(data[: len(data) // 2])

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_full_disk_leaves_the_log_whole_and_names_it(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    log = Log(path)
    log.write(step=1)
    monkeypatch.setattr("recurra.training.log.open", FullDisk, raising=False)
    with pytest.raises(TrainingError, match=r"log\.jsonl: not written: .*; 12 bytes needed") as caught:
        log.write(step=2)
    assert caught.value.__cause__.errno == errno.ENOSPC
    monkeypatch.undo()
    log.write(step=3)
    assert read(path) == [{"step": 1}, {"step": 3}]
    assert log.lines == 2


def test_outside_the_main_thread_no_handler_is_set_and_nothing_fails():
    asked = []

    def work():
        with Stopping() as stopping:
            asked.append(stopping.requested)

    thread = threading.Thread(target=work)
    thread.start(), thread.join()
    assert asked == [False]
