"""A run that was trained anew is taken up while the service answers; a broken one leaves everything as it was."""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

from forked_room import Forked
from recurra.api.folder import open_run
from recurra.cli import main
from recurra.service import Limits, LoadedModel, open_runs
from recurra.service.server import terminal_is_there
from recurra.training import save_weights
from service.service_room import Asked, Client, events, hidden
from service.test_answers import by_the_api
from service.test_process import KEY
from service.test_together import same

BEARER = {"authorization": f"Bearer {KEY}"}
TEXTS = ["fine item a1", "awful", "x 12"]
Talk = Callable[[Client], Any]


def train_on(run: Path, seed: int = 1) -> None:
    """Other weights, written as training writes them."""
    opened, draws = open_run(run), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in opened.model.parameters():
            parameter += torch.randn(parameter.shape, generator=draws)
    save_weights(opened.folder.weights, opened.model)


class Kept:
    """A service of one run in a folder of its own, that may be changed."""

    def __init__(self, run: Path, **limits: Any) -> None:
        self.run = run
        self.asked = Asked(open_runs([run], device="cpu"), Limits(**limits), KEY)

    @property
    def now(self) -> LoadedModel:
        return self.asked.service.runs[self.run.name]

    def talk(self, talk: Talk) -> Any:
        async def whole(client: Client) -> Any:
            client.headers.update(BEARER)
            return await talk(client)

        return self.asked.run(whole)

    def reload(self, status: int = 200) -> Any:
        answer = self.talk(lambda client: client.post(f"/models/{self.run.name}/reload"))
        assert answer.status_code == status, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        return self.talk(lambda client: client.get(path))

    def predict(self, texts: list[str] = TEXTS) -> Any:
        return self.talk(lambda client: client.post("/predict", json={"texts": texts})).json()

    @property
    def shown(self) -> Any:
        (model,) = self.get("/models").json()["models"]
        return model

    def counted(self, outcome: str) -> int:
        name = f'recurra_reloads_total{{model="{self.run.name}",outcome="{outcome}"}} '
        (line,) = [line for line in self.get("/metrics").text.splitlines() if line.startswith(name)]
        return int(float(line.removeprefix(name)))


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Callable[..., Kept]]:
    """Makes a service around a copy of a run."""
    made: list[Kept] = []

    def make(run: Path, **limits: Any) -> Kept:
        shutil.copytree(run, tmp_path / run.name)
        made.append(Kept(tmp_path / run.name, **limits))
        return made[-1]

    yield make
    for one in made:
        assert one.asked.service.stop(10)


@pytest.fixture
def moods(keep: Callable[..., Kept], folder: Path) -> Kept:
    return keep(folder / "moods")


def test_a_run_that_was_trained_on_answers_with_its_new_weights(moods: Kept) -> None:
    old, before = moods.now, moods.predict()
    assert before["predictions"] == by_the_api(old, TEXTS)
    train_on(moods.run)
    assert moods.predict() == before  # nobody has asked for it yet
    answer = moods.reload()
    assert answer == {"model": "moods", "version": moods.now.version, "outcome": "loaded"}
    after = moods.predict()
    new = open_runs([moods.run], device="cpu")["moods"]
    assert after["predictions"] == by_the_api(new, TEXTS) != before["predictions"]
    assert (before["version"], after["version"]) == (old.version, new.version)
    assert old.version != new.version == moods.shown["version"]
    assert moods.shown["refused"] is None
    (line,) = [line for line in moods.asked.log if line["event"] == "reload"]
    assert (line["level"], line["model"], line["outcome"], line["version"]) == ("info", "moods", "loaded", new.version)
    assert [moods.counted(outcome) for outcome in ("loaded", "unchanged", "refused")] == [1, 0, 0]


def test_the_same_files_are_the_same_version(moods: Kept) -> None:
    old = moods.now
    assert moods.reload()["outcome"] == "unchanged"
    (moods.run / "model.safetensors").touch()  # written anew, with the same content
    assert moods.reload() == {"model": "moods", "version": old.version, "outcome": "unchanged"}
    assert moods.now is old
    assert moods.counted("unchanged") == 2


def cut(kept: Kept, folder: Path) -> str:
    weights = kept.run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    return "moods/model.safetensors: damaged"


def one_bit(kept: Kept, folder: Path) -> str:
    weights = kept.run / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    return "moods/model.safetensors: damaged: its tensors do not have the SHA-256"


def not_a_number(kept: Kept, folder: Path) -> str:
    from safetensors.torch import load_file, save_file

    tensors = load_file(kept.run / "model.safetensors")
    next(iter(tensors.values())).fill_(torch.nan)
    save_file(tensors, kept.run / "model.safetensors")
    return "moods/model.safetensors: expected finite weights, found NaN"


def no_weights(kept: Kept, folder: Path) -> str:
    (kept.run / "model.safetensors").unlink()
    return "moods: has no model.safetensors"


def no_folder(kept: Kept, folder: Path) -> str:
    kept.run.rename(kept.run.with_name("elsewhere"))
    return "moods: no such folder"


def another_task(kept: Kept, folder: Path) -> str:
    shutil.rmtree(kept.run)
    shutil.copytree(folder / "digits", kept.run)
    return "moods: holds a run of translation that reads 'source'; under the name 'moods' clients expect classification"


def other_sizes(kept: Kept, folder: Path) -> str:
    shutil.copy(folder / "both/model.safetensors", kept.run)
    return "moods/model.safetensors: "


def cut_config(kept: Kept, folder: Path) -> str:
    config = kept.run / "config.yaml"
    config.write_bytes(config.read_bytes()[:-40])
    return "moods/config.yaml: damaged: its last line is missing"


def unreadable(kept: Kept, folder: Path) -> str:
    (kept.run / "task.json").unlink()
    (kept.run / "task.json").mkdir()
    return "moods/task.json: is missing"


SPOILT = [cut, one_bit, not_a_number, no_weights, no_folder, another_task, other_sizes, cut_config, unreadable]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_broken_version_is_refused_and_the_one_before_goes_on(
    moods: Kept, folder: Path, spoil: Callable[[Kept, Path], str]
) -> None:
    old, before = moods.now, moods.predict()
    said = spoil(moods, folder)
    answer = moods.reload(409)
    assert answer["error"].startswith(said)
    assert not any(word in json.dumps(answer) for word in hidden(moods.run.parent))
    assert moods.now is old
    assert moods.predict() == before
    shown = moods.shown
    assert (shown["version"], shown["refused"]["problems"]) == (old.version, answer["problems"])
    (line,) = [line for line in moods.asked.log if line["event"] == "reload"]
    assert (line["level"], line["outcome"], line["version"]) == ("error", "refused", old.version)
    assert line["problem"].startswith(str(moods.run))
    assert (moods.counted("refused"), moods.counted("loaded")) == (1, 0)


def test_a_run_is_taken_up_when_it_is_mended(moods: Kept, folder: Path) -> None:
    cut(moods, folder)
    moods.reload(409)
    shutil.copy(folder / "moods/model.safetensors", moods.run)
    assert moods.reload()["outcome"] == "unchanged"
    assert moods.shown["refused"] is None
    cut(moods, folder)
    moods.reload(409)
    shutil.copy(folder / "moods/model.safetensors", moods.run)
    train_on(moods.run)
    assert moods.reload()["outcome"] == "loaded"
    assert moods.shown["refused"] is None


def test_files_that_are_written_while_they_are_read_are_no_version(
    moods: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The weights are those of one training, and task.json comes from the next.
    train_on(moods.run)

    def while_read(path: Path, *options: Any) -> Any:
        found = open_run(path, *options)
        (path / "task.json").write_text((path / "task.json").read_text())
        return found

    monkeypatch.setattr("recurra.service.models.open_run", while_read)
    old = moods.now
    assert moods.reload(409)["error"].startswith("moods: its files were written while they were read.")
    assert moods.now is old


def test_a_version_that_cannot_answer_is_refused(moods: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(served: LoadedModel) -> None:
        raise ZeroDivisionError("/secret/place")

    train_on(moods.run)
    old = moods.now
    with monkeypatch.context() as patch:
        patch.setattr("recurra.service.reloading.warm_up", fails)
        assert moods.reload(409)["problems"] == ["it could not be read; the log of the service says why."]
    assert moods.now is old
    assert "ZeroDivisionError" in moods.asked.log[-2 if moods.asked.log[-1]["event"] == "request" else -1]["traceback"]
    assert moods.reload()["outcome"] == "loaded"


def test_questions_to_two_versions_share_no_batch(moods: Kept) -> None:
    old = moods.now
    train_on(moods.run)
    new = open_runs([moods.run], device="cpu")["moods"]
    batcher = moods.asked.service.batcher

    async def talk(client: Client) -> list[Any]:
        records = [[_record(served, f"fine {n}")] for n, served in enumerate([old, new] * 10)]
        asks = [batcher.ask(served, {}, some) for served, some in zip([old, new] * 10, records, strict=True)]
        return await asyncio.gather(*asks)

    sizes: list[int] = []
    batcher._rows = sizes.append
    for n, answer in enumerate(moods.talk(talk)):
        same(answer.rows, by_the_api([old, new][n % 2], [f"fine {n}"]))
    assert max(sizes) > 1


def _record(served: LoadedModel, text: str) -> Any:
    from recurra.base.contracts import Origin, Record

    return Record({served.input_field: text}, Origin("here"))


def test_a_session_goes_on_with_the_version_it_began_with(moods: Kept) -> None:
    old = moods.now
    whole = by_the_api(old, ["fine item a1"])

    async def talk(client: Client) -> None:
        async def fed(session: str, piece: str) -> Any:
            return await client.post(f"/sessions/{session}", json={"text": piece})

        async def reload(seed: int) -> None:
            train_on(moods.run, seed)
            assert (await client.post("/models/moods/reload")).json()["outcome"] == "loaded"

        first = (await client.post("/sessions", json={})).json()
        await fed(first["session"], "fine it")
        await reload(1)
        second = (await client.post("/sessions", json={})).json()
        assert (first["version"], second["version"]) == (old.version, moods.now.version)
        answer = (await fed(first["session"], "em a1")).json()["prediction"]
        assert answer["probabilities"] == pytest.approx(whole[0]["probabilities"], abs=1e-6)
        answer = (await fed(second["session"], "fine item a1")).json()["prediction"]
        (other,) = by_the_api(moods.now, ["fine item a1"])
        assert answer["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
        assert other["probabilities"] != pytest.approx(whole[0]["probabilities"], abs=1e-3)

        assert (await client.post("/models/moods/reload")).json()["outcome"] == "unchanged"
        assert (await fed(first["session"], "x")).status_code == 200
        await reload(2)
        gone = await fed(first["session"], "x")
        assert (gone.status_code, "whose run was replaced twice" in gone.json()["error"]) == (404, True)
        assert (await fed(second["session"], "x")).status_code == 200

    moods.talk(talk)


def test_words_are_suggested_and_written_by_the_new_version(keep: Callable[..., Kept], writer: Path) -> None:
    cats = keep(writer)
    options = {"length": 12, "seed": 3}

    async def talk(client: Client) -> tuple[Any, ...]:
        words = await client.post("/suggest", json={"text": "the "})
        written = await client.post("/generate", json={"text": "the cat", "options": options})
        return words.json()["suggestions"], [data for _, data in events(written.text)]

    before = cats.talk(talk)
    train_on(cats.run)
    old = weakref.ref(cats.now.run.model)
    cats.reload()
    gc.collect()
    assert old() is None  # the memory of the version before is free
    after = cats.talk(talk)
    fresh = Kept(cats.run)
    assert after == fresh.talk(talk)
    assert fresh.asked.service.stop(10)
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_a_text_that_is_being_written_is_written_to_its_end_by_one_version(
    keep: Callable[..., Kept], writer: Path
) -> None:
    cats = keep(writer)
    service, body = cats.asked.service, {"length": 40, "seed": 3}

    async def written(client: Client, at_half: Callable[[], Any]) -> bytes:
        found = b""
        stream = await service.stream.begin(cats.now, "the cat", body, "x")
        async for number, event in _numbered(stream):
            found += event
            if number == 20:
                await at_half()
        return found

    async def nothing() -> None:
        pass

    async def reload() -> None:
        train_on(cats.run)
        assert (await service.reloads.ask("cats")).outcome == "loaded"

    alone = cats.talk(lambda client: written(client, nothing))
    assert cats.talk(lambda client: written(client, reload)) == alone
    assert cats.talk(lambda client: written(client, nothing)) != alone


async def _numbered(stream: Any) -> Any:
    number = 0
    async for event in stream:
        yield number, event
        number += 1


def test_who_has_no_key_or_only_a_cookie_reloads_nothing(moods: Kept, folder: Path) -> None:
    train_on(moods.run)
    old = moods.now
    for headers in ({}, {"authorization": "Bearer x"}, {"cookie": f"recurra_key={KEY}"}, {"authorization": KEY}):
        assert moods.asked.post("/models/moods/reload", headers=headers).status_code == 401, headers
    assert moods.asked.get("/models", headers={"cookie": f"recurra_key={KEY}"}).status_code == 200
    unknown = moods.talk(lambda client: client.post("/models/..%2Fboth/reload"))
    assert unknown.status_code == 404
    free = Asked(open_runs([moods.run], device="cpu"), Limits(), None)
    refused = free.post("/models/moods/reload")
    assert (refused.status_code, refused.json()["error"][:7]) == (403, "reload:")
    assert free.service.stop(10)
    assert moods.now is old
    assert moods.counted("loaded") == 0


def test_what_is_asked_for_while_files_are_read_is_read_again(moods: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    from recurra.service import reloading

    begun, advance, number = threading.Event(), threading.Event(), 0

    def slow(old: LoadedModel) -> LoadedModel:
        nonlocal number
        number += 1
        begun.set()
        assert advance.wait(20)
        return old

    monkeypatch.setattr(reloading, "reload", slow)
    reloads = moods.asked.service.reloads

    async def talk(client: Client) -> None:
        first = reloads.ask("moods")
        while not begun.is_set():
            await asyncio.sleep(0.001)
        assert (await client.post("/predict", json={"texts": ["a"]})).status_code == 200  # answers, while it reads
        later = [reloads.ask("moods") for _ in range(50)]
        reloads.ask_all()
        asks = [asyncio.ensure_future(client.post("/models/moods/reload")) for _ in range(2)]
        await asyncio.sleep(0.02)
        asks[0].cancel()  # who goes away does not take the answer of the other with it
        await asyncio.sleep(0.02)
        advance.set()
        assert (await asks[1]).json()["outcome"] == "unchanged"
        await asyncio.gather(first, *later)

    moods.talk(talk)
    assert number == 2


def test_a_reload_that_takes_long_ends_all_the_same(
    keep: Callable[..., Kept], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recurra.service import reloading
    from recurra.service.models import reload

    moods = keep(folder / "moods", seconds=0.2)
    train_on(moods.run)
    advance = threading.Event()
    monkeypatch.setattr(reloading, "reload", lambda old: reload(old) if advance.wait(20) else old)
    old = moods.now

    async def talk(client: Client) -> None:
        late = await client.post("/models/moods/reload")
        assert (late.status_code, "continues" in late.json()["error"]) == (504, True)
        advance.set()
        async with asyncio.timeout(20):
            while moods.now is old:
                await asyncio.sleep(0.01)

    moods.talk(talk)
    assert moods.counted("loaded") == 1


def test_a_link_may_point_to_the_next_version(folder: Path, tmp_path: Path) -> None:
    for name in ("v1", "v2"):
        shutil.copytree(folder / "moods", tmp_path / name)
    train_on(tmp_path / "v2")
    (tmp_path / "live").symlink_to("v1")
    kept = Kept(tmp_path / "live")
    first = kept.now.version
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").rename(tmp_path / "live")
    assert kept.reload() == {"model": "live", "version": kept.now.version, "outcome": "loaded"}
    assert kept.now.version != first
    assert kept.asked.service.stop(10)


def test_a_terminal_that_is_closed_is_told_from_a_hangup_that_was_sent() -> None:
    here, there = os.openpty()
    assert terminal_is_there([there])
    os.close(here)
    assert not terminal_is_there([there])
    os.close(there)
    assert terminal_is_there([])


def test_sighup_reloads_a_process_that_drops_no_request(folder: Path, tmp_path: Path) -> None:
    versions = {}
    for name in ("one", "two"):
        shutil.copytree(folder / "moods", tmp_path / name)
        train_on(tmp_path / name, seed=len(name) + len(versions))
        (served,) = open_runs([tmp_path / name], device="cpu").values()
        versions[served.version] = by_the_api(served, TEXTS)
    first, second = versions
    shutil.copytree(tmp_path / "one", tmp_path / "live")
    words = ["serve", str(tmp_path / "live"), "--port", "0", "--device", "cpu"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Forked(lambda: main(words), env=os.environ, **pipes) as process, ExitStack() as at_last:
        at_last.callback(process.kill)
        port = int(process.stdout.readline().split(":")[-1].split()[0])
        lines: list[dict[str, Any]] = []
        reading = threading.Thread(target=lambda: lines.extend(map(json.loads, _json_lines(process.stderr))))
        reading.start()
        stop = threading.Event()
        pool = at_last.enter_context(ThreadPoolExecutor(3))
        at_last.callback(stop.set)
        with_options = [pool.submit(_ask_until, stop, port) for _ in range(3)]
        for number, name in enumerate(["two", "one", "broken", "two"], 1):
            weights = tmp_path / "next"
            weights.write_bytes((tmp_path / name / "model.safetensors").read_bytes() if name != "broken" else b"{}")
            weights.rename(tmp_path / "live/model.safetensors")
            process.send_signal(signal.SIGHUP)
            until = time.monotonic() + 60
            while sum(line["event"] == "reload" for line in lines) < number:
                assert time.monotonic() < until
                time.sleep(0.01)
        stop.set()
        answers = [answer for one in with_options for answer in one.result()]
        process.terminate()
        assert process.wait(60) == 143  # how soon it ends is measured in test_process.py
        reading.join(10)
    reloads = [(line["outcome"], line["version"]) for line in lines if line["event"] == "reload"]
    assert reloads == [("loaded", second), ("loaded", first), ("refused", first), ("loaded", second)]
    assert {answer["version"] for answer in answers} == {first, second}
    for answer in answers:
        same(answer["predictions"], versions[answer["version"]])


def _json_lines(stream: Any) -> Iterator[str]:
    return (line for line in stream if line.startswith("{"))


def _ask_until(stop: threading.Event, port: int) -> list[Any]:
    """Every answer of one client that asks again and again; any that is not whole raises."""
    found = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    while not stop.is_set():
        connection.request("POST", "/predict", json.dumps({"texts": TEXTS}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200
        found.append(json.loads(answer.read()))
    connection.close()
    return found
