"""One file a command, imported when the command is typed; the table below is the order of `recurra --help`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from recurra.cli.arguments import Entry

COMMANDS: Final[Mapping[str, Entry]] = {
    "init": Entry("write a commented config, with every default, for your own file", "init"),
    "check": Entry("check a config and its data, and list every mistake with its line", "check"),
    "train": Entry("train a model from a config, or resume a run", "train"),
    "finish": Entry(
        "end a stopped or running training now, with scores and report of its best weights so far", "finish"
    ),
    "tune": Entry("search over the settings of a config: trials, and the best from several seeds", "tune"),
    "evaluate": Entry("score a trained model, beside its baselines", "evaluate"),
    "compare": Entry(
        "runs side by side: scores, settings that differ, and whether the test rows tell them apart", "compare"
    ),
    "predict": Entry("predict for texts, a file or standard input", "predict"),
    "transcribe": Entry("what is said in files of sound, or in samples that come, as they come", "transcribe"),
    "detect": Entry("find what is unusual in series: scores of points, flags, thresholds from clean data", "detect"),
    "generate": Entry("continue a text or a piece of music, suggest the next word, or draw rows", "generate"),
    "chat": Entry("talk to a run that learned from conversations, in the terminal", "chat"),
    "inpaint": Entry("fill in the numbers that rows lack, or a region of pictures", "inpaint"),
    "compress": Entry("rows as codes of a few bits, with the error that costs, beside PCA", "compress", "COMPRESS"),
    "decompress": Entry("rows again from what compress has written, by the same run", "compress", "DECOMPRESS"),
    "serve": Entry("serve runs over HTTP, with a web page to try them", "serve"),
    "export": Entry("export a trained model to ONNX, torch.nn or a Hugging Face folder", "export"),
    "card": Entry("write the model card of a run, README.md in its folder", "card"),
    "push": Entry("a run as a folder in Hugging Face's layout, with its card and digests", "push", "PUSH"),
    "pull": Entry("a run again from what push has written, checked", "push", "PULL"),
    "encode": Entry("vectors of texts, by the encoder of a run or of published weights", "encode"),
    "inspect": Entry("look inside a model while it answers a text: gates, states, saliency", "inspect"),
    "doctor": Entry("diagnose vanishing and exploding gradients, and suggest changes", "doctor"),
    "explain": Entry("explain a cell, a task or an option: equations, paper, choices, defaults", "explain"),
    "search": Entry("find pictures by a text or a picture, texts by a picture; of a config: tune", "search"),
    "similar": Entry("the words nearest to a word, by the vectors of a file or a run", "similar"),
    "analogy": Entry("the word that is to C what B is to A, by the vectors of a file or a run", "analogy"),
    "demo": Entry("train a small model on built-in data, and show its report", "demo"),
    "bench": Entry("benchmark this machine: recurra beside torch.nn and other installed libraries", "bench"),
    "schema": Entry("print the JSON Schema of configs, with which editors complete and check them", "schema"),
    "completion": Entry("print a script that completes commands in bash, zsh or fish", "completion"),
    "man": Entry("print the manual page", "man"),
    "data list": Entry("list the built-in data sets", "data", "LIST"),
    "data export": Entry("write a built-in data set as CSV files", "data", "EXPORT"),
}
