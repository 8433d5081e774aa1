"""Conversations: what was said last to the reply.

config    what a config says              columns    which column of a file is which
turns     conversations as files have them  exchanges  a context and its reply, as an example
reading   tokens, and what training had   replying   how a reply is written
task      the five verbs                  ranking    the right reply among others
tables    examples for the report         sizing     what init chooses by the size of the data
options   those that tasks of conversations share   contexts   conversations to examples
losses    replies alone, or all turns
"""

from recurra.tasks.dialogue.config import CHAT_LM, DialogueConfig
from recurra.tasks.dialogue.task import Dialogue

__all__ = ["CHAT_LM", "Dialogue", "DialogueConfig"]
