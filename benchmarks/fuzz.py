"""Broken files and configs by the thousand: each must end in a result or in a sentence, within seconds.

    python benchmarks/fuzz.py                       10,000 cases, a few minutes
    python benchmarks/fuzz.py --cases 200 --seed 7

Good files of every format and task, and good configs, are damaged: bytes flipped, cut, doubled and put in, lines
swapped, values replaced by strange ones. What reads them may raise recurra's own errors and nothing else. A case that
does otherwise is kept in the folder --keep, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from recurra import api
from recurra.base.errors import RecurraError
from recurra.data.formats import read

# A case that takes longer counts as one that never ends.
SECONDS = 10
STRANGE = (
    b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\r\n", b"\n\n", b'"', b"'", b"\t", b",", b"{", b"}", b"[",
    b"]", b"\\", b"\\ud800", b"\xc3", b"\xf0\x9f\x98\x80", b"\xe2\x80\xa8", b"\x1b[31m", b"-1", b"1e999", b"NaN",
    b"null", b"true", b"99999999999999999999", b"0x10", b"!!python/object/apply:os.system", b"&a", b"*a", b"<<:",
    b"a: b: c", b"../../etc/passwd", b"%s%n", b"B-", b"I-X", b"E-PER", b"#", b"# text = ", b"1-2", b"1.1", b"_",
    b"=cmd()", b"-" * 300,
)  # fmt: skip


def labelled(number: int = 24) -> list[tuple[str, str]]:
    """(text, label), no text twice."""
    return [(f"{('good', 'bad')[k % 2]} thing number {k}, said {'she' * (k % 3)}", f"l{k % 2}") for k in range(number)]


def conll(columns: Callable[[int, str, str], str]) -> str:
    """Sentences with names of people and places."""
    words = (("Anna", "B-PER"), ("is", "O"), ("in", "O"), ("New", "B-LOC"), ("York", "I-LOC"))
    return "\n".join(
        "".join(columns(n, f"{word}{k if word == 'is' else ''}", tag) + "\n" for n, (word, tag) in enumerate(words, 1))
        for k in range(16)
    )


# Of each: the name of the file, its good content, and the task that learns from it.
FILES: Mapping[str, tuple[str, str, Mapping[str, object]]] = {
    "csv": ("d.csv", "text,label\n" + "".join(f'"{t}",{c}\n' for t, c in labelled()), {"name": "classification"}),
    "tsv": ("d.tsv", "text\tlabel\n" + "".join(f"{t}\t{c}\n" for t, c in labelled()), {"name": "classification"}),
    "jsonl": (
        "d.jsonl",
        "".join(json.dumps({"text": t, "label": [c, "x"]}) + "\n" for t, c in labelled()),
        {"name": "classification", "labels": "many"},
    ),
    "pairs": (
        "d.tsv",
        "source\ttarget\n" + "".join(f"{t}\t{c} {t[:7]}\n" for t, c in labelled()),
        {"name": "translation", "source": "source", "target": "target"},
    ),
    "text": ("d.txt", "".join(f"{t}\n" for t, _ in labelled()), {"name": "language_model", "bptt": 5}),
    "conll": ("d.conll", conll(lambda n, word, tag: f"{word} {tag}"), {"name": "tagging"}),
    "conllu": (
        "d.conllu",
        conll(lambda n, word, tag: "\t".join([str(n), word, word, tag[:1], *"______"])),
        {"name": "tagging", "tokens": "form", "tags": "upos"},
    ),
    "spans": (
        "d.jsonl",
        "".join(
            json.dumps({"text": f"Anna {k} is in Rome", "spans": [{"start": 0, "end": 4, "label": "PER"}]}) + "\n"
            for k in range(16)
        ),
        {"name": "tagging", "tokens": "text", "tags": "spans"},
    ),
    "music": (
        "d.jsonl",
        "".join(json.dumps({"chords": [[60 + k % 9, 67], [], [64]]}) + "\n" for k in range(16)),
        {"name": "music"},
    ),
}
TINY = {"encoder": {"hidden_size": 4}}
TRAINING = {"epochs": 1, "batch_rows": 8}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case ended. kind: done, refused or broken; detail: what was raised, if it was broken."""

    case: str
    kind: str
    detail: str = ""


def damaged(content: bytes, draw: random.Random) -> bytes:
    """A few mistakes."""
    found = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 5))):
        _mistake(found, draw)
    return bytes(found)


def _mistake(content: bytearray, draw: random.Random) -> None:
    size = len(content)
    at = draw.randrange(size + 1)
    kind = draw.randrange(7)
    if kind == 0 and size:
        content[draw.randrange(size)] = draw.randrange(256)
    elif kind == 1:
        del content[at : at + draw.choice((1, 3, 20, size))]
    elif kind == 2:
        content[at:at] = draw.choice(STRANGE) * draw.choice((1, 1, 1, 50))
    elif kind == 3:
        content[at:at] = content[at : at + draw.choice((1, 9, 100))]
    elif kind == 4:
        lines = bytes(content).split(b"\n")
        draw.shuffle(lines)
        content[:] = b"\n".join(lines)
    elif kind == 5:
        words = bytes(content).split(b" ")
        words[draw.randrange(len(words))] = draw.choice(STRANGE)
        content[:] = b" ".join(words)
    else:
        content[:] = bytes(content).replace(b"\n", draw.choice((b"\r\n", b"\r", b"", b"\n\n", b"\x85")))


def cases(draw: random.Random, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Cases for ever, each with what must end in a result or in recurra's own error; files lie in `folder`."""
    while True:
        name = draw.choice(tuple(FILES))
        file, content, task = FILES[name]
        kind = draw.randrange(4)
        if kind == 0:
            yield f"read {name}", _reading(folder, file, damaged(content.encode(), draw), draw)
        elif kind == 1:
            yield f"init {name}", _starting(folder, file, damaged(content.encode(), draw), str(task["name"]))
        else:
            config = {"task": dict(task), "data": {"train": file}, "model": TINY, "training": TRAINING}
            text, data = yaml.safe_dump(config, sort_keys=False).encode(), content.encode()
            text, data = (damaged(text, draw), data) if kind == 2 else (text, damaged(data, draw))
            yield f"{'config of' if kind == 2 else 'check'} {name}", _checking(folder, file, data, text)


def _reading(folder: Path, file: str, content: bytes, draw: random.Random) -> Callable[[], object]:
    packed = draw.random() < 0.2
    path = folder / (f"{file}.gz" if packed else file)
    path.write_bytes(damaged(gzip.compress(content), draw) if packed else content)
    return lambda: sum(1 for _ in read(path))


def _starting(folder: Path, file: str, content: bytes, task: str) -> Callable[[], object]:
    (folder / file).write_bytes(content)
    return lambda: api.init(task, folder / file)


def _checking(folder: Path, file: str, content: bytes, config: bytes) -> Callable[[], object]:
    (folder / file).write_bytes(content)
    (folder / "c.yaml").write_bytes(config.replace(b"train: d.", f"train: {folder}/d.".encode()))
    return lambda: api.check(folder / "c.yaml")


def outcome(case: str, work: Callable[[], object]) -> Outcome:
    """Do it. Raises nothing: what is not recurra's own error is told in `detail`."""
    try:
        with _bounded(SECONDS):
            work()
    except RecurraError as error:
        return Outcome(case, "refused") if str(error).strip() else Outcome(case, "broken", f"{error!r} says nothing")
    except Exception:  # noqa: BLE001 - that is what is looked for
        return Outcome(case, "broken", traceback.format_exc())
    return Outcome(case, "done")


def fuzz(number: int, seed: int, keep: Path | None = None) -> Iterator[Outcome]:
    """Outcomes of so many cases, the same ones for the same seed; files of broken ones are kept."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = cases(draw, folder)
        for k in range(number):
            case, work = next(made)
            found = outcome(case, work)
            if found.kind == "broken" and keep is not None:
                _kept(folder, keep / f"{seed}-{k}", found)
            for path in folder.iterdir():
                path.unlink()
            yield found


def _kept(folder: Path, place: Path, found: Outcome) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    (place / "what.txt").write_text(f"{found.case}\n{found.detail}", "utf-8")


@contextmanager
def _bounded(seconds: int) -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise TimeoutError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main(words: Sequence[str] | None = None) -> int:
    """Run, count, print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz"), help="folder for cases that broke something")
    options = parser.parse_args(words)
    begun, counts = time.perf_counter(), Counter[str]()
    for found in fuzz(options.cases, options.seed, options.keep):
        counts[found.kind] += 1
        if found.kind == "broken":
            print(f"{found.case}: {found.detail.splitlines()[-1]}", file=sys.stderr)
    seconds = time.perf_counter() - begun
    print(f"{options.cases:,} cases in {seconds:.0f} s: {', '.join(f'{n:,} {k}' for k, n in sorted(counts.items()))}")
    return 1 if counts["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
