"""The file of Bach's chorales as published, a chord each quarter note, to train.jsonl, dev.jsonl and test.jsonl.

    python examples/jsb_chorales/convert.py data/jsb_chorales

The folder holds jsb-chorales-quarter.json: {"train": [piece, ...], "valid": ..., "test": ...}, a piece a list of steps,
a step a list of MIDI numbers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from recurra.base.atomic import write_text

SPLITS = {"train": "train", "valid": "dev", "test": "test"}


def convert(folder: Path) -> None:
    """Write the three files beside the published one."""
    pieces = json.loads((folder / "jsb-chorales-quarter.json").read_text("utf-8"))
    for theirs, ours in SPLITS.items():
        lines = [json.dumps({"chords": piece}) for piece in pieces[theirs]]
        write_text(folder / f"{ours}.jsonl", "\n".join(lines) + "\n")
        print(f"{folder / f'{ours}.jsonl'}: {len(lines):,} pieces.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    convert(Path(sys.argv[1]))
