"""The config as a whole: its sections, and the rules that no single option shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from recurra.api.beginning import implied_by_run
from recurra.api.options import DataOptions, TrainingOptions
from recurra.base.errors import ConfigError
from recurra.base.option import OneOf
from recurra.base.registry import Registry
from recurra.config import (
    Check,
    Document,
    Fixed,
    Resolved,
    Schema,
    build,
    document_of,
    load,
    options_of,
    override,
    refuse_spaces,
    resolve,
)
from recurra.data.formats import unsigned
from recurra.data.layouts import LAYOUTS
from recurra.data.splits import BY_GROUP, BY_ROW, SPLITS, runs_of
from recurra.models import MODELS
from recurra.models.contract import Implies, Sizes, StatesInput
from recurra.models.encoders import ENCODERS
from recurra.models.inputs import INPUTS
from recurra.tasks import (
    TASKS,
    FitsModel,
    KeepsRows,
    MindsInputs,
    ReadsSteps,
    RereadsRows,
    TaskConfig,
    TrainsItself,
    splits_of,
)
from recurra.training import CLIPPINGS, ON_NONFINITE, OPTIMIZERS, SCHEDULES, AveragedSGD, Rows
from recurra.training.trackers import TRACKERS, NeedsPackage

SCHEMA = Schema(
    doc="A recurra config: what to learn, from which data, with which model.",
    sections={
        "task": OneOf("the task", TASKS),
        "data": Fixed("data files", DataOptions),
        "model": OneOf("the model", MODELS),
        "training": Fixed("training options", TrainingOptions),
    },
    defaults={"task": "classification", "model": "sequence_model"},
)


@dataclass(frozen=True, slots=True)
class Settings:
    """A checked config, as the objects that its sections describe; the model is built later, from the data's sizes."""

    resolved: Resolved
    schema: Schema
    plan: TaskConfig
    data: DataOptions
    training: TrainingOptions

    @property
    def tree(self) -> Mapping[str, Mapping[str, Any]]:
        return self.resolved.tree

    def outline(self, sizes: Sizes) -> torch.nn.Module:
        """The model without memory for its numbers, to look at: whoever asks again has the same one."""
        return _outline(self.resolved, tuple(sizes.items()))

    def model(self, sizes: Sizes) -> torch.nn.Module:
        """A model for data of these sizes, its weights drawn from the seed.

        Raises ConfigError, before it takes memory, if it would be larger than training.max_model_gib.
        """
        _refuse_large(self.resolved, sizes, self.training.max_model_gib)
        torch.default_generator.manual_seed(self.training.seed)  # see training.randomness: the weights are drawn here
        model: torch.nn.Module = build(self.resolved.section("model"), MODELS, sizes)
        return model


def read_settings(config: Path | Mapping[str, Any], overrides: Sequence[str] = (), seed: int | None = None) -> Settings:
    """A config, a file or the same as a dict, with `--set` and `--seed` on top.

    Raises ConfigError with every mistake at once.
    """
    document = document_of(config) if isinstance(config, Mapping) else load(config)
    extra = [] if seed is None else [f"training.seed={seed}"]
    return settings_of(override(document, [*overrides, *extra]))


def schema_for(task: object, model: object = None) -> Schema:
    """The schema of configs for a task: the models that it can use, and its own defaults for the one with this word."""
    if not isinstance(task, str) or task not in TASKS:  # the task's own word is the mistake then
        return SCHEMA
    first = TASKS[task].needs
    needs = first.of(model)
    fitting: Registry[type[torch.nn.Module]] = Registry(f"model for {task}")
    for one in (first, *first.others):
        fitting.add(one.model, MODELS[one.model])
    usual = {f"model.{part}": words[0] for part, words in needs.parts.items()}
    own = {f"model.{path}": value for path, value in needs.defaults.items()}
    own |= {f"training.{path}": value for path, value in needs.training.items()}
    sections = {**SCHEMA.sections, "model": OneOf("the model", fitting)}
    fits = {f"model.{part}": words for part, words in needs.parts.items()}
    return Schema(SCHEMA.doc, sections, {"task": task, "model": needs.model, **usual, **own}, fits)


def settings_of(document: Document, *, to_train: bool = True) -> Settings:
    """Check a document, and build what needs no data.

    to_train: False leaves out that the optimizer and the like can be built: for them torch imports a compiler, which
    takes more than a second
    """
    refuse_spaces(document, schema_for(task_of(document)))
    document = completed(without_signatures(document))
    schema = schema_for(_task_of(document.tree), _model_of(document.tree))
    resolved = resolve(document, schema, CHECKS if to_train else CHECKS[:-1])
    return Settings(
        resolved,
        schema,
        plan_of(resolved),
        build(resolved.section("data"), DataOptions),
        build(resolved.section("training"), TrainingOptions),
    )


def without_signatures(document: Document) -> Document:
    """A config whose URLs of data have no signatures: this process knows them, and what it writes has none."""
    data = document.tree.get("data")
    if not isinstance(data, Mapping):
        return document
    bare = {name: unsigned(data[name]) for name in ("train", "dev", "test") if isinstance(data.get(name), str)}
    return replace(document, tree={**document.tree, "data": {**data, **bare}})


def task_of(document: Document) -> object:
    """The word of the task of a config, or what stands in its place."""
    return _task_of(document.tree)


def plan_of(resolved: Resolved) -> TaskConfig:
    """The task as a config describes it, for the model that stands beside it."""
    plan: TaskConfig = build(resolved.section("task"), TASKS)
    fitted: TaskConfig = plan.for_model(resolved.tree["model"]) if isinstance(plan, FitsModel) else plan
    return fitted


def completed(document: Document) -> Document:
    """A config with what its encoder, inputs and task, or the run that it begins with, mean for what it leaves open."""
    task = _task_of(document.tree)
    if not isinstance(task, str) or task not in TASKS:
        return document
    encoder = _part(document.tree, "encoder")
    by_run = implied_by_run(document.tree.get("training"), encoder)
    document = _with_implied(document, task, by_run or _implied_by(ENCODERS, encoder))
    document = _with_implied(document, task, _implied_by(INPUTS, _part(document.tree, "inputs")))
    given = document.tree.get("task")
    options = {**(given if isinstance(given, Mapping) else {}), "name": task}
    return _with_implied(document, task, _implied_by(TASKS, options))


def _part(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A component of the model, as options."""
    model = tree.get("model")
    given = model.get(name) if isinstance(model, Mapping) else None
    return given if isinstance(given, Mapping) else {"name": given}


def _with_implied(document: Document, task: str, implied: dict[str, Any]) -> Document:
    tree = document.tree
    if not implied:
        return document
    if "model" in implied and not _has_head(task, _model_of(tree), implied["model"].get("head", {})):
        implied["model"] = {name: part for name, part in implied["model"].items() if name != "head"}
    known = {option.name for option in options_of(TASKS[task])}
    implied["task"] = next((one for one in implied.get("task", ()) if known >= one.keys()), {})
    return replace(document, tree={**tree, **{name: _filled(tree.get(name), more) for name, more in implied.items()}})


def _implied_by(components: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    word = options.get("name")
    if not isinstance(word, str) or word not in components:
        return {}
    try:
        component: Any = components[word]
    except ValueError:  # of a package that cannot be imported: said later, at its line
        return {}
    return dict(component.implies(options)) if isinstance(component, Implies) else {}


def _has_head(task: str, model: object, head: Mapping[str, Any]) -> bool:
    """Whether a task's models of this word have this head, unless a config says otherwise."""
    return TASKS[task].needs.of(model).parts.get("head", ("",))[0] == head.get("name")


def _filled(given: Any, more: Any) -> Any:
    """What is given, with what is left open: of a component those options whose name is the same."""
    if given is None:
        return dict(more) if isinstance(more, Mapping) else more
    if not isinstance(more, Mapping) or not isinstance(given, Mapping | str):
        return given
    found = {"name": given} if isinstance(given, str) else dict(given)
    if "name" in more and found.get("name", more["name"]) != more["name"]:
        return given
    return {**found, **{name: _filled(found.get(name), value) for name, value in more.items()}}


def several_runs(settings: Settings) -> dict[str, str]:
    """The runs that a config's data.split makes, each with the option of the split that chooses it; else nothing."""
    split = settings.data.split
    return {} if split is None else runs_of(build(split, SPLITS))


def _task_of(tree: Mapping[str, Any]) -> object:
    given = tree.get("task")
    return (given.get("name") if isinstance(given, Mapping) else given) or SCHEMA.defaults["task"]


def _model_of(tree: Mapping[str, Any]) -> object:
    given = tree.get("model")
    return given.get("name") if isinstance(given, Mapping) else given


@lru_cache(maxsize=8)
def _outline(resolved: Resolved, sizes: tuple[tuple[str, int], ...]) -> torch.nn.Module:
    """The model without memory for its numbers. Options that cannot take effect together show when it is built.

    Remembered, as a verb asks for it before its checks, before it reads weights, and before its model.
    """
    with torch.device("meta"):
        model: torch.nn.Module = build(resolved.section("model"), MODELS, dict(sizes))
    return model


def _gib(resolved: Resolved, sizes: tuple[tuple[str, int], ...]) -> float:
    """What the numbers of the model take."""
    outline = _outline(resolved, sizes)
    # Buffers too: the table of one-hot rows is not in the state, and of a large vocabulary takes more than the rest.
    return sum(t.numel() * t.element_size() for t in chain(outline.parameters(), outline.buffers())) / 2**30


def _refuse_large(resolved: Resolved, sizes: Sizes, limit: float) -> None:
    size = _gib(resolved, tuple(sizes.items()))
    if size > limit:
        message = (
            f"takes {size:,.1f} GiB, expected at most {limit:g}: use fewer units or layers, or a smaller vocabulary "
            "(task.max_vocabulary), or raise training.max_model_gib."
        )
        raise ConfigError(resolved.document.problem(("model",), message).sentence)


def _smallest(resolved: Resolved) -> Sizes:
    """The sizes of the smallest data that the task can have."""
    plan = plan_of(resolved)
    sizes, encoder = plan.smallest_sizes, resolved.tree["model"].get("encoder", {})
    component: Any = ENCODERS[encoder["name"]] if "name" in encoder else None
    if not isinstance(component, StatesInput):
        return sizes
    wanted = component.least_input(encoder)
    times = -(-wanted // sizes.get("values", sizes.get("features", wanted)))
    return {**sizes, **{name: sizes[name] * times for name in ("features", "values") if name in sizes}}


def _check_size(resolved: Resolved) -> None:
    _refuse_large(resolved, _smallest(resolved), build(resolved.section("training"), TrainingOptions).max_model_gib)


def _check_parts(resolved: Resolved) -> None:
    """The components are ones that the task can use."""
    task = resolved.tree["task"]["name"]
    model, problems = resolved.tree["model"], []
    for part, fitting in TASKS[task].needs.of(model["name"]).parts.items():
        if (word := model[part]["name"]) not in fitting:
            problems.append(f"{part}: '{word}' does not fit task {task}; expected {' or '.join(fitting)}.")
    if problems:
        raise ConfigError(problems)


def _check_split(resolved: Resolved) -> None:
    """The way to split is one that the task's rows allow."""
    plan: TaskConfig = build(resolved.section("task"), TASKS)
    split = resolved.tree["data"]["split"]
    ways = splits_of(plan)
    fitting = (*ways, *(BY_GROUP if BY_ROW in ways else ()))
    if split is not None and split["name"] not in fitting:
        raise ConfigError(
            f"split: '{split['name']}' would tear apart rows that this task reads on from one to the next; expected "
            f"{' or '.join(fitting)}."
        )
    if split is not None and split["name"] in ("folds", "group_folds") and resolved.tree["data"]["test"] is not None:
        raise ConfigError(
            f"test: {split['name']} test every row of train once; leave out test, or take another data.split."
        )


def _check_layout(resolved: Resolved) -> None:
    """Rows make records in a way that can be, for a task whose records have steps."""
    layout, task = resolved.tree["data"]["layout"], resolved.tree["task"]["name"]
    if layout is None:
        return
    if not isinstance(build(resolved.section("task"), TASKS), ReadsSteps):
        raise ConfigError(f"layout: has no effect on task {task}, which reads each row by itself; leave it out.")
    build(build(resolved.section("data"), DataOptions).layout, LAYOUTS)


def _check_shuffle(resolved: Resolved) -> None:
    """Rows that are read again in each epoch are of a task whose rows can be."""
    plan: Any = build(resolved.section("task"), TASKS)
    if resolved.tree["data"]["shuffle_buffer"] is None or (
        isinstance(plan, RereadsRows) and isinstance(plan, KeepsRows)
    ):
        return
    fitting = sorted(name for name, kind in TASKS.items() if isinstance(kind, RereadsRows))
    raise ConfigError(
        f"shuffle_buffer: task {resolved.tree['task']['name']} does not make one example of each row by itself; leave "
        f"it out. It fits {', '.join(fitting)}."
    )


def _check_task_training(resolved: Resolved) -> None:
    """What has no effect on the task's training is left out."""
    plan = build(resolved.section("task"), TASKS)
    if isinstance(plan, TrainsItself):
        plan.refuse_training(resolved.tree["training"])


def _check_inputs(resolved: Resolved) -> None:
    """What has no effect on what the model reads is left out."""
    plan = build(resolved.section("task"), TASKS)
    if isinstance(plan, MindsInputs):
        plan.refuse_inputs(resolved.tree["model"]["inputs"])


def _check_training(resolved: Resolved) -> None:
    """Build every component once, so that what it refuses stands beside the other mistakes."""
    options = build(resolved.section("training"), TrainingOptions)
    if options.average == 1:  # no bound of the option: runs that were trained with it can still be read
        raise ConfigError("average: the mean of one epoch is that epoch; expected 2 to 100, or leave it out.")
    for word in options.trackers:
        if isinstance(maker := TRACKERS[word], NeedsPackage):
            maker.refuse_missing()
    made = build(options.optimizer, OPTIMIZERS, [torch.nn.Parameter(torch.zeros(1, dtype=torch.float32))])
    if isinstance(made, AveragedSGD):
        _refuse_beside_mean(options)
    build(options.schedule, SCHEDULES, 100)
    build(options.clipping, CLIPPINGS)
    build(options.on_nonfinite, ON_NONFINITE, Rows(str, lambda index: NotImplemented))


def _refuse_beside_mean(options: TrainingOptions) -> None:
    """Raise ConfigError for what nt_asgd, which makes a mean of the weights, cannot have beside it."""
    given = {"average": options.average, "average_decay": options.average_decay}
    problems = [
        f"{name}: nt_asgd averages its weights by itself; take sgd, or leave it out."
        for name, value in given.items()
        if value is not None
    ]
    if options.rate_decay != 1:
        problems.append("rate_decay: nt_asgd has one rate for all weights; take sgd, or leave it out.")
    if problems:
        raise ConfigError(problems)


def _check_beginning(resolved: Resolved) -> None:
    """Options for models that begin with weights from elsewhere have a model that does."""
    options = build(resolved.section("training"), TrainingOptions)
    encoder = resolved.tree["model"].get("encoder")
    begins = options.init_from is not None or (isinstance(encoder, Mapping) and encoder.get("folder") is not None)
    if options.by_layer and not begins:
        raise ConfigError(
            f"{name}: has no effect without init_from; leave it out, or name a run of a language model there."
            for name in options.by_layer
        )


CHECKS = (
    Check(("task",), lambda resolved: build(resolved.section("task"), TASKS)),
    Check(("data",), lambda resolved: build(resolved.section("data"), DataOptions)),
    Check(("data", "task"), _check_split),
    Check(("data", "task"), _check_layout),
    Check(("data", "task"), _check_shuffle),
    Check(("model", "task"), _check_parts),
    Check(("task", "model"), _check_inputs),
    Check(("task", "model"), plan_of),
    Check(("model", "task"), lambda resolved: _gib(resolved, tuple(_smallest(resolved).items()))),
    Check(("model", "task", "training"), _check_size),
    Check(("training", "model"), _check_beginning),
    Check(("training", "task"), _check_task_training),
    Check(("training",), _check_training),  # the last one: see settings_of
)
