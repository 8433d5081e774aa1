"""The folders, data and runs of the tests of the verbs."""

from __future__ import annotations

from api.conftest import data, here, run, trained

__all__ = ["data", "here", "run", "trained"]
