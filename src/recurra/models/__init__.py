"""Whole networks made of components. Each takes a Batch and returns a Prediction; none knows a label or a loss.

contract         what components are to one another
inputs/          what a step reads                    encoders/  what the steps know of one another
heads/           what is said of them                 decoders/  what writes a target, token by token
wide/            what is said beside that, of n-grams
word_vectors     two vectors for each word             autoencoder     a row to a code, and back
text_autoencoder  a text to a code, and back          text_dual_encoder  what was said and replies as vectors
latents/         what a code is like                   reconstructions/  from a code back to a row
sequence_model   inputs, an encoder, a head           encoder_decoder  inputs, an encoder, a decoder
dual_encoder     a picture and a text to a vector each  decoder_only   source and target as one text
fusion_model     a picture and a text read together    options         what components share
"""

from __future__ import annotations

from torch import nn

from recurra.base.registry import Registry
from recurra.models.autoencoder import Autoencoder, HasCodes
from recurra.models.decoder_only import DecoderOnly
from recurra.models.decoders import DECODERS
from recurra.models.dual_encoder import DualEncoder
from recurra.models.encoder_decoder import EncoderDecoder
from recurra.models.encoders import ENCODERS
from recurra.models.forecaster import Forecaster
from recurra.models.fusion_model import FusionModel
from recurra.models.heads import HEADS
from recurra.models.inputs import INPUTS
from recurra.models.latents import LATENTS
from recurra.models.reconstructions import RECONSTRUCTIONS
from recurra.models.sequence_model import IncrementalModel, SequenceModel
from recurra.models.text_autoencoder import TextAutoencoder
from recurra.models.text_dual_encoder import TextDualEncoder
from recurra.models.wide import WIDES
from recurra.models.word_vectors import TwoTables

MODELS: Registry[type[nn.Module]] = Registry("model", "recurra.models")
MODELS.add("sequence_model", SequenceModel)
MODELS.add("encoder_decoder", EncoderDecoder)
MODELS.add("decoder_only", DecoderOnly)
MODELS.add("forecaster", Forecaster)
MODELS.add("word_vectors", TwoTables)
MODELS.add("autoencoder", Autoencoder)
MODELS.add("text_autoencoder", TextAutoencoder)
MODELS.add("text_dual_encoder", TextDualEncoder)
MODELS.add("dual_encoder", DualEncoder)
MODELS.add("fusion_model", FusionModel)

__all__ = [
    "DECODERS",
    "ENCODERS",
    "HEADS",
    "INPUTS",
    "LATENTS",
    "MODELS",
    "RECONSTRUCTIONS",
    "WIDES",
    "Autoencoder",
    "DecoderOnly",
    "DualEncoder",
    "EncoderDecoder",
    "Forecaster",
    "FusionModel",
    "HasCodes",
    "IncrementalModel",
    "SequenceModel",
    "TextAutoencoder",
    "TextDualEncoder",
    "TwoTables",
]
