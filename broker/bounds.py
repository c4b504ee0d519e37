"""What a request is held against besides its own rules: what there is on this server, what its operator allows and fills in.

Whoever takes a request gives that as the validation's context, under the names below. What was stored is validated without one:
it was looked at when it was asked for.
"""

from collections.abc import Container
from time import time
from typing import Annotated, cast

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError, PydanticKnownError

from broker.schedule import LONGEST_DELAY_MS, unix_ms
from broker.upstreams import serving
from broker.webhooks import LONGEST_URL, Rules, why_not_url

LONGEST_IN_REDIS = 604_800
LONGEST_ARCHIVED = 31_536_000
"""Seconds that a generation may be kept: a week, and, where there is an archive, a year."""
LONGEST = "longest_retention"
"""Under which name a validation's context has the one that holds."""
USUAL_MODEL = "model"
CHAT_SYSTEM = "chat_system"
"""Under which names it has what the operator fills in: for requests that name no model, and for chats without `system`."""
WEBHOOKS = "webhooks"
"""The same of what an operator allows of webhooks: Rules."""
UPSTREAMS = "upstreams"
"""Under which name it has the upstreams that there are, where that is known."""
SERVER_TOOLS = "server_tools"
"""Under which name it has the names of the tools that there are; without them any is taken."""
MANY_SERVER_TOOLS = 64


# -- models


def _usual_model(value: object, info: ValidationInfo) -> object:
    if value is not None:
        return value
    if not (usual := (info.context or {}).get(USUAL_MODEL)):
        raise PydanticCustomError("no_model", "is required, as RESPOOL_MODEL is not set")
    return usual


def not_given() -> str:
    """The default of a model that must be named, or filled in."""
    return cast(str, None)


def _served(model: str, info: ValidationInfo) -> str:
    upstreams = (info.context or {}).get(UPSTREAMS)
    if upstreams is not None and serving(upstreams, model) is None:
        raise PydanticCustomError("unknown_model", "is served by no upstream")
    return model


Named = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_served)]
Model = Annotated[Named, BeforeValidator(_usual_model)]


# -- times


def _kept_here(seconds: int, info: ValidationInfo) -> int:
    longest: int = (info.context or {}).get(LONGEST, LONGEST_ARCHIVED)
    if seconds > longest:
        raise PydanticKnownError("less_than_equal", {"le": longest})
    return seconds


def _not_too_late(text: str, info: ValidationInfo) -> str:
    try:
        start_ms = unix_ms(text)
    except (ValueError, OverflowError):
        raise PydanticCustomError("no_time", "must be a time with its offset, as RFC 3339 has it") from None
    # Of one that was stored it has been looked at.
    if info.context is not None and start_ms > time() * 1000 + LONGEST_DELAY_MS:
        raise PydanticCustomError("too_late", "must be at most 7 days ahead")
    return text


StartAfter = Annotated[str, AfterValidator(_not_too_late), Field(json_schema_extra={"format": "date-time"})]
Retention = Annotated[int, Field(ge=60, le=LONGEST_ARCHIVED), AfterValidator(_kept_here)]


# -- tools


def _of_the_server(name: str, info: ValidationInfo) -> str:
    known: Container[str] | None = (info.context or {}).get(SERVER_TOOLS)
    if known is not None and name not in known:
        raise PydanticCustomError("unknown_tool", "is not a tool of this server")
    if any(tool.get("name") == name for tool in info.data.get("tools") or ()):
        raise PydanticCustomError("tool_twice", "is the name of one of `tools` too")
    return name


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise PydanticCustomError("named_twice", "names one twice")
    return names


ServerTool = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_of_the_server)]
ServerTools = Annotated[list[ServerTool], Field(max_length=MANY_SERVER_TOOLS), AfterValidator(_each_once)]


# -- webhooks


def _allowed_url(url: str, info: ValidationInfo) -> str:
    rules = _rules(info)
    if rules is not None and (why := why_not_url(url, rules.allowed)) is not None:
        raise PydanticCustomError("forbidden_url", "{why}", {"why": why})
    return url


def signed(webhook: object, info: ValidationInfo) -> object:
    """A webhook, if it could be signed here."""
    rules = _rules(info)
    if rules is not None and not rules.signed:
        raise PydanticCustomError("not_configured", "needs RESPOOL_WEBHOOK_SECRET")
    return webhook


def _rules(info: ValidationInfo) -> Rules | None:
    """None for what was stored: it was looked at when it was asked for."""
    context: dict[str, object] = info.context or {}
    return cast("Rules | None", context.get(WEBHOOKS))


AllowedUrl = Annotated[str, Field(max_length=LONGEST_URL), AfterValidator(_allowed_url)]
