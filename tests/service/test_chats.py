"""Conversations behind HTTP: replies as they grow, what is kept of them, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from recurra import api
from recurra.api.chatting import LONGEST_TALK, LONGEST_TURN, MOST_TURNS, Talk
from recurra.service import Limits, open_runs
from recurra.service.chatting import Talks
from recurra.service.errors import RefusedError
from recurra.tasks import Reply
from service.service_room import Ask, Asked, events, full, is_told_to_come_again
from talk_room import talk_run

FIRST, SECOND = "is 3 a number", "and 3 plus one"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return talk_run(tmp_path_factory)


@pytest.fixture
def asked(run: Path) -> Iterator[Asked]:
    one = Asked(open_runs([run], device="cpu"), Limits(), None)
    yield one
    assert one.service.stop(10)


async def begun(client: httpx2.AsyncClient) -> Any:
    return (await client.post("/chats", json={})).json()


async def said(client: httpx2.AsyncClient, chat: str, text: str, **options: Any) -> list[tuple[str, Any]]:
    answer = await client.post(f"/chats/{chat}", json={"text": text, "options": options})
    assert answer.status_code == 200, answer.text
    return list(events(answer.text))


def test_a_conversation_has_the_replies_of_the_verb(asked: Asked, run: Path) -> None:
    async def talk(client: httpx2.AsyncClient) -> Any:
        chat = await begun(client)
        return chat, [await said(client, chat["chat"], text) for text in (FIRST, SECOND)]

    chat, found = asked.run(talk)
    beside = api.chat(run, device="cpu")
    assert chat["threshold"] == beside.threshold
    for text, turn in zip((FIRST, SECOND), found, strict=True):
        *tokens, (last, whole) = turn
        replies = list(beside.say(text))
        assert [data["text"] for _, data in tokens] == [one.text for one in replies]
        assert (last, whole["text"], whole["refused"]) == ("done", replies[-1].text, False)
        assert whole["nearness"] == pytest.approx(replies[-1].near)
    assert len(asked.service.talks) == 1


def test_what_is_far_is_refused_and_is_no_part_of_the_conversation(asked: Asked) -> None:
    async def talk(client: httpx2.AsyncClient) -> Any:
        chat = (await begun(client))["chat"]
        *_, (_, far) = await said(client, chat, "zebras everywhere")
        kept = asked.service.talks.find(chat).talk.turns
        *_, (_, insisted) = await said(client, chat, "zebras everywhere", always=True)
        return far, kept, insisted

    far, kept, insisted = asked.run(talk)
    assert far == {"text": "I have learned nothing near that.", "nearness": 0.0, "refused": True, "source": None}
    assert kept == ()
    assert not insisted["refused"]


def test_a_reply_that_is_stopped_is_kept_as_far_as_it_went(asked: Asked) -> None:
    async def talk(client: httpx2.AsyncClient) -> Any:
        kept = asked.service.talks.find((await begun(client))["chat"])
        from recurra.service.chatting import _events
        from recurra.tasks import ChatOptions

        (served,) = asked.service.runs.values()
        stream = _events(asked.service, served, kept, FIRST, ChatOptions(always=True), "x")
        seen = [await anext(stream) for _ in range(3)]
        await stream.aclose()  # as the server does when the client goes
        return kept, seen

    kept, seen = asked.run(talk)
    whole = [data["text"] for _, data in events(b"".join(seen).decode())]
    assert kept.talk.turns == (FIRST, whole[-1])
    assert not kept.replying


def test_a_second_turn_waits_for_the_first(asked: Asked) -> None:
    async def talk(client: httpx2.AsyncClient) -> Any:
        chat = (await begun(client))["chat"]
        asked.service.talks.find(chat).replying = True
        return await client.post(f"/chats/{chat}", json={"text": FIRST})

    answer = asked.run(talk)
    assert answer.status_code == 409
    assert answer.json()["error"].startswith("chat: a reply is on its way")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"text": "  "}, 422, "text: is empty, expected something to reply to."),
        ({"text": "a" * 10_001}, 422, "text: "),
        ({"text": "a", "options": {"beam": 17}}, 422, "options.beam: "),
        ({"text": "a", "options": {"top_p": 0.5}}, 422, "top_p: has no effect at temperature 0"),
        ({"text": "a", "options": {"beam": 2, "temperature": 1}}, 422, "beam: has no effect where a reply is drawn"),
        ({}, 422, "text: "),
    ],
)
def test_a_turn_that_cannot_be_is_refused_in_a_sentence(asked: Asked, body: Any, status: int, said: str) -> None:
    async def talk(client: httpx2.AsyncClient) -> Any:
        return await client.post(f"/chats/{(await begun(client))['chat']}", json=body)

    answer = asked.run(talk)
    assert (answer.status_code, answer.json()["error"][: len(said)]) == (status, said)


def test_a_run_that_does_not_reply_says_so(ask: Ask) -> None:
    answer = ask("moods").post("/chats", {})
    assert answer.status_code == 409
    assert "does not reply" in answer.json()["error"]


def test_chats_are_bounded_and_forgotten_when_nobody_talks() -> None:
    now = 0.0
    talks = Talks(Limits(sessions=2, session_seconds=10), clock=lambda: now)
    first, second = talks.begin("a"), talks.begin("a")
    with pytest.raises(RefusedError, match="2 chats are kept already"):
        talks.begin("a")
    now = 8.0
    talks.find(second)
    now = 11.0
    with pytest.raises(RefusedError, match="there is none of this id"):
        talks.find(first)
    assert len(talks) == 1
    talks.end(second)
    assert len(talks) == 0


def test_only_the_last_turns_are_remembered(run: Path) -> None:
    chat = api.chat(run, always=True, device="cpu")
    for k in range(MOST_TURNS):
        chat.talk.keep(f"said {k}", Reply(f"reply {k}", 1.0))
    assert len(chat.talk.turns) == MOST_TURNS
    assert chat.talk.turns[-1] == f"reply {MOST_TURNS - 1}"


def test_long_turns_are_forgotten_sooner_a_turn_and_its_reply_at_a_time() -> None:
    talk = Talk()
    for k in range(10):
        talk.keep(f"{k}" * LONGEST_TURN, Reply(f"reply {k}", 1.0))
    assert [one[:7] for one in talk.turns] == ["7777777", "reply 7", "8888888", "reply 8", "9999999", "reply 9"]
    talk.keep("a", Reply("b" * (LONGEST_TALK + 1), 1.0))
    assert talk.turns == ()


def test_the_description_of_a_run_says_that_it_chats(asked: Asked) -> None:
    (one,) = asked.get("/models").json()["models"]
    assert "chat" in one["uses"]
    assert asked.get("/").status_code == 200
    assert 'views.set("chat"' in asked.get("/page.js").text


def test_a_conversation_can_be_ended(asked: Asked) -> None:
    async def talk(client: httpx2.AsyncClient) -> Any:
        chat = (await begun(client))["chat"]
        ended = await client.delete(f"/chats/{chat}")
        return ended.status_code, (await client.post(f"/chats/{chat}", json={"text": "a"})).status_code

    assert asked.run(talk) == (204, 404)


def test_a_turn_waits_for_no_full_queue(asked: Asked) -> None:
    async def talk(client: httpx2.AsyncClient) -> Any:
        chat = (await begun(client))["chat"]
        with full(asked):
            refused = await client.post(f"/chats/{chat}", json={"text": FIRST})
        return refused, await said(client, chat, FIRST)

    refused, found = asked.run(talk)
    assert is_told_to_come_again(refused)
    assert found[-1][0] == "done"
