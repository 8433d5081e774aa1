"""recurra: train, explain and ship sequence models.

train   a file, a data frame or rows -> a trained Run          load     a run folder -> Run
resume  a stopped run, or one that is trained longer -> Run    Run      predict, evaluate, explain, export
sklearn estimators with scikit-learn's interface               nn       layers that take the place of torch.nn's
api     the verbs of the command line as functions
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from recurra.base.errors import ConfigError, DataError, RecurraError, RunError, ShapeError, TrainingError
    from recurra.python.evaluation import Evaluation
    from recurra.python.run import Run, load
    from recurra.python.training import resume, train

__all__ = [
    "ConfigError",
    "DataError",
    "Evaluation",
    "RecurraError",
    "Run",
    "RunError",
    "ShapeError",
    "TrainingError",
    "__version__",
    "load",
    "resume",
    "train",
]

# Where each name is. Imported when it is asked for: torch takes seconds.
_NAMES = {
    "recurra.base.errors": "ConfigError DataError RecurraError RunError ShapeError TrainingError",
    "recurra.python.evaluation": "Evaluation",
    "recurra.python.run": "Run load",
    "recurra.python.training": "resume train",
}
_PLACES = {name: module for module, names in _NAMES.items() for name in names.split()}


if not TYPE_CHECKING:  # else every name would be one of this module

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module 'recurra' has no attribute '{name}'")
        module = _PLACES[name]
        if module not in sys.modules:
            from recurra.base.importing import uncollected

            with uncollected():
                import_module(module)
        return getattr(sys.modules[module], name)


def __dir__() -> list[str]:
    return sorted(__all__)
