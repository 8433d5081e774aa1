"""Question answering: a question about a text, to the part of the text that answers it, or to none.

config     what a config says, before any data is read      task       the verbs
rows       questions as records have them, and as examples   columns    which column is which
reading    tokens with their places, and windows             spans      scores to the loss and to the best answers
baselines  what a model must beat                            explain    what `inspect` shows
sizing     what init chooses
"""

from recurra.tasks.question_answering.config import QuestionAnsweringConfig
from recurra.tasks.question_answering.task import QuestionAnswering

__all__ = ["QuestionAnswering", "QuestionAnsweringConfig"]
