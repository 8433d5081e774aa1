"""What files with a token a line share: sentences are blocks of lines with blank lines between."""

from __future__ import annotations

from recurra.data.formats.lines import BadRowError, Line, Lines

# The line of each token, for messages: a field beside the columns.
LINE = "line"
# Of files that know their raw text: its words as (word, number of tokens, whether white space follows).
SURFACE = "surface"
# A novel has about as many; more than that is a file without blank lines.
MAX_TOKENS = 200_000


def next_sentence(lines: Lines) -> list[Line]:
    """The lines up to the next blank one, one at least. Raises StopIteration at the end.

    Raises BadRowError for a line that cannot be read, or too many lines, when the rest of the sentence is passed over.
    """
    found: list[Line] = []
    damage: BadRowError | None = None
    while True:
        try:
            line = next(lines)
        except StopIteration:
            if not found and damage is None:
                raise
            break
        except BadRowError as problem:
            damage = damage or problem
            continue
        if not is_blank(line):
            if len(found) < MAX_TOKENS:
                found.append(line)
            else:
                damage = damage or lines.bad(
                    f"a sentence begins here and has more than {MAX_TOKENS:,} lines, the limit. Are blank lines "
                    "missing?",
                    found[0],
                )
        elif found or damage:
            break
    if damage is not None:
        raise damage
    return found


def is_blank(line: Line) -> bool:
    """Whether a line ends a sentence: nothing but spaces and tabs."""
    return not line.text.strip(" \t")
