"""From a cell's equations to everything that is derived from them.

trace       equations, called with symbols, become a graph
graph       the closed list of node kinds, and their widths
gradient    the gradient graph, and what the tape must keep
parameters  which parameters there are, their shapes and packing order
schedule    what is hoisted out of time, and the products of each phase
equations   plain text and LaTeX
serial      a cell as JSON and back, without code
"""

from __future__ import annotations

from recurra.lower.equations import LATEX, PLAIN, equations
from recurra.lower.gradient import Gradient, gradient
from recurra.lower.graph import Graph, Node
from recurra.lower.parameters import Parameter, layout, projects, recurrent_width
from recurra.lower.schedule import Schedule, schedule
from recurra.lower.serial import equal, from_json, to_json
from recurra.lower.trace import trace

__all__ = [
    "LATEX",
    "PLAIN",
    "Gradient",
    "Graph",
    "Node",
    "Parameter",
    "Schedule",
    "equal",
    "equations",
    "from_json",
    "gradient",
    "layout",
    "projects",
    "recurrent_width",
    "schedule",
    "to_json",
    "trace",
]
