"""A masked language model: from texts to hidden pieces, and what was said of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.answers import AnswerKind, Filled, PieceGuess
from recurra.base.contracts import Batch, Loss, Prediction, Record, Score, Table
from recurra.base.errors import ConfigError, DataError
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.store import Fields, chosen, maybe
from recurra.data.tokenizers import Encoded, Pieces, Vocabulary, encode, way_of
from recurra.data.tokenizers.vocabulary import SPECIALS
from recurra.engine import sequence_mask
from recurra.engine.linear import steady_linear
from recurra.losses import fixed_sum
from recurra.metrics import Compared
from recurra.metrics.ngrams import Unigram
from recurra.nn.linear_cross_entropy import linear_cross_entropy
from recurra.tasks.blank import blank_warnings, is_blank
from recurra.tasks.drawn import DrawnSampler
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.language_model.documents import TextRow
from recurra.tasks.language_model.reading import text_of
from recurra.tasks.masked_lm.explain import explained
from recurra.tasks.masked_lm.masks import MaskRule, Numbers, key_of
from recurra.tasks.masked_lm.pairs import FOLLOWS, NO_PAIR, beside, pair_of, partner, with_others
from recurra.tasks.masked_lm.sequences import Sequence as Pieced
from recurra.tasks.masked_lm.sequences import sequences
from recurra.tasks.masked_lm.tables import masked_scores, pair_scores
from recurra.tasks.options import refuse_options
from recurra.tasks.text import TextEncoder, pad_arrays

# What is hidden where models are scored: always the same.
SCORING = (0, 0)
# Rows of logits at once: of 30,000 pieces 60 MB.
ROWS = 512
# How a person writes a hidden piece, whatever the vocabulary calls it.
MASK = "[MASK]"
# Pieces on each side of one that is left open in an example; and what stands for it while they are put together.
AROUND, MASK_STANDS = 12, "\x00"


@dataclass(frozen=True, slots=True)
class Told:
    """What a model said of a sequence. nats: of each hidden piece; right: those told right

    guesses: of each [MASK] that was asked for, the most probable pieces with their probabilities
    pair: of a pair of stretches, nats of what it is and whether it was told right; of others None
    """

    nats: tuple[float, ...] = ()
    right: int = 0
    guesses: tuple[tuple[tuple[str, float], ...], ...] = ()
    pair: tuple[float, bool] | None = None


class MaskedLM:
    """Five verbs between the data and the model: example, collate, loss, predict, score.

    reader: pieces and their numbers      rule: which pieces are hidden      text: the column
    packed: whether rows of one document share a sequence      shown: pieces that are named for a [MASK]
    pairs: whether sequences are pairs, of which the model tells if the second goes on where the first ends
    """

    answer_kind: ClassVar[AnswerKind] = "fill"
    input_key: ClassVar[str] = "text"
    options: ClassVar[tuple[str, ...]] = ("n_best",)

    def __init__(
        self, reader: TextEncoder, rule: MaskRule, *, text: str, packed: bool, pairs: bool = False, shown: int = 5
    ) -> None:
        self.reader, self.rule, self.text, self.packed, self.shown = reader, rule, text, packed, shown
        self.pairs = pairs

    @property
    def vocabulary(self) -> Vocabulary:
        """The pieces, by number."""
        return self.reader.vocabulary

    @property
    def pieces(self) -> Pieces:
        """What cuts texts."""
        assert isinstance(self.reader.tokenizer, Pieces)
        return self.reader.tokenizer

    @property
    def head_labels(self) -> tuple[str, ...]:
        """None: the head tells pieces."""
        return ()

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: size of the vocabulary, where its marks are, and what pairs may be."""
        return {**self.reader.sizes, **({"pairs": 2} if self.pairs else {})}

    @property
    def longest(self) -> int:
        """Pieces of a sequence, marks and all."""
        assert self.reader.max_length is not None
        return self.reader.max_length

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> Pieced:
        """Read a record: what is learned from, or, without `gold`, a text with [MASK] where a piece is asked for.

        Raises DataError, with file and line, for what is no text.
        """
        text = text_of(record, self.text, blank=True)
        encoded, number = self.reader.encode(text) if gold else self._to_fill(text)
        return Pieced(encoded, not gold, is_blank(text), text, record.origin, number)

    def _to_fill(self, text: str) -> tuple[Encoded, int]:
        """A text whose spelled-out [MASK] is the mark, cut at `longest`; and how many pieces it has."""
        pieces, mark = self.pieces, self.pieces.marks["mask"]
        space = r"\s*" if pieces.mask_takes_space else ""
        parts = re.split(f"{space}(?:{re.escape(MASK)}|{re.escape(mark)})", text)
        cut = [[piece for piece, _ in pieces.pieces(part)] for part in parts]
        body = list(chain.from_iterable([*part, mark] for part in cut))[:-1]
        return encode(self.vocabulary, pieces.framed([body[: self.longest - 2]])), len(body) + 2

    def examples(self, rows: Iterable[TextRow], means: Means = IN_MEMORY) -> Iterator[Pieced]:
        """Rows as sequences of pieces."""
        whole = TextEncoder(self.reader.tokenizer, self.vocabulary, None, "start")
        both = ((row, encoded) for row, encoded, _ in whole.encoded(rows, means))
        return self.sequences(both)

    def sequences(self, rows: Iterable[tuple[TextRow, Encoded]]) -> Iterator[Pieced]:
        """Rows with their pieces as sequences, or as what pairs are made of."""
        if self.pairs:
            return with_others(sequences(rows, self.longest - 1, packed=self.packed))
        return sequences(rows, self.longest, packed=self.packed)

    @property
    def example_codec(self) -> Fields[Pieced]:
        return Fields(Pieced, encoded=way_of(self.vocabulary), other=maybe(way_of(self.vocabulary)))

    def collate(self, examples: Sequence[Pieced], indices: Sequence[int]) -> Batch:
        """Sequences with the pieces hidden that are always hidden where models are scored, or as they are given."""
        return self.hidden(examples, indices, *SCORING)

    def hidden(
        self,
        examples: Sequence[Pieced],
        indices: Sequence[int],
        seed: int,
        epoch: int,
        among: Sequence[Pieced] | None = None,
    ) -> Batch:
        """A batch as an epoch hides it: tokens (T, N), places (P, N) of what is hidden, targets (P, N) of the table.

        Of pairs also targets "pairs" (N,), what each is, -1 of none.
        among: sequences from which those of other documents are drawn; None: each has its own
        """
        rows, places, targets, kinds = [], [], [], []
        for example in examples:
            key = key_of(seed, epoch, example.encoded.data)
            ids, kind = self._drawn(example, key, among)
            if example.to_fill:
                at: Numbers = np.flatnonzero(ids == self.rule.mask)
                rows.append(ids)
            else:
                at = self.rule.places(ids, key)
                rows.append(self.rule.hidden(ids, at, key))
            places.append(at)
            targets.append(ids[at] - len(SPECIALS))
            kinds.append(kind)
        tokens, lengths = pad_arrays(rows)
        steps, numbers = pad_arrays(places)
        asked, N = any(example.to_fill for example in examples), len(examples)
        wanted = {"pairs": torch.tensor(kinds, dtype=torch.int64)} if self.pairs else {}
        return Batch(
            {"tokens": tokens, "places": steps * N + torch.arange(N), "place_lengths": numbers},
            lengths,
            {} if asked else {"tokens": pad_arrays(targets)[0], **wanted},
            tuple(indices),
        )

    def _drawn(self, example: Pieced, key: int, among: Sequence[Pieced] | None) -> tuple[Numbers, int]:
        """The pieces of a sequence, or of the pair that is drawn from it; and what that is."""
        if not self.pairs or example.to_fill:
            return example.encoded.ids.astype(np.int64), NO_PAIR
        return pair_of(example, key, beside(example) if among is None else partner(among, example, key))

    def sampler(self, examples: Sequence[Pieced], *, batch_tokens: int, batch_rows: int, seed: int) -> DrawnSampler:
        """Those of like lengths together, hidden anew in each epoch."""
        return DrawnSampler(examples, partial(self.hidden, among=examples), batch_tokens, batch_rows, seed)

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """Cross-entropy of the hidden pieces, in nats; of pairs that of what they are is added.

        It counts as much as the pieces that are hidden of a sequence of full length together, so that the mean is about
        the sum of both means, as in the paper, and a batch's loss is still the sum of its rows'.
        """
        nats = _nats(prediction, batch)
        total = fixed_sum(nats)
        if self.pairs:
            total = total + self.rule.share * self.longest * fixed_sum(_pair_nats(prediction, batch))
        return Loss(total, len(nats))

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[Pieced]) -> list[Told]:
        """Of each row what was hidden, or guesses for what is asked for; the model is in eval mode."""
        said = model(batch)
        numbers = batch.inputs["place_lengths"].tolist()
        if not batch.targets:
            guesses = self._guesses(said, batch)
            return [Told(guesses=tuple(next(guesses) for _ in range(number))) for number in numbers]
        real = _real(batch)
        nats = torch.zeros(real.shape, dtype=torch.float64, device=real.device)
        nats[real] = _nats(said, batch).double()
        right = torch.zeros(real.shape, dtype=torch.int64, device=real.device)
        best = [logits.argmax(1) for logits in _logits(said, batch)]
        right[real] = (torch.cat([*best, right.new_zeros(0)]) == batch.targets["tokens"][real]).long()
        pairs = _pairs_told(said, batch) if self.pairs else [None] * len(numbers)
        each = zip(nats.t().tolist(), right.sum(0).tolist(), numbers, pairs, strict=True)
        return [Told(tuple(row[:number]), int(good), pair=pair) for row, good, number, pair in each]

    def _guesses(self, said: Prediction, batch: Batch) -> Iterator[tuple[tuple[str, float], ...]]:
        """The best pieces for each [MASK], row by row; marks and what stands for none are no guesses."""
        ordinary = torch.from_numpy(self.rule.ordinary[len(SPECIALS) :])
        found: list[tuple[tuple[str, float], ...]] = []
        for logits in _logits(said, batch, by_row=True):
            chances = torch.softmax(logits[:, : len(ordinary)].double(), 1).masked_fill(~ordinary, 0)
            best = chances.topk(min(self.shown, int(ordinary.sum())), 1)
            for values, numbers in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                words = self.vocabulary.tokens([number + len(SPECIALS) for number in numbers])
                found.append(tuple(zip(words, values, strict=True)))
        return iter(found)

    def score(self, outputs: Sequence[Told], examples: Sequence[Pieced], split: str) -> tuple[Score, ...]:
        """Perplexity, nats and accuracy of all hidden pieces together."""
        nats = [value for told in outputs for value in told.nats]
        found = masked_scores(nats, sum(told.right for told in outputs), len(nats), split)
        return (*found, *(pair_scores([told.pair for told in outputs if told.pair], split) if self.pairs else ()))

    def filter(self, examples: Sequence[Pieced], split: str) -> tuple[Sequence[Pieced], tuple[str, ...]]:
        """Of train those of which something can be hidden, of other splits all. Raises DataError if there are none."""
        able = np.fromiter((self.rule.ordinary[one.encoded.ids].any() for one in examples), bool)
        if not able.any():
            raise DataError(f"{split}: its rows hold no piece that could be hidden; expected text.")
        if self.pairs and not any(example.other is not None and len(example.ends) > 1 for example in examples):
            raise DataError(
                f"{split}: holds no pair; task.next_sentence needs two documents or more, blank rows between them, of "
                "several rows that fit into one sequence (task.max_length)."
            )
        if split != "train" or able.all():
            return examples, ()
        left = examples[int(able.argmin())].origin
        return chosen(examples, able), (
            f"train: {(~able).sum():,} of {len(able):,} sequences were left out, because no piece of them can be "
            f"hidden: all are unknown; the first: {left}.",
        )

    # -- for predict -----------------------------------------------------------------------------------------------

    def with_options(self, options: Mapping[str, Any]) -> MaskedLM:
        """The task with `n_best`, pieces that are named for each [MASK]. Raises ConfigError for other options."""
        refuse_options(options, "masked language model", self.options)
        number = options.get("n_best", self.shown)
        if not 1 <= number <= len(self.vocabulary):
            raise ConfigError(
                f"n_best: is {number}, expected 1 to {len(self.vocabulary):,}, the pieces that there are."
            )
        return MaskedLM(self.reader, self.rule, text=self.text, packed=self.packed, pairs=self.pairs, shown=number)

    def warnings(self, outputs: Sequence[Told], examples: Sequence[Pieced]) -> tuple[str, ...]:
        """Blank texts, texts that ask for nothing, and those that are cut."""
        asked = [e for e in examples if e.to_fill]
        blank = blank_warnings(asked, ", and nothing is asked for")
        nothing = [e for e in asked if not e.is_blank and not self.asks(e)]
        cut = [e for e in asked if e.all_tokens > e.length]
        found = []
        if nothing:
            have = "has" if len(nothing) == 1 else "have"
            found.append(
                f"{len(nothing)} of {len(asked)} texts {have} no {MASK}, so there is nothing to tell; write {MASK} "
                f"where a piece is asked for. The first: {nothing[0].origin}."
            )
        if cut:
            are = "is" if len(cut) == 1 else "are"
            found.append(
                f"{len(cut)} of {len(asked)} texts {are} longer than max_length, and the rest is not read; the first: "
                f"{cut[0].origin}, {cut[0].length:,} of {cut[0].all_tokens:,} pieces."
            )
        return (*blank, *found)

    def answer(self, example: Pieced, output: Told) -> Filled:
        """The text with the best piece in each place, and the best few; a text without [MASK] has a note."""
        if not example.to_fill:
            return Filled("", None, (), self._asking(example))
        masks = tuple(tuple(PieceGuess(piece, chance) for piece, chance in guess) for guess in output.guesses)
        if not masks:
            behind = self.asks(example)
            note = f"{MASK} stands behind max_length, and is not read" if behind else f"no {MASK} in the text"
            return Filled(example.text, None, (), example.text, note)
        filled = self._filled(example.text, [guess[0].piece for guess in masks])
        return Filled(filled, math.fsum(guess[0].probability for guess in masks) / len(masks), masks, example.text)

    def asks(self, example: Pieced) -> bool:
        """Whether a text has a [MASK], be it behind what is read of it."""
        return MASK in example.text or self.pieces.marks["mask"] in example.text

    def _asking(self, example: Pieced) -> str:
        """A few pieces of a sequence as a text, one of them left open."""
        ids: Numbers = example.encoded.ids.astype(np.int64)
        places = self.rule.places(ids, key_of(*SCORING, example.encoded.data))
        if not len(places):
            return ""
        at = int(places[0])
        first, last = max(at - AROUND, 1), min(at + AROUND, len(ids) - 1)
        tokens = example.encoded.tokens
        return self.pieces.join([*tokens[first:at], MASK_STANDS, *tokens[at + 1 : last]]).replace(MASK_STANDS, MASK)

    def _filled(self, text: str, words: Sequence[str]) -> str:
        """A text with pieces for its first [MASK]s; one that goes on with a word stands close to what is before it."""
        mark = self.pieces.marks["mask"]
        for word in words:
            before, _, after = _parted(text, MASK, mark)
            close = word.startswith("##")
            spelt = word.removeprefix("##") if close else self.pieces.join([word]).strip()
            text = f"{before.rstrip() if close else before}{spelt}{after}"
        return text

    def explain(self, model: torch.nn.Module, example: Pieced, device: torch.device) -> ExplanationTarget:
        """What can be seen of a model while it fills the first [MASK]. Raises DataError for a text without one."""
        return explained(self, model, example, device)

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Told], examples: Sequence[Pieced]) -> tuple[Table, ...]:
        """None."""
        return ()

    def baselines(self, train: Sequence[Pieced], splits: Mapping[str, Sequence[Pieced]]) -> Compared:
        """What it reaches to count pieces, and to say the most frequent one."""
        counts = np.zeros(len(self.vocabulary), np.int64)
        for example in train:
            counts += np.bincount(example.encoded.ids, minlength=len(counts))
        counts[~self.rule.ordinary] = 0
        seen = np.repeat(np.arange(len(counts)), counts)
        unigram, most = Unigram(seen, len(counts)), int(counts.argmax())
        found: list[Score] = []
        for name, rows in splits.items():
            targets = self.targets_of(rows)
            found += masked_scores(unigram.nats(targets), int((targets == most).sum()), len(targets), name)
            if self.pairs:
                found += pair_scores(self._pairs_alike(rows), name)
        return Compared({"unigram": tuple(found)}, ())

    def targets_of(self, examples: Sequence[Pieced]) -> Numbers:
        """The pieces that are hidden where models are scored, by their numbers in the vocabulary."""
        found: list[NDArray[Any]] = [np.zeros(0, np.int64)]
        for example in examples:
            key = key_of(*SCORING, example.encoded.data)
            ids, _ = self._drawn(example, key, None)
            found.append(ids[self.rule.places(ids, key)])
        return np.concatenate(found).astype(np.int64)

    def _pairs_alike(self, examples: Sequence[Pieced]) -> list[tuple[float, bool]]:
        """What is reached by a guess of one half for each: all pairs go on, as far as it says."""
        kinds = [self._drawn(e, key_of(*SCORING, e.encoded.data), None)[1] for e in examples]
        return [(math.log(2), kind == FOLLOWS) for kind in kinds if kind != NO_PAIR]

    def facts(self, splits: Mapping[str, Sequence[Pieced]]) -> dict[str, str | int | float]:
        """Sizes, and what was unknown, by split."""
        found: dict[str, str | int | float] = {"vocabulary": len(self.vocabulary) - len(SPECIALS)}
        for name, examples in splits.items():
            number = pieces = unknown = 0
            for e in examples:
                number, pieces, unknown = number + 1, pieces + e.length, unknown + e.encoded.num_unknown
            found |= {f"{name} sequences": number, f"{name} pieces": pieces}
            found[f"{name} unknown pieces"] = f"{unknown / max(pieces, 1):.2%}"
        return found

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "perplexity"

    def possible_scores(self, examples: Sequence[Pieced]) -> tuple[Score, ...]:
        """The scores that these rows can have, with the values of a model that expects every piece alike."""
        found = masked_scores((math.log(max(int(self.rule.ordinary.sum()), 1)),), 0, 1, "dev")
        return (*found, *(pair_scores([(math.log(2), False), (math.log(2), True)], "dev") if self.pairs else ()))

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read as in training."""
        return {"reader": self.reader.to_json()}


def _real(batch: Batch) -> Tensor:
    """(P, N) bool, the places that are hidden."""
    return sequence_mask(batch.inputs["place_lengths"], len(batch.inputs["places"]))


def _nats(prediction: Prediction, batch: Batch) -> Tensor:
    """(S,) of all hidden pieces, in the order of places, then rows."""
    said, real = prediction.outputs, _real(batch)
    return linear_cross_entropy(
        said["hidden"][real], said["output.weight"], said["output.bias"], batch.targets["tokens"][real]
    )


def _pair_nats(prediction: Prediction, batch: Batch) -> Tensor:
    """(N',) of all pairs, in nats."""
    kinds = batch.targets["pairs"]
    real = kinds != NO_PAIR
    return torch.nn.functional.cross_entropy(prediction.outputs["pair_logits"][real], kinds[real], reduction="none")


def _pairs_told(prediction: Prediction, batch: Batch) -> list[tuple[float, bool] | None]:
    """Of each row the nats of what the pair is, and whether it was told right; None of what is no pair."""
    log_probs = torch.log_softmax(prediction.outputs["pair_logits"].double(), 1)
    kinds = batch.targets["pairs"].tolist()
    return [
        None if kind == NO_PAIR else (-row[kind], row[kind] > row[1 - kind])
        for row, kind in zip(log_probs.tolist(), kinds, strict=True)
    ]


def _logits(prediction: Prediction, batch: Batch, *, by_row: bool = False) -> Iterator[Tensor]:
    """(S, V) of all hidden pieces, some at a time; by_row: in the order of rows, then places."""
    said, real = prediction.outputs, _real(batch)
    hidden = said["hidden"].transpose(0, 1)[real.t()] if by_row else said["hidden"][real]
    for rows in torch.split(hidden, ROWS):
        yield steady_linear(rows, said["output.weight"], said["output.bias"])


def _parted(text: str, *marks: str) -> tuple[str, str, str]:
    """A text at the first of these marks."""
    mark = min((mark for mark in marks if mark in text), key=text.index)
    return text.partition(mark)
