"""The naive way to serve tokens, as many write it: FastAPI, sse-starlette, one blocking XREAD per viewer."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio as redis
from arq import create_pool
from arq.connections import RedisSettings
from fastapi import FastAPI, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.dialects.native import wire_json
from broker import keys

URL = os.environ.get("NAIVE_REDIS_URL", "redis://127.0.0.1:6379/0")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.redis = redis.Redis.from_url(URL)
    app.state.arq = await create_pool(RedisSettings.from_dsn(URL))
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/readyz")
async def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/v1/generations", status_code=202)
async def submit(body: dict[str, Any]) -> dict[str, str]:
    id_ = f"gen_{uuid.uuid4().hex}"
    await app.state.arq.enqueue_job("generate", id_, body)
    return {"id": id_}


@app.get("/v1/generations/{id_}/events")
async def events(id_: str, request: Request) -> EventSourceResponse:
    async def stream() -> AsyncIterator[ServerSentEvent]:
        cursor = request.headers.get("last-event-id", "0-0")
        while True:
            for _, entries in await app.state.redis.xread({keys.log(id_): cursor}, count=100, block=15_000):
                for entry_id, fields in entries:
                    ((kind, value),) = fields.items()
                    cursor, data = entry_id.decode(), wire_json(kind, value).decode()
                    yield ServerSentEvent(data, id=cursor, sep="\n")
                    if data.startswith(('{"type":"stream_end"', '{"type":"error"')):
                        return

    return EventSourceResponse(stream())


@app.post("/v1/generations/{id_}/cancel", status_code=202)
async def cancel(id_: str) -> dict[str, str]:
    await app.state.redis.set(f"{id_}:cancel", 1, ex=3600)
    return {"id": id_}
