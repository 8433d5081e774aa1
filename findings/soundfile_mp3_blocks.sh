#!/usr/bin/env bash
# An MP3 that soundfile reads in blocks is not the sound that it reads at once. Seen with soundfile 0.14.0 (libsndfile 1.2.2 in its
# wheel), with files that it wrote itself:
#   - `soundfile.read` of 20 s of a tone differs from what was written by an rms of 0.0025, as an MP3 does.
#   - `SoundFile.blocks`, and `read(frames)` one after the other, give as many samples, and from the second block on others: the rms of the
#     difference is 0.21 for blocks of 1,600, as large as the tone's own. libmpg123 prints messages on some machines; nothing is raised.
#   - FLAC, Ogg Vorbis and WAV have the same samples both ways.
# Cause: after each read soundfile seeks to the position that it has reached, and the decoder loses the bits that frames of an MP3
# leave for later ones. Without the seek (an object whose `seekable` says no) blocks are the whole. Files of a constant rate by LAME
# (lameenc 1.9.0, 64 kbit/s at 16 kHz) come through unharmed, those of 24 kbit/s with an rms of 0.006.
# Exits with 1 if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 soundfile==0.14.0 lameenc==1.9.0
cd "$folder" && "$folder/venv/bin/python" - 2> /dev/null <<'PY'
import sys

import lameenc
import numpy as np
import soundfile

RATE = 16_000
wave = (0.3 * np.sin(2 * np.pi * 440 * np.arange(20 * RATE) / RATE)).astype(np.float32)


class Straight(soundfile.SoundFile):
    """One that is never sent back to where it is."""

    def seekable(self):
        return False


def in_blocks(path, opened=soundfile.SoundFile):
    with opened(path) as file:
        blocks = []
        while len(block := file.read(1_600, dtype="float32")):
            blocks.append(block)
    return np.concatenate(blocks)


def rms(a, b):
    return float(np.sqrt(np.mean((a - b) ** 2)))


def at(kbits):
    """The tone by LAME, at a constant rate."""
    encoder = lameenc.Encoder()
    encoder.set_bit_rate(kbits)
    encoder.set_in_sample_rate(RATE)
    encoder.set_channels(1)
    with open("lame.mp3", "wb") as file:
        file.write(encoder.encode((wave * 32767).astype(np.int16).tobytes()) + encoder.flush())
    return rms(in_blocks("lame.mp3"), soundfile.read("lame.mp3", dtype="float32")[0])


found = {}
for name in ("mp3", "flac", "ogg", "wav"):
    soundfile.write(f"a.{name}", wave, RATE)
    whole, _ = soundfile.read(f"a.{name}", dtype="float32")
    found[name] = rms(in_blocks(f"a.{name}"), whole)
    if name == "mp3":
        near, straight = rms(whole, wave), rms(in_blocks("a.mp3", Straight), whole)
        with soundfile.SoundFile("a.mp3") as file:
            blocks = np.concatenate(list(file.blocks(1_600, dtype="float32")))
        same = len(blocks) == len(whole) and np.allclose(blocks[:1_600], whole[:1_600], atol=1e-6)
print({name: round(value, 4) for name, value in found.items()}, near, straight, rms(blocks, whole))
seen = {
    "read at once, an MP3 is the tone": near < 0.01,
    "read in blocks, it is something else": found["mp3"] > 0.1 and rms(blocks, whole) > 0.1,
    "as many samples, and the first block right": same,
    "without seeking, blocks are the whole": straight < 1e-6,
    "other formats are the same both ways": max(found[name] for name in ("flac", "ogg", "wav")) == 0.0,
    "LAME at 64 kbit/s comes through, at 24 nearly": at(64) < 1e-6 and 1e-3 < at(24) < 0.05,
}
for what, held in seen.items():
    print(f"{'yes' if held else 'NO '}  {what}")
sys.exit(not all(seen.values()))
PY
