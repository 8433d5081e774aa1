"""The description of the service is true: whatever is asked, the answer is one that it names."""

from __future__ import annotations

import asyncio
import html
import json
import re
import shlex
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recurra.service import LoadedModel
from service.service_room import Ask, Asked, Client

POSTS = {"/predict": "/predict", "/generate": "/generate", "/suggest": "/suggest", "/sessions": "/sessions"}
POSTS["/similar"] = "/similar"
POSTS |= {
    path: path
    for path in ("/generate_rows", "/inpaint", "/compress", "/decompress", "/detect", "/search", "/search_texts")
}
POSTS["/sessions/x"] = "/sessions/{session}"
NAMES = [
    "model",
    "texts",
    "records",
    "text",
    "options",
    "number",
    "words",
    "analogy",
    "beam",
    "n_best",
    "attention",
    "length",
    "stop",
    "between",
    "steps",
    "lines",
    "bits",
    "data",
    "csv",
    "clean",
    "threshold",
    "picture",
]
# Some of what fits, and all kinds of what does not.
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 20), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["moods", "both", "digits", "fine", "\ud800", "\x00", "{}", 5.0]),
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner),
    max_leaves=8,
)
BODIES = st.dictionaries(st.sampled_from(NAMES), JSON) | JSON


@pytest.fixture(scope="module")
def asked(served: dict[str, LoadedModel]) -> Any:
    from recurra.service import Limits

    one = Asked(served, Limits(), None)
    yield one
    assert one.service.stop(10)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(sorted(POSTS)), bodies=st.lists(BODIES, min_size=1, max_size=4))
def test_any_body_is_answered_as_described(asked: Asked, path: str, bodies: list[Any]) -> None:
    described = asked.app._app.openapi()["paths"][POSTS[path]]["post"]["responses"]  # type: ignore[attr-defined]

    async def talk(client: Client) -> list[Any]:
        sent = [json.dumps(body).encode() for body in bodies]  # NaN and lone surrogates too
        headers = {"content-type": "application/json"}
        return await asyncio.gather(*(client.post(path, content=body, headers=headers) for body in sent))

    for answer in asked.run(talk):
        assert str(answer.status_code) in described
        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error", "problems", "request_id"}


def test_a_whole_number_may_be_written_with_a_point(ask: Ask) -> None:
    body = {"texts": ["12"], "options": {"beam": 2.0, "n_best": 2.0}}
    (row,) = ask("digits").post("/predict", body).json()["predictions"]
    assert len(row["n_best"]) == 2
    assert ask("digits").post("/predict", {"texts": ["12"], "options": {"beam": 2.5}}).status_code == 422


def test_all_methods_of_a_path_are_named_where_another_is_asked_for(ask: Ask) -> None:
    asked = ask("moods")
    for path, methods in {
        "/sessions/x": "DELETE, POST",
        "/predict": "POST",
        "/models": "GET, HEAD",
        "/": "GET, HEAD",
    }.items():
        answer = asked.run(lambda client, path=path: client.request("PATCH", path))
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)


def test_a_schema_that_is_named_is_there(ask: Ask) -> None:
    text = ask("moods").get("/openapi.json").text
    named = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert "Refusal" in named
    assert named <= set(json.loads(text)["components"]["schemas"])


def test_bounds_are_in_the_description(ask: Ask) -> None:
    schemas = ask("moods").get("/openapi.json").json()["components"]["schemas"]
    beam = schemas["PredictOptions"]["properties"]["beam"]
    assert (beam["minimum"], beam["maximum"]) == (1, 16)
    length = schemas["GenerateOptions"]["properties"]["length"]
    assert (length["minimum"], length["maximum"]) == (1, 1000)
    texts = schemas["PredictRequest"]["properties"]["texts"]["anyOf"][0]
    assert (texts["maxItems"], texts["items"]["maxLength"]) == (256, 16_000_000)
    assert schemas["PredictRequest"]["additionalProperties"] is False


def test_docs_have_every_request_with_its_fields_and_bounds(ask: Ask) -> None:
    asked = ask("moods")
    page = asked.get("/docs").text
    for path, methods in asked.get("/openapi.json").json()["paths"].items():
        for method in methods:
            assert f'<b class="verb {method}">{method.upper()}</b> <code>{path}</code></h2>' in page
    for row in (
        "<code>texts</code></td><td>list of string, at most 16,000,000 characters; 1 to 256 of them</td>",
        "<code>options.beam</code></td><td>integer 1 to 16, default 1</td><td>hypotheses of a translation, texts of",
        "<code>options.temperature</code></td><td>number 0 to 100, default 1.0</td>",
        "<code>options.top_p</code></td><td>number over 0 to 1</td>",
        "<code>options.seed</code></td><td>integer 0 to 9.22e+18, default 0</td>",
        "<code>text</code></td><td>string, at most 10,000 characters, needed</td>",
        "<td>415</td>",
    ):
        assert row in page, row


def test_docs_show_requests_that_this_service_answers(ask: Ask) -> None:
    asked = ask("moods", "digits")
    page = asked.get("/docs").text
    # /suggest and /similar: no language model, no vectors of words; five for codes
    # of rows and scores of points; /hear: its body is no JSON; three for chats; two searches
    assert page.count("No run that is served here can answer this.") == 13
    trials = re.findall(r'data-method="POST" data-path="([^"{]*)"><textarea[^>]*>([^<]*)</textarea>', page)
    assert [path for path, _ in trials] == ["/predict", "/generate", "/sessions"]
    for path, body in trials:
        assert asked.post(path, json.loads(html.unescape(body))).status_code in (200, 201), path
    curl = re.search(r'<pre class="curl">curl <span class="address">[^<]*</span>/predict (.*?)</pre>', page)
    assert curl is not None
    words = shlex.split(html.unescape(curl[1]))
    assert words[:3] == ["-H", "Content-Type: application/json", "-d"]
    (model, *_) = asked.get("/models").json()["models"]
    assert json.loads(words[3]) == {"model": "moods", "texts": [model["examples"][0]]}


def test_no_page_loads_from_another_host_or_has_a_script_within(ask: Ask) -> None:
    asked = ask("moods")
    assert asked.get("/redoc").status_code == 404
    for path in ("/", "/docs"):
        answer = asked.get(path)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
        assert not re.findall(r'(?:src|href|action)="(?:[a-z]+:)?//', answer.text)
        assert not re.findall(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", answer.text)
