"""A model that begins with what a language model has learned: its vectors of tokens and its recurrent layers.

Source: Howard & Ruder 2018, arXiv:1801.06146 (ULMFiT): section 3.2 for rates that fall from layer to layer, section 3.3
for layers that are let go one after the other, from the top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from recurra.api.folder import Run
from recurra.base.errors import ConfigError
from recurra.data.tokenizers import UNK, Vocabulary
from recurra.data.tokenizers.vocabulary import SPECIALS
from recurra.models import LanguageModel
from recurra.nn import Embedding, FullSoftmax, Recurrent
from recurra.tasks import Classification, LanguageModelling, Tagging, Task

Layer = Mapping[str, Parameter]


def load_pretrained(run: Run, model: nn.Module, task: Task, layers: int | None = None) -> str:
    """Put the vectors and layers of a language model into `model`, in place; a sentence on what was taken.

    Its backward layer, if it has one, is where the second direction of a bidirectional layer begins.

    layers: how many recurrent layers, from below; None for all of the model's
    The vector of a token that the language model does not know is the mean of those that it knows. A language model
    that takes all layers takes the output layer too.
    Raises ConfigError, with what to set, where the two do not fit.
    """
    where = f"training.init_from: {run.folder.path}"
    source, theirs = run.model, run.task
    if not isinstance(source, LanguageModel) or not isinstance(theirs, LanguageModelling):
        raise ConfigError(f"{where}: is a run of task {run.settings.tree['task']['name']}, expected language_model.")
    words = _vocabulary(task)
    embedding = getattr(model, "embedding", None)
    if words is None or not isinstance(embedding, Embedding):
        raise ConfigError(
            f"{where}: only a classifier, a tagger or a language model that has an embedding can begin with one."
        )
    if layers is not None and layers > len(layers_of(model)):
        raise ConfigError(
            f"training.init_layers: is {layers}, and this model has {len(layers_of(model))} recurrent layers; expected "
            "at most that."
        )
    taken = layers_of(model)[:layers]
    _refuse_other_shapes(where, run, model, taken)
    numbers = torch.tensor(theirs.reader.vocabulary.ids(words.tokens(range(len(words)))), dtype=torch.int64)
    numbers[: len(SPECIALS)] = torch.arange(len(SPECIALS))
    known = int((numbers[len(SPECIALS) :] != UNK).sum())
    if not known:
        raise ConfigError(
            f"{where}: knows none of the {len(words) - len(SPECIALS):,} tokens; expected the same task.tokenizer, "
            f"{theirs.reader.tokenizer.to_json()['name']}."
        )
    with torch.no_grad():
        embedding.weight.copy_(_by_token(source.embedding.weight, numbers))
        for ours, other in zip(taken, layers_of(source), strict=False):
            for name, parameter in ours.items():
                parameter.copy_(other[name])
        if isinstance(model, LanguageModel) and len(taken) == len(layers_of(model)):
            _take_output(where, model, source, numbers)
    return (
        f"{where}: {known:,} of {len(words) - len(SPECIALS):,} tokens have their vectors from there, and "
        f"{len(taken)} recurrent layers their weights."
    )


def layers_of(model: nn.Module) -> list[Layer]:
    """The parameters of each recurrent layer of a network, from below, by their names without the layer's number."""
    if not isinstance(model, LanguageModel):
        layers = getattr(model, "recurrent", None)
        return _by_layer(layers) if isinstance(layers, Recurrent) else []
    found = [one for layer in model.layers if isinstance(layer, Recurrent) for one in _by_layer(layer)]
    if model.backward_layer is None:
        return found
    behind = {f"{name} reverse": p for name, p in _by_layer(model.backward_layer)[0].items()}
    return [{**found[0], **behind}]


def groups_of(model: nn.Module) -> list[list[Parameter]]:
    """All parameters from the top of a network: what stands above the recurrent layers, these, and the embedding."""
    middle = [list(layer.values()) for layer in reversed(layers_of(model))]
    bottom = [p for part in ("embedding", "characters") if (m := getattr(model, part, None)) for p in m.parameters()]
    below = {id(p) for group in [*middle, bottom] for p in group}
    top = [p for p in model.parameters() if id(p) not in below]
    return [group for group in (top, *middle, bottom) if group]


def _by_layer(layer: Recurrent) -> list[Layer]:
    found: list[dict[str, Parameter]] = [{} for _ in range(layer.num_layers)]
    for name, parameter in layer.named_parameters():
        stem, _, place = name.rpartition("_l")
        number, _, direction = place.partition("_")
        found[int(number)][f"{stem} {direction}".strip()] = parameter
    return list(found)


def _refuse_other_shapes(where: str, run: Run, model: nn.Module, ours: Sequence[Layer]) -> None:
    source = run.model
    assert isinstance(source, LanguageModel)
    theirs = layers_of(source)
    pairs = zip(map(_shapes, ours), map(_shapes, theirs), strict=False)
    same = len(ours) <= len(theirs) and all(a.items() <= b.items() for a, b in pairs)
    if same and _width(model) == _width(source):
        return
    if not ours:
        raise ConfigError(f"{where}: set model.embedding_size: {_width(source)}, the size of its vectors.")
    tree, last = run.settings.tree["model"], source.layers[len(source.layers) - 1]
    assert isinstance(last, Recurrent)
    widths = {int(tree["hidden_size"]), int(last.hidden_size)} if len(theirs) > 1 else {int(last.hidden_size)}
    if len(widths) > 1 and not isinstance(model, LanguageModel):
        raise ConfigError(
            f"{where}: its layers have {tree['hidden_size']} and {last.hidden_size} units, and a "
            f"{type(model).__name__.lower()} has layers of one size. Train a language model with hidden_size equal to "
            "embedding_size, or with tied: false."
        )
    wanted = {"cell": tree["cell"], "embedding_size": tree["embedding_size"], "hidden_size": tree["hidden_size"]}
    one_way = ", bidirectional: false" if source.backward_layer is None else ""
    kinds = "" if isinstance(model, LanguageModel) else f"{one_way} and, of a tagger, characters: none"
    raise ConfigError(
        f"{where}: its layers have other shapes than this model's. Set under model: "
        f"{', '.join(f'{name}: {value}' for name, value in wanted.items())}, num_layers: at most {len(theirs)}{kinds}. "
        "Or take the vectors alone, with training.init_layers: 0."
    )


def _shapes(layer: Layer) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in layer.items()}


def _width(model: nn.Module) -> int:
    embedding: Any = model.embedding
    return int(embedding.weight.shape[1])


def _by_token(rows: Tensor, numbers: Tensor) -> Tensor:
    """The row of each token, and the mean of the ordinary ones for a token that is not known."""
    taken = rows[numbers].clone()
    unknown = numbers == UNK
    unknown[: len(SPECIALS)] = False
    taken[unknown] = rows[len(SPECIALS) :].mean(0)
    return taken


def _take_output(where: str, model: LanguageModel, source: LanguageModel, numbers: Tensor) -> None:
    ours, theirs = model.output, source.output
    if not isinstance(ours, FullSoftmax) or not isinstance(theirs, FullSoftmax):
        raise ConfigError(f"{where}: an adaptive softmax cannot be taken over; set model.softmax: full for both.")
    tied = [m.output.weight is m.embedding.weight for m in (model, source)]
    if tied[0] != tied[1]:
        raise ConfigError(f"{where}: has tied: {str(tied[1]).lower()}; set model.tied to the same.")
    if not tied[0]:
        ours.weight.copy_(_by_token(theirs.weight, numbers))
    ours.bias.copy_(_by_token(theirs.bias.unsqueeze(1), numbers).squeeze(1))


def _vocabulary(task: Task) -> Vocabulary | None:
    """The tokens that the rows of a network's embedding stand for."""
    if isinstance(task, Classification | LanguageModelling):
        return task.reader.vocabulary
    return task.reader.words if isinstance(task, Tagging) else None


def freeze_below(groups: Sequence[Sequence[Parameter]], epoch: int) -> None:
    """Only the first `epoch` groups learn: the top one in epoch 1, all of them in the end."""
    for number, group in enumerate(groups):
        for parameter in group:
            parameter.requires_grad_(number < epoch)
