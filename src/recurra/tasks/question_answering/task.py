"""Question answering: five verbs between the data and the model."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from recurra.base.answers import AnswerKind
from recurra.base.contracts import Batch, Loss, Origin, Prediction, Record, Score, Table
from recurra.base.errors import DataError, RunError
from recurra.base.passages import PassageAnswer, PassageCandidate
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.tokenizers import Pieces, Vocabulary
from recurra.metrics import Compared
from recurra.metrics.squad import answer_quality, answer_scores, best_threshold
from recurra.tasks.blank import NOTE, blank_warnings
from recurra.tasks.bucketing import BucketSampler
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.options import refuse_options
from recurra.tasks.question_answering.baselines import compared
from recurra.tasks.question_answering.explain import explained
from recurra.tasks.question_answering.reading import PassageReader
from recurra.tasks.question_answering.rows import QuestionExample, QuestionRow, most_given
from recurra.tasks.question_answering.spans import Candidate, Spanned, best_spans, span_loss

if TYPE_CHECKING:
    from recurra.tasks.question_answering.config import QuestionAnsweringConfig

WORST = 20
# Characters of a text that a table shows.
SHOWN = 300


class QuestionAnswering:
    """Between questions, the model and the scores. nulls: whether no answer is an answer too, as in training

    threshold: by how much no answer must score above the best one to be given
    """

    answer_kind: ClassVar[AnswerKind] = "span"
    input_key: ClassVar[str] = "question"
    options: ClassVar[tuple[str, ...]] = ("n_best",)
    fitted: str

    def __init__(
        self, plan: QuestionAnsweringConfig, reader: PassageReader, *, nulls: bool, threshold: float | None = None
    ) -> None:
        self.plan, self.reader, self.nulls = plan, reader, nulls
        self.threshold = (plan.threshold or 0.0) if threshold is None else threshold
        self.fitted = ""
        self.n_best: int | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the rows of a model's table stand for."""
        return self.reader.vocabulary

    @property
    def pieces(self) -> Pieces | None:
        """The word pieces that texts are read in, if they are."""
        return self.reader.pieces

    @property
    def head_labels(self) -> tuple[str, ...]:
        """What the model's head tells apart."""
        return ("begin", "end")

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: sizes of the vocabularies."""
        return self.reader.sizes

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> QuestionExample:
        """Read a record; without `gold` the answer may be missing, and texts may be blank.

        Raises DataError, with file and line, for what is no question about a text.
        """
        if gold:
            return self._example(self.plan.read(record))
        return self._read(*self.plan.columns.texts(record), record.origin)

    def examples(self, rows: Iterable[QuestionRow], means: Means = IN_MEMORY) -> Iterator[QuestionExample]:
        """Rows as examples, one by one."""
        return map(self._example, rows)

    def _example(self, row: QuestionRow) -> QuestionExample:
        answers = tuple(one.text for one in row.answers)
        return self._read(row.question, row.context, row.origin, row.id, answers, row)

    def _read(
        self,
        question: str,
        context: str,
        origin: Origin,
        id: str = "",
        answers: tuple[str, ...] | None = None,
        row: QuestionRow | None = None,
    ) -> QuestionExample:
        whole, passage = self.reader.cut(question), self.reader.cut(context)
        asked = whole.part(0, self.plan.max_question)
        windows = self.reader.windows(len(asked), len(passage))
        steps = sum(len(asked) + self.reader.marks + b - a for a, b in windows)
        span, widened = None, ""
        if row is not None and row.answers:
            wanted = most_given(row.answers)
            span = passage.covering(wanted.start, wanted.end)
            if span is not None and (covered := passage.characters(*span)) != (wanted.start, wanted.end):
                widened = f"{wanted.text!r:.60} in {context[covered[0] : covered[1]]!r:.60}"
        return QuestionExample(
            question, context, asked, passage, answers, span, id, origin, len(whole), steps, len(windows), widened
        )

    def sampler(
        self, examples: Sequence[QuestionExample], *, batch_tokens: int, batch_rows: int, seed: int
    ) -> BucketSampler:
        """Those of like lengths together."""
        return BucketSampler(examples, self.collate, batch_tokens, batch_rows, seed)

    def collate(self, examples: Sequence[QuestionExample], indices: Sequence[int]) -> Batch:
        """What `PassageReader` has, "nulls" (N,), and the lengths (N,) of places; targets spans (N, 2) where all are
        known.
        """
        inputs, nulls = self.reader.inputs([(e.asked, e.passage) for e in examples], nulls=self.nulls)
        lengths = nulls + torch.tensor([len(e.passage) for e in examples], dtype=torch.int64)
        targets = {}
        if examples and all(e.span is not None or (self.nulls and e.answers is not None) for e in examples):
            targets = {"spans": torch.tensor([e.span or (-1, -1) for e in examples], dtype=torch.int64)}
        return Batch({**inputs, "nulls": nulls}, lengths, targets, tuple(indices))

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """-log p of the first and the last token of each answer, in nats."""
        logits = prediction.outputs["span_logits"]
        return span_loss(logits, batch.lengths, batch.inputs["nulls"], batch.targets["spans"])

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[QuestionExample]) -> list[Spanned]:
        """The best spans of each context; the model is in eval mode. Raises RunError for a model that is not finite."""
        logits = model(batch).outputs["span_logits"].detach().double().cpu().numpy()
        found = []
        for n, (places, nulls) in enumerate(zip(batch.lengths.tolist(), batch.inputs["nulls"].tolist(), strict=True)):
            own = logits[:places, n]
            if not np.isfinite(own).all():
                raise RunError("the model's scores are not finite. Train again, with a lower training.optimizer.lr.")
            found.append(best_spans(own, nulls, longest=self.plan.max_answer, number=self._looked_at))
        return found

    @property
    def _looked_at(self) -> int:
        """Spans from which answers are taken: several may say the same."""
        return 4 * (self.n_best or 1)

    def said(self, example: QuestionExample, output: Spanned) -> Candidate | None:
        """The answer that is given; None for no answer."""
        if example.is_blank or not output.best or output.gap > self.threshold:
            return None
        return output.best[0]

    def said_text(self, example: QuestionExample, output: Spanned) -> str:
        """The words of the answer, "" for none."""
        found = self.said(example, output)
        return "" if found is None or found.span is None else example.text(*found.span)

    def score(self, outputs: Sequence[Spanned], examples: Sequence[QuestionExample], split: str) -> tuple[Score, ...]:
        """Exact match and F1 as the official scripts of SQuAD count them, 0..1."""
        said = [self.said_text(e, o) for e, o in zip(examples, outputs, strict=True)]
        return answer_scores(said, [e.answers or () for e in examples], split)

    def filter(
        self, examples: Sequence[QuestionExample], split: str
    ) -> tuple[Sequence[QuestionExample], tuple[str, ...]]:
        """All of them, with what a person should know; of train those whose answer can be learned.

        Raises DataError for two questions of one id.
        """
        self._refuse_twins(examples)
        kept = [e for e in examples if split != "train" or e.span is not None or not e.answers]
        return kept, tuple(note for note in self._notes(examples, kept, split) if note)

    def _refuse_twins(self, examples: Sequence[QuestionExample]) -> None:
        seen: dict[str, Origin] = {}
        for example in examples:
            if example.id and example.id in seen:
                raise DataError(
                    f"{example.origin}: the id '{example.id}' stands at {seen[example.id]} too, expected one question "
                    "of each id. Leave one out, or task.id: null."
                )
            seen[example.id] = example.origin

    def _notes(self, examples: Sequence[QuestionExample], kept: Sequence[QuestionExample], split: str) -> Iterator[str]:
        if len(kept) < len(examples):
            lost = next(e for e in examples if e.answers and e.span is None)
            number = len(examples) - len(kept)
            yield f"{split}: {number:,} answers hold no token, and are left out; the first: {lost.origin}."
        none = [e for e in examples if e.answers == ()]
        if none and (split == "train" or not self.nulls):
            more = "" if self.nulls else ", and training has none such, so that the model always gives one"
            yield f"{split}: {len(none):,} of {len(examples):,} questions have no answer in their context{more}."
        if wide := [e for e in examples if e.widened]:
            yield (
                f"{split}: {len(wide):,} of {len(examples):,} answers begin or end inside a token, and are learned "
                f"with all of it; the first: {wide[0].origin}, {wide[0].widened}."
            )
        long = [e for e in examples if e.answers and e.span and e.span[1] - e.span[0] >= self.plan.max_answer]
        if long:
            yield (
                f"{split}: {len(long):,} of {len(examples):,} answers have more than task.max_answer = "
                f"{self.plan.max_answer} tokens, and are never given; the first: {long[0].origin}."
            )
        yield from self._long_texts(examples, f"{split}: ")

    def _long_texts(self, examples: Sequence[QuestionExample], where: str) -> Iterator[str]:
        if several := [e for e in examples if e.windows > 1]:
            most = max(e.windows for e in several)
            yield (
                f"{where}{len(several):,} of {len(examples):,} contexts are longer than task.window = "
                f"{self.plan.window} tokens, and are read in {'2' if most == 2 else f'2 to {most}'} windows that "
                f"share {self.plan.shared}; the first: {several[0].origin}, {len(several[0].passage):,} tokens."
            )
        if cut := [e for e in examples if e.all_asked > len(e.asked)]:
            yield (
                f"{where}{len(cut):,} of {len(examples):,} questions are longer than task.max_question = "
                f"{self.plan.max_question} tokens, and the rest is not read; the first: {cut[0].origin}, "
                f"{cut[0].all_asked:,} tokens."
            )

    # -- for predict -----------------------------------------------------------------------------------------------

    def warnings(self, outputs: Sequence[Spanned], examples: Sequence[QuestionExample]) -> tuple[str, ...]:
        """Blank texts, windows, and questions that are cut."""
        return (*blank_warnings(examples), *self._long_texts(examples, ""))

    def with_options(self, options: Mapping[str, Any]) -> QuestionAnswering:
        """The task with several answers (`n_best`). Raises ConfigError."""
        refuse_options(options, "question_answering", self.options)
        other = copy.copy(self)
        other.n_best = options.get("n_best")
        return other

    def answer(self, example: QuestionExample, output: Spanned) -> PassageAnswer:
        """The answer with its characters in the context; the n best ones, if asked for, no answer among them where it
        can be."""
        if example.is_blank:
            return PassageAnswer("", None, None, None, example.question, note=NOTE)
        said = self.said(example, output) or output.null
        listed = self._distinct(example, output)
        if said is None or said.span is None:
            chance = None if said is None else said.probability
            return PassageAnswer("", chance, None, None, example.question, listed, "no answer")
        start, end = example.passage.characters(*said.span)
        return PassageAnswer(example.context[start:end], said.probability, start, end, example.question, listed)

    def _distinct(self, example: QuestionExample, output: Spanned) -> tuple[PassageCandidate, ...] | None:
        """The n best answers, each text once, and no answer always, where there is any; None unless asked for."""
        if self.n_best is None:
            return None
        found: dict[str, PassageCandidate] = {}
        for one in output.best:
            if one.span is not None and len(found) < self.n_best:
                start, end = example.passage.characters(*one.span)
                found.setdefault(
                    example.context[start:end],
                    PassageCandidate(example.context[start:end], one.probability, start, end),
                )
        listed = list(found.values())
        if output.null is not None:
            listed.append(PassageCandidate("", output.null.probability, None, None))
        return tuple(sorted(listed, key=lambda one: -one.score))

    def explain(self, model: torch.nn.Module, example: QuestionExample, device: torch.device) -> ExplanationTarget:
        """What can be seen of a model while it answers."""
        return explained(self, model, example, device)

    # -- after training --------------------------------------------------------------------------------------------

    @property
    def tunes(self) -> bool:
        """Whether there is a threshold to fit: some questions have no answer, and the config leaves it open."""
        return self.nulls and self.plan.threshold is None

    def thresholded(self, outputs: Sequence[Spanned], examples: Sequence[QuestionExample]) -> QuestionAnswering:
        """The task with the threshold for no answer at which F1 of these is best."""
        told = [(o, e) for o, e in zip(outputs, examples, strict=True) if o.best and o.null is not None]
        qualities = [answer_quality(e.text(*o.best[0].span or (0, 0)), e.answers or (), nulls=True)[1] for o, e in told]
        found = best_threshold([o.gap for o, _ in told], qualities, [bool(e.answers) for _, e in told])
        other = copy.copy(self)
        other.threshold = found
        before, after = (
            next(s.value for s in task.score(outputs, examples, "dev") if s.name == "f1") for task in (self, other)
        )
        other.fitted = (
            f"{found:.4g}, where F1 is best on {len(examples):,} dev rows: {100 * before:.1f} to {100 * after:.1f} %"
        )
        return other

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Spanned], examples: Sequence[QuestionExample]) -> tuple[Table, ...]:
        """The surest wrong answers."""
        nulls = any(not e.answers for e in examples)
        rows = []
        for output, example in zip(outputs, examples, strict=True):
            said, golds = self.said_text(example, output), example.answers or ()
            if answer_quality(said, golds, nulls=nulls)[1] == 0.0:
                chance = (self.said(example, output) or output.null or Candidate(None, 0.0, 0.0)).probability
                rows.append((chance, example, said, golds))
        rows.sort(key=lambda row: -row[0])
        shown = tuple(
            (
                e.question[:SHOWN],
                golds[0][:SHOWN] if golds else "(none)",
                said[:SHOWN] or "(none)",
                chance,
                str(e.origin),
            )
            for chance, e, said, golds in rows[:WORST]
        )
        return (
            Table(
                "Answers without a right word, the surest first",
                ("question", "true", "predicted", "sureness", "place"),
                shown,
            ),
        )

    def baselines(self, train: Sequence[QuestionExample], splits: Mapping[str, Sequence[QuestionExample]]) -> Compared:
        """What it reaches to count the words that question and context share."""
        return compared(train, splits)

    def facts(self, splits: Mapping[str, Sequence[QuestionExample]]) -> dict[str, str | int | float]:
        """Sizes, questions without an answer, and windows, by split."""
        found: dict[str, str | int | float] = {"vocabulary": len(self.vocabulary)}
        for name, examples in splits.items():
            counts: Counter[str] = Counter()
            contexts = set()
            for e in examples:
                contexts.add(e.context)
                counts.update(tokens=len(e.passage), without=not e.answers, windows=e.windows)
            found |= {f"{name} questions": len(examples), f"{name} contexts": len(contexts)}
            found[f"{name} tokens of a context"] = round(counts["tokens"] / max(len(examples), 1), 1)
            if self.nulls:
                found[f"{name} questions without an answer"] = counts["without"]
            if counts["windows"] > len(examples):
                found[f"{name} windows"] = counts["windows"]
        return found

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "f1"

    def possible_scores(self, examples: Sequence[QuestionExample]) -> tuple[Score, ...]:
        """The scores that these rows can have, with those of never giving an answer."""
        return answer_scores([""] * len(examples), [e.answers or () for e in examples], "dev")

    def perfect(self, examples: Sequence[QuestionExample]) -> list[Spanned]:
        """What a model would say that finds what is to be learned."""
        return [_sure(e.span) for e in examples]

    def doubts(self, examples: Sequence[QuestionExample], short: Sequence[Score]) -> tuple[str, ...]:
        """Answers that begin or end inside a token, if scores are short of their best value."""
        number = sum(bool(e.widened) for e in examples)
        return (
            (f"{number:,} answers begin or end inside a token, and answers are whole tokens.",)
            if number and short
            else ()
        )

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {"reader": self.reader.to_json(), "nulls": self.nulls, "threshold": self.threshold}


def _sure(span: tuple[int, int] | None) -> Spanned:
    if span is None:
        return Spanned((), Candidate(None, 0.0, 1.0))
    return Spanned((Candidate(span, 0.0, 1.0),))
