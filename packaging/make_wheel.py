"""A wheel for Linux that needs no compiler where it is installed: `python packaging/make_wheel.py DIST`.

Compiled for all instruction sets of the processor's family, for the Python that runs this. The module is linked against
this machine's C and C++ libraries but asks for nothing newer than glibc 2.28 (`native/bind/old_systems.cpp`). OpenMP
comes with it: the libgomp of torch's own wheel, which was made for old systems too. Works on Linux with GCC; other
systems are built by cibuildwheel (`pyproject.toml`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

POLICY = "manylinux_2_28"
MOST_BYTES = 15 * 1024**2


def main(dist: Path) -> int:
    """Builds, repairs and checks the wheel; prints its path and size."""
    dist.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        made = build(Path(scratch))
        wheel = repair(made, Path(scratch), dist)
    size = wheel.stat().st_size
    if size > MOST_BYTES:
        wheel.unlink()
        raise SystemExit(f"{wheel.name}: {size / 1024**2:.1f} MiB, more than {MOST_BYTES / 1024**2:.0f}; not kept")
    print(f"{wheel}: {size / 1024**2:.2f} MiB, {modules(wheel)}")
    return 0


def build(scratch: Path) -> Path:
    """The wheel as pip makes it. The compiler's failure is an error here, not a wheel without the engine."""
    settings = {"cmake.define.RECURRA_OLD_SYSTEMS": "ON", "build-dir": "build/wheel-{wheel_tag}"}
    given = [f"--config-settings={key}={value}" for key, value in settings.items()]
    run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", *given, "-w", str(scratch), "."])
    (wheel,) = scratch.glob("*.whl")
    if wheel.name.endswith("-any.whl"):
        raise SystemExit(f"{wheel.name}: the engine was not compiled; run `make native` to see the compiler's message")
    return wheel


def repair(wheel: Path, scratch: Path, dist: Path) -> Path:
    """The wheel with its OpenMP, named by the oldest systems that it runs on."""
    libraries = scratch / "libraries"
    libraries.mkdir()
    shutil.copy(openmp(), libraries / "libgomp.so.1")
    machine = os.uname().machine
    command = [
        sys.executable,
        "-m",
        "auditwheel",
        "repair",
        "--plat",
        f"{POLICY}_{machine}",
        "-w",
        str(scratch / "out"),
    ]
    run(
        [*command, str(wheel)],
        LD_LIBRARY_PATH=str(libraries),
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    )
    (repaired,) = (scratch / "out").glob("*.whl")
    for old in dist.glob(f"{repaired.name.split('-')[0]}-*-{repaired.name.split('-')[2]}-*linux*.whl"):
        old.unlink()
    return Path(shutil.move(repaired, dist / repaired.name))


def openmp() -> Path:
    """The libgomp in torch's wheel."""
    spec = find_spec("torch")
    found = sorted(Path(str(spec.origin)).parent.glob("lib/libgomp*.so*")) if spec else []
    if not found:
        raise SystemExit("torch's wheel with its libgomp is not installed here; run `make native` first")
    return found[0]


def modules(wheel: Path) -> str:
    """The compiled files in a wheel, with their sizes."""
    with zipfile.ZipFile(wheel) as archive:
        found = [f"{Path(i.filename).name} {i.file_size:,} bytes" for i in archive.infolist() if ".so" in i.filename]
    return ", ".join(found)


def run(command: list[str], **environment: str) -> None:
    """Run a command, and end with its message where it fails."""
    done = subprocess.run(command, env={**os.environ, **environment}, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:5])} ... ended with {done.returncode}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    raise SystemExit(main(Path(sys.argv[1])))
