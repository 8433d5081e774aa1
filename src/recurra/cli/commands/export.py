"""`recurra export`: a trained model for other programs, as ONNX or as weights for torch."""

from __future__ import annotations

import argparse
from pathlib import Path

from recurra.cli.arguments import Command, add_cells, add_json, add_run
from recurra.cli.failures import DONE, UsageError
from recurra.cli.terminal import put, put_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--onnx",
        metavar="FILE",
        type=Path,
        help="write ONNX, run it in ONNX Runtime, and keep it if it agrees; a translation becomes two files",
    )
    parser.add_argument("--torch", metavar="FILE", type=Path, help="write weights for torch.nn, as safetensors")
    add_cells(parser)
    add_json(parser, "how far each output is from the model's")


def _run(args: argparse.Namespace) -> int:
    if not (args.onnx or args.torch):
        raise UsageError("recurra export: expected --onnx FILE or --torch FILE, or both.")
    from recurra import api

    found: dict[str, dict[str, float]] = {}
    if args.onnx:
        files = api.export_onnx(args.run, args.onnx, cells=args.cells)
        found |= {str(file.path): dict(file.differences) for file in files}
    if args.torch:
        found[str(args.torch)] = api.export_torch(args.run, args.torch, cells=args.cells)
    if args.json:
        put_json(found)
        return DONE
    for path, differences in found.items():
        put(f"{path}: written; the largest difference from the model is {max(differences.values()):.1e}.")
        if len(differences) > 1:
            put(
                "\n".join(f"  {name:<{max(map(len, differences))}}  {apart:.1e}" for name, apart in differences.items())
            )
    return DONE


COMMAND = Command(
    "write a trained model for other programs, and prove that it agrees",
    _arguments,
    _run,
    "  recurra export runs/first --onnx first.onnx\n  recurra export runs/first --torch first.safetensors",
)
