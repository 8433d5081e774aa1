"""Here the pictures of a report are drawn; elsewhere they are left out (tests/conftest.py)."""

from __future__ import annotations

import pytest

from recurra.report import png


@pytest.fixture(autouse=True)
def _pictures_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recurra.report.folder.pictures", png.pictures)
