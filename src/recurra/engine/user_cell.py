"""A user's own cell, compiled at first use and kept on disk by its content.

Where: $RECURRA_CACHE, else $XDG_CACHE_HOME/recurra, else ~/.cache/recurra. Two processes may build at once: each
writes a file of its own and renames it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from recurra.base.errors import ConfigError
from recurra.cells import Cell
from recurra.lower.kernel import kernel

FLAGS = {
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mavx2", "-mfma", "-mprefer-vector-width=512"],
    "avx2": ["-mavx2", "-mfma"],
    "portable": [],
}
COMMON = ["-std=c++20", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared"]
HEADERS = ("simd/vector.h", "simd/math.h", "recurrent/plan.h")
SECONDS = 120


def library(cell: Cell, isa: str) -> Path:
    """The shared library of `cell`, built unless it is there.

    Raises ConfigError if the cell has no kernel, or there is no working C++ compiler.
    """
    text, headers = source(cell), _headers()
    content = "\0".join([text, isa, *FLAGS[isa], *((headers / h).read_text() for h in HEADERS)])
    path = cache_folder() / f"{cell.name}-{isa}-{hashlib.sha256(content.encode()).hexdigest()[:24]}.so"
    if not path.exists():
        _build(text, [*COMMON, *FLAGS[isa], f"-I{headers}"], path)
    return path


def plan(library: Path) -> int:
    """The address of what a compiled cell does at each step. The library stays loaded until the process ends.

    Raises OSError for a file that cannot be loaded, ValueError for one that holds no cell.
    """
    try:
        entry = ctypes.CDLL(str(library)).recurra_plan
    except AttributeError:
        raise ValueError(f"{library}: holds no recurra cell") from None
    entry.restype = ctypes.c_void_p
    return int(entry())


def source(cell: Cell) -> str:
    """The C++ file of one cell."""
    return "\n".join(
        [
            '#include "simd/math.h"',
            '#include "recurrent/plan.h"',
            "namespace recurra::RECURRA_ISA {",
            kernel(cell),
            "}",
            'extern "C" const void* recurra_plan() {',
            f"    return &recurra::RECURRA_ISA::cell_{cell.name}::plan;",
            "}",
            "",
        ]
    )


def cache_folder() -> Path:
    """Where compiled cells are kept. Raises ConfigError for a user without a home folder."""
    if folder := os.environ.get("RECURRA_CACHE"):
        return Path(folder)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "recurra"
    except RuntimeError:  # no HOME, and a user id without an entry, as in many containers
        raise ConfigError(
            "there is no home folder to keep the compiled cell in, so the cell runs on the reference executor; set "
            "RECURRA_CACHE to a folder."
        ) from None


def _headers() -> Path:
    """The folder of the engine's headers: beside this file when installed, in native/ in a checkout."""
    for folder in (Path(__file__).parent / "native", Path(__file__).parents[3] / "native"):
        if all((folder / header).exists() for header in HEADERS):
            return folder
    raise ConfigError("the engine's headers are missing, so no cell can be compiled; reinstall recurra.")


def _build(text: str, flags: list[str], path: Path) -> None:
    compiler = shutil.which(os.environ.get("CXX") or "c++")
    if compiler is None:
        raise ConfigError("there is no C++ compiler (c++ or $CXX), so the cell runs on the reference executor.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        code, made = Path(folder) / "cell.cpp", Path(folder) / "cell.so"
        code.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run(  # noqa: S603 (the compiler that the user's environment names)
                [compiler, *flags, "-o", str(made), str(code)],
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"{compiler} failed ({error}), so the cell runs on the reference executor.") from None
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), "no message")
            raise ConfigError(f"{compiler} failed ({first}), so the cell runs on the reference executor.")
        os.replace(made, path)
