"""Sound that is heard while it comes: the same events by WebSocket and by request, and all bounds of both."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.api.fusing import with_fusion
from recurra.api.hearing import Hearing
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError
from recurra.data.incoming import pcm_of
from recurra.data.sound import wav
from recurra.service import Beside, Limits, Log, Service, listening, open_runs, url_of
from recurra.service.errors import RefusedError
from recurra.service.hearing import _turns, told
from recurra.service.server import server
from service.hearing_room import RATE, Socket, hearing_run, said_samples
from service.service_room import Asked, Client, events, full, is_told_to_come_again

RAW = said_samples()
KIND = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def runs() -> Any:
    return {"speech": hearing_run(), "both": hearing_run("both", causal=False)}


@pytest.fixture
def asked(runs: Any) -> Iterator[Asked]:
    one = Asked(runs, Limits(sound_idle=0.3, sounds=2), None)
    yield one
    assert one.service.stop(10)


def expected(runs: Any, **options: Any) -> list[dict[str, Any]]:
    """The stretches by the Python interface, of all samples at once."""
    hearing = Hearing(runs["speech"].run, options=options, device="cpu")
    found = [*hearing.feed(pcm_of(RAW)).final, *hearing.end().final]
    return json.loads(json.dumps(found))


def on_socket(
    asked: Asked, socket: Socket, query: str = f"model=speech&rate={RATE}", path: str = "/hear", **headers: str
) -> Socket:
    async def whole() -> Socket:
        async with asked.service.alive():
            return await socket.talk(asked.app, query, headers, path)

    return asyncio.run(whole())


def finals(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in one.items() if k != "event"} for one in found if one["event"] == "final"]


@pytest.mark.parametrize("size", [1001, 3200, 10**6])
def test_a_socket_says_what_python_says_whatever_the_messages(asked: Asked, runs: Any, size: int) -> None:
    pieces = [RAW[at : at + size] for at in range(0, len(RAW), size)]
    found = on_socket(asked, Socket(*pieces, "end"))
    assert (found.status, found.code) == (101, 1000)
    assert found.events[0] == {
        "event": "begun", "model": "speech", "version": "v1", "rate": RATE, "seconds": 4 * 3600.0,
        "beam": 1, "lm": False,
    }  # fmt: skip
    assert finals(found.events) == expected(runs)
    assert expected(runs)[0]["words"]
    assert found.events[-1]["event"] == "done"
    assert found.events[-1]["seconds"] == pytest.approx(2.0)
    if size < len(RAW):
        assert [one["text"] for one in found.events if one["event"] == "partial"]


def test_a_wav_file_says_its_rate_itself(asked: Asked, runs: Any) -> None:
    sound = wav(np.frombuffer(RAW, "<i2") / 32767, RATE)
    found = on_socket(asked, Socket(sound[:30], sound[30:7001], sound[7001:], "end"), "model=speech")
    assert finals(found.events) == expected(runs)


def test_a_request_is_answered_with_the_same_events_while_its_body_comes(asked: Asked, runs: Any) -> None:
    async def body() -> AsyncIterator[bytes]:
        for at in range(0, len(RAW), 5000):
            yield RAW[at : at + 5000]

    async def talk(client: Client) -> Any:
        return await client.post(f"/hear?model=speech&rate={RATE}", content=body(), headers=KIND)

    answer = asked.run(talk)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [{"event": name, **data} for name, data in events(answer.text)]
    assert finals(told) == expected(runs)
    assert [told[0]["event"], told[-1]["event"]] == ["begun", "done"]


def test_a_client_that_goes_gives_its_place_back_and_is_no_failure(asked: Asked) -> None:
    scope = {
        "type": "http", "method": "POST", "path": "/hear", "raw_path": b"/hear", "root_path": "", "scheme": "http",
        "query_string": f"model=speech&rate={RATE}".encode(),
        "headers": [(b"host", b"here"), (b"content-type", b"application/octet-stream")],
    }  # fmt: skip
    left = [{"type": "http.request", "body": RAW[:8000], "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return left.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async def slow(message: Any) -> None:
        raise ConnectionResetError

    async def whole() -> None:
        async with asked.service.alive():
            await asked.app(scope, receive, send)
            left[:] = [{"type": "http.request", "body": RAW, "more_body": True}]
            with pytest.raises(ConnectionResetError):
                await asked.app(scope, receive, slow)

    asyncio.run(whole())
    assert sent[0]["status"] == 200
    assert len(asked.service.listening) == 0


def refused_sound(asked: Asked, content: bytes, query: str = "", kind: str = KIND["content-type"]) -> tuple[int, str]:
    answer = asked.post(f"/hear?model=speech{query}", content=content, headers={"content-type": kind})
    if answer.status_code != 200:
        return answer.status_code, answer.json()["error"]
    name, data = list(events(answer.text))[-1]
    assert name == "error"
    return 200, data["error"]


def test_what_cannot_be_heard_is_refused_in_a_sentence(asked: Asked) -> None:
    assert refused_sound(asked, RAW) == (200, f"sound: is no WAV file, so its rate must be named; this run hears "
                                         f"{RATE:,} Hz.")  # fmt: skip
    assert (
        refused_sound(asked, RAW, "&rate=48000")[1] == "sound: has 48,000 Hz, and this run hears 8,000 Hz. Convert it."
    )
    assert "of 16,000 Hz, 1 channel" in refused_sound(asked, wav(np.zeros(99), 16_000))[1]
    assert (
        "is a WAV of 8,000 Hz, and 48,000 Hz was said"
        in refused_sound(asked, wav(np.zeros(99), RATE), "&rate=48000")[1]
    )
    assert "middle of a sample" in refused_sound(asked, RAW[:-1], f"&rate={RATE}")[1]
    assert refused_sound(asked, RAW, "&rate=7")[0] == 422
    assert refused_sound(asked, RAW, kind="text/plain")[0] == 415
    answer = asked.post("/hear?model=both", content=RAW, headers=KIND)
    assert answer.status_code == 409
    assert "train with bidirectional: false" in answer.json()["error"]
    assert asked.get("/hear").status_code == 426
    missing = asked.get("/hear", headers={"upgrade": "websocket"})
    assert (missing.status_code, "pip install" in missing.json()["error"]) == (501, True)


def test_a_socket_is_refused_before_it_opens_with_a_status_and_after_with_an_event(asked: Asked) -> None:
    for query, status in (("model=both", 409), ("model=none", 404), ("", 422), ("model=speech&rate=fast", 422)):
        found = on_socket(asked, Socket(), query)
        assert (found.status, json.loads(found.body)["error"] != "") == (status, True)
    found = on_socket(asked, Socket("stop"))
    assert (found.code, found.events[-1]["status"]) == (1008, 422)
    assert "or the text 'end'" in found.events[-1]["error"]
    found = on_socket(asked, Socket(RAW))  # and then nothing
    assert (found.code, found.events[-1]["status"]) == (1008, 408)
    assert found.events[-1]["error"] == "sound: nothing came for 0.3 s; begin another."
    assert on_socket(asked, Socket(RAW, gone=True)).events[-1]["event"] != "done"
    assert len(asked.service.listening) == 0


def test_pages_of_other_hosts_open_no_socket_unless_they_may(runs: Any) -> None:
    asked = Asked(runs, Limits(), None)
    for origin, status in (("http://here", 101), ("https://evil.example", 403), ("null", 403)):
        assert on_socket(asked, Socket(RAW, "end"), origin=origin).status == status
    assert asked.service.stop(10)
    wider = Asked(runs, Limits(), None, origins=["https://may.example/"])
    assert on_socket(wider, Socket(RAW, "end"), origin="https://may.example").status == 101
    assert wider.service.stop(10)


def test_a_socket_needs_the_key_as_a_header_or_as_the_cookie_of_the_page(runs: Any) -> None:
    asked = Asked(runs, Limits(), "x" * 20)
    assert on_socket(asked, Socket()).status == 401
    assert on_socket(asked, Socket(RAW, "end"), authorization="Bearer " + "x" * 20).status == 101
    assert on_socket(asked, Socket(RAW, "end"), cookie="recurra_key=" + "x" * 20).status == 101
    assert on_socket(asked, Socket(), cookie="recurra_key=wrong").status == 401
    assert [line["status"] for line in asked.log if line["event"] == "request"] == [401, 101, 101, 401]
    assert asked.service.stop(10)


def test_sounds_are_bounded_in_number_and_length(runs: Any) -> None:
    none = Asked(runs, Limits(sounds=0), None)
    assert on_socket(none, Socket()).status == 503
    assert none.post(f"/hear?model=speech&rate={RATE}", content=RAW, headers=KIND).status_code == 503
    assert none.service.stop(10)
    busy = Asked(runs, Limits(), None)
    with full(busy):
        assert on_socket(busy, Socket()).status == 503
        answer = busy.post(f"/hear?model=speech&rate={RATE}", content=RAW, headers=KIND)
        assert is_told_to_come_again(answer)
    assert busy.service.stop(10)
    short = Asked(runs, Limits(sound_seconds=1.0), None)
    found = on_socket(short, Socket(RAW, "end"))
    assert (found.code, found.events[-1]["status"]) == (1008, 413)
    assert "longer than 1 s" in found.events[-1]["error"]
    assert short.service.stop(10)


def test_a_socket_of_another_name_is_refused(runs: Any) -> None:
    one = Asked(runs, Limits(), None, hosts=["models.example.org"])
    query = f"model=speech&rate={RATE}"
    assert on_socket(one, Socket("end"), query, host="evil.example").status == 421
    assert on_socket(one, Socket("end"), query, host="models.example.org").status == 101
    assert one.service.stop(10)


def test_a_beam_of_a_sound_that_comes_says_what_the_whole_says(asked: Asked, runs: Any) -> None:
    pieces = [RAW[at : at + 3200] for at in range(0, len(RAW), 3200)]
    found = on_socket(asked, Socket(*pieces, "end"), f"model=speech&rate={RATE}&beam=4")
    assert finals(found.events) == expected(runs, beam=4)
    assert expected(runs, beam=4) != expected(runs)
    posted = asked.run(lambda client: client.post(f"/hear?model=speech&rate={RATE}&beam=4", content=RAW, headers=KIND))
    assert finals([{"event": name, **data} for name, data in events(posted.text)]) == expected(runs, beam=4)
    assert on_socket(asked, Socket(), f"model=speech&rate={RATE}&beam=17").status == 422


ARPA = """\\data\\
ngram 1=5

\\1-grams:
-0.9 <s>
-0.9 </s>
-2.0 <unk>
-0.3 ab
-0.8 abc

\\end\\
"""


def test_words_and_a_language_model_beside_a_beam_say_what_the_whole_says(runs: Any, tmp_path: Path) -> None:
    (tmp_path / "words.arpa").write_text(ARPA)
    lm = {"lm": str(tmp_path / "words.arpa"), "lm_weight": 0.1, "lm_bonus": 40.0}
    served = {name: replace(one, beside=Beside(search=with_fusion(lm))) for name, one in runs.items()}
    asked = Asked(served, Limits(), None)
    pieces = [RAW[at : at + 3200] for at in range(0, len(RAW), 3200)]
    found = [expected(runs, beam=4)]
    for query, more in (("", {}), ("&hot_words=cab=4,%20ba=2", {"hot_words": {"cab": 4.0, "ba": 2.0}})):
        whole = expected(runs, beam=4, **with_fusion(lm), **more)
        told = on_socket(asked, Socket(*pieces, "end"), f"model=speech&rate={RATE}&beam=4{query}").events
        assert (finals(told), told[0]["beam"], told[0]["lm"]) == (whole, 4, True)
        address = f"/hear?model=speech&rate={RATE}&beam=4{query}"
        posted = asked.run(lambda client, to=address: client.post(to, content=RAW, headers=KIND)).text
        assert finals([{"event": name, **data} for name, data in events(posted)]) == whole
        sent = base64.b64encode(wav(np.frombuffer(RAW, "<i2") / 32768, RATE)).decode()
        body = {"model": "speech", "records": [{"audio": sent}], "options": {"beam": 4, **more}}
        (row,) = asked.post("/predict", body).json()["predictions"]
        assert row["output"].replace(" ", "") == "".join(one["text"] for one in whole).replace(" ", "")
        found.append(whole)
    assert found[0] != found[1] != found[2]
    greedy = on_socket(asked, Socket(RAW, "end"), f"model=speech&rate={RATE}").events
    assert (finals(greedy), greedy[0]["lm"]) == (expected(runs), False)
    assert [one["lm"] for one in asked.get("/models").json()["models"]] == [True, True]
    assert asked.service.stop(10)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("&hot_words=cab=4", "have no effect with a beam of 1"),
        ("&beam=4&hot_words=cab", "hot_words: expected words with their nats"),
        ("&beam=4&hot_words=cab=nan", "hot_words: expected words with their nats"),
        ("&beam=4&hot_words=cab=200", "hot_words: expected nats over 0, up to 100"),
        ("&beam=4&hot_words=cab=3,cab=2", "hot_words: expected each word once"),
        ("&beam=4&hot_words=xyz=3", "'xyz' needs 'x', 'y', 'z', which no training text has"),
        ("&beam=4&hot_words=" + ",".join(f"{'a' * n}=1" for n in range(1, 52)), "hot_words: expected at most 50"),
        ("&beam=4&hot_words=" + "a" * 2001, "characters"),
    ],
)
def test_hot_words_that_cannot_be_are_refused_before_a_sound_is_heard(asked: Asked, query: str, reason: str) -> None:
    on = on_socket(asked, Socket(), f"model=speech&rate={RATE}{query}")
    posted = asked.post(f"/hear?model=speech&rate={RATE}{query}", content=RAW, headers=KIND)
    assert (on.status, posted.status_code) == (422, 422)
    assert reason in posted.json()["error"]


def test_a_language_model_that_no_run_can_use_is_refused_at_the_start(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "words.arpa").write_text(ARPA)
    with pytest.raises(ConfigError, match="no run that is served turns sound into text"):
        open_runs([folder / "moods"], device="cpu", beside=Beside(search={"lm": tmp_path / "words.arpa"}))
    with pytest.raises(ConfigError, match="lm_weight: has no effect without"):
        open_runs([folder / "moods"], device="cpu", beside=Beside(search={"lm_weight": 1.0}))


@pytest.mark.parametrize("rate", ["0000010009999", "000001000" + "9" * 5000])
def test_a_rate_is_read_to_its_last_digit(asked: Asked, rate: str) -> None:
    assert on_socket(asked, Socket(), f"model=speech&rate={rate}").status == 422


def test_an_origin_that_is_no_address_is_another_page_and_no_failure(asked: Asked) -> None:
    assert on_socket(asked, Socket(), origin="http://[").status == 403
    assert on_socket(asked, Socket(), host="", origin="null").status == 403


def test_a_socket_elsewhere_is_refused_with_a_status(asked: Asked) -> None:
    found = on_socket(asked, Socket(), path="/models")
    assert (found.status, asked.log[-1]["status"]) == (404, 404)
    assert "only at /hear" in json.loads(found.body)["error"]


def test_a_compressed_sound_is_refused_and_not_heard_as_samples(asked: Asked) -> None:
    answer = asked.post(f"/hear?model=speech&rate={RATE}", content=RAW, headers={**KIND, "content-encoding": "gzip"})
    assert (answer.status_code, "Content-Encoding" in answer.json()["error"]) == (415, True)


@pytest.mark.parametrize("piece", [b"", b"\0"])
def test_next_to_nothing_now_and_then_keeps_no_place(asked: Asked, piece: bytes) -> None:
    found = on_socket(asked, Socket(*[piece] * 40, pause=0.02))
    assert (found.code, found.events[-1]["status"]) == (1008, 408)
    assert found.left > 10


def test_a_sound_is_heard_a_second_at_a_time_whatever_rate_its_header_says() -> None:
    async def turns(size: int, rate: int) -> list[int]:
        async def pieces() -> AsyncIterator[bytes]:
            yield bytes(size)

        known: list[int | None] = [None]
        found = []
        async for one in _turns(pieces(), lambda: known[0]):
            known[0] = rate
            found.append(len(one))
        return found

    assert asyncio.run(turns(40_001, 8_000)) == [2_000, 16_000, 16_000, 6_001]
    assert asyncio.run(turns(5_000, 1_000)) == [2_000, 2_000, 1_000]


def test_a_sound_ends_when_its_run_was_replaced_twice(runs: Any) -> None:
    asked = Asked(dict(runs), Limits(), None)
    first = runs["speech"]
    newer = [replace(first, opened=first.opened + timedelta(seconds=k)) for k in (1, 2)]

    async def heard(replaced: int) -> list[str]:
        async def pieces() -> AsyncIterator[bytes]:
            yield RAW[:8000]
            for old in (first, *newer)[:replaced]:
                asked.service._let_go(old)
            yield RAW[8000:]

        return [name async for name, _ in told(asked.service, first, RATE, pieces())]

    assert asyncio.run(heard(0))[-1] == asyncio.run(heard(1))[-1] == "done"
    with pytest.raises(RefusedError, match="replaced twice"):
        asyncio.run(heard(2))
    assert asked.service.stop(10)


@pytest.mark.parametrize("rate", [44_100, 11_025])
def test_a_run_that_resamples_hears_another_rate_with_the_bits_of_the_whole(rate: int) -> None:
    pytest.importorskip("soxr", reason="soxr is not installed; it comes with recurra[test]")
    served = hearing_run(resample=True)
    raw = np.frombuffer(said_samples(1.5 * rate / RATE), "<i2")
    sound = wav(raw / 32767, rate)
    task = served.run.task
    example = task.example(Record({"audio": sound}, Origin("a", None)), gold=False)
    (whole,) = task.predict(served.run.model, task.collate([example], [0]), [example])
    asked = Asked({"speech": served}, Limits(), None)
    for given, query in ((sound, ""), (raw.tobytes(), f"rate={rate}")):
        for size in (999, 10**6):
            pieces = [given[at : at + size] for at in range(0, len(given), size)]
            found = finals(on_socket(asked, Socket(*pieces, "end"), query).events)
            assert "".join(one["text"] for one in found).replace(" ", "") == whole.text.replace(" ", "")
            words = [word["start"] for one in found for word in one["words"]]
            assert words == [word.start for word in task.answer(example, whole).words] or len(found) > 1
    assert len(whole.text) >= 5
    assert asked.service.stop(10)


def test_models_say_which_rate_they_hear_and_why_not_piece_by_piece(asked: Asked) -> None:
    first, second = asked.get("/models").json()["models"]
    assert (first["rate"], first["hears"]) == (RATE, [])
    assert second["rate"] == RATE
    assert "bidirectional" in second["hears"][0]


def test_a_real_socket_stays_open_longer_than_the_head_of_a_request_may_take(runs: Any) -> None:
    websockets = pytest.importorskip("websockets", reason="websockets is not installed; it comes with recurra[test]")
    service = Service(runs, Limits(header_seconds=0.2), Log(io.StringIO()))
    bound = listening("127.0.0.1", 0)
    one = server(service, loop="asyncio")

    async def talk() -> list[dict[str, Any]]:
        serving = asyncio.create_task(one.serve(sockets=[bound]))
        address = f"{url_of(bound).replace('http', 'ws')}/hear?model=speech&rate={RATE}"
        with pytest.raises(websockets.InvalidStatus, match="403"):
            await websockets.connect(address, origin="https://evil.example")
        with pytest.raises(websockets.InvalidStatus, match="400"):  # uvicorn's own would never answer
            await websockets.connect(address, additional_headers={"Content-Length": "3"})
        async with websockets.connect(address, max_size=None) as socket:
            await socket.send(RAW[:9001])
            await asyncio.sleep(0.4)
            await socket.send(RAW[9001:])
            await socket.send("end")
            found = [json.loads(message) async for message in socket]
        one.should_exit = True
        await serving
        return found

    assert finals(asyncio.run(talk())) == expected(runs)
    assert service.stop(10)
