"""The page at `/`: one HTML, one style sheet, one script and one picture of our own; nothing from another host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

# Where a browser asks, which file answers, and what it is.
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


def add_page(app: FastAPI) -> None:
    """Serve the page's files, read once; no path of a request ever becomes a path of a file."""
    for path, (name, kind) in FILES.items():
        app.add_route(path, _answering(files(__package__).joinpath(name).read_bytes(), kind), include_in_schema=False)


def _answering(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer
