"""The API as one ASGI application: routes, problems, life cycle."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

import orjson
from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp

from api.access.gate import Open, Policy
from api.access.origin import ORIGINS, Origins
from api.delivery.asgi import FastPathFirst
from api.delivery.fast_path import FAST_PATH, FastPath
from api.delivery.guard import Guard
from api.intake import problems
from api.intake.lookout import Lookout
from api.intake.problems import ABOUT_STORAGE, Code
from api.routes import anew, docs_page, generations, openapi
from api.routes.openapi import described
from api.routes.service import Service
from api.routes.views import Listing, Status, Whole
from api.settings import ApiSettings
from api.viewing.hub import Hub
from broker.collecting import Collector
from broker.request import LONGEST, SERVER_TOOLS, ChatRequest, GenerationRequest
from broker.store.accepting import Submissions
from broker.store.agreement import Agreement
from broker.store.archive import open_archive
from broker.store.client import connect
from broker.store.cluster import connect_logs
from broker.store.coordination import Coordination
from broker.store.derived import Derivation
from broker.store.logs import Logs
from broker.store.recovery import put_back
from broker.store.safety import check_safe, check_writable
from broker.store.shelf import Shelf
from broker.tools.loading import load
from broker.turns import Turns

_NOT_READY = (Code.DRAINING, *ABOUT_STORAGE, Code.UNSAFE_STORAGE, Code.STORAGE_MISMATCH)
_READY_SECONDS = 3.0


def create_app(settings: ApiSettings, policy: Policy | None = None) -> FastAPI:
    """The application; its lifespan connects it to Redis and runs its hub. `policy` says who may do what; without one,
    everybody everything. Raises BadTools."""
    policy = policy or Open()
    origins = Origins(settings.effective_hosts, settings.other_origins)
    tools = frozenset(load(settings.tool_modules))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
        coordination_redis, logs_redis = connect(settings.redis_url), connect_logs(settings.effective_logs_url)
        turns = Turns()
        url, cached = settings.archive_url, settings.replay_cache_bytes
        shelf = Shelf(open_archive(url), cached, turns) if url is not None else None
        logs, coordination = Logs(logs_redis, shelf), Coordination(coordination_redis, settings.archive_after_ms)
        lookout = Lookout(partial(put_back, logs, coordination)) if settings.two_servers else None
        watch = lookout.watch if lookout else _nothing
        submissions = Submissions(
            logs, coordination, round(settings.pickup_grace * 1000), settings.retention,
            Derivation(logs_redis) if settings.two_servers else None, watch,
        )  # fmt: skip
        hub = Hub(logs, coordination, settings, watch, turns)
        agreement = Agreement("api", logs_redis, coordination_redis)
        bounds = {LONGEST: settings.longest_retention, SERVER_TOOLS: tools}
        app.state.service = Service(logs, coordination, submissions, hub, agreement, settings.trust, bounds=bounds)
        await agreement.beat()
        runners = [each.run() for each in (hub, agreement, lookout, Collector()) if each is not None]
        running = {asyncio.create_task(run) for run in runners}
        try:
            yield {FAST_PATH: FastPath(hub, origins, policy), ORIGINS: origins}
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            if lookout is not None:
                await lookout.close()
            if shelf is not None:
                shelf.cancel()
            await coordination_redis.aclose(close_connection_pool=True)
            await logs_redis.aclose(close_connection_pool=True)

    app = _Guarded(
        title="Respool", version=version("respool"), summary="A queue-backed, resumable stream broker for LLM generations",
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan,
    )  # fmt: skip
    app.include_router(generations.router)
    app.include_router(anew.router)
    app.include_router(docs_page.router)
    app.add_api_route("/healthz", _healthz, **described({200: Status}))
    app.add_api_route("/readyz", _readyz, **described({200: Status}, _NOT_READY))
    openapi.install(app, (GenerationRequest, ChatRequest), (Whole, Listing, Status))
    problems.install(app)
    app.add_middleware(FastPathFirst)
    app.state.origins = origins
    app.state.policy = policy
    return app


class _Guarded(FastAPI):
    """Behind the guard is everything, FastAPI's own middleware too: it is what answers with 500."""

    def build_middleware_stack(self) -> ASGIApp:
        return Guard(super().build_middleware_stack(), self.state.origins)


def _nothing(_: str) -> None:
    """What one server has accepted, it has with its place."""


async def _healthz() -> Response:
    """The process runs."""
    return _status("ok")


async def _readyz(request: Request) -> Response:
    """The process should be sent requests: both roles of Redis answer and take writes, neither would lose logs, workers use
    the same logs, it stays."""
    service: Service = request.app.state.service
    service.refuse_unless_accepting()
    try:
        async with asyncio.timeout(_READY_SECONDS):
            for redis in (service.coordination.redis, service.logs.redis):
                await check_safe(redis, service.trust)
                await check_writable(redis)
    except TimeoutError:
        raise service.busy_or_away() from None
    return _status("ready")


def _status(word: str) -> Response:
    return Response(orjson.dumps({"status": word}), 200, {"cache-control": "no-store"}, "application/json")
