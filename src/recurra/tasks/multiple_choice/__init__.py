"""Multiple choice: a text, perhaps a question, and choices, to the choice that fits.

config     what a config says, before any data is read      task       the verbs
rows       questions with their choices                     columns    which column is which
baselines  what a model must beat                           sizing     what init chooses
"""

from recurra.tasks.multiple_choice.config import MultipleChoiceConfig
from recurra.tasks.multiple_choice.task import MultipleChoice

__all__ = ["MultipleChoice", "MultipleChoiceConfig"]
