"""The routes of a search: pictures of a folder by a text, or by a picture; texts of a file by a picture."""

from __future__ import annotations

import asyncio
import base64
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.responses import Response

from recurra.data.fields import FIELD_KINDS
from recurra.service import searching_schemas as s
from recurra.service.errors import Json, RefusedError
from recurra.service.galleries import Gallery
from recurra.service.models import LoadedModel, chosen
from recurra.service.searched_texts import SearchedTexts
from recurra.tasks import FindsPictures

if TYPE_CHECKING:
    from recurra.service.app import Service


def can_search(served: LoadedModel) -> bool:
    """Whether a folder of pictures stands beside the run."""
    return served.gallery is not None


def can_search_texts(served: LoadedModel) -> bool:
    """Whether a file of texts stands beside the run."""
    return served.texts is not None


def smallest_picture() -> str:
    """A picture to try the service with, as base64."""
    return base64.b64encode(FIELD_KINDS["image"].smallest).decode("ascii")


def add_search(app: FastAPI, service: Service, responses: Any) -> None:
    """Add the routes."""
    _add_pictures(app, service, responses)
    _add_texts(app, service, responses)


def _add_pictures(app: FastAPI, service: Service, responses: Any) -> None:

    @app.post("/search", response_model=s.FoundPictures, responses=responses)
    async def search(body: s.SearchRequest) -> Response:
        """The pictures of the service's folder that are most like a text or a picture, each as a small PNG too."""
        served = chosen(service.runs, body.model)
        gallery, sought = _gallery_of(served), _sought(body)
        try:
            async with asyncio.timeout(service.limits.seconds):
                near = await service.worker.ask(partial(gallery.find, sought, body.number))
                # In a thread of their own, one by one: decoding keeps no model waiting, and ends where nobody waits.
                small = [await service.thumbnails.run(partial(gallery.thumbnail, one.name)) for one in near]
        except TimeoutError:
            raise RefusedError(504, f"took longer than {service.limits.seconds:g} s; ask for fewer pictures.") from None
        service.metrics.answered(served.name, 1)
        found = [
            {**one._asdict(), "thumbnail": None if png is None else base64.b64encode(png).decode("ascii")}
            for one, png in zip(near, small, strict=True)
        ]
        content = {"found": found, "pictures": len(gallery), "notes": _notes(gallery, sought)}
        return Json({"model": served.name, "version": served.version, **content})


def _add_texts(app: FastAPI, service: Service, responses: Any) -> None:

    @app.post("/search_texts", response_model=s.FoundTexts, responses=responses)
    async def search_texts(body: s.TextSearchRequest) -> Response:
        """The lines of the service's file of texts that are most like a picture."""
        served = chosen(service.runs, body.model)
        texts, picture = _texts_of(served), _picture(body.picture)
        try:
            async with asyncio.timeout(service.limits.seconds):
                near = await service.worker.ask(partial(texts.find, picture, body.number))
        except TimeoutError:
            raise RefusedError(504, f"took longer than {service.limits.seconds:g} s; ask for fewer texts.") from None
        service.metrics.answered(served.name, 1)
        content = {"found": [one._asdict() for one in near], "texts": len(texts), "notes": []}
        return Json({"model": served.name, "version": served.version, **content})


def _gallery_of(served: LoadedModel) -> Gallery:
    """Raises RefusedError, 409, for a run without pictures beside it."""
    _refuse_others(served)
    if served.gallery is None:
        raise RefusedError(409, "model: no folder of pictures is served; recurra serve RUN --images FOLDER serves one.")
    return served.gallery


def _texts_of(served: LoadedModel) -> SearchedTexts:
    """Raises RefusedError, 409, for a run without texts beside it."""
    _refuse_others(served)
    if served.texts is None:
        raise RefusedError(409, "model: no file of texts is served; recurra serve RUN --texts FILE serves one.")
    return served.texts


def _refuse_others(served: LoadedModel) -> None:
    if not isinstance(served.run.task, FindsPictures):
        raise RefusedError(409, f"model: a {served.word} does not compare pictures with texts; use /predict.")


def _sought(body: s.SearchRequest) -> str | bytes:
    """A text, or the bytes of a picture. Raises RefusedError, 422, for both, none, or what is no picture."""
    if (body.text is None) == (body.picture is None):
        raise RefusedError(422, "text, picture: expected one of the two.")
    if body.text is not None:
        if not body.text.strip():
            raise RefusedError(422, "text: is empty; say what is in the picture.")
        return body.text
    return _picture(body.picture)


def _picture(sent: str | None) -> bytes:
    """The bytes of a picture. Raises RefusedError, 422, for what is none."""
    try:
        read: bytes = FIELD_KINDS["image"].of_request(sent)
    except ValueError as error:
        raise RefusedError(422, f"picture: {error}.") from None
    return read


def _notes(gallery: Gallery, sought: str | bytes) -> list[str]:
    strange = gallery.strange_in(sought) if isinstance(sought, str) else ()
    if not strange:
        return []
    shown = ", ".join(map(repr, strange[:5])) + (", ..." if len(strange) > 5 else "")
    return [f"never in training, and read as unknown: {shown}."]
