"""HTML elements that escape everything they are given: labels and texts are a stranger's data."""

from __future__ import annotations

from functools import cache
from html import escape

VOID = {"meta", "img"}  # SVG has no void elements: an unclosed <line> would swallow what follows


class Markup(str):
    """Text that is already HTML; only `tag` and `join` make it, or a constant of this room."""

    __slots__ = ()


def safe(text: object) -> Markup:
    """Escape for element content and quoted attributes; Markup stays as it is. Lone surrogates become '?'."""
    if isinstance(text, Markup):
        return text
    plain = str(text)
    return Markup(escape(plain if plain.isascii() else plain.encode("utf-8", "replace").decode("utf-8")))


def join(*parts: object) -> Markup:
    """The parts one after the other, escaped."""
    return Markup("".join([safe(part) for part in parts]))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """One element: tag("td", 3, class_="n") is <td class="n">3</td>. A trailing _ is dropped, _ inside becomes -.

    An attribute that is None is left out; one that is True stands alone.
    """
    words = "".join([_attribute(_word(key), value) for key, value in attributes.items()])
    return Markup(f"<{name}{words}>") if name in VOID else Markup(f"<{name}{words}>{join(*children)}</{name}>")


@cache
def _word(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _attribute(name: str, value: object) -> str:
    if value is None:
        return ""
    return f" {name}" if value is True else f' {name}="{safe(value)}"'
