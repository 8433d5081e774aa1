"""Translation: a text to another one."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from statistics import mean
from typing import Any, ClassVar, cast

import torch

from recurra.base.answers import AnswerKind, Attention, Text
from recurra.base.answers import Candidate as Said
from recurra.base.contracts import Batch, Loss, Prediction, Record, Score, Table
from recurra.base.errors import DataError
from recurra.base.normal import normal
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.store import chosen
from recurra.data.tokenizers import Encoded, encode
from recurra.metrics import Compared, Pair, SequenceScores, exact_scores
from recurra.report import Chart, HeatMap
from recurra.tasks.blank import NOTE
from recurra.tasks.bucketing import BucketSampler
from recurra.tasks.columns import unfit
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.options import refuse_options
from recurra.tasks.translation.answers import Candidate, Translated, attention_of, candidates, said_tokens
from recurra.tasks.translation.batches import collated, copied, tokens_of
from recurra.tasks.translation.explain import explained
from recurra.tasks.translation.losses import Forced, forced_rows, forced_scores, loss_of, unigram_loss
from recurra.tasks.translation.pairs import Columns, PairCodec, PairRow, TextPair, Wanted, text_of, wanted
from recurra.tasks.translation.readers import Limits, Sides
from recurra.tasks.translation.search import Autoregressive, Search
from recurra.tasks.translation.tables import by_group, by_length, examples_of, length_chart, unknown_tokens
from recurra.tasks.translation.warnings import refuse_join, tokenised, too_long, warnings

# Texts whose words are counted, to see whether the tokenizer fits.
LOOKED_AT = 10_000
# Examples whose attention a report shows.
PICTURES = 3


class Translation:
    """Five verbs between the data and the model: example, collate, loss, predict, score."""

    answer_kind: ClassVar[AnswerKind] = "text"
    input_key: ClassVar[str] = "text"
    options: ClassVar[tuple[str, ...]] = ("beam", "n_best", "attention", "join")

    def __init__(
        self,
        *,
        sides: Sides,
        columns: Columns,
        limits: Limits,
        kind: SequenceScores,
        search: Search,
        label_smoothing: float,
    ) -> None:
        self.sides = sides
        self.columns = columns
        self.limits = limits
        self.kind = kind
        self.search = search
        self.label_smoothing = label_smoothing
        self.join = False

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: sizes of the source's and of the target's vocabulary."""
        return {"tokens": len(self.sides.source.vocabulary), "target": len(self.sides.target.vocabulary)}

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> TextPair:
        """Read a record; without `gold` only the source must be there, and it may be empty.

        Raises DataError, with file and line, for a text that is not there.
        """
        if gold:
            return self._example(self.columns.read(record))
        text = text_of(record, self.columns.source, empty=True)
        read, copies = self._source(self.sides.source.encode(text)[0])
        return TextPair(text, read, copied(copies, copies), None, record.origin)

    def examples(self, rows: Iterable[PairRow], means: Means = IN_MEMORY) -> Iterator[TextPair]:
        """Rows as examples, one by one. Raises DataError, with file and line, for a reference without a token."""
        return map(self._example, rows)

    def _example(self, row: PairRow) -> TextPair:
        return self.pair(row, self.sides.source.encode(row.source)[0], self.sides.target.encode(row.answers[0])[0])

    @property
    def example_codec(self) -> PairCodec:
        return PairCodec(self.sides.source.vocabulary, self.sides.target.vocabulary)

    def pair(self, row: PairRow, source: Encoded, reference: Encoded) -> TextPair:
        """The example of a row of which these are the tokens."""
        if not len(reference):
            raise DataError(f"{row.origin}: column '{self.columns.target}' holds no token: {row.answers[0]!r:.80}.")
        others = (self.sides.target.encode(answer)[0] for answer in row.answers[1:])
        source, copies = self._source(source)
        answer = _wanted(normal(row.answers[0]), tuple(dict.fromkeys((reference, *others))), row.group, copies)
        return TextPair(row.source, source, copied(copies, copies), answer, row.origin)

    def answered(self, example: TextPair, text: str, tokens: Sequence[str]) -> TextPair:
        """An example with another answer."""
        _, copies = self._source(example.encoded)
        said = encode(self.sides.target.vocabulary, tokens)
        return replace(example, wanted=_wanted(text, (said,), None, copies))

    def _source(self, source: Encoded) -> tuple[Encoded, Encoded]:
        """A source, and the same as tokens of the target."""
        target = self.sides.target.vocabulary
        return source, source if target is source.vocabulary else encode(target, source.tokens)

    def sampler(self, examples: Sequence[TextPair], *, batch_tokens: int, batch_rows: int, seed: int) -> BucketSampler:
        """Those of like lengths together."""
        return BucketSampler(examples, self.collate, batch_tokens, batch_rows, seed)

    def collate(self, examples: Sequence[TextPair], indices: Sequence[int]) -> Batch:
        """Token ids of the sources (T, N) and, where all are known, of the targets (S, N)."""
        return collated(examples, indices)

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """Cross-entropy of the target's tokens and its end, in nats; and the coverage loss, if the model has one."""
        return loss_of(prediction, batch, self.label_smoothing)

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[TextPair]) -> list[Translated]:
        """Search for each row, and see how the right answer fares where it is known; the model is in eval mode.

        Raises ConfigError if attention is asked for and the model has none, RunError for a model that is not finite.
        """
        forced: Sequence[Forced | None] = [None] * len(examples)
        if batch.targets:
            forced = forced_rows(model(batch), batch)
        found = self.search.run(cast(Autoregressive, model), batch, self.sides.ratio)
        looked: Sequence[Any] = [None] * len(examples)
        if self.search.attention:
            looked = attention_of(model, batch, [row[0] for row in found])
        return [
            Translated(candidates(self.sides, hypotheses, example), *rest)
            for hypotheses, example, *rest in zip(found, examples, forced, looked, strict=True)
        ]

    def score(self, outputs: Sequence[Translated], examples: Sequence[TextPair], split: str) -> tuple[Score, ...]:
        """The scores that count; exact matches; token accuracy, perplexity and log loss under teacher forcing."""
        pairs = self._pairs(outputs, examples)
        return (
            *self.kind.scores(pairs, split),
            *exact_scores(pairs, split),
            *forced_scores([o.forced for o in outputs], split),
        )

    def filter(self, examples: Sequence[TextPair], split: str) -> tuple[Sequence[TextPair], tuple[str, ...]]:
        """The rows of train within the limits on length, all rows of other splits; what is left out or long is said."""
        if split != "train":
            return examples, too_long(examples, self.sides, split)
        allowed = [self.limits.allow(len(e.encoded), len(wanted(e).encoded)) for e in examples]
        first = None if all(allowed) else examples[allowed.index(False)]
        left_out = () if first is None else _left_out(first, allowed.count(False), len(examples), self.limits)
        return chosen(examples, allowed), (*left_out, *self._unfit(examples))

    def _unfit(self, examples: Sequence[TextPair]) -> tuple[str, ...]:
        """A sentence where the source is cut in a way that does not fit its texts."""
        if not examples:
            return ()
        words = mean(len(e.text.split()) for e in islice(examples, LOOKED_AT))
        found = unfit("task.source_tokenizer", str(self.sides.source.tokenizer.to_json()["name"]), words)
        return (found,) if found else ()

    # -- for predict -----------------------------------------------------------------------------------------------

    @property
    def for_validation(self) -> Translation:
        """The task as it answers while epochs are compared: by greedy search."""
        return self._with(self.search.asked(beam=1, n_best=1, attention=False))

    def with_options(self, options: Mapping[str, Any]) -> Translation:
        """The task with another `beam`, several answers (`n_best`), with `attention`, or with tokenised answers put
        together (`join`). Raises ConfigError."""
        refuse_options(options, "translation", self.options)
        asked = {name: options.get(name) for name in ("beam", "n_best")}
        other = self._with(self.search.asked(**asked, attention=bool(options.get("attention", False))))
        other.join = bool(options.get("join", False))
        if other.join:
            refuse_join(self.sides)
        return other

    def warnings(self, outputs: Sequence[Translated], examples: Sequence[TextPair]) -> tuple[str, ...]:
        """Unknown tokens, sources longer than training had, answers that came to no end or are tokenised."""
        return (*warnings(outputs, examples, self.sides), *(() if self.join else tokenised(outputs, self.sides)))

    def answer(self, example: TextPair, output: Translated) -> Text:
        """The best answer and its score, the text, and what was asked for: all answers, attention.

        A blank text has an empty answer, and a note.
        """
        if example.is_blank:
            return self._nothing(example)
        several, looked = None, None
        if self.search.n_best > 1:
            several = tuple(Said(self.shown(one.text), one.score, one.log_prob) for one in output.candidates)
        if output.attention is not None:
            looked = Attention(said_tokens(output.best), tuple(example.source), output.attention)
        return Text(self.shown(output.best.text), output.best.score, example.text, several, looked)

    def stream(self, model: torch.nn.Module, example: TextPair, device: torch.device) -> Iterator[str]:
        """The greedy answer as it grows: its text after each token. The model goes on when more is asked for."""
        if example.is_blank:
            return
        batch = self.collate([example], (0,)).to(device)
        said: list[int] = []
        for token in self.search.stream(cast(Autoregressive, model), batch, self.sides.ratio):
            if not token.ended:
                said.append(token.token)
                words = tokens_of(self.sides.target.vocabulary, said, example.source)
                yield self.shown(self.sides.target.tokenizer.join(words))

    def shown(self, text: str) -> str:
        """An answer as people write it; scores are of the answer as the tokenizer joins it."""
        if self.sides.joining is None:
            return text
        return self.sides.joining.by_rule(text) if self.join else self.sides.joining(text)

    def explain(self, model: torch.nn.Module, example: TextPair, device: torch.device) -> ExplanationTarget:
        """What can be seen of a model while it answers. Raises ConfigError for one without recurrent layers."""
        return explained(self, model, example, device)

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Translated], examples: Sequence[TextPair]) -> tuple[Table, ...]:
        """Parts of the score, by source length, by group, worst and best examples, unknown tokens."""
        pairs = self._pairs(outputs, examples)
        found = [*self.kind.tables(pairs), by_length(self.kind, pairs, examples)]
        if self.columns.group is not None:
            found.append(by_group(self.kind, pairs, examples, self.columns.group))
        unknown = unknown_tokens(examples)
        return (*found, *examples_of(self.kind, pairs, examples), *([unknown] if unknown.rows else []))

    def charts(self, outputs: Sequence[Translated], examples: Sequence[TextPair]) -> tuple[Chart, ...]:
        """The score that counts by source length."""
        return (length_chart(self.kind, self._pairs(outputs, examples), examples),)

    def pictures(
        self, model: torch.nn.Module, examples: Sequence[TextPair], device: torch.device
    ) -> tuple[HeatMap, ...]:
        """The attention of three examples of different groups, if the model has any."""
        some = _different(examples)
        with_options = self._with(self.search.asked(beam=1, n_best=1, attention=True))
        with torch.inference_mode():
            batch = self.collate(some, range(len(some))).to(device)
            if "attention" not in model(batch).outputs:
                return ()
            outputs = with_options.predict(model, batch, some)
        # The output first: behind a text that is read from the right, its digits would turn round.
        return tuple(
            HeatMap(f"{o.best.text} ← {e.text}", said_tokens(o.best), e.source, o.attention or ())
            for e, o in zip(some, outputs, strict=True)
        )

    def baselines(self, train: Sequence[TextPair], splits: Mapping[str, Sequence[TextPair]]) -> Compared:
        """What it scores to copy the source, and to write the most frequent target of training.

        unigrams: the log loss of knowing how frequent each token is, and nothing else
        """
        frequent = Counter(wanted(e).text for e in train).most_common(1)[0][0]
        copied: list[Score] = []
        same: list[Score] = []
        for name, rows in splits.items():
            copied += self._said([e.text for e in rows], rows, name)
            same += self._said([frequent] * len(rows), rows, name)
        tokens = tuple(unigram_loss(train, rows, name) for name, rows in splits.items())
        return Compared({"copy": tuple(copied), "frequent": tuple(same), "unigrams": tokens}, ())

    def facts(self, splits: Mapping[str, Sequence[TextPair]]) -> dict[str, str | int | float]:
        """Sizes of vocabularies and splits, and what was unknown."""
        source, target = self.model_sizes.values()
        found: dict[str, str | int | float] = (
            {"vocabulary": source} if self.sides.shared else {"source vocabulary": source, "target vocabulary": target}
        )
        for name, examples in splits.items():
            counts = Counter[str]()
            for e in examples:
                for side, text in (("source", e.encoded), ("target", wanted(e).encoded)):
                    counts[side] += len(text)
                    counts[f"unknown {side}"] += text.num_unknown
            found[f"{name} rows"] = len(examples)
            for side in ("source", "target"):
                found[f"{name} {side} tokens"] = counts[side]
                found[f"{name} unknown {side} tokens"] = f"{counts[f'unknown {side}'] / max(counts[side], 1):.2%}"
        return found

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return self.kind.main

    def possible_scores(self, examples: Sequence[TextPair]) -> tuple[Score, ...]:
        """The scores that these rows can have, with the values of a model that writes nothing, and expects anything."""
        nats, counts = math.log(self.model_sizes["target"]), [len(wanted(e).encoded) + 1 for e in examples]
        nothing = [Translated((Candidate("", (), 0.0, True),), Forced(nats * n, n, 0)) for n in counts]
        return self.score(nothing, examples, "dev")

    def perfect(self, examples: Sequence[TextPair]) -> list[Translated]:
        """The references, cut and joined as a model's answers are."""
        return self._spoken([wanted(e).text for e in examples])

    def doubts(self, examples: Sequence[TextPair], short: Sequence[Score]) -> tuple[str, ...]:
        """What the scores say of these references; and references that no answer can be, if scores are short."""
        pairs = self._pairs(self.perfect(examples), examples)
        changed = [pair for pair in pairs if pair.output != pair.reference]
        if not (short and changed):
            return self.kind.doubts(pairs)
        return (
            *self.kind.doubts(pairs),
            f"{len(changed):,} of {len(pairs):,} references come out otherwise when the target's tokenizer has cut and "
            f"joined them, such as {changed[0].reference!r:.60} as {changed[0].output!r:.60}.",
        )

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {"sides": self.sides.to_json()}

    # ----------------------------------------------------------------------------------------------------------------

    def _with(self, search: Search) -> Translation:
        other = copy.copy(self)
        other.search = search
        return other

    def _nothing(self, example: TextPair) -> Text:
        """The answer to a blank text."""
        several = () if self.search.n_best > 1 else None
        return Text("", None, example.text, several, Attention((), (), ()) if self.search.attention else None, NOTE)

    def _pairs(self, outputs: Sequence[Translated], examples: Sequence[TextPair]) -> list[Pair]:
        join = self.sides.target.tokenizer.join
        return [
            Pair(o.best.text, wanted(e).text, tuple(join(tokens) for tokens in wanted(e).right))
            for o, e in zip(outputs, examples, strict=True)
        ]

    def _said(self, texts: Sequence[str], examples: Sequence[TextPair], split: str) -> tuple[Score, ...]:
        """The scores of given answers; cut and joined as a model's are."""
        return self.score(self._spoken(texts), examples, split)

    def _spoken(self, texts: Sequence[str]) -> list[Translated]:
        reader = self.sides.target
        tokens = [reader.tokens(text) for text in texts]
        return [Translated((Candidate(reader.tokenizer.join(said), said, 0.0, True),)) for said in tokens]


def _wanted(text: str, answers: tuple[Encoded, ...], group: str | None, source: Encoded) -> Wanted:
    """source: as tokens of the target"""
    return Wanted(text, answers, group, copied(answers[0], source) if answers[0].spelling else None)


def _left_out(first: TextPair, left: int, number: int, limits: Limits) -> tuple[str, ...]:
    bounds = {"max_source_length": limits.source, "max_target_length": limits.target}
    words = " or ".join(f"{name} {value}" for name, value in bounds.items() if value is not None)
    return (
        f"train: {left:,} of {number:,} rows were left out, because they are longer than {words}; the first: "
        f"{first.origin}, with {len(first.encoded)} source and {len(wanted(first).encoded)} target tokens.",
    )


def _different(examples: Sequence[TextPair]) -> list[TextPair]:
    """Examples of different groups, evenly over them; others where there are too few groups."""
    groups: dict[str | None, TextPair] = {}
    for example in examples:
        groups.setdefault(wanted(example).group, example)
    first = list(groups.values())
    chosen = [first[k * len(first) // PICTURES] for k in range(PICTURES)] if len(first) >= PICTURES else first
    return [*chosen, *(e for e in examples if all(e is not c for c in chosen))][:PICTURES]
