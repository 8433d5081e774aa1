"""What the verbs of `recurra.api` ask of a task: a plan, which a config describes, and the task that it is fitted to.

Nobody inherits from these; a task is whatever has these members (docs/adding/task.md).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.answers import Answer, AnswerKind
from recurra.base.contracts import Batch, Loss, Origin, Prediction, Record, Score, Table
from recurra.base.errors import ConfigError
from recurra.data.fields import Field
from recurra.data.preparing import Means
from recurra.data.splits import OrderedSplit
from recurra.data.store import Codec
from recurra.data.tokenizers import Pieces, Vocabulary
from recurra.data.word_vectors import WordVectors
from recurra.decode.fusion import Scores
from recurra.metrics import Compared
from recurra.metrics.mixing import Mix
from recurra.report import Chart, HeatMap, RecordingFigure
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.sizing import Choice, Seen

# Tokens or chords that continue a text, at most.
LONGEST = 100_000
# Hypotheses of a reply at most.
WIDEST_CHAT_BEAM = 16


if TYPE_CHECKING:
    from abc import ABCMeta as ProtocolMeta
else:
    ProtocolMeta = type(Protocol)


class ByMembers(ProtocolMeta):
    """`isinstance` by the names of members alone. Python 3.11 evaluates properties for it, which may cost, or raise."""

    def __instancecheck__(self, thing: object) -> bool:
        kind: Any = thing if isinstance(thing, type) else type(thing)
        lacking = _lacking(self, kind)
        return not lacking or lacking <= getattr(thing, "__dict__", {}).keys()


class Capability(Protocol, metaclass=ByMembers):
    """What a task, or its configuration, may have besides; whatever has all members of one has the capability."""


@cache
def _lacking(capability: type, kind: type) -> frozenset[str]:
    """The members that a class does not have. Kept: a task is asked for a dozen capabilities in each answer."""
    return frozenset(name for name in members(capability) if all(name not in vars(base) for base in kind.__mro__))


@cache
def members(capability: type) -> tuple[str, ...]:
    """The names that something with this capability has."""
    kinds = [kind for kind in capability.__mro__ if issubclass(type(kind), ByMembers)]
    names = {name for kind in kinds for name in (*vars(kind), *inspect.get_annotations(kind))}
    return tuple(sorted(name for name in names if not name.startswith("_")))


class Example(Protocol):
    """What a task reads from a record. length: time steps of the model, for batches of like lengths.

    key: what makes two examples the same, to find rows of one split in another
    digest: 32 bytes that stand for all that is learned from (`recurra.base.digest`): they make the data's fingerprint
    """

    @property
    def length(self) -> int: ...
    @property
    def origin(self) -> Origin: ...
    @property
    def key(self) -> str | bytes: ...
    def digest(self) -> bytes: ...


class Row(Protocol):
    """What the plan of a task reads from a record: its cells, each parsed once, before anything is fitted.

    key: what makes two rows the same, for splits      stratum: what a split keeps in proportion
    """

    @property
    def origin(self) -> Origin: ...
    @property
    def key(self) -> str: ...
    @property
    def stratum(self) -> str: ...


class BatchSampler(Protocol):
    """Which examples make which batch: a function of the seed and the epoch, so it needs no state to go on.

    carries: each row of a batch goes on where the same row of the batch before has ended, with its state, unless
      inputs["fresh"] (N,) says otherwise; False: every row is an example from its beginning
    """

    @property
    def carries(self) -> bool: ...
    def plan(self, epoch: int) -> Sequence[Any]:
        """The batches of an epoch, in order, as whatever `batch` takes."""
        ...

    def batch(self, item: Any, rows: slice = ...) -> Batch:
        """A batch, or these rows of it: several processes share one. It may have no rows at all."""
        ...


class Task(Protocol):
    """A fitted task: between the data, the model and the scores.

    answer_kind: what `answer` gives      input_key: under which an answer repeats what was asked
    """

    answer_kind: ClassVar[AnswerKind]
    input_key: ClassVar[str]

    @property
    def model_sizes(self) -> Mapping[str, int]: ...
    @property
    def usual_score(self) -> str: ...
    def example(self, record: Record, *, gold: bool = True) -> Any:
        """A record as an example; without `gold` nobody knows the answer, and the row may be blank."""
        ...

    def filter(self, examples: Sequence[Any], split: str) -> tuple[Sequence[Any], tuple[str, ...]]: ...
    def warnings(self, outputs: Sequence[Any], examples: Sequence[Any]) -> tuple[str, ...]: ...
    def sampler(self, examples: Sequence[Any], *, batch_tokens: int, batch_rows: int, seed: int) -> BatchSampler: ...
    def collate(self, examples: Sequence[Any], indices: Sequence[int]) -> Batch: ...
    def loss(self, prediction: Prediction, batch: Batch) -> Loss: ...
    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[Any]) -> Sequence[Any]: ...
    def score(self, outputs: Sequence[Any], examples: Sequence[Any], split: str) -> tuple[Score, ...]: ...
    def possible_scores(self, examples: Sequence[Any]) -> tuple[Score, ...]:
        """The dev scores that these rows can have, with the values that it takes no learning to reach.

        They are those of one answer for all rows, the most frequent one; no patience is lost while training is there.
        """
        ...

    def answer(self, example: Any, output: Any) -> Answer: ...
    def tables(self, outputs: Sequence[Any], examples: Sequence[Any]) -> tuple[Table, ...]: ...
    def baselines(self, train: Sequence[Any], splits: Mapping[str, Sequence[Any]]) -> Compared: ...
    def facts(self, splits: Mapping[str, Sequence[Any]]) -> dict[str, str | int | float]: ...
    def to_json(self) -> dict[str, Any]: ...


@runtime_checkable
class TakesOptions(Capability, Protocol):
    """What a task has besides that can answer in several ways. options: of `predict`, those that it has"""

    options: ClassVar[tuple[str, ...]]

    def with_options(self, options: Mapping[str, Any]) -> Task:
        """The task as it answers with these. Raises ConfigError for others, and for values that cannot be."""
        ...


@runtime_checkable
class ValidatesFaster(Capability, Protocol):
    """What a task has besides whose answers have the same scores, nearly, when they are made more cheaply."""

    @property
    def for_validation(self) -> Task:
        """The task as it answers while epochs are compared."""
        ...


@runtime_checkable
class AnswersWide(Capability, Protocol):
    """What a task has besides whose steps are a few numbers each, so that wide batches need little memory.

    answer_batch: steps, and rows, that are answered together at most
    """

    answer_batch: ClassVar[tuple[int, int]]


@runtime_checkable
class JoinsOutputs(Capability, Protocol):
    """What a task has besides whose outputs are rows of arrays, so that of a thousand none is made by itself.

    joined_outputs: the outputs of batches as one sequence, in the order of the examples; order: (N,) the place of each,
      batch behind batch
    """

    def joined_outputs(self, parts: Sequence[Any], order: NDArray[np.int64]) -> Sequence[Any]: ...


@runtime_checkable
class Judged(Capability, Protocol):
    """What a task has besides whose right answers can be scored themselves, to see what its scores can reach.

    perfect: outputs that say what the examples want
    doubts: why scores say little of these examples, or cannot reach their best value (`short`), a sentence each
    """

    def perfect(self, examples: Sequence[Any]) -> list[Any]: ...
    def doubts(self, examples: Sequence[Any], short: Sequence[Score]) -> tuple[str, ...]: ...


@runtime_checkable
class MovesModel(Capability, Protocol):
    """What a task has besides that moves its model itself, batch by batch, in the place of a gradient.

    The rate comes from the optimizer, which must be `sgd`, and its schedule. On the CPU, in one process.
    """

    def update(self, model: torch.nn.Module, batch: Batch, rate: float) -> Loss:
        """Move the model in place. Raises TrainingError where a number is no longer finite."""
        ...


@runtime_checkable
class GivesVectors(Capability, Protocol):
    """What a task has besides whose models are vectors of words."""

    def vectors_of(self, model: torch.nn.Module) -> WordVectors: ...


@runtime_checkable
class FindsPictures(Capability, Protocol):
    """What a task has besides whose models give pictures and texts vectors that can be compared (`search`).

    picture_field: the column of pictures
    """

    @property
    def picture_field(self) -> str: ...
    def check_picture(self, record: Record) -> None:
        """Raises DataError, with the place, for what is no picture."""
        ...

    def picture_vectors(
        self, model: torch.nn.Module, records: Sequence[Record], device: torch.device
    ) -> NDArray[np.float32]:
        """(N, D), each of length 1."""
        ...

    def text_vectors(self, model: torch.nn.Module, texts: Sequence[str], device: torch.device) -> NDArray[np.float32]:
        """(K, D), each of length 1."""
        ...

    def strange_in(self, text: str) -> Sequence[str]:
        """Words that training never had, each once."""
        ...


@runtime_checkable
class TriedWith(Capability, Protocol):
    """What a task has besides whose models need more than the smallest value of each field to be tried with."""

    @property
    def trial_fields(self) -> Mapping[str, Any]:
        """Fields of a record that the model can answer."""
        ...


@runtime_checkable
class DecodesInCollate(Capability, Protocol):
    """What a task has besides whose `collate` reads files or decodes them: it runs in a thread, one batch ahead.

    decodes: whether it does. Examples know their length beforehand, as from a header, and `collate` uses no
    randomness, so that batches have the same bits in the same order as without the thread.
    """

    @property
    def decodes(self) -> bool: ...


@runtime_checkable
class DrawsCharts(Capability, Protocol):
    """What a task has besides whose reports show curves of its own."""

    def charts(self, outputs: Sequence[Any], examples: Sequence[Any]) -> tuple[Chart, ...]: ...


@runtime_checkable
class DrawsMaps(Capability, Protocol):
    """What a task has besides whose reports show heat maps of some examples."""

    def pictures(
        self, model: torch.nn.Module, examples: Sequence[Any], device: torch.device
    ) -> tuple[HeatMap, ...]: ...


@runtime_checkable
class ShowsRecordings(Capability, Protocol):
    """What a task has besides whose reports show recordings, and how they are heard as streams."""

    def recordings(
        self, model: torch.nn.Module, outputs: Sequence[Any], examples: Sequence[Any], device: torch.device
    ) -> tuple[RecordingFigure, ...]: ...
    def streamed(self, model: torch.nn.Module, examples: Sequence[Any]) -> tuple[Table, ...]: ...


@runtime_checkable
class WritesSamples(Capability, Protocol):
    """What a task has besides whose reports show what the model writes by itself."""

    def samples(self, model: torch.nn.Module, device: torch.device) -> tuple[Table, ...]: ...


@runtime_checkable
class SaysLabels(Capability, Protocol):
    """What a task has besides whose answers have a probability for each label.

    labels: all of them      separator: between several in one cell of a file; None where they stand in a list
    """

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def separator(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class TokenTags:
    """Tokens with their tags, as the files of a run write them.

    form: how a file has the tags of such a row, as a list or with spaces between them; None: as spans of a text
    """

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    form: Literal["list", "spaced"] | None


@runtime_checkable
class TagsTokens(Capability, Protocol):
    """What a task has besides whose answers are a tag for each token, in files of columns too."""

    def in_columns(self, record: Record, example: Any, output: Any) -> TokenTags:
        """An answer as the file of its record has tags."""
        ...


@runtime_checkable
class Explains(Capability, Protocol):
    """What a task has besides whose models can be looked into while they answer (`inspect`)."""

    def explain(self, model: torch.nn.Module, example: Any, device: torch.device) -> ExplanationTarget:
        """What can be seen. example: read without gold, of one step at least

        Raises ConfigError for a model that the task cannot look into.
        """
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """What one more token adds to a text, or one more chord to a piece; "" where it cannot be told yet.

    number: of the text, from 0      ended: this text has no more
    log_prob: nats of the token, as the model gave it before temperature and cuts
    """

    number: int
    text: str
    log_prob: float
    ended: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationOptions:
    """How a text is continued, as `recurra.api.generate` says it. number: of the text, of several drawn with one seed.

    Raises ConfigError for a length or a temperature out of its range.
    """

    length: int = 200
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    stop: str | None = None
    seed: int = 0
    number: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.length <= LONGEST:
            raise ConfigError(f"length: expected a whole number from 1 to {LONGEST:,}, got {self.length}.")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ConfigError(f"temperature: expected at least 0, got {self.temperature:g}.")

    def refuse(self, names: Iterable[str], reason: str) -> None:
        """Raise ConfigError, a sentence each, for options that are given."""
        if given := [name for name in names if getattr(self, name) is not None]:
            raise ConfigError([f"{name}: {reason}" for name in given])


@runtime_checkable
class ScoresTokens(Capability, Protocol):
    """What a task has besides whose models can judge the texts of another, token by token."""

    def token_scores(self, model: torch.nn.Module) -> tuple[Scores[Any], Literal["unit", "word"]]:
        """What judges, and what a token is to the other model. Raises ConfigError for a model that cannot."""
        ...


class Generator(Protocol):
    """Goes on with texts, one after the other."""

    def write(self, prompt: str, how: GenerationOptions) -> Iterator[Piece]:
        """What follows the prompt; "" begins a text. Raises ConfigError or DataError, at once, for what cannot be."""
        ...


@runtime_checkable
class Embeds(Capability, Protocol):
    """What a task has besides whose models have a vector for each token. vocabulary: the tokens of the rows."""

    @property
    def vocabulary(self) -> Vocabulary: ...


@runtime_checkable
class ReadsLetters(Capability, Protocol):
    """What a task has besides whose models may read the letters of words. letters: None where they do not."""

    @property
    def letters(self) -> Vocabulary | None: ...


@runtime_checkable
class ReadsPieces(Capability, Protocol):
    """What a task has besides whose texts may be cut into the pieces of published weights.

    pieces: None where they are cut otherwise      head_labels: what the model's head tells apart, in order
    """

    @property
    def pieces(self) -> Pieces | None: ...
    @property
    def head_labels(self) -> tuple[str, ...]: ...


@runtime_checkable
class MeasuresLoss(Capability, Protocol):
    """What a task has besides whose loss is not in nats. loss_unit: of one target's loss: "squared error", ..."""

    loss_unit: ClassVar[str]


def loss_unit(task: Task) -> str:
    """What a task's loss is measured in."""
    return task.loss_unit if isinstance(task, MeasuresLoss) else "nats"


@runtime_checkable
class Calibrates(Capability, Protocol):
    """What a task has besides whose probabilities are fitted after training. temperature: 1 where they are not."""

    temperature: float

    def calibrated(self, outputs: Sequence[Any], examples: Sequence[Any]) -> Any:
        """The task with the temperature that fits what it said of these examples, at temperature 1."""
        ...


@runtime_checkable
class Exports(Capability, Protocol):
    """What a task has besides whose answers in other programs are more than its model's outputs."""

    def for_export(self, model: torch.nn.Module) -> torch.nn.Module:
        """The model with what makes answers of its outputs."""
        ...


@runtime_checkable
class Conforms(Capability, Protocol):
    """What a task has besides whose intervals may be fitted to its errors after training."""

    @property
    def conformal(self) -> str:
        """How they came about, as a sentence; "" where they are not fitted."""
        ...

    def conformed(self, outputs: Sequence[Any], examples: Sequence[Any]) -> Any:
        """The task with intervals that fit what it said of these examples; itself where it has others."""
        ...


@runtime_checkable
class FitsThreshold(Capability, Protocol):
    """What a task has besides that may give no answer: above which threshold is fitted after training.

    tunes: whether there is one to fit      fitted: what came of it, as a sentence; "" where it was not fitted
    """

    fitted: str

    @property
    def tunes(self) -> bool: ...

    def thresholded(self, outputs: Sequence[Any], examples: Sequence[Any]) -> Any:
        """The task with the threshold that fits what it said of these examples."""
        ...


@runtime_checkable
class SolvesWide(Capability, Protocol):
    """What a task has besides whose models may have a wide part: solved before the first step, mixed after the last."""

    def solve(self, model: torch.nn.Module, examples: Sequence[Any]) -> str:
        """Fit it to training rows, in place; a sentence on what came of it, "" where there is no such part."""
        ...

    def mixed(
        self, wide: Sequence[Any], deep: Sequence[Any], examples: Sequence[Any], share: float | None = None
    ) -> Mix:
        """How much of each fits these rows best. wide, deep: outputs of each alone, at temperature 1

        share: of the wide one, where the config says it
        """
        ...


@runtime_checkable
class Generates(Capability, Protocol):
    """What a task has besides that goes on with a text. use: whether what is written is read or played"""

    use: Literal["generate", "play"]

    def writer(self, model: torch.nn.Module) -> Generator: ...


@runtime_checkable
class NamesUnknown(Capability, Protocol):
    """What a task has besides that reads tokens which training never saw as unknown."""

    def unknown_in(self, prompt: str) -> Sequence[str]:
        """Those of a prompt, each once."""
        ...


@runtime_checkable
class Plays(Capability, Protocol):
    """What a task has besides whose texts can be heard."""

    def midi(self, text: str) -> bytes:
        """A MIDI file. Raises DataError for a text that cannot be played, ConfigError without symusic."""
        ...


@dataclass(frozen=True, slots=True)
class SuggestedWord:
    """A word. probability: 0..1, given the text before it and its letters that are typed already; of words that are
    written as several tokens, among those that were looked at."""

    word: str
    probability: float


class Suggester(Protocol):
    """Suggests words at the end of a text, again and again while it grows."""

    def suggest(self, text: str, number: int = 5) -> Sequence[SuggestedWord]:
        """At most `number` words, the most probable first."""
        ...


@runtime_checkable
class Suggests(Capability, Protocol):
    """What a task has besides that suggests words to who is typing."""

    def suggester(self, model: torch.nn.Module) -> Suggester: ...


@runtime_checkable
class Streams(Capability, Protocol):
    """What a task has besides whose answer can be seen while it grows."""

    def stream(self, model: torch.nn.Module, example: Any, device: torch.device) -> Iterator[str]:
        """The text of the answer after each token. The model goes on when more is asked for."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatOptions:
    """How a reply is found. temperature: 0 takes the most probable one, above it is drawn, by top_p and seed

    beam: hypotheses; None: as the run has it      always: whether what nothing near was learned of has a reply too
    Raises ConfigError, all mistakes at once, for values that cannot be, or have no effect together.
    """

    temperature: float = 0.0
    top_p: float | None = None
    beam: int | None = None
    seed: int = 0
    always: bool = False

    def __post_init__(self) -> None:
        problems = []
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            problems.append(f"temperature: expected at least 0, got {self.temperature:g}.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            problems.append(f"top_p: expected a number above 0 and at most 1, got {self.top_p:g}.")
        if self.beam is not None and not 1 <= self.beam <= WIDEST_CHAT_BEAM:
            problems.append(f"beam: expected a whole number from 1 to {WIDEST_CHAT_BEAM}, got {self.beam}.")
        if self.top_p is not None and self.temperature == 0:
            problems.append("top_p: has no effect at temperature 0, which takes the most probable; raise it.")
        if (self.beam or 1) > 1 and self.temperature > 0:
            problems.append("beam: has no effect where a reply is drawn; leave it out, or set temperature to 0.")
        if not 0 <= self.seed < 2**63:
            problems.append(f"seed: expected a whole number from 0 to 2^63 - 1, got {self.seed}.")
        if problems:
            raise ConfigError(problems)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, or as much of it as is known. near: how near what was said is to what training had, 0..1

    refused: that was too far, and the text says so      source: where the reply stands, of one that was chosen
    """

    text: str
    near: float
    refused: bool = False
    source: str = ""


@runtime_checkable
class Chats(Capability, Protocol):
    """What a task has besides that replies to what was said. threshold: of nearness, under which it does not

    chat_options: of `ChatOptions`, those that have an effect
    """

    chat_options: ClassVar[tuple[str, ...]]

    @property
    def threshold(self) -> float | None: ...
    def replies(
        self, model: torch.nn.Module, turns: Sequence[str], how: ChatOptions, device: torch.device
    ) -> Iterator[Reply]:
        """The reply to the last turn as it grows; the model goes on when more is asked for."""
        ...


class LinearCodes(Protocol):
    """Codes of rows, and rows from codes (N, Z): (T, D) of each what is expected of its numbers, as they are scaled."""

    def codes(self, examples: Sequence[Any], /) -> NDArray[np.float32]: ...
    def values(self, codes: NDArray[np.float32], lengths: Sequence[int], /) -> list[NDArray[np.float32]]: ...


class CodeWriter(Protocol):
    """From codes of a trained model to rows or texts: values, of any kind. code_size: Z

    steps: of what is drawn, where nobody says: of the longest training row, 1 where rows are one vector
    width: D, numbers of a step, 1 of a text
    is_distribution: whether codes lie as N(0, 1) does
    """

    code_size: int
    steps: int
    width: int
    is_distribution: bool

    def codes(self, examples: Sequence[Any], /) -> NDArray[np.float32]: ...
    def values(self, codes: NDArray[np.float32], lengths: Sequence[int], /) -> list[Any]:
        """Of each code what it stands for, of so many steps."""
        ...

    def drawn(self, number: int, temperature: float, seed: int) -> NDArray[np.float32]:
        """(N, Z) codes of N(0, temperature^2). Raises ConfigError for codes that are no distribution."""
        ...

    def between(self, first: int, last: int, number: int) -> list[int]:
        """Steps of each of `number` values on the way from one of `first` steps to one of `last`."""
        ...

    def by_column(self, values: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows by column, in the units of the data."""
        ...

    def pictures(self, values: Sequence[Any]) -> NDArray[np.uint8] | None:
        """(N, H, W) grey, or None where rows are no pictures."""
        ...


class Coder(LinearCodes, CodeWriter, Protocol):
    """The same of rows of numbers. fills: whether it reads which numbers are missing"""

    fills: bool

    def rows(self, examples: Sequence[Any]) -> list[NDArray[np.float32]]:
        """(T, D) of each, NaN where a number is missing."""
        ...

    def linear(self, examples: Sequence[Any]) -> LinearCodes:
        """Principal components with as many numbers, of these rows. Raises ConfigError if their lengths differ."""
        ...

    def region(self, example: Any, lines: tuple[int, int] | None, columns: tuple[int, int] | None) -> NDArray[np.bool_]:
        """(T, D) which numbers stand in these lines and columns, from 1. Raises ConfigError for others."""
        ...

    def filled(self, examples: Sequence[Any], known: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """(T, D) of each row what is known, with what is said in the place of NaN."""
        ...

    def neighbours(self, known: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float64]]:
        """The same with the nearest number in the place of NaN."""
        ...

    def completed(
        self, values: Sequence[NDArray[np.float32]], records: Sequence[Record], gone: Sequence[NDArray[np.bool_]]
    ) -> list[dict[str, Any]]:
        """The same, with what a record holds in the place of all that is not gone (T, D)."""
        ...


@runtime_checkable
class WritesFromCodes(Capability, Protocol):
    """What a task has besides whose models make rows, or texts, from codes."""

    def code_writer(self, model: torch.nn.Module, device: torch.device) -> CodeWriter:
        """Raises ConfigError for rows that have no such codes."""
        ...


@runtime_checkable
class Codes(Capability, Protocol):
    """What a task has besides whose models turn rows of numbers into codes, and codes into rows."""

    def coder(self, model: torch.nn.Module, device: torch.device) -> Coder:
        """Raises ConfigError for rows that have no such codes."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class WatchedSeries:
    """A series as it is searched for what is unusual.

    values: (T, D), NaN where nothing was observed      columns: D names
    moments: (T,) its stamps as numbers, of microseconds where dated      stamps: as the file has them
    labels: (T,) of a column that was asked for      content: what the task has read of it
    """

    name: str
    origin: Origin
    values: NDArray[np.float64]
    columns: tuple[str, ...]
    moments: NDArray[np.int64]
    dated: bool
    stamps: Sequence[str | int]
    labels: NDArray[np.bool_] | None = None
    content: Any = None


@runtime_checkable
class ScoresSteps(Capability, Protocol):
    """What a task has besides whose models tell how well steps of a series fit what they have learned (`detect`).

    judged: steps that a window reads before those that it judges, and how many it judges
    whole: whether a window needs all of its steps; one that reaches past the end of a series then reads steps before it
    """

    @property
    def judged(self) -> tuple[int, int]: ...
    @property
    def whole(self) -> bool: ...
    def watched(self, record: Record, label: str | None = None) -> WatchedSeries:
        """A record as a series. label: a column of 0 and 1 beside

        Raises DataError, with row, series and stamp, for what cannot be used.
        """
        ...

    def step_errors(
        self, model: torch.nn.Module, series: WatchedSeries, starts: NDArray[np.int64], device: torch.device
    ) -> NDArray[np.float64]:
        """(N, span, D) how far off each step is, of windows that judge from these steps on; NaN where unknown.

        Nothing behind a window has any part in it.
        """
        ...


class StreamingPredictor(Protocol):
    """Reads a text piece by piece, and keeps a state in the place of what it has read."""

    def begin(self) -> Any:
        """The state before the first piece."""
        ...

    def read(self, place: Any, piece: str) -> tuple[Any, Mapping[str, Any]]:
        """The state after a piece, and the answer for all of the text so far. Raises DataError."""
        ...


@runtime_checkable
class ReadsInPieces(Capability, Protocol):
    """What a task has besides that answers before a text has ended (sessions of the service)."""

    def predictor(self, model: torch.nn.Module) -> StreamingPredictor:
        """Raises ConfigError, with all reasons, for a model that needs the end of a text first."""
        ...


@runtime_checkable
class Hears(Capability, Protocol):
    """What a task has besides that turns sound into text. column: of sounds; rate: None where it reads features"""

    @property
    def column(self) -> str: ...
    @property
    def rate(self) -> int | None: ...
    @property
    def beam(self) -> int:
        """Texts that are followed unless another number is asked for."""
        ...

    @property
    def spectrum(self) -> Any: ...
    def listener(self, model: torch.nn.Module) -> Any:
        """Hears samples as they come: begin, hear(place, samples), said(place), taken(place), ended(place).

        Raises ConfigError, with all reasons, for a model that needs the end of a recording first.
        """
        ...


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What `init` writes for a user's file, beside the defaults.

    task, data: options of these sections      said: what was chosen and why, a short line each
    """

    task: Mapping[str, Any]
    data: Mapping[str, Any] = field(default_factory=dict)
    said: tuple[str, ...] = ()


@runtime_checkable
class ChoosesBySize(Capability, Protocol):
    """What the configuration of a task has besides that chooses more than epochs by the size of the data."""

    @classmethod
    def sized(cls, options: Mapping[str, Any], seen: Seen) -> Sequence[Choice]:
        """Options of any section that `init` writes, each with its reason; epochs and rows of a batch among them.

        options: of the task, as `suggested`
        """
        ...


@runtime_checkable
class NamedByMethod(Capability, Protocol):
    """What the configuration of a task has besides of whose usual names some say more than the task."""

    @classmethod
    def called(cls, name: str) -> Mapping[str, Any]:
        """Options of the task that a name asks for, such as {"method": "glove"}; as "model" the word of one."""
        ...


@runtime_checkable
class TrainsItself(Capability, Protocol):
    """What the configuration of a task has besides whose task moves its model itself, in one process.

    Some options of the section training have no effect on it.
    """

    def refuse_training(self, training: Mapping[str, Any]) -> None:
        """Raises ConfigError, a sentence each. training: the section with every option written out"""
        ...


@runtime_checkable
class MindsInputs(Capability, Protocol):
    """What the configuration of a task has besides some of whose options go by what a model reads."""

    def refuse_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Raises ConfigError, a sentence each. inputs: the section model.inputs with every option written out"""
        ...


@runtime_checkable
class FitsModel(Capability, Protocol):
    """What the configuration of a task has besides that reads and learns in another way by the model's parts."""

    def for_model(self, model: Mapping[str, Any]) -> Any:
        """The configuration for this model. Raises ConfigError. model: the section with every option written out"""
        ...


@runtime_checkable
class LabelsRows(Capability, Protocol):
    """What the configuration of a task has besides whose rows have their labels in one column, `label`."""

    @property
    def label(self) -> str: ...


@runtime_checkable
class ReadsSteps(Capability, Protocol):
    """What the configuration of a task has besides whose records may be made of many rows (`data.layout`).

    step_fields: those with a value in each step; of a file in long form they become lists
    """

    @property
    def step_fields(self) -> tuple[str, ...]: ...


@runtime_checkable
class ReadsOn(Capability, Protocol):
    """What the configuration of a task has besides that reads on from row to row: a split may end inside of a row."""

    def torn(self, rows: Sequence[Any], rule: OrderedSplit) -> list[Any]: ...


@runtime_checkable
class CutsRows(Capability, Protocol):
    """What the configuration of a task has besides whose rows are each cut in time: every split has a part of each."""

    def cut(self, rows: Sequence[Any], rule: Any, note: Callable[[str], None]) -> dict[str, list[Any]]:
        """The rows of train, dev and, if the rule makes it, test. note: what a person should know

        Raises DataError where no row is left for one of them.
        """
        ...


@runtime_checkable
class ReadsOnce(Capability, Protocol):
    """What the plan of a task has besides whose training data is read once; its task has `examples(rows, means)`."""

    def read(self, record: Record) -> Any:
        """A `Row`. Raises DataError, with file and line, for a record that cannot be learned from."""
        ...

    def fit_examples(self, rows: Collection[Any], source: str, means: Means) -> tuple[Any, Iterable[Any]]:
        """The task that training rows make, and these rows as its examples, one by one. rows: read again and again"""
        ...


@runtime_checkable
class LeavesOut(Capability, Protocol):
    """What a task has besides whose training rows make other examples than the same rows would later.

    What looks things up in its training rows leaves a row of these out of what it finds; series that are learned from
    are cut elsewhere than those that are forecast.
    """

    def training_examples(self, rows: Iterable[Any], means: Means) -> Iterable[Any]:
        """The rows that the task was fitted on as examples, one by one, as `fit_examples` gave them."""
        ...


@runtime_checkable
class KeepsRows(Capability, Protocol):
    """What the plan of a task has beside `ReadsOnce` whose rows may be in a file, when data is larger than memory.

    row_codec: rows as plain values, and back
    """

    @property
    def row_codec(self) -> Codec[Any]: ...


@runtime_checkable
class RereadsRows(Capability, Protocol):
    """What the plan of a task has beside `KeepsRows` whose training rows may stay in their files
    (`data.shuffle_buffer`): each makes one example, whatever stands beside it, and batches are of like lengths.

    keeps_tokens: whether fitting goes through the numbers of all tokens again, which are on the disk meanwhile
    """

    keeps_tokens: ClassVar[bool]


@runtime_checkable
class KeepsExamples(Capability, Protocol):
    """What a task has besides whose examples may be in a file; its plan `KeepsRows`.

    example_codec: examples as plain values, and back
    """

    @property
    def example_codec(self) -> Codec[Any]: ...


@dataclass(frozen=True, slots=True)
class Needs:
    """The models that a task can use.

    model: by its word      parts: the words of its components that fit, the first of each by default
    defaults: where the task's differ from the components' own, by path, such as "encoder.bidirectional"
    training: the same of the section training, such as "optimizer"
    others: what else there is, each with another model; the first one, this, is there by default
    """

    model: str
    parts: Mapping[str, tuple[str, ...]]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[Needs, ...] = ()

    def of(self, model: object) -> Needs:
        """Those of a model by its word; of none that fits, the first."""
        return next((one for one in self.others if one.model == model), self)


@runtime_checkable
class LimitsSplits(Capability, Protocol):
    """What the configuration of a task has besides whose rows cannot go to any split.

    splits: ways to take dev and test from train that rows allow; the first one where the config names none
    """

    @property
    def splits(self) -> tuple[str, ...]: ...


@runtime_checkable
class NamesFormat(Capability, Protocol):
    """What the configuration of a task has besides whose files may have names that mislead."""

    @classmethod
    def format_of(cls, file: Path) -> str:
        """The format of a file that `init` reads; auto: by its name."""
        ...


@runtime_checkable
class TakesLexicon(Capability, Protocol):
    """What the configuration of a task has besides that may say words by their pronunciations."""

    @classmethod
    def by_lexicon(cls, file: str) -> Mapping[str, Any]:
        """The options of the task with this file of words and pronunciations."""
        ...


@runtime_checkable
class ChecksRecords(Capability, Protocol):
    """What the configuration of a task has in the place of `ReadsOnce`; its task has `example` alone."""

    def check(self, record: Record) -> None:
        """Raises DataError, with file and line, for a record that cannot be learned from."""
        ...

    def key(self, record: Record) -> Hashable:
        """What makes two records the same, for splits."""
        ...

    def stratum(self, record: Record) -> str:
        """What a split keeps in proportion."""
        ...


def splits_of(config: TaskConfig) -> tuple[str, ...]:
    """Ways to take dev and test from train; the first one where the config names none."""
    return config.splits if isinstance(config, LimitsSplits) else ("random", "hash", "folds", "ordered")


class TaskConfig(Protocol):
    """A task as a config describes it, before any data is read; built from the options of the `task` section."""

    needs: ClassVar[Needs]

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The fields that answers come from, the one first that `predict TEXT` fills."""
        ...

    @property
    def fields(self) -> tuple[str, ...]: ...
    @property
    def smallest_sizes(self) -> Mapping[str, int]: ...
    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion: ...
    def fit(self, records: Sequence[Record], source: str) -> Task: ...
    def restore(self, data: Mapping[str, Any], origin: str) -> Task: ...
