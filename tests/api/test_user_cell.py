"""A new cell in a user's own file trains through the command line; the documentation page is that file."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from api.api_room import done, kept_of, refused, write_config
from recurra import api
from recurra.cells import BUILT_IN, CELLS
from recurra.engine import cpu
from recurra.lower.kernel import kernel
from recurra.nn import Recurrent

PAGE = Path(__file__).parents[2] / "docs/adding/cell.md"


def forget() -> None:
    """As in a fresh process: only the built-in cells are known."""
    for name in CELLS.keys() - BUILT_IN:
        CELLS.remove(name)


@pytest.fixture
def leaky(data: Path) -> Path:
    """The file that the page shows, beside the data."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code is not None
    Path("leaky.py").write_text(code[1])
    return Path("leaky.py")


@pytest.fixture
def leaky_run(leaky: Path) -> Path:
    done("train", "c.yaml", "--cell", leaky, "--set", "model.encoder.cell=leaky", "--out", "run")
    forget()
    return Path("run")


def test_the_cell_of_the_page_is_under_ten_lines(leaky: Path) -> None:
    lines = [line for line in leaky.read_text().splitlines() if line.strip() and "import" not in line]
    assert len(lines) < 10


def test_the_page_s_cell_is_explained_from_its_equations(leaky: Path) -> None:
    said = done("explain", "cell", "leaky", "--cell", leaky).out
    assert said.startswith("leaky: A leaky unit: each one forgets at a rate of its own.\nSource: Jaeger et al. 2007")
    assert "  h_t = (1 - a_t) ⊙ h_{t-1} + a_t ⊙ tanh(W_h x_t + R_h h_{t-1} + b_h)\n" in said
    assert "  bias_ih    (2*H,)  gates a h\n" in said
    data = done("explain", "cell", "leaky", "--cell", leaky, "--json").json
    assert data["states"] == {"h": "H"}
    assert data["parameters"]["weight_hh"] == {"gates": ["h"], "rows": "H", "columns": "H"}
    assert "leaky" in done("explain", "cell", "--cell", leaky).out


@pytest.mark.skipif(not cpu.available() or shutil.which("c++") is None, reason="no native engine, or no C++ compiler")
def test_it_is_compiled_wherever_it_comes_from_and_to_the_same_code(leaky: Path) -> None:
    trained = done("train", "c.yaml", "--cell", leaky, "--set", "model.encoder.cell=leaky", "--out", "run")
    assert "model.encoder.backend: auto selected 'cpu' (device: cpu)." in trained.err
    from_file = CELLS["leaky"]
    forget()
    recurrent = api.open_run(Path("run")).model.encoder.recurrent
    assert isinstance(recurrent, Recurrent)
    assert recurrent.executor() == "cpu"
    assert kernel(CELLS["leaky"]) == kernel(from_file)


def test_a_run_with_a_user_s_cell_needs_no_file_to_predict_evaluate_or_resume(leaky_run: Path) -> None:
    with_file = done("predict", leaky_run, "lovely item a1", "--cell", "leaky.py").out
    forget()
    Path("leaky.py").unlink()
    assert done("predict", leaky_run, "lovely item a1").out == with_file
    forget()
    assert done("evaluate", leaky_run, "--json").json["scores"]
    forget()
    before = kept_of(leaky_run)
    done("train", "--resume", leaky_run)
    assert kept_of(leaky_run) == before


def test_the_same_cell_written_another_way_is_the_same(leaky_run: Path) -> None:
    text = Path("leaky.py").read_text()
    assert "    a = sigmoid" in text
    Path("leaky.py").write_text("# a comment\n" + re.sub(r"\ba\b(?= =| \*|\))", "leak", text))
    done("predict", leaky_run, "x", "--cell", "leaky.py")


def test_a_changed_cell_is_refused_by_every_verb(leaky_run: Path) -> None:
    text = Path("leaky.py").read_text()
    Path("leaky.py").write_text(text.replace("tanh(p.W", "sigmoid(p.W"))
    for words in (["predict", "run", "x"], ["evaluate", "run"], ["train", "--resume", "run"]):
        assert refused(*words, "--cell", "leaky.py") == (
            "run/cell.json: trained with another cell 'leaky' than the one given now: its equations differ. "
            "Leave out --cell (the run folder holds its cell), or train again.\n"
        )
        forget()


def test_two_runs_with_cells_of_one_name_live_side_by_side_in_one_process(leaky_run: Path) -> None:
    text = Path("leaky.py").read_text()
    first = done("predict", leaky_run, "lovely item a1", "--json").out
    Path("leaky.py").write_text(text.replace("tanh(p.W", "sigmoid(p.W"))
    done("train", "c.yaml", "--cell", "leaky.py", "--set", "model.encoder.cell=leaky", "--out", "other")
    second = done("predict", "other", "lovely item a1", "--json").out
    assert done("predict", leaky_run, "lovely item a1", "--json").out == first != second


def test_a_cell_is_run_only_when_the_user_names_its_file(leaky_run: Path) -> None:
    Path("evil.py").write_text("open('canary', 'w')\n" + Path("leaky.py").read_text())
    write_config(Path("evil.yaml"), model={"encoder": {"cell": "evil.py"}})
    assert "unknown cell 'evil.py'" in refused("train", "evil.yaml")
    text = (leaky_run / "config.yaml").read_text()
    (leaky_run / "config.yaml").write_text(text.replace("cell: leaky", "cell: evil.py"))
    assert "unknown cell 'evil.py'" in refused("predict", leaky_run, "x")
    assert not Path("canary").exists()


def test_without_its_stored_cell_a_run_says_that_the_cell_is_unknown(leaky_run: Path) -> None:
    (leaky_run / "cell.json").unlink()
    assert "model.encoder.cell: unknown cell 'leaky'" in refused("predict", leaky_run, "x")
    done("predict", leaky_run, "x", "--cell", "leaky.py")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "mine.py: no such file; expected Python with a function under @cell."),
        ("x = 1\n", "mine.py: defines no cell; write @cell above a function (x, h, p) -> h."),
        ("from recurra.cells.lstm import lstm\n", "mine.py: defines no cell"),
        ("x = \n", "mine.py:1: SyntaxError: "),
        ("\n1 / 0\n", "mine.py:2: ZeroDivisionError: "),
        ("from recurra.cells import cell\n@cell()\ndef lstm(x, h, p):\n    return p.W('h', x) + p.R('h', h)\n",
         "mine.py: cell 'lstm' is built in; give yours another name."),
        ("from recurra.cells import cell\n@cell()\ndef mine(x, h, p):\n    return h if h > 0 else x\n", "mine"),
    ],
)  # fmt: skip
def test_a_file_without_a_usable_cell_is_refused_with_its_line(content: str | None, sentence: str, data: Path) -> None:
    if content is not None:
        Path("mine.py").write_text(content)
    for words in (["explain", "cell"], ["check", "c.yaml"], ["train", "c.yaml", "--out", "run"]):
        assert sentence in refused(*words, "--cell", "mine.py")
    assert not Path("run").exists()


def test_the_stored_cell_is_plain_json(leaky_run: Path) -> None:
    stored = json.loads((leaky_run / "cell.json").read_text())
    assert (stored["name"], stored["states"]) == ("leaky", ["h"])
    assert all(isinstance(node[0], str) for node in stored["nodes"])
