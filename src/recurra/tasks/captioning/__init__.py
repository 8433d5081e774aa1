"""One-to-many: a picture to a text that says what is seen in it.

config     what a config says                 columns   which column of a file is which
task       the five verbs                     rows      a picture with its captions
search     greedy, beam                       explain   what each word looked at
baselines  captions of the nearest picture    tables    worst and best captions, the most frequent
"""

from __future__ import annotations

from recurra.tasks.captioning.config import CaptioningConfig
from recurra.tasks.captioning.task import Captioning

__all__ = ["Captioning", "CaptioningConfig"]
