"""What the document (openapi.py) says of other vocabularies: schemas of errors and events that their vendors define.

A route of another vocabulary is `described(…, errors="AnthropicError")`: by the name of its errors' schema, of ERRORS.
"""

from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

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
SCHEMAS: Final[Mapping[str, Json]] = {**ERRORS}
"""All of them, by name."""
SAY_WHETHER_TO_RETRY: Final = frozenset({"AnthropicError", "OpenAIError"})
"""Those whose answers have `X-Should-Retry`."""
