"""A config file to plain, checked options, and back. The constructor's signature is the schema, and it is strict.

document   a YAML file as a plain tree with the line of every key; `--set` on top of it
scalars    what an unquoted word means: YAML 1.2, narrowed, so that a column called `no` stays text
options    the options of a constructor, read from its signature
values     does a value fit an option, and what would
schema     the sections a file has, in order
resolve    every default written out, or every mistake at once, each with its line
build      a resolved section to the thing it describes
write      a resolved config as commented YAML
"""

from __future__ import annotations

from recurra.config.build import Section, build, located
from recurra.config.document import Document, document_of, load, override, parse, parse_bytes
from recurra.config.options import Option, options_of
from recurra.config.resolve import Check, Resolved, resolve
from recurra.config.schema import Fixed, Schema
from recurra.config.values import words
from recurra.config.write import write

__all__ = [
    "Check",
    "Document",
    "Fixed",
    "Option",
    "Resolved",
    "Schema",
    "Section",
    "build",
    "document_of",
    "load",
    "located",
    "options_of",
    "override",
    "parse",
    "parse_bytes",
    "resolve",
    "words",
    "write",
]
