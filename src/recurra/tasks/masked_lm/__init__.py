"""Masked language model: pieces of a text that are hidden, told from all that stands around them.

config     what a config says, before any text is read      task      the verbs
pairs      two stretches, of one document or of two
sequences  texts as sequences of pieces                     masks     which pieces are hidden, and what stands there
tables     what a report shows                              sizing    what init chooses
"""

from recurra.tasks.masked_lm.config import MaskedLMConfig
from recurra.tasks.masked_lm.task import MaskedLM

__all__ = ["MaskedLM", "MaskedLMConfig"]
