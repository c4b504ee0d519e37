"""What the document (openapi.py) says of other vocabularies: schemas of errors and events that their vendors define.

A route of another vocabulary is `described(…, errors="AnthropicError")`: by the name of its errors' schema, of ERRORS.
"""

from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

_REF: Final = "#/components/schemas/"

ERRORS: Final[Mapping[str, Json]] = {
    "AnthropicError": {
        "type": "object",
        "description": "An error as Anthropic's Messages API tells it. `details` has our own code.",
        "required": ["type", "error"],
        "properties": {
            "type": {"const": "error"},
            "error": {
                "type": "object",
                "required": ["type", "message"],
                "properties": {
                    "type": {"type": "string"},
                    "message": {"type": "string"},
                    "details": {"type": "object"},
                },
            },
        },
    },
    "UIError": {
        "type": "object",
        "description": "An error as the AI SDK's client raises it: an `error` chunk, with what a problem has besides.",
        "required": ["type", "errorText", "code"],
        "properties": {"type": {"const": "error"}, "errorText": {"type": "string"}, "code": {"type": "string"}},
    },
    "OpenAIError": {
        "type": "object",
        "description": "An error as OpenAI's APIs tell it.",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                },
            }
        },
    },
}
"""The shapes of api/intake/shapes.py."""
SCHEMAS: Final[Mapping[str, Json]] = {
    **ERRORS,
    "VendorsError": {
        "description": "An error in the shape of the vendor whose client asks.",
        "anyOf": [{"$ref": _REF + "AnthropicError"}, {"$ref": _REF + "OpenAIError"}],
    },
    "AnthropicPrompt": {
        "type": "object",
        "description": "A prompt, as `POST /v1/messages/count_tokens` of Anthropic's takes it.",
        "required": ["model", "messages"],
        "properties": {"model": {"type": "string", "minLength": 1}, "messages": {"type": "array"}},
    },
    "TokenCount": {
        "type": "object",
        "required": ["input_tokens"],
        "properties": {"input_tokens": {"type": "integer"}},
    },
    "VendorsModel": {
        "type": "object",
        "description": "A model in the shape of the vendor whose client asks.",
        "required": ["id"],
        "properties": {"id": {"type": "string"}},
    },
    "ModelPage": {
        "type": "object",
        "required": ["data"],
        "properties": {"data": {"type": "array", "items": {"$ref": _REF + "VendorsModel"}}},
    },
    "AnthropicMessage": {
        "type": "object",
        "description": "A message as Anthropic's Messages API gives it.",
        "required": ["type", "role", "content", "stop_reason", "usage"],
        "properties": {
            "id": {"type": "string"},
            "type": {"const": "message"},
            "role": {"const": "assistant"},
            "model": {"type": "string"},
            "content": {"type": "array", "items": {"type": "object"}},
            "stop_reason": {"type": ["string", "null"]},
            "stop_sequence": {"type": ["string", "null"]},
            "usage": {"type": "object"},
        },
    },
    "AnthropicFrame": {
        "type": "object",
        "description": "One server-sent event of Anthropic's Messages API: `event:`, `data:`, then the cursor as `id:`.",
        "required": ["event", "data"],
        "properties": {
            "event": {"type": "string"},
            "data": {"type": "string", "contentMediaType": "application/json"},
            "id": {"type": "string", "pattern": "^(0|[1-9][0-9]*)-(0|[1-9][0-9]*)$"},
        },
    },
}
"""All of them, by name."""
SAY_WHETHER_TO_RETRY: Final = frozenset({"AnthropicError", "OpenAIError", "VendorsError"})
"""Those whose answers have `X-Should-Retry`."""
