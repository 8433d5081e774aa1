"""Multiple choice: five verbs between the data and the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.answers import AnswerKind, Label
from recurra.base.contracts import Batch, Loss, Prediction, Record, Score, Table
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.tokenizers import Pieces, Vocabulary
from recurra.losses import fixed_sum
from recurra.metrics import Compared
from recurra.tasks.blank import NOTE, blank_warnings
from recurra.tasks.bucketing import BucketSampler
from recurra.tasks.encoder_attention import attention_maps, attention_table, attention_weights
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of, entry_of
from recurra.tasks.multiple_choice.baselines import accuracy, compared
from recurra.tasks.multiple_choice.rows import ChoiceExample, ChoiceRow
from recurra.tasks.text import TextEncoder, pad_arrays
from recurra.tasks.two_texts import encoded_pair

if TYPE_CHECKING:
    from recurra.tasks.multiple_choice.config import MultipleChoiceConfig

Floats = NDArray[np.float64]
WORST = 20
# Characters of a text that a table shows.
SHOWN = 300


class MultipleChoice:
    """Between questions with choices, the model and the scores. An output is the scores of a question's choices, (C,).

    Every choice is read with what it is about, each in a row of its own, and has one number; softmax goes over the
    choices of a question (Devlin et al. 2019, arXiv:1810.04805, section 4.4), of which there may be any number from 2.
    """

    answer_kind: ClassVar[AnswerKind] = "label"
    input_key: ClassVar[str] = "text"

    def __init__(self, plan: MultipleChoiceConfig, reader: TextEncoder) -> None:
        self.plan, self.reader = plan, reader

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the rows of a model's table stand for."""
        return self.reader.vocabulary

    @property
    def pieces(self) -> Pieces | None:
        """The word pieces that texts are cut into, if they are."""
        return self.reader.pieces

    @property
    def head_labels(self) -> tuple[str, ...]:
        """What the model's head says of a choice."""
        return ("fits",)

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: size of the vocabulary, and that a choice has one score."""
        return {**self.reader.sizes, "scores": 1}

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> ChoiceExample:
        """Read a record; without `gold` nobody knows the right choice, and what it is about may be empty.

        Raises DataError, with file and line, for what are no choices.
        """
        return self._example(self.plan.read(record) if gold else self.plan.columns.unlabelled(record))

    def examples(self, rows: Iterable[ChoiceRow], means: Means = IN_MEMORY) -> Iterator[ChoiceExample]:
        """Rows as examples, one by one."""
        return map(self._example, rows)

    def _example(self, row: ChoiceRow) -> ChoiceExample:
        read = [encoded_pair(self.reader, *pair) for pair in row.pairs()]
        return ChoiceExample(row, tuple(encoded for encoded, _ in read), max(number for _, number in read))

    def sampler(
        self, examples: Sequence[ChoiceExample], *, batch_tokens: int, batch_rows: int, seed: int
    ) -> BucketSampler:
        """Those of like lengths together."""
        return BucketSampler(examples, self.collate, batch_tokens, batch_rows, seed)

    def collate(self, examples: Sequence[ChoiceExample], indices: Sequence[int]) -> Batch:
        """tokens (T, R), a row for each choice, those of a question one after the other; choices (N,), how many each
        has; lengths (R,). Targets: choices (N,) where all are known."""
        tokens, lengths = pad_arrays([one.ids for e in examples for one in e.encoded])
        counts = torch.tensor([len(e.encoded) for e in examples], dtype=torch.int64)
        known = [e.gold for e in examples if e.gold is not None]
        targets = (
            {"choices": torch.tensor(known, dtype=torch.int64)} if examples and len(known) == len(examples) else {}
        )
        return Batch({"tokens": tokens, "choices": counts}, lengths, targets, tuple(indices))

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """-log p of the right choice of each question, in nats."""
        table = by_question(prediction.outputs["choice_logits"], batch.inputs["choices"])
        found = table.log_softmax(1).gather(1, batch.targets["choices"].unsqueeze(1))
        return Loss(-fixed_sum(found), len(found))

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[ChoiceExample]) -> list[Floats]:
        """The scores of each question's choices; the model is in eval mode."""
        said = model(batch).outputs["choice_logits"].detach().double().cpu()[:, 0]
        return [part.numpy() for part in torch.split(said, batch.inputs["choices"].tolist())]

    def score(self, outputs: Sequence[Floats], examples: Sequence[ChoiceExample], split: str) -> tuple[Score, ...]:
        """Accuracy, and the log loss of the right choice."""
        gold = [e.gold for e in examples]
        nats = [-float(np.log(max(chances(one)[place or 0], 1e-300))) for one, place in zip(outputs, gold, strict=True)]
        log_loss = Score("log_loss", sum(nats) / max(len(nats), 1), "nats", "lower", split)
        return accuracy(outputs, gold, split), log_loss

    def filter(self, examples: Sequence[ChoiceExample], split: str) -> tuple[Sequence[ChoiceExample], tuple[str, ...]]:
        """All of them, with what was cut."""
        return examples, self._cut(examples, f"{split}: ")

    def _cut(self, examples: Sequence[ChoiceExample], where: str = "") -> tuple[str, ...]:
        limit = self.reader.max_length
        if limit is None or not (found := [e for e in examples if e.all_tokens > limit]):
            return ()
        return (
            f"{where}{len(found):,} of {len(examples):,} questions have a choice that is longer than task.max_length "
            f"= {limit} tokens with what it is about, and the longer text is cut; the first: {found[0].origin}, "
            f"{found[0].all_tokens:,} tokens.",
        )

    # -- for predict -----------------------------------------------------------------------------------------------

    def warnings(self, outputs: Sequence[Floats], examples: Sequence[ChoiceExample]) -> tuple[str, ...]:
        """Blank texts, and those that are cut."""
        return (*blank_warnings(examples), *self._cut(examples))

    def answer(self, example: ChoiceExample, output: Floats) -> Label:
        """The choice, with the probability of each; of a blank text none, and a note."""
        row = example.row
        if example.is_blank:
            return Label(row.asked, "", None, {}, NOTE)
        shares = chances(output)
        best = int(shares.argmax())
        return Label(
            row.asked, row.choices[best], float(shares[best]), dict(zip(row.choices, shares.tolist(), strict=True))
        )

    @property
    def trial_fields(self) -> Mapping[str, Any]:
        """Fields of a record that the model can answer."""
        columns = self.plan.columns
        several = dict.fromkeys(columns.choices) if len(columns.choices) > 1 else {columns.choices[0]: ["a", "b"]}
        named = {name: f"choice {k}" for k, name in enumerate(several)} if len(several) > 1 else several
        return {**dict.fromkeys(columns.texts, "a"), **named}

    def explain(self, model: torch.nn.Module, example: ChoiceExample, device: torch.device) -> ExplanationTarget:
        """The score of the choice that is said, and what its tokens add to it."""
        output: Floats = answer_of(self, model, example, device)
        answer, best = self.answer(example, output), int(output.argmax())
        alone = replace(example, row=replace(example.row, gold=None), encoded=example.encoded[best : best + 1])
        tokens = example.encoded[best].tokens
        weights = attention_weights(model, self.collate([alone], [0]).to(device))
        shares = tuple(
            (choice, f"{share:.1%}") for choice, share in sorted(answer.probabilities.items(), key=lambda p: -p[1])
        )
        return ExplanationTarget(
            answer.to_dict(),
            tokens,
            entry_of(model),
            {"encoder": tokens},
            copies_of(self, alone, device),
            lambda prediction, batch: prediction.outputs["choice_logits"].double().sum(),
            f"the score of '{answer.label}'",
            tuple(attention_maps(weights, tokens, slice(None))),
            (Table("Choices", ("choice", "probability"), shares), *attention_table(weights)),
        )

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Floats], examples: Sequence[ChoiceExample]) -> tuple[Table, ...]:
        """The surest wrong choices."""
        rows: list[tuple[str, str, str, float, str]] = []
        for output, e in zip(outputs, examples, strict=True):
            shares = chances(output)
            best = int(shares.argmax())
            if e.gold is not None and best != e.gold:
                asked, right, said = (
                    text[:SHOWN] for text in (e.row.asked, e.row.choices[e.gold], e.row.choices[best])
                )
                rows.append((asked, right, said, float(shares[best]), str(e.origin)))
        rows.sort(key=lambda row: -row[3])
        shown = tuple(rows[:WORST])
        return (Table("Wrong choices, the surest first", ("text", "true", "predicted", "sureness", "place"), shown),)

    def baselines(self, train: Sequence[ChoiceExample], splits: Mapping[str, Sequence[ChoiceExample]]) -> Compared:
        """What the place that is right most often, and words in common, reach."""
        return compared(train, splits)

    def facts(self, splits: Mapping[str, Sequence[ChoiceExample]]) -> dict[str, str | int | float]:
        """Sizes by split."""
        found: dict[str, str | int | float] = {"vocabulary": len(self.vocabulary)}
        for name, examples in splits.items():
            counts = [len(e.encoded) for e in examples]
            found[f"{name} questions"] = len(examples)
            found[f"{name} choices of a question"] = (
                f"{min(counts, default=0)} to {max(counts, default=0)}"
                if len(set(counts)) > 1
                else max(counts, default=0)
            )
        return found

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "accuracy"

    def possible_scores(self, examples: Sequence[ChoiceExample]) -> tuple[Score, ...]:
        """The scores that these rows can have, with those of a model that has learned nothing: all choices alike."""
        return self.score([np.zeros(len(e.encoded)) for e in examples], examples, "dev")

    def perfect(self, examples: Sequence[ChoiceExample]) -> list[Floats]:
        """What a model would say that is right and sure of it."""
        return [np.where(np.arange(len(e.encoded)) == e.gold, 100.0, 0.0) for e in examples]

    def doubts(self, examples: Sequence[ChoiceExample], short: Sequence[Score]) -> tuple[str, ...]:
        """None: right choices have every score's best value."""
        return ()

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {"reader": self.reader.to_json()}


def by_question(logits: Tensor, counts: Tensor) -> Tensor:
    """(N, C) of logits (R, 1), the choices of each question in its row, -inf where it has fewer than others."""
    counts = counts.to(logits.device)
    there = torch.arange(int(counts.max()), device=logits.device) < counts.unsqueeze(1)
    table = logits.new_full(there.shape, -torch.inf)
    return table.masked_scatter(there, logits[:, 0])


def chances(scores: Floats) -> Floats:
    """(C,) probabilities of choices with these scores."""
    powers = np.exp(scores - scores.max())
    found: Floats = powers / powers.sum()
    return found
