#!/usr/bin/env bash
# A piece of an Ogg Vorbis file that is sought is not always that piece of the whole. Seen with soundfile 0.14.0 (libsndfile
# 1.2.2 in its wheel), with a file of 20 s at 44.1 kHz that it wrote itself, 876 pieces of 8,000 samples in an order that is drawn:
#   - `seek` says the position that was asked for, `read` gives 8,000 samples, `tell` is right, and about one piece in ten differs from the
#     whole by more than 0.0001.
#   - Of these the first samples are wrong, up to some 1,000 of them.
#   - The same pieces one after the other, from the first to the last, are right. So are both orders of a FLAC.
# A random crop for training, or a clip cut out by its times, may so be another one than was meant. Exits with 1 if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 soundfile==0.14.0
cd "$folder" && "$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import soundfile

RATE, SIZE = 44_100, 8_000
draw = np.random.default_rng(0)
wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(20 * RATE) / RATE) + 0.02 * draw.normal(size=20 * RATE)


def wrong(path, places):
    """For each piece that is not that of the whole: where the last sample that differs stands."""
    whole, _ = soundfile.read(path, dtype="float32")
    found, told = [], True
    with soundfile.SoundFile(path) as file:
        for place in map(int, places):
            told &= file.seek(place) == place
            piece = file.read(SIZE, dtype="float32")
            told &= len(piece) == SIZE and file.tell() == place + SIZE
            (differs,) = np.nonzero(np.abs(piece - whole[place : place + SIZE]) > 1e-4)
            found += [int(differs[-1])] if len(differs) else []
    return found, told


for name in ("ogg", "flac"):
    soundfile.write(f"a.{name}", wave.astype(np.float32), RATE)
places = np.arange(0, len(wave) - SIZE - 1_000, 997)
drawn = draw.permutation(places)
(vorbis, told), (ordered, _) = wrong("a.ogg", drawn), wrong("a.ogg", places)
print(f"{len(vorbis)} of {len(places)} pieces, the last wrong sample of one is {max(vorbis, default=0)}")
seen = {
    "about one piece in ten is wrong": 0.05 < len(vorbis) / len(places) < 0.2,
    "what is said of positions and lengths is right": told,
    "at their beginning": max(vorbis) < 2_000 and float(np.median(vorbis)) < 500,
    "one after the other they are right": not ordered,
    "FLAC is right in any order": not wrong("a.flac", drawn)[0],
}
for what, held in seen.items():
    print(f"{'yes' if held else 'NO '}  {what}")
sys.exit(not all(seen.values()))
PY
