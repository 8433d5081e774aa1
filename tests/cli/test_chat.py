"""`recurra chat`: a conversation on standard input, a stop in the middle of a reply, and a threshold that is said."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from recurra.api.chatting import Talk
from recurra.cli import main
from recurra.cli.commands import chat as command
from recurra.tasks import Reply
from talk_room import talk_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return talk_run(tmp_path_factory)


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_lines_are_answered_one_by_one(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "is 3 a number", "", "zebras everywhere", "/new", "is 3 a number", "/quit", "never read")
    assert main(["chat", str(run), "--json", "--device", "cpu"]) == 0
    shown = capsys.readouterr()
    first, far, again = map(json.loads, shown.out.splitlines())
    assert (far["text"], far["refused"], far["nearness"]) == ("I have learned nothing near that.", True, 0.0)
    assert first == again  # /new has forgotten what was said
    assert "What was said is answered if its nearness to training is" in shown.err


def test_the_same_seed_draws_the_same_reply(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for seed in ("1", "1", "2", "3", "4"):
        typed(monkeypatch, "is 3 a number")
        words = [
            "chat",
            str(run),
            "--temperature",
            "1",
            "--top-p",
            "0.95",
            "--seed",
            seed,
            "--always",
            "--device",
            "cpu",
        ]
        assert main(words) == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1]
    assert len(set(found)) > 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--top-p", "0.5"], "top_p: has no effect at temperature 0"),
        (["--beam", "2", "--temperature", "1"], "beam: has no effect where a reply is drawn"),
        (["--temperature", "-1"], "temperature: expected at least 0, got -1"),
    ],
)
def test_an_option_that_cannot_act_is_refused(
    run: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", str(run), *words]) == 2
    assert said in capsys.readouterr().err


def test_ctrl_c_stops_a_reply_and_keeps_what_was_said(capsys: pytest.CaptureFixture[str]) -> None:
    class Stopped:
        """A chat in whose second token somebody presses Ctrl-C."""

        talk = Talk()

        def say(self, text: str) -> Iterator[Reply]:
            last = None
            try:
                last = Reply("yes", 1.0)
                yield last
                raise KeyboardInterrupt
            finally:
                self.talk.keep(text, last)

    chat = Stopped()
    command._reply(chat, "hello", as_json=False)  # type: ignore[arg-type]
    assert chat.talk.turns == ("hello", "yes")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("yes\n", " [stopped]\n")
