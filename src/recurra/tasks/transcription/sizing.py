"""What `init` chooses for a transcription by the size of its data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recurra.config import build
from recurra.data.spectra import SPECTRA
from recurra.tasks.columns import values
from recurra.tasks.sizing import AGAINST_OVERFITTING, Choice, Options, Seen, training, units
from recurra.tasks.transcription.lexicon import by_lexicon
from recurra.tasks.transcription.notes import FEWEST
from recurra.tasks.transcription.reading import frames_in
from recurra.tasks.transcription.rows import read_recording

# Share of the blank with which few recordings begin, and why (docs/results.md, "Speech").
BLANK = 0.95
BEGINNING = "or few recordings may teach the number of words alone"
WAITS = "most steps say nothing, and training need not find that out"
# How often a word is said, on average, from where on it is a unit of its own.
OFTEN = 30
# Noise that few recordings get, in decibels below the speech and in stretches, and the rows that are read in all epochs
# together, as each has another noise then.
NOISE, STRETCHES, READ = 8, 2, 2400
COMES_AND_GOES = "few recordings have few kinds of noise: a new one might be heard as a word"
# Epochs otherwise, and of few recordings at most.
EPOCHS, MOST_EPOCHS = 40, 80
# Frames that are read as one step unless letters come faster, and recordings whose lengths are looked at.
STACK, LOOKED = 3, 200


def sized(options: Options, seen: Seen) -> list[Choice]:
    """Options of the task, the model and the training, each with its reason."""
    if options.get("lexicon") is None:
        return _sized(options, seen, _whole_words(options, seen) or _steps_for(options, seen, len, "letter"))
    found, length = by_lexicon(options, seen)
    return _sized(options, seen, [*found, *_steps_for(options, seen, length, "unit")])


def _sized(options: Options, seen: Seen, units_of_text: Sequence[Choice]) -> list[Choice]:
    few = seen.number < 200
    batch = 4 if few else 8 if seen.number < 2000 else 16
    return [
        *units_of_text,
        *(_noise(options) if few else []),
        Choice("task.time_masks", 2, AGAINST_OVERFITTING),
        Choice("task.band_masks", 2, AGAINST_OVERFITTING),
        Choice("model.encoder.num_layers", 2 if few else 3),
        units(seen, 64 if few else 256, few=few),
        Choice("model.encoder.dropout", 0.2, AGAINST_OVERFITTING),
        *_head(seen.head, few=few),
        *training(seen, batch=batch, epochs=_epochs(options, seen) if few else EPOCHS),
        *([Choice("training.select", "unit_nats", "error rates of a few sentences move in steps")] if few else []),
    ]


def _noise(options: Options) -> list[Choice]:
    """Noise that comes and goes, where recordings are sounds."""
    if options.get("sound") is None:
        return []
    return [Choice("task.noise_db", NOISE, COMES_AND_GOES), Choice("task.noise_stretches", STRETCHES)]


def _epochs(options: Options, seen: Seen) -> int:
    """More where recordings are fewer, and each epoch has another noise."""
    if options.get("sound") is None:
        return EPOCHS
    return min(max(READ // max(seen.number, 1), EPOCHS), MOST_EPOCHS)


def _head(head: str, *, few: bool) -> list[Choice]:
    """Of the head that was asked for, as wide as the encoder is; a head that is not CTC begins on the blank always."""
    units, small = (64, 32) if few else (256, 64)
    share = Choice("model.head.blank_share", BLANK if few else 0.9, BEGINNING if few else WAITS)
    dropout = Choice("model.head.output_dropout", 0.2, AGAINST_OVERFITTING)
    if head == "transducer":
        sizes = {"hidden_size": units // 2, "embedding_size": small, "joint_size": units}
        widths = [Choice(f"model.head.{name}", size) for name, size in sizes.items()]
        return [*widths, Choice("model.head.embedding_dropout", 0.2, AGAINST_OVERFITTING), dropout, share]
    if head == "attention":
        decoder = {"name": "recurrent", "hidden_size": units, "num_layers": 1, "embedding_size": small}
        decoder |= {"embedding_dropout": 0.2, "output_dropout": 0.2}
        why = "few texts: attention alone does not find its way" if few else "attention finds its way by CTC"
        return [Choice("model.head.decoder", decoder), Choice("model.head.ctc", 0.5, why), dropout, share]
    return [share] if few else []


def _whole_words(options: Options, seen: Seen) -> list[Choice]:
    """Words as units, where there are few of them and each is said often: commands and digits."""
    said = [word for text in values(seen.rows, str(options["text"])) for word in text.split()]
    if not said or len(said) < OFTEN * len(set(said)):
        return []
    why = f"{len(set(said)):,} words, each said {len(said) / len(set(said)):,.0f} times: no others can be heard"
    return [Choice("task.tokenizer", {"name": "spaces"}, why)]


def _steps_for(options: Options, seen: Seen, length: Callable[[str], int], what: str) -> list[Choice]:
    """Fewer frames in a step where steps would be too few for what is said. length: of a text, in letters, or units"""
    if not (name := options.get("audio")):
        return []
    sound = options.get("sound")
    spectrum = None if sound is None else build(sound, SPECTRA)
    rows = seen.rows[:LOOKED]
    frames = sum(frames_in(read_recording(row, str(name), spectrum, None, blank=True), spectrum) for row in rows)
    each = frames / max(sum(map(length, values(rows, str(options["text"])))), 1)
    stack = min(max(int(each / FEWEST), 1), STACK)
    why = f"{each:.1f} frames for each {what} that is said, and CTC wants {FEWEST:g} steps"
    return [Choice("task.stack", stack, why)] if stack < STACK else []
