"""What a report shows of recordings: where a text is said, how late words come, which letters are taken for which."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from recurra.base.contracts import Origin, Record
from recurra.data.sound import wav
from recurra.decode.ctc import collapsed
from recurra.metrics.transcripts import edits, summed
from recurra.models import SequenceModel
from recurra.report.tables import is_matrix
from recurra.tasks.transcription.aligning import aligned
from recurra.tasks.transcription.figures import delays_of
from recurra.tasks.transcription.tables import _matrix
from service.hearing_room import hearing_run, said_samples


@pytest.mark.parametrize("units", [(), (1,), (1, 2), (1, 1), (2, 1, 2)])
def test_an_alignment_is_the_best_of_all_paths(units):
    scores = np.log(np.random.default_rng(len(units)).dirichlet(np.ones(3), size=6))
    found = aligned(scores, units)
    ways = []
    for path in itertools.product(range(3), repeat=6):
        said = collapsed(np.array(path), np.ones(6))
        if said.units == units:
            ways.append(
                (sum(scores[t, u] for t, u in enumerate(path)), tuple(zip(said.starts, said.ends, strict=True)))
            )
    assert found == max(ways)[1]


def test_a_text_that_no_path_says_has_no_alignment():
    assert aligned(np.zeros((2, 3)), (1, 1)) is None
    assert aligned(np.zeros((0, 3)), (1,)) is None
    assert aligned(np.zeros((0, 3)), ()) == ()


def test_a_word_is_shown_for_good_once_nothing_before_it_changes_any_more():
    shown = [(0.1, []), (0.2, ["for"]), (0.3, ["four"]), (0.4, ["for"]), (0.5, ["four", "two"]), (0.6, ["four", "two"])]
    words = [{"word": "four", "end": 0.25}, {"word": "two", "end": 0.45}]
    found = delays_of(shown, words, over=0.4, spent=0.01, seconds=0.6)
    assert found.words == pytest.approx((0.25, 0.05))
    assert found.last == pytest.approx(0.1)
    # A word that only the end of the sound has made final was never shown.
    late = delays_of(shown, [*words, {"word": "six", "end": 0.55}], over=0.4, spent=0.01, seconds=0.6)
    assert (len(late.words), late.last) == (2, None)


def test_a_matrix_counts_what_was_said_by_what_was_heard():
    pairs = [("a b a", "a a"), ("b", "b b")]
    words = [edits(a.split(), b.split()) for a, b in pairs]
    (table,) = _matrix(pairs, words, summed([edits(a, b) for a, b in pairs]))
    assert is_matrix(table)
    assert table.columns == ("", "a", "b", "(nothing)")
    assert table.rows == (("a", 2, 0, 0), ("b", 0, 1, 1), ("(nothing)", 0, 1, 0))


def test_the_worst_recordings_come_first_with_their_sounds_and_a_stream_is_measured():
    served = hearing_run()
    task, model = served.run.task, served.run.model
    noise = np.frombuffer(said_samples(1.0), "<i2") / 32767
    rows = [Record({"audio": wav(noise, 8000), "text": text}, Origin("s.csv", 2)) for text in ("abc", "ab c a b")]
    examples = [task.example(row) for row in rows]
    batch = task.collate(examples, [0, 1])
    with torch.inference_mode():
        outputs = task.predict(model, batch, examples)
    first, second = task.recordings(model, outputs, examples, torch.device("cpu"))
    assert "said: ab c a b" in first.title
    assert "said: abc" in second.title
    assert len(first.sound) == 44 + 2 * 8000
    assert first.levels.shape == (98, 8)
    (heard, units), (said, places) = first.lines
    assert (heard, said) == ("heard", "said")
    assert "".join(one.text for one in places) == "ab\u2423c\u2423a\u2423b"
    assert [one.start for one in units] == [s * 0.03 for s in outputs[1].emitted.starts]
    (table,) = task.streamed(model, examples)
    values = dict(table.rows)
    assert values["recordings, words"].startswith("2, ")
    assert float(values["seconds of the processor for a second of sound, features included"]) > 0
    ahead = {"name": "chunked", "chunk": 4, "ahead": 2, "hidden_size": 8, "num_heads": 2}
    (table,) = task.streamed(
        SequenceModel(task.model_sizes, inputs="vectors", encoder=ahead, head="ctc").eval(), examples
    )
    waits = "a step waits for what comes later, at most"
    assert (values.get(waits), dict(table.rows)[waits]) == (None, "0.15 s")  # five steps of 30 ms
    whole = hearing_run(causal=False)
    (table,) = whole.run.task.streamed(whole.run.model, examples)
    assert table.rows[0][0] == "not possible"
