"""A model that begins with what a language model has learned: its vectors of tokens and its recurrent layers.

Source: Howard & Ruder 2018, arXiv:1801.06146 (ULMFiT): section 3.2 for rates that fall from layer to layer, section 3.3
for layers that are let go one after the other, from the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from recurra.api.encoder_beginning import take_encoder
from recurra.api.folder import OpenRun
from recurra.base.errors import ConfigError
from recurra.data.tokenizers import UNK, Vocabulary
from recurra.data.tokenizers.vocabulary import SPECIALS
from recurra.models import DecoderOnly, SequenceModel, TextAutoencoder
from recurra.models.autoencoder import Autoencoder
from recurra.models.contract import BeginsWith, Layer
from recurra.models.heads import MaskedHead, VocabularyHead
from recurra.models.inputs import Characters
from recurra.nn import FullSoftmax
from recurra.tasks import Embeds, ReadsLetters, ReadsPieces, Task


def load_pretrained(run: OpenRun, model: nn.Module, task: Task, layers: int | None = None) -> str:
    """Put the vectors and layers of a language model into `model`, in place; a sentence on what was taken.

    Its backward layer, if it has one, is where the second direction of a bidirectional layer begins.

    layers: how many recurrent layers, from below; None for all of the model's
    The vector of a token that the language model does not know is the mean of those that it knows. A language model
    that takes all layers takes the output layer too.
    Raises ConfigError, with what to set, where the two do not fit.
    """
    where = f"training.init_from: {run.folder.path}"
    source, theirs = run.model, run.task
    model = _of_texts(model)
    if isinstance(source, Autoencoder):
        return take_encoder(where, source, theirs, model, task, layers)
    if isinstance(source, SequenceModel) and isinstance(source.head, MaskedHead):
        return _take_masked(where, source, theirs, model, task, layers)
    if isinstance(source, SequenceModel) and isinstance(source.inputs, Characters) and _tells(source):
        return _take_letters(where, run, source, model, task, layers)
    if not (_tells_tokens(source) or _writes_again(source)) or not isinstance(theirs, Embeds):
        name = run.settings.tree["task"]["name"]
        raise ConfigError(
            f"{where}: is a run of task {name}, expected a model that tells the next token, or a text autoencoder."
        )
    table = model.inputs.table if isinstance(model, SequenceModel) else None
    if not isinstance(model, SequenceModel) or table is None or not isinstance(task, Embeds):
        raise ConfigError(
            f"{where}: only a model of inputs, an encoder and a head whose inputs have a table of vectors can "
            "begin with another one's."
        )
    ours = model.encoder.layers()
    if layers is not None and layers > len(ours):
        raise ConfigError(
            f"training.init_layers: is {layers}, and this model has {len(ours)} recurrent layers; expected at "
            "most that."
        )
    taken, words, known_words = ours[:layers], task.vocabulary, theirs.vocabulary
    _refuse_other_shapes(where, run, model, taken)
    numbers = _numbers_there(words, known_words)
    known = int((numbers[len(SPECIALS) :] != UNK).sum())
    if not known:
        raise ConfigError(
            f"{where}: knows none of the {len(words) - len(SPECIALS):,} tokens, such as {_some(words)}; its own are "
            f"such as {_some(known_words)}. Cut the texts of both into tokens in the same way."
        )
    with torch.no_grad():
        table.copy_(_by_token(_table(source), numbers))
        for mine, other in zip(taken, source.encoder.layers(), strict=False):
            for name, parameter in mine.items():
                parameter.copy_(other[name])
        if _tells_tokens(model) and isinstance(source, SequenceModel) and len(taken) == len(ours):
            _take_output(where, model, source, numbers)
    kept = "only the encoder is kept: " * _writes_again(source)
    return (
        f"{where}: {kept}{known:,} of {len(words) - len(SPECIALS):,} tokens have their vectors from there, and "
        f"{len(taken)} recurrent layers their weights."
    )


def _take_masked(
    where: str, source: SequenceModel, theirs: Task, model: nn.Module, task: Task, layers: int | None
) -> str:
    """Inputs and layers of a masked language model, in place; its head too where this model has one, and all layers."""
    said = f"{where}: is a run of masked_lm"
    if not isinstance(model, SequenceModel):
        raise ConfigError(f"{said}, expected here a model of inputs, an encoder and a head too.")
    pieces = [one.pieces if isinstance(one, ReadsPieces) else None for one in (task, theirs)]
    if pieces[0] is None or pieces[1] is None or pieces[0].vocabulary.digest != pieces[1].vocabulary.digest:
        raise ConfigError(
            f"{said}, and its pieces are others than those of this task; leave task.tokenizer (or task.pieces) out, "
            "and they are taken over."
        )
    ours = model.encoder.layers()
    if layers is not None and layers > len(ours):
        raise ConfigError(f"training.init_layers: is {layers}, and this model has {len(ours)}; expected at most that.")
    pairs: list[tuple[Layer, Layer]]
    pairs = [(dict(model.inputs.named_parameters()), dict(source.inputs.named_parameters()))]
    ours = ours[: getattr(model.encoder, "kept_layers", None)]
    pairs += [(dict(a), dict(b)) for a, b in zip(ours[:layers], source.encoder.layers(), strict=False)]
    if len(ours[:layers]) > len(source.encoder.layers()) or any(_shapes(a) != _shapes(b) for a, b in pairs):
        raise ConfigError(
            f"{said}, and its inputs and layers have other shapes than this model's; leave model.inputs and "
            "model.encoder out, and they are made alike."
        )
    head = isinstance(model.head, MaskedHead) and len(ours[:layers]) == len(model.encoder.layers())
    pairs += [(dict(model.head.named_parameters()), dict(source.head.named_parameters()))] if head else []
    pooler = _poolers(model, source)
    pairs += pooler
    with torch.no_grad():
        for mine, other in pairs:
            for name in mine.keys() & other.keys():  # a head that tells pairs may begin with one that does not
                mine[name].copy_(other[name])
    more = f"{', its head among them' if head else ''}{', and the pooler' if pooler else ''}"
    return f"{where}: inputs and {len(ours[:layers])} layers have their weights from there{more}."


def _take_letters(
    where: str, run: OpenRun, source: SequenceModel, model: nn.Module, task: Task, layers: int | None
) -> str:
    """Inputs that read letters and layers of a language model, in place; the output layer too for one with all layers.

    The vector of a letter that it does not know is zero.
    """
    letters = [one.letters if isinstance(one, ReadsLetters) else None for one in (task, run.task)]
    if not isinstance(model, SequenceModel) or not isinstance(model.inputs, Characters) or None in letters:
        raise ConfigError(f"{where}: reads the letters of words; set model.inputs.name: characters here too.")
    ours = model.encoder.layers()
    if layers is not None and layers > len(ours):
        raise ConfigError(f"training.init_layers: is {layers}, and this model has {len(ours)}; expected at most that.")
    assert isinstance(source.inputs, Characters)
    mine, theirs = (dict(inputs.letters.named_parameters()) for inputs in (model.inputs, source.inputs))
    tables = mine.pop("embedding.weight"), theirs.pop("embedding.weight")
    alike = _shapes(mine) == _shapes(theirs) and tables[0].shape[1] == tables[1].shape[1]
    pairs = [
        (mine, theirs),
        *((dict(a), dict(b)) for a, b in zip(ours[:layers], source.encoder.layers(), strict=False)),
    ]
    fits = all(_shapes(a).items() <= _shapes(b).items() for a, b in pairs)
    if not alike or not fits or len(ours[:layers]) > len(source.encoder.layers()):
        raise ConfigError(f"{where}: {_advice_of_letters(run, source)}")
    here, there = letters
    assert here is not None
    assert there is not None
    numbers = _numbers_there(here, there)
    known = int((numbers[len(SPECIALS) :] != UNK).sum())
    with torch.no_grad():
        tables[0].copy_(torch.where((numbers == UNK).unsqueeze(1), 0.0, tables[1][numbers]))
        for one, other in pairs:
            for name, parameter in one.items():
                parameter.copy_(other[name])
        if _tells(model) and len(ours[:layers]) == len(ours):
            assert isinstance(task, Embeds)
            assert isinstance(run.task, Embeds)
            _take_output(where, model, source, _numbers_there(task.vocabulary, run.task.vocabulary))
    return (
        f"{where}: {known:,} of {len(here) - len(SPECIALS):,} letters are known there, and inputs and "
        f"{len(ours[:layers])} recurrent layers have their weights from there."
    )


def _advice_of_letters(run: OpenRun, source: SequenceModel) -> str:
    """What to set so that inputs and layers have the same shapes."""
    tree = run.settings.tree["model"]
    shown = {name: value for name, value in tree["inputs"].items() if "dropout" not in name}
    both = any("reverse" in name for name in source.encoder.layers()[0])
    encoder = {"name": "elmo"} if both else {}
    encoder |= {
        name: tree["encoder"][name] for name in ("cell", "hidden_size", "num_layers") if name in tree["encoder"]
    }
    told = [", ".join(f"{name}: {value}" for name, value in part.items()) for part in (shown, encoder)]
    return (
        "its inputs or layers have other shapes than this model's. Set under model.inputs: "
        f"{told[0]}, and under model.encoder: {told[1]}."
    )


def _numbers_there(ours: Vocabulary, theirs: Vocabulary) -> Tensor:
    """The number that each of our tokens has there; the special ones are the same."""
    numbers = torch.tensor(theirs.ids(ours.tokens(range(len(ours)))), dtype=torch.int64)
    numbers[: len(SPECIALS)] = torch.arange(len(SPECIALS))
    return numbers


def _poolers(model: SequenceModel, source: SequenceModel) -> list[tuple[Layer, Layer]]:
    """The poolers of both, where that of the source has learned: from pairs."""
    learned = isinstance(source.head, MaskedHead) and source.head.pair is not None
    ours, theirs = (getattr(one.encoder, "pooler", None) for one in (model, source))
    redrawn = getattr(model.encoder, "redrawn_layers", 0)
    if not learned or redrawn or not isinstance(ours, nn.Module) or not isinstance(theirs, nn.Module):
        return []
    return [(dict(ours.named_parameters()), dict(theirs.named_parameters()))]


def load_published(model: nn.Module) -> str:
    """Put the weights that an encoder begins with into the model, in place; a sentence, "" for none.

    Raises ConfigError or DataError for a folder that does not hold them.
    """
    if not isinstance(model, SequenceModel) or not isinstance(model.encoder, BeginsWith):
        return ""
    return model.encoder.begin(model.inputs, model.head)


def _some(vocabulary: Vocabulary) -> str:
    """Its first tokens, the most frequent ones."""
    return ", ".join(repr(token) for token in vocabulary.tokens(range(len(SPECIALS), len(vocabulary))[:3]))


def _tells_tokens(model: nn.Module) -> TypeGuard[SequenceModel]:
    """Whether its head tells the next token over the table of its inputs."""
    return _tells(model) and model.inputs.table is not None


def _writes_again(model: nn.Module) -> TypeGuard[TextAutoencoder]:
    """Whether it is a text autoencoder over a table of tokens, of which the encoder is kept (Dai & Le 2015)."""
    return isinstance(model, TextAutoencoder) and model.inputs.table is not None


def _tells(model: nn.Module) -> TypeGuard[SequenceModel]:
    return isinstance(model, SequenceModel) and isinstance(model.head, VocabularyHead)


def _table(model: SequenceModel | TextAutoencoder) -> Parameter:
    table = model.inputs.table
    assert isinstance(table, Parameter)
    return table


def _of_texts(model: nn.Module) -> nn.Module:
    """The network that reads texts, of a model that reads source and target as one."""
    return model.network if isinstance(model, DecoderOnly) else model


def groups_of(model: nn.Module) -> list[list[Parameter]]:
    """All parameters that learn, from the top of a network: what stands above its layers, these, and its inputs."""
    model = _of_texts(model)
    if not isinstance(model, SequenceModel):
        return [list(model.parameters())]
    middle = [list(layer.values()) for layer in reversed(model.encoder.layers())]
    bottom = list(model.inputs.parameters())
    below = {id(p) for group in [*middle, bottom] for p in group}
    top = [p for p in model.parameters() if id(p) not in below]
    learn = [[p for p in group if p.requires_grad] for group in (top, *middle, bottom)]
    return [group for group in learn if group]


def _refuse_other_shapes(where: str, run: OpenRun, model: SequenceModel, ours: Sequence[Layer]) -> None:
    source = run.model
    assert isinstance(source, SequenceModel | TextAutoencoder)
    theirs, width = source.encoder.layers(), _table(source).shape[1]
    pairs = zip(map(_shapes, ours), map(_shapes, theirs), strict=False)
    same = len(ours) <= len(theirs) and all(a.items() <= b.items() for a, b in pairs)
    if same and _table(model).shape[1] == width:
        return
    if not ours:
        raise ConfigError(f"{where}: set model.inputs.embedding_size: {width}, the size of its vectors.")
    raise ConfigError(f"{where}: {_advice(run, source, model)}")


def _advice(run: OpenRun, source: SequenceModel | TextAutoencoder, model: SequenceModel) -> str:
    """What to set so that the layers have the same shapes."""
    tree, tells = run.settings.tree["model"], _tells_tokens(model)
    if not {"cell", "hidden_size"} <= tree["encoder"].keys():  # an encoder of a package
        return f"its encoder, {tree['encoder']['name']}, has other layers than this model's; use the same encoder."
    sizes = list(source.encoder.state_sizes().values())
    first, last, number = tree["encoder"]["hidden_size"], sizes[-1], len(source.encoder.layers())
    widths = {first, last} if number > 1 else {last}
    if len(widths) > 1 and not tells:
        return (
            f"its layers have {first} and {last} units, and this model has layers of one size. Train a language model "
            "with hidden_size equal to embedding_size, or with last_layer: hidden_size and tied: false."
        )
    wanted = {"cell": tree["encoder"]["cell"], "hidden_size": first if tells else last}
    one_way = not any("reverse" in name for name in source.encoder.layers()[0])
    more = "" if tells else f"{', bidirectional: false' * one_way} and, of a tagger, inputs: characters: none"
    if not one_way and number > 1:  # each direction has layers of its own
        wanted = {"name": "elmo", **wanted}
    return (
        "its layers have other shapes than this model's. Set model.inputs.embedding_size: "
        f"{_table(source).shape[1]}, and under model.encoder: "
        f"{', '.join(f'{name}: {value}' for name, value in wanted.items())}, num_layers: at most {number}{more}. "
        "Or take the vectors alone, with training.init_layers: 0."
    )


def _shapes(layer: Layer) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in layer.items()}


def _by_token(rows: Tensor, numbers: Tensor) -> Tensor:
    """The row of each token, and the mean of the ordinary ones for a token that is not known."""
    taken = rows[numbers].clone()
    unknown = numbers == UNK
    unknown[: len(SPECIALS)] = False
    taken[unknown] = rows[len(SPECIALS) :].mean(0)
    return taken


def _take_output(where: str, model: SequenceModel, source: SequenceModel, numbers: Tensor) -> None:
    ours, theirs = model.head.output, source.head.output
    if not isinstance(ours, FullSoftmax) or not isinstance(theirs, FullSoftmax):
        raise ConfigError(f"{where}: an adaptive softmax cannot be taken over; set model.head.softmax: full for both.")
    tied = [m.inputs.table is not None and m.head.output.weight is m.inputs.table for m in (model, source)]
    if tied[0] != tied[1]:
        raise ConfigError(f"{where}: has tied: {str(tied[1]).lower()}; set model.head.tied to the same.")
    if not tied[0]:
        ours.weight.copy_(_by_token(theirs.weight, numbers))
    ours.bias.copy_(_by_token(theirs.bias.unsqueeze(1), numbers).squeeze(1))


def freeze_below(groups: Sequence[Sequence[Parameter]], epoch: int) -> None:
    """Only the first `epoch` groups learn: the top one in epoch 1, all of them in the end."""
    for number, group in enumerate(groups):
        for parameter in group:
            parameter.requires_grad_(number < epoch)
