"""Dialogue: from what was said last to the reply, by five verbs between the data and the model."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch

from recurra.base.answers import AnswerKind, Text
from recurra.base.answers import Candidate as Listed
from recurra.base.contracts import Batch, Loss, Origin, Prediction, Record, Score, Table
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.store import chosen
from recurra.data.tokenizers import Vocabulary
from recurra.metrics import Compared
from recurra.metrics.dialogue import plain, recalls, reply_scores
from recurra.tasks.blank import NOTE, blank_warnings
from recurra.tasks.bucketing import BucketSampler
from recurra.tasks.contract import ChatOptions, Reply
from recurra.tasks.dialogue.contexts import Contexts, LearnedFrom
from recurra.tasks.dialogue.exchanges import (
    Exchange,
    ExchangeCodec,
    with_others,
)
from recurra.tasks.dialogue.losses import dialogue_loss
from recurra.tasks.dialogue.ranking import by_words, ranks_of
from recurra.tasks.dialogue.reading import Nearness, Reading
from recurra.tasks.dialogue.replying import Replying
from recurra.tasks.dialogue.tables import dull_table, examples_table, scores_table
from recurra.tasks.dialogue.turns import Conversation
from recurra.tasks.options import refuse_options
from recurra.tasks.text import unknown_share
from recurra.tasks.translation.answers import Candidate
from recurra.tasks.translation.batches import collated
from recurra.tasks.translation.losses import Forced, forced_rows, forced_scores, unigram_loss
from recurra.tasks.translation.pairs import wanted
from recurra.tasks.translation.search import Autoregressive

if TYPE_CHECKING:
    from recurra.tasks.dialogue.config import DialogueConfig


@dataclass(frozen=True, slots=True)
class Replied:
    """What came of a row. candidates: replies, best first, () where none was written      forced: how the right reply
    fared      rank: its place among others      near: how near what was said is to what training had, 0..1
    """

    candidates: tuple[Candidate, ...]
    forced: Forced | None
    rank: int | None
    near: float


class Dialogue:
    """Five verbs between the data and the model: example, collate, loss, predict, score.

    writes: whether replies are written and ranked, which takes longer than to judge the right ones
    """

    answer_kind: ClassVar[AnswerKind] = "text"
    input_key: ClassVar[str] = "text"
    options: ClassVar[tuple[str, ...]] = ("beam", "n_best")
    chat_options: ClassVar[tuple[str, ...]] = ("temperature", "top_p", "beam", "seed", "always")
    fitted: str

    def __init__(self, plan: DialogueConfig, reading: Reading, *, fitted: str = "") -> None:
        self.plan, self.reading, self.fitted = plan, reading, fitted
        self.replying: Replying = plan.replying
        self.turns = Contexts(plan, reading.encoder)
        self.writes = True
        self._near = Nearness(reading.known)
        self._learned = LearnedFrom()

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the rows of a model's table stand for."""
        return self.reading.encoder.vocabulary

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: the vocabulary, which both sides share."""
        return {"tokens": len(self.vocabulary), "target": len(self.vocabulary)}

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
        """Token ids of the contexts (T, N) and, where all are known, of the replies (S, N)."""
        return collated([one.pair for one in examples], indices)

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """Cross-entropy of the reply's tokens and its end, in nats; of the turns before, if they are learned."""
        return dialogue_loss(prediction, batch, self.plan.label_smoothing)

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[Exchange]) -> list[Replied]:
        """How the right replies fare where they are known; of others, and of those with replies beside them, what is
        written, and the place of the right one. The model is in eval mode.

        Raises RunError for a model that is not finite.
        """
        device = batch.inputs["tokens"].device
        forced: Sequence[Forced | None] = [None] * len(examples)
        if batch.targets:
            forced = forced_rows(model(batch), batch)
        writes = [self.writes and (one.pair.wanted is None or bool(one.others)) for one in examples]
        asked = [place for place, one in enumerate(writes) if one]
        said = dict(zip(asked, self._written(model, [examples[k] for k in asked], device), strict=True))
        ranks = ranks_of(model, examples, device) if self.writes else [None] * len(examples)
        return [
            Replied(said.get(k, ()), forced[k], ranks[k], self._near.of(one.last) if writes[k] else 0.0)
            for k, one in enumerate(examples)
        ]

    def _written(
        self, model: torch.nn.Module, examples: Sequence[Exchange], device: torch.device
    ) -> list[tuple[Candidate, ...]]:
        if not examples:
            return []
        batch = collated([one.pair for one in examples], range(len(examples))).to(device)
        found = self.replying.run(cast(Autoregressive, model), batch, [one.pair.text for one in examples])
        return [tuple(self._candidate(one.tokens, one.log_probs, one.ended) for one in row) for row in found]

    def _candidate(self, tokens: Sequence[int], log_probs: Sequence[float], ended: bool) -> Candidate:
        words = tuple(self.vocabulary.tokens(list(tokens)))
        return Candidate(self.reading.encoder.tokenizer.join(words), words, math.fsum(log_probs), ended)

    def score(self, outputs: Sequence[Replied], examples: Sequence[Exchange], split: str) -> tuple[Score, ...]:
        """Perplexity of the right replies; where replies were written, how much these say, and where the right one is
        among others."""
        scores = forced_scores([one.forced for one in outputs], split)
        told = [(o, e) for o, e in zip(outputs, examples, strict=True) if o.candidates]
        if not told:
            return scores
        texts = [self.shown(o.candidates[0].text) for o, _ in told]
        right = [wanted(e.pair).text for _, e in told if e.pair.wanted is not None]
        ranks = [o.rank for o, _ in told if o.rank is not None]
        return (*scores, *recalls(ranks, split), *reply_scores(texts, right, self.reading.dull, split))

    def filter(self, examples: Sequence[Exchange], split: str) -> tuple[Sequence[Exchange], tuple[str, ...]]:
        """The rows of train within the limit, all rows of other splits; conversations that stand in train too are
        said."""
        if split != "train":
            return examples, self._learned.leaks(examples, split)
        self._learned.learn(examples)
        limit = self.plan.max_reply_tokens
        allowed = [len(wanted(one.pair).encoded) <= limit for one in examples]
        left = allowed.count(False)
        said = (
            f"train: {left:,} of {len(examples):,} replies were left out, because they are longer than "
            f"max_reply_tokens {limit}; the first: {examples[allowed.index(False)].origin}.",
        ) if left else ()  # fmt: skip
        return chosen(examples, allowed), said

    # -- for predict -----------------------------------------------------------------------------------------------

    @property
    def for_validation(self) -> Dialogue:
        """The task as it answers while epochs are compared: nothing is written."""
        other = copy.copy(self)
        other.writes = False
        return other

    def with_options(self, options: Mapping[str, Any]) -> Dialogue:
        """The task with another `beam`, or several replies (`n_best`). Raises ConfigError."""
        refuse_options(options, "dialogue", self.options)
        return self.replying_by(self.replying.asked(beam=options.get("beam"), n_best=options.get("n_best")))

    def replying_by(self, replying: Replying) -> Dialogue:
        """The task as it writes so."""
        other = copy.copy(self)
        other.replying = replying
        return other

    def warnings(self, outputs: Sequence[Replied], examples: Sequence[Exchange]) -> tuple[str, ...]:
        """Blank contexts, tokens that training never saw, replies that came to no end."""
        cut = [e for o, e in zip(outputs, examples, strict=True) if o.candidates and not o.candidates[0].ended]
        unknown = [e for e in examples if e.pair.encoded.spelling]
        found = list(blank_warnings(examples))
        if unknown:
            words = list(dict.fromkeys(token for e in unknown for token in e.pair.encoded.unknown))
            shown = ", ".join(map(repr, words[:5])) + (", ..." if len(words) > 5 else "")
            found.append(
                f"{len(unknown)} of {len(examples)} texts have tokens that training never saw, which are read as "
                f"unknown: {shown}; the first: {unknown[0].origin}."
            )
        if cut:
            found.append(
                f"{len(cut)} of {len(examples)} replies were cut at task.max_reply_tokens = {self.replying.most}, "
                f"before the model came to an end; the first: {cut[0].origin}."
            )
        return tuple(found)

    def answer(self, example: Exchange, output: Replied) -> Text:
        """The best reply and its score; several where they were asked for.

        A blank text has an empty reply, and a note; what nothing near was learned of has a note.
        """
        if example.is_blank or not output.candidates:
            return Text("", None, example.pair.text, () if self.replying.n_best > 1 else None, None, NOTE)
        several = None
        if self.replying.n_best > 1:
            several = tuple(Listed(self.shown(one.text), one.score, one.log_prob) for one in output.candidates)
        best = output.candidates[0]
        return Text(self.shown(best.text), best.score, example.pair.text, several, None, self.reading.far(output.near))

    # -- for chat --------------------------------------------------------------------------------------------------

    @property
    def threshold(self) -> float | None:
        """The nearness under which what was said gets no reply."""
        return self.reading.threshold

    def replies(
        self, model: torch.nn.Module, turns: Sequence[str], how: ChatOptions, device: torch.device
    ) -> Iterator[Reply]:
        """The reply to the last turn, token by token; a sentence where nothing near was learned."""
        near = self._near.of(turns[-1])
        if not how.always and self.threshold is not None and near < self.threshold:
            yield Reply(self.plan.refusal, near, refused=True)
            return
        example = self.turns.asked("", turns, Record({}, Origin("chat")))
        batch = self.collate([example], [0]).to(device)
        said: list[int] = []
        yield Reply("", near)
        for token in self.replying.chatting(how).stream(cast(Autoregressive, model), batch, example.pair.text):
            if not token.ended:
                said.append(token.token)
                words = self.vocabulary.tokens(said)
                yield Reply(self.shown(self.reading.encoder.tokenizer.join(words)), near)

    def shown(self, text: str) -> str:
        """A reply as people write it."""
        return self.reading.joining(text)

    # -- after training --------------------------------------------------------------------------------------------

    @property
    def tunes(self) -> bool:
        """Whether contexts that are far from all that was learned get no reply."""
        return self.plan.refuse > 0

    def thresholded(self, outputs: Sequence[Replied], examples: Sequence[Exchange]) -> Dialogue:
        """The task with the nearness under which so many of these contexts are, as the config says."""
        reading, told = self.reading.refusing([o.near for o in outputs if o.candidates], self.plan.refuse)
        other = Dialogue(self.plan, reading, fitted=told)
        other._learned = self._learned
        return other

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Replied], examples: Sequence[Exchange]) -> tuple[Table, ...]:
        """What the scores are, examples, and the most frequent replies."""
        told = [(e, self._best(o), o.rank, o.near) for o, e in zip(outputs, examples, strict=True) if o.candidates]
        written = [plain(said) for _, said, _, _ in told]
        found = [scores_table(examples), examples_table(told, "written")]
        return (*found, *([dull_table(self.reading.dull, written)] if self.reading.dull else []))

    def _best(self, output: Replied) -> str:
        return self.shown(output.candidates[0].text)

    def baselines(self, train: Sequence[Exchange], splits: Mapping[str, Sequence[Exchange]]) -> Compared:
        """To count tokens; to rank replies by the words that they share with their context; to say the most frequent
        reply; and what the right replies have themselves."""
        pairs = [one.pair for one in train]
        frequent = Counter(wanted(one).text for one in pairs).most_common(1)[0][0]
        found: dict[str, list[Score]] = {"unigrams": [], "tfidf": [], "frequent": [], "references": []}
        for name, rows in splits.items():
            found["unigrams"].append(unigram_loss(pairs, [one.pair for one in rows], name))
            found["tfidf"] += by_words(train, rows, name)
            right = [wanted(one.pair).text for one in rows if one.others]
            if right:
                found["frequent"] += reply_scores([frequent] * len(right), right, self.reading.dull, name)
                found["references"] += reply_scores(right, right, self.reading.dull, name)
        return Compared({name: tuple(scores) for name, scores in found.items() if scores}, ())

    def facts(self, splits: Mapping[str, Sequence[Exchange]]) -> dict[str, str | int | float]:
        """Sizes, and what was unknown, by split."""
        found: dict[str, str | int | float] = {"vocabulary": len(self.vocabulary)}
        for name, rows in splits.items():
            found |= {
                f"{name} conversations": len({one.conversation for one in rows}),
                f"{name} replies": len(rows),
                f"{name} reply tokens": sum(len(wanted(one.pair).encoded) for one in rows),
                f"{name} unknown tokens": f"{unknown_share(wanted(one.pair).encoded for one in rows):.2%}",
            }
        return found

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "perplexity"

    def possible_scores(self, examples: Sequence[Exchange]) -> tuple[Score, ...]:
        """The scores that these rows can have, with the values of a model that expects every token alike."""
        nats, counts = math.log(len(self.vocabulary)), [len(wanted(one.pair).encoded) + 1 for one in examples]
        return forced_scores([Forced(nats * n, n, 0) for n in counts], "dev")

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return self.reading.to_json()
