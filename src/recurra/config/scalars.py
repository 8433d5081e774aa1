"""What a plain word in a config file means, and how a value is shown in a message.

The rules are YAML 1.2's core schema, narrowed: `true` and `false` are the only booleans, so a column called `no` stays
text; `1e-4` is a number; `1_000`, `017`, `0x1F`, `1:30` and dates stay text, because readers disagree about them.
Source: yaml.org/spec/1.2.2, section 10.3.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

# 18 digits fit 64 bits; a longer run of digits is an identifier, and stays text.
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_EXPONENT = r"(?:[eE][-+]?[0-9]+)"
_WHOLE = r"(?:0|[1-9][0-9]*)"
_FLOAT = re.compile(
    rf"[-+]?(?:\.[0-9]+{_EXPONENT}?|{_WHOLE}\.[0-9]*{_EXPONENT}?|{_WHOLE}{_EXPONENT}|\.(?:inf|Inf|INF))"
    r"|\.(?:nan|NaN|NAN)"
)
_WORDS: Final[Mapping[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
}

# Accepted where an option is a switch, and only there. YAML 1.1 takes them for booleans everywhere.
SWITCH: Final[Mapping[str, bool]] = {
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
}
_SHOWN = 60


def parse_plain(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").replace(".n", "n"))
    return text


def shown(value: Any) -> str:
    """A value as a message shows it: YAML's words, quotes around text, at most 60 characters."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
