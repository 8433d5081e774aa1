"""`recurra bench`: this machine, recurra beside torch.nn and every other installed peer."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from recurra.cli.arguments import Command, add_json, natural
from recurra.cli.failures import DONE
from recurra.cli.terminal import put, put_json, say, shows_progress

if TYPE_CHECKING:
    from recurra.bench import Configuration, Machine, Row

_SECONDS, _QUICK_SECONDS = 1.0, 0.2


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="two cells and small sizes, in under a minute")
    parser.add_argument(
        "--modes", type=_words, help="of: train, infer, lengths, stream, bidirectional, memory (default: all)"
    )
    parser.add_argument("--cells", type=_words, metavar="CELLS", help="e.g. lstm,gru (default: six)")
    parser.add_argument(
        "--grid", type=_words, help="numbers 0 to 7, or sizes TxNxIxH such as 100x32x128x256 (default: a mode's own)"
    )
    parser.add_argument("--peers", type=_words, help="e.g. torch,jax (default: all that are installed)")
    parser.add_argument(
        "--threads", type=natural, default=1, help="1: clocked in CPU time; more: in wall time (default: 1)"
    )
    parser.add_argument(
        "--seconds", type=float, help=f"of measuring each line (default: {_SECONDS}; quick: {_QUICK_SECONDS})"
    )
    add_json(parser, "the results")


def _run(args: argparse.Namespace) -> int:
    from recurra import bench

    machine, rows = measured(args)
    if args.json:
        put_json(bench.as_json(machine, rows))
    else:
        put("\n".join(["", *bench.mean_lines(rows)]))
    return DONE


def measured(args: argparse.Namespace) -> tuple[Machine, list[Row]]:
    """Measure what the arguments say: progress on standard error, rows on standard output as they come."""
    from recurra import bench

    configurations = bench.choose(modes=args.modes, cells=args.cells, grid=args.grid, quick=args.quick)
    peers = bench.choose_peers(args.peers)
    seconds = args.seconds if args.seconds is not None else _QUICK_SECONDS if args.quick else _SECONDS
    rows = []
    with bench.opened(peers, threads=args.threads, seconds=seconds, note=say) as opened:
        machine = bench.this_machine(peers, args.threads)
        _begin(machine, args)
        for number, configuration in enumerate(configurations, start=1):
            _progress(f"{number}/{len(configurations)}  {_place(configuration)}")
            rows.append(opened.row(configuration))
            _clear()
            if not args.json:
                put(bench.line(rows[-1]))
                sys.stdout.flush()
    return machine, rows


def _begin(machine: Machine, args: argparse.Namespace) -> None:
    from recurra import bench

    absent = {name: bench.missing(peer) for name, peer in bench.PEERS.items()}
    packages = dict.fromkeys(package for packages in absent.values() for package in packages)
    if packages and args.peers is None:
        say(f"Not measured: {', '.join(name for name in absent if absent[name])}. pip install {' '.join(packages)}")
    if not args.json:
        put(f"{machine.line()}\n")


def _place(configuration: Configuration) -> str:
    return f"{configuration.mode} {configuration.cell} {'x'.join(map(str, configuration.sizes))}"


def _progress(text: str) -> None:
    """One line that is overwritten on a terminal; a line each elsewhere."""
    if shows_progress():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    else:
        say(text)


def _clear() -> None:
    if shows_progress():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


COMMAND = Command(
    _arguments,
    _run,
    "  recurra bench --quick\n  recurra bench --modes train,infer --cells lstm,gru --threads 2 --json",
)
