"""A request that is made of an earlier one: the same again, or one that goes on from what came of it. Pure."""

from collections.abc import Mapping

import orjson

from broker.request import ADDED, GenerationRequest, StoredRequest, UnreadableRequest

Changes = Mapping[str, object]
"""Fields of a request, as they came; null takes one away."""
NOT_CHANGED = frozenset(("messages", "system"))
"""What the text that is gone on from has answered."""


def retried(stored: bytes, id_: str, changes: Changes, bounds: Mapping[str, object]) -> StoredRequest:
    """The request of this generation once more. Raises ValidationError, or UnreadableRequest if another version stored it."""
    return _made(stored, changes, bounds, retry_of=id_)


def continued(stored: bytes, id_: str, text: str, changes: Changes, bounds: Mapping[str, object]) -> StoredRequest:
    """The request that goes on from this text, which came of this generation. Raises as `retried`."""
    return _made(stored, changes, bounds, continue_of=id_, continue_from=text)


def _made(stored: bytes, changes: Changes, bounds: Mapping[str, object], **added: str) -> StoredRequest:
    try:
        before: dict[str, object] = orjson.loads(stored)
    except orjson.JSONDecodeError:
        raise UnreadableRequest from None
    # What was gone on from stays so in a retry; where it came from is the earlier generation's.
    kept = {name: before[name] for name in ("continue_from",) if name in before}
    asked = {name: value for name, value in before.items() if name not in ADDED} | dict(changes)
    checked = GenerationRequest.model_validate(asked, context=bounds)
    given = {name: getattr(checked, name) for name in GenerationRequest.model_fields}
    return StoredRequest.model_validate({**given, **kept, **added}, context=bounds)
