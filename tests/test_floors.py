"""Rooms import lower floors only; rooms of one floor never import one another."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "recurra"
FLOORS = [
    {"base"},
    {"cells", "data", "losses", "metrics", "training", "config", "report", "decode"},
    {"lower"},
    {"engine"},
    {"nn"},
    {"models", "doctor"},
    {"tasks", "export"},
    {"api", "bench"},
    {"service"},
    {"cli"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imported_rooms(tree: ast.AST) -> set[str]:
    """Names X of every `recurra.X` that a file imports, also inside functions."""
    modules = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read"
            modules += [f"{node.module}.{a.name}" if node.module == "recurra" else str(node.module) for a in node.names]
    return {m.split(".")[1] for m in modules if m.startswith("recurra.")}


def files() -> list[Path]:
    return sorted(p for p in SRC.rglob("*.py") if p.parent != SRC or p.stem == "api")


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(SRC)))
def test_a_room_imports_lower_floors_only(path: Path) -> None:
    room = path.relative_to(SRC).parts[0].removesuffix(".py")
    above = {
        other
        for other in imported_rooms(ast.parse(path.read_text())) - {room, "__version__"}
        if FLOOR[other] >= FLOOR[room]
    }
    assert not above, f"{path.name} is on floor {FLOOR[room]} and imports {above}"


def test_every_room_has_a_floor() -> None:
    rooms = {p.relative_to(SRC).parts[0].removesuffix(".py") for p in files()}
    assert rooms <= set(FLOOR), f"give {rooms - set(FLOOR)} a floor"
