"""A guide of docs/guide as a test reads it: its blocks, its files, and its commands, which are run in their order."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from recurra.cli import main

GUIDES = Path(__file__).resolve().parents[1] / "docs" / "guide"


class Guide:
    """One page, in an empty folder, without pictures. tiny: words behind `train`, so that it takes no time."""

    def __init__(self, page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tiny: Sequence[str]) -> None:
        monkeypatch.chdir(folder)
        self.page = page
        self.text = (GUIDES / page).read_text(encoding="utf-8")
        self._tiny = list(tiny)

    def blocks(self, language: str) -> list[str]:
        """The blocks of code in a language."""
        return re.findall(rf"^```{language}\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)

    def make_files(self) -> None:
        """Run its only block of Python."""
        (block,) = self.blocks("python")
        exec(compile(block, self.page, "exec"), {})

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command of recurra."""
        lines = [line[2:] for block in self.blocks("console") for line in block.splitlines() if line.startswith("$ ")]
        return [shlex.split(line)[1:] for line in lines]

    def run(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Run all commands; each must succeed."""
        for words in self.commands:
            assert main(words + (self._tiny if words[0] == "train" else [])) == 0, (words, capsys.readouterr().err)
