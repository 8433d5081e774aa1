"""What is broken, too large, too long, too much or too late: refused in a sentence, and the service goes on."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from recurra.service import LoadedModel
from recurra.service.limits import LONGEST_TEXT, MOST_RECORDS, WIDEST_BEAM
from service.service_room import Ask, Asked, Client, Held, events, full, hidden, is_told_to_come_again

JSON = {"content-type": "application/json"}


def is_well(asked: Asked) -> None:
    answer = asked.post("/predict", {"model": "moods", "texts": ["fine"]})
    assert answer.status_code == 200


BROKEN = [
    (b"", 422, "body: "),
    (b"{", 400, "the body is no JSON: "),
    (b"\xff\xfe{}", 400, "the body is not UTF-8: byte 0xff at 0. "),
    ('{"texts": ["Köln"]}'.encode("latin-1"), 400, "the body is not UTF-8: byte 0xf6 at 13. "),
    ('{"texts": ["a"]}'.encode("utf-16"), 400, "the body is not UTF-8: byte 0xff at 0. "),
    (b"[" * 100_000, 400, "the body is no JSON that can be read: it is nested too deeply."),
    (b'{"texts": ["a"], "texts": ["b"]}', 422, "texts: the key is given twice in one object."),
    (b'{"texts": ["a"], "options": {"beam": 1, "beam": 2}}', 422, "beam: the key is given twice in one object."),
    (b'{"records": [{"text": "a", "text": "a"}]}', 422, "text: the key is given twice in one object."),
    (b'{"texts":' + b"[" * 900 + b"]" * 900 + b"}", 422, "texts.0: "),
    (b'{"texts": ["a"], "model": 1e999}', 422, "model: "),
    (b'{"texts": [1e999]}', 422, "texts.0: "),
    (b'{"texts": [NaN]}', 422, "texts.0: "),
    (
        b'{"texts": ["a"], "options": {"beam": ' + b"9" * 5000 + b"}}",
        400,
        "the body is no JSON that can be read: a number",
    ),
    (b'{"texts": ["\\ud800"]}', 422, "texts.0: Input should be a valid string, unable to parse"),
    (b'{"records": [{"text": ["\\udfff"]}]}', 422, "records.0.text: a \\u escape is half of a surrogate pair"),
    (b'{"records": [{"\\udfff": "a"}]}', 422, "records.0"),
    (b'{"texts": "a"}', 422, "texts: "),
    (b'{"texts": []}', 422, "texts: "),
    (b'{"texts": [null]}', 422, "texts.0: "),
    (b'{"texts": ["a"], "text": "b"}', 422, "text: Extra inputs"),
    (b'{"texts": ["a"], "options": {"beam": true}}', 422, "options.beam: "),
    (b'{"texts": ["a"], "options": {"beam": "2"}}', 422, "options.beam: "),
    (b'{"texts": ["a"], "options": {"beam": 0}}', 422, "options.beam: "),
    (b'{"texts": ["a"], "options": null}', 422, "options: "),
    (b"null", 422, "body: "),
    (b'"texts"', 422, "body: "),
]


@pytest.mark.parametrize(("body", "status", "said"), BROKEN, ids=lambda value: str(value)[:40])
def test_a_broken_body_is_refused_in_a_sentence(ask: Ask, body: bytes, status: int, said: str) -> None:
    asked = ask()
    answer = asked.post("/predict", content=body, headers=JSON)
    refused = answer.json()
    assert (answer.status_code, sorted(refused)) == (status, ["error", "problems", "request_id"])
    assert refused["error"].startswith(said)
    assert len(refused["error"]) < 500
    is_well(asked)


def test_every_mistake_is_named_at_once(ask: Ask) -> None:
    body = {"texts": ["a"], "options": {"beam": 99, "n_best": "x"}, "what": 1}
    problems = ask("moods").post("/predict", body).json()["problems"]
    assert [problem.partition(":")[0] for problem in problems] == ["options.beam", "options.n_best", "what"]


BODY = b'{"texts": ["fine"]}'
# Content-Type, Content-Encoding, and what is said. A form of another page can send the first three without asking the
# browser's leave; JSON it cannot.
OTHER_CONTENT = [
    ("application/x-www-form-urlencoded", "", "Content-Type: expected application/json, got 'application/x-www-form"),
    ("text/plain", "", "Content-Type: expected application/json, got 'text/plain'; with curl: -H 'Content-Type: appl"),
    ("multipart/form-data; boundary=x", "", "Content-Type: expected application/json, got 'multipart/form-data; bou"),
    (None, "", "Content-Type: expected application/json, got none; "),
    ("json", "", "Content-Type: expected application/json, got 'json'; "),
    ("application/json; charset=iso-8859-1", "", "Content-Type: expected JSON in UTF-8, got charset 'iso-8859-1'."),
    ("application/json", "gzip", "Content-Encoding: expected a body that is not compressed, got 'gzip'."),
    ("application/json", "br, gzip", "Content-Encoding: expected a body that is not compressed, got 'br, gzip'."),
]


@pytest.mark.parametrize(("kind", "coding", "said"), OTHER_CONTENT)
def test_another_kind_of_content_is_refused(ask: Ask, kind: str | None, coding: str, said: str) -> None:
    headers = {"content-type": kind, "content-encoding": coding}
    sent = {name: value for name, value in headers.items() if value}
    answer = ask("moods").post("/predict", content=gzip.compress(BODY) if coding else BODY, headers=sent)
    assert answer.status_code == 415
    assert answer.json()["error"].startswith(said)


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/problem+json",
        'application/json; charset="utf-8"',
    ],
)
def test_all_ways_to_say_json_are_taken(ask: Ask, kind: str) -> None:
    headers = {"content-type": kind, "content-encoding": "identity"}
    for body in (BODY, b"\xef\xbb\xbf" + BODY):
        assert ask("moods").post("/predict", content=body, headers=headers).status_code == 200


def test_a_request_without_a_body_needs_no_type(ask: Ask) -> None:
    # `curl -X POST -d ""` calls nothing a form.
    answer = ask("moods").post("/predict", content=b"", headers={"content-type": "application/x-www-form-urlencoded"})
    assert (answer.status_code, answer.json()["error"]) == (422, "body: Field required.")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"texts": ["x" * (LONGEST_TEXT + 1)]}, "texts.0"),
        ({"texts": ["x"] * (MOST_RECORDS + 1)}, "texts"),
        ({"records": [{}] * (MOST_RECORDS + 1)}, "records"),
        ({"texts": ["x"], "options": {"beam": WIDEST_BEAM + 1}}, "options.beam"),
        ({"texts": ["x"], "options": {"n_best": 10**9}}, "options.n_best"),
        ({"model": "x" * 101, "texts": ["x"]}, "model"),
    ],
)
def test_what_costs_has_a_bound(ask: Ask, body: dict[str, Any], place: str) -> None:
    answer = ask("moods").post("/predict", body)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(f"{place}: ")


def test_a_row_can_be_no_longer_than_a_text(ask: Ask) -> None:
    answer = ask("moods").post("/predict", {"records": [{"text": "x " * LONGEST_TEXT}]})
    assert answer.status_code == 422
    assert answer.json()["error"] == "records.0.text: a field can have at most 10,000 characters and values."


def test_a_body_that_says_it_is_too_large_is_not_read(ask: Ask) -> None:
    given = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            given.append(1)
            yield b"x" * 1000

    asked = ask("moods", body_bytes=10_000)
    for headers in ({"content-length": "10001"}, {"content-length": "9" * 30}):
        answer = asked.post("/predict", content=endless(), headers=headers | JSON)
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert not given


def test_a_body_in_chunks_is_read_no_further_than_the_limit(ask: Ask) -> None:
    given = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            given.append(1)
            yield b"x" * 1000

    answer = ask("moods", body_bytes=10_000).post("/predict", content=endless(), headers=JSON)
    assert (answer.status_code, answer.json()["error"]) == (
        413,
        "the body is larger than 10,000 bytes; send less, or have --max-body raised.",
    )
    assert len(given) == 11


def test_a_body_that_does_not_come_is_waited_for_so_long(ask: Ask) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b'{"texts"'
        await asyncio.sleep(5)
        yield b': ["a"]}'

    answer = ask("moods", body_seconds=0.05).post("/predict", content=slow(), headers=JSON)
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")


def test_bodies_that_are_there_at_once_have_one_bound_together(ask: Ask) -> None:
    asked = ask("moods", bodies_bytes=10_000, body_bytes=6_000, delay=0)
    body = json.dumps({"texts": ["fine " * 1000]}).encode()

    async def holds(client: Client, size: int) -> None:
        async with asyncio.timeout(15):
            while f"recurra_bodies_bytes {size:.1f}" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.01)

    async def in_chunks() -> AsyncIterator[bytes]:
        for k in range(0, len(body), 1000):
            yield body[k : k + 1000]

    async def talk(client: Client) -> tuple[Any, ...]:
        async with Held(asked):
            first = asyncio.ensure_future(client.post("/predict", content=body, headers=JSON))
            await holds(client, len(body))
            refused = [await client.post("/predict", content=c, headers=JSON) for c in (body, in_chunks())]
            small = asyncio.ensure_future(client.post("/predict", content=BODY, headers=JSON))
            await holds(client, len(body) + len(BODY))
        done = [await first, await small]
        await holds(client, 0)
        return refused, [*done, await client.post("/predict", content=body, headers=JSON)]

    refused, answered = asked.run(talk)
    assert [one.status_code for one in answered] == [200, 200, 200]
    for one in refused:
        assert (one.status_code, one.headers["retry-after"], one.headers["connection"]) == (503, "1", "close")
        assert one.json()["error"].startswith("the bodies of other requests fill the memory")


def test_a_body_as_large_as_one_may_be_fits_whatever_the_bound_of_all(ask: Ask) -> None:
    asked = ask("moods", bodies_bytes=10, body_bytes=6_000)
    assert asked.post("/predict", {"texts": ["fine " * 1000]}).status_code == 200


def test_a_full_queue_says_when_to_come_again(ask: Ask) -> None:
    asked = ask("moods", waiting=4, delay=0)
    body = {"texts": ["fine"]}

    async def talk(client: Client) -> list[Any]:
        async with Held(asked):
            first = asyncio.ensure_future(client.post("/predict", json=body))
            await asyncio.sleep(0.05)  # its batch waits for the worker
            others = [asyncio.ensure_future(client.post("/predict", json=body)) for _ in range(5)]
            await asyncio.sleep(0.05)
            assert b"recurra_requests_waiting 4.0" in (await client.get("/metrics")).content
            refused = [one.result() for one in others if one.done()]
        return [refused, [await one for one in (first, *others) if one.result not in refused]]

    refused, all_of_them = asked.run(talk)
    assert [(one.status_code, one.headers["retry-after"]) for one in refused] == [(503, "1")] * 2
    assert sorted(one.status_code for one in all_of_them) == [200] * 4 + [503] * 2
    is_well(asked)


def test_a_full_queue_is_full_for_every_route_and_what_has_begun_goes_on(ask: Ask) -> None:
    asked = ask("moods", "digits")
    session = {"model": "moods"}

    async def talk(client: Client) -> list[Any]:
        begun = (await client.post("/sessions", json=session)).json()["session"]
        with full(asked):
            assert await asked.service.worker.run(lambda: 7) == 7
            refused = [
                await client.post("/predict", json={"model": "moods", "texts": ["fine"]}),
                await client.post("/generate", json={"model": "digits", "text": "1"}),
                await client.post(f"/sessions/{begun}", json={"text": "fine"}),
            ]
        return [*refused, await client.post(f"/sessions/{begun}", json={"text": "fine"})]

    *refused, last = asked.run(talk)
    assert all(map(is_told_to_come_again, refused))
    assert last.status_code == 200
    is_well(asked)


def test_what_nobody_waits_for_any_more_keeps_no_place_in_the_queue(ask: Ask) -> None:
    worker = ask("moods").service.worker

    async def talk() -> tuple[int, int]:
        gone = threading.Event()
        first = asyncio.ensure_future(worker.run(lambda: gone.wait(20)))
        others = [asyncio.ensure_future(worker.run(lambda: 1)) for _ in range(3)]
        await asyncio.sleep(0.05)  # the worker has the first
        before = worker.waiting
        others[0].cancel()
        await asyncio.sleep(0)
        after = worker.waiting
        gone.set()
        await asyncio.gather(first, *others[1:])
        return before, after

    assert asyncio.run(talk()) == (3, 2)
    assert worker.waiting == 0


def test_a_request_that_has_gone_keeps_no_place_though_a_model_computes(ask: Ask) -> None:
    asked = ask("moods", waiting=2, delay=0, seconds=0.3)
    service, body = asked.service, {"texts": ["fine"]}

    async def talk(client: Client) -> list[Any]:
        async with Held(asked):
            first = asyncio.ensure_future(client.post("/predict", json=body))
            await asyncio.sleep(0.05)  # its batch waits for the worker
            late = await client.post("/predict", json=body)
            numbers = [service.worker.waiting]  # of the batch alone
            again = await client.post("/predict", json=body)
        return [late.status_code, *numbers, again.status_code, (await first).status_code]

    assert asked.run(talk) == [504, 1, 504, 504]
    assert service.worker.waiting == 0
    is_well(asked)


def test_more_requests_than_are_answered_at_once_are_refused_but_not_the_one_that_asks_how_it_is(ask: Ask) -> None:
    asked = ask("moods", requests=2)

    async def talk(client: Client) -> list[int]:
        async with Held(asked):
            running = [asyncio.ensure_future(client.post("/predict", json={"texts": ["a"]})) for _ in range(2)]
            await asyncio.sleep(0.05)
            refused = await client.get("/models")
            alive = await client.get("/health")
        return [refused.status_code, alive.status_code, *[(await one).status_code for one in running]]

    assert asked.run(talk) == [503, 200, 200, 200]


def test_what_takes_too_long_is_given_up(ask: Ask) -> None:
    asked = ask("digits", seconds=0.05)

    async def talk(client: Client) -> tuple[Any, Any]:
        async with Held(asked):
            late = await client.post("/predict", json={"texts": ["12"]})
            ready = await client.get("/ready")
        return late, ready

    late, _ = asked.run(talk)
    assert late.status_code == 504
    assert late.json()["error"].startswith("took longer than 0.05 s")
    assert asked.get("/ready").status_code == 200


def test_a_search_is_broken_off_when_its_time_is_over(ask: Ask, served: dict[str, LoadedModel]) -> None:
    # Untrained enough to write to the limit of its length: 10,000 source characters, some 10,000 steps of a beam of 16.
    asked = ask("digits", seconds=0.3)
    answer = asked.post("/predict", {"texts": ["1 " * 5000], "options": {"beam": 16}})
    assert answer.status_code == 504

    async def free() -> None:
        await asyncio.wait_for(asked.service.worker.run(lambda: None), 2)

    asyncio.run(free())


def test_a_stream_that_takes_too_long_ends_with_an_error(ask: Ask) -> None:
    answer = ask("digits", seconds=0.2).post("/generate", {"text": "1 " * 5000})
    assert answer.status_code in (200, 504)
    if answer.status_code == 200:
        name, data = list(events(answer.text))[-1]
        assert name == "error"
        assert data["error"].startswith("took longer than 0.2 s; ")


def test_sessions_are_bounded_and_forgotten(ask: Ask) -> None:
    asked = ask("moods", sessions=2, session_seconds=100)
    now = [0.0]
    asked.service.sessions._clock = lambda: now[0]

    async def talk(client: Client) -> None:
        async def begin() -> Any:
            return await client.post("/sessions", json={})

        one, other = (await begin()).json()["session"], (await begin()).json()["session"]
        full = await begin()
        assert (full.status_code, full.headers["retry-after"]) == (503, "1")
        now[0] = 90
        assert (await client.post(f"/sessions/{one}", json={"text": "fine"})).status_code == 200
        now[0] = 110  # the other has not been fed for 110 s
        assert (await client.post(f"/sessions/{other}", json={"text": "fine"})).status_code == 404
        assert (await begin()).status_code == 201
        assert (await client.post(f"/sessions/{one}", json={"text": "fine"})).status_code == 200

    asked.run(talk)


def test_a_failure_of_ours_is_logged_and_not_shown(ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    asked = ask("moods")

    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret of the machine")

    monkeypatch.setattr(asked.service.batcher, "ask", fail)
    answer = asked.post("/predict", {"texts": ["private words"]})
    assert answer.status_code == 500
    assert not any(word in answer.text for word in (*hidden(tmp_path), "secret", "ZeroDivision"))
    failed, request = asked.log
    assert (failed["event"], failed["level"], failed["id"]) == ("failed", "error", answer.headers["x-request-id"])
    assert "secret of the machine" in failed["traceback"]
    assert (request["event"], request["status"], request["path"]) == ("request", 500, "/predict")
    assert "private words" not in json.dumps(asked.log)
