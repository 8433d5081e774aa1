"""`recurra completion`: a script with which a shell completes commands, options, names and run folders."""

from __future__ import annotations

import argparse

from recurra.cli.arguments import Command
from recurra.cli.failures import DONE
from recurra.cli.terminal import put_text_file


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")


def _run(args: argparse.Namespace) -> int:
    from recurra.cli.completion import SHELLS, verbs

    put_text_file(SHELLS[args.shell](verbs()))
    return DONE


COMMAND = Command(
    _arguments,
    _run,
    "  recurra completion bash > ~/.local/share/bash-completion/completions/recurra\n"
    "  recurra completion zsh > ~/.zfunc/_recurra\n"
    "  recurra completion fish > ~/.config/fish/completions/recurra.fish",
)
