"""`recurra chat`: a run replies to what is typed, token by token."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from recurra.cli.arguments import Command, add_cells, add_device, add_json, add_run, add_weights
from recurra.cli.failures import DONE
from recurra.cli.terminal import flush, one_line, printable, put, put_json, say

if TYPE_CHECKING:
    from recurra.api.chatting import Chat
    from recurra.tasks import Reply

PROMPT = "> "
_OPTIONS = ("temperature", "top_p", "beam", "seed")
HELP = "Enter replies, Ctrl-C stops a reply, /new begins anew, /quit or Ctrl-D ends."


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--temperature", metavar="T", type=float, help="draw the reply; below 1 the probable more so (default: 0)"
    )
    parser.add_argument("--top-p", metavar="P", type=float, help="draw from tokens that together have this probability")
    parser.add_argument("--beam", metavar="N", type=int, help="hypotheses of the search (default: as the run has it)")
    parser.add_argument("--seed", metavar="N", type=int, help="of what is drawn (default: 0)")
    parser.add_argument(
        "--always", action="store_true", help="reply too where nothing near what was said has been learned"
    )
    add_device(parser)
    add_weights(parser)
    add_cells(parser)
    add_json(parser, "each reply as one line,")


def _run(args: argparse.Namespace) -> int:
    from recurra import api

    api.look_at_run(args.run)
    given = {name: getattr(args, name) for name in _OPTIONS if getattr(args, name) is not None}
    run = api.open_run(args.run, args.cells, args.weights)
    chat = api.chat(run, **given, always=args.always, device=args.device)
    limit = chat.threshold
    if limit is not None:
        say(f"What was said is answered if its nearness to training is {limit:.3f} or more (chosen on dev).")
    shows = sys.stdin.isatty()
    if shows:
        say(HELP)
    for text in _typed(shows=shows):
        if text.strip() == "/new":
            chat.talk.forget()
        elif text.strip():
            _reply(chat, text, as_json=args.json)
    return DONE


def _typed(*, shows: bool) -> Iterator[str]:
    """The lines that somebody types, or that standard input has, until its end or /quit."""
    if not shows:
        for line in sys.stdin:
            if line.strip() == "/quit":
                return
            yield line.rstrip("\n")
        return
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - history and editing of lines
    while True:
        try:
            line = input(PROMPT)
        except KeyboardInterrupt:
            say("")
            say(HELP)
            continue
        except EOFError:
            say("")
            return
        if line.strip() == "/quit":
            return
        yield line


def _reply(chat: Chat, text: str, *, as_json: bool) -> None:
    """The reply as it grows; Ctrl-C ends it, and keeps what was said."""
    shown, last = "", None
    replies = chat.say(text)
    try:
        for last in replies:
            if not as_json:
                shown = _grown(shown, last.text)
    except KeyboardInterrupt:
        say(" [stopped]")
    finally:
        replies.close()
    if as_json and last is not None:
        put_json(_as_json(last), indent=None)
    elif last is not None:
        put(f" [{one_line(last.source)}]" if last.source else "")
    flush()


def _grown(shown: str, text: str) -> str:
    """Write what was added; where the end of the text has changed, all of it in a new line."""
    added = text[len(shown) :] if text.startswith(shown) else f"\n{text}"
    sys.stdout.write(printable(added))
    flush()
    return text


def _as_json(reply: Reply) -> dict[str, object]:
    return {"text": reply.text, "nearness": reply.near, "refused": reply.refused, "source": reply.source or None}


COMMAND = Command(
    _arguments,
    _run,
    "  recurra chat runs/talk\n  recurra chat runs/talk --temperature 0.8 --top-p 0.9 --seed 1",
)
