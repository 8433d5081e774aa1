"""Small pictures of a folder that is searched: what is shown of a file, as it is now, and how much is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.data.pictures import png_of
from recurra.service import galleries
from recurra.service.galleries import Gallery


def drawn(value: int) -> bytes:
    return png_of(np.full((4, 4, 3), value, np.uint8))


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    (tmp_path / "images" / "in").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(drawn(9))
    for k, name in enumerate(("a.png", "b.png", "in/c.png")):
        (tmp_path / "images" / name).write_bytes(drawn(50 * k))
    search: Any = None
    return Gallery(tmp_path / "images", None, None, search)


def test_a_small_picture_is_that_of_the_file_as_it_is_now(gallery: Gallery) -> None:
    before = gallery.thumbnail("a.png")
    assert before is not None
    assert before == gallery.thumbnail("a.png")
    (gallery.folder / "a.png").write_bytes(png_of(np.full((7, 5, 3), 200, np.uint8)))
    after = gallery.thumbnail("a.png")
    assert after is not None
    assert after != before
    (gallery.folder / "a.png").write_bytes(b"no picture")
    assert gallery.thumbnail("a.png") is None


def test_a_picture_that_is_kept_is_not_decoded_again(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    first = gallery.thumbnail("in/c.png")
    monkeypatch.setattr(galleries, "picture_of", lambda *_: pytest.fail("decoded again"))
    assert gallery.thumbnail("in/c.png") == first


def test_only_so_many_are_kept_those_that_were_asked_for_last(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(galleries, "KEPT", 2)
    for name in ("a.png", "b.png", "a.png", "in/c.png"):
        assert gallery.thumbnail(name) is not None
    assert [name for name, _, _ in gallery._kept] == ["a.png", "in/c.png"]


def test_what_leads_out_of_the_folder_is_never_opened(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    images, secret = gallery.folder, gallery.folder.parent / "secret.png"
    (images / "link.png").symlink_to(secret)
    (images / "round.png").symlink_to("round.png")
    (images / "out").symlink_to(images.parent, target_is_directory=True)
    (images / "near.png").symlink_to("in/c.png")
    assert gallery.thumbnail("near.png") is not None  # a link within the folder
    monkeypatch.setattr(galleries, "picture_of", lambda path, *_: pytest.fail(f"{path} was opened"))
    for name in ("../secret.png", str(secret), "link.png", "round.png", "out/secret.png", "gone.png"):
        assert gallery.thumbnail(name) is None
