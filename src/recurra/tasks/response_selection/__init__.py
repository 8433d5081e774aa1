"""Replies that are chosen from those of training: what was said, and the reply whose vector is nearest.

config    what a config says          task     the five verbs, and the choice
replies   those that can be chosen    tables   examples for the report
"""

from recurra.tasks.response_selection.config import ResponseSelectionConfig
from recurra.tasks.response_selection.task import ResponseSelection

__all__ = ["ResponseSelection", "ResponseSelectionConfig"]
