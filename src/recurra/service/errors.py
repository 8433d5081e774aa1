"""What the service refuses, and how: a status, a sentence, and the same JSON for every one of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.responses import JSONResponse

from recurra.base.errors import ConfigError, RecurraError


class RefusedError(RecurraError):
    """A request that is not done. status: of HTTP; problems: a sentence for each mistake."""

    def __init__(self, status: int, problems: str | Iterable[str], headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        self.headers = dict(headers or {})
        super().__init__("\n".join(self.problems))


def refusal_of(error: RecurraError) -> RefusedError:
    """What a user's mistake becomes: 422 with the sentences that the command line would print."""
    if isinstance(error, RefusedError):
        return error
    return RefusedError(422, error.problems if isinstance(error, ConfigError) else str(error))


def busy(message: str) -> RefusedError:
    """503: come again in a second."""
    return RefusedError(503, message, {"Retry-After": "1"})


def late(seconds: float) -> RefusedError:
    """504: an answer was given up."""
    return RefusedError(504, f"took longer than {seconds:g} s; ask for fewer or shorter texts, or a smaller beam.")


def failed(request_id: str) -> RefusedError:
    """500: a mistake of ours. What it was stands in the log alone."""
    return RefusedError(500, f"the service failed; its log says why, under the id {request_id}.")


class Json(JSONResponse):
    """JSON in ASCII: a label may hold half of a surrogate pair, which UTF-8 cannot."""

    def render(self, content: Any) -> bytes:
        return json_bytes(content)


def json_bytes(content: Any) -> bytes:
    """A number that is not finite is null, as on the command line: JSON has none, and a perplexity may be infinite."""
    try:
        return _ascii(content)
    except ValueError:
        return _ascii(_finite(content))


def _ascii(content: Any) -> bytes:
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def refusal_json(refused: RefusedError, request_id: str) -> dict[str, Any]:
    """The body of every answer that is not a success."""
    return {"error": "\n".join(refused.problems), "problems": list(refused.problems), "request_id": request_id}


def answered(refused: RefusedError, request_id: str) -> Json:
    """A refusal as a response."""
    return Json(refusal_json(refused, request_id), refused.status, refused.headers)
