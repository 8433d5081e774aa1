"""Which columns of a file are turns and speakers, and whether a row is a turn or a conversation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.base.normal import name_of
from recurra.tasks.columns import column_names, named
from recurra.tasks.contract import Suggestion
from recurra.tasks.dialogue.turns import SPEAKER_KEYS

# Names that people give to these columns; the first that is there wins.
TURNS_NAMES = ("messages", "turns", "conversation", "conversations", "dialogue", "dialog", "utterances", "history")
ID_NAMES = (
    *(
        "conversation",
        "conversation_id",
        "dialogue_id",
        "dialog_id",
        "conv_id",
        "conversationid",
        "thread",
        "thread_id",
    ),
    *("session", "session_id", "chat_id", "dialogue", "dialog", "id"),
)
TEXT_NAMES = ("text", "utterance", "message", "content", "turn", "line", "body")
SPEAKER_NAMES = ("speaker", "speaker_id", "role", "author", "sender", "user", "from", "name")
TIME_NAMES = ("turn", "turn_id", "turn_number", "time", "timestamp", "date", "position", "index", "order", "line")
SAID_NAMES = ("question", "context", "prompt", "source", "input", "query", "post", "instruction")
REPLY_NAMES = ("answer", "reply", "response", "target", "output", "completion")
# Between the turns of one cell, in sets that people share.
SEPARATORS = ("__eou__", "<eou>", "</s>", "<turn>", "|||")


def suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError for columns that cannot be told."""
    names = list(rows[0].fields)
    lists = [name for name in names if all(isinstance(row.fields.get(name), list) for row in rows)]
    if (turns := named(TURNS_NAMES, lists) or (lists[0] if len(lists) == 1 else None)) is not None:
        return _of_lists(turns, named(ID_NAMES, [name for name in names if name != turns]), rows)
    for name in names:
        if found := _separator(rows, name):
            return Suggestion(
                {"turns": name, "separator": found}, said=(f"turns: column '{name}', parted by {found}.",)
            )
    names = column_names(rows, file, "a conversation's name and what is said, or a text and its reply")
    conversation, text = named(ID_NAMES, names), named(TEXT_NAMES, names)
    if conversation is not None and text is not None and _repeats(rows, conversation):
        return _of_rows(rows, names, conversation, text)
    both = named(SAID_NAMES, names), named(REPLY_NAMES, names)
    if None not in both:
        said, reply = both
        return Suggestion(
            {"turns": [said, reply], "context": 1},
            said=(f"turns: columns '{said}' and '{reply}', by their names: two in each row.",),
        )
    raise ConfigError(
        f"{file}: no column holds lists of turns, and no two are called as what is said and its reply. Columns: "
        f"{', '.join(names)}. Name them with --set task.turns=COLUMN, or --set task.turns=[SAID, REPLY]; where a row "
        "is one turn, with --set data.layout.name=long --set data.layout.id=CONVERSATION too."
    )


def _of_lists(turns: str, conversation: str | None, rows: Sequence[Record]) -> Suggestion:
    speakers: Counter[str] = Counter()
    for row in rows:
        for one in row.fields[turns]:
            if isinstance(one, Mapping):
                speakers.update(str(one[key]) for key in SPEAKER_KEYS[:1] if key in one)
    options: dict[str, Any] = {"turns": turns}
    said = [f"turns: column '{turns}', a list in each row."]
    if conversation is not None and len({str(row.fields.get(conversation)) for row in rows}) == len(rows):
        options["conversation"] = conversation
        said.append(f"conversation: column '{conversation}', by its name.")
    if "assistant" in speakers:
        options["replies_of"] = "assistant"
        said.append("replies_of: assistant, as the messages have that role.")
    return Suggestion(options, said=tuple(said))


def _of_rows(rows: Sequence[Record], names: Sequence[str], conversation: str, text: str) -> Suggestion:
    """A row a turn: a layout makes conversations of them."""
    rest = [name for name in names if name not in (conversation, text)]
    speaker = named(SPEAKER_NAMES, rest)
    time = named(TIME_NAMES, [name for name in rest if name != speaker])
    options: dict[str, Any] = {"turns": text, "conversation": conversation}
    said = [f"turns: column '{text}', a turn in each row; rows with the same '{conversation}' are one conversation."]
    if speaker is not None:
        options["speaker"] = speaker
        said.append(f"speaker: column '{speaker}', by its name.")
    layout = {"name": "long", "id": conversation, **({} if time is None else {"time": time})}
    said.append(f"layout: long, {'in the order of the file' if time is None else f'in the order of {time!r}'}.")
    return Suggestion(options, {"layout": layout}, tuple(said))


def _separator(rows: Sequence[Record], name: str) -> str:
    """What parts the turns of a column; "" for a column of single texts."""
    texts = [value for row in rows if isinstance(value := row.fields.get(name), str)]
    return next((mark for mark in SEPARATORS if texts and all(mark in text for text in texts)), "")


def _repeats(rows: Sequence[Record], name: str) -> bool:
    """Whether rows share their values of a column."""
    return len({name_of(str(row.fields.get(name))) for row in rows}) < len(rows)
