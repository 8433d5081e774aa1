"""Response selection: five verbs between conversations and vectors of what was said and of replies."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.answers import AnswerKind, Text
from recurra.base.answers import Candidate as Listed
from recurra.base.contracts import Batch, Loss, Origin, Prediction, Record, Score, Table
from recurra.base.errors import ConfigError
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.tokenizers import Vocabulary
from recurra.losses import fixed_sum
from recurra.losses.contrastive import contrastive_nats
from recurra.metrics import Compared
from recurra.metrics.dialogue import CANDIDATES, plain, rank_of, recalls
from recurra.tasks.blank import NOTE, blank_warnings
from recurra.tasks.bucketing import BucketSampler
from recurra.tasks.contract import ChatOptions, Reply
from recurra.tasks.dialogue.contexts import Contexts, LearnedFrom
from recurra.tasks.dialogue.exchanges import Exchange, ExchangeCodec, with_others
from recurra.tasks.dialogue.ranking import by_words
from recurra.tasks.dialogue.reading import Nearness, Reading
from recurra.tasks.dialogue.tables import examples_table
from recurra.tasks.dialogue.turns import Conversation
from recurra.tasks.options import refuse_options
from recurra.tasks.response_selection.replies import Replies, Vectors
from recurra.tasks.response_selection.tables import scores_table
from recurra.tasks.text import pad_arrays, unknown_share
from recurra.tasks.translation.pairs import all_wanted, wanted

if TYPE_CHECKING:
    from recurra.tasks.response_selection.config import ResponseSelectionConfig

# Replies whose vectors are made together; and how many are listed at most.
ROWS, MOST_LISTED = 256, 100
# Weights of words that are tried on dev, and the one until then.
WEIGHTS, UNFITTED = (0, 0.25, 0.5, 1, 2, 4, 8), 1.0
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ranked:
    """What came of a row. vectors, words: cosines of the right reply and then of others, () without others
    best: replies that were chosen, best first, with their scores      near: how near what was said is to training
    """

    vectors: tuple[float, ...]
    words: tuple[float, ...]
    best: tuple[tuple[int, float], ...]
    near: float

    def rank(self, weight: float) -> int:
        """The place of the right reply, from 1. weight: of words, beside vectors"""
        right, *others = (one + weight * other for one, other in zip(self.vectors, self.words, strict=True))
        return rank_of(right, others)


class ResponseSelection:
    """Five verbs between the data and the model: example, collate, loss, predict, score.

    number: different replies of training      weight: of words, beside vectors
    chooses: whether a reply is chosen, which needs the vectors of all
    """

    answer_kind: ClassVar[AnswerKind] = "text"
    input_key: ClassVar[str] = "text"
    options: ClassVar[tuple[str, ...]] = ("n_best",)
    chat_options: ClassVar[tuple[str, ...]] = ("always",)
    fitted: str

    def __init__(
        self,
        plan: ResponseSelectionConfig,
        reading: Reading,
        replies: Replies,
        *,
        number: int,
        fitted: str = "",
        weight: float | None = None,
    ) -> None:
        self.plan, self.reading, self.replies_kept, self.number, self.fitted = plan, reading, replies, number, fitted
        self.turns = Contexts(plan, reading.encoder)
        self.weight = next(one for one in (weight, plan.words, UNFITTED) if one is not None)
        self.chooses, self.n_best = True, 1
        self._near = Nearness(reading.known)
        self._learned = LearnedFrom()

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the rows of a model's table stand for."""
        return self.reading.encoder.vocabulary

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: the vocabulary of both sides."""
        return {"tokens": len(self.vocabulary)}

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> Exchange:
        """Read a record; without `gold` all turns are the context, and there may be none.

        With it the last turn is the reply. Raises DataError, with file and line, for what is no conversation.
        """
        return self.turns.last(record) if gold else self.turns.so_far(record)

    def training_examples(self, rows: Iterable[Conversation], means: Means = IN_MEMORY) -> Iterator[Exchange]:
        """Rows as examples, one by one, without replies of others beside them."""
        return self.turns.training(rows, means)

    def examples(self, rows: Iterable[Conversation], means: Means = IN_MEMORY) -> Iterator[Exchange]:
        """Rows as examples, of which some have the replies of others beside them."""
        return iter(with_others(list(self.turns.training(rows, means))))

    @property
    def example_codec(self) -> ExchangeCodec:
        return ExchangeCodec(self.vocabulary)

    def sampler(self, examples: Sequence[Exchange], *, batch_tokens: int, batch_rows: int, seed: int) -> BucketSampler:
        """Those of like lengths together."""
        return BucketSampler(examples, self.collate, batch_tokens, batch_rows, seed)

    def collate(self, examples: Sequence[Exchange], indices: Sequence[int]) -> Batch:
        """Token ids of the contexts (T, N) and, where all are known, of the replies (S, N).

        targets: context and reply (N,), numbers that equal ones share
        """
        tokens, lengths = pad_arrays([one.pair.encoded.ids for one in examples])
        if not all_wanted([one.pair for one in examples]):
            return Batch({"tokens": tokens}, lengths, {}, tuple(indices))
        said = [wanted(one.pair) for one in examples]
        targets = {
            "context": _numbered([one.pair.encoded.key for one in examples]),
            "reply": _numbered([plain(one.text) or one.text for one in said]),
        }
        replies = self._read([one.encoded.ids for one in said])
        return Batch({"tokens": tokens, **replies}, lengths, targets, tuple(indices))

    def _read(self, ids: Sequence[Any]) -> dict[str, Tensor]:
        """Replies as a model reads them, their first tokens."""
        tokens, lengths = pad_arrays([one[: self.plan.max_reply_tokens] for one in ids])
        return {"reply": tokens, "reply_lengths": lengths}

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """The mean of both ways, in nats: each context among all replies of the batch, and each reply among all
        contexts; what is equal is right as well."""
        context, reply = batch.targets["context"], batch.targets["reply"]
        same = (context[:, None] == context) | (reply[:, None] == reply)
        out = prediction.outputs
        there, back = contrastive_nats(out["context"], out["reply"], out["scale"], same)
        return Loss((fixed_sum(there) + fixed_sum(back)) / 2, len(context))

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[Exchange]) -> list[Ranked]:
        """The place of right replies among others, where there are some; and of rows whose reply nobody knows, or that
        have others, the replies that are chosen. The model is in eval mode."""
        device = batch.inputs["tokens"].device
        contexts = self._contexts(model, batch)
        ranks = self._ranks(model, examples, contexts, device)
        chosen = [self.chooses and (one.pair.wanted is None or bool(one.others)) for one in examples]
        found = self._chosen(model, examples, contexts, chosen, device)
        return [Ranked(*both, *one) for both, one in zip(ranks, found, strict=True)]

    def _contexts(self, model: torch.nn.Module, batch: Batch) -> Floats:
        """(N, D); of a context without a token zeros, near to nothing."""
        read = Batch({"tokens": batch.inputs["tokens"]}, batch.lengths.clamp(min=1), {}, batch.indices)
        if not batch.inputs["tokens"].shape[0]:
            tokens = torch.zeros(1, len(batch.lengths), dtype=torch.int64, device=batch.inputs["tokens"].device)
            read = Batch({"tokens": tokens}, read.lengths, {}, batch.indices)
        found = model(read).outputs["context"].double().cpu().numpy()
        known: Floats = np.where((batch.lengths > 0).numpy()[:, None], found, 0.0)
        return known

    def _ranks(
        self, model: torch.nn.Module, examples: Sequence[Exchange], contexts: Floats, device: torch.device
    ) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
        """Cosines of vectors, and of words, of each row's candidates."""
        ids = [one.encoded.ids for e in examples if e.others for one in (wanted(e.pair), *e.others)]
        vectors = self._vectors(model, ids, device).astype(np.float64)
        found: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
        at = 0
        for k, example in enumerate(examples):
            if not example.others:
                found.append(((), ()))
                continue
            candidates = (wanted(example.pair), *example.others)
            cosines = vectors[at : at + len(candidates)] @ contexts[k]
            at += len(candidates)
            words = [self.replies_kept.words.weights.cosine(example.pair.text, one.text) for one in candidates]
            found.append((tuple(cosines.tolist()), tuple(words)))
        return found

    def _chosen(
        self,
        model: torch.nn.Module,
        examples: Sequence[Exchange],
        contexts: Floats,
        asked: Sequence[bool],
        device: torch.device,
    ) -> list[tuple[tuple[tuple[int, float], ...], float]]:
        """The best replies with their scores, and how near what was said is, of each row that is asked."""
        if not any(asked):
            return [((), 0.0)] * len(examples)
        vectors = self.replies_kept.vectors(model, lambda texts: self._of_texts(model, texts, device))
        found: list[tuple[tuple[tuple[int, float], ...], float]] = []
        for k, example in enumerate(examples):
            if not asked[k]:
                found.append(((), 0.0))
                continue
            words = self.replies_kept.words.cosines(example.pair.text)
            scores = vectors @ contexts[k] + self.weight * words
            order = np.argsort(-scores, kind="stable")[: self.n_best]
            found.append((tuple((int(n), float(scores[n])) for n in order), self._nearness(example.last)))
        return found

    def _nearness(self, text: str) -> float:
        """Of what was said to turns of training, or to the replies that can be chosen."""
        return max(self._near.of(text), self.replies_kept.words.nearness(text))

    def _of_texts(self, model: torch.nn.Module, texts: Sequence[str], device: torch.device) -> Vectors:
        return self._vectors(model, [self.reading.encoder.encode(text)[0].ids for text in texts], device)

    def _vectors(self, model: torch.nn.Module, ids: Sequence[Any], device: torch.device) -> Vectors:
        """(K, D) of replies; those of like lengths together."""
        order = sorted(range(len(ids)), key=lambda k: (len(ids[k]), k))
        found: Vectors = np.zeros((len(ids), 0), np.float32)
        for at in range(0, len(order), ROWS):
            some = order[at : at + ROWS]
            inputs = {name: value.to(device) for name, value in self._read([ids[k] for k in some]).items()}
            with torch.inference_mode():
                vectors = model(Batch(inputs, inputs["reply_lengths"].cpu(), {}, tuple(some))).outputs["reply"]
            if not found.shape[1]:
                found = np.zeros((len(ids), vectors.shape[1]), np.float32)
            found[some] = vectors.float().cpu().numpy()
        return found

    def score(self, outputs: Sequence[Ranked], examples: Sequence[Exchange], split: str) -> tuple[Score, ...]:
        """Whether the right reply is first, or among the first five, of ten: as replies are chosen, and by vectors."""
        ranked = [one for one in outputs if one.vectors]
        alone = recalls([one.rank(0.0) for one in ranked], split)
        return (
            *recalls([one.rank(self.weight) for one in ranked], split),
            *(Score(f"vector_{s.name}", s.value, s.unit, s.better, split) for s in alone),
        )

    def filter(self, examples: Sequence[Exchange], split: str) -> tuple[Sequence[Exchange], tuple[str, ...]]:
        """All rows. What is read in part, replies that are not kept, and conversations that stand in train too are
        said. Raises ConfigError for a split of fewer than ten different replies, in which there is nothing to find."""
        if split != "train":
            if not any(one.others for one in examples):
                raise ConfigError(
                    f"{split}: has {len(examples):,} replies, and of each the right one is looked for among ten "
                    "different ones. Give more conversations."
                )
            return examples, self._learned.leaks(examples, split)
        self._learned.learn(examples)
        limit, kept = self.plan.max_reply_tokens, len(self.replies_kept)
        cut = [one for one in examples if len(wanted(one.pair).encoded) > limit]
        said = []
        if cut:
            said.append(
                f"train: of {len(cut):,} of {len(examples):,} replies the first {limit} tokens are read "
                f"(task.max_reply_tokens); the first: {cut[0].origin}."
            )
        if self.number > kept:
            said.append(
                f"train: {kept:,} of {self.number:,} different replies can be chosen; raise task.kept for more."
            )
        return examples, tuple(said)

    # -- for predict and chat --------------------------------------------------------------------------------------

    @property
    def for_validation(self) -> ResponseSelection:
        """The task as it answers while epochs are compared: nothing is chosen."""
        other = copy.copy(self)
        other.chooses = False
        return other

    def with_options(self, options: Mapping[str, Any]) -> ResponseSelection:
        """The task with several replies (`n_best`). Raises ConfigError."""
        refuse_options(options, "response selection", self.options)
        other, number = copy.copy(self), options.get("n_best")
        if number is not None and not (type(number) is int and 1 <= number <= MOST_LISTED):
            raise ConfigError(f"n_best: expected a whole number from 1 to {MOST_LISTED}, got {number!r}.")
        other.n_best = number or 1
        return other

    def warnings(self, outputs: Sequence[Ranked], examples: Sequence[Exchange]) -> tuple[str, ...]:
        """Blank contexts."""
        return blank_warnings(examples)

    def answer(self, example: Exchange, output: Ranked) -> Text:
        """The best reply, with its score; several where they were asked for. What nothing near was learned of has a
        note, and so has a blank text, which has an empty reply."""
        if example.is_blank or not output.best:
            return Text("", None, example.pair.text, () if self.n_best > 1 else None, None, NOTE)
        (best, score), *_ = output.best
        several = None
        if self.n_best > 1:
            several = tuple(Listed(self.replies_kept.kept[n].text, value, 0.0) for n, value in output.best)
        text, far = self.replies_kept.kept[best].text, self.reading.far(output.near)
        return Text(text, score, example.pair.text, several, None, far)

    @property
    def threshold(self) -> float | None:
        """The nearness under which what was said gets no reply."""
        return self.reading.threshold

    def replies(
        self, model: torch.nn.Module, turns: Sequence[str], how: ChatOptions, device: torch.device
    ) -> Iterator[Reply]:
        """The reply that is chosen, at once; a sentence where nothing near was learned."""
        near = self._nearness(turns[-1])
        if not how.always and self.threshold is not None and near < self.threshold:
            yield Reply(self.plan.refusal, near, refused=True)
            return
        example = self.turns.asked("", turns, Record({}, Origin("chat")))
        with torch.inference_mode():
            (found,) = self.predict(model, self.collate([example], [0]).to(device), [example])
        kept = self.replies_kept.kept[found.best[0][0]]
        yield Reply(kept.text, near, source=kept.source)

    # -- after training --------------------------------------------------------------------------------------------

    @property
    def tunes(self) -> bool:
        """Whether contexts that are far from all that was learned get no reply, or the weight of words is open."""
        return self.plan.refuse > 0 or self.plan.words is None

    def thresholded(self, outputs: Sequence[Ranked], examples: Sequence[Exchange]) -> ResponseSelection:
        """The task with the nearness under which so many of these contexts are, and with the weight of words by which
        their right replies stand in front, unless the config says it."""
        told, weight, reading = [], self.weight, self.reading
        if self.plan.words is None:
            weight = best_weight([o for o in outputs if o.vectors])
            told.append(f"words (TF-IDF) weigh {weight:g} times as much as vectors, the best of {WEIGHTS} on dev")
        if self.plan.refuse:
            reading, threshold = self.reading.refusing([o.near for o in outputs if o.best], self.plan.refuse)
            told.append(threshold)
        kept, number = self.replies_kept, self.number
        other = ResponseSelection(self.plan, reading, kept, number=number, fitted="; ".join(told), weight=weight)
        other._learned = self._learned
        return other

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Ranked], examples: Sequence[Exchange]) -> tuple[Table, ...]:
        """What the scores are, and examples."""
        told = [
            (e, self.replies_kept.kept[o.best[0][0]].text, o.rank(self.weight) if o.vectors else None, o.near)
            for o, e in zip(outputs, examples, strict=True)
            if o.best
        ]
        return (scores_table(examples, self.weight), examples_table(told, "chosen"))

    def baselines(self, train: Sequence[Exchange], splits: Mapping[str, Sequence[Exchange]]) -> Compared:
        """To rank replies by the words that they share with their context."""
        found = tuple(score for name, rows in splits.items() for score in by_words(train, rows, name))
        return Compared({"tfidf": found} if found else {}, ())

    def facts(self, splits: Mapping[str, Sequence[Exchange]]) -> dict[str, str | int | float]:
        """Sizes, and what was unknown, by split."""
        found: dict[str, str | int | float] = {
            "vocabulary": len(self.vocabulary),
            "replies to choose from": len(self.replies_kept),
        }
        for name, rows in splits.items():
            found |= {
                f"{name} conversations": len({one.conversation for one in rows}),
                f"{name} replies": len(rows),
                f"{name} unknown tokens": f"{unknown_share(one.pair.encoded for one in rows):.2%}",
            }
        return found

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "recall_at_1"

    def possible_scores(self, examples: Sequence[Exchange]) -> tuple[Score, ...]:
        """The scores that these rows can have, with the values of a model that says the same of all."""
        same = (0.0,) * CANDIDATES
        worst = [Ranked(*((same, same) if one.others else ((), ())), (), 0.0) for one in examples]
        return self.score(worst, examples, "dev")

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {**self.reading.to_json(), "replies": self.replies_kept.to_json(), "words": self.weight}


def best_weight(outputs: Sequence[Ranked]) -> float:
    """The weight of words with the greatest mean of 1 / rank; of equal ones the least."""
    if not outputs:
        return UNFITTED
    return max(WEIGHTS, key=lambda weight: (sum(1 / one.rank(weight) for one in outputs), -weight))


def _numbered(values: Sequence[Any]) -> Tensor:
    """(N,), the same number for equal values."""
    known: dict[Any, int] = {}
    return torch.tensor([known.setdefault(value, len(known)) for value in values], dtype=torch.int64)
