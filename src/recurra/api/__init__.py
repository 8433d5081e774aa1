"""The verbs, as Python calls; the command line and the service are thin shells around them.

configuring   init, check                    training     train, resume, finish     evaluating   evaluate, predict
training_run  a training under way           trainer      all that a checkpoint holds, alive
distributed   training in several processes, watched over               worker       one of them
joined        one of the processes that torchrun, srun or mpirun has started
explaining    explain                        demos        demo, data sets that every machine has
generating    generate, suggest: what a language model, or one of music, says next
chatting      chat: replies of a run, turn by turn
doctoring     doctor: where gradients go     inspecting   inspect
encoding      vectors of texts               hearing       what is said in sounds, as they come
coding        rows from codes, rows filled in        compressing    rows as rounded codes, and back
tuning        tune: search over the settings of a config
comparing     compare: runs side by side
detecting     detect: scores of points           detectors     what makes them: runs, and detectors without a network
searching     search: pictures by texts, and the index on the disk      text_searching  texts by pictures
detection_files, thresholds, marked, series_tables   what detect reads and writes
exporting     export_onnx, export_torch, export_published, export_vectors: a run for other programs
finetuning    a model that begins with a language model
pretrained_vectors   one that begins with vectors of words from a file
options       sections of the config         schema       the config as a whole
editors       the same for editors, as JSON Schema      cards      the model card of a run
sharing       push, pull: a run as a folder of a model hub, and back
prepare       files to examples in splits    inference    examples to outputs
reporting     the end of a run               folder       what a run folder holds
answers       answers beside their rows      given        what callers hand over
interrupts    a signal while nothing is lost by it                         callbacks    for callers without one
word_vectors  vectors of words, of a file or a run        word_questions  files of questions to them
places        the names in a run folder, and what can be said of a path without torch
defaults      torch's defaults for new tensors, whatever the caller's are
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from recurra.base.importing import uncollected

if TYPE_CHECKING:
    from recurra.api.answers import Answered, Columns, Source, answered, columns_of, source_for
    from recurra.api.cards import card
    from recurra.api.chatting import Chat, chat
    from recurra.api.coding import CodedRows, generate_rows, inpaint, makes_rows
    from recurra.api.comparing import Compared, compare, write_comparison
    from recurra.api.compressing import Compressed, compress, decompress
    from recurra.api.configuring import Checked, Draft, check, draft, init
    from recurra.api.demos import Listed, data_export, data_list, demo
    from recurra.api.detecting import Detected, DetectedSeries, DetectOptions, detect
    from recurra.api.detection_files import refuse_other_ending, write_detection_page, write_scores
    from recurra.api.distributed import Distributed
    from recurra.api.doctoring import Diagnosed, doctor
    from recurra.api.editors import json_schema
    from recurra.api.encoding import (
        Origins,
        TextVectors,
        refuse_vector_file,
        rows_to_encode,
        text_vectors,
        write_vectors,
    )
    from recurra.api.evaluating import evaluate, predict, read_for, text_column
    from recurra.api.explaining import Explanation, explain
    from recurra.api.exporting import export_onnx, export_published, export_torch, export_vectors
    from recurra.api.folder import OpenRun, open_run
    from recurra.api.generating import generate, midi, suggest, suggester
    from recurra.api.groups import TrainedGroup, resume_group, train_group
    from recurra.api.hearing import HeardPiece, hear_file, hear_stream
    from recurra.api.inspecting import Inspection, inspect
    from recurra.api.joined import Joined
    from recurra.api.places import asks_for_runs, is_group, is_search, look_at_config, look_at_file, look_at_run
    from recurra.api.searching import Found, PictureSearch, picture_search, write_search_page
    from recurra.api.sharing import pull, push
    from recurra.api.text_searching import TextSearch, search_texts, text_search
    from recurra.api.training import Trained, finish, resume, train
    from recurra.api.tuning.options import TuneOptions
    from recurra.api.tuning.tune import Tuned, tune
    from recurra.api.word_questions import Asked, ask
    from recurra.api.word_vectors import vectors
    from recurra.tasks import Piece

__all__ = [
    "Answered",
    "Asked",
    "Chat",
    "Checked",
    "CodedRows",
    "Columns",
    "Compared",
    "Compressed",
    "DetectOptions",
    "Detected",
    "DetectedSeries",
    "Diagnosed",
    "Distributed",
    "Draft",
    "Explanation",
    "Found",
    "HeardPiece",
    "Inspection",
    "Joined",
    "Listed",
    "OpenRun",
    "Origins",
    "PictureSearch",
    "Piece",
    "Source",
    "TextSearch",
    "TextVectors",
    "Trained",
    "TrainedGroup",
    "TuneOptions",
    "Tuned",
    "answered",
    "ask",
    "asks_for_runs",
    "card",
    "chat",
    "check",
    "columns_of",
    "compare",
    "compress",
    "data_export",
    "data_list",
    "decompress",
    "demo",
    "detect",
    "doctor",
    "draft",
    "evaluate",
    "explain",
    "export_onnx",
    "export_published",
    "export_torch",
    "export_vectors",
    "finish",
    "generate",
    "generate_rows",
    "hear_file",
    "hear_stream",
    "init",
    "inpaint",
    "inspect",
    "is_group",
    "is_search",
    "json_schema",
    "look_at_config",
    "look_at_file",
    "look_at_run",
    "makes_rows",
    "midi",
    "open_run",
    "picture_search",
    "predict",
    "pull",
    "push",
    "read_for",
    "refuse_other_ending",
    "refuse_vector_file",
    "resume",
    "resume_group",
    "rows_to_encode",
    "search_texts",
    "source_for",
    "suggest",
    "suggester",
    "text_column",
    "text_search",
    "text_vectors",
    "train",
    "train_group",
    "tune",
    "vectors",
    "write_comparison",
    "write_detection_page",
    "write_scores",
    "write_search_page",
    "write_vectors",
]

# Where each name is. Imported when it is asked for: torch takes seconds, and a mistaken path needs none of them.
_NAMES = {
    "recurra.api.answers": "Answered Columns Source answered columns_of source_for",
    "recurra.api.cards": "card",
    "recurra.api.chatting": "Chat chat",
    "recurra.api.coding": "CodedRows generate_rows inpaint makes_rows",
    "recurra.api.comparing": "Compared compare write_comparison",
    "recurra.api.compressing": "Compressed compress decompress",
    "recurra.api.demos": "Listed data_export data_list demo",
    "recurra.api.detecting": "DetectOptions Detected DetectedSeries detect",
    "recurra.api.detection_files": "refuse_other_ending write_detection_page write_scores",
    "recurra.api.doctoring": "Diagnosed doctor",
    "recurra.api.hearing": "HeardPiece hear_file hear_stream",
    "recurra.api.encoding": "Origins TextVectors refuse_vector_file rows_to_encode text_vectors write_vectors",
    "recurra.api.evaluating": "evaluate predict read_for text_column",
    "recurra.api.explaining": "Explanation explain",
    "recurra.api.exporting": "export_onnx export_published export_torch export_vectors",
    "recurra.api.folder": "OpenRun open_run",
    "recurra.api.generating": "generate midi suggest suggester",
    "recurra.api.groups": "TrainedGroup resume_group train_group",
    "recurra.api.inspecting": "Inspection inspect",
    "recurra.api.editors": "json_schema",
    "recurra.api.places": "asks_for_runs is_group is_search look_at_config look_at_file look_at_run",
    "recurra.api.configuring": "Checked Draft check draft init",
    "recurra.api.distributed": "Distributed",
    "recurra.api.joined": "Joined",
    "recurra.api.searching": "Found PictureSearch picture_search write_search_page",
    "recurra.api.sharing": "pull push",
    "recurra.api.text_searching": "TextSearch search_texts text_search",
    "recurra.api.training": "Trained finish resume train",
    "recurra.api.tuning.options": "TuneOptions",
    "recurra.api.tuning.tune": "Tuned tune",
    "recurra.api.word_questions": "Asked ask",
    "recurra.api.word_vectors": "vectors",
    "recurra.tasks": "Piece",
}
_PLACES = {name: module for module, names in _NAMES.items() for name in names.split()}


if not TYPE_CHECKING:  # else every name would be one of this module

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module 'recurra.api' has no attribute '{name}'")
        if _PLACES[name] not in sys.modules:
            with uncollected():
                import_module(_PLACES[name])
        return getattr(sys.modules[_PLACES[name]], name)


def __dir__() -> list[str]:
    return sorted(__all__)
