"""Options of a training that takes a tenth of a second, and a callback that writes down what it hears."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.api_room import Listening

TINY: Mapping[str, Any] = {"epochs": 2, "hidden_size": 4, "embedding_size": 3, "batch_rows": 8, "lr": 0.03}

__all__ = ["TINY", "Listening"]
