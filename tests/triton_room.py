"""Triton kernels in Triton's interpreter: a fork of this process, since that is chosen when triton is imported.

What the child computes comes back as arrays in a file, by name; a failure as its last line.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.toys import exit_of, fork_child

Arrays = dict[str, npt.NDArray[np.generic]]


def interpreted(work: Callable[[], Mapping[str, npt.NDArray[np.generic]]], path: Path) -> Arrays:
    """What `work` makes where triton interprets its kernels. Raises AssertionError with the reason if it fails."""
    assert "triton" not in sys.modules, "triton was imported before, and compiles; the interpreter is chosen at import"

    def child() -> int:
        os.environ["TRITON_INTERPRET"] = "1"
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy warns of infinities, which a GPU does not
        try:
            np.savez(path, **work())
        except BaseException as error:
            path.with_suffix(".txt").write_text(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
            return 1
        return 0

    code = exit_of(fork_child(child))
    assert code == 0, path.with_suffix(".txt").read_text()
    with np.load(path) as made:
        return dict(made)
