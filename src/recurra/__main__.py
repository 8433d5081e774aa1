"""`python -m recurra` is the same program as `recurra`."""

from __future__ import annotations

import sys

from recurra.cli import console

if __name__ == "__main__":
    sys.exit(console())
