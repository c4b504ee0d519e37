"""The plain way to stream a model's answer, as in tutorials: the SDK's stream in the request itself. No queue, no log, no
second viewer, nothing to resume; what it costs is what a token costs at least."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from anthropic import AsyncAnthropic, DefaultAioHttpClient
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from httpx2 import Limits

_asked: dict[str, dict[str, Any]] = {}
"""What was submitted to be followed with a GET, as the load client does."""
_ids = itertools.count(1)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncAnthropic(
        max_retries=0, http_client=DefaultAioHttpClient(limits=Limits(max_connections=2000))
    ) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/readyz")
async def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/v1/generations")
async def submit(body: dict[str, Any], request: Request) -> Response:
    if "text/event-stream" in request.headers.get("accept", ""):
        return StreamingResponse(_stream(body), media_type="text/event-stream")
    id_ = f"gen_{next(_ids)}"
    _asked[id_] = body
    return JSONResponse({"id": id_}, 202)


@app.get("/v1/generations/{id_}/events")
async def events(id_: str) -> StreamingResponse:
    return StreamingResponse(_stream(_asked.pop(id_)), media_type="text/event-stream")


async def _stream(body: dict[str, Any]) -> AsyncIterator[bytes]:
    client: AsyncAnthropic = app.state.client
    number = 0
    async with client.messages.stream(**{"max_tokens": 4096, **body}) as stream:
        async for text in stream.text_stream:
            number += 1
            yield b"id: 1-%d\ndata: %b\n\n" % (number, orjson.dumps({"type": "text", "text": text}))
    yield b'id: 1-%d\ndata: {"type":"stream_end"}\n\n' % (number + 1)
