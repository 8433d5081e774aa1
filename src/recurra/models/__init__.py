"""Whole networks made of layers. Each takes a Batch and returns a Prediction; none knows a label or a loss.

classifier   a sequence to one vector of logits
tagger       a sequence of words to a label for each of them
chords       notes that sound together to what sounds next
language_model  tokens to what comes next, with states in and out
seq2seq      a sequence to another one; or a vector, or a label, to a sequence
encoder      a source as a decoder sees it             bridge   its last states to the decoder's first
decoder      all steps at once, or one after another   readout  what the output layer reads
parts        a decoder from its options                options  what models share
scheduled_sampling  how often training shows the true token
"""

from __future__ import annotations

from torch import nn

from recurra.base.registry import Registry
from recurra.models.chords import Chords
from recurra.models.classifier import Classifier
from recurra.models.language_model import LanguageModel
from recurra.models.seq2seq import FromVector, Seq2Seq
from recurra.models.tagger import Tagger

MODELS: Registry[type[nn.Module]] = Registry("model")
MODELS.add("classifier", Classifier)
MODELS.add("language_model", LanguageModel)
MODELS.add("seq2seq", Seq2Seq)
MODELS.add("tagger", Tagger)
MODELS.add("chords", Chords)

__all__ = ["MODELS", "Chords", "Classifier", "FromVector", "LanguageModel", "Seq2Seq", "Tagger"]
