"""`recurra search`: pictures of a folder by a text or a picture, or texts of a file by a picture.

Of a config it is another name of `recurra tune`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recurra.cli.arguments import Command, add_device, add_json, add_run
from recurra.cli.failures import DONE, UsageError
from recurra.cli.terminal import put, put_json, say

# What a config's name ends in.
_CONFIGS = (".yaml", ".yml")
# What the folder of a search over settings has: `recurra.api.places.STUDY`, which is not imported for this.
_STUDY = "search.json"


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("text", metavar="TEXT", nargs="?", help="what is in the picture; or --like")
    parser.add_argument("--like", metavar="PICTURE", help="search by a picture, not by a text")
    parser.add_argument("--images", metavar="FOLDER", help="the pictures, in this folder and those in it")
    parser.add_argument("--texts", metavar="FILE", help="texts, one a line, that are searched by --like")
    parser.add_argument("-n", "--number", type=int, default=10, metavar="N", help="how many are shown (default: 10)")
    parser.add_argument("--index", metavar="FILE", help="where vectors are kept (default: in the run's folder)")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with the pictures that were found")
    parser.add_argument(
        "--approximate", action="store_true", help="by a graph of neighbours, from 100,000 pictures on (hnswlib)"
    )
    add_device(parser)
    add_json(parser, "what was found")


def _run(args: argparse.Namespace) -> int:
    _refuse(args)
    from recurra import api

    api.look_at_run(args.run)
    if args.texts is not None:
        found = api.search_texts(args.run, args.like, args.texts, number=args.number, device=args.device)
    else:
        search = api.picture_search(
            args.run, args.images, index=args.index, approximate=args.approximate, device=args.device, note=say
        )
        by = search.by_text if args.like is None else search.by_picture
        found = by(args.text if args.like is None else args.like, args.number)
        if args.like is None and (strange := search.task.strange_in(args.text)):
            say(f"never in training, and read as unknown: {', '.join(strange)}.")
    if args.html is not None:
        api.write_search_page(args.html, args.text or str(args.like), found)
        say(f"{args.html}: written.")
    if args.json:
        put_json([{"name": one.name, "likeness": one.likeness} for one in found])
    else:
        for one in found:
            put(f"{one.likeness:.3f}\t{one.name}")
    return DONE


def _refuse(args: argparse.Namespace) -> None:
    """Raise UsageError, a sentence, for words that do not go together."""
    if (args.text is None) == (args.like is None):
        raise UsageError("recurra search: expected a text, or --like PICTURE, one of both.")
    if (args.images is None) == (args.texts is None):
        raise UsageError("recurra search: expected --images FOLDER, or --texts FILE, one of both.")
    if args.texts is not None:
        if args.like is None:
            raise UsageError("recurra search: --texts are searched by a picture; add --like PICTURE.")
        if args.index is not None or args.approximate or args.html is not None:
            raise UsageError(
                "recurra search: --index, --approximate and --html have no effect on --texts; leave them out."
            )
    if args.number < 1:
        raise UsageError(f"recurra search: --number: expected at least 1, got {args.number}.")


def _meant(arguments: Sequence[str]) -> Command | None:
    """A config, or the folder of a search over settings, is tuned."""
    from recurra.cli.commands import tune

    both = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
    for command in (COMMAND, tune.COMMAND):
        command.arguments(both)
    taking = {name for action in both._actions if action.nargs != 0 for name in action.option_strings}
    behind = zip(("", *arguments), arguments, strict=False)
    places = (Path(word) for before, word in behind if before not in taking and not word.startswith("-"))
    first = next(places, None)
    if first is None or not ((first.suffix in _CONFIGS and not first.is_dir()) or (first / _STUDY).is_file()):
        return None
    said = f"{first} is searched for its best settings; pictures are searched by a text with the folder of a run"
    return replace(tune.COMMAND, surplus=f"{said}: recurra search RUN TEXT --images FOLDER.")


COMMAND = Command(
    _arguments,
    _run,
    '  recurra search runs/pictures "a red boat" --images holidays/\n'
    "  recurra search runs/pictures --like boat.png --texts captions.txt\n"
    "A config is searched for its best settings, as by `recurra tune`, which has the options of that:\n"
    "  recurra search config.yaml --trials 40 --hours 3",
    meant=_meant,
)
