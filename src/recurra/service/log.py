"""What happens, as lines of JSON on standard error; what people have written into a request is never among it."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO


class Log:
    """Writes one line of JSON for each event: time, level, event, and what belongs to it.

    errors_only: leave out what is no error
    """

    def __init__(self, stream: TextIO | None = None, *, errors_only: bool = False) -> None:
        self._stream = stream
        self._errors_only = errors_only

    def info(self, event: str, **facts: Any) -> None:
        if not self._errors_only:
            self._write("info", event, facts)

    def error(self, event: str, error: BaseException | None = None, **facts: Any) -> None:
        """With the traceback of `error`."""
        shown = {} if error is None else {"traceback": "".join(traceback.format_exception(error))}
        self._write("error", event, {**facts, **shown})

    def _write(self, level: str, event: str, facts: dict[str, Any]) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"time": time, "level": level, "event": event, **facts}, default=str)
        stream = self._stream or sys.stderr
        try:
            stream.write(f"{line}\n")
            stream.flush()
        except (OSError, ValueError):
            return  # nobody reads the log; the service goes on


class LogHandler(logging.Handler):
    """The messages of libraries, as the same lines."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        facts = {"logger": record.name, "message": record.getMessage()}
        if record.levelno >= logging.WARNING:
            self._log.error("message", record.exc_info[1] if record.exc_info else None, **facts)
        else:
            self._log.info("message", **facts)
