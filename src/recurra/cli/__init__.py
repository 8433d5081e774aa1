"""The command line: words to `recurra.api`, and what comes back to text or JSON.

program    `main`: the command's word, its arguments, and the exit code
process    `console`: the program as a process, which ends without taking torch apart
arguments  what several commands share; a misspelt word is answered with its neighbour
failures   an error to a sentence and an exit code: 0 done, 1 failed, 2 your input, 130 Ctrl-C, 143 SIGTERM
terminal   results on standard output, messages on standard error; the one place that decides on colours and --quiet
progress   training as a bar on a terminal, as plain lines elsewhere
show       a report as text or JSON
heat       attention in a terminal
texts      texts from arguments, standard input and files; predictions to lines, CSV and JSONL
manual     the manual page
completion  scripts for shells, from the parsers of the commands
commands/  one file a command, imported when it is typed

Nothing here imports torch, and `recurra.api` is imported inside the command that runs: `--help` stays fast.
"""

from __future__ import annotations

from recurra.cli.process import console
from recurra.cli.program import main

__all__ = ["console", "main"]
