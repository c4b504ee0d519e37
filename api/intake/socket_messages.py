"""What a client may say on a WebSocket of `respool.v1`, from its text to what is asked for, or to the problem that says why
not. Pure."""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from api.dialects.chunks import Size
from api.intake.body import parse_object
from broker.ids import GENERATION_ID

MOST_BYTES: Final = 8 * 1024
"""Of a message. The longest that says something has 300."""
Generation: TypeAlias = Annotated[str, Field(pattern=f"^{GENERATION_ID}$")]


class _Message(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    generation: Generation


class Follow(_Message):
    """As `GET /v1/generations/{id}/events` with these parameters."""

    type: Literal["follow"]
    after: Annotated[str, Field(max_length=64)] | None = None
    from_: Annotated[Literal["beginning", "snapshot"], Field(alias="from")] = "beginning"
    chunk: Size = "token"


class Unfollow(_Message):
    type: Literal["unfollow"]


class Cancel(_Message):
    """As `POST /v1/generations/{id}/cancel`."""

    type: Literal["cancel"]


Asked: TypeAlias = Follow | Unfollow | Cancel
_ASKED: Final[TypeAdapter[Asked]] = TypeAdapter(Annotated[Asked, Field(discriminator="type")])


def asked_in(text: str) -> Asked:
    """What a message asks for. Raises Problem (400), ValidationError."""
    return _ASKED.validate_python(parse_object(text.encode()))
