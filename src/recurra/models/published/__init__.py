"""Weights that others have published: a Hugging Face folder of BERT, DistilBERT or RoBERTa, read and written back.

architecture  config.json: how large a network is, and what its parts do
names         how their tensors are called there, and here
masked        the head that tells hidden pieces
files         safetensors, in one file or in several
writing       a folder, from a model
"""

from __future__ import annotations

from recurra.models.published import masked
from recurra.models.published.architecture import FAMILIES, Architecture, as_config, read_architecture
from recurra.models.published.files import read_names, read_tensors
from recurra.models.published.names import Place, places_of, stripped
from recurra.models.published.writing import write_folder

__all__ = [
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
