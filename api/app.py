"""The API as one ASGI application: routes, problems, life cycle."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

import orjson
from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp

from api.access.gate import Open, Policy, Principal
from api.access.linked import Linked, Revoked
from api.access.links import Links
from api.access.origin import ORIGINS, Origins
from api.access.peers import Peers
from api.audit.journal import NO_JOURNAL, Journal, open_journal
from api.cell import OpenCell
from api.delivery.admission import Admission
from api.delivery.asgi import FastPathFirst
from api.delivery.bounded import SOCKETS
from api.delivery.fast_path import FAST_PATH, FastPath
from api.delivery.guard import Guard
from api.dialects.langgraph import objects
from api.intake import chat_messages, problems, shapes, socket_messages
from api.intake.asked.messages import MessagesRequest
from api.intake.problems import ABOUT_STORAGE, Code
from api.keys.opened import Keys
from api.routes import (
    admin_keys,
    anew,
    batch,
    chat,
    completions,
    docs_page,
    durable,
    erasing,
    generations,
    langgraph,
    limits,
    messages,
    models,
    openapi,
    responses,
    socket,
    ui_chat,
    ui_socket,
    view_links,
    webhooks,
)  # fmt: skip
from api.routes.auditing import note_denial
from api.routes.cells import Cells, OneCell
from api.routes.openapi import described
from api.routes.upstream import Asking
from api.routes.views import Listing, Status, Told, Whole
from api.settings import ApiSettings
from api.viewing.admissions import Admissions
from api.viewing.hubs import Hubs
from broker.aside import Aside
from broker.bounds import CHAT_SYSTEM, LONGEST, SERVER_TOOLS, UPSTREAMS, USUAL_MODEL, WEBHOOKS
from broker.collecting import Collector
from broker.request import ChatRequest, GenerationRequest
from broker.store.archive import open_archive
from broker.store.shelf import Shelf
from broker.tools.loading import load
from broker.turns import Turns

GUARDED = (
    generations.router,
    chat.router,
    completions.router,
    responses.router,
    langgraph.router,
    ui_chat.router,
    ui_socket.router,
    anew.router,
    batch.router,
    durable.router,
    erasing.router,
    webhooks.router,
    admin_keys.router,
    view_links.router,
    limits.router,
    socket.router,
    messages.router,
    models.router,
)
"""All that is asked about generations."""
BODIES = (
    GenerationRequest,
    ChatRequest,
    responses.ResponsesRequest,
    langgraph.ThreadRequest,
    langgraph.RunRequest,
    MessagesRequest,
    completions.CompletionRequest,
    admin_keys.KeyRequest,
    admin_keys.RotationRequest,
    view_links.LinkRequest,
    ui_chat.UIChatRequest,
)
SHAPES = (
    Whole,
    Listing,
    Status,
    Told,
    batch.Verdict,
    erasing.Erasure,
    erasing.Erasures,
    admin_keys.Key,
    admin_keys.NewKey,
    admin_keys.KeyListing,
    view_links.ViewLink,
    limits.LimitsInUse,
    responses.ResponseObject,
    completions.ChatCompletion,
    responses.DeletedResponse,
    objects.Run,
    objects.Thread,
    objects.ThreadState,
    objects.Outcome,
    ui_chat.StoppedChat,
)
_NOT_READY = (Code.DRAINING, *ABOUT_STORAGE, Code.UNSAFE_STORAGE, Code.STORAGE_MISMATCH)
_SOCKETS: Final = {
    socket.PATH.encode(): socket_messages.MOST_BYTES,
    ui_socket.PATH.encode(): chat_messages.MOST_BYTES,
}


def create_app(settings: ApiSettings, policy: Policy | None = None) -> FastAPI:
    """The application; its lifespan connects it to Redis and runs its hub. `policy` says who may do what; without one, the
    settings do. Raises BadTools."""
    peppers = settings.peppers
    peers = Peers(settings.proxies)
    origins = Origins(settings.effective_hosts, settings.other_origins)
    tools = frozenset(load(settings.tool_modules))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
        turns, aside = Turns(), Aside()
        bounds: dict[str, object] = {
            LONGEST: settings.longest_retention, SERVER_TOOLS: tools, USUAL_MODEL: settings.model,
            CHAT_SYSTEM: settings.chat_system, WEBHOOKS: settings.webhook_rules,
            UPSTREAMS: settings.upstreams,
        }  # fmt: skip
        url, cached = settings.archive_url, settings.replay_cache_bytes
        shelf = Shelf(open_archive(url), cached, turns) if url is not None else None
        journal = open_journal(settings.audit_log, "api", required=settings.audit_required)
        app.state.journal = journal
        listed = settings.all_cells
        weights = {cell.number: cell.weight for cell in listed}
        each = settings.model_copy(update={"replay_cache_bytes": cached // len(listed)})
        admissions, links, revoked = Admissions(settings.stream_limits), Links(settings.link_keys), Revoked()
        app.state.links = links
        app.state.asking = asking = Asking(settings.upstreams, settings.all_tenants)

        def holds(who: Principal) -> bool:
            held: Policy = app.state.policy
            return held.holds(who)

        opened = {
            cell.number: OpenCell(cell, weights, each, shelf, turns, aside, bounds, admissions, links, revoked)
            for cell in listed
        }
        app.state.cells = Cells(
            {number: OneCell(cell.service, weights[number], cell.shares) for number, cell in opened.items()}
        )
        keys = None
        if peppers is not None:
            keys = Keys([cell.service.coordination.redis for cell in opened.values()], peppers)
            keys.begin()
        app.state.issuer = None if keys is None else keys.issuer
        inner = policy or (keys.policy if keys is not None and settings.asks_for_keys else Open())
        app.state.policy = Linked(inner, links, revoked)
        await asyncio.gather(*(cell.begin(keys.ring.look_again if keys else _nobody) for cell in opened.values()))
        own = [asyncio.create_task(each) for each in (Collector().run(), admissions.run(holds))]
        hubs = {number: cell.service.hub for number, cell in opened.items()}
        hub = Hubs(hubs) if len(hubs) > 1 else next(iter(hubs.values()))
        try:
            yield {
                FAST_PATH: FastPath(hub, origins, app.state.policy, journal, peers), ORIGINS: origins,
                SOCKETS: _SOCKETS,
            }  # fmt: skip
        finally:
            app.state.cells.tasks.cancel()
            for task in own:
                task.cancel()
            await asyncio.wait(own)
            await asking.aclose()
            if keys is not None:
                await keys.end()
            await asyncio.gather(*(cell.end() for cell in opened.values()))
            if shelf is not None:
                shelf.cancel()
            app.state.journal = NO_JOURNAL
            await asyncio.to_thread(journal.close)

    app = _Guarded(
        title="Respool", version=version("respool"), summary="A queue-backed, resumable stream broker for LLM generations",
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan,
    )  # fmt: skip
    for router in (*GUARDED, docs_page.router):
        app.include_router(router)
    app.router.routes.extend((socket.SOCKET_ROUTE, ui_socket.SOCKET_ROUTE))
    app.add_api_route("/healthz", _healthz, **described({200: Status}))
    app.add_api_route("/readyz", _readyz, **described({200: Status}, _NOT_READY))
    openapi.install(app, BODIES, SHAPES)
    problems.install(app, note_denial, shapes.answer_to)
    app.add_middleware(FastPathFirst)
    app.state.origins, app.state.peers = origins, peers
    if policy is not None:
        app.state.policy = policy
    app.state.journal = NO_JOURNAL
    return app


class _Guarded(FastAPI):
    """Behind the guard and the gate is everything, FastAPI's own middleware too: it is what answers with 500."""

    def build_middleware_stack(self) -> ASGIApp:
        admission = Admission(super().build_middleware_stack(), self._policy, self._journal, self.state.peers)
        return Guard(admission, self.state.origins)

    def _policy(self) -> Policy:
        policy: Policy = self.state.policy
        return policy

    def _journal(self) -> Journal:
        journal: Journal = self.state.journal
        return journal


async def _healthz() -> Response:
    """The process runs."""
    return _status("ok")


async def _readyz(request: Request) -> Response:
    """The process should be sent requests: both roles of Redis answer and take writes, neither would lose logs, workers use
    the same logs, it stays."""
    cells: Cells = request.app.state.cells
    found = await cells.ready()
    return _status("ready", **({"cells": [state.shown() for state in found]} if found else {}))


def _nobody(_: str | None) -> None:
    """Where there are no API keys, none is revoked."""


def _status(word: str, **more: object) -> Response:
    return Response(orjson.dumps({"status": word, **more}), 200, {"cache-control": "no-store"}, "application/json")
