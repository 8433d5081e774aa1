"""What to change, in the words of the config, and the command that shows whether it helps."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.cells import CELLS
from recurra.doctor.diagnosis import Diagnosis
from recurra.doctor.updates import LARGE, SMALL
from recurra.lower import trace

Tree = Mapping[str, Mapping[str, Any]]
# Beyond this a forget gate is saturated at the start (activations.SIGMOID_HIGH), and can hardly learn to close.
LARGEST_BIAS = 4


@dataclass(frozen=True, slots=True)
class Advice:
    """change: options of the config, such as `model.encoder.forget_bias: 1`; why: one sentence; settings: for --set."""

    change: str
    why: str
    settings: tuple[str, ...]


def advice(diagnosis: Diagnosis, tree: Tree) -> tuple[Advice, ...]:
    """What the verdict suggests for this config, what is most likely to help first; nothing where all is well.

    tree: the resolved config, every default written out
    """
    word = diagnosis.verdict.word
    found = {"vanishing": _against_vanishing, "exploding": _against_exploding, "saturated": _against_saturation}
    found |= dict.fromkeys(("one output", "source not read", "dead heads"), _against_deafness)
    suggested = list(found[word](diagnosis, tree)) if word in found else []
    suggested += _on_updates(diagnosis, tree)
    once = {one.settings: one for one in reversed(suggested)}
    return tuple(reversed(once.values()))


def part(tree: Tree, name: str) -> Mapping[str, Any]:
    """The options of a component of the model; none where the model has no such component."""
    found = tree["model"].get(name)
    return found if isinstance(found, Mapping) else {}


def _set(**settings: object) -> tuple[str, ...]:
    """`model__encoder__init=x` -> "model.encoder.init=x"."""
    return tuple(f"{name.replace('__', '.')}={value}" for name, value in settings.items())


def one_advice(why: str, changes: Mapping[str, object]) -> Advice:
    """An advice that sets options, by their path."""
    return _one(why, tuple(f"{path}={value}" for path, value in changes.items()))


def _one(why: str, settings: tuple[str, ...]) -> Advice:
    return Advice(", ".join(setting.replace("=", ": ", 1) for setting in settings), why, settings)


def _steps(diagnosis: Diagnosis) -> int:
    """The longest reach of a layer."""
    return max((one.carried.reach for one in diagnosis.probes[-1].layers if one.carried), default=1)


def forget_bias(steps: int) -> int:
    """A bias at which the forget gate keeps a memory for about so many steps.

    Jozefowicz et al. 2015 recommend 1. A gate of sigmoid(b) keeps it for 1 / (1 - sigmoid(b)) = 1 + e^b steps, so
    b = log(steps - 1), as in Tallec & Ollivier 2018, arXiv:1804.11188, section 2.2; at most 4.
    """
    return min(max(1, round(math.log(max(steps - 1, 1)))), LARGEST_BIAS)


def _against_vanishing(diagnosis: Diagnosis, tree: Tree) -> Iterator[Advice]:
    encoder = part(tree, "encoder")
    if "cell" in encoder:  # an encoder without recurrent layers has none to change
        yield from _a_cell_that_keeps(encoder, _steps(diagnosis))
    yield from _shorter_ways(tree)


def _a_cell_that_keeps(encoder: Mapping[str, Any], steps: int) -> Iterator[Advice]:
    """A cell, or a start of the one there is, that keeps its state for so many steps."""
    cell, bias = str(encoder["cell"]), forget_bias(steps)
    if not _has_gates(cell):
        yield _one(
            f"a cell with gates keeps its state for many steps; a forget bias of {bias} keeps it for about {steps}.",
            _as_lstm(encoder, bias),
        )
        if cell in ("rnn_relu", "indrnn") and encoder.get("init", "identity") != "identity":
            yield _one(
                "a ReLU that is on then hands its state, and the gradient, on unchanged (Le et al. 2015).",
                _set(model__encoder__init="identity"),
            )
        elif encoder.get("init") == "torch":
            yield _one(
                "orthogonal recurrent weights neither shrink nor stretch a gradient (Saxe et al. 2014).",
                _set(model__encoder__init="orthogonal"),
            )
    elif not _forgets(cell):
        yield _one(
            f"the gate that keeps the state of '{cell}' starts half closed; an LSTM's can start open.",
            _as_lstm(encoder, bias),
        )
    elif "forget_bias" in encoder and (encoder["forget_bias"] is None or float(encoder["forget_bias"]) < bias):
        yield _one(
            "the forget gate starts half closed, and every step halves the gradient; with this bias it starts open "
            f"for about {1 + math.exp(bias):.0f} steps (Jozefowicz et al. 2015).",
            _set(model__encoder__forget_bias=bias),
        )


def _as_lstm(encoder: Mapping[str, Any], bias: int) -> tuple[str, ...]:
    """The encoder with LSTM cells, and with this forget bias where it has the option."""
    bias_too = _set(model__encoder__forget_bias=bias) if "forget_bias" in encoder else ()
    return (*_set(model__encoder__cell="lstm"), *bias_too)


def _shorter_ways(tree: Tree) -> Iterator[Advice]:
    if part(tree, "head").get("pooling") == "last":
        yield _one(
            "the loss then reaches every step directly, not only the last one.", _set(model__head__pooling="max")
        )
    attention = part(tree, "decoder").get("attention")
    if isinstance(attention, Mapping) and attention["name"] == "none":
        yield _one(
            "the loss then reaches every step of the source directly (Bahdanau et al. 2015).",
            _set(model__decoder__attention="additive"),
        )


def _against_deafness(diagnosis: Diagnosis, tree: Tree) -> Iterator[Advice]:
    yield from warm_up(tree)
    yield from _lower_rate(tree, "large steps drive a network to answer by frequencies alone.")


def warm_up(tree: Tree) -> Iterator[Advice]:
    """A schedule with warm-up, for a Transformer whose schedule has none."""
    if not any(part(tree, name).get("name") == "transformer" for name in ("encoder", "decoder")):
        return
    schedule = tree["training"].get("schedule")
    if not (isinstance(schedule, Mapping) and float(schedule.get("warmup", 0) or 0) > 0):
        yield one_advice(
            "the first steps of a Transformer must be small (Xiong et al. 2020).",
            {"training.schedule": "{name: inverse_sqrt, warmup: 0.1}"},
        )


def _against_exploding(diagnosis: Diagnosis, tree: Tree) -> Iterator[Advice]:
    yield from warm_up(tree)
    model, clipping = part(tree, "encoder"), tree["training"].get("clipping")
    word = clipping.get("name") if isinstance(clipping, Mapping) else clipping
    if word == "none":
        yield _one(
            "clipping keeps one long gradient from undoing the training so far (Pascanu et al. 2013).",
            _set(training__clipping="norm"),
        )
    yield from _lower_rate(tree, "smaller steps keep the recurrent weights where a gradient stays finite.")
    if model.get("init") == "torch":
        yield _one(
            "orthogonal recurrent weights neither shrink nor stretch a gradient (Saxe et al. 2014).",
            _set(model__encoder__init="orthogonal"),
        )
    if "cell" in model and not _has_gates(str(model["cell"])):
        yield _one(
            "the state of a cell with gates is a weighted mean, which does not grow.",
            _as_lstm(model, forget_bias(_steps(diagnosis))),
        )
    yield from _shorter_rows(tree, "fewer steps multiply the gradient fewer times.")


def _shorter_rows(tree: Tree, why: str) -> Iterator[Advice]:
    task = tree["task"]
    if "max_length" in task and (half := int(task["max_length"] or 256) // 2):
        yield _one(why, _set(task__max_length=half))


def _against_saturation(diagnosis: Diagnosis, tree: Tree) -> Iterator[Advice]:
    model = part(tree, "encoder")
    yield from _lower_rate(tree, "large steps have driven weights to where the activations are flat.")
    if model.get("init") == "torch":
        yield _one(
            "recurrent weights that stretch nothing keep the arguments small.", _set(model__encoder__init="orthogonal")
        )
    if model.get("cell") == "lstm":
        yield _one(
            "layer normalisation keeps the gates' arguments in range (Ba et al. 2016).",
            _set(model__encoder__cell="lstm_layernorm"),
        )
    if model.get("cell") == "rnn_relu":
        yield _one("a unit of tanh cannot die.", _set(model__encoder__cell="rnn"))
    if not tree["training"].get("l2"):
        yield _one("a penalty on the weights draws them back.", _set(training__l2=1e-4))


def _on_updates(diagnosis: Diagnosis, tree: Tree) -> Iterator[Advice]:
    """The learning rate, by the median ratio of update to weight."""
    ratios = sorted(diagnosis.course.ratios.values())
    middle = ratios[len(ratios) // 2] if ratios else None
    if middle is not None and middle > LARGE:
        yield from _lower_rate(tree, f"an update changes the weights by {middle:.1%}; about 0.1 % is usual.")
    elif middle is not None and 0 < middle < SMALL:
        yield from _scaled_rate(tree, 10, f"an update changes the weights by {middle:.1g}; about 1e-3 is usual.")


def _lower_rate(tree: Tree, why: str) -> Iterator[Advice]:
    return _scaled_rate(tree, 0.3, why)


def _scaled_rate(tree: Tree, factor: float, why: str) -> Iterator[Advice]:
    optimizer = tree["training"].get("optimizer")
    if isinstance(optimizer, Mapping) and isinstance(optimizer.get("lr"), int | float):
        yield _one(why, (f"training.optimizer.lr={factor * float(optimizer['lr']):.2g}",))


def _has_gates(cell: str) -> bool:
    """Does a sigmoid, or an exponential, multiply something?"""
    if cell not in CELLS:
        return True
    graph = trace(CELLS[cell])
    return any(
        node.kind == "mul" and any(graph.nodes[a].kind in ("sigmoid", "exp", "sub") for a in node.args)
        for node in graph.nodes
    )


def _forgets(cell: str) -> bool:
    """Does it have a forget gate f with a bias, whose start `model.encoder.forget_bias` sets?"""
    graph = trace(CELLS[cell])
    return cell.startswith("lstm") and any(node.kind == "b" and node.name == "f" for node in graph.nodes)


def commands(found: Sequence[Advice], config: str) -> tuple[str, ...]:
    """For each advice, the command that makes the experiment, for a shell.

    config: its name, and what was set beside it, as they are typed
    """
    return tuple(
        " ".join([f"recurra doctor {config}", *(f"--set {shlex.quote(s)}" for s in one.settings)]) for one in found
    )
