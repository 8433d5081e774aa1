"""Fields inside of fields: `payload.message` is what stands under `message` in what stands under `payload`.

A key that holds a dot itself comes before a path, at every level. A number picks one of a list, from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recurra.base.contracts import Record

MISSING = object()
# Fields of a row, all levels together, that `leaves` gives.
MOST_LEAVES = 1000


def at_path(value: Any, path: str) -> Any:
    """What stands at a path; MISSING where nothing does."""
    if isinstance(value, Mapping) and path in value:
        return value[path]
    ends = [place for place, sign in enumerate(path) if sign == "."]
    for end in reversed(ends):  # the longest key first: it may hold dots
        inner = _step(value, path[:end])
        if inner is not MISSING and (found := at_path(inner, path[end + 1 :])) is not MISSING:
            return found
    return _step(value, path) if isinstance(value, list) else MISSING


def leaves(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The paths of what stands inside of the objects of a row, with their values; lists are not looked into."""
    waiting = [(name, value) for name, value in fields.items() if isinstance(value, Mapping)]
    number = 0
    while waiting and number < MOST_LEAVES:
        path, value = waiting.pop(0)
        for key, inner in value.items():
            number += 1
            if isinstance(inner, Mapping):
                waiting.append((f"{path}.{key}", inner))
            else:
                yield f"{path}.{key}", inner


def with_nested(rows: Sequence[Record]) -> tuple[list[Record], dict[str, str]]:
    """Rows whose objects give way to what stands inside of them, and the path of each name that is new.

    A name is the last part of its path, or all of it where that is taken.
    """
    objects = {name for row in rows for name, value in row.fields.items() if isinstance(value, Mapping)}
    if not objects:
        return list(rows), {}
    taken = {name for row in rows for name in row.fields}
    names: dict[str, str] = {}
    for path in dict.fromkeys(path for row in rows for path, _ in leaves(row.fields)):
        last = path.rpartition(".")[2]
        name = path if last in taken else last
        if name not in taken and at_path(rows[0].fields, path) is not MISSING:
            names[name] = path
            taken.add(name)
    found = []
    for row in rows:
        plain = {name: value for name, value in row.fields.items() if name not in objects}
        inner = {name: value for name, path in names.items() if (value := at_path(row.fields, path)) is not MISSING}
        found.append(Record({**plain, **inner}, row.origin))
    return found, names


def _step(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(key, MISSING)
    if isinstance(value, list) and key.isascii() and key.isdigit() and len(key) < 10 and int(key) < len(value):
        return value[int(key)]
    return MISSING
