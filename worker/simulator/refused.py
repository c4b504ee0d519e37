"""How the Messages API says no: one status, one error type, one message."""

from collections.abc import Mapping

import orjson

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


class Refused(Exception):
    """The request gets an HTTP error instead of an answer."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
        self.limits: Mapping[str, str] = {}
        """Headers that tell of limits."""

    def headers(self) -> dict[str, str]:
        """The headers that go with it: retry-after in seconds, where one was given."""
        return {**self.limits, **({} if self.retry_after is None else {"retry-after": f"{self.retry_after:g}"})}

    def body(self, request_id: str) -> bytes:
        """The JSON body in Anthropic's shape."""
        error = {"type": ERROR_TYPES[self.status], "message": self.message}
        return orjson.dumps({"type": "error", "error": error, "request_id": request_id})


def messages_refusal(refused: Refused, request_id: str) -> tuple[int, bytes]:
    """Status and body, as of the Messages API."""
    return refused.status, refused.body(request_id)


def openai_refusal(refused: Refused, request_id: str) -> tuple[int, bytes]:
    """Status and body in OpenAI's shape, which knows no 529."""
    code = {404: "model_not_found", 429: "rate_limit_exceeded", 529: "server_is_overloaded"}.get(refused.status)
    type_ = "server_error" if refused.status >= 500 else "invalid_request_error"
    error = {"message": refused.message, "type": type_, "param": None, "code": code}
    return 503 if refused.status == 529 else refused.status, orjson.dumps({"error": error})
