"""Rooms import lower floors only, rooms of one floor never import one another, and tasks are known to theirs alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
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
    {"python"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imported_rooms(tree: ast.AST) -> set[str]:
    """Names X of every `recurra.X` that a file imports, also inside functions."""
    modules: list[str] = []
    for node in statements(tree):
        if isinstance(node, ast.Import):
            modules += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read"
            modules += [f"{node.module}.{a.name}" if node.module == "recurra" else str(node.module) for a in node.names]
    return {m.split(".")[1] for m in modules if m.startswith("recurra.")}


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements of a file, also those inside others; looking into their expressions takes five times as long."""
    waiting = [tree]
    while waiting:
        yield (node := waiting.pop())
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, block, ())


def files() -> list[Path]:
    return sorted(p for p in SRC.rglob("*.py") if p.parent != SRC or p.stem == "api")


def room_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def test_a_room_imports_lower_floors_only() -> None:
    above = [
        f"{path.relative_to(SRC)} is on floor {FLOOR[room_of(path)]} and imports {other}"
        for path in files()
        for other in imported_rooms(ast.parse(path.read_text())) - {room_of(path), "__version__"}
        if FLOOR[other] >= FLOOR[room_of(path)]
    ]
    assert above == []


def test_an_import_is_seen_wherever_it_stands() -> None:
    lines = """
if a: from recurra.nn import b
elif c: import recurra.cli
else: import recurra.data.splits
try: import recurra.api
except E: import recurra.tasks
else: import recurra.base
finally: import recurra.bench
match d:
    case 1:
        class F:
            async def f():
                with g:
                    while h: from recurra import lower
"""
    rooms = {"nn", "cli", "data", "api", "tasks", "base", "bench", "lower"}
    assert imported_rooms(ast.parse(lines)) == rooms


def test_every_room_has_a_floor() -> None:
    rooms = {p.relative_to(SRC).parts[0].removesuffix(".py") for p in files()}
    assert rooms <= set(FLOOR), f"give {rooms - set(FLOOR)} a floor"


# -- above tasks/ no file knows the name of a task --------------------------------------------------------------------

TASK_WORDS = {p.name for p in (SRC / "tasks").iterdir() if (p / "__init__.py").exists()}
ABOVE = ("api", "service", "cli", "python", "export", "doctor")
# What a capability is asked of by isinstance, and never by the name of an attribute.
ASKED = {"task", "config", "plan", "example", "examples", "output", "outputs", "answer", "prediction"}
# Files that may name a task, each with what it may say and why.
MAY = {
    "api/schema.py": ({"classification"}, "the task of a config that names none"),
    "api/demos.py": (TASK_WORDS, "its configs are data, and a config names its task"),
}


@cache
def concrete_tasks() -> set[str]:
    """The names that recurra.tasks offers of single tasks: their classes and their configs."""
    tree = ast.parse((SRC / "tasks" / "__init__.py").read_text())
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[2:3] and is_of_one(str(node.module))
        for alias in node.names
    }


def is_of_one(module: str) -> bool:
    """Whether a module is one of a single task."""
    return module.startswith("recurra.tasks.") and module.split(".")[2] in TASK_WORDS


def named_tasks(tree: ast.AST) -> set[str]:
    """What a file says of single tasks: their words as constants or identifiers, their modules and classes, and
    attributes of a task that are looked for by their names."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if text in TASK_WORDS:
                found.add(text)
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                found |= {name.strip("_")} & TASK_WORDS
            case ast.Import(names=names):
                found |= {a.name for a in names if is_of_one(a.name)}
            case ast.ImportFrom(module=str(module), names=names):
                whole = {f"{module}.{a.name}" for a in names}
                classes = {f"recurra.tasks.{name}" for name in concrete_tasks()}
                found |= whole & classes | {name for name in whole if is_of_one(name)}
            case ast.Call(func=ast.Name(id="hasattr" | "getattr"), args=[subject, ast.Constant(value=name), *_]):
                names = {getattr(part, "id", getattr(part, "attr", "")) for part in ast.walk(subject)}
                found |= {f"{node.func.id}(..., '{name}')"} if names & ASKED else set()  # type: ignore[attr-defined]
            case ast.ExceptHandler(type=ast.Name(id="AttributeError")):
                found.add("except AttributeError")
    return found


def files_above() -> list[Path]:
    return [path for room in ABOVE for path in sorted((SRC / room).rglob("*.py"))]


def test_above_the_tasks_no_file_knows_one_by_its_name() -> None:
    for path in files_above():
        name = str(path.relative_to(SRC))
        may, _ = MAY.get(name, (set(), ""))
        found = named_tasks(ast.parse(path.read_text()))
        assert not found - may, f"{name}: ask for a capability of recurra.tasks.contract"
        assert not may - found - TASK_WORDS, f"{name}: what is no longer said need not be allowed"


@pytest.mark.parametrize("path", sorted((SRC / "service" / "page").glob("*.js")), ids=lambda p: p.name)
def test_the_page_shows_kinds_of_answers_and_knows_no_task(path: Path) -> None:
    script = re.sub(r"^\s*//[^\n]*$|/\*.*?\*/", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(rf"\b(?:{'|'.join(sorted(TASK_WORDS))})\b", script)
    assert not re.findall(r"\w*\[\s*model\.task\s*\]", script), "model.task is for people to read"


@pytest.mark.parametrize(
    "line",
    [
        "sized = {'music': 3}",
        "def _tagging(): ...",
        "lenses.translation(task)",
        "import recurra.tasks.tagging.plan",
        "from recurra.tasks import Tagging, Task",
        "from recurra.tasks.language_model.suggesting import Suggester",
        "hasattr(served.run.task, 'stream')",
        "getattr(getattr(run.task, 'kind', None), 'separator')",
        "hasattr(output, 'labels')",
        "try: ...\nexcept AttributeError: ...",
    ],
)
def test_what_knows_a_task_is_seen(line: str) -> None:
    assert named_tasks(ast.parse(line))


def test_what_asks_for_a_capability_or_speaks_of_a_task_is_let_be() -> None:
    lines = "from recurra.tasks import Generates\nisinstance(task, Generates)\n'a translation becomes two files'"
    assert not named_tasks(ast.parse(f"{lines}\ngetattr(stream, 'encoding', None)"))


# -- the native engine: products know nothing of time -----------------------------------------------------------------

NATIVE = SRC.parent.parent / "native"
# What the files of a folder may include beside those of their own.
BELOW = {
    "": {"simd"},
    "simd": set(),
    "dense": {"", "simd"},
    "recurrent": {"", "simd", "dense"},
    "bind": {"", "dense", "recurrent"},
    "tests": {"", "bind", "dense", "recurrent"},
}


def native_files() -> list[Path]:
    return sorted(p for p in NATIVE.rglob("*") if p.suffix in (".h", ".cpp"))


@pytest.mark.parametrize("path", native_files(), ids=lambda p: str(p.relative_to(NATIVE)))
def test_a_native_folder_includes_lower_ones_only(path: Path) -> None:
    folder = path.parent
    included = re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE)
    found = [(folder / name).resolve() for name in included if name != "cells.inc"]  # which the build writes
    assert all(p.exists() for p in found)
    mine = str(folder.relative_to(NATIVE)).strip(".")
    above = {str(p.parent.relative_to(NATIVE)).strip(".") for p in found} - {mine} - BELOW[mine]
    assert not above, f"{path.name} includes files of {above}"
