"""Captioning: five verbs between pictures, the model and the words."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch

from recurra.base.answers import AnswerKind
from recurra.base.answers import Candidate as Listed
from recurra.base.captions import Caption, Looked
from recurra.base.contracts import Batch, Loss, Prediction, Record, Score, Table
from recurra.base.errors import ConfigError
from recurra.data.draws import drawn, key_of
from recurra.data.pictures import png_of
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.tokenizers import EOS, Encoded
from recurra.decode import Hypothesis
from recurra.metrics import Compared
from recurra.metrics.captions import Captioned, caption_scores, captioned
from recurra.report import HeatMap
from recurra.tasks.captioning.baselines import compared
from recurra.tasks.captioning.explain import attention_maps, explained
from recurra.tasks.captioning.rows import CaptionExample, CaptionRow
from recurra.tasks.captioning.search import CaptionSearch, device_of
from recurra.tasks.captioning.seen import Seen
from recurra.tasks.captioning.tables import caption_tables
from recurra.tasks.drawn import DrawnSampler
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.options import refuse_options
from recurra.tasks.picture_options import moves_of
from recurra.tasks.picture_reader import CHOICE, Moves, PictureReader
from recurra.tasks.text import TextEncoder, pad_sequence
from recurra.tasks.translation.answers import Candidate, said_tokens
from recurra.tasks.translation.batches import read_again, read_by_decoder
from recurra.tasks.translation.losses import Forced, forced_rows, loss_of
from recurra.tasks.translation.search import Autoregressive

if TYPE_CHECKING:
    from recurra.tasks.captioning.config import CaptioningConfig

# Of different pictures, so many have one caption before that is said.
ALIKE = 5
# Pictures whose attention a report shows.
SHOWN = 6
ONE_PICTURE = (
    "CIDEr-D of a single picture is 0 by its definition: no n-gram tells it from other pictures. Score more of them."
)


@dataclass(frozen=True, slots=True)
class Described:
    """Captions of a picture, best first. forced: how the first right one fared, None where nobody knows it

    attention: (tokens and end, P) of the best one, where it was asked for
    """

    written: tuple[Candidate, ...]
    forced: Forced | None = None
    attention: tuple[tuple[float, ...], ...] | None = None

    @property
    def best(self) -> Candidate:
        return self.written[0]


class Captioning:
    """Five verbs between the data and the model: example, collate, loss, predict, score. An output is a `Described`."""

    answer_kind: ClassVar[AnswerKind] = "text"
    input_key: ClassVar[str] = "picture"
    options: ClassVar[tuple[str, ...]] = ("beam", "n_best", "attention")

    def __init__(
        self, plan: CaptioningConfig, reader: PictureReader, words: TextEncoder, search: CaptionSearch, seen: Seen
    ) -> None:
        self.plan, self.reader, self.words, self.search, self.seen = plan, reader, words, search, seen

    @property
    def decodes(self) -> bool:
        return True

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: a picture's sides, or numbers of a place, and the vocabulary."""
        return {**self.reader.sizes, "target": len(self.words.vocabulary)}

    @property
    def trial_fields(self) -> Mapping[str, Any]:
        """A white picture, or features of zeros."""
        if self.reader.size is None:
            return {self.plan.image: [[0.0] * self.reader.width]}
        return {self.plan.image: png_of(np.full((8, 8, 3), 255, np.uint8))}

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> CaptionExample:
        """Read a record; without `gold` only the picture must be there.

        Raises DataError, with file and line, for what is no picture, is damaged, or has no caption.
        """
        if gold:
            row = self.plan.read(record)
            return self._example(CaptionRow(self.reader.read(record), row.captions, row.group))
        return CaptionExample(self.reader.read(record), None, ())

    def examples(self, rows: Iterable[CaptionRow], means: Means = IN_MEMORY) -> Iterator[CaptionExample]:
        """Rows as examples, one by one."""
        return map(self._example, rows)

    def _example(self, row: CaptionRow) -> CaptionExample:
        encoded = tuple(self.words.encode(caption)[0] for caption in row.captions)
        return CaptionExample(row.shown, row.captions, encoded)

    def answered(self, example: CaptionExample, tokens: Sequence[str]) -> CaptionExample:
        """An example with another caption."""
        text = self.words.tokenizer.join(list(tokens))
        return CaptionExample(example.shown, (text,), (self.words.encode(text)[0],))

    def sampler(
        self, examples: Sequence[CaptionExample], *, batch_tokens: int, batch_rows: int, seed: int
    ) -> DrawnSampler:
        """Those of like lengths together; each epoch draws one of a picture's captions, and how it is moved."""
        return DrawnSampler(examples, self.drawn, batch_tokens, batch_rows, seed)

    def drawn(self, examples: Sequence[CaptionExample], indices: Sequence[int], seed: int, epoch: int) -> Batch:
        """A batch of training: a caption of each picture, and the picture moved, by (seed, epoch, picture)."""
        chosen = [
            e.encoded[int(drawn(key_of(seed, epoch, e.shown.digest), 1, CHOICE)[0] * len(e.encoded))] for e in examples
        ]
        return self._batch(examples, indices, chosen, (moves_of(self.plan), seed, epoch))

    def collate(self, examples: Sequence[CaptionExample], indices: Sequence[int]) -> Batch:
        """Pixels (N, H, W, C), or features (T, N, F), and where all are known the first captions (S, N)."""
        known = examples and all(e.captions is not None for e in examples)
        return self._batch(examples, indices, [e.encoded[0] for e in examples] if known else None, None)

    def _batch(
        self,
        examples: Sequence[CaptionExample],
        indices: Sequence[int],
        said: Sequence[Encoded] | None,
        draw: tuple[Moves, int, int] | None,
    ) -> Batch:
        inputs, lengths = self.reader.inputs([e.shown for e in examples], draw)
        if said is None:
            return Batch(inputs, lengths, {}, tuple(indices))
        ids = [one.ids.tolist() for one in said]
        targets = {"tokens": pad_sequence([[*row, EOS] for row in ids])}
        return Batch({**inputs, **read_by_decoder(ids)}, lengths, targets, tuple(indices))

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """Cross-entropy of the caption's tokens and its end, in nats."""
        return loss_of(prediction, batch, self.plan.label_smoothing)

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[CaptionExample]) -> list[Described]:
        """Search for each row, and see how the right caption fares where it is known; the model is in eval mode.

        Raises ConfigError if attention is asked for and the model has none, RunError for a model that is not finite.
        """
        forced: Sequence[Forced | None] = [None] * len(examples)
        if batch.targets:
            forced = forced_rows(model(batch), batch)
        found = self.search.run(cast(Autoregressive, model), batch)
        looked: Sequence[Any] = [None] * len(examples)
        if self.search.search.attention:
            looked = _attention_of(model, batch, [row[0] for row in found])
        return [
            Described(tuple(map(self._written, hypotheses)), *rest)
            for hypotheses, *rest in zip(found, forced, looked, strict=True)
        ]

    def _written(self, found: Hypothesis) -> Candidate:
        tokens = tuple(self.words.vocabulary.tokens(found.tokens))
        return Candidate(self.words.tokenizer.join(tokens), tokens, math.fsum(found.log_probs), found.ended)

    def score(self, outputs: Sequence[Described], examples: Sequence[CaptionExample], split: str) -> tuple[Score, ...]:
        """CIDEr-D, BLEU, ROUGE-L; repeated: captions that stand in training; log loss of the first right caption."""
        said = [o.best.text for o in outputs]
        found = self._said_scores(said, examples, split)
        forced = [o.forced for o in outputs if o.forced is not None]
        if len(forced) < len(outputs):
            return found
        nats = math.fsum(one.nats for one in forced) / sum(one.count for one in forced)
        return (*found, Score("log_loss", nats, "nats", "lower", split))

    def _said_scores(self, said: Sequence[str], examples: Sequence[CaptionExample], split: str) -> tuple[Score, ...]:
        repeated = sum(text in self.seen for text in said) / len(said)
        different = len(set(said)) / len(said)
        return (
            *caption_scores(_rows(said, examples), split),
            Score("repeated", repeated, "0..1", "neither", split),
            Score("different", different, "0..1", "neither", split),
        )

    # -- for predict -----------------------------------------------------------------------------------------------

    @property
    def for_validation(self) -> Captioning:
        """The task as it answers while epochs are compared: by greedy search."""
        return self._with(self.search.asked(beam=1, n_best=1, attention=False))

    def with_options(self, options: Mapping[str, Any]) -> Captioning:
        """The task with another `beam`, several captions (`n_best`), or with `attention`. Raises ConfigError."""
        refuse_options(options, "captioning", self.options)
        asked = {name: options.get(name) for name in ("beam", "n_best")}
        return self._with(self.search.asked(**asked, attention=bool(options.get("attention", False))))

    def _with(self, search: CaptionSearch) -> Captioning:
        other = copy.copy(self)
        other.search = search
        return other

    def warnings(self, outputs: Sequence[Described], examples: Sequence[CaptionExample]) -> tuple[str, ...]:
        """Captions that came to no end, and pictures that all have one."""
        found = []
        cut = [e for o, e in zip(outputs, examples, strict=True) if not o.best.ended]
        if cut:
            found.append(
                f"{len(cut)} of {len(examples)} captions were cut at {self.search.longest} tokens, before they came to "
                f"an end; the first: {cut[0].origin}. Raise task.longest, or train longer."
            )
        pictures = {e.key for e in examples}
        if len(pictures) >= ALIKE and len({o.best.text for o in outputs}) == 1:
            found.append(
                f"all {len(pictures)} different pictures have one caption, {outputs[0].best.text!r:.60}: the model "
                "does not look at them. Train longer, or with a lower rate (training.optimizer.lr)."
            )
        return tuple(found)

    def answer(self, example: CaptionExample, output: Described) -> Caption:
        """The best caption and its score, and what was asked for: several, attention."""
        several, looked = None, None
        if self.search.search.n_best > 1:
            several = tuple(Listed(one.text, one.score, one.log_prob) for one in output.written)
        if output.attention is not None:
            looked = Looked(said_tokens(output.best), self._grid(example, output), output.attention)
        return Caption(output.best.text, output.best.score, example.picture, several, looked)

    def _grid(self, example: CaptionExample, output: Described) -> tuple[int, int]:
        return self.reader.grid(example.shown, len((output.attention or ((),))[0]))

    def stream(self, model: torch.nn.Module, example: CaptionExample, device: torch.device) -> Iterator[str]:
        """The greedy caption as it grows: its text after each token."""
        batch = self.collate([example], (0,)).to(device)
        said: list[int] = []
        for token in self.search.stream(cast(Autoregressive, model), batch):
            if not token.ended:
                said.append(token.token)
                yield self.words.tokenizer.join(self.words.vocabulary.tokens(said))

    def explain(self, model: torch.nn.Module, example: CaptionExample, device: torch.device) -> ExplanationTarget:
        """What can be seen of a model while it writes a caption."""
        return explained(self, model, example, device)

    # -- around them -----------------------------------------------------------------------------------------------

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "cider_d"

    def possible_scores(self, examples: Sequence[CaptionExample]) -> tuple[Score, ...]:
        """The dev scores, with those of a model that says nothing."""
        nothing = self._said_scores([""] * len(examples), examples, "dev")
        return (*nothing, Score("log_loss", math.log(len(self.words.vocabulary)), "nats", "lower", "dev"))

    def perfect(self, examples: Sequence[CaptionExample]) -> list[Described]:
        """Outputs that say the first captions, cut and joined as a model's are."""
        join, cut = self.words.tokenizer.join, self.words.tokens
        tokens = [cut((e.captions or ("",))[0]) for e in examples]
        return [Described((Candidate(join(some), tuple(some), 0.0, True),)) for some in tokens]

    def doubts(self, examples: Sequence[CaptionExample], short: Sequence[Score]) -> tuple[str, ...]:
        """Why scores say little of these captions."""
        found = [ONE_PICTURE] if len(examples) == 1 else []
        words = [one for row in _rows([""] * len(examples), examples) for one in row.references]
        few = sum(len(one) < 4 for one in words)
        if few and short:
            found.append(
                f"{few:,} of {len(words):,} captions have fewer than four words: BLEU-4 and CIDEr-D count n-grams of "
                "up to four, and cannot reach their best value."
            )
        return tuple(found)

    def filter(
        self, examples: Sequence[CaptionExample], split: str
    ) -> tuple[Sequence[CaptionExample], tuple[str, ...]]:
        """All of them."""
        return list(examples), ()

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Described], examples: Sequence[CaptionExample]) -> tuple[Table, ...]:
        """The worst and the best captions, and those that are written most often."""
        said = [o.best.text for o in outputs]
        return caption_tables(said, _rows(said, examples), examples)

    def pictures(
        self, model: torch.nn.Module, examples: Sequence[CaptionExample], device: torch.device
    ) -> tuple[HeatMap, ...]:
        """The attention of some captions over their pictures, if the model has any."""
        some = list(examples[:: max(len(examples) // SHOWN, 1)][:SHOWN])
        return tuple(m for e in some for m in attention_maps(self, model, e, device))

    def baselines(self, train: Sequence[CaptionExample], splits: Mapping[str, Sequence[CaptionExample]]) -> Compared:
        """What the caption of the nearest training picture scores, and always the most frequent one."""
        return compared(self.reader, train, splits, self._said_scores)

    def facts(self, splits: Mapping[str, Sequence[CaptionExample]]) -> dict[str, str | int | float]:
        """Pictures, captions and words."""
        found: dict[str, str | int | float] = {"vocabulary": len(self.words.vocabulary)}
        for name, examples in splits.items():
            texts = [one for e in examples for one in e.encoded]
            tokens = max(sum(map(len, texts)), 1)
            found[f"{name} pictures"] = len(examples)
            found[f"{name} captions"] = len(texts)
            found[f"{name} unknown tokens"] = f"{sum(one.num_unknown for one in texts) / tokens:.2%}"
        return found

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {
            "words": self.words.to_json(),
            "width": self.reader.width,
            "longest": self.search.longest,
            "seen": self.seen.to_json(),
        }


def _rows(said: Sequence[str], examples: Sequence[CaptionExample]) -> list[Captioned]:
    return [captioned(text, e.captions or ("",)) for text, e in zip(said, examples, strict=True)]


def _attention_of(
    model: torch.nn.Module, batch: Batch, found: Sequence[Hypothesis]
) -> list[tuple[tuple[float, ...], ...]]:
    """What each row's caption looked at, from one pass under teacher forcing. Raises ConfigError for none."""
    read = {k: v.to(device_of(batch)) for k, v in read_by_decoder([read_again(one) for one in found]).items()}
    outputs = model(Batch({**batch.inputs, **read}, batch.lengths, {}, batch.indices)).outputs
    if "attention" not in outputs:
        raise ConfigError("attention: this model has none; train one with model.decoder.attention, or leave it out.")
    weights = outputs["attention"]
    places = batch.lengths.tolist() if "features" in batch.inputs else [weights.shape[2]] * len(found)
    return [
        tuple(map(tuple, weights[: len(one.tokens) + one.ended, n, :length].tolist()))
        for n, (one, length) in enumerate(zip(found, places, strict=True))
    ]
