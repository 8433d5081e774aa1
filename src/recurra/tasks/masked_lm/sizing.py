"""What `init` chooses for a masked language model: what is read together, and what depends on how much there is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recurra.base.contracts import Record
from recurra.data.formats import resolved_format
from recurra.tasks.contract import Suggestion
from recurra.tasks.sizing import Choice, Options, Seen, mean_length

# Pieces of a word, about, with a vocabulary of 30,000.
PIECES_PER_WORD = 1.3
# Pieces at most: from how many words of text on; fewer words see too little of each piece.
VOCABULARIES = ((5_000_000, 30_000), (1_000_000, 16_000), (200_000, 8_000), (0, 4_000))
# Layers, width and heads: from how many pieces of text on. BERT-Mini is the second (google-research/bert, README).
SIZES = ((100_000_000, 6, 384, 6), (5_000_000, 4, 256, 4), (500_000, 3, 192, 3), (0, 2, 128, 2))
# Pieces that training reads in all its epochs: of the smaller networks about half an hour of one core.
READ = 40_000_000
# Times that a text is read without learning it by heart.
SELDOM = 10


def suggested(rows: Sequence[Record], file: Path, text: str, why: str) -> Suggestion:
    """Options of the task and the data for a file whose texts are in column `text`."""
    plain = resolved_format(file) in ("text", "texts")
    document = "file" if plain else "row"
    said = (
        f"text: column '{text}', {why}.",
        f"document: {document}, as {'its lines are one text' if plain else 'each row is a text'}.",
    )
    data = {
        "split": {"name": "ordered", "dev": 0.02, "test": 0.0}
        if plain
        else {"name": "random", "dev": 0.02, "test": 0.0}
    }
    return Suggestion({"text": text, "document": document}, data, said)


def _encoder(epochs: int) -> list[Choice]:
    """Norms in front and distances in attention: with BERT's layers a small network stays at the share of each piece
    for thousands of steps (docs/results.md, "Pre-training on own texts"). Dropout where a text is read often."""
    dropout = 0.0 if epochs <= SELDOM else 0.1
    return [
        Choice("model.encoder.name", "transformer", "leaves the share of each piece behind sooner than BERT's layers"),
        Choice("model.encoder.positions", "rotary"),
        Choice("model.encoder.dropout", dropout, f"the text is read {epochs} times"),
        Choice("model.inputs.embedding_dropout", dropout),
        Choice("training.optimizer", {"name": "adamw", "lr": 0.002}, "norms in front allow a larger rate"),
    ]


def sized(options: Options, seen: Seen) -> list[Choice]:
    """The choices, as `ChoosesBySize` has them."""
    words = max(seen.number * mean_length(seen.rows, options["text"], characters=False), 1)
    pieces = words * PIECES_PER_WORD
    about = f"about {float(f'{words:.2g}'):,.0f} words"
    vocabulary = next(size for least, size in VOCABULARIES if words >= least)
    layers, width, heads = next(size for least, *size in SIZES if pieces >= least)
    epochs = round(min(max(READ / pieces, 3), 200))
    return [
        *([] if options.get("next_sentence") else _encoder(epochs)),
        Choice("task.tokenizer", {"name": "wordpiece", "vocab_size": vocabulary}, f"{about}: each piece is seen often"),
        Choice("model.inputs.embedding_size", width, "as model.encoder.hidden_size"),
        Choice("model.encoder.hidden_size", width, f"{about}"),
        Choice("model.encoder.num_layers", layers, f"{about}"),
        Choice("model.encoder.num_heads", heads, "heads of 64 numbers"),
        Choice("training.epochs", epochs, f"{about}: a small text is read more often"),
        Choice("training.batch_rows", 64, "batches have training.batch_tokens pieces at most"),
    ]
