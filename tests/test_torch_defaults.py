"""Tensors are made in a type that the code names: torch's default type belongs to the calling program.

Parameters of a layer are the exception: like torch.nn's, they are made in the default type, on the default device.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

SRC = Path(__file__).parent.parent / "src" / "recurra"
# Those of torch that make real numbers where no type is given, whatever their arguments are.
MAKERS = {"empty", "zeros", "ones", "rand", "randn", "eye", "linspace", "logspace"}
# And those that go by their arguments: whole numbers give int64, but floats the default type.
BY_ARGUMENT = {"full", "tensor"}
ANY = re.compile(rf"torch\.(?:{'|'.join(sorted(MAKERS | BY_ARGUMENT))})\b")
# Parameters and buffers of layers.
LAYERS = {
    ("nn/conv_lstm.py", "zeros"),
    ("models/fusion_model.py", "empty"),
    ("nn/embed.py", "empty"),
    ("nn/embed.py", "eye"),
    ("nn/softmax.py", "zeros"),
    ("models/heads/tags.py", "zeros"),
    ("nn/transformer/attention.py", "empty"),
    ("nn/transformer/attention.py", "zeros"),
}


def untyped(tree: ast.AST) -> list[tuple[str, int]]:
    """Names and lines of calls that make a tensor in torch's default type."""
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    named = [(call.func.attr, call) for call in calls if getattr(call.func.value, "id", None) == "torch"]
    return [
        (maker, call.lineno)
        for maker, call in named
        if maker in MAKERS | BY_ARGUMENT and not any(keyword.arg == "dtype" for keyword in call.keywords)
    ]


def test_a_tensor_that_is_no_parameter_is_made_in_a_type_that_is_named() -> None:
    found = {
        (str(path.relative_to(SRC)), maker, line)
        for path in SRC.rglob("*.py")
        if ANY.search(text := path.read_text("utf-8"))
        for maker, line in untyped(ast.parse(text))
    }
    assert {one for one in found if one[:2] not in LAYERS} == set()


def test_a_call_without_a_type_is_found() -> None:
    assert untyped(ast.parse("torch.zeros(3)\ntorch.tensor([1.0], dtype=d)\ntorch.full((), 1.0)")) == [
        ("zeros", 1),
        ("full", 3),
    ]
