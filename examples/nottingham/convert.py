"""The tunes of the Nottingham Music Database in ABC notation, one file a kind of dance, to tunes.jsonl, a tune a row.

    python examples/nottingham/convert.py data/nottingham

The folder holds ABC_cleaned/*.abc; a tune begins with a line X: and ends at a blank line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from recurra.base.atomic import write_text


def tunes(text: str) -> list[str]:
    """Each tune of a file, without comments; tunes without a key or without notes are left out."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        lines = [line.strip() for line in block.split("\n") if line.strip() and not line.startswith("%")]
        while lines and not lines[0].startswith("X:"):
            lines.pop(0)
        keys = [k for k, line in enumerate(lines) if line.startswith("K:")]
        if keys and keys[0] + 1 < len(lines):
            # Numbers of tunes say nothing of music.
            found.append("\n".join(["X: 1", *lines[1:]]))
    return found


def convert(folder: Path) -> None:
    """Write the file of all tunes beside the folder of published ones."""
    files = sorted((folder / "ABC_cleaned").glob("*.abc"))
    rows = [json.dumps({"text": tune}) for path in files for tune in tunes(path.read_text("utf-8"))]
    if not rows:
        raise SystemExit(f"{folder}: found no tunes in ABC_cleaned/*.abc.")
    write_text(folder / "tunes.jsonl", "\n".join(rows) + "\n")
    print(f"{folder / 'tunes.jsonl'}: {len(rows):,} tunes.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    convert(Path(sys.argv[1]))
