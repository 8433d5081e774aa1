"""Requests that come together share batches, and none of them notices."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from recurra.service import LoadedModel
from service.service_room import Ask, Client
from service.test_answers import by_the_api


def same(found: Any, expected: Any) -> None:
    """Equal in everything but the last digits of float32: products of matrices outside of the cells differ in them."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-6)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            same(found[key], expected[key])
    else:
        assert found == expected


@pytest.mark.parametrize(("name", "number"), [("moods", 500), ("both", 100), ("digits", 100)])
def test_each_gets_the_answer_it_would_get_alone(
    ask: Ask, served: dict[str, LoadedModel], name: str, number: int
) -> None:
    asked = ask(waiting=number, requests=number)
    draw = random.Random(3)
    words = ["fine", "lovely", "warm", "awful", "cold", "dull", "grim", "item", "12", "7", "unknown", "x"]
    texts = [f"{' '.join(draw.choices(words, k=draw.randrange(12)))} {n}" for n in range(number)]
    alone = by_the_api(served[name], texts)
    sizes: list[int] = []
    asked.service.batcher._rows = sizes.append

    async def talk(client: Client) -> list[Any]:
        return await asyncio.gather(*(client.post("/predict", json={"model": name, "texts": [text]}) for text in texts))

    answers = [answer.json()["predictions"] for answer in asked.run(talk)]
    for answer, row in zip(answers, alone, strict=True):
        same(answer, [row])
    assert sum(sizes) == number
    assert max(sizes) > 1, "nothing was batched, so nothing was tested"
    if name == "moods":
        # A reply to another request would be seen: most answers are numbers of their own.
        assert len({round(row["probabilities"]["good"], 6) for row in alone}) > number / 2


TWO: Any = {"n_best": 2, "beam": 2}


@pytest.mark.parametrize(
    "kinds", [[("moods", {}), ("both", {})], [("digits", {}), ("digits", TWO)], [("moods", {}), ("digits", {})]]
)
def test_requests_of_different_kinds_do_not_mix(
    ask: Ask, served: dict[str, LoadedModel], kinds: list[tuple[str, dict[str, Any]]]
) -> None:
    # A batch of two kinds would answer one of them with the other's network or options, where it answers at all.
    asked = ask(delay=0.02)
    asks = [(*kinds[n % 2], [f"fine {n}", f"{n} {n}"][: 1 + n % 3 % 2]) for n in range(30)]

    async def talk(client: Client) -> list[Any]:
        bodies = ({"model": m, "options": o, "texts": t} for m, o, t in asks)
        return await asyncio.gather(*(client.post("/predict", json=body) for body in bodies))

    for (name, options, texts), answer in zip(asks, asked.run(talk), strict=True):
        same(answer.json()["predictions"], by_the_api(served[name], texts, **options))


def test_a_bad_request_does_not_spoil_its_neighbours(ask: Ask) -> None:
    asked = ask("moods", delay=0.05)
    bodies = [{"records": [{"text": "fine"} if n % 4 else {"title": "fine"}]} for n in range(40)]

    async def talk(client: Client) -> list[Any]:
        return await asyncio.gather(*(client.post("/predict", json=body) for body in bodies))

    assert [answer.status_code for answer in asked.run(talk)] == [200 if n % 4 else 422 for n in range(40)]


def test_who_goes_away_leaves_nothing_behind(ask: Ask) -> None:
    asked = ask("moods", delay=0.02)

    async def talk(client: Client) -> list[Any]:
        asks = [asyncio.ensure_future(client.post("/predict", json={"texts": [str(n)]})) for n in range(20)]
        await asyncio.sleep(0.005)
        for one in asks[::2]:
            one.cancel()
        return await asyncio.gather(*asks, return_exceptions=True)

    answers = asked.run(talk)
    assert [answer.status_code for answer in answers[1::2]] == [200] * 10
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
    assert asked.service.batcher.waiting == len(asked.service.batcher._waiting) == 0


def test_a_lone_request_waits_no_longer_than_the_delay(ask: Ask) -> None:
    asked = ask("moods", delay=0.2)

    async def talk(client: Client) -> float:
        await client.post("/predict", json={"texts": ["warm"]})
        start = asyncio.get_running_loop().time()
        await client.post("/predict", json={"texts": ["a"]})
        return asyncio.get_running_loop().time() - start

    assert 0.2 <= asked.run(talk) < 2.0  # a machine that others use may take its time


def test_much_text_does_not_hold_up_a_short_one(ask: Ask, served: dict[str, LoadedModel]) -> None:
    asked = ask("moods", delay=0)
    long = [f"{'fine awful ' * 300} {n}" for n in range(60)]
    sizes: list[int] = []
    asked.service.batcher._rows = sizes.append
    order: list[str] = []

    async def talk(client: Client) -> list[Any]:
        async def one(name: str, texts: list[str]) -> Any:
            answer = await client.post("/predict", json={"texts": texts})
            order.append(name)
            return answer.json()["predictions"]

        first = asyncio.ensure_future(one("long", long))
        await asyncio.sleep(0.01)
        return [await one("short", ["fine"]), await first]

    short, all_of_them = asked.run(talk)
    assert order == ["short", "long"]
    assert max(sizes) <= 3  # 3,300 characters a text, 8,000 a turn, and the short one beside them
    same(short, by_the_api(served["moods"], ["fine"]))
    same(all_of_them, by_the_api(served["moods"], long))


def test_a_mistake_in_a_late_part_refuses_the_whole(ask: Ask) -> None:
    rows = [{"text": "fine " * 1000} for _ in range(6)]
    answer = ask("moods").post("/predict", {"records": [*rows, {"title": "x"}]})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("records[6]: ")


def test_remarks_are_those_on_all_parts(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recurra.service.batching.TURN", 8)
    texts = ["1 2 1 2"] * 5 + ["1 X"]
    notes = ask("digits").post("/predict", {"texts": texts}).json()["notes"]
    assert any(note.startswith("1 of 6 texts holds tokens that training never saw") for note in notes)
