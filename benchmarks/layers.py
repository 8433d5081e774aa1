"""recurra's CPU engine beside torch.nn, interleaved in one run: `python benchmarks/layers.py --threads 1`.

For each layer: milliseconds (median), GFLOP/s, share of the FMA peak measured between the runs, and the ratio to
torch's own layer (a packed sequence where lengths vary). With one thread the clock counts CPU time, so other programs
on the machine disturb less; with more it is wall time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn.utils.rnn import pack_padded_sequence

from recurra.cells import CELLS
from recurra.engine import Call, Weights, cpu, run
from recurra.lower import layout

GRID = (
    (100, 1, 64, 64),
    (50, 32, 64, 128),
    (100, 32, 128, 256),
    (100, 64, 256, 512),
    (35, 20, 650, 650),
    (400, 64, 1, 64),
    (20, 256, 300, 128),
    (500, 16, 80, 320),
)
GATES = {"rnn": 1, "lstm": 4, "lstm_peephole": 4, "lstm_layernorm": 4, "gru": 3, "gru_reset_before": 3}
PEERS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
Work = Callable[[], object]


def main() -> None:
    """Print one line a layer, or a JSON list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", default=",".join(GATES))
    parser.add_argument("--modes", default="train,infer")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0, help="of measuring a layer")
    parser.add_argument("--grid", default=",".join(map(str, range(len(GRID)))), help="numbers of the configurations")
    parser.add_argument("--lengths", action="store_true", help="uniform in [T/10, T], in place of T for all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for mode in options.modes.split(","):
        for name in options.cells.split(","):
            for k in map(int, options.grid.split(",")):
                rows.append(measure(name, GRID[k], mode, options))
                if not options.json:
                    print(line(rows[-1]), flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))


def measure(name: str, sizes: tuple[int, int, int, int], mode: str, options: argparse.Namespace) -> dict[str, object]:
    """Times of recurra and its peers for one layer."""
    T, N, I, H = sizes
    torch.manual_seed(0)
    lengths = torch.randint(T // 10, T + 1, (N,)) if options.lengths else None
    tokens = T * N if lengths is None else int(lengths.sum())
    works = {"recurra": ours(name, sizes, mode, lengths)}
    if name in PEERS:
        works["torch"] = theirs(name, sizes, mode, lengths)
    times, peaks = interleave(works, options)
    operations = 2 * tokens * GATES[name] * H * (I + H) * (3 if mode == "train" else 1)
    median = {k: statistics.median(v) for k, v in times.items()}
    peak = statistics.median(peaks) * options.threads
    return {
        "cell": name,
        "mode": mode,
        "threads": options.threads,
        "T, N, I, H": sizes,
        "milliseconds": median["recurra"] * 1e3,
        "GFLOP/s": operations / median["recurra"] / 1e9,
        "share of peak": operations / median["recurra"] / peak,
        "peak GFLOP/s": peak / 1e9,
        **{f"times as fast as {k}": v / median["recurra"] for k, v in median.items() if k != "recurra"},
    }


def interleave(works: dict[str, Work], options: argparse.Namespace) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds of each work in turn, and the peak (operations a second of one core) between them."""
    clock = time.process_time if options.threads == 1 else time.perf_counter
    for work in works.values():
        work(), work()
    times: dict[str, list[float]] = {name: [] for name in works}
    peaks: list[float] = []
    end = time.perf_counter() + options.seconds
    while time.perf_counter() < end or len(peaks) < 3:
        begin = clock()
        operations = cpu._native.fma_rounds(cpu.instruction_set(), 50_000)
        peaks.append(operations / (clock() - begin))
        for name, work in works.items():
            begin = clock()
            work()
            times[name].append(clock() - begin)
    return times, peaks


def ours(name: str, sizes: tuple[int, int, int, int], mode: str, lengths: torch.Tensor | None) -> Work:
    T, N, I, H = sizes
    cell, train = CELLS[name], mode == "train"
    packed = {
        p.name: (torch.randn(p.shape({"I": I, "H": H, "P": H})) * H**-0.5).requires_grad_(train) for p in layout(cell)
    }
    x = torch.randn(T, N, I).requires_grad_(train)
    call = Call(x, tuple(torch.zeros(N, H) for _ in cell.states), Weights(cell, packed), lengths)
    d = torch.randn(T, N, H)

    def work() -> None:
        output = run(call, backend="cpu").output
        if train:
            torch.autograd.grad(output, [x, *packed.values()], d)

    return work


def theirs(name: str, sizes: tuple[int, int, int, int], mode: str, lengths: torch.Tensor | None) -> Work:
    T, N, I, H = sizes
    layer, train = PEERS[name](I, H), mode == "train"
    x = torch.randn(T, N, I).requires_grad_(train)
    d = torch.randn(T, N, H)

    def work() -> None:
        with torch.set_grad_enabled(train):
            if lengths is None:
                output, d_output = layer(x)[0], d
            else:
                packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
                output = layer(packed)[0].data
                d_output = d.flatten(0, 1)[: len(output)]
            if train:
                torch.autograd.grad(output, [x, *layer.parameters()], d_output)

    return work


def line(row: dict[str, object]) -> str:
    ratios = "  ".join(
        f"{v:5.2f}x {k.removeprefix('times as fast as ')}" for k, v in row.items() if k.startswith("times")
    )
    return (
        f"{row['mode']:5} {row['cell']:16} {row['threads']}t {row['T, N, I, H']!s:19} {row['milliseconds']:9.2f} ms "
        f"{row['GFLOP/s']:6.1f} GFLOP/s {row['share of peak']:5.0%} of peak  {ratios}"
    )


if __name__ == "__main__":
    main()
