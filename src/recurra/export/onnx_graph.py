"""An ONNX graph while it is drawn: nodes in order, named values, and weights as constants."""

from __future__ import annotations

import hashlib
import importlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.errors import ConfigError

# The name of a value in the graph; "" is an input that is left out.
Value: TypeAlias = str
Array: TypeAlias = NDArray[Any]
# Sizes of an input or output: a number, or a name for one that is free.
Shape: TypeAlias = Sequence[int | str]

# The operator set that has all we use (ScatterElements adds since 16), and the file format of its time, so that a
# runtime of 2022 can read it.
OPSET, IR_VERSION = 17, 8
# Types of elements by number, as `Cast` takes them: onnx.TensorProto.FLOAT and its like.
FLOAT, INT32, INT64, DOUBLE = 1, 6, 7, 11
# protobuf, in which the file is written, stops at 2 GiB.
MAX_BYTES = 2**31 - 1

MISSING = 'export to ONNX needs onnx and onnxruntime, which are not installed; pip install "recurra[onnx]".'
MISSING_ONE = (
    "export for {name} runs the file there before it is kept, and {name} is not installed; pip install {name}."
)


def package(name: str) -> Any:
    """onnx, or a runtime. Raises ConfigError, with what to install, if it is not there."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise ConfigError(MISSING if name in ("onnx", "onnxruntime") else MISSING_ONE.format(name=name)) from None


class Drawing:
    """Nodes of one graph; `body` makes the graph of a loop inside it, which sees all that is drawn here.

    Methods return names of values. Numbers and tensors become constants; equal ones are stored once.
    for_any: whether the graph must be right in every runtime, or in ONNX Runtime alone (`runtimes`)
    """

    def __init__(self, *, for_any: bool = True, outer: Drawing | None = None) -> None:
        self.for_any: bool = for_any if outer is None else outer.for_any
        self._helper: Any = package("onnx").helper if outer is None else outer._helper
        self._root: Drawing = self if outer is None else outer._root
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._constants: dict[Value, Array] = {}
        self._known: dict[tuple[Any, ...], Value] = {}
        self._taken: Counter[str] = Counter()

    # -- what goes in and out ----------------------------------------------------------------------------------------

    def input(self, name: Value, dtype: type[np.generic], shape: Shape) -> Value:
        """An input of the graph; two parts that read the same share it."""
        if name not in {one.name for one in self._inputs}:
            self._inputs.append(self._info(name, dtype, shape))
        return name

    def output(self, name: Value, value: Value, dtype: type[np.generic], shape: Shape) -> None:
        """An output of the graph."""
        self._nodes.append(self._helper.make_node("Identity", [value], [name]))
        self._outputs.append(self._info(name, dtype, shape))

    @property
    def outputs(self) -> list[Value]:
        """The names of the graph's outputs, in order."""
        return [one.name for one in self._outputs]

    def _info(self, name: Value, dtype: type[np.generic], shape: Shape) -> Any:
        kind = self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._helper.make_tensor_value_info(name, kind, list(shape))

    # -- constants ---------------------------------------------------------------------------------------------------

    def constant(self, value: Any, dtype: type[np.generic] = np.float32) -> Value:
        """A number or a list of them, of this type."""
        array = np.asarray(value, dtype=dtype)
        return self._stored(array, "constant")

    def integers(self, *numbers: int) -> Value:
        """A list of whole numbers, such as axes or a shape."""
        return self.constant(numbers, np.int64)

    def weight(self, tensor: torch.Tensor, name: str = "weight") -> Value:
        """A tensor of the model. Raises ConfigError unless it is float32."""
        if tensor.dtype is not torch.float32:
            raise ConfigError(f"export: the model has {tensor.dtype} weights, expected float32; call .float() on it.")
        array = tensor.detach().cpu().contiguous().numpy()
        return self._stored(array, name)

    def _stored(self, array: Array, name: str) -> Value:
        root = self._root
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in root._known:
            root._known[key] = self.named(name)
            root._constants[root._known[key]] = array
        return root._known[key]

    # -- nodes -------------------------------------------------------------------------------------------------------

    def put(self, kind: str, *inputs: Value, **attributes: Any) -> Value:
        """A node with one output."""
        (value,) = self.puts(kind, inputs, 1, **attributes)
        return value

    def puts(self, kind: str, inputs: Sequence[Value], count: int, **attributes: Any) -> list[Value]:
        """A node with several outputs."""
        outputs = [self.named(kind.lower()) for _ in range(count)]
        self._nodes.append(self._helper.make_node(kind, list(inputs), outputs, **attributes))
        return outputs

    def named(self, word: str) -> Value:
        """A name that no value of the file has yet."""
        # One numbering for all graphs of a file: a loop's graph must not reuse a name of the one around it.
        self._root._taken[word] += 1
        return f"{word}_{self._root._taken[word]}"

    def body(self) -> Drawing:
        """An empty graph inside this one, for a loop."""
        return Drawing(outer=self)

    # -- what is needed everywhere -----------------------------------------------------------------------------------

    def size(self, value: Value, axis: int) -> Value:
        """One size of a value, a whole number without axes."""
        return self.put("Gather", self.put("Shape", value), self.constant(axis, np.int64))

    def take(self, value: Value, index: int, axis: int) -> Value:
        """One place of an axis, which goes."""
        return self.put("Gather", value, self.constant(index, np.int64), axis=axis)

    def spread(self, value: Value, *axes: int) -> Value:
        """The same numbers with axes of size 1 added."""
        return self.put("Unsqueeze", value, self.integers(*axes))

    def where(self, condition: Value, value: Value, otherwise: Value | float = 0.0) -> Value:
        """Selected, not multiplied: a NaN that is not chosen reaches nothing."""
        other = otherwise if isinstance(otherwise, str) else self.constant(otherwise)
        return self.put("Where", condition, value, other)

    def join(self, values: Sequence[Value], axis: int) -> Value:
        """Values one after the other along an axis."""
        return values[0] if len(values) == 1 else self.put("Concat", *values, axis=axis)

    def steps(self, length: Value) -> Value:
        """0, 1, ... below a whole number."""
        return self.put("Range", self.constant(0, np.int64), length, self.constant(1, np.int64))

    def sequence_mask(self, lengths: Value, x: Value) -> Value:
        """(T, N) bool, True where a step of x (T, N, ...) is real, from lengths (N,)."""
        step = self.spread(self.steps(self.size(x, 0)), 1)
        return self.put("Less", step, self.spread(lengths, 0))

    def zeros(self, *sizes: Value | int) -> Value:
        """Zeros of a shape whose sizes are numbers, or values without axes."""
        shape = [self.spread(size, 0) if isinstance(size, str) else self.integers(size) for size in sizes]
        return self.put("Expand", self.constant(0.0), self.join(shape, 0))

    def one_more(self, value: Value, *, axis: int = 0, dtype: type[np.generic] = np.float32) -> Value:
        """A value of this type with one more place of zeros at the end of an axis; `all_but_last` takes it off."""
        shape = self.put("ScatterElements", self.put("Shape", value), self.integers(axis), self.integers(1), axis=0)
        return self.put("Concat", value, self.put("Expand", self.constant(0, dtype), shape), axis=axis)

    def all_but_last(self, value: Value, *, axis: int = 0) -> Value:
        """Without the last place of an axis."""
        return self.put("Slice", value, self.integers(0), self.integers(-1), self.integers(axis))

    # -- the end -----------------------------------------------------------------------------------------------------

    def graph(self, name: str) -> Any:
        """The graph, for the attribute of a loop or for a file."""
        from_array = package("onnx").numpy_helper.from_array
        nodes, read = _needed(self._nodes, self.outputs)
        constants = [from_array(array, value) for value, array in self._constants.items() if value in read]
        return self._helper.make_graph(nodes, name, self._inputs, self._outputs, constants)

    def file(self, metadata: Mapping[str, str]) -> bytes:
        """The model as a file has it, with texts for those who read it. Raises ConfigError beyond 2 GiB."""
        size = sum(array.nbytes for array in self._constants.values())
        if size + sum(len(text) for text in metadata.values()) > MAX_BYTES:
            raise ConfigError(
                f"export: the weights take {size:,} bytes, expected at most {MAX_BYTES:,}, the largest ONNX file; "
                "train a smaller model, or use --torch."
            )
        model = self._helper.make_model(
            self.graph("recurra"),
            opset_imports=[self._helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="recurra",
        )
        self._helper.set_model_props(model, dict(metadata))
        package("onnx").checker.check_model(model)
        written: bytes = model.SerializeToString()
        return written


def _needed(nodes: Sequence[Any], outputs: Sequence[Value]) -> tuple[list[Any], set[Value]]:
    """The nodes without which the outputs cannot be made, in order, and all values that they read."""
    found, read = [], set(outputs)
    for node in reversed(nodes):
        if read.intersection(node.output):
            found.append(node)
            read.update(_read_by(node))
    return found[::-1], read


def _read_by(node: Any) -> Iterator[Value]:
    """What a node reads, and what the graphs inside it do."""
    yield from node.input
    for attribute in node.attribute:
        yield from (one.name for one in attribute.g.output)
        for inside in attribute.g.node:
            yield from _read_by(inside)
