"""Write the kernels of all built-in cells: `python -m recurra.lower.write_kernels FILE`, called by the build."""

from __future__ import annotations

import sys
from pathlib import Path

from recurra.cells import BUILT_IN, CELLS
from recurra.lower.kernel import kernels


def main(path: Path) -> None:
    """One file with the text of every built-in cell."""
    path.write_text(kernels(CELLS[name] for name in CELLS if name in BUILT_IN), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
