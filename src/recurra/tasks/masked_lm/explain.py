"""What can be looked into while a [MASK] is filled: what each head looked at, and what the answer rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recurra.base.contracts import Batch, Prediction, Table
from recurra.base.errors import DataError
from recurra.data.tokenizers.vocabulary import SPECIALS
from recurra.tasks.encoder_attention import attention_maps, attention_table, attention_weights
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of, entry_of
from recurra.tasks.masked_lm.sequences import Sequence

if TYPE_CHECKING:
    from recurra.tasks.masked_lm.task import MaskedLM


def explained(task: MaskedLM, model: torch.nn.Module, example: Sequence, device: torch.device) -> ExplanationTarget:
    """The log-probability of the best piece for the first [MASK]. Raises DataError for a text without one."""
    told = answer_of(task, model, example, device)
    if not told.guesses:
        behind = f"the first [MASK] stands behind max_length ({task.longest:,} pieces), and is not read"
        what = behind if task.asks(example) else "the text has no [MASK]"
        raise DataError(f"{example.origin}: {what}, so there is no answer to look into.")
    best = told.guesses[0][0][0]
    (number,) = task.vocabulary.ids([best])
    tokens, copies = example.encoded.tokens, copies_of(task, example, device)
    weights = attention_weights(model, copies(1))

    def score(prediction: Prediction, batch: Batch) -> Tensor:
        said = prediction.outputs
        logits = torch.nn.functional.linear(said["hidden"][0], said["output.weight"], said["output.bias"])
        return torch.log_softmax(logits, 1)[:, number - len(SPECIALS)].sum()

    rows = tuple((piece, f"{chance:.1%}") for piece, chance in told.guesses[0])
    return ExplanationTarget(
        task.answer(example, told).to_dict(),
        tokens,
        entry_of(model),
        {"encoder": tokens},
        copies,
        score,
        f"the log-probability of '{best}' for the first [MASK]",
        tuple(attention_maps(weights, tokens, slice(None))),
        (Table("Pieces for the first [MASK]", ("piece", "probability"), rows), *attention_table(weights)),
    )
