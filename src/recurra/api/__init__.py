"""The verbs, as Python calls; the command line and the service are thin shells around them.

starting    init, check                    training    train, resume         evaluating   evaluate, predict
course      a training under way           together    training on several ranks, watched over     rank  one of them
explaining  explain                        demos       demo, data sets that every machine has
generating  generate, suggest: what a language model, or one of music, writes
doctoring   doctor: where gradients go     inspecting  inspect      lenses  what of each task can be seen
exporting   export_onnx, export_torch: a run for other programs
pretraining a model that begins with a language model
options     sections of the config         schema      the config as a whole
prepare     files to examples in splits    learner     all that a checkpoint holds, alive
answering   examples to outputs            reporting   the end of a run       folder   what a run folder holds
stopping    a signal while nothing is lost by it                              watching for callers who do not watch
"""

from __future__ import annotations

from recurra.api.demos import Listed, data_export, data_list, demo
from recurra.api.doctoring import Diagnosed, doctor
from recurra.api.evaluating import evaluate, predict, read_for, text_column
from recurra.api.explaining import Explanation, explain
from recurra.api.exporting import export_onnx, export_torch
from recurra.api.folder import Run, open_run
from recurra.api.generating import generate, midi, suggest, suggester
from recurra.api.inspecting import Inspection, inspect
from recurra.api.starting import Checked, check, init
from recurra.api.together import Together
from recurra.api.training import Trained, resume, train
from recurra.tasks import Written

__all__ = [
    "Checked",
    "Diagnosed",
    "Explanation",
    "Inspection",
    "Listed",
    "Run",
    "Together",
    "Trained",
    "Written",
    "check",
    "data_export",
    "data_list",
    "demo",
    "doctor",
    "evaluate",
    "explain",
    "export_onnx",
    "export_torch",
    "generate",
    "init",
    "inspect",
    "midi",
    "open_run",
    "predict",
    "read_for",
    "resume",
    "suggest",
    "suggester",
    "text_column",
    "train",
]
