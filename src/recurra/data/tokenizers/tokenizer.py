"""The contract of a tokenizer, and how one comes back from a run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from recurra.base.errors import ConfigError, RunError
from recurra.base.registry import Registry


class Tokenizer(Protocol):
    """Cuts a text into tokens, and joins them again; ready to use."""

    def tokenize(self, text: str) -> list[str]: ...
    def join(self, tokens: Sequence[str]) -> str:
        """A text that these tokens are cut from: spaces and symbols may stand differently than they once did."""
        ...

    def to_json(self) -> dict[str, Any]:
        """All that `tokenizer_from_json` needs, as plain JSON."""
        ...


class TokenizerPlan(Protocol):
    """What a config names: options, and the way to a tokenizer."""

    def train(self, texts: Iterable[str]) -> Tokenizer:
        """The tokenizer for these texts; words and characters need none, and read none."""
        ...


# name -> constructor of a plan; its keyword-only parameters are the options.
TOKENIZERS: Registry[Callable[..., TokenizerPlan]] = Registry("tokenizer")

Loader = Callable[[Mapping[str, Any]], Tokenizer]
LOADERS: Registry[Loader] = Registry("tokenizer")


def tokenizer_from_json(data: object) -> Tokenizer:
    """The tokenizer that wrote `data` with `to_json`.

    Raises RunError when `data` is not such a thing.
    """
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise RunError(f"tokenizer: expected an object with a name, got {str(data)[:60]!r}.")
    content = {key: value for key, value in data.items() if key != "name"}
    try:
        return LOADERS[data["name"]](content)
    except (ConfigError, TypeError) as error:
        raise RunError(f"tokenizer: {error}") from None


def with_keys(data: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """`data`, if these are its keys and no others. Raises RunError otherwise."""
    if set(data) != set(keys):
        raise RunError(f"tokenizer: expected the keys {', '.join(keys)}, got {', '.join(map(str, data))}.")
    return data
