"""The bodies of a chat's requests and answers, as the description of the service has them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from recurra.service import limits as most
from recurra.service.schemas import WHOLE, Body, Name


class ChatRequest(Body):
    """Which run to talk to."""

    model: Name | None = None


class Chat(BaseModel):
    """A conversation: talk at /chats/{chat}."""

    chat: str
    model: str
    threshold: Annotated[
        float | None, Field(description="nearness to training under which nothing is answered; null: there is none")
    ]
    options: Annotated[list[str], Field(description="options of a turn that have an effect on this run")]
    seconds: Annotated[float, Field(description="after which it is forgotten, unless something is said")]


class TurnOptions(Body):
    """How a reply is found."""

    temperature: Annotated[float, Field(ge=0, le=most.HOTTEST, description="0 takes the most probable reply")] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1, description="draw from tokens of this probability")] | None = None
    beam: Annotated[int, Field(ge=1, le=most.WIDEST_BEAM, description="hypotheses; 1 is greedy"), WHOLE] | None = None
    seed: Annotated[int, Field(ge=0, le=most.LARGEST_SEED, description="the same one, the same reply"), WHOLE] = 0
    always: Annotated[bool, Field(description="reply too where nothing near was learned")] = False


class TurnRequest(Body):
    """What is said."""

    text: Annotated[str, Field(max_length=most.LONGEST_TEXT)]
    options: Annotated[TurnOptions, Field(default_factory=TurnOptions)]


class ChatEvent(BaseModel):
    """One server-sent event. data: JSON; of `token` the `text` so far, of `done` the reply, of `error` a refusal"""

    event: Literal["token", "done", "error"]
    data: Annotated[str, Field(json_schema_extra={"contentMediaType": "application/json"})]
