"""What of a Messages request is taken as it came: content, and objects that say their `type`. Pure."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from typing_extensions import TypedDict


class _Typed(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]  # no other way to say so
    type: str


def _as_it_came(value: dict[str, object], check: Callable[[object], object]) -> dict[str, object]:
    """Check `value` and keep it: the checked copy would have moved `type` to the front."""
    check(value)
    return value


# An object with a string `type` (a content block, `thinking`); everything else in it is between submitter and upstream.
Block = Annotated[dict[str, object], GetPydanticSchema(lambda _, handler: handler(_Typed)), WrapValidator(_as_it_came)]
# fail_fast is a denial-of-service guard: 1 MiB of wrong items would be 500,000 errors and 2.5 s of a stopped API.
Blocks = Annotated[list[Block], Field(min_length=1, fail_fast=True)]


def _text_or_object(value: object) -> object:
    if isinstance(value, str | dict):
        return value
    raise PydanticCustomError("text_or_object", "must be a string or an object")


TextOrObject = Annotated[
    object,
    AfterValidator(_text_or_object),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
]


def _text_or_blocks(_source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """`str | list[Block]` without pydantic's union, whose error locations name its branches and not places."""

    def check(value: object, blocks: Callable[[object], object]) -> object:
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return blocks(value)
        raise PydanticCustomError("text_or_blocks", "must be a string or a list of content blocks")

    return core_schema.no_info_wrap_validator_function(check, handler(Blocks))


Content = Annotated[
    str | list[dict[str, object]],
    GetPydanticSchema(_text_or_blocks),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]},
                },
            ]
        }
    ),
]
