"""The web application: its paths, and what every request to them passes."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Generator, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dnc_edge import __version__
from dnc_edge.errors import DncError
from dnc_edge.serve import page, replies, wire
from dnc_edge.serve.chat import Completion, sse
from dnc_edge.serve.guard import Guard
from dnc_edge.serve.jobs import Busy, Job, Jobs, Limits
from dnc_edge.serve.metrics import Metrics
from dnc_edge.serve.models import Models
from dnc_edge.types import Event, Finished, PlanDelta, Question, event_dict

Result = TypeVar("Result")
# How events become what is sent.
Form = Callable[[AsyncIterator[list[Event]]], AsyncIterator[bytes]]
# Seconds that a reader may take for what is left of a reply whose time is over.
SLOW = 30.0


def application(
    models: Models, limits: Limits | None = None, *, token: str | None = None, origins: Sequence[str] = ()
) -> Starlette:
    """The application over some models, which it does not close.

    Args:
        token: that requests must bear; None asks for none, and answers only to names of this machine.
        origins: websites that may ask from a browser, beside the page itself.
    """
    service = _Service(models, Jobs(limits or Limits()))
    routes = [
        Route("/", page.show),
        Route("/health", service.health),
        Route("/metrics", service.scraped),
        Route("/v1/models", service.listed),
        Route("/v1/models/{name:path}", service.listed_one),
        Route("/v1/costs", service.costs),
        Route("/v1/decompose", service.decompose, methods=["POST"]),
        Route("/v1/chat/completions", service.chat, methods=["POST"]),
    ]
    middleware = [
        Middleware(_Counted, metrics=service.metrics, paths={route.path for route in routes}),
        Middleware(Guard, token=token, origins=origins),
    ]
    if origins:
        # Before the guard: a browser asks whether it may ask without the token.
        middleware.insert(
            1, Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
        )
    handlers: Any = {DncError: _failed, Busy: _busy, HTTPException: _refused, ClientDisconnect: _gone, Exception: _bug}
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=service.lifespan)
    app.state.jobs = service.jobs
    return app


class _Service:
    """What the paths do."""

    def __init__(self, models: Models, jobs: Jobs) -> None:
        self._models, self.jobs = models, jobs
        self._began = int(datetime.datetime.now().timestamp())
        self.metrics = Metrics(jobs)

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self.jobs.close()

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "version": __version__})

    async def scraped(self, _: Request) -> Response:
        return Response(self.metrics.text(), media_type=self.metrics.content_type)

    async def costs(self, _: Request) -> Response:
        """What today has cost, and what it may cost."""
        day, cost = self._models.day.isoformat(), self._models.cost
        return JSONResponse({"day": day, "cost_usd": cost, "max_cost_usd": self._models.max_cost})

    async def listed(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._shown(name) for name in self._models]})

    async def listed_one(self, request: Request) -> Response:
        return JSONResponse(self._shown(request.path_params["name"]))

    def _shown(self, name: str) -> dict[str, Any]:
        model = self._models[name]
        return {
            "id": name,
            "object": "model",
            "created": self._began,
            "owned_by": "dnc-edge",
            "x-dnc-pair": model.id,
            "x-dnc-decomposer": model.decomposer,
            "x-dnc-solver": model.solver,
        }

    async def decompose(self, request: Request) -> Response:
        """The plan alone: a record, or events as `decompose --events` prints them, but whole sub-questions only."""
        body = await self._read(request, wire.DecomposeBody)
        job = self._begin(body, Question(body.question, body.context), solve=False)
        if not body.stream:
            finished = (await self._ended(request, job))[-1]
            assert isinstance(finished, Finished)
            if finished.error:
                raise finished.error
            return JSONResponse(finished.record.to_dict())

        async def events(bursts: AsyncIterator[list[Event]]) -> AsyncIterator[bytes]:
            async for burst in bursts:
                yield b"".join(sse(event_dict(event)) for event in burst if not isinstance(event, PlanDelta))

        return await self._streamed(request, job, events)

    async def chat(self, request: Request) -> Response:
        body = await self._read(request, wire.ChatBody)
        job = self._begin(body, body.question(), plan=body.subquestions)
        options = body.stream_options
        completion = Completion(body.model, with_usage=bool(options and options.include_usage))
        if body.stream:
            return await self._streamed(request, job, completion.stream)
        reply, headers = completion.whole(await self._ended(request, job))
        return JSONResponse(reply, headers=headers)

    async def _read(self, request: Request, kind: type[wire.Asked]) -> wire.Asked:
        """The body of a request, up to the limit."""
        data = bytearray()
        try:
            async with asyncio.timeout(self.jobs.limits.seconds):
                async for piece in request.stream():
                    data += piece
                    if len(data) > self.jobs.limits.body:
                        raise HTTPException(413, f"the request has more than {self.jobs.limits.body:,} bytes")
        except TimeoutError:
            raise HTTPException(408, "the request did not arrive in time") from None
        return wire.read(kind, bytes(data), request.headers)

    def _begin(
        self, body: wire.Body, question: Question, *, plan: Sequence[str] | None = None, solve: bool = True
    ) -> Job:
        edge = self._models.edge(body.model, body.settings())

        def start() -> Generator[Event]:
            for event in edge.stream(question, plan=plan, solve=solve):
                if isinstance(event, Finished):
                    self.metrics.count(body.model, event.record)
                yield event

        return self.jobs.begin(start, streamed=bool(body.stream))

    async def _ended(self, request: Request, job: Job) -> list[Event]:
        """The events of a job. Raises as `Job.events` does."""
        try:
            return await _unless_gone(request, job.events())
        finally:
            job.cancel()

    async def _streamed(self, request: Request, job: Job, form: Form) -> Response:
        """The events of a job in a form, as they come; an error that comes before anything else has its status."""
        bursts = job.bursts()
        try:
            first = await _unless_gone(request, _first(bursts))
        except BaseException:
            job.cancel()
            raise
        if isinstance(finished := first[0], Finished) and finished.error:
            raise finished.error

        async def all_bursts() -> AsyncIterator[list[Event]]:
            yield first
            async for burst in bursts:
                yield burst

        return _Stream(job, form(all_bursts()), self.jobs.limits.seconds + SLOW)


class _Stream(StreamingResponse):
    """A stream that ends its job however it ends itself."""

    def __init__(self, job: Job, content: AsyncIterator[bytes], seconds: float) -> None:
        # A proxy must not collect what is to be read at once.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(content, media_type="text/event-stream", headers=headers)
        self._job, self._seconds = job, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with contextlib.suppress(TimeoutError):  # a reader who never reads
                async with asyncio.timeout(self._seconds):
                    await super().__call__(scope, receive, send)
        finally:
            self._job.cancel()


class _Counted:
    """Counts replies by path and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Collection[str]) -> None:
        self._app, self._metrics, self._paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Whoever asks for paths that are not there must not fill the memory with them.
                path = scope["path"] if scope["path"] in self._paths else "other"
                self._metrics.requests.labels(path, message["status"]).inc()
            await send(message)

        await self._app(scope, receive, counted if scope["type"] == "http" else send)


async def _first(bursts: AsyncIterator[list[Event]]) -> list[Event]:
    return await anext(bursts)


async def _unless_gone(request: Request, result: Coroutine[Any, Any, Result]) -> Result:
    """Wait for a result, unless the client goes away before it. Raises ClientDisconnect."""

    async def leaves() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    wanted, gone = asyncio.ensure_future(result), asyncio.ensure_future(leaves())
    try:
        await asyncio.wait((wanted, gone), return_when=asyncio.FIRST_COMPLETED)
        if not wanted.done():
            raise ClientDisconnect
        return wanted.result()
    finally:
        wanted.cancel()
        gone.cancel()


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, DncError)
    status, body, headers = replies.failed(error)
    return JSONResponse(body, status, headers)


async def _busy(_: Request, error: Exception) -> Response:
    assert isinstance(error, Busy)
    return replies.refused(429, str(error), "busy", {"Retry-After": str(error.retry_after)})


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).name.lower()
    return replies.refused(error.status_code, error.detail, code, error.headers)


async def _gone(_: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _bug(_: Request, error: Exception) -> Response:
    return replies.refused(500, "this is a bug; please report it", "unexpected")
