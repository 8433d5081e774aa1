"""A config file to plain, checked options, and back. The constructor's signature is the schema, and it is strict.

document   a YAML file as a plain tree with the line of every key; `--set` on top of it
scalars    what an unquoted word means: YAML 1.2, narrowed, so that a column called `no` stays text
options    the options of a constructor, read from its signature
values     does a value fit an option, and what would
schema     the sections a file has, in order
resolve    every default written out, or every mistake at once, each with its line
build      a resolved section to the thing it describes
write      a resolved config as commented YAML
spaces     where a config has a space to search in the place of a value
json_schema  what a config may say, for editors
"""

from __future__ import annotations

from recurra.config.build import Section, build, located
from recurra.config.document import Document, document_of, load, override, parse, parse_bytes
from recurra.config.options import Option, options_of
from recurra.config.resolve import Check, Resolved, resolve
from recurra.config.schema import Fixed, Schema
from recurra.config.spaces import LEFT_OUT, Choices, Range, Space, filled, find_spaces, refuse_spaces
from recurra.config.values import words
from recurra.config.write import write, yaml_of

__all__ = [
    "LEFT_OUT",
    "Check",
    "Choices",
    "Document",
    "Fixed",
    "Option",
    "Range",
    "Resolved",
    "Schema",
    "Section",
    "Space",
    "build",
    "document_of",
    "filled",
    "find_spaces",
    "load",
    "located",
    "options_of",
    "override",
    "parse",
    "parse_bytes",
    "refuse_spaces",
    "resolve",
    "words",
    "write",
    "yaml_of",
]
