"""What a config says of question answering, before any data is read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, RunError
from recurra.base.option import Opt
from recurra.data.fields import Field
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.tokenizers import CUTTERS, CutterName, read_pieces
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.question_answering.columns import suggested
from recurra.tasks.question_answering.reading import PassageReader, read_pieces_from_json
from recurra.tasks.question_answering.rows import QuestionColumns, QuestionExample, QuestionRow
from recurra.tasks.question_answering.sizing import sized
from recurra.tasks.question_answering.task import QuestionAnswering
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.tagging.readers import WordReader

# Tokens of a window that a model of published weights reads unless the config says otherwise (Devlin et al. 2019,
# appendix A.3).
USUAL_OVERLAP = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionAnsweringConfig:
    """The task as a config describes it, before any data is read."""

    needs: ClassVar = Needs(
        "sequence_model",
        {"inputs": ("words_and_characters", "word_pieces"), "head": ("span",), "wide": ("none",)},
        {"encoder.bidirectional": True},
    )

    question: Annotated[str, Opt("column with the question", named=True)] = "question"
    context: Annotated[str, Opt("column with the text in which the answer stands", named=True)] = "context"
    answer: Annotated[
        str,
        Opt(
            "column with the answer, letter by letter as in the context, or with answers as SQuAD has them", named=True
        ),
    ] = "answers"
    start: Annotated[
        str | None, Opt("column with the first character of the answer; null: where it stands first", named=True)
    ] = None
    id: Annotated[str | None, Opt("column that names a question, for messages; none may come twice", named=True)] = None
    group: Annotated[
        str | None,
        Opt(
            "column whose rows stay in one split, such as the title of an article; null: those of one context",
            named=True,
        ),
    ] = None
    tokenizer: Annotated[str, Opt("how texts are cut without pieces", choices=tuple(CUTTERS))] = "words"
    min_count: Annotated[int, Opt("rarer words are read as unknown, by their letters alone", ge=1)] = 1
    max_vocabulary: Annotated[
        int | None, Opt("entries of the vocabulary of words, 4 of them special; null is no limit", ge=5)
    ] = None
    pieces: Annotated[str | None, Opt("folder whose word pieces are read for words; model.encoder.folder sets it")] = (
        None
    )
    window: Annotated[
        int | None,
        Opt("tokens of a window, question and marks among them, for contexts that are longer; null: no limit", ge=16),
    ] = None
    overlap: Annotated[
        int | None,
        Opt("tokens of the context that two windows share; null: 128, at most a quarter of the window", ge=0),
    ] = None
    max_question: Annotated[int, Opt("tokens of a question that are read", ge=1)] = 64
    max_answer: Annotated[int, Opt("tokens of an answer at most", ge=1)] = 30
    threshold: Annotated[
        float | None,
        Opt("by how much no answer must score above the best one to be given; null: where F1 on dev is best"),
    ] = None

    def __post_init__(self) -> None:
        named = {"question": self.question, "context": self.context, "answer": self.answer, "start": self.start,
                 "id": self.id}  # fmt: skip
        counts = Counter(column for column in named.values() if column is not None)
        problems = [
            f"{name}: is '{column}', another column's name too; expected a column of its own."
            for name, column in list(named.items())[1:]
            if column is not None and counts[column] > 1
        ]
        problems += self._lengths()
        if self.threshold is not None and not math.isfinite(self.threshold):
            problems.append("threshold: expected a finite number, or null.")
        if self.pieces is not None:
            given = [("min_count", self.min_count != 1), ("max_vocabulary", self.max_vocabulary is not None)]
            problems += [
                f"{name}: has no effect with pieces, which all have numbers; leave it out." for name, on in given if on
            ]
        if problems:
            raise ConfigError(problems)

    def _lengths(self) -> Iterator[str]:
        if self.window is None:
            if self.overlap is not None:
                yield "overlap: has no effect without window; leave it out."
            return
        room = self.window - self.max_question - 4
        if room < self.shared + 1:
            yield (
                f"overlap: two windows of {self.window} tokens, of which a question takes up to {self.max_question} "
                f"and marks 4, cannot share {self.shared}; expected at most {max(room - 1, 0)}. Lower max_question or "
                "overlap, or raise window."
            )

    @property
    def shared(self) -> int:
        """Tokens of the context that two windows share."""
        return min(USUAL_OVERLAP, (self.window or 0) // 4) if self.overlap is None else self.overlap

    @property
    def columns(self) -> QuestionColumns:
        return QuestionColumns(self.question, self.context, self.answer, self.start, self.id, self.group)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """What is read; `predict TEXT` fills the first one."""
        return (Field(self.question), Field(self.context))

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        more = (name for name in (self.start, self.id, self.group) if name is not None)
        return tuple(dict.fromkeys((self.question, self.context, self.answer, *more)))

    @property
    def splits(self) -> tuple[str, ...]:
        """Ways to take dev and test from train; the first one where the config names none."""
        return ("random", "hash", "folds")

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        return (
            {"tokens": 8} if self.pieces is not None else {"words": 5, "characters": 5, "patterns": 5, "dictionary": 3}
        )

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError or DataError if its columns do not fit."""
        return suggested(rows, file)

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def read(self, record: Record) -> QuestionRow:
        """A question with its answers. Raises DataError, with file and line, if nothing can be learned from it."""
        return self.columns.read(record)

    def fit(self, records: Sequence[Record], source: str) -> QuestionAnswering:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Collection[QuestionRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[QuestionAnswering, Iterator[QuestionExample]]:
        """The task from training rows, and these as examples. Raises DataError if there is nothing to learn."""
        nulls = any(not row.answers for row in rows)
        if self.pieces is not None:
            reader = self._reader(pieces=read_pieces(Path(self.pieces)), words=None)
        else:
            reader = self._reader(pieces=None, words=self._words(rows, means))
        task = QuestionAnswering(self, reader, nulls=nulls)
        return task, task.examples(means.encoding(rows), means)

    def _words(self, rows: Collection[QuestionRow], means: Means) -> WordReader:
        counts: Counter[str] = Counter()
        cut = CUTTERS[self._cutter]
        texts = {text: None for row in rows for text in (row.question, row.context)}
        for text in texts:
            counts.update(text[start:end] for start, end in cut(text))
        return WordReader.fit(
            counts,
            means.extra,
            min_count=self.min_count,
            max_size=self.max_vocabulary,
            lowercase=True,
            zero_digits=True,
        )

    @property
    def _cutter(self) -> CutterName:
        return self.tokenizer  # type: ignore[return-value]  # one of CUTTERS, as its option says

    def _reader(self, **lookup: Any) -> PassageReader:
        return PassageReader(
            **lookup, cutter=self._cutter, window=self.window, overlap=self.shared, max_question=self.max_question
        )

    def restore(self, data: Mapping[str, Any], origin: str) -> QuestionAnswering:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        try:
            held, nulls, threshold = data["reader"], data["nulls"], data["threshold"]
            if type(nulls) is not bool or isinstance(threshold, bool) or not math.isfinite(threshold):
                raise ValueError(f"nulls {nulls!r} and threshold {threshold!r}")
            pieces = read_pieces_from_json(held["pieces"])
            words = None if held["words"] is None else WordReader.from_json(held["words"], origin)
            if (pieces is None) == (words is None):
                raise ValueError("neither pieces nor words, or both")
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{origin}: expected a reader of questions: {str(error)[:300]}.") from error
        return QuestionAnswering(
            self, self._reader(pieces=pieces, words=words), nulls=nulls, threshold=float(threshold)
        )
