"""What data a run was trained on, as a short text: equal only for the same examples in the same order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.base.errors import RunError
from recurra.data.store import digests_of

# In front of each: what it is made of. Runs before this had bare digits, of how their examples printed.
KIND = "digests:"


def fingerprint(splits: Mapping[str, Sequence[Any]]) -> str:
    """SHA-256 of what is learned from, and of what chooses the best epoch, in order."""
    sha = hashlib.sha256()
    for name in ("train", "dev"):
        sha.update(f"{name} {len(splits[name])}\n".encode())
        for digest in digests_of(splits[name]):
            sha.update(digest)
    return KIND + sha.hexdigest()


def refuse_other_data(old: object, new: str, origin: str) -> None:
    """Raise RunError, which names `origin`, unless a run is resumed with the data that it was trained on so far."""
    if _is_older(old):
        raise RunError(
            f"{origin}: was written by an earlier version of recurra, which kept another fingerprint of its data: it "
            "cannot be told whether the data is still the same. Train again in another folder."
        )
    if old != new:
        raise RunError(
            f"{origin}: the data is not what it was: rows of train or dev were changed, added or removed. "
            "Put the old files back to resume, or train again in another folder."
        )


def doubt(old: str, new: str) -> str:
    """A sentence where a run that is evaluated may have been trained on other data than its files have now, else ""."""
    if _is_older(old):
        return (
            "an earlier version of recurra trained this run: it cannot be told whether its data is still what it was "
            "trained on."
        )
    if old != new:
        return "the run's own data is not what it was trained on: rows of dev and test may have been learned from."
    return ""


def _is_older(old: object) -> bool:
    return isinstance(old, str) and bool(old) and not old.startswith(KIND)
