"""Pictures by what is said of them, and sayings by pictures: two encoders whose vectors are compared.

config     what a config says                 task       the five verbs, and vectors for a search
scoring    ranks either way                   baselines  what training pictures and captions alone find
tables     which captions are found worst
"""

from __future__ import annotations

from recurra.tasks.retrieval.config import RetrievalConfig
from recurra.tasks.retrieval.task import Retrieval

__all__ = ["Retrieval", "RetrievalConfig"]
