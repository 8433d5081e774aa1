"""The only place where data, model, loss, decoding and metrics meet. A new task is one folder and one line here.

A plan (what a config says) is fitted on training records and gives a task: a final class with the five verbs
example, collate, loss, predict, score. There is no base class.

contract         what a plan and a task must have
classification   a text to its label or labels
translation      a text to another text
language_model   a text, token by token
tagging          a tag for each token, or spans of a text
music            chords, step by step
text             tokens and ids, for every task that reads text
by_length        batches of examples of like lengths
columns          which column of a file is which
pieces           where a text that comes piece by piece may be cut
blank            texts without anything to read
asking           options of `predict` that a task does not have
"""

from __future__ import annotations

from recurra.base.registry import Registry
from recurra.tasks.classification.task import Classification, ClassificationPlan
from recurra.tasks.contract import Calibrates, Example, Judged, Manner, Order, Plan, ReadsOn, Task, Writes, Written
from recurra.tasks.language_model.plan import LanguageModelPlan
from recurra.tasks.language_model.task import LanguageModelling
from recurra.tasks.music import Music, MusicPlan
from recurra.tasks.tagging.plan import TaggingPlan
from recurra.tasks.tagging.task import Tagging
from recurra.tasks.translation.plan import TranslationPlan
from recurra.tasks.translation.task import Translation

TASKS: Registry[type[Plan]] = Registry("task")
TASKS.add("classification", ClassificationPlan)
TASKS.add("translation", TranslationPlan)
TASKS.add("language_model", LanguageModelPlan)
TASKS.add("tagging", TaggingPlan)
TASKS.add("music", MusicPlan)
# What people call them; `recurra init` takes these words too.
TASKS.also(
    "classification", "classify", "classifier", "text_classification", "sentiment", "sentiment_analysis", "spam",
    "topic", "topics", "intent", "language_identification",
)  # fmt: skip
TASKS.also(
    "translation", "translate", "translator", "seq2seq", "sequence_to_sequence", "text_to_text", "summarization",
    "summarisation", "summary", "summarize", "transliteration", "normalization", "g2p",
)  # fmt: skip
TASKS.also(
    "language_model", "lm", "language_modeling", "language_modelling", "generate", "generation", "text_generation"
)
TASKS.also(
    "tagging", "tag", "tagger", "ner", "pos", "named_entity_recognition", "part_of_speech", "token_classification",
    "chunking", "slots", "spans", "sequence_labeling", "sequence_labelling",
)  # fmt: skip
TASKS.also("music", "midi", "chords", "notes", "abc")

__all__ = [
    "TASKS",
    "Calibrates",
    "Classification",
    "ClassificationPlan",
    "Example",
    "Judged",
    "LanguageModelPlan",
    "LanguageModelling",
    "Manner",
    "Music",
    "MusicPlan",
    "Order",
    "Plan",
    "ReadsOn",
    "Tagging",
    "TaggingPlan",
    "Task",
    "Translation",
    "TranslationPlan",
    "Writes",
    "Written",
]
