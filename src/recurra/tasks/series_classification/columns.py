"""Which column of a file holds the label of a series."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.base.normal import name_of
from recurra.tasks.columns import counted, missing, named, values
from recurra.tasks.contract import Suggestion
from recurra.tasks.series_columns import Answer

# Names that people give to this column; the first that is there wins.
LABEL_NAMES = ("label", "labels", "class", "category", "target", "activity", "y")

# A number of a joint: x0, left_wrist_y, visibility_12, Hand.z. Its axis, and the joint that it is of.
_AXIS = "x|y|z|v|c|visibility|presence|confidence|conf|score|likelihood"
_BEHIND = re.compile(rf"(?P<axis>{_AXIS})[_. ]?(?P<joint>\d+)", re.IGNORECASE)
_BEFORE = re.compile(rf"(?P<joint>.+?)[_. ](?P<axis>{_AXIS})", re.IGNORECASE)
# Joints from which columns that end in an axis are a body, and not two or three sensors.
FEW_JOINTS = 5


def with_joints(found: Suggestion) -> Suggestion:
    """What is suggested, and the joints that its columns of numbers are by their names, if they are any."""
    columns = found.task.get("values")
    joints = None if isinstance(columns, str) or columns is None else joints_among(columns)
    if joints is None:
        return found
    numbers, ordered = joints
    said = f"joints: {len(ordered) // len(numbers)}, each with {', '.join(numbers)}, by the names of the columns."
    task = {**found.task, "values": ordered, "joints": {"name": "skeleton", "numbers": numbers}}
    return replace(found, task=task, said=(*found.said, said))


def joints_among(columns: Sequence[str]) -> tuple[str, list[str]] | None:
    """The numbers of a joint, such as "xyzc", and the columns joint by joint; None where they are no joints."""
    joints: dict[str, dict[str, str]] = {}
    numbered = True
    for column in columns:
        name = name_of(column)
        match = _BEHIND.fullmatch(name)
        numbered = numbered and match is not None
        match = match or _BEFORE.fullmatch(name)
        if match is None:
            return None
        axis = match["axis"].lower()
        joints.setdefault(match["joint"].lower(), {})[axis if axis in ("x", "y", "z") else "c"] = column
    numbers = {"".join(sorted(one, key="xyzc".index)) for one in joints.values()}
    right = (
        len(numbers) == 1 and numbers <= {"xy", "xyz", "xyc", "xyzc"} and len(joints) >= (2 if numbered else FEW_JOINTS)
    )
    if not right:
        return None
    (word,) = numbers
    ordered = [one[axis] for one in joints.values() for axis in word]
    return (word, ordered) if len(ordered) == len(columns) else None


def label_among(rows: Sequence[Record], file: Path, names: Sequence[str]) -> Answer:
    """By its name, else the column of the fewest different values. Raises DataError where there is none."""
    label = _label(rows, file, names)
    found = values(rows, label)
    absent = missing(found)
    said = (f"label: column '{label}'; {counted(found)}.", *([f"label: {absent}"] if absent else []))
    return Answer((label,), {"label": label}, said)


def _label(rows: Sequence[Record], file: Path, names: Sequence[str]) -> str:
    if not names:
        raise DataError(f"{file}: expected a column with the label beside the numbers, found none.")
    if (name := named(LABEL_NAMES, names)) is not None:
        return name
    several = [name for name in names if len(set(values(rows, name))) > 1] or list(names)
    return min(several, key=lambda name: len(set(values(rows, name))))
