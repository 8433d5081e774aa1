"""What recurra needs to run, without itself: `python packaging/requirements.py [EXTRA ...]`, a requirement a line."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
wanted = [*project["dependencies"], *(r for extra in sys.argv[1:] for r in project["optional-dependencies"][extra])]
print("\n".join(wanted))
