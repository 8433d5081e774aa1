"""Tagging: a tag for each token, or spans of a text."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from recurra.base.answers import AnswerKind, Spans, Tags
from recurra.base.contracts import Batch, Loss, Prediction, Record, Score, Table
from recurra.data.formats import spelt
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.schemes import PLAIN, SCHEMES, Span, parts, read_default, read_strict
from recurra.data.spelling import HYPHENS, OUTSIDE
from recurra.data.store import Fields, chosen, lengths_of
from recurra.data.tokenizers import UNK, Pieces, Vocabulary
from recurra.data.tokenizers.learned import found_share
from recurra.metrics import (
    Compared,
    FrequentTag,
    SpanDictionary,
    most_confused_tags,
    per_tag_scores,
    span_mistakes,
    span_scores,
    tag_confusion,
    tag_scores,
)
from recurra.tasks.blank import NOTE, blank_warnings
from recurra.tasks.bucketing import BucketSampler
from recurra.tasks.columns import counted, missing
from recurra.tasks.contract import TokenTags
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.tagging.answers import spans_of, tokens_of
from recurra.tasks.tagging.calibration import fitted_temperature, probability_scores, reliability_table
from recurra.tasks.tagging.decoding import Tagged, chances, decoded, loss_of
from recurra.tasks.tagging.dictionary import Dictionary, Entry
from recurra.tasks.tagging.explain import explained
from recurra.tasks.tagging.pieces import PieceReader
from recurra.tasks.tagging.readers import WordReader
from recurra.tasks.tagging.seen import sentences
from recurra.tasks.tagging.sentences import Columns, Sentence, TagRow
from recurra.tasks.tagging.tables import worst_by_spans, worst_by_tags
from recurra.tasks.tagging.tagset import TagSet
from recurra.tasks.text import pad_sequence

# Sentences of a split whose raw text is cut, to say how well; and a share that is not worth a word.
MOST_CUT, WELL_CUT = 2_000, 0.99


class Tagging:
    """Five verbs between the data and the model: example, collate, loss, predict, score."""

    answer_kind: ClassVar[AnswerKind] = "tags"
    input_key: ClassVar[str] = "text"

    def __init__(
        self,
        *,
        columns: Columns,
        tagset: TagSet,
        reader: WordReader,
        constrained: bool,
        max_length: int | None,
        announced: bool,
        merged: str = "",
        calibration: str = "temperature",
        temperature: float = 1.0,
        dictionary: Dictionary | None = None,
    ) -> None:
        """announced: whether the config names the files' scheme      merged: what to say of tags in several spellings

        calibration, temperature: how probabilities are fitted to dev, and what came of it
        dictionary: what training says of a word; None: nothing is looked up
        """
        self.columns = columns
        self.tagset = tagset
        self.reader = reader
        self.constrained = constrained
        self.max_length = max_length
        self.announced = announced
        self.calibration = calibration
        self.temperature = temperature
        self.dictionary = dictionary
        self.piece_reader: PieceReader | None = None
        self._merged = merged
        self.with_confidence = True
        self._allowed = tagset.allowed() if constrained else None
        self._place = {tag: k for k, tag in enumerate(tagset.tags)}

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the rows of a model's table stand for."""
        return self.reader.words

    @property
    def letters(self) -> Vocabulary:
        """The letters of words."""
        return self.reader.letters

    @property
    def pieces(self) -> Pieces | None:
        """The word pieces that words are read in, if they are."""
        return None if self.piece_reader is None else self.piece_reader.pieces

    @property
    def head_labels(self) -> tuple[str, ...]:
        """What the model's head tells apart."""
        return self.tagset.tags

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: sizes of the vocabularies of words, of letters and of patterns, number
        of tags, and numbers of a word in the dictionary, if there is one."""
        if self.piece_reader is not None:
            pieces = self.piece_reader.pieces
            return {"tokens": len(pieces.vocabulary), **pieces.sizes, "labels": len(self.tagset.tags)}
        reader, looked_up = self.reader, {} if self.dictionary is None else {"dictionary": self.dictionary.size}
        sizes = {"words": len(reader.words), "characters": len(reader.letters), "labels": len(self.tagset.tags)}
        return {**sizes, "patterns": len(reader.patterns), **looked_up}

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> Sentence:
        """Read a record; without `gold` the tags may be missing, and the sentence may be empty.

        Raises DataError, with file and line, for what is no sentence, or tags that the files' scheme does not allow.
        """
        if gold:
            return self._example(self.columns.read(record))
        return self.numbered(self.columns.untagged(record), None)

    def examples(self, rows: Iterable[TagRow], means: Means = IN_MEMORY) -> Iterator[Sentence]:
        """Rows as examples, one by one. Raises DataError, with file and line, for tags that the scheme lacks."""
        return map(self._example, rows)

    def training_examples(self, rows: Iterable[TagRow], means: Means = IN_MEMORY) -> Iterator[Sentence]:
        """As `examples`, of the rows that the dictionary has counted: each leaves itself out where it is looked up."""
        counted = self.dictionary is not None
        for row in rows:
            # How the raw text is written has been learned: the examples do not need it any more.
            sentence = replace(row.sentence, units=())
            yield self.numbered(sentence, self.tagset.read(row.tags, row.where), counted=counted)

    def _example(self, row: TagRow) -> Sentence:
        return self.numbered(row.sentence, self.tagset.read(row.tags, row.where))

    @property
    def example_codec(self) -> Fields[Sentence]:
        return sentences(self.reader.words, self.reader.patterns, self.reader.letters)

    def numbered(self, sentence: Sentence, tags: tuple[str, ...] | None, *, counted: bool = False) -> Sentence:
        """A sentence with these tags of the model, and with all numbers that a batch has of it.

        counted: whether it is in the dictionary, and is left out where its words are looked up
        """
        known = tags is not None and all(tag in self._place for tag in tags)
        targets = tuple(self._place[tag] for tag in tags or ()) if known else None
        numbers = sentence.numbers or self.reader.numbers(sentence.tokens)
        found = replace(sentence, tags=tags, numbers=numbers, targets=targets, counted=counted)
        if self.dictionary is None:
            return found
        own = self.tagset.spans(tags or ()) if counted else None
        tokens = [self.reader.folded(token) for token in sentence.tokens]
        in_spans, in_entries = self.dictionary.in_spans(tokens, own), self.dictionary.in_entries(tokens)
        return replace(found, in_spans=in_spans, in_entries=in_entries)

    def sampler(self, examples: Sequence[Sentence], *, batch_tokens: int, batch_rows: int, seed: int) -> BucketSampler:
        """Those of like lengths together."""
        return BucketSampler(examples, self.collate, batch_tokens, batch_rows, seed)

    def collate(self, examples: Sequence[Sentence], indices: Sequence[int]) -> Batch:
        """words, patterns, character_lengths (T, N), characters (C, T, N), and dictionary (T, N, D) where there is one;
        or what `PieceReader` has of word pieces; targets tags (T, N) where all are known."""
        lengths = torch.tensor([e.length for e in examples], dtype=torch.int64)
        numbers = [e.numbers or self.reader.numbers(e.tokens) for e in examples]
        if self.piece_reader is not None:
            inputs = self.piece_reader.inputs([e.tokens for e in examples])
        else:
            inputs = self.reader.inputs(numbers)
        if self.dictionary is not None:
            entries = [
                Entry(its.words, e.in_spans, e.in_entries, e.targets if e.counted else None)
                for e, its in zip(examples, numbers, strict=True)
            ]
            inputs["dictionary"] = self.dictionary.inputs(entries)
        targets = {}
        known = [e.targets for e in examples if e.targets is not None]
        if examples and len(known) == len(examples):
            targets = {"tags": pad_sequence(known)}
        return Batch(inputs, lengths, targets, tuple(indices))

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """-log p of the right tags, in nats: of whole sentences with a CRF, else of each token."""
        return loss_of(prediction, batch)

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[Sentence]) -> list[Tagged]:
        """The best tags of each sentence, and how sure the model is; the model is in eval mode.

        Raises RunError for a model that is not finite.
        """
        return decoded(
            model(batch),
            batch,
            self.tagset.tags,
            self._allowed,
            with_confidence=self.with_confidence,
            temperature=self.temperature,
        )

    def chances(self, prediction: Prediction, batch: Batch) -> torch.Tensor:
        """(T, N, L): the probability of each tag, 0..1, where several are possible."""
        return chances(prediction, batch, self._allowed, self.temperature)

    def calibrated(self, outputs: Sequence[Tagged], examples: Sequence[Sentence]) -> Tagging:
        """The task with the temperature that fits these outputs of temperature 1; itself where none is wanted."""
        if self.calibration == "none":
            return self
        other = copy.copy(self)
        other.temperature = fitted_temperature(outputs, examples, self.tagset.tags)
        return other

    def score(self, outputs: Sequence[Tagged], examples: Sequence[Sentence], split: str) -> tuple[Score, ...]:
        """Of spans: precision, recall and F1, and of tokens. Of plain tags: accuracy; precision, recall, F1 by tag.

        Beside them log loss and calibration error of tokens, of outputs with probabilities.
        """
        gold, said = [e.tags or () for e in examples], [o.tags for o in outputs]
        unseen = [[token not in self.reader.seen for token in e.tokens] for e in examples]
        of_tokens = (
            *tag_scores(gold, said, unseen, split),
            *probability_scores(outputs, examples, self.tagset.tags, split),
        )
        if not self.tagset.has_spans:
            return (*of_tokens, *per_tag_scores(gold, said, split))
        true = _spans(gold)
        whole, by_label = _parted(span_scores(true, _spans(said), split))
        return (*whole, *self._strict(true, said, split), *of_tokens, *by_label)

    def filter(self, examples: Sequence[Sentence], split: str) -> tuple[Sequence[Sentence], tuple[str, ...]]:
        """Sentences of train within the limit on length, all of other splits; with what a person should know."""
        if split != "train":
            badly_cut = self._badly_cut(examples) if split == "dev" else ()
            return examples, (*self._strange(examples, split), *badly_cut)
        notes = [*([] if self.announced else [self._found()]), *self._counts(examples)]
        limit = self.max_length
        lengths = lengths_of(examples)  # behind the counts: of rows in files they are known from the same pass
        longer = np.zeros(len(lengths), bool) if limit is None else lengths > limit
        if self._merged:
            notes.append(f"train: {self._merged}")
        if longer.any():
            left = examples[int(longer.argmax())]
            notes.append(
                f"train: {longer.sum():,} of {len(examples):,} sentences were left out, because they have more than "
                f"max_length = {limit} tokens; the first: {left.origin}, with {left.length}."
            )
        return chosen(examples, ~longer), tuple(notes)

    # -- for predict -----------------------------------------------------------------------------------------------

    @property
    def for_validation(self) -> Tagging:
        """The task as it answers while epochs are compared: without probabilities."""
        other = copy.copy(self)
        other.with_confidence = False
        return other

    def warnings(self, outputs: Sequence[Tagged], examples: Sequence[Sentence]) -> tuple[str, ...]:
        """Blank texts, and those with letters that training never saw: another script, or an emoji."""
        return (*blank_warnings(examples), *self._unknown_letters([e for e in examples if not e.is_blank]))

    def _unknown_letters(self, examples: Sequence[Sentence]) -> tuple[str, ...]:
        known = self.reader.letters
        strange = [(e, t) for e in examples for t in e.tokens if 1 in known.ids(self.reader.spelt(t))]
        if not strange:
            return ()
        number = len({id(example) for example, _ in strange})
        shown = ", ".join(repr(token) for token in list(dict.fromkeys(token for _, token in strange))[:5])
        return (
            f"{number} of {len(examples)} texts {'holds' if number == 1 else 'hold'} characters that training never "
            f"saw, which are read as unknown, in {shown}; the first: {strange[0][0].origin}.",
        )

    def answer(self, example: Sentence, output: Tagged) -> Spans | Tags:
        """The spans, or the tokens with their tags, each with its place and its score; and the text.

        Beside spans, each token with its tag, in the scheme and the spelling of the files. A blank text has none, and a
        note.
        """
        if example.is_blank:
            return Spans((), (), example.text, NOTE) if self.tagset.has_spans else Tags((), example.text, NOTE)
        tags = self.tagset.in_file(output.tags)
        if self.tagset.has_spans:
            return Spans(spans_of(example, output), tuple(zip(example.tokens, tags, strict=True)), example.text)
        return Tags(tokens_of(example, output, tags), example.text)

    def explain(self, model: torch.nn.Module, example: Sentence, device: torch.device) -> ExplanationTarget:
        """What can be seen of a model while it answers. Raises ConfigError for one without recurrent layers."""
        return explained(self, model, example, device)

    def in_columns(self, record: Record, example: Sentence, output: Tagged) -> TokenTags:
        """The tags of an answer as the file of its record has them; a blank text has none."""
        name = spelt(self.columns.tags, record.fields)
        truth = None if name is None else record.fields[name]
        spaced = self.columns.cutter == "spaces" and isinstance(truth, str) and not truth.lstrip().startswith("[")
        form: Literal["list", "spaced"] | None = "list" if not example.cut else "spaced" if spaced else None
        if example.is_blank:
            return TokenTags((), (), form)
        return TokenTags(example.written, tuple(self.tagset.in_file(output.tags)), form)

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Tagged], examples: Sequence[Sentence]) -> tuple[Table, ...]:
        """Confusion, what became of spans, reliability, and the sentences with the most mistakes."""
        gold, said = [e.tags or () for e in examples], [o.tags for o in outputs]
        tokens = [e.tokens for e in examples]
        reliable = reliability_table(outputs, examples, self.tagset.tags)
        if not self.tagset.has_spans:
            worst = worst_by_tags(examples, gold, said)
            return (tag_confusion(gold, said), most_confused_tags(gold, said, tokens), *reliable, worst)
        labels, said_labels = _without_letters(gold), _without_letters(said)
        return (
            span_mistakes(_spans(gold), _spans(said)),
            tag_confusion(labels, said_labels),
            most_confused_tags(labels, said_labels, tokens),
            *reliable,
            worst_by_spans(examples, _spans(gold), _spans(said)),
        )

    def baselines(self, train: Sequence[Sentence], splits: Mapping[str, Sequence[Sentence]]) -> Compared:
        """What the most frequent tag of each word, and a dictionary of training's spans, reach on the same rows."""
        words, tags = [e.tokens for e in train], [e.tags or () for e in train]
        by_word = FrequentTag(words, tags)
        answers = {"frequent": {k: [Tagged(tuple(by_word(e.tokens))) for e in rows] for k, rows in splits.items()}}
        if self.tagset.has_spans:
            spans, write = SpanDictionary(words, _spans(tags)), SCHEMES[self.tagset.learned].write
            answers["dictionary"] = {
                k: [Tagged(tuple(write(map(Span._make, spans(e.tokens)), e.length))) for e in rows]
                for k, rows in splits.items()
            }
        scored = {
            name: tuple(chain.from_iterable(self.score(outputs, splits[k], k) for k, outputs in found.items()))
            for name, found in answers.items()
        }
        return Compared(scored, ())

    def facts(self, splits: Mapping[str, Sequence[Sentence]]) -> dict[str, str | int | float]:
        """Sizes of vocabularies and splits, and how many words were unknown, or not seen in training."""
        found: dict[str, str | int | float] = {
            "vocabulary": len(self.reader.words), "characters": len(self.reader.letters), "tags": len(self.tagset.tags),
            "scheme": self.tagset.learned,
        }  # fmt: skip
        for name, examples in splits.items():
            tokens = unknown = unseen = spans = 0
            for e in examples:
                tokens += e.length
                unknown += 0 if e.numbers is None else int((e.numbers.words == UNK).sum())
                unseen += sum(token not in self.reader.seen for token in e.tokens) if name != "train" else 0
                spans += len(read_default(e.tags or ())) if self.tagset.has_spans else 0
            found[f"{name} rows"] = len(examples)
            found[f"{name} tokens"] = tokens
            if self.tagset.has_spans:
                found[f"{name} spans"] = spans
            found[f"{name} unknown words"] = f"{unknown / max(tokens, 1):.2%}"
            if name != "train":
                if (share := self._found_share(examples)) is not None:
                    found[f"{name} tokens found in the raw text"] = f"{share:.2%}"
                found[f"{name} words not seen in training"] = f"{unseen / max(tokens, 1):.2%}"
        return found

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "f1_micro" if self.tagset.has_spans else "token_accuracy"

    def possible_scores(self, examples: Sequence[Sentence]) -> tuple[Score, ...]:
        """The scores that these rows can have, with the values of the most frequent tag; with spans, O: it has none."""
        counts = Counter(chain.from_iterable(e.tags or () for e in examples))
        tag = OUTSIDE if self.tagset.has_spans else max(self.tagset.tags, key=lambda tag: counts[tag])
        return self.score([Tagged((tag,) * e.length) for e in examples], examples, "dev")

    def perfect(self, examples: Sequence[Sentence]) -> list[Tagged]:
        """The tags of the sentences themselves."""
        return [Tagged(e.tags or ()) for e in examples]

    def doubts(self, examples: Sequence[Sentence], short: Sequence[Score]) -> tuple[str, ...]:
        """No span at all, if scores are short of their best value: a rate of nothing is 0."""
        if short and self.tagset.has_spans and not any(_spans([e.tags or () for e in examples])):
            return (f"no span is in its {len(examples):,} sentences, and a rate of nothing is 0.",)
        return ()

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        cuts = self.columns.learned
        found = {
            "tagset": self.tagset.to_json(),
            "reader": self.reader.to_json(),
            "temperature": self.temperature,
            "dictionary": None if self.dictionary is None else self.dictionary.to_json(),
        }
        if self.piece_reader is not None:
            found["pieces"] = self.piece_reader.pieces.to_json()
        return found if cuts is None else {**found, "cuts": cuts.to_json()}

    # ----------------------------------------------------------------------------------------------------------------

    def _strict(self, true: Sequence[Sequence[Span]], said: Sequence[Sequence[str]], split: str) -> tuple[Score, ...]:
        """The same rates where only spans that are written as the scheme has them count as spans."""
        scheme = SCHEMES[self.tagset.learned]
        whole, _ = _parted(span_scores(true, [read_strict(scheme, tags) for tags in said], split))
        return tuple(
            Score(s.name.replace("_micro", "_strict"), s.value, s.unit, s.better, split)
            for s in whole
            if "f1" in s.name
        )

    def _found(self) -> str:
        written, learned = self.tagset.written, self.tagset.learned
        if written == PLAIN:
            return f"task.file_scheme: auto found plain tags, {len(self.tagset.tags)} of them."
        spelling = self.tagset.spelling
        how = "" if spelling == HYPHENS else f", written {spelling.shown}"
        return f"task.file_scheme: auto found {written}{how}; the model learns {learned}."

    def _found_share(self, examples: Sequence[Sentence]) -> float | None:
        """The share of the tokens that are cut out of the raw text; None where it is not known."""
        known = [e.units for e in examples[:MOST_CUT] if e.units]
        return found_share(self.columns.cut, known) if known else None

    def _badly_cut(self, examples: Sequence[Sentence]) -> tuple[str, ...]:
        """A sentence where raw texts are cut otherwise than the file's tokens."""
        share = self._found_share(examples)
        if share is None or share >= WELL_CUT:
            return ()
        return (
            f"dev: {100 * share:.1f} % of the tokens are found in the raw text, as task.tokenizer cuts it; answers for "
            "raw texts miss the others. The scores are of the file's own tokens.",
        )

    def _counts(self, examples: Sequence[Sentence]) -> list[str]:
        """The labels with their counts, and those that look like none."""
        labels, tags = Counter[str](), Counter[str]()
        for e in examples:
            own = e.tags or ()
            tags.update(own)
            labels.update((span.label for span in read_default(own)) if self.tagset.has_spans else own)
        column = f"train: column '{self.columns.tags}'"
        notes = [f"{column}: {counted(labels)}{_outside(tags)}."]
        return [*notes, *([f"{column}: {found}"] if (found := missing(labels)) else [])]

    def _strange(self, examples: Sequence[Sentence], split: str) -> tuple[str, ...]:
        """A sentence on tags that training never saw, if there are some."""
        found = [(e, place) for e in examples for place in self.tagset.unknown(e.tags or ())]
        if not found:
            return ()
        example, place = found[0]
        tags = [(e.tags or ())[k] for e, k in found]
        names = dict.fromkeys(parts(tag)[1] for tag in tags) if self.tagset.has_spans else dict.fromkeys(tags)
        shown = ", ".join(f"'{name}'" for name in list(names)[:5]) + (", ..." if len(names) > 5 else "")
        total = sum(e.length for e in examples)
        return (
            f"{split}: {len(found):,} of {total:,} tags were never seen in training, and no model can say them: "
            f"{shown}; the first: '{example.tokens[place]}' in the sentence at {example.origin}. They count as "
            "mistakes.",
        )


def _outside(tags: Counter[str]) -> str:
    """The share of O, where there is one."""
    number = tags[OUTSIDE]
    return f"; O is {100 * number / tags.total():.1f} % of the tokens" if number else ""


def _spans(rows: Sequence[Sequence[str]]) -> list[list[Span]]:
    return [read_default(tags) for tags in rows]


def _without_letters(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The labels of tags: LOC of B-LOC."""
    return [[OUTSIDE if tag == OUTSIDE else parts(tag)[1] for tag in tags] for tags in rows]


def _parted(scores: Sequence[Score]) -> tuple[list[Score], list[Score]]:
    """Scores of all labels together, and those of single ones."""
    return [s for s in scores if "[" not in s.name], [s for s in scores if "[" in s.name]
