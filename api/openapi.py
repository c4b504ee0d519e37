"""The API describes itself: `/openapi.json` (OpenAPI 3.2).

What a route takes and answers stands at the route (`described`), made of what it works with: the models that validate, the
shapes that it sends, the table of problems, the vocabulary of events. Nothing is written a second time here.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from inspect import getdoc
from typing import Any, Final, TypedDict

import orjson
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from api.negotiate import EVENT_STREAM, JSON
from api.problems import Code, FieldError
from broker.vocabulary import Event

Json = dict[str, Any]
STREAM: Final = "stream"
"""In place of a shape: the answer is an event stream."""
_REF: Final = "#/components/schemas/{model}"
_EVERYWHERE: Final = (
    Code.MALFORMED_HEAD, Code.CROSS_SITE, Code.METHOD_NOT_ALLOWED, Code.HEAD_TIMEOUT, Code.HOST_NOT_ALLOWED,
    Code.TOO_MANY_PIPELINED, Code.HEAD_TOO_LARGE, Code.INTERNAL_ERROR, Code.TOO_MANY_CONNECTIONS,
)  # fmt: skip


class Described(TypedDict):
    """What FastAPI's decorators take."""

    responses: dict[int | str, Json]
    openapi_extra: Json
    response_class: type[Response]


def described(
    answers: Mapping[int, object],
    problems: Sequence[Code] = (),
    *,
    body: type[BaseModel] | None = None,
    example: object = None,
    takes: Sequence[str] = (),
    sends: Sequence[str] = (),
) -> Described:
    """What a route takes and answers. `answers`: by status a shape, STREAM, or None for no body; `body`: the model that
    validates it; `takes` and `sends`: names of headers, of HEADERS."""
    extra: Json = {"parameters": [{"$ref": f"#/components/parameters/{name}"} for name in takes]} if takes else {}
    if body is not None:
        media: Json = {"schema": {"$ref": _REF.format(model=body.__name__)}}
        extra["requestBody"] = {
            "required": True,
            "content": {JSON: media if example is None else {**media, "example": example}},
        }
    sent = {name: {"$ref": f"#/components/headers/{name}"} for name in sends}
    responses: dict[int | str, Json] = {
        status: {**_answer(shape), **({"headers": sent} if sent else {})} for status, shape in answers.items()
    }
    return {
        "responses": {**responses, **_problems((*problems, *_EVERYWHERE))},
        "openapi_extra": extra,
        "response_class": Response,
    }


def _answer(shape: object) -> Json:
    """A success: its description is the shape's own."""
    if shape is None:
        return {"description": "There is nothing behind the cursor, and never will be."}
    if shape == STREAM:
        item = {"itemSchema": {"$ref": _REF.format(model="Frame")}}
        return {"description": "The event stream.", "content": {EVENT_STREAM: item}}
    name, said = getattr(shape, "__name__", ""), getdoc(shape) or ""
    return {"description": said, "content": {JSON: {"schema": {"$ref": _REF.format(model=name)}}}}


def _problems(codes: Sequence[Code]) -> dict[int | str, Json]:
    """The problems by status, each status with its codes and what they mean."""
    by_status: dict[int, list[Code]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(code.value.status, []).append(code)
    return {status: _problem(group) for status, group in sorted(by_status.items())}


def _problem(codes: list[Code]) -> Json:
    names = {"properties": {"code": {"enum": [code.name.lower() for code in codes]}}}
    told: Json = {
        "description": " ".join(f"`{code.name.lower()}`: {code.value.meaning}" for code in codes),
        "content": {"application/problem+json": {"schema": {"allOf": [{"$ref": _REF.format(model="Problem")}, names]}}},
    }
    if any(code.value.retry_after for code in codes):
        told["headers"] = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
    return told


PARAMETERS: Final[Mapping[str, Json]] = {
    "Idempotency-Key": {
        "name": "Idempotency-Key", "in": "header", "required": False,
        "description": "Names the request: sent again with the same key within 24 hours, it is accepted once.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID", "in": "header", "required": False,
        "description": "The id of the last event that was seen: the stream begins behind it. It wins over `after`.",
        "schema": {"type": "string", "examples": ["1795262599262-29"]},
    },
}  # fmt: skip
HEADERS: Final[Mapping[str, Json]] = {
    "Location": {"description": "The generation's record.", "schema": {"type": "string"}},
    "Generation-Id": {"description": "The generation's id.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds after which the same request may succeed.", "schema": {"type": "integer"}},
}
_PROBLEM: Final[Json] = {
    "type": "object",
    "description": "RFC 9457. `type` and `code` are stable, `title` and `detail` are for people.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": [code.name.lower() for code in Code]},
        "detail": {"type": "string"},
        "errors": {"type": "array", "maxItems": 20, "items": {"$ref": _REF.format(model="FieldError")}},
    },
}
_FRAME: Final[Json] = {
    "type": "object",
    "description": "One server-sent event: `data:`, then `id:`, then a blank line. Events of the connection have no id.",
    "required": ["data"],
    "properties": {
        "data": {"type": "string", "contentMediaType": JSON, "contentSchema": {"$ref": _REF.format(model="Event")}},
        "id": {"type": "string", "pattern": "^(0|[1-9][0-9]*)-(0|[1-9][0-9]*)$"},
        "retry": {"type": "integer", "description": "Milliseconds to wait before coming back."},
    },
}


def _schemas(requests: Sequence[type[BaseModel]], shapes: Sequence[object]) -> Json:
    _, told = models_json_schema([(model, "validation") for model in requests], ref_template=_REF)
    schemas: Json = {"Problem": _PROBLEM, "Frame": _FRAME, **told.get("$defs", {})}
    for shape in (FieldError, *shapes):
        schemas |= _defined(getattr(shape, "__name__", ""), shape)
    return schemas | _defined("Event", Event)


def _defined(name: str, shape: Any) -> Json:
    """The shape's schema under its name, and those that it refers to."""
    schema = TypeAdapter(shape).json_schema(ref_template=_REF, mode="serialization")
    return {**schema.pop("$defs", {}), name: schema}


def install(app: FastAPI, requests: Sequence[type[BaseModel]], shapes: Sequence[object]) -> None:
    """Adds `/openapi.json`. `requests`: the models of bodies; `shapes`: what answers are."""

    @cache
    def document() -> Json:
        told = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes,
            openapi_version="3.2.0",  # the first that can say what the items of a stream are
        )  # fmt: skip
        for operation in (each for path in told["paths"].values() for each in path.values()):
            if "HTTPValidationError" in str(
                operation["responses"].get("422")
            ):  # FastAPI's own form, which we never send
                del operation["responses"]["422"]
        told["components"] = {"schemas": _schemas(requests, shapes), "parameters": PARAMETERS, "headers": HEADERS}
        return told

    async def openapi() -> Response:
        return Response(orjson.dumps(document()), media_type=JSON)

    app.openapi = document  # type: ignore[method-assign]
    app.add_api_route("/openapi.json", openapi, include_in_schema=False)
