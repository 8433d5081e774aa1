"""The only place where data, model, loss, decoding and metrics meet. A new task is one folder and one line here.

A plan (what a config says) is fitted on training records and gives a task: a final class with the five verbs
example, collate, loss, decode, score. There is no base class.

classification   a text to its label or labels
text             tokens and ids, for every task that reads text
"""

from __future__ import annotations

from recurra.base.registry import Registry
from recurra.tasks.classification.task import Classification, ClassificationPlan

TASKS: Registry[type[ClassificationPlan]] = Registry("task")
TASKS.add("classification", ClassificationPlan)

__all__ = ["TASKS", "Classification", "ClassificationPlan"]
