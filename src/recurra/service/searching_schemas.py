"""Bodies of requests and answers about a folder of pictures, or a file of texts, that is searched."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from recurra.data.fields.images import LONGEST as LONGEST_PICTURE
from recurra.service import limits as most
from recurra.service.schemas import WHOLE, Body, Name, Text, Version

Picture = Annotated[str, Field(min_length=1, max_length=LONGEST_PICTURE, description="a picture file, as base64")]


def _one_of_two(schema: dict[str, Any]) -> None:
    """Say in the description that one of the two must be there."""
    schema["oneOf"] = [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("text", "picture")]


class SearchRequest(Body):
    """What is in the pictures that are wanted: a text, or a picture; one of the two."""

    model_config = ConfigDict(json_schema_extra=_one_of_two)

    model: Name | None = None
    text: Annotated[Text, Field(min_length=1)] | None = None
    picture: Picture | None = None
    number: Annotated[int, Field(ge=1, le=most.MOST_PICTURES, description="how many are wanted"), WHOLE] = 12


class FoundPicture(BaseModel):
    """One of the most alike."""

    name: Annotated[str, Field(description="in the folder that is searched")]
    likeness: Annotated[float, Field(description="the cosine of two vectors, -1 to 1")]
    thumbnail: Annotated[
        str | None, Field(description="a small PNG, as base64; null where the file is gone or cannot be read any more")
    ]


class FoundPictures(BaseModel):
    """The pictures that are most like it, the most alike first."""

    model: str
    version: Version
    found: list[FoundPicture]
    pictures: Annotated[int, Field(description="that were searched")]
    notes: Annotated[list[str], Field(description="what one should know of this answer")]


class TextSearchRequest(Body):
    """A picture that texts are wanted for."""

    model: Name | None = None
    picture: Picture
    number: Annotated[int, Field(ge=1, le=most.MOST_FOUND_TEXTS, description="how many are wanted"), WHOLE] = 10


class FoundText(BaseModel):
    """One of the most alike."""

    text: Annotated[str, Field(description="a line of the file that is searched")]
    likeness: Annotated[float, Field(description="the cosine of two vectors, -1 to 1")]


class FoundTexts(BaseModel):
    """The texts that are most like the picture, the most alike first."""

    model: str
    version: Version
    found: list[FoundText]
    texts: Annotated[int, Field(description="that were searched")]
    notes: Annotated[list[str], Field(description="what one should know of this answer")]
