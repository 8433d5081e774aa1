"""Looks inside a model while it learns or answers: gradients through time, gates, saturation, saliency.

hooks          every step of every recurrent layer, while a model runs
lag            steps counted from the end of each row
gradient_flow  how much of a gradient the recurrence carries back, step by step
activations    gates and other activations: names, saturation, ranges
probe          one look at a model in training
updates        how large an update is beside the weights
attending      heads of attention, and what outputs depend on
verdict        healthy, vanishing, exploding, saturated: the thresholds
diagnosis      probes of a training, and the verdict on the whole
advice         what to change in a config, and the command that shows whether it helps
fitting        how a whole training went, from its scores
rendering      all of it as tables and charts
"""

from __future__ import annotations

from recurra.doctor.activations import Activation
from recurra.doctor.advice import Advice, advice
from recurra.doctor.diagnosis import Course, Diagnosis
from recurra.doctor.fitting import Finding, Story, findings
from recurra.doctor.gradient_flow import GradientFlow
from recurra.doctor.hooks import Seen, watching
from recurra.doctor.probe import LayerProbe, Probe, probe
from recurra.doctor.verdict import Verdict, judged

__all__ = [
    "Activation",
    "Advice",
    "Course",
    "Diagnosis",
    "Finding",
    "GradientFlow",
    "LayerProbe",
    "Probe",
    "Seen",
    "Story",
    "Verdict",
    "advice",
    "findings",
    "judged",
    "probe",
    "watching",
]
