#!/usr/bin/env bash
# What kaldiio writes for a number that its compression cannot hold. Kaldi's matrices may be kept as integers: method 7 for 0..1, 6 for
# 0..255, 4 for -32,768..32,767. Seen with kaldiio 2.18.1, beside kaldi_native_io 1.23.0 (Kaldi's own code); both archives read by both:
#   method 7   a posterior of 1.003, as rounding makes them, is kept as 0.0; Kaldi keeps 1.0
#   method 6   257 is kept as 1, -2 as 255;                                  Kaldi keeps 255 and 0
#   method 4   33,000 is kept as -32,536;                                    Kaldi keeps 32,767
# Numbers within the range are the same in both, but for rounding. No warning is given by kaldiio. Exits with 1 if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 kaldiio==2.18.1 kaldi_native_io==1.23.0
cd "$folder" && "$folder/venv/bin/python" -W error::RuntimeWarning - <<'PY'
import sys

import kaldi_native_io
import kaldiio
import numpy as np

WITHIN = {7: [0.0, 0.2, 1.0], 6: [0.0, 17.0, 255.0], 4: [-32768.0, 3.0, 32767.0]}
BEYOND = {7: [1.003], 6: [257.0, -2.0], 4: [33000.0]}


def read(path):
    """The first row, by kaldi_native_io and by kaldiio, which must agree."""
    with kaldi_native_io.SequentialFloatMatrixReader(f"ark:{path}") as reader:
        ((_, ours),) = [(key, np.array(value)) for key, value in reader]
    theirs = dict(kaldiio.load_ark(path))["a"]
    assert np.allclose(ours, theirs), (ours, theirs)
    return [round(float(v), 3) for v in theirs[0]]


def kept(method, row):
    """What is left of a row, written by kaldiio and by Kaldi's code."""
    matrix = np.array([row] * 9, np.float32)
    kaldiio.save_ark("k.ark", {"a": matrix}, compression_method=method)
    with kaldi_native_io.CompressedMatrixWriter("ark:n.ark") as writer:
        writer.write("a", matrix, method=kaldi_native_io.CompressionMethod(method))
    return read("k.ark"), read("n.ark")


found = {method: kept(method, row) for method, row in BEYOND.items()}
print(found)
seen = {
    "within the range both are right": all(
        np.allclose(side, row, atol=0.5 if method != 7 else 1 / 255) for method, row in WITHIN.items() for side in kept(method, row)
    ),
    "method 7: 1.003 becomes 0 in kaldiio, 1 in Kaldi": found[7] == ([0.0], [1.0]),
    "method 6: 257 and -2 become 1 and 255, and 255 and 0": found[6] == ([1.0, 255.0], [255.0, 0.0]),
    "method 4: 33,000 becomes -32,536, and 32,767": found[4] == ([-32536.0], [32767.0]),
}
for what, held in seen.items():
    print(f"{'yes' if held else 'NO '}  {what}")
sys.exit(not all(seen.values()))
PY
