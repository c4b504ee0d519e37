"""The protocols that the simulator speaks, by their paths: what differs between them, and nothing else. Plan, answer, pace and
faults are the same in all. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from worker.simulator import openai_chat, openai_responses, protocol, script
from worker.simulator.asked import Asked, parse_request
from worker.simulator.openai_asked import parse_chat, parse_responses
from worker.simulator.refused import Refused, messages_refusal, openai_refusal
from worker.simulator.script import Scene, Step


@dataclass(frozen=True, slots=True)
class Tongue:
    """`unfinished` is a whole answer without its end; `refusal` is status and body of a no; `ping` is what says nothing; the
    last three are what faults in mid-stream send."""

    parse: Callable[[bytes], Asked]
    opening: Callable[[Scene], bytes]
    steps: Callable[[Scene], Iterator[Step]]
    whole: Callable[[Scene], dict[str, Any]]
    unfinished: Callable[[dict[str, Any]], dict[str, Any]]
    refusal: Callable[[Refused, str], tuple[int, bytes]]
    ping: bytes
    bad_json: bytes
    bad_utf8: bytes
    overloaded: bytes


MESSAGES: Final = Tongue(
    parse_request, script.opening, script.steps, script.whole_message, lambda whole: whole | {"stop_reason": None},
    messages_refusal, protocol.PING, protocol.BAD_JSON, protocol.BAD_UTF8, protocol.OVERLOADED,
)  # fmt: skip
RESPONSES: Final = Tongue(
    parse_responses, openai_responses.opening, openai_responses.steps, openai_responses.whole_response,
    lambda whole: whole | {"status": "in_progress"},
    openai_refusal, openai_responses.PING, openai_responses.BAD_JSON, openai_responses.BAD_UTF8, openai_responses.OVERLOADED,
)  # fmt: skip
CHAT: Final = Tongue(
    parse_chat, openai_chat.opening, openai_chat.steps, openai_chat.whole_completion, openai_chat.unfinished,
    openai_refusal, openai_chat.PING, openai_chat.BAD_JSON, openai_chat.BAD_UTF8, openai_chat.OVERLOADED,
)  # fmt: skip
TONGUES: Final[Mapping[str, Tongue]] = {
    "/v1/messages": MESSAGES,
    "/v1/responses": RESPONSES,
    "/v1/chat/completions": CHAT,
}
