"""What a fresh interpreter loads; and nothing public goes without a word of explanation."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys

import pytest

import recurra

HEAVY = ("torch", "matplotlib", "pandas", "sklearn", "fastapi", "tensorboard", "transformers", "rich", "babel",
         "tokenizers", "pydantic", "numpy", "safetensors", "yaml", "regex", "lightning", "narwhals", "polars",
         "IPython")  # fmt: skip
# With layers come torch, and what torch itself loads (numpy); not what only texts, reports or terminals need.
NOT_FOR_LAYERS = ("matplotlib", "pandas", "sklearn", "fastapi", "tensorboard", "transformers", "rich", "babel",
                  "tokenizers", "pydantic", "safetensors", "regex", "lightning")  # fmt: skip
HELP = "import sys; from recurra.cli import main; sys.stdout = open('/dev/null', 'w'); assert main({words}) == 0"


def loaded_by(*codes: str) -> list[set[str]]:
    """Top-level packages that are loaded after each of `codes` has run, one after the other, in a fresh interpreter."""
    report = (
        "sys = __import__('sys'); sys.stdout = sys.__stdout__\n"
        "import json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    end = "sys.stdout.flush(); __import__('os')._exit(0)"  # Python would take torch apart first, for a second
    code = "".join(f"{code}\n{report}" for code in codes) + end
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [set(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import recurra", HEAVY),
        ("import recurra.cells, recurra.lower", HEAVY),
        (HELP.format(words=["--help"]), HEAVY),
        (HELP.format(words=["train", "--help"]), HEAVY),
        (HELP.format(words=["predict", "--help"]), HEAVY),
    ],
    ids=["recurra", "cells", "--help", "train --help", "predict --help"],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str, unwanted: tuple[str, ...]) -> None:
    (loaded,) = loaded_by(code)
    assert "recurra" in loaded
    assert loaded & set(unwanted) == set()


def test_layers_load_torch_alone_and_everything_in_the_api_loads_without_what_is_optional() -> None:
    """pip install recurra brings no scikit-learn, matplotlib or babel: the verbs must not need them to start."""
    layers, verbs = loaded_by("import recurra.nn", "import recurra.api; from recurra import train, load, Run")
    assert {"recurra", "torch"} <= layers
    assert layers & set(NOT_FOR_LAYERS) == set()
    assert verbs & {"sklearn", "matplotlib", "babel", "pandas", "rich", "scipy", "narwhals"} == set()


@pytest.mark.parametrize(
    "room",
    ["nn", "api", "cells", "lower", "engine", "decode", "bench", "models", "doctor", "tasks", "training", "config"],
)
def test_everything_public_says_what_it_is(room: str) -> None:
    module = importlib.import_module(f"recurra.{room}")
    assert (module.__doc__ or "").strip(), "a room's docstring is its table of contents"
    assert sorted(module.__all__) == sorted(set(module.__all__))
    silent = [
        name
        for name in module.__all__
        if (inspect.isroutine(thing := getattr(module, name)) or inspect.isclass(thing)) and not own_doc(thing)
    ]
    assert silent == []


def own_doc(thing: object) -> str:
    """A docstring of its own: not one that a class inherits, or that @dataclass makes of its fields."""
    doc = (thing.__dict__.get("__doc__") if inspect.isclass(thing) else inspect.getdoc(thing)) or ""
    return "" if doc.startswith(f"{getattr(thing, '__name__', '')}(") else doc.strip()


def test_public_methods_of_public_layers_say_what_they_do() -> None:
    from recurra import nn

    kept_from_torch = {"forward", "extra_repr"}
    silent = [
        f"{name}.{method}"
        for name in nn.__all__
        if inspect.isclass(layer := getattr(nn, name))
        for method, function in vars(layer).items()
        if inspect.isfunction(function) and not method.startswith("_") and method not in kept_from_torch
        if not inspect.getdoc(function)
    ]
    assert silent == []


def test_what_the_package_offers_is_there_and_explained() -> None:
    assert set(recurra.__all__) <= set(dir(recurra))
    assert [name for name in recurra.__all__ if name != "__version__" and not own_doc(getattr(recurra, name))] == []
    with pytest.raises(AttributeError, match=r"^module 'recurra' has no attribute 'fit'$"):
        recurra.fit  # noqa: B018
    silent = [
        f"{name}.{method}"
        for name in ("Run", "Evaluation")
        for method, thing in vars(getattr(recurra, name)).items()
        if not method.startswith("_") and (callable(thing) or isinstance(thing, property)) and not inspect.getdoc(thing)
    ]
    assert silent == []


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert recurra.__version__ == version("recurra")
