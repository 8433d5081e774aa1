"""One file a command, imported when the command is typed; the table below is the order of `recurra --help`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from recurra.cli.arguments import Entry

COMMANDS: Final[Mapping[str, Entry]] = {
    "init": Entry("write a commented config, with every default, for your own file", "init"),
    "check": Entry("name every mistake of a config, with its line, before any work", "check"),
    "train": Entry("train a model from a config, or resume a run", "train"),
    "finish": Entry(
        "end a stopped or running training now, with scores and report of its best weights so far", "finish"
    ),
    "evaluate": Entry("score a trained model, beside its baselines", "evaluate"),
    "predict": Entry("predict for texts, a file or standard input", "predict"),
    "generate": Entry("continue a text or a piece of music, or suggest the next word", "generate"),
    "serve": Entry("answer by HTTP, and show a page to try runs in a browser", "serve"),
    "export": Entry("write a trained model for other programs, and prove that it agrees", "export"),
    "inspect": Entry("look inside a model while it answers a text: gates, states, saliency", "inspect"),
    "doctor": Entry("say where gradients vanish or explode, and what to change", "doctor"),
    "explain": Entry("explain a cell, a task or an option: equations, paper, choices, defaults", "explain"),
    "demo": Entry("train a small model on real data that every machine has, and show its report", "demo"),
    "bench": Entry("measure this machine: recurra beside torch.nn and other installed libraries", "bench"),
    "data list": Entry("list the data sets that every machine has", "data", "LIST"),
    "data export": Entry("write such a data set as CSV files", "data", "EXPORT"),
}
