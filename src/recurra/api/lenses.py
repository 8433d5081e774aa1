"""What of each task can be looked into: the tokens of its steps, the answer that is explained, what else there is."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from recurra.base.contracts import Batch, Prediction, Table
from recurra.base.errors import ConfigError
from recurra.doctor.maps import in_pieces
from recurra.nn import Recurrent
from recurra.report import HeatMap

# Other tags of a word, and hypotheses of a translation, that are shown.
ALTERNATIVES, HYPOTHESES = 3, 5


@dataclass(frozen=True, slots=True)
class Lens:
    """One text, its answer, and what can be seen of them.

    answer:  as `predict` gives it      tokens: what is read, a token a step
    entry:   the layers that read them
    reads:   by the beginning of a layer's name, the tokens that it reads; other layers are not shown
    copies:  a batch of so many equal rows, with the answer where the score needs it
    score:   what is explained, summed over the rows; meaning: in words
    maps, tables, lines: what this task has besides; lines are for a terminal, and a page shows them as they are
    unit:    what a token is called      features: names of the numbers that a step reads, where these mean something
    """

    answer: dict[str, Any]
    tokens: tuple[str, ...]
    entry: torch.nn.Module
    reads: Mapping[str, tuple[str, ...]]
    copies: Callable[[int], Batch]
    score: Callable[[Prediction, Batch], Tensor]
    meaning: str
    maps: tuple[HeatMap, ...] = ()
    tables: tuple[Table, ...] = ()
    lines: tuple[str, ...] = ()
    unit: str = "token"
    features: tuple[str, ...] = ()


def classification(task: Any, model: torch.nn.Module, example: Any, device: torch.device) -> Lens:
    """The probability of the label that was said; of many labels, of the most probable one."""
    (output,) = _answers(task, model, [example], device)
    chances = dict(output.probabilities)
    label = max(chances, key=lambda name: chances[name])
    place, many = list(task.labels).index(label), hasattr(output, "labels")

    def score(prediction: Prediction, batch: Batch) -> Tensor:
        logits = prediction.outputs["logits"].double()
        return (logits.sigmoid() if many else logits.softmax(1))[:, place].sum()

    ranked = sorted(chances.items(), key=lambda pair: -pair[1])
    return Lens(
        task.answer(example, output),
        example.tokens,
        recurrent(model, "recurrent"),
        {"recurrent": example.tokens},
        lambda n: task.collate([replace(example, gold=None)] * n, range(n)).to(device),
        score,
        f"the probability of '{label}'",
        tables=(Table("Labels", ("label", "probability"), tuple((name, f"{p:.1%}") for name, p in ranked[:10])),),
    )


def translation(task: Any, model: torch.nn.Module, example: Any, device: torch.device) -> Lens:
    """The log-probability of the answer; attention, and the hypotheses of the beam as a tree."""
    from recurra.tasks.translation.losses import loss_of
    from recurra.tasks.translation.pairs import Wanted

    wide = task.with_options({"beam": max(task.search.beam, HYPOTHESES), "n_best": HYPOTHESES})
    (output,) = _answers(task, model, [example], device)
    (found,) = _answers(wide, model, [example], device)
    best = output.best
    known = replace(example, wanted=Wanted(best.text, (best.tokens,), None))
    with torch.no_grad():
        attends = "attention" in model(task.collate([known], [0]).to(device)).outputs
    maps: tuple[HeatMap, ...] = ()
    if attends:
        (looked,) = _answers(task.with_options({"attention": True, "beam": task.search.beam}), model, [example], device)
        said = (*looked.best.tokens, *(["<eos>"] if looked.best.ended else []))
        maps = tuple(
            in_pieces("Attention: what each token of the answer looked at", said, example.source, looked.attention)
        )
    leaves = [(one.tokens, math.exp(one.log_prob)) for one in found.candidates]
    reverse = bool(getattr(model.encoder, "reverse", False))
    return Lens(
        task.answer(example, output),
        example.source,
        recurrent(model, "encoder.recurrent"),
        {"encoder": example.source[::-1] if reverse else example.source, "decoder": ("<bos>", *best.tokens)},
        lambda n: task.collate([known] * n, range(n)).to(device),
        lambda prediction, batch: -loss_of(prediction, batch, 0.0).total,
        f"the log-probability of '{best.text}'",
        maps,
        lines=("Hypotheses that the beam kept, with their probabilities:", *tree(leaves)),
    )


def tagging(task: Any, model: torch.nn.Module, example: Any, device: torch.device) -> Lens:
    """The log-probability of the tags; for each word its other tags with their probabilities."""
    (output,) = _answers(task, model, [example], device)
    known = replace(example, tags=output.tags)
    batch = task.collate([example], [0]).to(device)
    with torch.no_grad():
        chances = task.chances(model(batch), batch)[:, 0]
    return Lens(
        task.answer(example, output),
        example.tokens,
        recurrent(model, "recurrent"),
        {"recurrent": example.tokens},
        lambda n: task.collate([known] * n, range(n)).to(device),
        lambda prediction, batch: -task.loss(prediction, batch).total,
        "the log-probability of the tags",
        tables=(_other_tags(example.tokens, chances, task.tagset.tags),),
    )


def language_model(task: Any, model: torch.nn.Module, example: Any, device: torch.device) -> Lens:
    """The log-probability of the last token; how surprising each token is."""
    from recurra.nn import softmax_nats

    (output,) = _answers(task, model, [example], device)
    document = example.document
    targets = (*(t.replace("\n", "⏎") for t in document.tokens), *(["<end>"] if document.closed else []))
    read = ("<start>", *targets[:-1])

    def last_token(prediction: Prediction, batch: Batch) -> Tensor:
        tokens = batch.targets["tokens"]
        steps = torch.arange(len(tokens), device=tokens.device).unsqueeze(1)
        real = steps == batch.lengths.to(tokens.device) - 1
        return -softmax_nats(prediction.outputs, tokens, real).sum()

    worst = max(max(output.nats), 1e-9)
    surprise = [[nats / worst for nats in output.nats]]
    rows = tuple(
        (token, f"{math.exp(-nats):.1%}", f"{nats:.2f}") for token, nats in zip(targets, output.nats, strict=True)
    )
    return Lens(
        task.answer(example, output),
        read,
        recurrent(model, "layers.0"),
        {"layers": read},
        lambda n: task.collate([example] * n, range(n)).to(device),
        last_token,
        f"the log-probability of the last token, '{targets[-1]}'",
        tuple(in_pieces(f"Nats of each token, beside the largest, {worst:.2f}", ["nats"], targets, surprise)),
        (Table("Tokens", ("token", "probability", "nats"), rows),),
    )


def music(task: Any, model: torch.nn.Module, example: Any, device: torch.device) -> Lens:
    """The log-probability of the last chord; which notes came and which were expected, and nats of each step."""
    from recurra.tasks.music.chords import note_name, written
    from recurra.tasks.music.rolls import expected, rolls

    (output,) = _answers(task, model, [example], device)
    chances = task.chances(model, example, device)
    names = [written([chord]) for chord in example.chords]
    numbers = [str(k) for k in range(1, len(names) + 1)]
    read = ("<start>", *numbers[:-1])

    def last_chord(prediction: Prediction, batch: Batch) -> Tensor:
        logits, notes = prediction.outputs["logits"][-1].double(), batch.targets["notes"][-1].double()
        return -torch.nn.functional.binary_cross_entropy_with_logits(logits, notes, reduction="sum")

    rows, came, said = rolls(example.chords, chances, task.lowest)
    both = zip(
        in_pieces("Notes that came", rows, numbers, came),
        in_pieces("Notes that were expected: how probable each was, given the steps before", rows, numbers, said),
        strict=True,
    )
    worst = max(max(output.nats), 1e-9)
    surprise = [[nats / worst for nats in output.nats]]
    steps = zip(numbers, names, expected(chances, task.lowest), output.nats, strict=True)
    return Lens(
        task.answer(example, output),
        ("<start>", *(f"{k}:{name}" for k, name in zip(numbers[:-1], names, strict=False))),
        recurrent(model, "recurrent"),
        {"recurrent": read},
        lambda n: task.collate([example] * n, range(n)).to(device),
        last_chord,
        f"the log-probability of the last chord, '{names[-1]}'",
        (
            *(one for pair in both for one in pair),
            *in_pieces(f"Nats of each step, beside the largest, {worst:.2f}", ["nats"], numbers, surprise),
        ),
        (
            Table(
                "Steps",
                ("step", "chord", "expected", "nats"),
                tuple((k, name, likely, f"{nats:.2f}") for k, name, likely, nats in steps),
            ),
        ),
        unit="chord",
        features=tuple(note_name(note) for note in range(task.lowest, task.highest + 1)),
    )


LENSES: Mapping[str, Callable[[Any, torch.nn.Module, Any, torch.device], Lens]] = {
    "classification": classification,
    "translation": translation,
    "tagging": tagging,
    "language_model": language_model,
    "music": music,
}


def recurrent(model: torch.nn.Module, name: str) -> torch.nn.Module:
    """The recurrent layers of this name. Raises ConfigError for a model that has none."""
    found = dict(model.named_modules()).get(name)
    if not isinstance(found, Recurrent):
        raise ConfigError(f"the model {type(model).__name__} has no recurrent layers '{name}' to look into.")
    return found


def tree(leaves: Sequence[tuple[Sequence[str], float]]) -> Iterator[str]:
    """Sequences of tokens with their probabilities as a tree of what they begin with in common, best first."""
    yield from _branches(list(leaves), 0, "  ")


def _branches(leaves: list[tuple[Sequence[str], float]], depth: int, margin: str) -> Iterator[str]:
    """The leaves below one node, at whose depth they part; each group of equal next tokens is a branch."""
    groups: dict[str | None, list[tuple[Sequence[str], float]]] = {}
    for tokens, chance in leaves:
        groups.setdefault(tokens[depth] if depth < len(tokens) else None, []).append((tokens, chance))
    for k, group in enumerate(groups.values()):
        last = k + 1 == len(groups)
        stop = _common(group, depth)
        part = " ".join(group[0][0][depth:stop]) or "(end)"
        chance = sum(chance for _, chance in group)
        yield f"{margin}{'└' if last else '├'} {part}  {chance:.1%}"
        if len(group) > 1:
            yield from _branches(group, stop, margin + ("  " if last else "│ "))


def _common(group: Sequence[tuple[Sequence[str], float]], depth: int) -> int:
    """How many tokens all of a group begin with."""
    shortest = min(len(tokens) for tokens, _ in group)
    first = group[0][0]
    return next((k for k in range(depth, shortest) if any(t[k] != first[k] for t, _ in group)), shortest)


def _other_tags(tokens: Sequence[str], chances: Tensor, tags: Sequence[str]) -> Table:
    shown = min(ALTERNATIVES, len(tags))
    rows = []
    for token, row in zip(tokens, chances, strict=False):
        best = row.topk(shown)
        rows.append(
            (token, *(f"{tags[k]} {p:.1%}" for p, k in zip(best.values.tolist(), best.indices.tolist(), strict=True)))
        )
    return Table("Tags of each word", ("word", *("tag", "second", "third")[:shown]), tuple(rows))


def _answers(task: Any, model: torch.nn.Module, examples: Sequence[Any], device: torch.device) -> list[Any]:
    with torch.inference_mode():
        found: list[Any] = task.predict(model, task.collate(examples, range(len(examples))).to(device), examples)
    return copy.copy(found)
