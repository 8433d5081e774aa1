"""The parts of a folder that holds several: which is for training, which for choosing, which for the final scores."""

from __future__ import annotations

from collections.abc import Mapping

# What people call these folders; the config calls them train, dev and test.
NAMES: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "devel": "dev",
    "development": "dev",
    "valid": "dev",
    "validation": "dev",
    "val": "dev",
    "test": "test",
    "testing": "test",
}


def split_of(name: str) -> str:
    """train, dev or test for the usual names of folders; any other name as it is."""
    return NAMES.get(name.lower(), name)
