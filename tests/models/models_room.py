"""Models of the built-in tasks from options alone: each option goes to the components that have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra.config import options_of
from recurra.models import DECODERS, ENCODERS, HEADS, INPUTS, EncoderDecoder, SequenceModel

REGISTRIES: Mapping[str, Mapping[str, Any]] = {
    "inputs": INPUTS, "encoder": ENCODERS, "head": HEADS, "decoder": DECODERS,
}  # fmt: skip
# Options of a decoder that its encoder has too, as these functions take them.
OF_DECODER = {
    "decoder_cell": "cell", "decoder_size": "hidden_size", "decoder_layers": "num_layers",
    "decoder_proj_size": "proj_size",
}  # fmt: skip


def parts(words: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The sections of components. Raises TypeError for an option that none of them has."""
    known = {part: {o.name for o in options_of(REGISTRIES[part][word])} for part, word in words.items()}
    for name in options:
        if not any(name in names for names in known.values()):
            raise TypeError(f"unknown option {name}")
    return {
        part: {"name": word, **{k: v for k, v in options.items() if k in known[part]}} for part, word in words.items()
    }


def classifier(num_tokens: int, num_labels: int, **options: Any) -> SequenceModel:
    """Bidirectional by default, as the task has it."""
    made = parts({"inputs": "tokens", "encoder": "recurrent", "head": "label"}, {"bidirectional": True, **options})
    return SequenceModel({"tokens": num_tokens, "labels": num_labels}, **made)


def tagger(
    num_words: int,
    num_characters: int,
    num_labels: int,
    num_patterns: int | None = None,
    *,
    dictionary: int = 0,
    **options: Any,
) -> SequenceModel:
    """Bidirectional by default, as the task has it; by default as many patterns as characters.

    dictionary: numbers of a word
    """
    words = {"inputs": "words_and_characters", "encoder": "recurrent", "head": "tags"}
    sizes = {"words": num_words, "characters": num_characters, "labels": num_labels}
    sizes |= {"patterns": num_patterns or num_characters, **({"dictionary": dictionary} if dictionary else {})}
    return SequenceModel(sizes, **parts(words, {"bidirectional": True, **options}))


def language_model(num_tokens: int, *, locked_dropout: bool = False, **options: Any) -> SequenceModel:
    """The last layer is as wide as the embedding where weights are tied, or where a projection makes it so."""
    own_width = options.get("tied") is False and not options.get("proj_size")
    made = parts(
        {"inputs": "tokens", "encoder": "awd", "head": "vocabulary"},
        {"embedding_size": 200, **({"last_layer": "hidden_size"} if own_width else {}), **options},
    )
    if locked_dropout:
        for part, name in (("inputs", "embedding_dropout"), ("encoder", "dropout"), ("head", "output_dropout")):
            made[part]["locked_dropout"] = bool(options.get(name))
    return SequenceModel({"tokens": num_tokens}, **made)


def chords(num_notes: int, **options: Any) -> SequenceModel:
    made = parts({"inputs": "vectors", "encoder": "recurrent", "head": "notes"}, {"hidden_size": 150, **options})
    return SequenceModel({"features": num_notes}, **made)


def seq2seq(num_source: int, num_target: int, **options: Any) -> EncoderDecoder:
    """Options that both sides have go to both, but for decoder_cell and its like, and dropout of a single layer."""
    words = {"inputs": "tokens", "encoder": "recurrent", "decoder": "recurrent"}
    own = {OF_DECODER[name]: options.pop(name) for name in list(options) if name in OF_DECODER}
    renamed = {"reverse_source": "reverse"}
    options = {renamed.get(name, name): value for name, value in options.items()}
    made = parts(words, {"embedding_size": 128, "bidirectional": True, **options})
    for name in OF_DECODER.values():
        made["decoder"].pop(name, None)
    made["decoder"] |= own
    layers = options.get("num_layers", 1)
    for part, number in (("encoder", layers), ("decoder", own.get("num_layers") or layers)):
        if number == 1:
            made[part].pop("dropout", None)
    return EncoderDecoder({"tokens": num_source, "target": num_target}, **made)
