"""Sound files: what is read, by value, and what is refused, in sentences."""

from __future__ import annotations

import base64
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.data.fields import AUDIO
from recurra.data.fields.audio import LONGEST, MOST_BYTES
from recurra.data.incoming import IncomingSamples
from recurra.data.sound import Sound, check_sound, num_samples, samples_in_blocks, samples_of, silence, sound_of
from recurra.data.spectra import Kaldi
from sound_room import put, tone

HERE = Origin("clips.csv", 3)
PLAN = Kaldi(rate=8_000)


def read(value: Any, plan: Kaldi = PLAN, origin: Origin = HERE) -> Any:
    """(S,) of a sound that the definition takes."""
    sound = sound_of(value, origin, "clip")
    check_sound(sound, plan)
    return samples_of(sound, plan)


@pytest.mark.parametrize(
    ("name", "subtype", "close"),
    [
        ("a.wav", "PCM_16", 2**-15),
        ("a.wav", "PCM_24", 2**-23),
        ("a.wav", "PCM_U8", 2**-7),
        ("a.wav", "FLOAT", 1e-7),
        ("a.wav", "DOUBLE", 1e-7),
        ("a.flac", "PCM_16", 2**-15),
    ],
)
def test_samples_are_between_minus_one_and_one_whatever_they_are_written_as(
    tmp_path: Path, name: str, subtype: str, close: float
) -> None:
    wanted = tone(440, 500)
    found = read(put(tmp_path / name, wanted, subtype=subtype))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=close)


def test_a_sound_that_grows_past_the_limit_by_another_rate_is_refused_before_it_is_made(tmp_path: Path) -> None:
    slow = put(tmp_path / "a.wav", tone(440, 20_000), rate=1)
    with pytest.raises(DataError, match=r"a\.wav: has 160,000,000 samples at 8,000 Hz, more than 100,000,000"):
        check_sound(sound_of(slow, HERE, "clip"), Kaldi(rate=8_000, resample=True))


def test_a_request_holds_no_sound_that_is_much_longer_than_its_bytes(tmp_path: Path) -> None:
    raw = put(tmp_path / "a.flac", np.zeros(MOST_BYTES + 1)).read_bytes()
    assert len(raw) < MOST_BYTES / 100
    with pytest.raises(ValueError, match="holds 12,000,001 samples; a request can have 12,000,000"):
        AUDIO.of_request(base64.b64encode(raw).decode())
    assert AUDIO.of_request(base64.b64encode(b"no sound").decode()) == b"no sound"  # is named where it is read


def chunk(name: bytes, content: bytes, claimed: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if claimed is None else claimed) + content + bytes(len(content) % 2)


PLAIN = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8_000, 16_000, 2, 16))
EXTENDED = chunk(
    b"fmt ", struct.pack("<HHIIHHHHI", 0xFFFE, 1, 8_000, 16_000, 2, 16, 22, 16, 4) + b"\1\0\0\0\0\0\x10\0" + bytes(8)
)


def streamed(*chunks: bytes, size: int = 64) -> bytes:
    incoming, raw = IncomingSamples(8_000, "here", None), b"RIFF" + bytes(4) + b"WAVE" + b"".join(chunks)
    found = [incoming.feed(raw[at : at + size]) for at in range(0, len(raw), size)]
    return bytes((np.concatenate([*found, incoming.end()]) * 32768).astype("<i2").tobytes())


@pytest.mark.parametrize("head", [PLAIN, EXTENDED, chunk(b"LIST", bytes(2**20 + 3)) + PLAIN])
def test_a_stream_of_wav_has_the_samples_of_its_sound_and_nothing_behind(head: bytes) -> None:
    sound = bytes(range(200))
    assert streamed(head, chunk(b"data", sound), chunk(b"LIST", b"INFO, no sound")) == sound
    for unknown in (0, 0x7FFFFF00, 0xFFFFFFFF):
        assert streamed(head, chunk(b"data", sound, unknown)) == sound
    assert streamed(head, chunk(b"data", sound), size=7) == streamed(head, chunk(b"data", sound), size=10**7) == sound


def test_a_stream_of_wav_that_is_no_sound_or_is_cut_off_is_named() -> None:
    with pytest.raises(DataError, match="is cut off: its header says 300 bytes of sound, and 200 came"):
        streamed(PLAIN, chunk(b"data", bytes(200), 300))
    with pytest.raises(DataError, match="without sound"):
        streamed(PLAIN)
    with pytest.raises(DataError, match="before it says what"):
        streamed(chunk(b"data", bytes(200)))
    with pytest.raises(DataError, match=r"of 8,000 Hz, 1 channel, 16 bits, kind 3; expected 8,000 Hz"):
        streamed(PLAIN.replace(b"\1\0\1\0", b"\3\0\1\0"), chunk(b"data", bytes(200)))


def test_samples_without_a_header_are_of_the_rate_that_is_named() -> None:
    raw = bytes(range(9))
    incoming = IncomingSamples(8_000, "here", 8_000)
    found = np.concatenate([incoming.feed(raw[at : at + 1]) for at in range(8)] + [incoming.end()])
    assert (found * 32768).astype("<i2").tobytes() == raw[:8]
    incoming.feed(raw[:1])
    with pytest.raises(DataError, match="here: ends in the middle of a sample"):
        incoming.end()
    with pytest.raises(DataError, match="has 48,000 Hz, and this run hears 8,000 Hz"):
        IncomingSamples(8_000, "here", 48_000).feed(bytes(20))
    with pytest.raises(DataError, match="no WAV file, so its rate must be named; this run hears 8,000 Hz"):
        IncomingSamples(8_000, "here", None).feed(bytes(20))


def test_bytes_and_a_name_relative_to_the_file_that_has_it_are_the_same_sound(tmp_path: Path) -> None:
    path = put(tmp_path / "clips" / "a.wav", tone(440, 500))
    named = sound_of("clips/a.wav", Origin(str(tmp_path / "list.csv"), 2), "clip")
    held = sound_of(path.read_bytes(), HERE, "clip")
    assert (named.source, named.samples, named.rate, named.channels) == (path, 500, 8_000, 1)
    assert named.digest == held.digest
    assert samples_of(named, PLAN).tobytes() == samples_of(held, PLAN).tobytes()


def test_channels_are_mixed_by_the_choice_of_the_run(tmp_path: Path) -> None:
    both = np.stack([tone(440, 400), tone(880, 400)], axis=1)
    path = put(tmp_path / "a.wav", both, subtype="FLOAT")
    with pytest.raises(DataError, match=r"a.wav: has 2 channels, expected one. Set task.sound.channels to mean or fir"):
        read(path)
    np.testing.assert_allclose(read(path, Kaldi(rate=8_000, channels="mean")), both.mean(1), atol=1e-7)
    np.testing.assert_allclose(read(path, Kaldi(rate=8_000, channels="first")), both[:, 0], atol=1e-7)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("seconds", [0.1, 1.0])
def test_a_sound_read_in_blocks_is_the_whole(tmp_path: Path, name: str, seconds: float) -> None:
    plan, rate = Kaldi(rate=16_000), 16_000
    clear = 0.3 * np.sin(2 * np.pi * 440 * np.arange(40_000) / rate)
    sound = sound_of(put(tmp_path / name, clear, rate=rate), HERE, "clip")
    blocks = list(samples_in_blocks(sound, plan, seconds))
    assert {len(block) for block in blocks[:-1]} == {round(rate * seconds)}
    np.testing.assert_allclose(np.concatenate(blocks), samples_of(sound, plan), atol=1e-6)


def test_another_rate_is_refused_and_resampled_on_request_alone(tmp_path: Path) -> None:
    pytest.importorskip("soxr", reason="soxr is not installed; it comes with recurra[test]")
    path = put(tmp_path / "a.wav", tone(440, 1601, rate=16_000), rate=16_000)
    with pytest.raises(DataError, match=r"a.wav: has 16,000 samples a second, and task.sound.rate is 8,000. Convert"):
        read(path)
    plan = Kaldi(rate=8_000, resample=True)
    found = read(path, plan)
    assert len(found) == num_samples(sound_of(path, HERE, "clip"), 8_000) == 800
    np.testing.assert_allclose(found[100:700], tone(440, 800)[100:700], atol=0.05)  # but for the noise of both


def test_a_file_that_is_cut_off_is_named_with_both_sizes(tmp_path: Path) -> None:
    whole = put(tmp_path / "a.wav", tone(440, 500)).read_bytes()
    (tmp_path / "b.wav").write_bytes(whole[:-600])
    with pytest.raises(DataError, match=r"b.wav: is cut off: its header says 1,000 bytes of sound, and 400 are there"):
        read(tmp_path / "b.wav")


def test_a_header_that_claims_gigabytes_takes_no_memory_and_one_of_a_stream_is_read_to_its_end(tmp_path: Path) -> None:
    whole = put(tmp_path / "a.wav", tone(440, 500)).read_bytes()
    for claimed in (0xFFFFFF00, 0xFFFFFFFF, 0x7FFFF000):
        (tmp_path / "b.wav").write_bytes(whole[:40] + struct.pack("<I", claimed) + whole[44:])
        if claimed == 0xFFFFFF00:
            with pytest.raises(DataError, match="says 4,294,967,040 bytes of sound, and 1,000 are there"):
                read(tmp_path / "b.wav")
        else:  # as ffmpeg and espeak-ng write them into a pipe
            assert read(tmp_path / "b.wav").tobytes() == read(tmp_path / "a.wav").tobytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.wav: is empty, expected a sound"),
        (b"no sound at all, but words", "a.wav: is no sound that can be read: .*Convert it to WAV or FLAC"),
        (b"RIFF\x04\x00\x00\x00WAVE", "a.wav: is a WAV file without sound: it has no chunk 'data'"),
        (b"\xff" * 3000, "a.wav: is no sound that can be read"),
    ],
)
def test_what_is_no_sound_is_a_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.wav")


@pytest.mark.parametrize("value", [None, 3, "", ["a.wav"]])
def test_what_is_no_name_is_named_with_its_line(value: object) -> None:
    with pytest.raises(DataError, match=r"clips.csv:3: column 'clip' holds .* expected the name of a sound file"):
        sound_of(value, HERE, "clip")
    with pytest.raises(DataError, match=r"clips.csv:3: column 'clip': gone.wav: no such file"):
        sound_of("gone.wav", HERE, "clip")


def test_a_sample_that_is_no_number_is_named(tmp_path: Path) -> None:
    samples = tone(440, 500)
    samples[41] = np.nan
    with pytest.raises(DataError, match=r"a.wav: sample 42 is nan, no finite number"):
        read(put(tmp_path / "a.wav", samples, subtype="FLOAT"))


def test_a_sound_that_has_changed_since_it_was_looked_at_is_refused(tmp_path: Path) -> None:
    sound: Sound = sound_of(put(tmp_path / "a.wav", tone(440, 500)), HERE, "clip")
    put(tmp_path / "a.wav", tone(440, 300))
    with pytest.raises(DataError, match="has 300 samples, and its header says 500"):
        samples_of(sound, PLAN)


def test_a_request_has_bytes_and_never_the_name_of_a_file() -> None:
    wav = silence(8_000, 10)
    assert AUDIO.of_request(base64.b64encode(wav).decode()) == wav
    for value, message in (
        ("/etc/passwd", "is no base64; expected the bytes of a sound file, not its name"),
        (3, "is no text; expected the bytes"),
        ("A" * (LONGEST + 1), "a sound can have"),
    ):
        with pytest.raises(ValueError, match=message):
            AUDIO.of_request(value)
