"""Pictures by convolution in configs: what the encoder's shape means for the rest."""

from __future__ import annotations

from typing import Any

import pytest

from recurra.api.schema import read_settings
from recurra.base.errors import ConfigError

PICTURES = {"name": "pictures", "shape": [28, 28]}


def config(task: str, **model: Any) -> dict[str, Any]:
    return {"task": {"name": task}, "model": {"encoder": PICTURES, **model}, "data": {"train": "x.npz"}}


@pytest.mark.parametrize("missing", ["refuse", "mask"])
def test_pictures_are_one_vector_of_their_pixels(missing: str) -> None:
    given = config("autoencoding", decoder="pictures")
    given["task"]["missing"] = missing
    settings = read_settings(given)
    assert settings.tree["task"]["flatten"] is True
    assert settings.tree["model"]["decoder"]["name"] == "pictures"


def test_classes_of_pictures_are_learned_from_places() -> None:
    given = {**PICTURES, "outputs": "places"}
    settings = read_settings(config("series_classification", encoder=given, head={"pooling": "attention"}))
    assert settings.tree["task"]["flatten"] is True


def test_a_decoder_that_mirrors_another_encoder_says_which_would_fit() -> None:
    with pytest.raises(ConfigError, match="null mirrors encoder dense, and the encoder is another; say them, or take"):
        read_settings(config("autoencoding"))
