"""Options of the tasks that read conversations, stated once; defaults are the tasks' own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from recurra.base.option import OneOf, Opt
from recurra.config import Section
from recurra.data.tokenizers import TOKENIZERS
from recurra.tasks.dialogue.turns import TurnColumns

Component = Section | Mapping[str, Any] | str

Turns = Annotated[
    str | tuple[str, ...],
    Opt("column with turns: lists of texts or messages, or a text a row with data.layout: long; or several columns",
        named=True),
]  # fmt: skip
Speaker = Annotated[
    str | None, Opt("column with who says each turn; null: turns alternate, or messages say it", named=True)
]
ConversationColumn = Annotated[
    str | None,
    Opt("column that names a conversation: those of one name stay in one split; null: equal ones do", named=True),
]
Separator = Annotated[str | None, Opt("between the turns of one cell, such as __eou__; a JSON list needs none")]
RepliesOf = Annotated[str | None, Opt("the speaker whose replies are learned; null: those of all")]
Context = Annotated[int, Opt("turns that are read before a reply, the last ones", ge=1, le=1000)]
MaxContextTokens = Annotated[
    int | None, Opt("tokens of the context that are read, the last ones; null is no limit", ge=1)
]
MaxTurns = Annotated[int, Opt("a conversation of more turns is refused", ge=2, le=1_000_000)]
TokenizerOption = Annotated[Component, OneOf("tokenizer of all turns", TOKENIZERS)]
MinCount = Annotated[int, Opt("rarer tokens are read as unknown", ge=1)]
MaxVocabulary = Annotated[int | None, Opt("entries of the vocabulary, 4 of them special; null is no limit", ge=5)]
Refuse = Annotated[
    float,
    Opt("share of dev's contexts that would get no reply, as nothing near was learned; 0: all get one", ge=0, lt=1),
]
Refusal = Annotated[str, Opt("what is said then, in a chat")]
REFUSAL = "I have learned nothing near that."


def problems_of(plan: Any) -> list[str]:
    """A sentence for each of these options that cannot take effect."""
    problems = []
    names = (plan.turns,) if isinstance(plan.turns, str) else plan.turns
    if len(set(names)) < len(names) or not names:
        problems.append(f"turns: expected a column, or different ones, got {list(names)}.")
    for option in ("speaker", "conversation"):
        if (column := getattr(plan, option)) is not None and column in names:
            problems.append(f"{option}: is '{column}', a column of turns too; expected another column.")
    if plan.speaker is not None and plan.speaker == plan.conversation:
        problems.append(f"conversation: is '{plan.conversation}', the column of speaker too; expected another one.")
    if len(names) > 1:
        problems += [
            f"{option}: has no effect where each turn has a column; leave it out."
            for option in ("speaker", "separator", "replies_of")
            if getattr(plan, option) is not None
        ]
    if plan.separator is not None and not plan.separator.strip():
        problems.append("separator: is blank, which stands between words too; expected a text such as __eou__.")
    if not plan.refusal.strip():
        problems.append("refusal: is blank, expected a sentence; refuse: 0 gives every context a reply.")
    if plan.refuse == 0 and plan.refusal != REFUSAL:
        problems.append("refusal: has no effect with refuse: 0, which gives every context a reply; leave it out.")
    return problems


def columns_of(plan: Any) -> TurnColumns:
    """Which column is which."""
    names = (plan.turns,) if isinstance(plan.turns, str) else plan.turns
    source = getattr(plan, "source", None)
    return TurnColumns(names, plan.speaker, plan.separator, plan.conversation, plan.max_turns, source)
