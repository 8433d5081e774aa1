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

    def child() -> int:
        os.environ["TRITON_INTERPRET"] = "1"
        _forget_triton()
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


def _forget_triton() -> None:
    """Let triton be imported anew: torch may have done so before. What is native is loaded once a process."""
    for name in [word for word in sys.modules if word.partition(".")[0] == "triton"]:
        if not name.startswith("triton._C"):
            del sys.modules[name]
