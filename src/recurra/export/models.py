"""The models that can be written, by their type."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from recurra.base.errors import ConfigError
from recurra.export import encoder_decoder, encoders, language
from recurra.export.parts import Part
from recurra.models import Chords, Classifier, LanguageModel, Seq2Seq, Tagger
from recurra.nn import Recurrent

# A model's type -> its files
PARTS: dict[type[nn.Module], Callable[..., list[Part]]] = {
    Recurrent: encoders.layers_alone,
    Classifier: encoders.classifier,
    Tagger: encoders.tagger,
    Seq2Seq: encoder_decoder.seq2seq,
    LanguageModel: language.language_model,
    Chords: language.chords,
}


def parts_of(model: nn.Module, *, for_any: bool = True) -> list[Part]:
    """The files of a model; for_any: right in every runtime, or in ONNX Runtime alone.

    Raises ConfigError for a kind of model that is not known.
    """
    for kind in type(model).__mro__:
        if kind in PARTS:
            return PARTS[kind](model, for_any=for_any)
    raise ConfigError(
        f"export: cannot write a {type(model).__name__} as ONNX; known models: "
        f"{', '.join(kind.__name__ for kind in PARTS)}."
    )
