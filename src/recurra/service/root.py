"""The path under which a proxy shows the service: it may strip it from what it passes on, or keep it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import quote

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from recurra.base.errors import ConfigError

# Segments of unreserved characters (RFC 3986, 2.3): the same bytes in a link, in a page and in a request.
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*")
LONGEST = 200


class Root:
    """`path` is "" for a service of its own; routes: gives all that the service has, without it.

    Raises ConfigError for a path that is none.
    """

    def __init__(self, path: str, routes: Callable[[], Sequence[BaseRoute]]) -> None:
        self.path = path.rstrip("/")
        self._routes = routes
        if not _PATH.fullmatch(self.path) or len(self.path) > LONGEST:
            raise ConfigError(
                f"--root-path: expected a path such as /models/first, of letters, digits, '-', '.', '_' and '~', "
                f"got '{path[:LONGEST]}'."
            )

    def refuse_ambiguous(self) -> None:
        """Raise ConfigError where a request could mean two routes, one with the path stripped and one with it kept."""
        below = [self.path + str(getattr(route, "path", "")) for route in self._routes()]
        if self.path and any(map(self._is_route, (self.path, *below))):
            raise ConfigError(
                f"--root-path: {self.path} is a path of the service itself, so a request could mean two things. "
                "Choose another."
            )

    def enter(self, scope: Scope) -> str:
        """Set the scope's path and root path; return the path without the root, however the proxy passed it on."""
        path = str(scope["path"])
        if self.path and (path == self.path or path.startswith(f"{self.path}/")) and not self._is_route(path):
            path = path[len(self.path) :] or "/"
        scope["root_path"], scope["path"] = self.path, self.path + path
        return path

    def link(self, *parts: str) -> str:
        """A path of the service as a link; each part is one segment, with whatever characters."""
        return "/".join((self.path, *(quote(part, safe="") for part in parts)))

    def _is_route(self, path: str) -> bool:
        asked = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
        return any(route.matches(asked)[0] is not Match.NONE for route in self._routes())
