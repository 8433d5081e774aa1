"""MIDI files: what is in them, read back note by note."""

from __future__ import annotations

import pytest
import symusic

from recurra.base.errors import ConfigError, DataError
from recurra.data.midi import TICKS, held, midi_of_abc, midi_of_chords


def notes_of(content: bytes) -> list[tuple[int, int, int]]:
    """(time, duration, pitch) of all notes, in order."""
    score = symusic.Score.from_midi(content)
    return sorted((n.time, n.duration, n.pitch) for track in score.tracks for n in track.notes)


def test_a_note_that_goes_on_is_one_long_note_and_a_rest_ends_it() -> None:
    chords = [(60, 64), (60,), (), (60, 67)]
    assert list(held(chords)) == [(60, 0, 2), (64, 0, 1), (60, 3, 4), (67, 3, 4)]
    assert notes_of(midi_of_chords(chords)) == [
        (0, TICKS, 64), (0, 2 * TICKS, 60), (3 * TICKS, TICKS, 60), (3 * TICKS, TICKS, 67)
    ]  # fmt: skip


def test_steps_may_be_parts_of_a_quarter_and_the_tempo_is_written() -> None:
    content = midi_of_chords([(72,), (74,)], steps_per_quarter=4, quarters_per_minute=120)
    assert notes_of(content) == [(0, 120, 72), (120, 120, 74)]
    assert [tempo.qpm for tempo in symusic.Score.from_midi(content).tempos] == [120]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"steps_per_quarter": 0}, "steps_per_quarter: expected 1 to 480, got 0"),
        ({"quarters_per_minute": 0.5}, "quarters_per_minute: expected 1 to 1000, got 0.5"),
    ],
)
def test_impossible_times_are_refused(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        midi_of_chords([(60,)], **options)  # type: ignore[arg-type]


def test_a_tune_in_abc_notation_has_its_notes() -> None:
    tune = "Listen:\nX: 1\nT: Scale\nM: 4/4\nL: 1/4\nK: C\nC D E F | G2 z2 |]\n\nand more"
    found = notes_of(midi_of_abc(tune))
    assert [pitch for _, _, pitch in found] == [60, 62, 64, 65, 67]
    assert [round(time / TICKS) for time, _, _ in found] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("text", "sentence"), [("CDEF", "no tune in ABC"), ("X: 1\nK: C\n", "no note in this ABC")])
def test_what_is_no_tune_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        midi_of_abc(text)


def test_the_notes_of_a_chord_begin_together() -> None:
    tune = 'X: 1\nM: 4/4\nL: 1/4\nK: C\n[CEG]2 [DF] "Am"z |\n'
    starts: dict[int, list[int]] = {}
    for time, _, pitch in notes_of(midi_of_abc(tune)):
        starts.setdefault(time, []).append(pitch)
    assert [pitches for _, pitches in sorted(starts.items())][:2] == [[60, 64, 67], [62, 65]]


def test_a_tune_that_asks_for_broken_chords_gets_them() -> None:
    tune = "X: 1\nL: 1/4\nM: 4/4\n%%MIDI chordattack 20\nK: C\n[CEG]2 z2 |\n"
    (first, *_), (second, *_), _ = notes_of(midi_of_abc(tune))
    assert second - first == 20


# A tune without a metre, with a sign that is none, and a bar that is too long.
FAULTY = "X: 1\nK: C\nC D !foo! E F G)2 A B c d |\n"


def test_what_the_converter_says_of_a_tune_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    assert notes_of(midi_of_abc(FAULTY))
    print("after")
    assert capfd.readouterr() == ("before\nafter\n", "")


def test_what_is_wrong_with_a_tune_is_in_the_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"^not ABC notation: First K: field must specify key"):
        midi_of_abc("X: 1\nK: Q\nC D E\n")
    assert capfd.readouterr() == ("", "")
