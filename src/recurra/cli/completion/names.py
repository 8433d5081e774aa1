"""The words of a registry, read from the file that fills it: importing that file would import torch."""

from __future__ import annotations

import ast
from importlib.metadata import entry_points
from pathlib import Path

import recurra

_SOURCE = Path(recurra.__file__).parent


def registered(file: str, registry: str, group: str = "") -> tuple[str, ...]:
    """The names that a file adds to a registry, and those of installed packages.

    file: below src/recurra, such as tasks/__init__.py      registry: the name there, such as TASKS
    group: of the entry points of packages
    """
    ours = [
        call.args[0].value
        for call in ast.walk(_tree(file))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == f"{registry}.add"
        and isinstance(call.args[0], ast.Constant)
    ]
    theirs = [one.name for one in entry_points(group=group)] if group else []
    return tuple(dict.fromkeys(map(str, [*ours, *theirs])))


def keys(file: str, mapping: str) -> tuple[str, ...]:
    """The keys of a mapping that is written out in a file."""
    for node in _tree(file).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict) and ast.unparse(node.target) == mapping:
            return tuple(str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))
    return ()


def fields(file: str, name: str) -> tuple[str, ...]:
    """The fields of a dataclass in a file."""
    return tuple(
        line.target.id
        for line in _class(file, name).body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    )


def keywords(file: str, name: str) -> tuple[str, ...]:
    """The keyword-only parameters of a class in a file."""
    made = next(one for one in _class(file, name).body if isinstance(one, ast.FunctionDef) and one.name == "__init__")
    return tuple(argument.arg for argument in made.args.kwonlyargs)


def _class(file: str, name: str) -> ast.ClassDef:
    return next(one for one in _tree(file).body if isinstance(one, ast.ClassDef) and one.name == name)


def _tree(file: str) -> ast.Module:
    return ast.parse((_SOURCE / file).read_text(encoding="utf-8"))


def tasks() -> tuple[str, ...]:
    return registered("tasks/__init__.py", "TASKS", "recurra.tasks")


def data_options() -> tuple[str, ...]:
    """As `--set` wants them."""
    return tuple(f"data.{name}=" for name in fields("api/options.py", "DataOptions"))


def options() -> tuple[str, ...]:
    """What `--set` of a config takes: of a model the options of recurrent layers, as others depend on the task."""
    training = (f"training.{name}=" for name in fields("api/options.py", "TrainingOptions"))
    encoder = (f"model.encoder.{name}=" for name in keywords("models/encoders/recurrent.py", "RecurrentEncoder"))
    return (*data_options(), *training, *encoder)


def topics() -> tuple[str, ...]:
    return keys("api/explaining.py", "TOPICS")


def demos() -> tuple[str, ...]:
    return keys("api/demos.py", "DEMOS")


def datasets() -> tuple[str, ...]:
    return registered("data/embedded/__init__.py", "EMBEDDED")
