"""Behind a proxy: under a path that it strips or keeps, with links that lead back, and answers that are passed on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from recurra.base.errors import ConfigError
from recurra.service import LoadedModel, open_runs
from service.service_room import Ask, events

GETS = ("/", "/page.css", "/page.js", "/docs", "/docs.js", "/icon.svg", "/health", "/ready", "/models", "/metrics")
GETS += ("/openapi.json", "/models/moods/report")
# One that begins as a route does, and one under which the report of a run is the run's own address and more.
ROOTS = ("/recurra", "/models/moods", "/a/b-c_d.e~f")


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("kept", [False, True], ids=["stripped", "kept"])
def test_a_proxy_may_strip_its_path_or_keep_it(ask: Ask, root: str, kept: bool) -> None:
    asked = ask("moods", "digits", root_path=f"{root}/")
    before = root if kept else ""
    assert {path: asked.get(before + path).status_code for path in GETS} == dict.fromkeys(GETS, 200)
    found = asked.post(f"{before}/predict", {"model": "moods", "texts": ["fine"]})
    assert (found.status_code, found.json()["model"]) == (200, "moods")
    stream = asked.post(f"{before}/generate", {"model": "digits", "text": "12 12"})
    assert [name for name, _ in events(stream.text)][-1] == "done"
    assert asked.get(f"{before}/nothing").status_code == 404
    assert asked.get("/openapi.json").json()["servers"] == [{"url": root}]
    assert {line["path"] for line in asked.log} == {*GETS, "/predict", "/generate", "/nothing"}


@pytest.mark.parametrize("kept", [False, True], ids=["stripped", "kept"])
def test_every_link_leads_back_through_the_proxy(ask: Ask, kept: bool) -> None:
    asked = ask("moods", root_path="/models/moods")
    before = "/models/moods" if kept else ""
    (model,) = asked.get(f"{before}/models").json()["models"]
    assert model["report"] == "/models/moods/models/moods/report"
    for page in ("/", "/docs"):
        links = set(re.findall(r' (?:href|src)="([^"#]*)"', asked.get(before + page).text))
        assert links >= {"/models/moods/page.css", "/models/moods/icon.svg"}
        for link in links:
            assert link.startswith("/models/moods/"), link
            assert asked.get(link if kept else link.removeprefix("/models/moods")).status_code == 200


def test_the_address_without_its_last_slash_is_the_page(ask: Ask) -> None:
    asked = ask("moods", root_path="/recurra")
    assert asked.get("/recurra").text == asked.get("/").text


def test_without_a_root_path_links_are_relative(ask: Ask) -> None:
    # Right behind any proxy that strips its path, told or not.
    for page in ("/", "/docs"):
        links = set(re.findall(r' (?:href|src)="([^"#]*)"', ask("moods").get(page).text))
        assert links
        assert not [link for link in links if link.startswith("/") or ":" in link]


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("recurra", "expected a path such as /models/first"),
        ("/a b", "expected a path such as"),
        ('/"><script>', "expected a path such as"),
        ("/a//b", "expected a path such as"),
        ("/a/../b", "expected a path such as"),
        ("/" + "a" * 200, "expected a path such as"),
        ("/models", "/models is a path of the service itself"),
        ("/sessions", "/sessions is a path of the service itself"),
        ("/models/x/report", "/models/x/report is a path of the service itself"),
    ],
)
def test_a_root_path_that_would_mislead_is_refused(ask: Ask, root: str, said: str) -> None:
    asked = ask("moods", root_path=root)
    with pytest.raises(ConfigError, match=f"--root-path: .*{re.escape(said)}"):
        _ = asked.app


def test_no_redirect_names_a_host(ask: Ask) -> None:
    # Behind a proxy it would be the host that the proxy asks.
    answer = ask("moods").post("/predict/", {"texts": ["fine"]})
    assert (answer.status_code, "location" in answer.headers) == (404, False)


@pytest.mark.parametrize("path", GETS)
def test_head_is_answered_as_get_without_the_body(ask: Ask, path: str) -> None:
    asked = ask("moods", key="a-key-of-24-characters-1")
    signed = {"authorization": "Bearer a-key-of-24-characters-1"}
    head, get = (asked.run(lambda c, m=m: c.request(m, path, headers=signed)) for m in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # which counts the request before
        assert int(head.headers["content-length"]) == len(get.content)
    assert asked.run(lambda client: client.head("/models")).status_code == 401
    assert [line["method"] for line in asked.log] == ["HEAD", "GET", "HEAD"]


def test_head_of_what_takes_a_body_is_refused_without_one(ask: Ask) -> None:
    answer = ask("moods").run(lambda client: client.head("/predict"))
    assert (answer.status_code, answer.content, answer.headers["allow"]) == (405, b"", "POST")


def test_a_proxy_is_asked_to_pass_each_token_on(ask: Ask) -> None:
    answer = ask("digits").post("/generate", {"text": "12"})
    assert (answer.headers["x-accel-buffering"], answer.headers["cache-control"]) == ("no", "no-store")


ODD = ("a b", "100%", "50%20off", "#1", "what?", 'say "hi"', "it's", "Köln", "日本", "a&b;c", "<b>", "a+b", "..x", "~")


def test_a_run_of_any_name_has_a_link_that_leads_to_its_report(
    ask: Ask, served: dict[str, LoadedModel], tmp_path: Path
) -> None:
    from service.service_room import Asked

    for name in ODD:
        (tmp_path / name).symlink_to(served["moods"].run.folder.path)
    from recurra.service import Limits

    asked = Asked(open_runs([tmp_path / name for name in ODD], device="cpu"), Limits(), None)
    models: list[dict[str, Any]] = asked.get("/models").json()["models"]
    assert [model["name"] for model in models] == list(ODD)
    for model in models:
        assert re.fullmatch(r"[A-Za-z0-9/._~%-]+", model["report"])
        assert asked.get(model["report"]).status_code == 200, model["name"]
        assert asked.post("/predict", {"model": model["name"], "texts": ["a"]}).json()["model"] == model["name"]
    assert asked.service.stop(10)


@pytest.mark.parametrize(
    ("name", "said"), [("x" * 101, "has 101 characters, expected at most 100"), ("K\udcf6ln", "is not UTF-8")]
)
def test_a_name_that_no_request_can_hold_is_refused(
    served: dict[str, LoadedModel], tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / name).symlink_to(served["moods"].run.folder.path)
    with pytest.raises(ConfigError, match=f"its name {said}"):
        open_runs([tmp_path / name], device="cpu")
