"""The files of the SNIPS voice commands as published, to texts with spans: train.jsonl and test.jsonl.

    python examples/snips_slots/convert.py data/snips

The folder holds train_INTENT_full.json and validate_INTENT.json of seven intents; the second ones are the test, as is
the custom for this set.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recurra.base.atomic import write_text


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The commands of a file, each put together from its parts; a part with an entity is a span."""
    for intent, commands in json.loads(_text(path)).items():
        for command in commands:
            text, spans = "", []
            for part in command["data"]:
                if "entity" in part:
                    spans.append({"start": len(text), "end": len(text) + len(part["text"]), "label": part["entity"]})
                text += part["text"]
            yield {"text": text, "spans": spans, "intent": intent}


def convert(folder: Path) -> None:
    """Write both files beside the published ones."""
    for name, pattern in (("train", "train_*_full.json"), ("test", "validate_*.json")):
        files = sorted(folder.glob(pattern))
        if len(files) != 7:
            raise SystemExit(f"{folder}: expected seven files {pattern}, found {len(files)}.")
        lines = [json.dumps(row, ensure_ascii=False) for path in files for row in rows(path)]
        write_text(folder / f"{name}.jsonl", "\n".join(lines) + "\n")
        print(f"{folder / f'{name}.jsonl'}: {len(lines):,} rows.")


def _text(path: Path) -> str:
    """One of the files is in Latin 1, the others in UTF-8."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    convert(Path(sys.argv[1]))
