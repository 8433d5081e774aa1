"""What the pages about gradients and inspecting say is what the library says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from api.api_room import done
from recurra.doctor.activations import SIGMOID_HIGH, SIGMOID_LOW, TANH_HIGH
from recurra.doctor.diagnosis import FEW_STEPS
from recurra.doctor.heads import FLAT, STILL
from recurra.doctor.verdict import EXPLODED, ONE_OUTPUT, READ, VANISHED, WORDS

DOCS = Path(__file__).resolve().parents[2] / "docs"
GRADIENTS = (DOCS / "concepts" / "gradients.md").read_text("utf-8")
# A picture with a text is the only task whose folder is not called as it is.
NAMES = {"picture_text": "picture_text_classification"}
EXPLAINING = [
    NAMES.get(p.parent.name, p.parent.name)
    for p in DOCS.parent.glob("src/recurra/tasks/*/task.py")
    if "def explain(" in p.read_text("utf-8")
]
INSPECT = (DOCS / "guide" / "inspect.md").read_text("utf-8")


def test_the_textbook_result_is_what_the_page_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts, and rates within a hundredth: another processor adds up in another order."""
    codes = re.findall(r"```python\n(.*?)```", GRADIENTS, re.DOTALL)
    printed = re.search(r"```text\n(.*?)```", GRADIENTS, re.DOTALL)
    assert codes
    assert printed is not None
    monkeypatch.chdir(tmp_path)
    said, names = io.StringIO(), {"__name__": "docs"}
    with contextlib.redirect_stdout(said):
        for number, code in enumerate(codes, start=1):
            exec(compile(code, f"gradients.md, python block {number}", "exec"), names)
    lines, expected = said.getvalue().splitlines(), printed[1].splitlines()
    assert len(lines) == len(expected) == 10
    for line, other in zip(lines, expected, strict=True):
        (name, rate, word), (its_name, its_rate, its_word) = map(_parts, (line, other))
        assert (name, word) == (its_name, its_word)
        assert abs(rate - its_rate) < 0.01, line


def _parts(line: str) -> tuple[str, float, str]:
    found = re.fullmatch(r"(.*?) +([\d.]+) a step, 1e[+-]\d+ in all: (\w+)", line)
    assert found is not None, line
    return found[1], float(found[2]), found[3]


def test_the_page_names_the_thresholds_of_the_code() -> None:
    table = GRADIENTS[GRADIENTS.index("## The verdict") :]
    assert re.findall(r"^\| ([\w ]+) \|", table, re.MULTILINE)[1:8] == list(WORDS)
    assert (VANISHED, EXPLODED) == (-3.0, 3.0)
    assert "more than 1000 times" in table
    assert "less than a thousandth" in table
    assert f"less than {100 * ONE_OUTPUT:g} % of their size" in table
    assert f"less than {READ:g} nats" in table
    assert f"at least {FLAT:g} of the greatest" in table
    assert f"less than {STILL:g} of the weight" in table
    assert f"from {FEW_STEPS} steps on" in table
    for bound in (SIGMOID_LOW, SIGMOID_HIGH, TANH_HIGH):
        assert f"{bound:.4f}" in table


def test_the_page_of_inspect_names_every_task_and_what_is_printed(run: Path) -> None:
    table = INSPECT[INSPECT.index("| task | the score |") :]
    named = re.findall(r"^\| (?!task|---)([\w ]+) \|", table, re.MULTILINE)
    assert sorted(named) == sorted(name.replace("_", " ") for name in EXPLAINING)
    said = done("inspect", run, "lovely item b3").out
    for heading in ("What each token adds to the ", "Gates, mean over units: "):
        assert heading in said
        assert heading in INSPECT
