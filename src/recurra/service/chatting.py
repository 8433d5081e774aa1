"""The routes of a chat: a conversation under an id, and replies as they grow."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Path, Request
from starlette.responses import Response, StreamingResponse

from recurra.api.chatting import Talk, chatting, refuse_idle, turn_of
from recurra.base.deadline import under_deadline
from recurra.base.errors import RecurraError
from recurra.service import chatting_schemas as s
from recurra.service import limits as most
from recurra.service.deadline import Deadline, DeadlineExceededError, DeadlineModel
from recurra.service.errors import Json, RefusedError, busy, refusal_json, refusal_of
from recurra.service.limits import Limits
from recurra.service.models import LoadedModel, chosen
from recurra.service.streams import event
from recurra.tasks import ChatOptions, Chats, Reply

if TYPE_CHECKING:
    from recurra.service.app import Service

# For proxies (the name is nginx's): each token is passed on as it comes.
_UNBUFFERED = {"X-Accel-Buffering": "no"}
_Id = Annotated[str, Path(max_length=most.LONGEST_NAME)]


@dataclass(slots=True)
class KeptTalk:
    """One conversation with a run, by its name: texts mean the same to a newer version. used: when it was last heard

    replying: whether a reply is on its way
    """

    model: str
    used: float
    talk: Talk = field(default_factory=Talk)
    replying: bool = False


class Talks:
    """A bounded number of conversations, oldest use first; `clock` gives seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock = limits, clock
        self._kept: OrderedDict[str, KeptTalk] = OrderedDict()

    def __len__(self) -> int:
        self._forget()
        return len(self._kept)

    def begin(self, model: str) -> str:
        """The id of a new one. Raises RefusedError, 503, for too many."""
        self._forget()
        if len(self._kept) >= self._limits.sessions:
            raise busy(f"{len(self._kept)} chats are kept already; end one, or come again later.")
        name = secrets.token_urlsafe(18)
        self._kept[name] = KeptTalk(model, self._clock())
        return name

    def find(self, name: str) -> KeptTalk:
        """One that goes on. Raises RefusedError, 404."""
        self._forget()
        kept = self._kept.get(name)
        if kept is None:
            raise RefusedError(
                404,
                f"chat: there is none of this id; one in which nothing is said for {self._limits.session_seconds:g} s "
                "is forgotten. Begin another with POST /chats.",
            )
        kept.used = self._clock()
        self._kept.move_to_end(name)
        return kept

    def end(self, name: str) -> None:
        """Forget one. Raises RefusedError, 404."""
        self.find(name)
        del self._kept[name]

    def _forget(self) -> None:
        oldest = self._clock() - self._limits.session_seconds
        while self._kept and next(iter(self._kept.values())).used < oldest:
            self._kept.popitem(last=False)


def can_chat(served: LoadedModel) -> bool:
    """Whether the run's task replies."""
    return isinstance(served.run.task, Chats)


def add_chats(app: FastAPI, service: Service, responses: Any) -> None:
    """Add the routes."""

    @app.post("/chats", status_code=201, response_model=s.Chat, responses=responses)
    async def begin_chat(body: s.ChatRequest) -> Response:
        """Begin a conversation."""
        served = chosen(service.runs, body.model)
        if not can_chat(served):
            raise RefusedError(
                409, f"model: a {served.word} does not reply; a run that learned from conversations does."
            )
        task = chatting(served.run)
        content = {
            "chat": service.talks.begin(served.name),
            "model": served.name,
            "threshold": task.threshold,
            "options": list(task.chat_options),
            "seconds": service.limits.session_seconds,
        }
        return Json(content, 201)

    @app.post(
        "/chats/{chat}",
        response_class=StreamingResponse,
        responses={
            **responses,
            200: {
                "description": "Events `token` with the reply so far as `text`, then `done` with the whole `text`, its "
                "`nearness`, whether it was `refused` and its `source`, or `error`. Who closes the connection stops "
                "the reply, and what was said until then is kept.",
                "content": {"text/event-stream": {"schema": s.ChatEvent.model_json_schema()}},
            },
        },
    )
    async def say(chat: _Id, body: s.TurnRequest, request: Request) -> Response:
        """Say something; the reply comes token by token, as server-sent events."""
        kept = service.talks.find(chat)
        if kept.replying:
            raise RefusedError(409, "chat: a reply is on its way; wait for its end, or close its connection.")
        how, text = ChatOptions(**body.options.model_dump(exclude_unset=True)), turn_of(body.text)
        served = chosen(service.runs, kept.model)
        refuse_idle(chatting(served.run), how)
        service.worker.refuse_more()
        return StreamingResponse(
            _events(service, served, kept, text, how, request.state.request_id),
            media_type="text/event-stream",
            headers=_UNBUFFERED,
        )

    @app.delete("/chats/{chat}", status_code=204, response_class=Response, responses=responses)
    async def end_chat(chat: _Id) -> Response:
        """Forget a conversation."""
        service.talks.end(chat)
        return Response(status_code=204)


async def _events(
    service: Service, served: LoadedModel, kept: KeptTalk, text: str, how: ChatOptions, request_id: str
) -> AsyncIterator[bytes]:
    """The reply as it grows; whoever goes away stops it, and what was said is kept."""
    if kept.replying:  # of two requests that came together
        refused = RefusedError(409, "chat: a reply is on its way; wait for its end, or close its connection.")
        yield event("error", refusal_json(refused, request_id))
        return
    kept.replying = True
    deadline = Deadline(time.monotonic() + service.limits.seconds)
    model: Any = DeadlineModel(served.run.model, deadline)
    replies = chatting(served.run).replies(model, [*kept.talk.turns, text], how, served.device)
    last: Reply | None = None
    try:
        while (reply := await service.worker.run(lambda: _next(replies, deadline))) is not None:
            last = reply
            yield event("token", {"text": last.text})
        if last is not None:
            service.metrics.answered(served.name, 1)
            found = {"nearness": last.near, "refused": last.refused, "source": last.source or None}
            yield event("done", {"text": last.text, **found})
    except RecurraError as error:
        yield event("error", refusal_json(refusal_of(error), request_id))
    except DeadlineExceededError:
        late = RefusedError(504, f"took longer than {service.limits.seconds:g} s; what was said until then is kept.")
        yield event("error", refusal_json(late, request_id))
    finally:
        kept.talk.keep(text, last)
        kept.replying = False


def _next(replies: Iterator[Reply], deadline: Deadline) -> Reply | None:
    deadline.check()
    with under_deadline(deadline.check):
        return next(replies, None)
