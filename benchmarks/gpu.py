"""Everything that recurra does on a graphics processor, checked and timed in ten minutes; says what was not.

    python benchmarks/gpu.py [--minutes 10] [--compile sm_90 --cells lstm,gru]

It needs nothing from outside: a build of torch for CUDA (2.8 or later, which brings triton), numpy, and recurra's own
requirements must be installed before (`pip install -e '.[gpu]'` with such a torch); `transformers` is used if it is
there. Without a CUDA device it says so and ends with 0, and nothing is measured.

1. Checks. Every cell's Triton kernels, in both forms, beside the equations in float64: outputs, last states and all
   gradients, ragged. Some of them in both directions, and with values made again in place of kept. A failure ends
   with 1. bfloat16 is told with its distance. Most of this time is Triton's compiler's.
2. Times, of forward and backward, medians in turns. cuDNN through recurra beside torch.nn (0.95 or more is wanted);
   cells that nobody fuses beside their equations run by torch, one operation after another (5 or more is wanted);
   BERT-mini beside transformers with SDPA, at lengths uniform in [T / 10, T] (1.2 or more is wanted).

--compile needs no device: the kernels of some cells are compiled for an architecture, and the shared memory and
registers that they take are told, beside the formula of docs/concepts/gpu.md.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.cells import CELLS
from recurra.engine import gpu
from recurra.nn import GRU, LSTM, Recurrent, TransformerEncoder, TransformerEncoderLayer

# float32 by three products of TF32 each, over some steps; bfloat16 is told, not judged.
AGREE = 2e-4
ROUNDS = 7
KEPT = gpu.TAPE_BYTES


class OutOfTimeError(Exception):
    """The minutes are over."""


class Clock:
    """Ends the run before it is ended."""

    def __init__(self, minutes: float) -> None:
        self.until = time.monotonic() + 60 * minutes

    def row(self, text: str) -> None:
        """Begin a row, if there is time for one."""
        if time.monotonic() > self.until:
            raise OutOfTimeError(text)
        print(text, end="  ", flush=True)


def step_of(module: nn.Module, forward: Callable[[], Tensor]) -> Callable[[], None]:
    """One training step without an optimizer."""

    def step() -> None:
        module.zero_grad(set_to_none=True)
        forward().float().square().mean().backward()

    return step


def seconds(steps: Sequence[Callable[[], None]]) -> list[float]:
    """The median of each, in turns, after two that warm up."""
    taken: list[list[float]] = [[] for _ in steps]
    for turn in range(ROUNDS + 2):
        for place, step in enumerate(steps):
            torch.cuda.synchronize()
            begun = time.perf_counter()
            step()
            torch.cuda.synchronize()
            if turn > 1:
                taken[place].append(time.perf_counter() - begun)
    return [statistics.median(each) for each in taken]


def told(ours: float, theirs: float, wanted: float) -> None:
    ratio = theirs / ours
    print(f"ours {ours * 1e3:8.2f} ms  theirs {theirs * 1e3:8.2f} ms  {ratio:5.2f}x (wanted: {wanted}x)", flush=True)


# -- 1. checks ---------------------------------------------------------------------------------------------------------


def layer_of(name: str, I: int, H: int, **options: object) -> Recurrent:
    projected = {"proj_size": H // 2} if name == "lstm_projected" else {}
    return Recurrent(I, H, cell=name, **projected, **options).cuda()  # type: ignore[arg-type]


def results(layer: Recurrent, x: Tensor, lengths: Tensor) -> list[Tensor]:
    """Output, last states, and gradients of a scalar that sees them all."""
    x = x.clone().requires_grad_()
    output, states = layer(x, lengths=lengths)
    ends = states if isinstance(states, tuple) else (states,)
    total = sum(
        (t.double() * torch.linspace(-1, 1, t.numel(), device="cuda").view_as(t)).sum() for t in (output, *ends)
    )
    return [output, *ends, *torch.autograd.grad(total, [x, *layer.parameters()])]


def apart(got: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest difference, of numbers below 1 absolutely, else relative to the largest."""
    pairs = zip(got, expected, strict=True)
    return max(float((a.double() - b).abs().max() / b.abs().max().clamp_min(1)) for a, b in pairs)


def check(name: str, H: int, kind: torch.dtype, *, both: bool = False) -> float:
    """How far kernels are from the equations in float64."""
    torch.manual_seed(0)
    layer = layer_of(name, 24, H, bidirectional=both, backend="triton")
    exact = copy.deepcopy(layer).double()
    exact.backend = "reference"
    x, lengths = torch.randn(13, 19, 24, device="cuda"), torch.randint(0, 14, (19,), device="cuda")
    expected = results(exact, x.double(), lengths)
    return apart(results(layer.to(kind), x.to(kind), lengths), expected)


def checks(clock: Clock) -> bool:
    """Whether every cell agrees."""
    right = True
    for H, form in ((32, "held"), (200, "tiled")):
        for name in CELLS:
            clock.row(f"check {name:18} H {H:3} {form:5}")
            right &= judged(check(name, H, torch.float32))
        for name in ("lstm_peephole", "gru_reset_before"):
            clock.row(f"check {name:18} H {H:3} {form:5} both directions")
            right &= judged(check(name, H, torch.float32, both=True))
            clock.row(f"check {name:18} H {H:3} {form:5} values made again")
            gpu.TAPE_BYTES = -1
            right &= judged(check(name, H, torch.float32))
            gpu.TAPE_BYTES = KEPT
            clock.row(f"check {name:18} H {H:3} {form:5} bfloat16")
            print(f"{check(name, H, torch.bfloat16):.1e}", flush=True)
    return right


def judged(distance: float) -> bool:
    print(f"{distance:.1e} (at most {AGREE:.0e}){'' if distance <= AGREE else '  WRONG'}", flush=True)
    return distance <= AGREE


# -- 2. times ----------------------------------------------------------------------------------------------------------


def fused(clock: Clock) -> None:
    """cuDNN through recurra, beside torch.nn."""
    for T, N, I, H in ((100, 32, 128, 256), (100, 64, 256, 512), (500, 16, 80, 320), (35, 20, 650, 650)):
        for ours_of, theirs_of in ((LSTM, nn.LSTM), (GRU, nn.GRU)):
            for kind in (torch.float32, torch.bfloat16):
                clock.row(f"cuDNN {theirs_of.__name__} ({T},{N},{I},{H}) {str(kind)[6:]:8}")
                ours, theirs = ours_of(I, H).cuda().to(kind), theirs_of(I, H).cuda().to(kind)
                theirs.load_state_dict(ours.state_dict())
                x = torch.randn(T, N, I, device="cuda", dtype=kind)
                steps = [step_of(m, lambda m=m, x=x: m(x)[0]) for m in (ours, theirs)]
                told(*seconds(steps), 0.95)


def unfused(clock: Clock) -> None:
    """Triton kernels, beside the cell's equations run by torch."""
    for T, N, I, H in ((100, 64, 128, 128), (100, 64, 256, 512)):
        for name in ("lstm_peephole", "gru_reset_before", "lstm_layernorm", "slstm", "indrnn", "mgu"):
            for kind in (torch.float32, torch.bfloat16):
                clock.row(f"{name:18} ({T},{N},{I},{H}) {str(kind)[6:]:8}")
                ours = layer_of(name, I, H).to(kind)
                assert ours.executor() == "triton", ours.executor()
                theirs = copy.deepcopy(ours)
                theirs.backend = "reference"
                x = torch.randn(T, N, I, device="cuda", dtype=kind)
                told(*seconds([step_of(m, lambda m=m, x=x: m(x)[0]) for m in (ours, theirs)]), 5)


def bert(clock: Clock) -> None:
    """Encoders of BERT-mini's size: 4 layers of 256, 4 heads, a feed-forward part of 1,024."""
    try:
        from transformers import BertConfig, BertModel
    except ImportError:
        print("BERT-mini  unmeasured: transformers is not installed")
        return
    config = BertConfig(
        hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024, attn_implementation="sdpa"
    )
    theirs = BertModel(config, add_pooling_layer=False).cuda()
    layer = TransformerEncoderLayer(256, 4, 1024, 0.1, "gelu", batch_first=True)
    ours = TransformerEncoder(layer, 4).cuda()
    for T, N in ((128, 64), (512, 16)):
        clock.row(f"BERT-mini T {T} N {N}")
        lengths = torch.randint(T // 10, T + 1, (N,), device="cuda")
        mask = (torch.arange(T, device="cuda") < lengths.unsqueeze(1)).long()
        x = torch.randn(N, T, 256, device="cuda")
        one = step_of(ours, lambda x=x, lengths=lengths: ours(x, lengths=lengths))
        other = step_of(theirs, lambda x=x, mask=mask: theirs(inputs_embeds=x, attention_mask=mask).last_hidden_state)
        told(*seconds([one, other]), 1.2)


# -- without a device --------------------------------------------------------------------------------------------------


def compiled(name: str, H: int, kind: str, architecture: int, *, recompute: bool) -> None:
    """Compile a cell's kernels, and tell what they take."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types = {"float32": "*fp32", "bfloat16": "*bf16"}
    held = gpu.holds(CELLS[name], {"I": H, "H": H, "P": H}, getattr(torch, kind), gpu.SHARED_BYTES, recompute=recompute)
    module, _ = gpu.module(CELLS[name], bias=True, held=held, recompute=recompute)
    wide = gpu.tile(H) if held else min(gpu.tile(H), gpu.TILE)
    constants = {"H": H, "P": H, "BN": gpu.ROWS, "BH": wide, "BP": wide, "BK": gpu.DEPTH, "REVERSE": False}
    constants |= {"TRAINING": True, "PRECISION": gpu.precision(), "WIDEN": False}
    rounded = {
        "wx",
        "output",
        "args_H",
        "args_P",
        "d_output",
        "delta_W",
        "delta_R",
        "delta_P",
        "weight_hh",
        "weight_hr",
    }
    for kernel in (module.forward, module.backward):
        plain = {"kept_T": "i32", "N": "i32", "lengths": "*i32"} | dict.fromkeys(rounded, types[kind])
        signature = {w: "constexpr" if w in constants else plain.get(w, "*fp32") for w in kernel.arg_names}
        aligned = {(k,): [["tt.divisibility", 16]] for k, w in enumerate(kernel.arg_names) if "*" in signature[w]}
        source = ASTSource(kernel, signature, {w: v for w, v in constants.items() if w in signature}, aligned)
        options = gpu.options(wide, held=held)
        made = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)
        print(
            f"{name:18} H {H:4} {kind:8} sm_{architecture} {'held' if held else 'tiled':5} {kernel.__name__:8} "
            f"shared {made.metadata.shared:7}  {usage(made.asm['cubin'])}",
            flush=True,
        )
    if held:
        print(f"{'':18} formula: {gpu.held_bytes(CELLS[name], {'H': H, 'P': H}, getattr(torch, kind))}")


def usage(cubin: bytes) -> str:
    """Registers of a thread, and bytes of its stack, to which registers are spilled."""
    import triton

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
        text = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    return " ".join(word for word in text.split() if word.startswith(("REG:", "STACK:")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--compile", metavar="sm_90")
    parser.add_argument("--recompute", action="store_true", help="with --compile: values are made again, and not kept")
    parser.add_argument("--cells", default="lstm_peephole,gru_reset_before")
    parser.add_argument("--sizes", default="64,128,256")
    args = parser.parse_args()
    if args.compile:
        if not gpu.installed():
            raise ConfigError("triton is not installed (pip install 'recurra[gpu]', on Linux)")
        for name in args.cells.split(","):
            for H in map(int, args.sizes.split(",")):
                architecture = int(args.compile.removeprefix("sm_"))
                compiled(name, H, "bfloat16", architecture, recompute=args.recompute)
        return 0
    if not torch.cuda.is_available():
        print("unmeasured: no CUDA device")
        return 0
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
    clock = Clock(args.minutes)
    try:
        right = checks(clock)
        fused(clock)
        bert(clock)
        unfused(clock)
    except OutOfTimeError as left:
        print(f"unmeasured, as {args.minutes:g} minutes were over: {left}, and all behind it")
        return 1 if str(left).startswith("check") else 0
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
