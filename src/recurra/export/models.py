"""The models that can be written, by their type."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from recurra.base.errors import ConfigError
from recurra.export.autoencoder import autoencoder
from recurra.export.encoder_decoder import encoder_decoder
from recurra.export.fusion_model import fusion_model
from recurra.export.layers_alone import layers_alone
from recurra.export.parts import Part
from recurra.export.sequence_model import decoder_only, sequence_model
from recurra.models import DecoderOnly, EncoderDecoder, FusionModel, SequenceModel
from recurra.models.rebuilding import Rebuilding
from recurra.nn import Recurrent

# A model's type -> its files
PARTS: dict[type[nn.Module], Callable[..., list[Part]]] = {
    Recurrent: layers_alone,
    SequenceModel: sequence_model,
    EncoderDecoder: encoder_decoder,
    DecoderOnly: decoder_only,
    Rebuilding: autoencoder,
    FusionModel: fusion_model,
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
