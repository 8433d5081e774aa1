"""Cells from a user's own file: the only place where recurra runs code that it did not ship.

It happens when the user names the file on the command line or in a call, never because a config or a run says so.
"""

from __future__ import annotations

import importlib.util
import traceback
from pathlib import Path

from recurra.base.errors import ConfigError
from recurra.cells.language import Cell


def cells_of(path: Path) -> tuple[Cell, ...]:
    """Run the Python file at `path` and return the cells that it defines.

    Raises ConfigError, with file and line, if there is no such file, it fails, or it defines no cell.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; expected Python with a function under @cell.")
    spec = importlib.util.spec_from_file_location(f"recurra_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: expected a Python file, whose name ends in .py.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{_place(path, error)}: {type(error).__name__}: {error}.") from error
    found = tuple(c for c in vars(module).values() if isinstance(c, Cell) and _is_from(path, c))
    if not found:
        raise ConfigError(f"{path}: defines no cell; write @cell above a function (x, h, p) -> h.")
    return found


def _is_from(path: Path, cell: Cell) -> bool:
    # Python stores a relative name as an absolute one.
    return Path(cell.equations.__code__.co_filename).resolve() == path.resolve()


def _place(path: Path, error: Exception) -> str:
    """`file:line` of the user's line that failed."""
    if isinstance(error, SyntaxError):
        return f"{path}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    return f"{path}:{lines[-1]}" if lines else str(path)
