"""What `WebSocketChatTransport` of the AI SDK says, from its JSON to what is asked for, or to the problem that says why not.
Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from api.intake.asked import ui
from api.intake.body import MAX_BYTES
from api.intake.problems import Problem, from_validation_error
from broker.store.names import LONGEST_NAME

MOST_BYTES: Final = MAX_BYTES
"""Of a message: one that sends a chat carries all of it, as the body of `POST /api/chat` does."""
_LONGEST_REQUEST: Final = 256
_BODY: Final = ("id", "messages", "trigger", "messageId")


class _Message(BaseModel):
    """`requestId` is by what the client knows the answers. What a later version says besides is not looked at."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    request: Annotated[str, Field(alias="requestId", min_length=1, max_length=_LONGEST_REQUEST)]


class _Send(_Message):
    """`headers` and `body` are the page's own: in a body of `POST /api/chat` the members of `body` stand beside the others."""

    type: Literal["send"]
    headers: dict[str, str] = {}
    body: dict[str, Any] = {}


class Resume(_Message):
    """From the first chunk: it never says what it has."""

    type: Literal["resume"]
    id: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]


class Abort(_Message):
    type: Literal["abort"]


class Send(NamedTuple):
    """`headers` in lower case."""

    request: str
    headers: Mapping[str, str]
    chat: ui.Asked


Asked: TypeAlias = Send | Resume | Abort
_SAID: Final[TypeAdapter[_Send | Resume | Abort]] = TypeAdapter(
    Annotated[_Send | Resume | Abort, Field(discriminator="type")]
)


class Heard(NamedTuple):
    """What a message asks for, or why nothing; and the request that it names, empty if it names none."""

    request: str
    asked: Asked | Problem


def heard(context: Mapping[str, object], message: dict[str, object]) -> Heard:
    """`context` as of a GenerationRequest."""
    named = message.get("requestId")
    request = named if isinstance(named, str) and len(named) <= _LONGEST_REQUEST else ""
    try:
        said = _SAID.validate_python(message)
        return Heard(request, _sent(said, context, message) if isinstance(said, _Send) else said)
    except Problem as problem:
        return Heard(request, problem)
    except ValidationError as error:
        return Heard(request, from_validation_error(error))


def _sent(said: _Send, context: Mapping[str, object], message: dict[str, object]) -> Send:
    body: dict[str, object] = dict(said.body)
    body.update((name, message[name]) for name in _BODY if name in message)
    return Send(said.request, {name.lower(): value for name, value in said.headers.items()}, ui.read(body, context))
