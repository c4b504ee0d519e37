"""The body of `POST /api/chat`, as the AI SDK's transports send it, as a request for a generation. Pure.

`id`, `trigger` and `messageId` say which chat it is, and ask for nothing of a model. What else there is is a field of a
GenerationRequest, by its own name: a page gives them as `body`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pydantic import ValidationError

from api.dialects.ui.said import MESSAGE_LABEL
from api.intake.asked.reading import Given, Json
from api.intake.asked.ui_messages import turns
from api.intake.problems import from_validation_error
from broker.request import GenerationRequest
from broker.store.names import LONGEST_NAME

_TRIGGERS: Final = ("submit-message", "regenerate-message")
_NOT_ASKED: Final = ("id", "trigger", "messageId", "messages")


class Asked(NamedTuple):
    """`chat`: by which its client comes back; None if it has no name for it."""

    chat: str | None
    request: GenerationRequest


def read(body: Json, context: Mapping[str, object]) -> Asked:
    """Raises Problem (422) that names what cannot be said, ValidationError where a field of ours is wrong."""
    given = Given(body)
    if (trigger := given.given("trigger")) is not None:
        trigger.word(*_TRIGGERS)
    if (message := given.given("messageId")) is not None:
        message.text()
    chat = given.given("id")
    if chat is not None and not 1 <= len(chat.text()) <= LONGEST_NAME:
        raise chat.refused("length", f"must have 1 to {LONGEST_NAME} characters")
    messages = given.needed("messages")
    system, said = turns(messages)
    fields: Json = {name: value for name, value in body.items() if name not in _NOT_ASKED}
    if system:
        if given.given("system") is not None:
            raise given.at("system").refused("said_twice", "is given, and so is a message of the system")
        fields["system"] = system
    if (own := _gone_on_with(messages)) is not None:
        labels = given.given("labels")
        fields["labels"] = {**({} if labels is None else labels.object()), MESSAGE_LABEL: own}
    try:
        request = GenerationRequest.model_validate({**fields, "messages": said}, context=context)
    except ValidationError as error:
        raise from_validation_error(error) from None
    return Asked(None if chat is None else chat.text(), request)


def _gone_on_with(messages: Given) -> str | None:
    """The id of the message that the answer is added to, as that is the model's: with what tools of the client's gave."""
    *_, last = messages.items()
    if last.at("role").value != "assistant":
        return None
    id_ = last.needed("id")
    if not 1 <= len(id_.text()) <= LONGEST_NAME:
        raise id_.refused("length", f"must have 1 to {LONGEST_NAME} characters")
    return id_.text()
