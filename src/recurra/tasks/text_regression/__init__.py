"""Regression of texts: a number for a text, such as a rating, or for a pair, such as how alike two sentences are.

config     what a config says, before any data is read      task       the verbs
columns    which column is which                            baselines  what a model must beat
sizing     what init chooses
"""

from recurra.tasks.text_regression.config import TextRegressionConfig
from recurra.tasks.text_regression.task import TextRegression

__all__ = ["TextRegression", "TextRegressionConfig"]
