"""A picture and a text together to a label: whether a sentence is true of a picture, or which answer a question has.

config    what a config says              task     the five verbs
rows      pictures with texts and labels  columns  which column of a file holds what
sizing    choices by the size of the data
"""

from __future__ import annotations

from recurra.tasks.picture_text.config import PictureTextConfig
from recurra.tasks.picture_text.task import PictureTextClassification

__all__ = ["PictureTextClassification", "PictureTextConfig"]
