"""A notebook: one bar that is drawn again, scores of each epoch, a run as a table; what users write is no markup."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient

import recurra
from api.api_room import rows, write_csv
from python.python_room import TINY
from recurra.base.contracts import Progress, Score
from recurra.python.notebook import NotebookProgress

ROOT = Path(__file__).resolve().parents[2]


def shown(markup: str) -> str:
    """What a person reads."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", markup))).strip()


def progress(step: int, epoch: int) -> Progress:
    return Progress(step, epoch, torch.tensor(0.5), 10, 0.1, torch.tensor(1.0))


def accuracy(value: float) -> tuple[Score, ...]:
    return Score("accuracy", value, "0..1", "higher", "dev"), Score("f1[<b>]", value, "0..1", "higher", "dev")


def test_the_bar_has_place_loss_speed_and_time_left_and_goes_at_the_end() -> None:
    drawn: list[str] = []
    ticks: Iterator[float] = iter([0.0, 0.1, 0.3])
    callback = NotebookProgress(drawn.append, lambda: next(ticks))
    callback.note("a <b>note</b>")
    callback.start(40, 2)
    callback.step(progress(1, 1), 596.4, 95.0)
    callback.step(progress(2, 1), 596.4, 94.0)
    assert len(drawn) == 2, "0.1 s later nothing is drawn"
    assert '<progress value="1" max="40">' in drawn[-1]
    assert shown(drawn[-1]) == "epoch 1/2, step 1/40, loss 0.5000, 596 tokens/s, 1:35 left a <b>note</b>"
    callback.step(progress(3, 1), 1200.0, 30.0)
    assert "step 3/40" in shown(drawn[-1])
    callback.scores(1, accuracy(0.75), True)
    callback.scores(2, accuracy(0.5), False)
    callback.done()
    assert "<progress" not in drawn[-1]
    assert shown(drawn[-1]) == "epoch accuracy 1 (best) 75.0 % 2 50.0 % a <b>note</b>"
    callback.done()
    assert len(drawn) == 6


def test_a_run_is_its_scores_beside_the_baselines(here: Path) -> None:
    lines = [(text, label.replace("good", "<script>x</script>")) for text, label in rows()]
    write_csv(Path("data.csv"), lines)
    run = recurra.train("data.csv", task="classification", out="<i>run", progress=False, **TINY)
    found = run._repr_html_()
    assert not re.search(r"<(script|i)>", found)
    text = shown(found)
    assert text.startswith("<i>run : classification, ")
    accuracy = f"{100 * run.scores['accuracy']:.1f} %"
    majority = f"{100 * run.report.baselines['majority']['accuracy']:.1f} %"
    assert f"accuracy test {accuracy} {majority}" in text
    assert "<script>x</script>" in text
    assert text.endswith(f"The whole report: {run.path / 'report.html'}")


CELLS = [
    f"""
import sys
sys.path[:0] = {[str(ROOT / "src"), *sys.path]!r}
sys.modules["sklearn"] = None  # the counted baseline, which takes two seconds to import
import recurra
from recurra.report.png import Pictures
recurra_pictures = __import__("recurra.report.folder", fromlist=["pictures"])
recurra_pictures.pictures = lambda report, charts, maps: Pictures({{}}, ())
rows = {[{"text": text, "label": label} for text, label in rows()]!r}
run = recurra.train(rows, task="classification", out="run", **{dict(TINY)!r})
run
""",
    "print(run.predict('lovely item').label); run.report",
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
@pytest.mark.slow
def test_a_notebook_shows_progress_and_scores(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    trained, asked = (list(cell.outputs) for cell in notebook.cells)
    pages = [shown(output.data["text/html"]) for output in trained if output.output_type != "stream"]
    assert [output for output in trained if output.output_type == "stream"] == [], "nothing on standard error"
    assert len(pages) == 2, "one output that was drawn again, and the run"
    assert pages[0].startswith("epoch accuracy precision_macro recall_macro f1_macro 1")
    assert "label: column 'label', by its name; 2 labels: bad (20), good (20)." in pages[0]
    assert pages[1].startswith("run : classification, ")
    assert asked[0].text in ("good\n", "bad\n")
    assert shown(asked[1].data["text/html"]).startswith("run score split this model majority")
