"""Weights in large pages: the same numbers in one piece of memory, and what stays where it is."""

from __future__ import annotations

import copy
import gc
import mmap

import pytest
import torch
from torch import nn

from recurra.engine import large_pages
from recurra.engine.large_pages import LARGE, LINES, gather

pytestmark = pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="this system has no madvise for pages")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Modules of any size are moved."""
    monkeypatch.setattr(large_pages, "LEAST", 0)


def made() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 3, bias=False), nn.LayerNorm(3))


def test_numbers_stay_and_stand_in_order_from_the_beginning_of_a_page():
    module, before = made(), copy.deepcopy(made())
    assert gather(module)
    gc.collect()
    at = next(module.parameters()).data_ptr()
    assert at % LARGE == 0
    for ours, theirs in zip(module.parameters(), before.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.requires_grad
        assert ours.data_ptr() == at
        at += -(-ours.nbytes // LINES) * LINES
    assert len({p.untyped_storage().data_ptr() for p in module.parameters()}) == 1
    x = torch.randn(4, 5)
    assert torch.equal(module(x), before(x))


def test_a_copy_has_memory_of_its_own():
    module = made()
    assert gather(module)
    other = copy.deepcopy(module)
    with torch.no_grad():
        other[0].weight.zero_()
    assert module[0].weight.any()


def test_what_shares_memory_has_another_type_or_is_small_stays(monkeypatch):
    tied = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    tied[1].weight.data = tied[0].weight.data
    for module in (tied, made().double()):
        places = [p.data_ptr() for p in module.parameters()]
        assert not gather(module)
        assert [p.data_ptr() for p in module.parameters()] == places
    monkeypatch.setattr(large_pages, "LEAST", 2**20)
    assert not gather(made())


def test_without_memory_all_stays(monkeypatch):
    def none(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(large_pages.mmap, "mmap", none)
    assert not gather(made())
