"""Attention in a terminal: a row for each token of the answer, darker where it looked more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recurra.cli.terminal import one_line, width

# From 0 to 1 in five steps: the lowest is under 5 %.
SHADES = ((0.05, " "), (0.25, "░"), (0.5, "▒"), (0.75, "▓"), (2.0, "█"))
# Where the picture is too wide: the source tokens with the most weight.
STRONGEST = 3


def heat_lines(rows: Sequence[str], columns: Sequence[str], weights: Sequence[Sequence[float]]) -> Iterator[str]:
    """The lines of a heat map; of a list of the strongest weights, if the terminal is too narrow for a map."""
    import shutil

    heads, said = list(map(_shown, columns)), list(map(_shown, rows))
    margin = max(map(width, said), default=0) + 4
    if margin + sum(width(head) + 1 for head in heads) > shutil.get_terminal_size().columns:
        yield from _listed(said, heads, weights)
        return
    yield " " * margin + " ".join(heads)
    for token, row in zip(said, weights, strict=True):
        cells = (_shade(weight) * width(head) for weight, head in zip(row, heads, strict=True))
        yield f"  {token}{' ' * (margin - 2 - width(token))}{' '.join(cells)}".rstrip()


def _listed(rows: Sequence[str], columns: Sequence[str], weights: Sequence[Sequence[float]]) -> Iterator[str]:
    margin = max(map(width, rows), default=0) + 2
    for token, row in zip(rows, weights, strict=True):
        best = sorted(range(len(row)), key=lambda k: (-row[k], k))[:STRONGEST]
        shares = ", ".join(f"{columns[k]} {100 * row[k]:.0f} %" for k in best)
        yield f"  {token}{' ' * (margin - width(token))}{shares}"


def _shown(token: str) -> str:
    """A token in one line; a space is shown as one."""
    return one_line(token.replace(" ", "\u2423")) or "\u2423"


def _shade(weight: float) -> str:
    return next((shade for limit, shade in SHADES if weight < limit), "?")
