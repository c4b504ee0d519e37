"""Whether an event is of the vocabulary: of a known type, with the fields that are described, and no other."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from broker.vocabulary import EVENTS, Event

_EVENT: TypeAdapter[Any] = TypeAdapter(Event)
_OPEN = frozenset(("usage",))
"""What the upstream sends beside the figures is passed on."""


def misfit(event: dict[str, Any]) -> str | None:
    """What is wrong with the event; None if it is as described."""
    try:
        _EVENT.validate_python(event, strict=True)
    except ValidationError as error:
        return str(error)
    unknown = event.keys() - _fields(EVENTS[event["type"]])
    return f"{event['type']} has {unknown}" if unknown and event["type"] not in _OPEN else None


def _fields(type_: type) -> set[str]:
    """A TypedDict knows what it inherits."""
    return set(type_.__required_keys__ | type_.__optional_keys__)  # type: ignore[attr-defined]
