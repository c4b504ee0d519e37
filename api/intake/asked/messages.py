"""A request of Anthropic's Messages API as one for a generation. Pure.

Nearly all of it is said as it came. Beside its fields our own may stand in the body (a client's `extra_body`), but for those
that no reader of Messages would understand: tools of this server, as their results would be in the answer.
"""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers

from api.intake.problems import Code, FieldError, Problem
from broker.request import BETA, MANY_BETAS, GenerationRequest, MaxTokens

VERSIONS: Final = ("2026-10-21", "2023-06-01")
"""Those of the API in which may be asked. The first is spoken with the upstream, and is what answers are in."""
_NOT_HERE: Final = ("server_tools", "max_tool_rounds")
_NOT_PASSED_ON: Final = ("anthropic-user-profile-id", "anthropic-workspace-id")
"""Headers that change what is asked for, and for whom the upstream counts it: that is the operator's key's."""


class MessagesRequest(GenerationRequest):
    """The body of `POST /v1/messages`: a request of the Messages API, and any of our own fields. `stream` is how it is
    answered; the upstream is always called with a stream. `betas` are those of the header `anthropic-beta`."""

    max_tokens: MaxTokens
    stream: bool = False

    def generation(self) -> GenerationRequest:
        """What is asked for, however it is answered."""
        given = {name: getattr(self, name) for name in GenerationRequest.model_fields} | {"stream": True}
        return GenerationRequest.model_construct(_fields_set=self.model_fields_set - {"stream"}, **given)


def from_messages(
    betas: list[str], context: Mapping[str, object], body: dict[str, object]
) -> tuple[GenerationRequest, bool]:
    """The request, and whether it is answered by a stream. Raises ValidationError, Problem (422)."""
    wrong: list[FieldError] = [
        {"pointer": f"/{name}", "code": "unsupported_field", "detail": "has no words in Messages: use /v1/generations"}
        for name in _NOT_HERE
        if body.get(name) is not None
    ]
    if wrong:
        raise Problem(Code.INVALID_REQUEST, errors=wrong)
    asked = MessagesRequest.model_validate({**body, "betas": betas} if betas else body, context=context)
    return asked.generation(), asked.stream


def betas_of(headers: Headers) -> list[str]:
    """What the header `anthropic-beta` names, each once; it is passed on. Raises Problem (422) for any other header that would
    have to be, and for another version of the API."""
    for name in _NOT_PASSED_ON:
        if name in headers:
            raise _refused(name, "unsupported_field", "is not passed on: which key is used is this server's to say")
    if headers.get("anthropic-version", VERSIONS[0]) not in VERSIONS:
        raise _refused("anthropic-version", "not_allowed", f"must be {' or '.join(VERSIONS)}")
    named = (part.strip() for each in headers.getlist("anthropic-beta") for part in each.split(","))
    betas = [beta for beta in dict.fromkeys(named) if beta]
    if len(betas) > MANY_BETAS or not all(BETA.fullmatch(beta) for beta in betas):
        raise _refused("anthropic-beta", "not_allowed", f"must be at most {MANY_BETAS} words of letters, digits, . _ -")
    return betas


def _refused(header: str, code: str, detail: str) -> Problem:
    wrong: FieldError = {"parameter": header, "code": code, "detail": detail}
    return Problem(Code.INVALID_REQUEST, errors=[wrong])
