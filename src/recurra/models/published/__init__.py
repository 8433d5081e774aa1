"""Weights that others have published: a Hugging Face folder of BERT, DistilBERT or RoBERTa, read and written back; and
BERT as Google published it.

architecture  config.json: how large a network is, and what its parts do
names         how their tensors are called there, and here
masked        the head that tells hidden pieces
files         safetensors, in one file or in several, or else a checkpoint
checkpoint    TensorFlow's: an index and files of numbers      crc32c  their check
writing       a folder, from a model
"""

from __future__ import annotations

from recurra.models.published import masked
from recurra.models.published.architecture import CONFIGS, FAMILIES, Architecture, as_config, read_architecture
from recurra.models.published.files import read_names, read_tensors
from recurra.models.published.names import Place, places_of, stripped
from recurra.models.published.writing import write_folder

__all__ = [
    "CONFIGS",
    "FAMILIES",
    "Architecture",
    "Place",
    "as_config",
    "masked",
    "places_of",
    "read_architecture",
    "read_names",
    "read_tensors",
    "stripped",
    "write_folder",
]
