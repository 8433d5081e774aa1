"""The pages at `/` and `/docs`: HTML, a style sheet, scripts and a picture of our own; nothing from another host."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from recurra.service.page.docs import docs_page
from recurra.service.root import Root

# Where a browser asks, which file answers, and what it is.
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/recorder.js": ("recorder.js", "text/javascript; charset=utf-8"),
    "/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


def add_page(app: FastAPI, root: Root) -> None:
    """Serve the page's files, read once; no path of a request ever becomes a path of a file.

    Links are relative, so that they are right behind a proxy of which the service knows nothing; with a root path they
    begin with it, because a page that is asked for without the last slash would look for them one level too high.
    """
    for path, (name, kind) in FILES.items():
        content = content_of(name)
        shown = rooted(content, root) if name.endswith(".html") else content
        app.add_route(path, _answering(partial(str, shown), kind), include_in_schema=False)


def content_of(name: str) -> str:
    """A file of the page; behind page.js the views of kinds of answers that have a file of their own."""
    here = files(__package__)
    more = sorted(one.name for one in here.iterdir() if one.name.startswith("view_")) if name == "page.js" else ()
    return "\n".join(here.joinpath(one).read_text("utf-8") for one in (name, *more))


def add_docs(app: FastAPI, root: Root, example: Callable[[str], Mapping[str, Any] | None]) -> None:
    """Serve the description for people. example: a body for a path, or None where no run can answer it"""
    app.add_route(
        "/docs",
        _answering(lambda: rooted(docs_page(app.openapi(), example), root), "text/html; charset=utf-8"),
        include_in_schema=False,
    )


def rooted(page: str, root: Root) -> str:
    """The page with its links, which are relative, below the root path."""
    return re.sub(r'( (?:href|src)=")\.?(?=[a-z"])', rf"\1{root.link('')}", page) if root.path else page


def _answering(content: Callable[[], str], kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return Response(content().encode("utf-8", "backslashreplace"), media_type=kind)

    return answer
