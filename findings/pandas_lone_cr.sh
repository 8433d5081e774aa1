#!/usr/bin/env bash
# A text with a lone carriage return (valid in CSV inside of quotes): pandas 3.1.1 on Python 3.11 writes it without quotes with
# to_csv, and read_csv makes three rows of the two that were written, without a word. Parquet gives the two rows back.
# The csv module of Python 3.11 quotes a CR only where its own line end holds one; pandas writes through it.
# Exits with 1 if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 pandas==3.1.1 pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import sys

import pandas

given = pandas.DataFrame({"text": ["one\rtwo", "three"], "label": ["a", "b"]})
given.to_csv("a.csv", index=False)
given.to_parquet("a.parquet")
written = open("a.csv", "rb").read()
back, also = pandas.read_csv("a.csv"), pandas.read_parquet("a.parquet")
print(f"Python {sys.version.split()[0]}, pandas {pandas.__version__}")
print(f"to_csv writes     {written!r}")
print(f"read_csv reads    {back.fillna('').values.tolist()}")
print(f"read_parquet      {also.values.tolist()}")
seen = [b'"' not in written, len(back) == 3, also.values.tolist() == given.values.tolist()]
sys.exit(0 if all(seen) else 1)
PY
echo "as seen before"
