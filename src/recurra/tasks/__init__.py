"""The only place where data, model, loss, decoding and metrics meet. A new task is one folder and one line here.

A plan (what a config says) is fitted on training records and gives a task: a final class with the five verbs
example, collate, loss, predict, score. There is no base class.

contract         what a plan and a task must have
classification   a text to its label or labels
translation      a text to another text
text             tokens and ids, for every task that reads text
columns          which column of a file is which
asking           options of `predict` that a task does not have
"""

from __future__ import annotations

from recurra.base.registry import Registry
from recurra.tasks.classification.task import Classification, ClassificationPlan
from recurra.tasks.contract import Example, Plan, Task
from recurra.tasks.translation.plan import TranslationPlan
from recurra.tasks.translation.task import Translation

TASKS: Registry[type[Plan]] = Registry("task")
TASKS.add("classification", ClassificationPlan)
TASKS.add("translation", TranslationPlan)

__all__ = ["TASKS", "Classification", "ClassificationPlan", "Example", "Plan", "Task", "Translation", "TranslationPlan"]
