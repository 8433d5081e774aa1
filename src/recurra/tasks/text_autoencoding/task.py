"""A text autoencoder: texts to codes and back, by five verbs between the data and the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from statistics import mean
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.answers import AnswerKind, Text
from recurra.base.contracts import Batch, Loss, Prediction, Record, Score, Table
from recurra.base.errors import DataError
from recurra.data.draws import key_of
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.store import Fields
from recurra.data.tokenizers import BOS, EOS, Vocabulary, way_of
from recurra.decode import Hypothesis, greedy
from recurra.losses import fixed_sum
from recurra.metrics import Compared
from recurra.models.latents import Coded
from recurra.tasks.autoencoding.bounds import Bound
from recurra.tasks.autoencoding.tables import units_table
from recurra.tasks.blank import NOTE, blank_warnings
from recurra.tasks.bucketing import BucketSampler
from recurra.tasks.columns import unfit
from recurra.tasks.drawn import DrawnSampler
from recurra.tasks.language_model.documents import TextRow
from recurra.tasks.text import TextEncoder, cut_note
from recurra.tasks.text_autoencoding.rows import CodedText, Hiding, batched
from recurra.tasks.text_autoencoding.scores import Counted, Rewritten, text_scores
from recurra.tasks.text_autoencoding.tables import drawn_texts, formulas, worst_texts
from recurra.tasks.text_autoencoding.writing import ROOM, TextWriter
from recurra.tasks.translation.losses import forced_rows, loss_of
from recurra.tasks.translation.search import Speaker

if TYPE_CHECKING:
    from recurra.tasks.text_autoencoding.config import TextAutoencodingConfig

# Of what codes are drawn where they are scored: always the same.
SCORING = (0, 0)
# Texts whose words are counted, to see whether the tokenizer fits.
LOOKED_AT = 10_000


class TextAutoencoding:
    """Five verbs between the data and the model: example, collate, loss, predict, score. An output is a `Rewritten`.

    importance_samples: None: the plan's
    """

    answer_kind: ClassVar[AnswerKind] = "text"
    input_key: ClassVar[str] = "text"

    def __init__(
        self, plan: TextAutoencodingConfig, reader: TextEncoder, *, importance_samples: int | None = None
    ) -> None:
        self.plan, self.reader = plan, reader
        self.importance_samples = plan.importance_samples if importance_samples is None else importance_samples
        self.hiding = Hiding(plan.token_drop, plan.decoder_word_dropout)

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the rows of a model's table stand for."""
        return self.reader.vocabulary

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: size of the vocabulary, and of the code."""
        return self.plan.sizes(self.reader.sizes["tokens"])

    # -- the verbs -------------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> CodedText:
        """Read a record; without `gold` it may be empty. Raises DataError, with file and line, for what is no text."""
        row = self.plan.read(record) if gold else self.plan.unread(record)
        return self._example(row, *self.reader.encode(row.text), gold=gold)

    def examples(self, rows: Iterable[TextRow], means: Means = IN_MEMORY) -> Iterator[CodedText]:
        """Rows as examples, one by one. Raises DataError, with file and line, for one without a token."""
        return (self._example(*found) for found in self.reader.encoded(rows, means))

    def _example(self, row: TextRow, encoded: Any, all_tokens: int, *, gold: bool = True) -> CodedText:
        if gold and not len(encoded):
            raise DataError(f"{row.origin}: column '{self.plan.text}' holds no token: {row.text!r:.80}.")
        return CodedText(row.text, encoded, all_tokens, row.origin)

    @property
    def example_codec(self) -> Fields[CodedText]:
        return Fields(CodedText, encoded=way_of(self.vocabulary))

    def sampler(self, examples: Sequence[CodedText], *, batch_tokens: int, batch_rows: int, seed: int) -> Any:
        """Those of like lengths together; where tokens are hidden, others in each epoch."""
        if not self.hiding.hides:
            return BucketSampler(examples, self.collate, batch_tokens, batch_rows, seed)
        return DrawnSampler(examples, self.hidden, batch_tokens, batch_rows, seed)

    def collate(self, examples: Sequence[CodedText], indices: Sequence[int]) -> Batch:
        """Texts as they are, for the encoder, for the decoder and as targets."""
        ids = [e.encoded.ids for e in examples]
        return batched(ids, [(one, one) for one in ids], indices)

    def hidden(self, examples: Sequence[CodedText], indices: Sequence[int], seed: int, epoch: int) -> Batch:
        """The same with the tokens that an epoch hides."""
        ids = [e.encoded.ids for e in examples]
        return batched(ids, [self.hiding.of(one, seed, epoch) for one in ids], indices)

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """Nats of all tokens and ends, with what the codes cost; by token."""
        said, told = prediction.outputs, loss_of(prediction, batch, 0.0)
        if "cost" not in said:
            return told
        parts = {name.removeprefix("part."): fixed_sum(part.detach()) for name, part in said.items() if "part." in name}
        return Loss(told.total + fixed_sum(said["cost"]), told.count, {"reconstruction": told.total.detach(), **parts})

    def predict(self, model: Any, batch: Batch, examples: Sequence[CodedText]) -> list[Rewritten]:
        """Each text again by greedy writing from its code, and how probable it was; the model is in eval mode."""
        coded = model.code(batch)
        written = self.written(model, coded.best, (batch.inputs["target_lengths"] + ROOM).cpu())
        nats, parts = self._bounds(model, batch, examples, coded)
        found = []
        for n, (example, hypothesis) in enumerate(zip(examples, written, strict=True)):
            said = (*hypothesis.tokens, *([EOS] if hypothesis.ended else []))
            true = (*example.encoded.ids.tolist(), EOS)
            same = sum(a == b for a, b in zip(said, true, strict=False))
            costs = {name: float(part[n]) for name, part in parts.items()}
            code = coded.best[n].cpu().numpy()
            spread = None if coded.log_variance is None else coded.log_variance[n].cpu().numpy()
            log_prob = math.fsum(hypothesis.log_probs)
            found.append(Rewritten(hypothesis.tokens, log_prob, float(nats[n]), len(true), same, code, costs, spread))
        return found

    def written(self, model: Any, codes: Tensor, longest: Tensor) -> list[Hypothesis]:
        """Greedy texts from codes (N, Z), of so many tokens (N,) at most, the end among them."""
        found = greedy(
            Speaker(model),
            model.begun(codes),
            num_rows=len(codes),
            start=BOS,
            end=EOS,
            max_length=longest,
            device=codes.device,
        )
        return [one[0] for one in found]

    def _bounds(
        self, model: Any, batch: Batch, examples: Sequence[CodedText], coded: Coded
    ) -> tuple[Sequence[float] | Tensor, dict[str, Tensor]]:
        """Nats (N,) of each text, and what its code costs: of a distribution from codes that are drawn by the text."""

        def costs(codes: Tensor) -> Tensor:
            rows = forced_rows(Prediction(model.told(codes, batch)), batch)
            return torch.tensor([row.nats for row in rows], dtype=torch.float64, device=codes.device)

        if coded.mean is None or coded.log_variance is None:
            return costs(coded.best), dict(coded.parts)
        keys = [key_of(*SCORING, e.encoded.ids.tobytes()) for e in examples]
        bound = Bound(coded.mean, coded.log_variance, costs, keys)
        parts = dict(coded.parts)
        if self.importance_samples:
            parts["nll"] = bound.nll(self.importance_samples)
        return bound.drawn(0), parts

    def score(self, outputs: Sequence[Rewritten], examples: Sequence[CodedText], split: str) -> tuple[Score, ...]:
        """Of a variational code bounds on the likelihood of texts; nats a token, and what came back."""
        return text_scores(outputs, split, variational=self.plan.variational)

    def filter(self, examples: Sequence[CodedText], split: str) -> tuple[Sequence[CodedText], tuple[str, ...]]:
        """All of them, with what was cut, and whether the tokenizer fits."""
        cut = self._cut(examples, f"{split}: ")
        words = mean(len(e.text.split()) for e in islice(examples, LOOKED_AT)) if examples else 0.0
        found = unfit("task.tokenizer", str(self.reader.tokenizer.to_json()["name"]), words)
        return examples, (*([found] if found and split == "train" else []), *cut)

    def _cut(self, examples: Sequence[CodedText], where: str = "") -> tuple[str, ...]:
        return cut_note(examples, self.reader.max_length, "texts", where)

    # -- for predict -----------------------------------------------------------------------------------------------

    @property
    def for_validation(self) -> TextAutoencoding:
        """Without importance samples."""
        return TextAutoencoding(self.plan, self.reader, importance_samples=0)

    def warnings(self, outputs: Sequence[Rewritten], examples: Sequence[CodedText]) -> tuple[str, ...]:
        """Blank texts, and those that are cut."""
        return (*blank_warnings(examples), *self._cut(examples))

    def answer(self, example: CodedText, output: Rewritten) -> Text:
        """The text, written again from its code; a blank text has an empty answer, and a note."""
        if example.is_blank:
            return Text("", None, example.text, note=NOTE)
        score = math.exp(output.log_prob / max(len(output.tokens) + 1, 1))
        return Text(self.joined(output.tokens), score, example.text)

    def code_writer(self, model: torch.nn.Module, device: torch.device) -> TextWriter:
        """What writes texts from codes."""
        return TextWriter(self, model, device)

    def joined(self, tokens: Sequence[int]) -> str:
        """Tokens as a text."""
        return self.reader.tokenizer.join(self.vocabulary.tokens(tokens))

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Rewritten], examples: Sequence[CodedText]) -> tuple[Table, ...]:
        """What the scores are, how much of the code is used, and the texts that came back worst."""
        names = [score.name for score in self.score(outputs, examples, "test")]
        known: Any = outputs
        return formulas(names), units_table(known), worst_texts(self, outputs, examples)

    def samples(self, model: torch.nn.Module, device: torch.device) -> tuple[Table, ...]:
        """Of a variational code what is written from N(0, 1), and between two such codes."""
        return drawn_texts(self, model, device) if self.plan.variational else ()

    def baselines(self, train: Sequence[CodedText], splits: Mapping[str, Sequence[CodedText]]) -> Compared:
        """What it reaches to count tokens, and pairs of tokens: language models without a code."""
        counted = Counted.of(*_pairs(train), len(self.vocabulary))
        found: dict[str, tuple[Score, ...]] = {}
        for name, rows in splits.items():
            for word, scores in counted.scores(*_pairs(rows), name, bound=self.plan.variational).items():
                found[word] = (*found.get(word, ()), *scores)
        return Compared(found, ())

    def facts(self, splits: Mapping[str, Sequence[CodedText]]) -> dict[str, str | int | float]:
        """Sizes, and what was unknown, by split."""
        found: dict[str, str | int | float] = {"vocabulary": len(self.vocabulary)}
        found["numbers of a code"] = self.plan.code_size
        for name, examples in splits.items():
            tokens = unknown = 0
            for e in examples:
                tokens, unknown = tokens + e.length, unknown + e.encoded.num_unknown
            found |= {f"{name} texts": len(examples), f"{name} tokens": tokens}
            found[f"{name} unknown tokens"] = f"{unknown / max(tokens, 1):.2%}"
        return found

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "elbo" if self.plan.variational else "log_loss"

    def possible_scores(self, examples: Sequence[CodedText]) -> tuple[Score, ...]:
        """The scores that these texts can have, with those of a model that expects every token alike."""
        each = math.log(len(self.vocabulary))
        zero = np.zeros(self.plan.code_size, np.float32)
        bounds = ("kl", *(["nll"] if self.importance_samples else [])) if self.plan.variational else ()
        outputs = [
            Rewritten((), 0.0, (e.length + 1) * each, e.length + 1, 0, zero, dict.fromkeys(bounds, 0.0), zero)
            for e in examples
        ]
        return text_scores(outputs, "dev", variational=self.plan.variational)

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {"reader": self.reader.to_json()}


def _pairs(examples: Sequence[CodedText]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each token of texts and their ends with the one before it."""
    each = [e.encoded.ids.astype(np.int64) for e in examples]
    read = [part for ids in each for part in (np.array([BOS]), ids)]
    said = [part for ids in each for part in (ids, np.array([EOS]))]
    return np.concatenate(read), np.concatenate(said)
