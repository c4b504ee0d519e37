"""A whole answer as Anthropic's Messages API gives it where it does not stream. Pure."""

from collections.abc import Iterator

import orjson

from api.dialects.content import content_json
from api.dialects.messages_words import split_end
from broker.transcript import Transcript, said_at_end


def message(transcript: Transcript) -> Iterator[bytes]:
    """The message, in pieces of JSON: as its stream would add up."""
    delta, beside = split_end(transcript.told, transcript.stop_reason)
    first = {name: value for name, value in transcript.message.items() if name != "content"}
    said = said_at_end({"type": "message", "role": "assistant", **first}, {**beside, **delta})
    yield orjson.dumps(said)[:-1]
    yield b',"content":'
    yield from content_json(transcript)
    yield b"}"
