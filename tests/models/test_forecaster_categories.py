"""Static categories of a series: what reads them, and what is refused."""

from __future__ import annotations

import pytest
import torch

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.models import MODELS
from recurra.tasks.forecasting.config import ForecastingConfig

SIZES = {"features": 1, "future": 0, "horizon": 4, "targets": 1, "numbers": 1, "categories": 1, "category_0": 3}
NONE = {**{name: size for name, size in SIZES.items() if name != "category_0"}, "categories": 0}
RECURSIVE = {**SIZES, "past": 0, "fed": 0}


def batch(categories: list[int]) -> Batch:
    """Two series of six steps with the same numbers."""
    torch.manual_seed(0)
    features = torch.randn(6, 1, 1).expand(-1, 2, -1).contiguous()
    inputs = {"features": features, "future": torch.zeros(4, 2, 0), "categories": torch.tensor(categories)[:, None]}
    return Batch(inputs, torch.tensor([6, 6]), {}, (0, 1))


@pytest.mark.parametrize(("word", "width"), [("both", 1 + 5), ("head", 1)])
@pytest.mark.parametrize("head", ["direct", "decoder", "segments"])
def test_the_head_knows_a_series_and_the_encoder_where_it_is_told(word: str, width: int, head: str) -> None:
    torch.manual_seed(1)
    encoder = {"name": "recurrent", "cell": "gru", "hidden_size": 7}
    options = {"encoder": encoder, "head": head, "category_size": 5, "categories_in": word}
    model = MODELS["forecaster"](SIZES, **options).eval()
    assert model.encoder.recurrent.input_size == width
    read = []
    model.encoder.register_forward_hook(lambda module, given, made: read.append(made.summary))
    with torch.no_grad():
        alike, apart = (model(batch(known)).outputs["numbers"] for known in ([2, 2], [0, 2]))
    assert torch.equal(alike[:, 1], apart[:, 1])
    assert not torch.equal(alike[:, 0], apart[:, 0])
    assert torch.equal(read[0], read[1]) == (word == "head")


@pytest.mark.parametrize(
    ("sizes", "head", "message"),
    [(NONE, "direct", "there are no static categories"), (RECURSIVE, "recursive", "head recursive says each step")],
)
def test_an_option_without_effect_is_refused(sizes: dict[str, int], head: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MODELS["forecaster"](sizes, head=head, categories_in="head")


def test_static_categories_of_a_config_are_there_before_data_are() -> None:
    """A model of a config is made before data are read, of the smallest sizes: what is refused then has no effect."""
    config = ForecastingConfig(horizon=4, static=("shop", "size"), categories=("shop", "day"), future=("day",))
    assert MODELS["forecaster"](config.smallest_sizes, head="segments", categories_in="head").encoder_size == 1
    with pytest.raises(ConfigError, match="there are no static categories"):
        MODELS["forecaster"](ForecastingConfig(horizon=4).smallest_sizes, categories_in="head")
