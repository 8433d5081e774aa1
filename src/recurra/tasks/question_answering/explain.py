"""What can be looked into while a question is answered: which tokens spoke for the answer, and what heads look at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from recurra.base.contracts import Table
from recurra.tasks.encoder_attention import attention_maps, attention_table, attention_weights
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of, entry_of
from recurra.tasks.question_answering.reading import owners
from recurra.tasks.question_answering.rows import QuestionExample
from recurra.tasks.question_answering.spans import Spanned

if TYPE_CHECKING:
    from recurra.tasks.question_answering.task import QuestionAnswering

# Answers in the table.
SHOWN = 5


def explained(
    task: QuestionAnswering, model: torch.nn.Module, example: QuestionExample, device: torch.device
) -> ExplanationTarget:
    """The log-probability of the answer. Of a context in several windows the one is shown in which the answer
    stands.
    """
    task = task.with_options({"n_best": SHOWN})
    output: Spanned = answer_of(task, model, example, device)
    answer = task.answer(example, output)
    said = task.said(example, output)
    known = _seen(task, example, None if said is None else said.span)
    tokens = task.reader.framed(known.asked, known.passage)
    weights = attention_weights(model, task.collate([known], [0]).to(device))
    asked = slice(0, len(known.asked) + 1)
    return ExplanationTarget(
        answer.to_dict(),
        tokens,
        entry_of(model),
        {"encoder": tokens},
        copies_of(task, known, device),
        lambda prediction, batch: -task.loss(prediction, batch).total,
        f"the log-probability of '{answer.answer}'" if answer.answer else "the log-probability of no answer",
        tuple(attention_maps(weights, tokens, asked)),
        (_candidates(task, example, output), *attention_table(weights)),
    )


def _seen(task: QuestionAnswering, example: QuestionExample, span: tuple[int, int] | None) -> QuestionExample:
    """The example with this answer, cut to the window in which it begins."""
    spans = task.reader.windows(len(example.asked), len(example.passage))
    start, stop = spans[0 if span is None else int(owners(spans, len(example.passage))[span[0]])]
    inside = None if span is None else (span[0] - start, min(span[1], stop - 1) - start)
    answers = () if span is None and task.nulls else ("",)
    return replace(
        example,
        passage=example.passage.part(start, stop),
        answers=answers,
        span=inside or (None if task.nulls else (0, 0)),
    )


def _candidates(task: QuestionAnswering, example: QuestionExample, output: Spanned) -> Table:
    rows = tuple((one.answer or "(no answer)", f"{one.score:.1%}") for one in task.answer(example, output).n_best or ())
    return Table("Answers", ("answer", "probability"), rows)
