"""The API describes itself: `/openapi.json` (OpenAPI 3.2).

What a route takes and answers stands at the route (`described`), made of what it works with: the models that validate, the
shapes that it sends, the table of problems, the vocabulary of events. Nothing is written a second time here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import getdoc
from typing import Any, Final, TypedDict

import orjson
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from api.access.gate import ALL, Scope
from api.intake.lines import JSONL
from api.intake.negotiate import EVENT_STREAM, IDEMPOTENCY_KEY, JSON
from api.intake.problems import MAX_ERRORS, Code, FieldError
from api.intake.shapes import is_retried
from api.routes.foreign import SAY_WHETHER_TO_RETRY, SCHEMAS
from broker.record import STATES
from broker.tags import LONGEST_VALUE
from broker.vocabulary import Event

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """In place of a shape: what is not one JSON object of a model. `sends`: names of headers, of HEADERS."""

    description: str
    media_type: str
    content: Json
    sends: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Either:
    """In place of a shape: one JSON object of this shape, or what is asked for instead of it."""

    shape: object
    other: Answer


@dataclass(frozen=True, slots=True)
class Nothing:
    """In place of a shape: there is no body, and what that says."""

    description: str


_REF: Final = "#/components/schemas/{model}"
EVERYWHERE: Final = (
    Code.MALFORMED_HEAD, Code.METHOD_NOT_ALLOWED, Code.HEAD_TIMEOUT, Code.HOST_NOT_ALLOWED,
    Code.TOO_MANY_PIPELINED, Code.HEAD_TOO_LARGE, Code.INTERNAL_ERROR, Code.TOO_MANY_CONNECTIONS,
)  # fmt: skip
_ON_EVERY_ANSWER: Final = ("Cache-Control", "X-Content-Type-Options")
_FRAME_REF: Final[Json] = {"$ref": _REF.format(model="Frame")}
_DONE: Final[Json] = {"type": "object", "required": ["data"], "properties": {"data": {"const": "[DONE]"}}}
_CHANGES: Final[Json] = {
    "type": "object",
    "description": "Fields of a `GenerationRequest` that take the place of the earlier request's; null takes one away.",
}
STREAM: Final = Answer("The event stream.", EVENT_STREAM, {"itemSchema": _FRAME_REF}, ("X-Accel-Buffering",))
VIEWS: Final = Answer(
    "The event stream, in the view that was asked for.", EVENT_STREAM,
    {"itemSchema": {"anyOf": [_FRAME_REF, {"$ref": _REF.format(model="TextFrame")}]}}, STREAM.sends,
)  # fmt: skip
CHAT: Final = Answer(
    "The event stream, and behind it `data: [DONE]`.", EVENT_STREAM,
    {"itemSchema": {"anyOf": [*({"$ref": _REF.format(model=model)} for model in ("ChatFrame", "ChatText")), _DONE]}},
    STREAM.sends,
)  # fmt: skip


MESSAGE: Final = Either(
    Answer(
        "The message; with `stream`, its events.", JSON, {"schema": {"$ref": _REF.format(model="AnthropicMessage")}}
    ),
    Answer("Its events.", EVENT_STREAM, {"itemSchema": {"$ref": _REF.format(model="AnthropicFrame")}}, STREAM.sends),
)
COUNTED: Final = Answer("How many tokens.", JSON, {"schema": {"$ref": _REF.format(model="TokenCount")}})
MODELS: Final = Answer("The models.", JSON, {"schema": {"$ref": _REF.format(model="ModelPage")}})
MODEL: Final = Answer("The model.", JSON, {"schema": {"$ref": _REF.format(model="VendorsModel")}})


class Described(TypedDict):
    """What FastAPI's decorators take."""

    responses: dict[int | str, Json]
    openapi_extra: Json
    response_class: type[Response]


def described(
    answers: Mapping[int, object],
    problems: Sequence[Code] = (),
    *,
    scopes: Sequence[Scope] = (),
    links: bool = False,
    body: type[BaseModel] | None = None,
    optional: bool = False,
    lines: type[BaseModel] | None = None,
    example: object = None,
    changes: object = None,
    takes: Sequence[str] = (),
    sends: Mapping[int, Sequence[str]] | None = None,
    errors: str | None = None,
    taken: str | None = None,
    fails: Sequence[int] = (),
) -> Described:
    """What a route takes and answers. `scopes`: what a key must hold for it; none where it is open to all; `links`: a view link
    will do. `answers`: by status a shape, an Answer, Either, or Nothing; `body`: the model that validates it, which may be left
    out if it is `optional`; `lines`: the model of each line of a body that is JSON Lines; `changes`: an example of some of a
    request's fields, which may be its body; `takes`: names of PARAMETERS; `sends`: by status, names of HEADERS beside those of
    every answer; `errors`: the schema of what problems are there, where the path has another vocabulary's
    (api/intake/shapes.py), `taken` that of a body that another vendor defines, and `fails` the statuses with which it tells
    how a generation has failed."""
    extra: Json = {"parameters": [{"$ref": f"#/components/parameters/{name}"} for name in takes]} if takes else {}
    if scopes:
        extra["security"] = [{name: list(scopes)} for name in SECURITY if links or name != "view-link"]
        problems = (Code.UNAUTHENTICATED, Code.FORBIDDEN, *problems, Code.AUDIT_UNAVAILABLE)
    if body is not None:
        media: Json = {"schema": {"$ref": _REF.format(model=body.__name__)}}
        extra["requestBody"] = {
            "required": not optional,
            "content": {JSON: media if example is None else {**media, "example": example}},
        }
    if taken is not None:
        foreign: Json = {"schema": {"$ref": _REF.format(model=taken)}, "example": example}
        extra["requestBody"] = {"required": True, "content": {JSON: foreign}}
    if lines is not None:
        all_of_them: Json = {"type": "array", "items": {"$ref": _REF.format(model=lines.__name__)}}
        extra["requestBody"] = {"required": True, "content": {form: {"schema": all_of_them} for form in JSONL}}
    if changes is not None:
        extra["requestBody"] = {"required": False, "content": {JSON: {"schema": _CHANGES, "example": changes}}}
    responses: dict[int | str, Json] = {
        status: _answer(shape, (sends or {}).get(status, ())) for status, shape in answers.items()
    }
    return {
        "responses": {**_failures(errors, fails), **responses, **_problems((*problems, *EVERYWHERE), errors)},
        "openapi_extra": extra,
        "response_class": Response,
    }


def _answer(shape: object, sends: Sequence[str]) -> Json:
    """A success: its description is the shape's own."""
    if shape is None:
        shape = Nothing("There is nothing behind the cursor, and never will be.")
    if isinstance(shape, Either):
        one, other = _answer(shape.shape, sends), _answer(shape.other, sends)
        return {
            **one,
            "headers": {**one["headers"], **other["headers"]},
            "content": {**one["content"], **other["content"]},
        }
    if isinstance(shape, Nothing):
        return {"description": shape.description, "headers": _headers(*sends)}
    if isinstance(shape, Answer):
        content: Json = {shape.media_type: shape.content}
        return {"description": shape.description, "headers": _headers(*shape.sends, *sends), "content": content}
    name, said = getattr(shape, "__name__", ""), getdoc(shape) or ""
    content = {JSON: {"schema": {"$ref": _REF.format(model=name)}}}
    links = {"links": _LINKS} if "Location" in sends else {}
    return {"description": said, "headers": _headers(*sends), "content": content, **links}


def _headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*_ON_EVERY_ANSWER, *names)}


def _failures(errors: str | None, statuses: Sequence[int]) -> dict[int | str, Json]:
    content: Json = {JSON: {"schema": {"$ref": _REF.format(model=errors)}}}
    about = "The generation has failed, or was cancelled."
    return {status: {"description": about, "headers": _headers(), "content": content} for status in statuses}


def _problems(codes: Sequence[Code], errors: str | None) -> dict[int | str, Json]:
    """The problems by status, each status with its codes and what they mean. Any other status is a problem too."""
    by_status: dict[int, list[Code]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(code.value.status, []).append(code)
    return {
        **{status: _problem(group, errors) for status, group in sorted(by_status.items())},
        "default": _problem([Code.HTTP_ERROR], errors),
    }


def _problem(codes: list[Code], errors: str | None) -> Json:
    names = {"properties": {"code": {"enum": [code.name.lower() for code in codes]}}}
    retry = ("Retry-After",) if any(code.value.retry_after for code in codes) else ()
    allow = ("Allow",) if Code.METHOD_NOT_ALLOWED in codes else ()
    challenge = ("WWW-Authenticate",) if Code.UNAUTHENTICATED in codes else ()
    ours: Json = {"application/problem+json": {"schema": {"allOf": [{"$ref": _REF.format(model="Problem")}, names]}}}
    theirs: Json = {JSON: {"schema": {"$ref": _REF.format(model=errors)}}} if errors is not None else {}
    if errors is not None and not any(code in EVERYWHERE or code is Code.HTTP_ERROR for code in codes):
        ours = {}  # a head that is not read yet has no path: then a problem is told as ours
    retried = errors in SAY_WHETHER_TO_RETRY and is_retried(codes[0].value.status)
    asks_again = ("X-Should-Retry",) if retried else ()
    return {
        "description": " ".join(f"`{code.name.lower()}`: {code.value.meaning}" for code in codes),
        "headers": _headers(*retry, *allow, *challenge, *asks_again),
        "content": {**ours, **theirs},
    }


PARAMETERS: Final[Mapping[str, Json]] = {
    "Idempotency-Key": {
        "name": "Idempotency-Key", "in": "header", "required": False,
        "description": "Names the request: sent again with the same key within 24 hours, it is accepted once.",
        "schema": {"type": "string", "pattern": f"^{IDEMPOTENCY_KEY.pattern}$"},
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID", "in": "header", "required": False,
        "description": "The id of the last event that was seen: the stream begins behind it. It wins over `after`.",
        "schema": {"type": "string", "examples": ["1795262599262-29"]},
    },
    "label": {
        "name": "label.<name>", "in": "query", "required": False,
        "description": "Only generations whose label of this name has this value; once for each of several names.",
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_VALUE},
    },
    "external_id": {
        "name": "external_id", "in": "query", "required": False,
        "description": "Only generations of this external id.",
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_VALUE},
    },
}  # fmt: skip
HEADERS: Final[Mapping[str, Json]] = {
    "Location": {"description": "The generation's record.", "schema": {"type": "string"}},
    "Generation-Id": {"description": "The generation's id.", "schema": {"type": "string"}},
    "Request-Id": {"description": "The generation's id, where a vendor's SDK looks.", "schema": {"type": "string"}},
    "Content-Location": {"description": "The path of the run.", "schema": {"type": "string"}},
    "Respool-Generation": {"description": "The generation's id.", "schema": {"type": "string"}},
    "X-Workflow-Run-Id": {
        "description": "The generation's id, as WorkflowChatTransport asks for it.",
        "schema": {"type": "string"},
    },
    "X-Workflow-Stream-Tail-Index": {
        "description": "The number of the last chunk, where chunks were counted from the end.",
        "schema": {"type": "integer"},
    },
    "X-Vercel-Ai-Ui-Message-Stream": {"description": "The version of the vocabulary.", "schema": {"const": "v1"}},
    "RateLimit": {
        "description": "Where the requests of an API key are limited: how many more may come at once, `r`, and seconds until a"
        " whole burst may, `t` (draft-ietf-httpapi-ratelimit-headers-10).",
        "schema": {"type": "string"},
        "example": '"requests";r=9;t=1',
    },
    "RateLimit-Policy": {
        "description": "How many requests may come at once, `q`, and in how many seconds as many more may, `w`.",
        "schema": {"type": "string"},
        "example": '"requests";q=10;w=10',
    },
    "Retry-After": {"description": "Seconds after which the same request may succeed.", "schema": {"type": "integer"}},
    "X-Should-Retry": {
        "description": "Whether the same request may fare better: it tells the vendor's SDK whether to repeat it.",
        "schema": {"enum": ["true", "false"]},
    },
    "Allow": {"description": "The methods that the path has.", "schema": {"type": "string"}},
    "Cache-Control": {"description": "No answer may be kept.", "schema": {"const": "no-store"}},
    "X-Content-Type-Options": {"description": "It is what it says.", "schema": {"const": "nosniff"}},
    "WWW-Authenticate": {"description": "How to say who asks.", "schema": {"const": "Bearer"}},
    "Set-Cookie": {"description": "`__Host-respool-` and the generation's id.", "schema": {"type": "string"}},
    "Stream-Next-Offset": {"description": "Where to read on.", "schema": {"type": "string"}},
    "Stream-Up-To-Date": {"description": "Nothing is behind it yet.", "schema": {"const": "true"}},
    "Stream-Closed": {"description": "Nothing will ever be behind it.", "schema": {"const": "true"}},
    "Stream-Cursor": {"description": "To be sent as `cursor` with the next read.", "schema": {"type": "string"}},
    "ETag": {"description": "Names what was read.", "schema": {"type": "string"}},
    "X-Accel-Buffering": {"description": "Tells a proxy to hand on at once.", "schema": {"const": "no"}},
    "Content-Security-Policy": {"description": "The page loads nothing from elsewhere.", "schema": {"type": "string"}},
}
SECURITY: Final[Mapping[str, Json]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key. Scopes are what it must hold."},
    "x-api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "The same, for who has no other way.",
    },
    "view-link": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "A view link's token, which reads one generation. It may stand in `Authorization: Bearer`, too.",
    },
}
"""How who asks says who it is: where the server asks for it, by one of these, once."""
_LINKS: Final[Mapping[str, Json]] = {
    name: {"operationId": f"{name}_v1_generations__id_{path}", "parameters": {"id": "$response.body#/id"}}
    for name, path in {
        "read": "_get", "events": "_events_get", "cancel": "_cancel_post", "retry": "_retry_post",
        "continue_": "_continue_post", "redeliver": "_webhook_redeliver_post",
    }.items()
}  # fmt: skip
"""What may be asked about a generation whose record an answer has."""
_ABOUT: Final = (
    "docs/protocol.md says what all this means. A server that asks for no keys answers all of it without one. Where pages of "
    "other origins are let in, each answer has the headers of CORS besides, and preflights are answered."
)
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
        "errors": {"type": "array", "maxItems": MAX_ERRORS, "items": {"$ref": _REF.format(model="FieldError")}},
        "scope": {"enum": sorted(ALL), "description": "What the key would have to hold."},
        "state": {"enum": list(STATES), "description": "How the generation has ended, or that it has not."},
        "generation": {"type": "string", "description": "The id of what may have been accepted."},
        "offers": {"type": "array", "items": {"type": "string"}, "description": "The media types that there are."},
        "instance": {"type": "string", "format": "uri", "description": "Finds it in the server's log."},
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
_TEXT_FRAME: Final[Json] = {
    "type": "object",
    "description": "One server-sent event of the text view: bare text, or, where it has a name, JSON.",
    "required": ["data"],
    "properties": {
        "event": {"enum": ["message", "end", "discard", "queued", "gap", "drain"]},
        # `message` is what server-sent events call those that name none.
        "data": {"type": "string"},
        **{name: _FRAME["properties"][name] for name in ("id", "retry")},
    },
}


_CHAT_FRAME: Final[Json] = {
    "type": "object",
    "description": "One frame of the chat form: `data:` and a blank line.",
    "required": ["data"],
    "properties": {
        "data": {
            "type": "string",
            "contentMediaType": JSON,
            "contentSchema": {
                "allOf": [
                    {"$ref": _REF.format(model="Event")},
                    {"properties": {"id": {"description": "The cursor.", **_FRAME["properties"]["id"]}}},
                ]
            },
        }
    },
}


_CHAT_TEXT: Final[Json] = {
    "type": "object",
    "description": "One frame of the chat form with `view=text`: bare text, at the end JSON.",
    "required": ["data"],
    "properties": {"data": {"type": "string"}},
}


def _schemas(requests: Sequence[type[BaseModel]], shapes: Sequence[object]) -> Json:
    """All shapes by their names. Raises ValueError if two have one name: the document would tell of one of them alone."""
    _, bodies = models_json_schema([(model, "validation") for model in requests], ref_template=_REF)
    frames = {"Frame": _FRAME, "TextFrame": _TEXT_FRAME, "ChatFrame": _CHAT_FRAME, "ChatText": _CHAT_TEXT}
    schemas: Json = {"Problem": _PROBLEM, **frames, **SCHEMAS, **bodies.get("$defs", {})}
    named = [(getattr(shape, "__name__", ""), shape) for shape in (FieldError, *shapes)]
    for name, shape in (*named, ("Event", Event)):
        for each, schema in _defined(name, shape).items():
            if schemas.setdefault(each, schema) != schema:
                raise ValueError(f"two shapes are called {each}")
    return schemas


def _defined(name: str, shape: Any) -> Json:
    """The shape's schema under its name, and those that it refers to."""
    schema = TypeAdapter(shape).json_schema(ref_template=_REF)
    return {**schema.pop("$defs", {}), name: schema}


def install(app: FastAPI, requests: Sequence[type[BaseModel]], shapes: Sequence[object]) -> None:
    """Adds `/openapi.json`. `requests`: the models of bodies; `shapes`: what answers are."""

    @cache
    def document() -> Json:
        described = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes, description=_ABOUT,
            openapi_version="3.2.0",  # the first that can say what the items of a stream are
        )  # fmt: skip
        described["components"] = {
            "schemas": _schemas(requests, shapes), "parameters": PARAMETERS, "headers": HEADERS, "securitySchemes": SECURITY,
        }  # fmt: skip
        return described

    async def openapi() -> Response:
        """This document."""
        return Response(orjson.dumps(document()), media_type=JSON, headers={"cache-control": "no-store"})

    app.openapi = document  # type: ignore[method-assign]
    itself = Answer("An OpenAPI 3.2 document.", JSON, {"schema": {"type": "object"}})
    app.add_api_route("/openapi.json", openapi, **described({200: itself}))
