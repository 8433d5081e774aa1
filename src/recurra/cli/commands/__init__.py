"""One file a command; the table below is the order of `recurra --help`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from recurra.cli.arguments import Command
from recurra.cli.commands import (
    bench,
    check,
    data,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    finish,
    generate,
    init,
    inspect,
    predict,
    serve,
    train,
)

COMMANDS: Final[Mapping[str, Command]] = {
    "init": init.COMMAND,
    "check": check.COMMAND,
    "train": train.COMMAND,
    "finish": finish.COMMAND,
    "evaluate": evaluate.COMMAND,
    "predict": predict.COMMAND,
    "generate": generate.COMMAND,
    "serve": serve.COMMAND,
    "export": export.COMMAND,
    "inspect": inspect.COMMAND,
    "doctor": doctor.COMMAND,
    "explain": explain.COMMAND,
    "demo": demo.COMMAND,
    "bench": bench.COMMAND,
    "data list": data.LIST,
    "data export": data.EXPORT,
}
