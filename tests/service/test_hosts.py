"""A service for this machine answers to this machine's names, so that no page can make its own name mean it."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

import pytest

from recurra.base.errors import ConfigError
from recurra.service import Limits, LoadedModel, names_for
from recurra.service.errors import RefusedError
from recurra.service.hosts import Hosts
from service.service_room import Asked


@pytest.fixture
def asked(served: dict[str, LoadedModel]) -> Iterator[Asked]:
    one = Asked({"moods": served["moods"]}, Limits(), None, hosts=["models.example.org"])
    yield one
    assert one.service.stop(10)


def is_answered(host: str, names: Sequence[str] | None, path: str = "/models") -> bool:
    try:
        Hosts(names).refuse_stranger(host, path)
    except RefusedError as error:
        return error.status != 421
    return True


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST.",
        "a.localhost",
        "127.0.0.1:8000",
        "127.8.9.1",
        "[::1]",
        "[::1]:80",
        "",
    ],
)
def test_this_machine_s_names_are_answered(host: str) -> None:
    assert is_answered(host, [])


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost",
        "10.0.0.1", "[::2]", "localhost:8000@evil.example", "evil.example:x", "[localhost", "localhost, evil.example",
        "0.0.0.0", "\u00e9.localhost.evil", "localhost evil", ":80",
    ],
)  # fmt: skip
def test_other_names_are_refused(host: str) -> None:
    assert not is_answered(host, [])
    assert is_answered(host, None), "a service for other machines answers to any name"
    assert is_answered(host, [], "/health")


def test_names_that_are_allowed_are_answered_beside_them() -> None:
    names = ["Models.Example.org", "*.example.com", "10.0.0.1"]
    for host in ("models.example.org:443", "a.example.com", "a.b.example.com", "10.0.0.1:80", "localhost"):
        assert is_answered(host, names), host
    for host in ("example.org", "a.models.example.org", "example.com", "evilexample.com", "10.0.0.2"):
        assert not is_answered(host, names), host


@pytest.mark.parametrize("name", ["", "https://example.org", "example.org:80", "*", "a b", "-", "*.*.org", "é.org"])
def test_what_is_no_name_cannot_be_allowed(name: str) -> None:
    with pytest.raises(ConfigError, match="--allow-host"):
        Hosts([name])


@pytest.mark.parametrize(("address", "names"), [("127.0.0.1", []), ("0.0.0.0", None)])
def test_any_name_is_answered_only_by_a_service_for_other_machines(address: str, names: list[str] | None) -> None:
    with socket.socket() as bound:
        bound.bind((address, 0))
        assert names_for(bound, []) == names
        assert names_for(bound, ["a.example"]) == ["a.example"]


def test_every_route_but_those_of_health_refuses_another_name(asked: Asked) -> None:
    for path in ("/", "/models", "/metrics", "/openapi.json", "/gone"):
        answer = asked.get(path, headers={"host": "evil.example"})
        assert (answer.status_code, answer.json()["error"]) == (
            421, "Host: evil.example is no name of this service; see --allow-host.",
        )  # fmt: skip
    assert asked.get("/health", headers={"host": "10.1.2.3:8000"}).status_code == 200
    assert asked.post("/predict", {"texts": ["fine"]}, headers={"host": "evil.example"}).status_code == 421
    for host in ("models.example.org", "localhost:8000"):
        assert asked.post("/predict", {"texts": ["fine"]}, headers={"host": host}).status_code == 200
