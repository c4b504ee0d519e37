"""What the APIs answer besides generations: how many tokens a prompt has, which models there are. Pure."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from worker.simulator.refused import Refused

COUNT_TOKENS: Final = "/v1/messages/count_tokens"
MODELS: Final = "/v1/models"
_NAMES: Final = ("sim-1", "sim-2")
_MADE: Final = "2026-01-01T00:00:00Z"
_MADE_SECONDS: Final = 1_767_225_600


def count_tokens(body: bytes) -> dict[str, Any]:
    """A quarter of the body's bytes, as answers count them. Raises Refused (400)."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"The request body is not valid JSON: {error}") from None
    for key in ("model", "messages"):
        if not isinstance(data, dict) or key not in data:
            raise Refused(400, f"{key}: Field required")
    return {"input_tokens": max(1, len(body) // 4)}


def models(headers: Mapping[str, str]) -> dict[str, Any]:
    """In Anthropic's shape for those who send its version, else in OpenAI's."""
    if "anthropic-version" in headers:
        data: list[dict[str, Any]] = [
            {"type": "model", "id": name, "display_name": name, "created_at": _MADE, "lifecycle": "active"}
            for name in _NAMES
        ]
        return {"data": data, "has_more": False, "first_id": _NAMES[0], "last_id": _NAMES[-1]}
    data = [{"id": name, "object": "model", "created": _MADE_SECONDS, "owned_by": "respool"} for name in _NAMES]
    return {"object": "list", "data": data}
