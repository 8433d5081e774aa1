"""`recurra export`: a trained model for other programs, as ONNX, weights for torch, vectors, a Hugging Face folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from recurra.cli.arguments import Command, add_cells, add_json, add_run
from recurra.cli.failures import DONE, UsageError
from recurra.cli.overwriting import refuse_one_place_for_two
from recurra.cli.terminal import put, put_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--onnx",
        metavar="FILE",
        type=Path,
        help="write ONNX, run it, and keep it if it agrees; a translation becomes two files",
    )
    parser.add_argument(
        "--for",
        dest="target",
        metavar="RUNTIME",
        default="any",
        choices=("any", "onnxruntime", "openvino"),
        help="the program that will run the ONNX file: any (the default; checked in each that is installed), "
        "onnxruntime (faster there, wrong in others) or openvino",
    )
    parser.add_argument("--torch", metavar="FILE", type=Path, help="write weights for torch.nn, as safetensors")
    parser.add_argument(
        "--vectors",
        metavar="FILE",
        type=Path,
        help="write the vectors of its words: .txt and .vec (text), .bin (word2vec's binary form) or .safetensors",
    )
    parser.add_argument(
        "--transformers", metavar="DIR", type=Path, help="write a Hugging Face folder of an encoder pretrained"
    )
    add_cells(parser)
    add_json(parser, "how far each output is from the model's")


def _run(args: argparse.Namespace) -> int:
    if not (args.onnx or args.torch or args.vectors or args.transformers):
        raise UsageError(
            "recurra export: expected --onnx FILE, --torch FILE, --vectors FILE or --transformers DIR, or several."
        )
    words = ("onnx", "torch", "vectors", "transformers")
    refuse_one_place_for_two("export", {f"--{word}": getattr(args, word) for word in words})
    from recurra import api

    if args.target != "any" and not args.onnx:
        raise UsageError("recurra export: --for says what runs the file of --onnx, which is missing.")
    api.look_at_run(args.run)
    found: dict[str, dict[str, float]] = {}
    where: dict[str, str] = {}
    if args.onnx:
        for file in api.export_onnx(args.run, args.onnx, target=args.target, cells=args.cells):
            found[str(file.path)] = dict(file.differences)
            most = {title: max(apart.values()) for title, apart in file.runtimes.items()}
            where[str(file.path)] = ", ".join(f"{apart:.1e} in {title}" for title, apart in most.items())
    if args.torch:
        found[str(args.torch)] = api.export_torch(args.run, args.torch, cells=args.cells)
    written = {str(args.vectors): api.export_vectors(args.run, args.vectors)} if args.vectors else {}
    told = api.export_published(args.run, args.transformers, cells=args.cells) if args.transformers else ""
    if args.json:
        put_json(found | {path: {"words": number} for path, number in written.items()})
        return DONE
    if told:
        put(told)
    for path, number in written.items():
        put(f"{path}: written; {number:,} words.")
    for path, differences in found.items():
        if not differences:
            put(f"{path}: written; the model has no recurrent layers, so that none were compared with torch's.")
            continue
        largest = where.get(path, f"{max(differences.values()):.1e}")
        put(f"{path}: written; the largest difference from the model is {largest}.")
        if len(differences) > 1:
            put(
                "\n".join(f"  {name:<{max(map(len, differences))}}  {apart:.1e}" for name, apart in differences.items())
            )
    return DONE


COMMAND = Command(
    _arguments,
    _run,
    "  recurra export runs/first --onnx first.onnx\n  recurra export runs/first --torch first.safetensors\n"
    "  recurra export runs/words --vectors words.bin",
)
