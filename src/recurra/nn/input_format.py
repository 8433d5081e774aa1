"""The door of a recurrent layer: whatever form a sequence comes in, inside it is (T, N, I) with lengths.

Packed, batch first or unbatched input is turned once, here, and the results are turned back the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from recurra.base.errors import ShapeError
from recurra.engine import recording

Lengths: TypeAlias = Tensor | Sequence[int]


@dataclass(frozen=True, slots=True)
class InputFormat:
    """A sequence inside: x (T, N, I) time-major, lengths (N,) on x's device or None, and the form it came in."""

    x: Tensor
    lengths: Tensor | None
    form: PackedSequence | None
    batched: bool
    batch_first: bool

    def restore(self, output: Tensor) -> Tensor | PackedSequence:
        """The output (T, N, F) in the form in which the input came."""
        if self.form is not None:
            return _pack_like(output, self.form)
        if not self.batched:
            return output.squeeze(1)
        return output.transpose(0, 1) if self.batch_first else output

    def restore_state(self, state: Tensor) -> Tensor:
        """A state (layers * directions, N, width), without N if the input had no batch."""
        return state if self.batched else state.squeeze(1)


def normalize_input(
    name: str,
    x: Tensor | PackedSequence,
    lengths: Lengths | None,
    *,
    input_size: int,
    batch_first: bool,
    weight: Tensor,
) -> InputFormat:
    """Check the input of layer `name` and turn it to (T, N, I).

    Raises ShapeError, with torch's own words where torch refuses the same thing.
    """
    if isinstance(x, PackedSequence):
        if lengths is not None:
            raise ShapeError(f"{name}: a PackedSequence brings its lengths; leave out lengths=.")
        check_dense(f"{name}: the input", x.data)
        _check_features(name, x.data, input_size, weight)
        padded, packed_lengths = pad_packed_sequence(x)
        return InputFormat(padded, packed_lengths.to(padded.device), x, True, batch_first)
    check_dense(f"{name}: the input", x)
    if x.dim() not in (2, 3):
        raise ShapeError(f"{name}: Expected input to be 2D or 3D, got {x.dim()}D instead")
    _check_features(name, x, input_size, weight)
    if x.dim() == 2:
        if lengths is not None:
            raise ShapeError(f"{name}: lengths= needs a batch (T, N, I); this input is one sequence {tuple(x.shape)}.")
        return InputFormat(x.unsqueeze(1), None, None, False, batch_first)
    inside = x.transpose(0, 1) if batch_first else x
    return InputFormat(inside, check_lengths(name, lengths, inside), None, True, batch_first)


def check_lengths(name: str, lengths: Lengths | None, x: Tensor) -> Tensor | None:
    """Lengths as an int64 tensor on x's device, or None where every sequence is as long as x (T, N, ...).

    Raises ShapeError unless there are N whole numbers in 0..T.
    """
    if lengths is None:
        return None
    T, N = x.shape[:2]
    # On the CPU, whatever torch's default device is; a tensor stays where it is until it has been looked at.
    found = lengths if isinstance(lengths, Tensor) else torch.as_tensor(lengths, device="cpu")
    if not isinstance(lengths, Tensor) and not found.numel():
        found = found.long()  # torch takes [] for floats
    if found.shape != (N,) or found.is_floating_point() or found.dtype == torch.bool:
        raise ShapeError(
            f"{name}: lengths has shape {tuple(found.shape)} and type {found.dtype}, expected ({N},) whole numbers: "
            "one length a sequence."
        )
    found = found.to(device=x.device, dtype=torch.int64)
    if recording():  # the numbers are not there yet; who computes with them looks at them
        return found
    if N and not (int(found.min()) >= 0 and int(found.max()) <= T):
        raise ShapeError(f"{name}: lengths run from {int(found.min())} to {int(found.max())}, expected 0 to T = {T}.")
    return found


def check_dense(what: str, x: Tensor) -> None:
    """Raise ShapeError for a tensor without strides: sparse, nested, or in the layout of a library."""
    if x.is_nested:
        raise ShapeError(f"{what} is a nested tensor, expected a dense one: pad it, and give lengths=.")
    if x.layout is not torch.strided:
        raise ShapeError(f"{what} has the layout {x.layout}, expected a dense tensor: use .to_dense().")


def _check_features(name: str, x: Tensor, input_size: int, weight: Tensor) -> None:
    if x.size(-1) != input_size:
        raise ShapeError(f"{name}: input.size(-1) must be equal to input_size. Expected {input_size}, got {x.size(-1)}")
    if x.device != weight.device:
        raise ShapeError(
            f"{name}: Input and parameter tensors are not at the same device, found input tensor at {x.device} "
            f"and parameter tensor at {weight.device}"
        )
    if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
        raise ShapeError(
            f"{name}: RNN input dtype ({x.dtype}) does not match weight dtype ({weight.dtype}). "
            f"Convert input: input.to({weight.dtype}), or convert model: model.to({x.dtype})"
        )


def _pack_like(output: Tensor, form: PackedSequence) -> PackedSequence:
    """`output` (T, N, F) packed in the very order of `form`."""
    _, lengths = pad_packed_sequence(PackedSequence(form.data[:, :1], form.batch_sizes))  # in packed order
    ordered = output if form.sorted_indices is None else output.index_select(1, form.sorted_indices)
    data = pack_padded_sequence(ordered, lengths).data
    return PackedSequence(data, form.batch_sizes, form.sorted_indices, form.unsorted_indices)
