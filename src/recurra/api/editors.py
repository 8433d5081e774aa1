"""The JSON Schema of configs, for editors: one for all tasks, told apart by `task`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from recurra import __version__
from recurra.api.defaults import in_float32
from recurra.api.folder import add_cells
from recurra.api.given import AnyPath
from recurra.api.schema import SCHEMA, schema_for
from recurra.config.json_schema import Definitions, Json, section, word_of
from recurra.tasks import TASKS

# A line that editors with a YAML language server read: VS Code, Neovim, JetBrains, Emacs, Helix.
SCHEMA_FILE = "recurra.schema.json"
MODELINE = f"# yaml-language-server: $schema={SCHEMA_FILE}"


@in_float32
def json_schema(*, cells: Sequence[AnyPath] = (), spaces: bool = False) -> dict[str, Any]:
    """What a config may say, as JSON Schema (draft 7): every option with its type, bounds, default and meaning.

    A model and its defaults follow from the task, as in a config. What options mean together is not in it: `check`
    knows that.

    cells: Python files with own cells, which are run, so that `cell` takes their names
    spaces: of configs that are searched: a space, `{low: 64, high: 512}` or `{choices: [...]}`, fits in the place of a
    value of the task, the model and the training
    """
    add_cells(cells)
    definitions = Definitions(spaces=spaces)
    rules = list(_rules(definitions))
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": f"written by `recurra schema` of recurra {__version__}",
        "title": "recurra config",
        "description": SCHEMA.doc,
        "type": "object",
        "properties": {"task": _task(), **{name: {} for name in SCHEMA.sections if name != "task"}},
        "required": ["data"],
        "additionalProperties": False,
        "allOf": rules,
        "definitions": definitions.all,
    }


def _task() -> Json:
    """The words of tasks; the options of each stand in its rule."""
    known = list(dict(TASKS.items()))
    return {
        "description": SCHEMA.sections["task"].doc,
        "default": SCHEMA.defaults["task"],
        "if": {"type": "object"},
        "then": {"properties": {"name": {"enum": known}}},
        "else": {"enum": [*known, None]},
    }


def _rules(definitions: Definitions) -> Iterator[Json]:
    """For each task: what all sections may say if it is the config's."""
    for task in dict(TASKS.items()):
        schema = schema_for(task)
        sections = {name: section(schema, name, definitions) for name in schema.sections}
        yield {"if": word_of("task", task, usual=task == SCHEMA.defaults["task"]), "then": {"properties": sections}}
