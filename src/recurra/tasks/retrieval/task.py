"""Retrieval: five verbs between pictures, texts and two encoders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.answers import AnswerKind, Numbers
from recurra.base.contracts import Batch, Loss, Prediction, Record, Score, Table
from recurra.data.draws import drawn, key_of
from recurra.data.pictures import png_of
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.tokenizers import Encoded
from recurra.losses import fixed_sum
from recurra.losses.contrastive import contrastive_nats
from recurra.metrics import Compared
from recurra.metrics.captions import caption_words
from recurra.metrics.retrieval import retrieval_scores
from recurra.tasks.captioning.rows import CaptionExample, CaptionRow, read_captions
from recurra.tasks.drawn import DrawnSampler
from recurra.tasks.picture_options import moves_of
from recurra.tasks.picture_reader import CHOICE, Moves, PictureReader
from recurra.tasks.retrieval.baselines import compared
from recurra.tasks.retrieval.scoring import Gallery, both_ranks, numbered
from recurra.tasks.retrieval.tables import retrieval_tables
from recurra.tasks.text import TextEncoder, pad_arrays

if TYPE_CHECKING:
    from recurra.tasks.retrieval.config import RetrievalConfig

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Where a picture and its captions are: image (D,), texts (K, D), each of length 1."""

    image: Vectors
    texts: Vectors


class Retrieval:
    """Five verbs between the data and the model: example, collate, loss, predict, score. An output is a `Placed`."""

    answer_kind: ClassVar[AnswerKind] = "numbers"
    input_key: ClassVar[str] = ""

    def __init__(self, plan: RetrievalConfig, reader: PictureReader, words: TextEncoder) -> None:
        self.plan, self.reader, self.words = plan, reader, words

    @property
    def decodes(self) -> bool:
        return True

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: a picture's sides, or numbers of a place, and the vocabulary."""
        return {**self.reader.sizes, **self.words.sizes}

    @property
    def trial_fields(self) -> Mapping[str, Any]:
        """A white picture, or features of zeros, and a word."""
        picture: Any = png_of(np.full((8, 8, 3), 255, np.uint8))
        return {
            self.plan.image: [[0.0] * self.reader.width] if self.reader.size is None else picture,
            self.plan.caption: "a",
        }

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> CaptionExample:
        """A picture with its captions, which are no answer: both must be there.

        Raises DataError, with file and line, for what is no picture, is damaged, or has no caption.
        """
        captions = read_captions(record, self.plan.caption)
        return self._example(CaptionRow(self.reader.read(record), captions, ""))

    def examples(self, rows: Iterable[CaptionRow], means: Means = IN_MEMORY) -> Iterator[CaptionExample]:
        """Rows as examples, one by one."""
        return map(self._example, rows)

    def _example(self, row: CaptionRow) -> CaptionExample:
        encoded = tuple(self.words.encode(caption)[0] for caption in row.captions)
        return CaptionExample(row.shown, row.captions, encoded)

    def sampler(
        self, examples: Sequence[CaptionExample], *, batch_tokens: int, batch_rows: int, seed: int
    ) -> DrawnSampler:
        """Those of like lengths together; each epoch draws one of a picture's captions, and how it is moved."""
        return DrawnSampler(examples, self.drawn, batch_tokens, batch_rows, seed)

    def drawn(self, examples: Sequence[CaptionExample], indices: Sequence[int], seed: int, epoch: int) -> Batch:
        """A batch of training: a caption of each picture, and the picture moved, by (seed, epoch, picture)."""
        chosen = [int(drawn(key_of(seed, epoch, e.shown.digest), 1, CHOICE)[0] * len(e.encoded)) for e in examples]
        some = [
            CaptionExample(e.shown, ((e.captions or ())[k],), (e.encoded[k],))
            for e, k in zip(examples, chosen, strict=True)
        ]
        return self._batch(some, indices, (moves_of(self.plan), seed, epoch), examples)

    def collate(self, examples: Sequence[CaptionExample], indices: Sequence[int]) -> Batch:
        """Pixels (N, H, W, C), or features (T, N, F), and all captions one behind the other (S, K)."""
        return self._batch(examples, indices, None, examples)

    def _batch(
        self,
        examples: Sequence[CaptionExample],
        indices: Sequence[int],
        draw: tuple[Moves, int, int] | None,
        whole: Sequence[CaptionExample],
    ) -> Batch:
        """whole: the examples with all of their captions, whichever were drawn

        targets: picture and caption (N,), numbers that equal ones share, said (N, C), those of all captions of a
        picture, and the place of each first caption
        """
        inputs, lengths = self.reader.inputs([e.shown for e in examples], draw)
        starts = np.cumsum([0, *(len(e.encoded) for e in examples)])[:-1]
        targets = {
            "picture": numbered([e.shown.digest for e in examples]),
            **_captions(examples, whole),
            "first": starts.astype(np.int64),
        }
        inputs |= _read([one for e in examples for one in e.encoded])
        return Batch(inputs, lengths, {k: torch.from_numpy(v) for k, v in targets.items()}, tuple(indices))

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """The mean of both ways, in nats, over pictures and their first captions.

        Equal pictures are right for each other, and so is for a picture whatever is one of its captions, drawn or not.
        """
        picture, caption = batch.targets["picture"], batch.targets["caption"]
        said = (batch.targets["said"][:, None] == caption[:, None]).any(2)
        same = (picture[:, None] == picture) | said
        out = prediction.outputs
        texts = out["text"][batch.targets["first"]]
        there, back = contrastive_nats(out["image"], texts, out["scale"], same)
        return Loss((fixed_sum(there) + fixed_sum(back)) / 2, len(picture))

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[CaptionExample]) -> list[Placed]:
        """The vectors of each picture and its captions; the model is in eval mode."""
        out = model(batch).outputs
        images, texts = (out[name].detach().float().cpu().numpy() for name in ("image", "text"))
        ends = np.cumsum([len(e.encoded) for e in examples])[:-1]
        return [Placed(image, some) for image, some in zip(images, np.split(texts, ends), strict=True)]

    def score(self, outputs: Sequence[Placed], examples: Sequence[CaptionExample], split: str) -> tuple[Score, ...]:
        """Recall among the first 1, 5 and 10 of all pictures and captions of the split, and median ranks."""
        by_text, by_picture = both_ranks(*_vectors(outputs), Gallery.of(examples))
        return retrieval_scores(by_text.tolist(), by_picture.tolist(), split)

    # -- for a search ----------------------------------------------------------------------------------------------

    @property
    def picture_field(self) -> str:
        """The column of pictures."""
        return self.plan.image

    def check_picture(self, record: Record) -> None:
        """Raise DataError, with the place, for what is no picture."""
        self.reader.read(record)

    def picture_vectors(self, model: torch.nn.Module, records: Sequence[Record], device: torch.device) -> Vectors:
        """(N, D) of length 1. Raises DataError, with the place, for what is no picture."""
        shown = [self.reader.read(record) for record in records]
        inputs, lengths = self.reader.inputs(shown)
        with torch.inference_mode():
            out = model(Batch(inputs, lengths, {}, tuple(range(len(shown)))).to(device)).outputs
        return np.asarray(out["image"].float().cpu().numpy(), np.float32)

    def text_vectors(self, model: torch.nn.Module, texts: Sequence[str], device: torch.device) -> Vectors:
        """(K, D) of length 1."""
        inputs = _read([self.words.encode(text)[0] for text in texts])
        lengths = torch.zeros(0, dtype=torch.int64)
        with torch.inference_mode():
            out = model(Batch(inputs, lengths, {}, ()).to(device)).outputs
        return np.asarray(out["text"].float().cpu().numpy(), np.float32)

    def strange_in(self, text: str) -> tuple[str, ...]:
        """Words of a text that training never had."""
        return tuple(dict.fromkeys(self.words.encode(text)[0].unknown))

    # -- around them -----------------------------------------------------------------------------------------------

    def answer(self, example: CaptionExample, output: Placed) -> Numbers:
        """How alike a picture and its caption are, -1 to 1: the cosine of their vectors; of several captions the most
        alike one's."""
        alike = float((output.texts @ output.image).max())
        return Numbers({"likeness": round(alike, 6)}, 1)

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "mean_recall"

    def possible_scores(self, examples: Sequence[CaptionExample]) -> tuple[Score, ...]:
        """The dev scores, with those of a model for which all are alike."""
        one = np.ones(1, np.float32)
        return self.score([Placed(one, np.ones((len(e.encoded), 1), np.float32)) for e in examples], examples, "dev")

    def perfect(self, examples: Sequence[CaptionExample]) -> list[Placed]:
        """Outputs of which each picture is like its captions and, as equal ones are one, like nothing else."""
        pictures = numbered([e.shown.digest for e in examples])
        size = int(pictures.max()) + 1
        found = []
        for e, place in zip(examples, pictures.tolist(), strict=True):
            vector = np.zeros(size, np.float32)
            vector[place] = 1.0
            found.append(Placed(vector, np.repeat(vector[None], len(e.encoded), 0)))
        return found

    def doubts(self, examples: Sequence[CaptionExample], short: Sequence[Score]) -> tuple[str, ...]:
        """Few pictures, among which chance finds most."""
        if len(examples) > 20:
            return ()
        return (f"among {len(examples)} pictures the right one is one of the first 10 by chance; score more of them.",)

    def filter(
        self, examples: Sequence[CaptionExample], split: str
    ) -> tuple[Sequence[CaptionExample], tuple[str, ...]]:
        """All of them."""
        return list(examples), ()

    def warnings(self, outputs: Sequence[Placed], examples: Sequence[CaptionExample]) -> tuple[str, ...]:
        """Words that training never had."""
        strange = [(e, one) for e in examples for text in e.encoded for one in text.unknown]
        if not strange:
            return ()
        words = dict.fromkeys(one for _, one in strange)
        shown = ", ".join(map(repr, list(words)[:5])) + (", ..." if len(words) > 5 else "")
        return (f"{len(words)} words were never in training, and are read as unknown: {shown}.",)

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Placed], examples: Sequence[CaptionExample]) -> tuple[Table, ...]:
        """Captions whose pictures are found worst and best."""
        return retrieval_tables(*_vectors(outputs), examples)

    def baselines(self, train: Sequence[CaptionExample], splits: Mapping[str, Sequence[CaptionExample]]) -> Compared:
        """What words and pixels of the nearest training example find, and chance."""
        return compared(self.reader, train, splits)

    def facts(self, splits: Mapping[str, Sequence[CaptionExample]]) -> dict[str, str | int | float]:
        """Pictures, captions and words."""
        found: dict[str, str | int | float] = {"vocabulary": len(self.words.vocabulary)}
        for name, examples in splits.items():
            texts = [one for e in examples for one in e.encoded]
            unknown = sum(one.num_unknown for one in texts) / max(sum(map(len, texts)), 1)
            found[f"{name} pictures"] = len(examples)
            found[f"{name} captions"] = len(texts)
            found[f"{name} unknown tokens"] = f"{unknown:.2%}"
        return found

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {"words": self.words.to_json(), "width": self.reader.width}


def _captions(drawn: Sequence[CaptionExample], whole: Sequence[CaptionExample]) -> dict[str, NDArray[np.int64]]:
    """Captions as numbers that equal ones share: the first drawn one (N,), and all of each picture (N, C), or -1."""
    rows = [
        [caption_words(one) for one in (d.captions or ("",))[:1] + (w.captions or ())]
        for d, w in zip(drawn, whole, strict=True)
    ]
    numbers = iter(numbered([one for row in rows for one in row]).tolist())
    found = np.full((len(rows), max(map(len, rows), default=1)), -1, np.int64)
    for n, row in enumerate(rows):
        found[n, : len(row)] = [next(numbers) for _ in row]
    return {"caption": found[:, 0].copy(), "said": found}


def _read(texts: Sequence[Encoded]) -> dict[str, torch.Tensor]:
    tokens, lengths = pad_arrays([one.ids for one in texts])
    return {"tokens": tokens, "text_lengths": lengths}


def _vectors(outputs: Sequence[Placed]) -> tuple[Vectors, Vectors]:
    return np.stack([one.image for one in outputs]), np.concatenate([one.texts for one in outputs])
