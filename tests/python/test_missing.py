"""What is said where a package that one part needs is not installed."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


def test_the_estimators_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "recurra.sklearn", raising=False)
    with pytest.raises(ModuleNotFoundError) as missing:
        importlib.import_module("recurra.sklearn")
    said = 'recurra.sklearn needs scikit-learn, which is not installed; pip install "recurra[text]".'
    assert str(missing.value) == said


def test_a_test_that_is_skipped_without_a_package_says_which() -> None:
    silent = [
        f"{path.relative_to(TESTS)}:{call.lineno}"
        for path in TESTS.rglob("*.py")
        if "importorskip" in (text := path.read_text(encoding="utf-8"))
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.importorskip"
        if not any(word.arg == "reason" for word in call.keywords)
    ]
    assert silent == []
