"""Options of the tasks that look at pictures, stated once; defaults are the tasks' own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from recurra.base.option import OneOf, Opt
from recurra.config import Section
from recurra.data.pictures import Background, Colours, PictureSize, Pixels, Resize
from recurra.data.tokenizers import TOKENIZERS
from recurra.tasks.picture_reader import Moves, PictureReader

Component = Section | Mapping[str, Any] | str
Kept = dict[bytes, Pixels]

ImageColumn = Annotated[str, Opt("column of pictures: PNG, JPEG or WebP files, or files of features", named=True)]
CaptionColumn = Annotated[str, Opt("column with captions: a text, or a list of them", named=True)]
GroupColumn = Annotated[
    str | None, Opt("column whose values keep pictures together in one split; null: equal pictures", named=True)
]
Features = Annotated[
    bool, Opt("files hold features of another network (.npy): (F,), (places, F) or (height, width, F)")
]
Height = Annotated[int, Opt("pixels of a picture's height, as it is read", ge=8, le=1024)]
Width = Annotated[int | None, Opt("pixels of its width; null: as of its height", ge=8, le=1024)]
ResizeOption = Annotated[
    Resize, Opt("pad: the whole picture, with background beside it; crop: its middle; stretch: each side by itself")
]
ColoursOption = Annotated[Colours, Opt("rgb, or grey: one number a pixel")]
BackgroundOption = Annotated[Background, Opt("of what is padded, and behind what is transparent")]
Flip = Annotated[bool, Opt("training mirrors half of the pictures; not for captions that say left and right")]
Shift = Annotated[int, Opt("training moves a picture by so many pixels at most, each way", ge=0, le=64)]
TokenizerOption = Annotated[Component, OneOf("tokenizer of the captions", TOKENIZERS)]
MinCount = Annotated[int, Opt("rarer tokens are read as unknown", ge=1)]
MaxVocabulary = Annotated[int | None, Opt("entries of the vocabulary, 4 of them special; null is no limit", ge=5)]
# Options of pixels, with their defaults: without effect on features.
PIXELS: Mapping[str, Any] = {
    "height": 64, "width": None, "resize": "pad", "colours": "rgb", "background": "white", "flip": False, "shift": 0,
}  # fmt: skip
# What reads pixels, and what reads features.
INPUTS: tuple[str, ...] = ("images", "patches", "vectors")


def picture_problems(plan: Any) -> list[str]:
    """A sentence for each option that cannot take effect: columns that are one, pixels of features."""
    columns = {name: getattr(plan, name) for name in ("image", "caption", "group")}
    problems = [
        f"{name}: is '{column}', the column of {other} too; expected another column."
        for k, (name, column) in enumerate(columns.items())
        for other in list(columns)[:k]
        if column is not None and columns[other] == column
    ]
    return problems + pixel_problems(plan)


def pixel_problems(plan: Any) -> list[str]:
    """A sentence for each option of pixels, where files hold features."""
    if not plan.features:
        return []
    idle = [name for name, usual in PIXELS.items() if getattr(plan, name) != usual]
    return [f"{name}: has no effect with features; leave it out." for name in idle]


def inputs_problem(features: bool, inputs: str) -> list[str]:
    """A sentence for inputs of pixels where there are features, and the other way round."""
    if (inputs == "vectors") == features:
        return []
    what, fit = ("features", "vectors") if features else ("pictures", "images or patches")
    return [f"model.inputs: {inputs} do not read {what}; set {fit}."]


def picture_reader(plan: Any, width: int = 0) -> PictureReader:
    """What a picture is read with; readers of one plan keep pixels together. width: numbers of a place, of features"""
    if plan.features:
        return PictureReader(plan.image, None, width, plan.kept)
    size = PictureSize(plan.height, plan.width or plan.height, plan.resize, plan.colours, plan.background)
    return PictureReader(plan.image, size, 0, plan.kept)


def moves_of(plan: Any) -> Moves:
    """What training does to pictures."""
    return Moves(plan.flip, plan.shift)


def smallest_sizes(plan: Any) -> dict[str, int]:
    """Sizes of pictures, before any data is read."""
    return picture_reader(plan, 1).sizes
