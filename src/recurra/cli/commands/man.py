"""`recurra man`: the manual page, from the same declaration as the help."""

from __future__ import annotations

import argparse

from recurra.cli.arguments import Command
from recurra.cli.failures import DONE
from recurra.cli.terminal import put_text_file


def _arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def _run(args: argparse.Namespace) -> int:
    from recurra.cli.manual import manual

    put_text_file(manual())
    return DONE


COMMAND = Command(_arguments, _run, "  recurra man > ~/.local/share/man/man1/recurra.1\n  man recurra")
