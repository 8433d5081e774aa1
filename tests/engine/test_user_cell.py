"""A user's own cell on the native engine: compiled once, kept by content, safe when several build at once."""

from __future__ import annotations

import logging
import logging.handlers
import pwd
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from recurra.base.errors import ConfigError
from recurra.cells import CELLS, Parameters, Value, cell
from recurra.cells.language import sigmoid, tanh
from recurra.engine import BACKENDS, Call, Weights, cpu, run, user_cell
from recurra.lower import layout

pytestmark = [
    pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine"),
    pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler"),
]


def new_cell():
    """A fresh Cell each time: kernels are remembered by cell."""

    @cell(paper="made up for the tests")
    def half(x: Value, h: Value, p: Parameters) -> Value:
        """Two products of the state, one of them gated."""
        a = sigmoid(p.W("a", x) + p.R("a", h) + p.b("a"))
        return (1 - a) * h + a * tanh(p.W("n", x) + p.R("n", a * h))

    return half


def call_of(c):
    g = torch.Generator().manual_seed(0)
    sizes = {"I": 3, "H": 18, "P": 1}
    packed = {p.name: torch.randn(p.shape(sizes), generator=g) * 0.3 for p in layout(c)}
    return Call(torch.randn(5, 4, 3, generator=g), (torch.zeros(4, 18),), Weights(c, packed))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RECURRA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_compiled_once_and_agrees_with_its_equations(cache, monkeypatch):
    call = call_of(new_cell())
    compiled = run(call, backend="cpu").output
    torch.testing.assert_close(compiled, run(call, backend="reference").output, rtol=0, atol=2e-6)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(user_cell, "_build", lambda *a: pytest.fail("the library is on disk"))
    assert torch.equal(run(call_of(new_cell()), backend="cpu").output, compiled)


def test_it_is_compiled_where_its_name_is_registered_too(cache):
    # As `--cell` and a run folder do, so that a config can name it; only the built-in ones are compiled beforehand.
    made = new_cell()
    CELLS.replace(made.name, made)
    try:
        assert cpu.kernel_of(made, cpu.instruction_set())[1] == ""
    finally:
        CELLS.remove(made.name)


def test_several_may_build_at_once(cache):
    made = new_cell()
    with ThreadPoolExecutor(3) as pool:
        paths = set(pool.map(lambda _: user_cell.library(made, "portable"), range(3)))
    assert list(cache.iterdir()) == list(paths)


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_without_a_working_compiler_the_reference_runs_it_and_says_so_once(cache, compiler, monkeypatch):
    monkeypatch.setenv("CXX", compiler)
    call = call_of(new_cell())
    handler = logging.handlers.BufferingHandler(100)
    monkeypatch.setattr(logging.getLogger("recurra"), "handlers", [handler])
    outputs = [run(call).output for _ in range(2)]
    assert torch.equal(*outputs)
    assert len([r for r in handler.buffer if "runs on the reference executor" in r.getMessage()]) == 1
    with pytest.raises(ConfigError, match="so the cell runs on the reference executor"):
        run(call, backend="cpu")


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("RECURRA_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cell.cache_folder() == tmp_path / "recurra"


def test_a_user_without_a_home_folder_is_told_where_to_set_one(monkeypatch):
    def none(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")  # as in a container that is given a user id

    for name in ("HOME", "RECURRA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", none)
    with pytest.raises(ConfigError, match=r"no home folder to keep the compiled cell in.*set RECURRA_CACHE"):
        user_cell.cache_folder()


def test_a_library_of_another_version_is_refused(cache, monkeypatch):
    monkeypatch.setattr(user_cell, "source", lambda c: PLAN_OF_ANOTHER_VERSION)
    reason = BACKENDS["cpu"].refusal(call_of(new_cell()))
    assert reason is not None
    assert "another version of recurra" in reason


def test_a_library_that_is_no_cell_is_refused(cache, monkeypatch):
    monkeypatch.setattr(user_cell, "source", lambda c: 'extern "C" int another() { return 1; }')
    reason = BACKENDS["cpu"].refusal(call_of(new_cell()))
    assert reason is not None
    assert "holds no recurra cell" in reason


PLAN_OF_ANOTHER_VERSION = """
static const int version = 999;
extern "C" const void* recurra_plan() { return &version; }
"""


def test_a_cell_of_too_many_products_is_refused_by_name_and_runs_on_the_reference(cache):
    @cell(paper="made up for the tests")
    def deep(x: Value, h: Value, p: Parameters) -> Value:
        """Products, each of what the one before has given."""
        y = tanh(p.W("a", x) + p.R("a", h) + p.b("a"))
        for k in range(20):
            y = tanh(p.R(f"n{k}", y))
        return y

    call = call_of(deep)
    with pytest.raises(ConfigError, match=r"cell 'deep': has 46 values that wait for a product, and the engine"):
        run(call, backend="cpu")
    assert torch.equal(run(call).output, run(call, backend="reference").output)
