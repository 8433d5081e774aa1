"""`recurra serve`: runs behind HTTP, and a page to try them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from recurra.base.importing import uncollected
from recurra.cli.arguments import Command, add_cells, add_device, add_weights
from recurra.cli.failures import DONE, UsageError
from recurra.cli.searching import OF_LM, add_lm
from recurra.cli.terminal import flush, is_quiet, put, say

# A key of fewer characters can be guessed.
SHORTEST_KEY, LONGEST_KEY = 16, 1000
ENVIRONMENT = "RECURRA_API_KEY"
PACKAGES = ("fastapi", "uvicorn", "prometheus_client")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", metavar="RUN", type=Path, nargs="+", help="folders of training runs; requests choose one by its name"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine)")
    parser.add_argument(
        "--port", type=_whole(0, 65535), default=8000, help="port to listen on; 0 takes a free one (default: 8000)"
    )
    parser.add_argument(
        "--root-path",
        metavar="PREFIX",
        default="",
        help="the path under which a proxy shows the service, such as /models/first; the proxy may strip it or keep it",
    )
    parser.add_argument(
        "--key-file", metavar="FILE", type=Path, help=f"a file with the key that clients must send; or ${ENVIRONMENT}"
    )
    parser.add_argument(
        "--allow-origin",
        metavar="URL",
        action="append",
        type=_origin,
        default=[],
        help="a page, such as https://example.org, that may open a WebSocket beside the service's own; repeatable",
    )
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a name, such as models.example.org or *.example.org, that requests may have as their Host beside this "
        "machine's own; needed behind a proxy that passes it on, as a service of 127.0.0.1 refuses others; repeatable",
    )
    parser.add_argument(
        "--images",
        metavar="FOLDER",
        type=Path,
        help="pictures that are searched by a text or a picture, of this folder and those in it: for runs that compare "
        "pictures with texts",
    )
    parser.add_argument(
        "--index", metavar="FILE", type=Path, help="where their vectors are kept (default: in the run's folder)"
    )
    parser.add_argument(
        "--texts",
        metavar="FILE",
        type=Path,
        help="texts, one a line, that are searched by a picture: for runs that compare pictures with texts",
    )
    parser.add_argument(
        "--text-index", metavar="FILE", type=Path, help="where their vectors are kept (default: in the run's folder)"
    )
    add_lm(parser)
    _limits(parser)
    add_device(parser)
    add_weights(parser)
    add_cells(parser)


def _limits(parser: argparse.ArgumentParser) -> None:
    """How much a service takes at once, and how long it waits."""
    parser.add_argument(
        "--max-sounds",
        metavar="N",
        type=_whole(1, 10_000),
        default=16,
        help="sounds that are heard piece by piece at once; more are answered with 503 (default: 16)",
    )
    parser.add_argument(
        "--max-delay",
        metavar="MS",
        type=_number(0, 1000),
        default=2.0,
        help="milliseconds that a request waits for others to share a batch with (default: 2)",
    )
    parser.add_argument(
        "--max-waiting",
        metavar="N",
        type=_whole(1, 100_000),
        default=256,
        help="requests that may wait for a model, whatever they ask for; more are answered with 503 (default: 256)",
    )
    parser.add_argument(
        "--max-body",
        metavar="BYTES",
        type=_whole(1000, 2**30),
        help="bytes of a request's body (default: 1048576; room for the largest picture or sound that a run reads)",
    )
    parser.add_argument(
        "--timeout", metavar="S", type=_number(0.01, 3600), default=30.0, help="seconds for one answer (default: 30)"
    )


def _run(args: argparse.Namespace) -> int:
    if args.index is not None and args.images is None:
        raise UsageError("recurra serve: --index has no effect without --images.")
    if args.text_index is not None and args.texts is None:
        raise UsageError("recurra serve: --text-index has no effect without --texts.")
    key = _key(args.key_file)
    for package in PACKAGES:
        if find_spec(package) is None:
            raise UsageError(f'recurra serve: {package} is not installed; pip install "recurra[serve]".')
    from recurra import api

    for run in args.runs:
        api.look_at_run(run)
    with uncollected():
        from recurra import service

    search = {name: value for name in OF_LM if (value := getattr(args, name)) is not None}
    beside = service.Beside(args.images, args.index, search, args.texts, args.text_index)
    runs = service.open_runs(
        args.runs, device=args.device, cells=args.cells, weights=args.weights, beside=beside, note=say
    )
    limits = service.Limits(
        body_bytes=args.max_body or service.body_bytes_of(runs.values()),
        seconds=args.timeout,
        delay=args.max_delay / 1000,
        waiting=args.max_waiting,
        sounds=args.max_sounds,
    )
    bound = service.listening(args.host, args.port)
    if key is None and args.host not in LOOPBACK:
        say(f"{args.host}: other machines can ask, and no key is needed. Set --key-file or {ENVIRONMENT}.")
    url = service.url_of(bound)
    service.serve(
        service.Service(runs, limits, service.Log(errors_only=is_quiet())),
        bound,
        key=key,
        root_path=args.root_path,
        origins=args.allow_origin,
        hosts=service.names_for(bound, args.allow_host),
        started=lambda: _tell(f"{', '.join(runs)}: {url} (Ctrl-C stops)"),
    )
    return DONE


def _tell(address: str) -> None:
    """At once, also into a pipe: whoever started the service waits for this line."""
    put(address)
    flush()


def _key(file: Path | None) -> str | None:
    """The key of a file, or of the environment. Raises UsageError for one that no header can hold, or a short one."""
    if file is None:
        key, origin = os.environ.get(ENVIRONMENT), ENVIRONMENT
    else:
        with open(file, encoding="utf-8", errors="replace") as opened:
            key, origin = opened.read(LONGEST_KEY + 2).strip(), str(file)
    if key is None:
        return None
    plain = key.isascii() and key.isprintable() and not set(key) & set(' ",;\\')
    if not (plain and SHORTEST_KEY <= len(key) <= LONGEST_KEY):
        raise UsageError(
            f"{origin}: expected a key of {SHORTEST_KEY} to {LONGEST_KEY} ASCII characters without spaces, quotes, "
            "commas, semicolons and backslashes."
        )
    return key


def _whole(first: int, last: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 20 and first <= int(text) <= last):
            raise argparse.ArgumentTypeError(f"expected a whole number from {first} to {last}, got '{text}'")
        return int(text)

    return read


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/") or parts.query:
        raise argparse.ArgumentTypeError(f"expected the origin of a page, such as https://example.org, got '{text}'")
    return text


def _number(first: float, last: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not first <= value <= last:
            raise argparse.ArgumentTypeError(f"expected a number from {first:g} to {last:g}, got '{text}'")
        return value

    return read


COMMAND = Command(
    _arguments,
    _run,
    "  recurra serve runs/first\n  recurra serve runs/first runs/dates --port 8080 --key-file key.txt\n"
    "  recurra serve runs/pictures --images holidays/ --texts captions.txt",
)
