"""What a config says of a tagging, before any data is read."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.normal import normal, spellings
from recurra.base.option import OneOf, Opt
from recurra.config import Section, build
from recurra.data.dictionary import DICTIONARIES, Lookup, read_entries
from recurra.data.fields import Field
from recurra.data.formats import resolved_format
from recurra.data.formats.sentences import LINE
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.schemes import ALIASES, PLAIN, Alias, SchemeName, detected
from recurra.data.tokenizers import CutterName, Pieces, read_pieces, tokenizer_from_json
from recurra.data.tokenizers.learned import Learned, learn, learned_from_json
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.tagging.columns import looks_like_conll, suggested
from recurra.tasks.tagging.dictionary import Dictionary, made_by
from recurra.tasks.tagging.evidence import column_of, looks_swapped
from recurra.tasks.tagging.pieces import PieceReader
from recurra.tasks.tagging.readers import WordReader
from recurra.tasks.tagging.seen import Again, SeenTags, TagRows
from recurra.tasks.tagging.sentences import Columns, Sentence, TagRow
from recurra.tasks.tagging.sizing import sized
from recurra.tasks.tagging.tagset import TagSet, check_tags
from recurra.tasks.tagging.task import Tagging

# Formats whose names are not believed: a .tsv or .txt file may hold a token a line.
DOUBTED = ("tsv", "text")


@dataclass(frozen=True, kw_only=True, slots=True)
class TaggingConfig:
    """A tag for each token of a sentence: parts of speech, names, slots."""

    needs: ClassVar = Needs(
        "sequence_model",
        {"inputs": ("words_and_characters", "word_pieces", "characters"), "head": ("tags",), "wide": ("none",)},
        {"encoder.bidirectional": True},
    )

    keeps_tokens: ClassVar = False

    tokens: Annotated[str, Opt("column with the tokens: a list, or a text that is cut", named=True)] = "token"
    tags: Annotated[str, Opt("column with a tag for each token, or with spans of the text", named=True)] = "tag"
    tokenizer: Annotated[
        Literal["auto", "learned"] | CutterName,
        Opt(
            "how a raw text is cut: as the file cuts its own; into runs of letters, of digits, and signs; at spaces; "
            "into characters. auto: learned where the file has tokens, else words"
        ),
    ] = "auto"
    file_scheme: Annotated[
        Literal["auto"] | SchemeName | Alias,
        Opt("how the files write spans as tags; plain: each tag stands for itself. How they are spelled is found"),
    ] = "auto"
    scheme: Annotated[
        Literal["auto", "plain", "bio", "iobes"],
        Opt("how the model writes spans; auto: as the files, but bio in place of iob1"),
    ] = "auto"
    repair: Annotated[bool, Opt("read tags that the files' scheme forbids as conlleval does; else they stop")] = False
    constrained: Annotated[bool, Opt("answer only what the scheme allows")] = True
    lowercase: Annotated[bool, Opt("look words up in lower case; their letters stay as they are")] = True
    zero_digits: Annotated[bool, Opt("look words up with every digit as 0; their letters stay as they are")] = True
    min_count: Annotated[int, Opt("rarer words are read as unknown, by their letters alone", ge=1)] = 1
    max_vocabulary: Annotated[
        int | None, Opt("entries of the vocabulary of words, 4 of them special; null is no limit", ge=5)
    ] = None
    max_length: Annotated[int | None, Opt("training leaves out sentences with more tokens; null is no limit", ge=1)] = (
        None
    )
    dictionary: Annotated[
        Section | Mapping[str, Any] | str,
        OneOf("what training rows say of a word, which the model reads beside its vector", DICTIONARIES),
    ] = "none"
    pieces: Annotated[
        str | None,
        Opt("folder whose word pieces are read for words, each word by its first; model.encoder.folder sets it"),
    ] = None
    max_pieces: Annotated[
        int | None, Opt("pieces of a window; a longer sentence is read in several that overlap by a quarter", ge=8)
    ] = None
    calibration: Annotated[
        Literal["temperature", "none"],
        Opt("calibration of probabilities; temperature: scaled to fit dev, no answer changes (Guo et al. 2017)"),
    ] = "temperature"

    # What is looked up; None where the config wants nothing.
    lookup: Lookup | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        found, problems = build(self.dictionary, DICTIONARIES), []
        object.__setattr__(self, "lookup", found if isinstance(found, Lookup) else None)
        if self.tokens == self.tags:
            problems.append(f"tags: is '{self.tags}', the column of tokens too; expected another column.")
        problems += [
            f"{name}: is '{LINE}', which holds line numbers; expected another column."
            for name, column in (("tokens", self.tokens), ("tags", self.tags))
            if column == LINE
        ]
        if self.file_scheme == PLAIN and self.scheme not in ("auto", PLAIN):
            problems.append(
                f"scheme: {self.scheme} writes spans, and file_scheme: plain has none; leave one of them out."
            )
        if self.file_scheme == PLAIN and self.repair:
            problems.append("repair: has no effect with file_scheme: plain, which allows everything; leave it out.")
        if not self.constrained and PLAIN in (self.file_scheme, self.scheme):
            problems.append("constrained: has no effect on plain tags, which allow everything; leave it out.")
        if self.pieces is None and self.max_pieces is not None:
            problems.append("max_pieces: has no effect without pieces; leave it out.")
        if self.pieces is not None and self.lookup is not None:
            problems.append("dictionary: has no effect with pieces, beside which nothing is read; leave it out.")
        if problems:
            raise ConfigError(problems)

    def refuse_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Raise ConfigError for options of the vocabulary of words, where nothing reads one."""
        if inputs["name"] != "characters":
            return
        idle = {
            "lowercase": not self.lowercase,
            "zero_digits": not self.zero_digits,
            "min_count": self.min_count != 1,
            "max_vocabulary": self.max_vocabulary is not None,
            "pieces": self.pieces is not None,
        }
        raise_for = [
            f"{name}: has no effect with model.inputs characters; leave it out." for name in idle if idle[name]
        ]
        if raise_for:
            raise ConfigError(raise_for)

    @property
    def columns(self) -> Columns:
        written = self._scheme or "bio"
        cutter = cast(CutterName, "words" if self.tokenizer in ("auto", "learned") else self.tokenizer)
        return Columns(self.tokens, self.tags, cutter, "bio" if written == PLAIN else written)

    def _learned(self, seen: SeenTags, source: str) -> Learned | None:
        """How the file cuts its text. Raises ConfigError where that is asked for and it has no tokens."""
        if not seen.units and self.tokenizer == "learned":
            raise ConfigError(
                f"task.tokenizer: is learned, and {source} has texts, not tokens; use words, spaces or characters."
            )
        return learn(seen.units) if seen.units else None

    @property
    def _scheme(self) -> SchemeName | None:
        """The scheme of the files; None where it is to be found."""
        word = self.file_scheme
        return None if word == "auto" else ALIASES.get(word) or cast(SchemeName, word)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """What is read; `predict TEXT` fills the first one."""
        return (Field(self.tokens),)

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return (self.tokens, self.tags)

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        if self.pieces is not None:
            return {"tokens": 8, "labels": 1}
        sizes = {"words": 5, "characters": 5, "labels": 1, "patterns": 5}
        return sizes if self.lookup is None else {**sizes, "dictionary": 1}

    @classmethod
    def format_of(cls, file: Path) -> str:
        """The format of a file that `init` reads: CoNLL columns for what looks so under another name; auto: by it."""
        try:
            told = resolved_format(file) not in DOUBTED
        except ConfigError:
            told = file.is_dir()
        return "conll" if not told and looks_like_conll(file) else "auto"

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError if its columns cannot be told apart."""
        return suggested(rows, file)

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(cls(**{key: value for key, value in options.items() if key != "name"}).columns, seen)

    def read(self, record: Record) -> TagRow:
        """A sentence with its tags. Raises DataError, with file and line, if nothing can be learned from it."""
        row = self.columns.read(record)
        if self.file_scheme != "auto":
            found = detected([row.tags], self._scheme)
            tags = found.spelling.read(row.tags)
            check_tags(found.scheme, tags, row.where, spelling=found.spelling, repair=self.repair)
        return row

    def fit(self, records: Sequence[Record], source: str) -> Tagging:
        """The task from training records, as `fit_examples`."""
        columns = self.columns
        task, examples = self.fit_examples([columns.read(record) for record in records], source)
        for _ in examples:  # tags that the scheme lacks are refused
            pass
        return task

    @property
    def row_codec(self) -> TagRows:
        return TagRows()

    def fit_examples(
        self, rows: Collection[TagRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[Tagging, Iterator[Sentence]]:
        """Vocabularies and tags from training rows, and these as examples.

        Raises DataError if there is nothing to learn, ConfigError for a scheme that does not fit the files' tags.
        """
        seen = SeenTags(rows, self.max_length, cuts=self.tokenizer in ("auto", "learned"))
        different = seen.different
        tagset = TagSet.fit(
            different,
            reading=detected(different, self._scheme),
            learned=None if self.scheme == "auto" else self.scheme,
            repair=self.repair,
            source=source,
        )
        self._refuse_idle(tagset, source)
        self._refuse_degenerate(seen, source)
        if not seen.kept:
            raise DataError(f"{source}: no sentence has at most max_length = {self.max_length} tokens.")
        reader = WordReader.fit(
            seen.words,
            means.extra,
            min_count=self.min_count,
            max_size=self.max_vocabulary,
            lowercase=self.lowercase,
            zero_digits=self.zero_digits,
        )
        task = self._task(tagset, reader, self._learned(seen, source), spellings(seen.spelt))
        task.dictionary = self._dictionary(task, rows)
        if self.pieces is not None:
            task.piece_reader = PieceReader(read_pieces(Path(self.pieces)), self.max_pieces or 512)
        return task, task.training_examples(means.encoding(rows), means)

    def _dictionary(self, task: Tagging, rows: Collection[TagRow]) -> Dictionary | None:
        """What is looked up, of training sentences within the limit on length, which are read again and again."""
        if self.lookup is None:
            return None
        tagset, reader, limit = task.tagset, task.reader, self.max_length
        kept = Again(lambda: (row for row in rows if limit is None or row.sentence.length <= limit))
        numbered = Again(lambda: (task.numbered(row.sentence, tagset.read(row.tags, row.where)) for row in kept))
        spans = Again(lambda: (tagset.spans(tagset.read(row.tags, row.where)) for row in kept))
        return made_by(
            self.lookup,
            ((e.numbers.words, e.targets) for e in numbered if e.numbers is not None and e.targets is not None),
            Again(lambda: ([reader.folded(token) for token in row.sentence.tokens] for row in kept)),
            spans if tagset.has_spans else None,
            self._entries(task),
            words=len(reader.words),
            tags=tagset.tags,
            scheme=tagset.learned,
        )

    def _entries(self, task: Tagging) -> list[tuple[list[str], str]]:
        """Of the user's file, cut as a raw text is, each word as it is looked up; those without a word are left out."""
        if self.lookup is None or self.lookup.file is None:
            return []
        cut = [(task.columns.cut(text)[0], label) for text, label in read_entries(Path(self.lookup.file))]
        return [([task.reader.folded(str(normal(token))) for token in words], label) for words, label in cut if words]

    def _refuse_idle(self, tagset: TagSet, source: str) -> None:
        """Raise ConfigError for options that have no effect on the tags that were found."""
        idle = {
            "constrained": not self.constrained and not tagset.has_spans,
            "repair": self.repair and tagset.written == PLAIN,
        }
        problems = [
            f"task.{name}: has no effect, because the tags of {source} are plain, which allow everything; leave it out."
            for name, known in idle.items()
            if known
        ]
        if self.lookup is not None and not tagset.has_spans:
            problems += self.lookup.idle_without_spans(source)
        if problems:
            raise ConfigError(problems)

    def _refuse_degenerate(self, seen: SeenTags, source: str) -> None:
        """Raise DataError where there is nothing to learn, or, by the first sentences, the wrong column is read."""
        words, labels = column_of(self.tokens, 0, seen.tokens), column_of(self.tags, 0, seen.labels)
        step = "Choose other columns with task.tokens, task.tags and data.columns; `recurra init` tells them apart."
        if words.numbers:
            shown = ", ".join(next(row for row in seen.tokens if len(row) > 1)[:3])
            raise DataError(
                f"{source}: column '{self.tokens}' holds numbers in order ({shown}, ...), not tokens. {step}"
            )
        if len(seen.tags) == 1:
            only = next(iter(seen.tags))
            raise DataError(
                f"{source}: all {seen.tags.total():,} tags in column '{self.tags}' are '{only}'; expected at least two "
                f"different ones, else there is nothing to learn. {step}"
            )
        if looks_swapped(words, labels):
            raise DataError(
                f"{source}: column '{self.tokens}' looks like tags ({words.distinct:,} different), and column "
                f"'{self.tags}' like words ({labels.distinct:,} different). {step}"
            )

    def restore(self, data: Mapping[str, Any], origin: str) -> Tagging:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        content = data if isinstance(data, Mapping) else {}
        tagset = TagSet.from_json(_section(content, "tagset"), origin, repair=self.repair)
        reader = WordReader.from_json(_section(content, "reader"), origin)
        task = self._task(
            tagset,
            reader,
            _restored(content.get("cuts"), origin),
            temperature=_temperature(content.get("temperature", 1.0), origin),
        )
        if (cut := content.get("pieces")) is not None:
            pieces = tokenizer_from_json(cut)
            if not isinstance(pieces, Pieces):
                raise RunError(f"{origin}: expected word pieces, got another tokenizer.")
            task.piece_reader = PieceReader(pieces, self.max_pieces or 512)
        if (held := content.get("dictionary")) is not None:
            task.dictionary = Dictionary.from_json(
                held, origin, words=len(reader.words), tags=tagset.tags, scheme=tagset.learned
            )
        return task

    def _task(
        self,
        tagset: TagSet,
        reader: WordReader,
        learned: Learned | None,
        merged: str = "",
        temperature: float = 1.0,
    ) -> Tagging:
        return Tagging(
            columns=replace(self.columns, learned=learned),
            tagset=tagset,
            reader=reader,
            constrained=self.constrained,
            max_length=self.max_length,
            announced=self.file_scheme != "auto",
            merged=merged,
            calibration=self.calibration,
            temperature=temperature,
        )


def _temperature(data: Any, origin: str) -> float:
    """Of a run folder; 1 in one that was made before there was any. Raises RunError that names `origin`."""
    if isinstance(data, bool) or not isinstance(data, int | float) or not 0 < data < math.inf:
        raise RunError(f"{origin}: expected a temperature above 0, got {data!r}.")
    return float(data)


def _restored(data: Any, origin: str) -> Learned | None:
    """The cuts of a run folder. Raises RunError that names `origin`."""
    try:
        return None if data is None else learned_from_json(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{origin}: expected how a text is cut: {str(error)[:300]}.") from error


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}
