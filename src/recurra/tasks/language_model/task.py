"""A language model: how probable each token of a text is, given all before it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.answers import AnswerKind, LogProb, TokenLogProb
from recurra.base.contracts import Batch, Loss, Prediction, Record, Score, Table
from recurra.base.errors import DataError
from recurra.data.midi import midi_of_abc
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.store import Fields
from recurra.data.tokenizers import EOS, Vocabulary, encode, encoded_block, way_of
from recurra.data.tokenizers.encoded import Ids
from recurra.decode.fusion import Scores
from recurra.losses import fixed_sum
from recurra.metrics import Compared
from recurra.metrics.ngrams import Bigram, Unigram
from recurra.models import SequenceModel
from recurra.nn import backward_nats, softmax_nats
from recurra.nn.penalties import activation_penalties
from recurra.report import Chart
from recurra.tasks.blank import NOTE, blank_warnings
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.language_model.documents import LINE, Passage, TextRow, passages, whole
from recurra.tasks.language_model.explain import explained
from recurra.tasks.language_model.fusing import token_scores
from recurra.tasks.language_model.generation import Generator
from recurra.tasks.language_model.order import StreamSampler
from recurra.tasks.language_model.reading import cutter, text_of
from recurra.tasks.language_model.scoring import perplexity, text_scores
from recurra.tasks.language_model.streaming import StreamingPredictor
from recurra.tasks.language_model.suggesting import Suggester
from recurra.tasks.language_model.tables import by_rank, position_chart, samples_table
from recurra.tasks.letters import REMEMBERED, KnownWords, Spellings
from recurra.tasks.options import refuse_options
from recurra.tasks.text import TextEncoder, pad_arrays

# Tokens of one text that `predict` scores: its states are all kept at once, 160 MB at a width of 400.
LONGEST = 100_000


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model said of a passage. nats: of each target, in order."""

    nats: tuple[float, ...]


class LanguageModelling:
    """Five verbs between the data and the model: example, collate, loss, predict, score.

    reader: tokens and their numbers      text: the column      closed: whether a row is a document, with an end
    line_breaks: whether the end of a line is a token      bptt: steps that the gradient goes back
    letters: those that a model reads of each token; None for one that has a vector for it
    """

    answer_kind: ClassVar[AnswerKind] = "continuation"
    input_key: ClassVar[str] = "text"
    options: ClassVar[tuple[str, ...]] = ("tokens",)
    use: Literal["generate", "play"] = "generate"

    def __init__(
        self,
        reader: TextEncoder,
        *,
        text: str,
        closed: bool,
        line_breaks: bool,
        bptt: int,
        shown: bool = False,
        letters: Vocabulary | None = None,
    ) -> None:
        self.reader = reader
        self.text = text
        self.closed = closed
        self.line_breaks = line_breaks
        self.bptt = bptt
        # What stands before the first token of a document: an end, of a document or of a line.
        self.start = EOS if closed or not line_breaks else reader.vocabulary.ids([LINE])[0]
        self._shown = shown
        self.letters = letters
        self._known = None if letters is None else KnownWords(reader.vocabulary, letters)

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the rows of a model's table stand for."""
        return self.reader.vocabulary

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: size of the vocabulary, and of that of letters, if these are read."""
        more = {} if self.letters is None else {"characters": len(self.letters)}
        return {"tokens": len(self.reader.vocabulary), **more}

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> Passage:
        """Read a record, as a document of its own, and one passage.

        Raises DataError, with file and line, for what is no text, and without `gold` for one that is too long.
        """
        text = text_of(record, self.text, blank=not (gold and self.closed))
        row = TextRow(text, record.origin)
        encoded = encode(self.reader.vocabulary, self.row_tokens(text))
        if not gold and (number := len(encoded)) > LONGEST:
            raise DataError(
                f"{record.origin}: has {number:,} tokens, and predict takes at most {LONGEST:,} at once. "
                "Cut the text, or put it in a file and use `recurra evaluate`."
            )
        return whole(row, encoded, closed=self.closed, text=text)

    def examples(self, rows: Iterable[TextRow], means: Means = IN_MEMORY) -> Iterator[Passage]:
        """The passages of documents: of each row, or of all rows of a file."""
        cut = cutter(self.reader.tokenizer, line_breaks=self.line_breaks, end=bool(self._row_end))
        both = (
            pair
            for some, block in means.blocks(cut, rows, _text)
            for pair in zip(some, encoded_block(self.reader.vocabulary, block), strict=True)
        )
        return passages(both, closed=self.closed, texts=True)

    @property
    def example_codec(self) -> Fields[Passage]:
        return Fields(Passage, encoded=way_of(self.reader.vocabulary))

    def collate(self, examples: Sequence[Passage], indices: Sequence[int]) -> Batch:
        """Passages from their beginning: tokens (T, N), with their letters where these are read; targets: what follows
        each, and how many steps of a row are only read (`unscored`, (N,)), because an earlier passage has them."""
        rows = [e.numbers(self.start) for e in examples]
        return Batch(
            self._inputs(examples, rows),
            torch.tensor([e.length for e in examples], dtype=torch.int64),
            {
                "tokens": pad_arrays([row[1:] for row in rows])[0],
                "unscored": torch.tensor([e.start - e.first for e in examples], dtype=torch.int64),
            },
            tuple(indices),
        )

    def _inputs(self, examples: Sequence[Passage], rows: Sequence[Ids]) -> dict[str, Tensor]:
        if (spellings := self.spellings()) is None:
            return {"tokens": pad_arrays([row[:-1] for row in rows])[0]}
        spelt = pad_arrays([e.spelt(self.start, spellings)[:-1] for e in examples])[0]
        return spellings.inputs(spelt.numpy())

    def spellings(self, limit: int | None = None) -> Spellings | None:
        """What numbers all tokens, as `Spellings` does, where letters are read; else None."""
        return None if self._known is None else Spellings(self._known, limit)

    def sampler(self, examples: Sequence[Passage], *, batch_tokens: int, batch_rows: int, seed: int) -> StreamSampler:
        """Streams: the state goes on from batch to batch. batch_tokens // bptt rows at most."""
        rows = max(1, min(batch_rows, batch_tokens // self.bptt))
        spellings = self.spellings()
        return StreamSampler(examples, self.start, bptt=self.bptt, rows=rows, seed=seed, spellings=spellings)

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """Cross-entropy of the targets in nats and, in training, the penalties of the model on its activations and what
        its backward layer pays for the tokens of the chunk."""
        real = scored(batch)
        nats = softmax_nats(prediction.outputs, batch.targets["tokens"], real)
        behind = backward_nats(prediction.outputs, batch.inputs["tokens"], real)
        total = fixed_sum(nats) + fixed_sum(behind)
        return Loss(total + activation_penalties(prediction.outputs, real), len(nats))

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[Passage]) -> list[Scored]:
        """The nats of each target of each row; the model is in eval mode."""
        real = scored(batch)
        nats = torch.zeros(real.shape, dtype=torch.float64, device=real.device)
        nats[real] = softmax_nats(model(batch).outputs, batch.targets["tokens"], real).double()
        stops = batch.lengths.tolist()
        return [
            Scored(tuple(row[e.start - e.first : stop]))
            for row, e, stop in zip(nats.t().tolist(), examples, stops, strict=True)
        ]

    def score(self, outputs: Sequence[Scored], examples: Sequence[Passage], split: str) -> tuple[Score, ...]:
        """Perplexity, bits a character and nats a token, of all tokens together."""
        return _scores(chain.from_iterable(o.nats for o in outputs), examples, split)

    def filter(self, examples: Sequence[Passage], split: str) -> tuple[Sequence[Passage], tuple[str, ...]]:
        """All of them. Raises DataError if there is no token."""
        if not len(examples):
            raise DataError(f"{split}: its rows hold no token; expected text.")
        return examples, ()

    # -- for predict -----------------------------------------------------------------------------------------------

    def with_options(self, options: Mapping[str, Any]) -> LanguageModelling:
        """The task with `tokens`, the probability of each token. Raises ConfigError for other options."""
        refuse_options(options, "language model", self.options)
        return LanguageModelling(
            self.reader,
            text=self.text,
            closed=self.closed,
            line_breaks=self.line_breaks,
            bptt=self.bptt,
            shown=bool(options.get("tokens", False)),
            letters=self.letters,
        )

    def warnings(self, outputs: Sequence[Scored], examples: Sequence[Passage]) -> tuple[str, ...]:
        """Blank texts, and tokens that training never saw."""
        blank = blank_warnings(examples, ", of which only the white space and the end is judged")
        return (*blank, *self._unknown([e for e in examples if not e.is_blank]))

    def _unknown(self, examples: Sequence[Passage]) -> tuple[str, ...]:
        found = [(e, token) for e in examples for token in dict.fromkeys(e.encoded.unknown)]
        if not found:
            return ()
        rows = len({id(e) for e, _ in found})
        hold = "holds" if rows == 1 else "hold"
        return (
            f"{rows} of {len(examples)} texts {hold} tokens that training never saw, which are read {self._as}: "
            f"{_listed([token for _, token in found])}; the first: {found[0][0].origin}.",
        )

    @property
    def _as(self) -> str:
        return "as unknown" if self.letters is None else "by their letters and judged as unknown"

    def answer(self, example: Passage, output: Scored) -> LogProb:
        """How probable a text is: the log of its probability in nats, perplexity; with `tokens`, that of each.

        A blank text has a note.
        """
        total = math.fsum(output.nats)
        named = [*example.tokens, *([""] if example.ends else [])]
        shown = (TokenLogProb(t, -n) for t, n in zip(named, output.nats, strict=True)) if self._shown else None
        return LogProb(
            0.0 - total,  # without anything to judge 0, and not -0
            perplexity(total, len(output.nats)),
            len(output.nats),
            example.text,
            None if shown is None else tuple(shown),
            NOTE if example.is_blank else None,
        )

    def predictor(self, model: torch.nn.Module) -> StreamingPredictor:
        """What judges a text that comes piece by piece."""
        return StreamingPredictor(self, model)

    def writer(self, model: torch.nn.Module) -> Generator:
        """What writes a text on."""
        return Generator(
            cast(SequenceModel, model), self.reader.tokenizer, self.reader.vocabulary,
            start=self.start, closed=self.closed,
            line_breaks=self.line_breaks, spellings=self.spellings(REMEMBERED),
        )  # fmt: skip

    def token_scores(self, model: torch.nn.Module) -> tuple[Scores[Any], Literal["unit", "word"]]:
        """What judges the texts of another model, token by token. Raises ConfigError for pieces of words."""
        return token_scores(self, model)

    def suggester(self, model: torch.nn.Module) -> Suggester:
        """What suggests words to who is typing."""
        return Suggester(self.writer(model))

    def unknown_in(self, prompt: str) -> list[str]:
        """Tokens of a prompt that training never saw, each once."""
        return list(dict.fromkeys(encode(self.reader.vocabulary, self.tokens(prompt)).unknown))

    def midi(self, text: str) -> bytes:
        """A MIDI file of a tune in ABC notation. Raises DataError for other text, ConfigError without symusic."""
        return midi_of_abc(text)

    def explain(self, model: torch.nn.Module, example: Passage, device: torch.device) -> ExplanationTarget:
        """What can be seen of a model while it answers. Raises ConfigError for one without recurrent layers."""
        return explained(self, model, example, device)

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Scored], examples: Sequence[Passage]) -> tuple[Table, ...]:
        """Loss by how frequent a token is in training."""
        targets = [e.numbers(self.start)[1 + e.start - e.first :] for e in examples]
        return (by_rank(np.concatenate(targets).tolist(), [n for o in outputs for n in o.nats]),)

    def charts(self, outputs: Sequence[Scored], examples: Sequence[Passage]) -> tuple[Chart, ...]:
        """Loss by position in the document."""
        places = [place for e in examples for place in range(e.start, e.stop)]
        return (position_chart(places, [n for o in outputs for n in o.nats]),)

    def samples(self, model: torch.nn.Module, device: torch.device) -> tuple[Table, ...]:
        """What the model writes from the beginning of a document."""
        return (samples_table(self.writer(model)),)

    def baselines(self, train: Sequence[Passage], splits: Mapping[str, Sequence[Passage]]) -> Compared:
        """What it reaches to count tokens, and pairs of tokens."""
        size = len(self.reader.vocabulary)
        before, after = self._pairs(train)
        one, two = Unigram(after, size), Bigram(before, after, size)
        unigram: list[Score] = []
        bigram: list[Score] = []
        for name, rows in splits.items():
            before, after = self._pairs(rows)
            unigram += _scores(one.nats(after), rows, name)
            bigram += _scores(two.nats(before, after), rows, name)
        return Compared({"unigram": tuple(unigram), "bigram": tuple(bigram)}, ())

    def facts(self, splits: Mapping[str, Sequence[Passage]]) -> dict[str, str | int | float]:
        """Sizes, and what was unknown, by split."""
        found: dict[str, str | int | float] = {"vocabulary": len(self.reader.vocabulary)}
        for name, examples in splits.items():
            documents = targets = characters = tokens = unknown = 0
            for e in examples:
                documents, targets = documents + (not e.start), targets + e.targets
                characters += e.characters
                tokens, unknown = tokens + len(e.encoded), unknown + e.encoded.num_unknown
            found[f"{name} documents"] = documents
            found[f"{name} tokens"] = targets
            found[f"{name} characters"] = characters
            found[f"{name} unknown tokens"] = f"{unknown / max(tokens, 1):.2%}"
        return found

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "perplexity"

    def possible_scores(self, examples: Sequence[Passage]) -> tuple[Score, ...]:
        """The scores that these rows can have, with the values of a model that expects every token alike."""
        count, characters = sum(e.targets for e in examples), sum(e.characters for e in examples)
        nats = count * math.log(len(self.reader.vocabulary))
        return text_scores((nats,), count=count, characters=characters, split="dev")

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read as in training."""
        more = {} if self.letters is None else {"letters": self.letters.to_json()}
        return {"reader": self.reader.to_json(), **more}

    # ----------------------------------------------------------------------------------------------------------------

    def tokens(self, text: str) -> list[str]:
        """The tokens of a text, with the ends of its lines, but for the last, where these are tokens."""
        return cutter(self.reader.tokenizer, line_breaks=self.line_breaks, end=False)(text)

    def row_tokens(self, text: str) -> list[str]:
        """The tokens of a row: with its end, where that is a token and the text goes on."""
        return [*self.tokens(text), *self._row_end]

    @property
    def _row_end(self) -> tuple[str, ...]:
        return (LINE,) if self.line_breaks and not self.closed else ()

    def _pairs(self, examples: Sequence[Passage]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Each target of the passages, and what stands before it."""
        rows = [e.numbers(self.start)[e.start - e.first :].astype(np.int64) for e in examples]
        return np.concatenate([row[:-1] for row in rows]), np.concatenate([row[1:] for row in rows])


def scored(batch: Batch) -> Tensor:
    """(T, N): which targets count."""
    tokens = batch.targets["tokens"]
    steps = torch.arange(len(tokens), device=tokens.device).unsqueeze(1)
    real = steps < batch.lengths.to(tokens.device)
    return real & (steps >= batch.targets["unscored"]) if "unscored" in batch.targets else real


def _scores(nats: Iterable[float], examples: Sequence[Passage], split: str) -> tuple[Score, ...]:
    count, characters = sum(e.targets for e in examples), sum(e.characters for e in examples)
    return text_scores(nats, count=count, characters=characters, split=split)


def _text(row: TextRow) -> str:
    return row.text


def _listed(tokens: Sequence[str]) -> str:
    different = list(dict.fromkeys(tokens))
    return ", ".join(map(repr, different[:5])) + (", ..." if len(different) > 5 else "")
