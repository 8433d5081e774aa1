"""What an installed package names by entry points works in every verb, without an edit here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.api_room import done, refused, rows
from recurra.base.errors import ConfigError
from recurra.base.registry import Registry
from recurra.cells import CELLS
from recurra.data.formats import FORMATS
from recurra.models import ENCODERS, HEADS
from recurra.service import Limits, open_runs
from recurra.tasks import TASKS
from service.service_room import Asked

TOY = Path(__file__).with_name("plugins") / "recurra_toy.py"
ENTRY_POINTS = """\
[recurra.tasks]
shouting = recurra_toy:Shouting
[recurra.encoders]
window = recurra_toy:Window
[recurra.heads]
sum = recurra_toy:Sum
[recurra.formats]
colons = recurra_toy:COLONS
[recurra.cells]
toy = recurra_toy:toy
[recurra.things]
gone = recurra_toy:Gone
"""
BROKEN = """\
[recurra.tasks]
torn = recurra_torn:Task
[recurra.encoders]
torn = recurra_torn:Encoder
[recurra.formats]
torn = recurra_torn:FORMAT
[recurra.cells]
torn = recurra_torn:cell
"""
REGISTRIES: tuple[Registry, ...] = (TASKS, ENCODERS, HEADS, FORMATS, CELLS)  # type: ignore[type-arg]


def install(site: Path, name: str = "recurra-toy", entry_points: str = ENTRY_POINTS) -> None:
    """What an installer writes beside a package."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, with the package installed; as if nothing had been looked up before."""
    site, folder = tmp_path / "site", tmp_path / "here"
    site.mkdir(), folder.mkdir()
    shutil.copy(TOY, site)
    install(site)
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(folder)
    before = [dict(registry._things) for registry in REGISTRIES]
    for registry in REGISTRIES:
        registry._installed = None
    yield folder
    for registry, things in zip(REGISTRIES, before, strict=True):
        registry._things, registry._installed = things, None
    sys.modules.pop("recurra_toy", None)


def test_a_package_s_task_encoder_head_and_format_work_in_every_verb(here: Path) -> None:
    Path("d.colons").write_text("".join(f"{label}: {text}\n" for text, label in rows()))
    done("init", "shouting", "d.colons", "-o", "c.yaml")
    text = Path("c.yaml").read_text()
    assert "name: window" in text
    assert "head: sum" in text
    small = ("--set", "training.epochs=2", "--set", "model.encoder.steps=2")
    assert done("check", "c.yaml", *small).code == 0
    done("train", "c.yaml", "--out", "run", *small)
    said = done("evaluate", "run", "--split", "test", "--json").json
    assert {one["name"] for one in said["scores"]} >= {"accuracy", "log_loss"}
    assert done("predict", "run", "lovely item a1").out.split()[0] in {"good", "bad"}
    done("train", "--resume", "run", "--set", "training.epochs=3")
    assert "steps of a mean" in done("explain", "encoder", "window").out
    assert "window" in done("explain", "model.encoder").out
    assert "there is no way to write an encoder Window as ONNX" in refused("export", "run", "--onnx", "m.onnx")
    assert "lovely" in done("inspect", "run", "lovely item a1").out
    asked = Asked(open_runs([Path("run")], device="cpu"), Limits(), None)
    (answer,) = asked.post("/predict", {"texts": ["lovely item a1"]}).json()["predictions"]
    assert answer["label"] in {"good", "bad"}
    assert asked.service.stop(10)


def test_a_package_s_cell_runs_in_our_layers_and_a_run_keeps_it_as_data(here: Path) -> None:
    Path("d.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows()))
    sets = {"model.encoder": "{name: recurrent, cell: toy, hidden_size: 4, backend: reference}", "training.epochs": "1"}
    done("init", "classification", "d.csv", "-o", "c.yaml")
    done("train", "c.yaml", "--out", "run", *(word for k, v in sets.items() for word in ("--set", f"{k}={v}")))
    assert (Path("run") / "cell.json").is_file()
    assert done("inspect", "run", "lovely item a1").code == 0


def test_what_a_package_names_and_has_not_is_said_with_the_package_s_name(here: Path) -> None:
    registry: Registry[int] = Registry("thing", "recurra.things")
    with pytest.raises(ConfigError, match=r"thing 'gone': recurra-toy names recurra_toy:Gone for it, .*AttributeError"):
        registry["gone"]


def test_a_package_replaces_nothing_of_ours_and_is_looked_for_only_where_a_word_is_unknown(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry: Registry[int] = Registry("number", "recurra.numbers")
    registry.add("one", 1)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: pytest.fail("looked for packages"))
    assert registry["one"] == 1
    assert "one" in registry
    with pytest.raises(ConfigError, match="'one' is already registered"):
        registry.add("one", 2)


@pytest.fixture
def torn(here: Path) -> Path:
    """A second package beside the first one, that cannot be imported."""
    site = here.parent / "site"
    (site / "recurra_torn.py").write_text("import nothing_of_this_name\n")
    install(site, "recurra-torn", BROKEN)
    return here


def test_a_package_that_cannot_be_imported_stops_nothing_that_does_not_ask_for_it(torn: Path) -> None:
    Path("d.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows()))
    done("init", "classification", "d.csv", "-o", "c.yaml")
    assert "Did you mean 'model.encoder.hidden_size'?" in refused("check", "c.yaml", "--set", "model.hiden_size=3")
    assert "choose that, or leave it out" in refused("check", "c.yaml", "--set", "model.encoder.steps=3")
    assert "hidden_size" in done("explain", "model.encoder.hidden_size").out
    Path("d.unknown").write_text("x")
    assert "set data.format" in refused("init", "classification", "d.unknown")


def test_a_listing_names_a_package_that_cannot_be_imported(torn: Path) -> None:
    reason = "recurra-torn names recurra_torn:Encoder for it, which cannot be loaded: ModuleNotFoundError: "
    for topic in ("encoder", "model.encoder"):
        listed = done("explain", topic).out
        assert reason in listed
        assert "bidirectional" in listed or "recurrent" in listed


def test_a_word_of_a_package_that_cannot_be_imported_is_refused_at_its_line_beside_other_mistakes(torn: Path) -> None:
    Path("c.yaml").write_text("data: {train: d.csv}\nmodel:\n  encoder: torn\ntraining:\n  epochs: 0\n")
    said = refused("check", "c.yaml")
    assert "c.yaml:3: model.encoder: encoder 'torn': recurra-torn names recurra_torn:Encoder for it" in said
    assert "c.yaml:5: training.epochs" in said
    assert "task 'torn': recurra-torn names" in refused("check", "c.yaml", "--set", "task=torn")
    assert "cell 'torn': recurra-torn names" in refused("explain", "cell", "torn")
