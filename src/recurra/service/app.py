"""The routes: what is asked for by HTTP, and what it becomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Match

from recurra import __version__
from recurra.base.errors import RecurraError
from recurra.report.page import POLICY as REPORT_POLICY
from recurra.service import limits as most
from recurra.service import schemas as s
from recurra.service.batching import Batcher
from recurra.service.chatting import Talks, add_chats, can_chat
from recurra.service.coding import add_coding, uses_of
from recurra.service.errors import Json, RefusedError, answered, failed, refusal_of
from recurra.service.hearing import PATH as HEAR
from recurra.service.hearing import Listening, add_hearing, hears
from recurra.service.hosts import Hosts
from recurra.service.limits import Limits
from recurra.service.log import Log
from recurra.service.metrics import Metrics
from recurra.service.middleware import Guard
from recurra.service.models import LoadedModel, Runs, chosen, records_of, trial_fields
from recurra.service.page import add_docs, add_page
from recurra.service.reloading import Reloaded, Reloads
from recurra.service.root import Root
from recurra.service.searching import add_search, can_search, can_search_texts, smallest_picture
from recurra.service.sessions import Sessions, streaming_predictor_of
from recurra.service.streams import Stream, Suggesters, can_generate, can_suggest
from recurra.service.words import Neighbours, has_vectors
from recurra.service.worker import Worker
from recurra.tasks import TakesOptions, Task

_Answers = dict[int | str, dict[str, Any]]


def _refused_with(description: str) -> dict[str, Any]:
    """The schema by its name: FastAPI would make a validator of it for each status of each route, 40 ms in all.

    _add_reload gives it that name.
    """
    schema = {"$ref": f"#/components/schemas/{s.Refusal.__name__}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_REFUSALS: _Answers = {
    400: _refused_with("The body is no JSON in UTF-8."),
    401: _refused_with("A key is needed."),
    404: _refused_with("There is no such run, session or report."),
    408: _refused_with("The body took too long to arrive."),
    413: _refused_with("The body is too large."),
    415: _refused_with("The body is of another type than application/json, or compressed."),
    422: _refused_with("A mistake in the request; every one of them is named."),
    503: _refused_with("Too many requests wait; Retry-After says when to come again."),
    504: _refused_with("It took too long, and was given up."),
}
_CANNOT: _Answers = {409: _refused_with("This run cannot do it, and why.")}
_OF_GET: _Answers = {status: _REFUSALS[status] for status in (401, 503)}
# For proxies (the name is nginx's): each token is passed on as it comes.
_UNBUFFERED = {"X-Accel-Buffering": "no"}
_REPORT_POLICY = f"{REPORT_POLICY}; frame-ancestors 'none'"


class Service:
    """All that lives as long as the service does."""

    def __init__(self, runs: Runs, limits: Limits, log: Log) -> None:
        self.runs = dict(runs)
        self.limits = limits
        self.log = log
        self.metrics = Metrics()
        self.worker = Worker(most=limits.waiting, seconds=limits.seconds)
        self.thumbnails = Worker("recurra-thumbnails")
        self.batcher = Batcher(self.worker, limits, self.metrics.batch)
        self.sessions = Sessions(limits)
        self.talks = Talks(limits)
        self.listening = Listening(limits)
        self.stream = Stream(self.worker, limits)
        self.suggesters = Suggesters()
        self.neighbours = Neighbours()
        self.reloads = Reloads(self.runs, self.worker, self._let_go, log, self.metrics)
        self.metrics.watch("recurra_requests_waiting", "Requests that wait for a model.", lambda: self.worker.waiting)
        self.metrics.watch("recurra_sessions", "Sessions that are kept.", lambda: len(self.sessions))
        self.metrics.watch("recurra_chats", "Conversations that are kept.", lambda: len(self.talks))
        self.metrics.watch("recurra_sounds", "Sounds that are heard piece by piece.", lambda: len(self.listening))

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Answer questions for as long as the application runs."""
        serving = [asyncio.create_task(self.batcher.serve()), asyncio.create_task(self.reloads.serve())]
        yield
        for one in serving:
            one.cancel()
            with suppress(asyncio.CancelledError):
                await one

    def stop(self, seconds: float) -> bool:
        """End what computes, after what it has been given; whether each took less than `seconds`."""
        ended = [one.stop(seconds) for one in (self.worker, self.reloads.loader, self.thumbnails)]
        return all(ended)

    def _let_go(self, old: LoadedModel) -> None:
        """Keep as little as may be of what came before a new version.

        A session or a sound that began with the version before goes on with it: its state is of no use to other
        weights. Those of still older ones end, so that no client can make the service keep more than one.
        """
        self.sessions.keep(old.name, old)
        self.listening.keep(old)
        self.suggesters.forget(old.name)
        self.neighbours.forget(old.name)

    @property
    def status(self) -> str:
        """`ok` where requests are answered."""
        return "stuck" if self.batcher.is_stuck or not self.worker.is_alive else "ok"

    def example(self, path: str) -> dict[str, Any] | None:
        """A body (or a parameter) to try a path with; None where no run that is served can answer."""
        able = {
            "/generate": can_generate,
            "/suggest": can_suggest,
            "/similar": has_vectors,
            "/generate_rows": lambda one: "generate" in uses_of(one),
            "/inpaint": lambda one: "inpaint" in uses_of(one),
            "/compress": lambda one: "compress" in uses_of(one),
            "/decompress": lambda one: False,
            HEAR: lambda one: False,  # its body is no JSON
            "/detect": lambda one: "detect" in uses_of(one),
            "/search": can_search,
            "/search_texts": can_search_texts,
            "/chats": can_chat,
            "/chats/{chat}": can_chat,
            "/sessions": lambda one: not _why_not(one),
            "/sessions/{session}": lambda one: not _why_not(one),
        }.get(path, lambda one: True)
        one = next(filter(able, self.runs.values()), None)
        if one is None:
            return None
        text = (*one.examples, "a text")[0]
        bodies: dict[str, dict[str, Any]] = {
            "/predict": {
                "model": one.name,
                **({"texts": [text]} if len(one.inputs) == 1 else {"records": [trial_fields(one)]}),
            },
            "/generate": {"model": one.name, "text": text},
            "/suggest": {"model": one.name, "text": text},
            "/similar": {"model": one.name, "words": text.split()[:1]},
            "/generate_rows": {"model": one.name, "number": 2, "seed": 1},
            "/inpaint": {"model": one.name, "records": [trial_fields(one)], "lines": [1, 1]},
            "/compress": {"model": one.name, "records": [trial_fields(one)], "bits": 6},
            "/detect": {"model": one.name, "csv": "time,value\n", "clean": 100, "threshold": "quantile=0.999"},
            "/search": {"model": one.name, "text": "a red boat", "number": 3},
            "/search_texts": {"model": one.name, "picture": smallest_picture(), "number": 3},
            "/chats": {"model": one.name},
            "/chats/{chat}": {"text": text},
            "/sessions": {"model": one.name},
            "/sessions/{session}": {"text": text},
        }
        return bodies.get(path, {"name": one.name})

    def described(self, served: LoadedModel, root: Root) -> s.Described:
        """A run as /models shows it."""
        return s.Described(
            name=served.name,
            task=served.word,
            answer=served.run.task.answer_kind,
            input=served.input_field,
            kind=served.inputs[0].kind,
            inputs=[one.name for one in served.inputs],
            parameters=served.parameters,
            generates=can_generate(served),
            suggests=can_suggest(served),
            similar=has_vectors(served),
            uses=[
                *uses_of(served),
                *(["chat"] if can_chat(served) else []),
                *(["search"] if can_search(served) else []),
                *(["search_texts"] if can_search_texts(served) else []),
            ],
            options=_options(served.run.task),
            sessions=_why_not(served),
            rate=hears(served)[0],
            lm="lm" in served.search,
            hears=hears(served)[1],
            report=root.link("models", served.name, "report") if served.report.is_file() else None,
            examples=list(served.examples),
            version=served.version,
            opened=served.opened.isoformat(timespec="seconds"),
            refused=_refused(self.reloads.last.get(served.name)),
        )


def create_app(
    service: Service,
    *,
    key: str | None = None,
    started: Callable[[], None] = lambda: None,
    root_path: str = "",
    origins: Sequence[str] = (),
    hosts: Sequence[str] | None = None,
) -> Guard:
    """The service as an ASGI application.

    key: what clients must send; None asks for none        started: called when it begins to answer
    root_path: under which a proxy shows it, such as /models/first; the proxy may strip it from requests or keep it
    origins: of pages that may open a WebSocket, beside those of the service itself
    hosts: names that may stand in `Host`, beside this machine's own; None: any may
    Raises ConfigError for a root path that is none, or that is a route of the service.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.alive():
            started()
            yield

    app = FastAPI(
        title="recurra",
        version=__version__,
        summary="Predictions of trained sequence models.",
        docs_url=None,  # FastAPI's pages load scripts from other hosts
        redoc_url=None,
        redirect_slashes=False,  # it would name the host that a proxy asks, which clients may not reach
        lifespan=lifespan,
        default_response_class=Json,
    )
    root = Root(root_path, lambda: app.routes)
    _add_answers(app, service)
    _add_words(app, service)
    add_coding(app, service, {**_REFUSALS, **_CANNOT})
    _add_sessions(app, service)
    add_chats(app, service, {**_REFUSALS, **_CANNOT})
    add_hearing(app, service, {**_REFUSALS, **_CANNOT})
    add_search(app, service, {**_REFUSALS, **_CANNOT})
    _add_models(app, service, root)
    _add_reload(app, service, may=key is not None)
    _add_health(app, service)
    add_page(app, root)
    add_docs(app, root, service.example)
    _add_refusals(app)
    root.refuse_ambiguous()
    return Guard(
        app,
        limits=service.limits,
        log=service.log,
        metrics=service.metrics,
        key=key,
        root=root,
        origins=origins,
        hosts=Hosts(hosts),
    )


def _add_answers(app: FastAPI, service: Service) -> None:
    @app.post("/predict", response_model=s.Predictions, responses=_REFUSALS)
    async def predict(body: s.PredictRequest) -> Response:
        """Answer for texts or rows. Requests that come at the same time share a batch, and no answer notices it."""
        if (body.texts is None) == (body.records is None):
            raise RefusedError(422, "texts, records: expected one of the two.")
        served = chosen(service.runs, body.model)
        records = records_of(served, body.texts, body.records)
        options = body.options.model_dump(exclude_unset=True)
        found = await service.batcher.ask(served, served.options(options), records)
        service.metrics.answered(served.name, len(records))
        return Json(
            {
                "model": served.name,
                "version": served.version,
                "task": served.word,
                "predictions": found.rows,
                "notes": list(found.notes),
            }
        )

    @app.post(
        "/generate",
        response_class=StreamingResponse,
        responses={
            **_REFUSALS,
            **_CANNOT,
            200: {
                "description": "Events `token` (what was added as `piece`, or the whole as `text`), then `done` with "
                "the whole `text`, or `error`.",
                "content": {"text/event-stream": {"schema": s.Event.model_json_schema()}},
            },
        },
    )
    async def generate(body: s.GenerateRequest, request: Request) -> Response:
        """Answer token by token, as server-sent events."""
        served = chosen(service.runs, body.model)
        if not can_generate(served):
            raise RefusedError(409, f"model: a {served.word} does not write texts; use /predict.")
        options = body.options.model_dump(exclude_unset=True)
        events = await service.stream.begin(served, body.text, options, request.state.request_id)
        return StreamingResponse(events, media_type="text/event-stream", headers=_UNBUFFERED)


def _add_words(app: FastAPI, service: Service) -> None:
    @app.post("/suggest", response_model=s.Suggestions, responses={**_REFUSALS, **_CANNOT})
    async def suggest(body: s.SuggestRequest) -> Response:
        """Words for who is typing: what the last word may become, or which may follow."""
        served = chosen(service.runs, body.model)
        if not can_suggest(served):
            raise RefusedError(409, f"model: a {served.word} suggests no words; a language model does.")
        words = await service.worker.ask(lambda: service.suggesters.suggest(served, body.text, body.number))
        return Json({"model": served.name, "suggestions": words})

    @app.post("/similar", response_model=s.Neighbours, responses={**_REFUSALS, **_CANNOT})
    async def similar(body: s.SimilarRequest) -> Response:
        """The words nearest to a word, or to the mean of several; or the answers of an analogy."""
        served = chosen(service.runs, body.model)
        if not has_vectors(served):
            raise RefusedError(409, f"model: a {served.word} has no vectors of words; a run of word_vectors does.")
        if body.analogy and len(body.words) != 3:
            raise RefusedError(422, f"words: an analogy has 3 words, got {len(body.words)}.")
        ask = partial(service.neighbours.ask, served, body.words, body.number, analogy=body.analogy)
        near = await service.worker.ask(ask)
        return Json({"model": served.name, "neighbours": [one._asdict() for one in near]})


def _add_sessions(app: FastAPI, service: Service) -> None:
    @app.post("/sessions", status_code=201, response_model=s.Session, responses={**_REFUSALS, **_CANNOT})
    async def begin(body: s.SessionRequest) -> Response:
        """Begin a text that comes piece by piece: for runs of one direction, whose state is all they need."""
        served = chosen(service.runs, body.model)
        session = service.sessions.begin(served)
        content = {
            "session": session,
            "model": served.name,
            "version": served.version,
            "seconds": service.limits.session_seconds,
        }
        return Json(content, 201)

    @app.post("/sessions/{session}", response_model=s.Piece, responses=_REFUSALS)
    async def feed(session: _Id, body: s.PieceRequest) -> Response:
        """Feed the next piece; the answer is that for all of the text so far."""
        kept = service.sessions.find(session)
        _, answer = await service.worker.ask(lambda: kept.read(body.text), kept.keep)
        service.metrics.answered(kept.served.name, 1)
        return Json({"session": session, "prediction": answer})

    @app.delete("/sessions/{session}", status_code=204, response_class=Response, responses=_REFUSALS)
    async def end(session: _Id) -> Response:
        """Forget a session."""
        service.sessions.end(session)
        return Response(status_code=204)


def _add_models(app: FastAPI, service: Service, root: Root) -> None:
    @app.get("/models", response_model=s.Models, responses=_OF_GET)
    async def models() -> Response:
        """The runs that are served, and what each can do."""
        return Json({"models": [service.described(one, root).model_dump() for one in service.runs.values()]})

    @app.get(
        "/models/{name}/report",
        response_class=Response,
        responses={
            **_OF_GET,
            404: _REFUSALS[404],
            422: _REFUSALS[422],
            200: {"content": {"text/html": {"schema": {"type": "string"}}}},
        },
    )
    async def report(name: _Id) -> Response:
        """The report of a run: its scores, beside baselines."""
        served = chosen(service.runs, name)
        if not served.report.is_file():
            raise RefusedError(404, f"{name}: its run folder has no report.html.")
        return FileResponse(served.report, media_type="text/html", headers={"Content-Security-Policy": _REPORT_POLICY})


def _add_reload(app: FastAPI, service: Service, *, may: bool) -> None:
    @app.post(
        "/models/{name}/reload",
        response_model=s.Reload,
        responses={
            **_REFUSALS,
            403: {"model": s.Refusal, "description": "This service has no key, so clients cannot be told apart."},
            409: _refused_with("What its folder holds cannot be served; the version before is."),
        },
    )
    async def reload(name: _Id) -> Response:
        """Read a run's folder again, and answer with what it holds now. Requests that have begun are not disturbed."""
        if not may:
            raise RefusedError(403, "reload: is for services with a key (--key-file); or send the process SIGHUP.")
        asked = service.reloads.ask(chosen(service.runs, name).name)
        try:
            done = await asyncio.wait_for(asyncio.shield(asked), service.limits.seconds)
        except TimeoutError:
            seconds = f"{service.limits.seconds:g} s"
            raise RefusedError(504, f"reload: takes longer than {seconds}, and continues; see GET /models.") from None
        if done.outcome == "refused":
            raise RefusedError(409, done.problems)
        return Json({"model": name, "version": done.served.version, "outcome": done.outcome})


def _refused(last: Reloaded | None) -> s.Refused | None:
    if last is None or last.outcome != "refused":
        return None
    return s.Refused(at=last.at.isoformat(timespec="seconds"), problems=list(last.problems))


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/health", response_model=s.State, responses={503: _REFUSALS[503]})
    async def health() -> Response:
        """Whether the process lives."""
        return Json({"status": "ok"})

    @app.get(
        "/ready", response_model=s.State, responses={503: {"model": s.State, "description": "Requests must wait."}}
    )
    async def ready() -> Response:
        """Whether requests are answered."""
        status = service.status
        return Json({"status": status}, 200 if status == "ok" else 503)

    @app.get(
        "/metrics",
        response_class=Response,
        responses={**_OF_GET, 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """Numbers for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_refusals(app: FastAPI) -> None:
    """Every refusal has the same form, whoever refuses."""

    @app.exception_handler(RecurraError)
    async def refused(request: Request, error: RecurraError) -> Response:
        return answered(refusal_of(error), request.state.request_id)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return answered(RefusedError(422, map(_sentence, error.errors())), request.state.request_id)

    @app.exception_handler(Exception)
    async def failure(request: Request, error: Exception) -> Response:
        return answered(failed(request.state.request_id), request.state.request_id)

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, RefusedError):  # from reading the body, in FastAPI's own wrapping
            return answered(error.__cause__, request.state.request_id)
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(sorted(_methods(app, request)))
        return answered(RefusedError(error.status_code, f"{error.detail}.", headers), request.state.request_id)


def _methods(app: FastAPI, request: Request) -> set[str]:
    """The methods of all routes of a path; Starlette names those of the first one."""
    matching = (route for route in app.routes if route.matches(request.scope)[0] is not Match.NONE)
    methods = {method for route in matching for method in getattr(route, "methods", None) or ()}
    return methods | ({"HEAD"} if "GET" in methods else set())


_Id = Annotated[str, Path(max_length=most.LONGEST_NAME)]


def _sentence(mistake: dict[str, Any]) -> str:
    """`options.beam: Input should be less than or equal to 16.`; what was sent is not repeated."""
    place = ".".join(str(part)[: most.LONGEST_NAME] for part in mistake["loc"] if part != "body")
    return f"{place or 'body'}: {mistake['msg'].removeprefix('Value error, ').rstrip('.')}."


def _why_not(served: LoadedModel) -> list[str]:
    """The reasons why a run cannot be fed piece by piece."""
    try:
        streaming_predictor_of(served)
    except RefusedError as error:
        return list(error.problems)
    return []


def _options(task: Task) -> list[str]:
    """The options of `predict` that a task has, in the order of the description."""
    known = task.options if isinstance(task, TakesOptions) else ()
    return [name for name in s.PredictOptions.model_fields if name in known]
