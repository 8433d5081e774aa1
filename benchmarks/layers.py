"""recurra's CPU engine beside its peers, as `recurra bench`; with --markdown also into the tables of a page.

python benchmarks/layers.py --markdown               the tables of docs/performance.md, whose text stays
python benchmarks/layers.py --modes train --json     JSON
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from recurra import bench
from recurra.bench import markdown
from recurra.cli.commands.bench import COMMAND, measured
from recurra.cli.failures import DONE, guarded
from recurra.cli.terminal import put_json, say

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


def main() -> int:
    """Measure, print, and write the page if asked. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    COMMAND.arguments(parser)
    parser.add_argument(
        "--markdown", metavar="PAGE", type=Path, nargs="?", const=PAGE, help=f"write tables (default: {PAGE.name})"
    )
    options = parser.parse_args()
    return guarded(lambda: COMMAND.run(options) if options.markdown is None else page(options), debug=False)


def page(options: argparse.Namespace) -> int:
    """Measure, and put the tables between the page's markers."""
    chosen = bench.choose(modes=options.modes, cells=options.cells, grid=options.grid, quick=options.quick)
    markdown.check(options.markdown, {one.mode for one in chosen})
    machine, rows = measured(options)
    if options.json:
        put_json(bench.as_json(machine, rows))
    markdown.update(options.markdown, machine, rows)
    say(f"{options.markdown}: written.")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
