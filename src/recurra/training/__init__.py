"""The loop, and everything that must survive a crash. Knows torch modules, Batch, Loss and Progress; knows no task.

loop          fit: one optimizer step per batch, yields Progress
precision     products in bfloat16, the rest in float32
tbptt         the state of each row goes on from batch to batch
randomness    dropout of a step is a function of (seed, step, rank)
ranks         several processes share each batch, and add up their gradients
rendezvous    where the ranks that a launcher has started meet, and who of them still lives
nonfinite     stop | skip: what to do when a loss or gradient is NaN or infinite
optimizers    sgd | rmsprop | adam | adamw, from torch; nt_asgd
averaging     the mean of the weights over steps, and a model that wears it
schedules     constant | linear | cosine | step | inverse_sqrt | plateau: the learning rate as a function of the step
clipping      none | norm | value
penalties     l1 | l2, on weights
linear        a linear model of sparse rows, solved at once
forest        extremely randomised trees, grown at once
ridge         ridge regression of few rows on many columns
checkpoint    one file: safetensors, JSON, SHA-256; written whole or not at all
checkpoint_manager  last.ckpt, last.prev.ckpt, best.ckpt of a run folder; passes over damage, aloud
weights       model.safetensors, strict
tensors       ties, checks and checksums of named tensors
lock          one writer per folder
log           log.jsonl, cut back on a resume
best          the best development score so far
early_stopping  patience
every         each n-th step
memory        freed memory stays for the next step
interrupts    Ctrl-C and SIGTERM become a question
speed         tokens per second and time left
bounds        `Opt` bounds hold for Python callers too
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from recurra.base.registry import Registry
from recurra.training.averaging import AveragedSGD, WeightAverage, averaged
from recurra.training.best import Best
from recurra.training.checkpoint import Checkpoint, DamagedError, MissingError
from recurra.training.checkpoint_manager import Checkpoints, Found
from recurra.training.clipping import Clipping, clip_norm, clip_value, no_clipping
from recurra.training.early_stopping import EarlyStopping
from recurra.training.every import every
from recurra.training.forest import grown
from recurra.training.interrupts import Stopping
from recurra.training.linear import SparseRows, chosen_l2, solve
from recurra.training.lock import FolderLock, TakenError
from recurra.training.log import Log
from recurra.training.loop import fit
from recurra.training.nonfinite import OnNonfinite, Rows, Skip, Stop
from recurra.training.optimizers import adam, adamw, nt_asgd, rmsprop, sgd
from recurra.training.penalties import Penalty, l1, l2
from recurra.training.ranks import Group, LostError, Ranks, SingleProcess
from recurra.training.rendezvous import Meeting, choose_interface
from recurra.training.ridge import ridge
from recurra.training.schedules import (
    COURSE,
    OfTime,
    Schedule,
    constant,
    cosine,
    inverse_sqrt,
    linear,
    plateau,
    stepwise,
)
from recurra.training.speed import Speed
from recurra.training.tbptt import TruncatedBPTT
from recurra.training.tensors import put_weights
from recurra.training.weights import check_weights, load_weights, save_weights, step_of

OPTIMIZERS: Registry[Callable[..., torch.optim.Optimizer]] = Registry("optimizer")
OPTIMIZERS.add("sgd", sgd)
OPTIMIZERS.add("rmsprop", rmsprop)
OPTIMIZERS.add("adam", adam)
OPTIMIZERS.add("adamw", adamw)
OPTIMIZERS.add("nt_asgd", nt_asgd)

SCHEDULES: Registry[Callable[..., Schedule]] = Registry("schedule")
SCHEDULES.add("constant", constant)
SCHEDULES.add("linear", linear)
SCHEDULES.add("cosine", cosine)
SCHEDULES.add("step", stepwise)
SCHEDULES.add("inverse_sqrt", inverse_sqrt)
SCHEDULES.add("plateau", plateau)

CLIPPINGS: Registry[Callable[..., Clipping]] = Registry("clipping")
CLIPPINGS.add("none", no_clipping)
CLIPPINGS.add("norm", clip_norm)
CLIPPINGS.add("value", clip_value)

PENALTIES: Registry[Callable[..., Penalty]] = Registry("penalty")
PENALTIES.add("l1", l1)
PENALTIES.add("l2", l2)

ON_NONFINITE: Registry[Callable[..., OnNonfinite]] = Registry("on_nonfinite")
ON_NONFINITE.add("stop", Stop)
ON_NONFINITE.add("skip", Skip)

__all__ = [
    "CLIPPINGS",
    "COURSE",
    "ON_NONFINITE",
    "OPTIMIZERS",
    "PENALTIES",
    "SCHEDULES",
    "AveragedSGD",
    "Best",
    "Checkpoint",
    "Checkpoints",
    "DamagedError",
    "EarlyStopping",
    "FolderLock",
    "Found",
    "Group",
    "Log",
    "LostError",
    "Meeting",
    "MissingError",
    "OfTime",
    "OnNonfinite",
    "Ranks",
    "Rows",
    "Schedule",
    "SingleProcess",
    "Skip",
    "SparseRows",
    "Speed",
    "Stop",
    "Stopping",
    "TakenError",
    "TruncatedBPTT",
    "WeightAverage",
    "averaged",
    "check_weights",
    "choose_interface",
    "chosen_l2",
    "every",
    "fit",
    "grown",
    "load_weights",
    "put_weights",
    "ridge",
    "save_weights",
    "solve",
    "step_of",
]
