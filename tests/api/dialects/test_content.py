"""What was produced, as JSON: the same bytes as if it had been made at once."""

import random

import orjson
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.content import content_json, text_json
from broker.events import EVENT, TEXT, Entry
from broker.ids import EntryId
from broker.transcript import Transcript
from tests.api.dialects.test_dialects import examples, log_of
from tests.broker.test_transcript import answers, attempt


def joined(transcript: Transcript) -> tuple[bytes, bytes]:
    return b"".join(text_json(transcript)), b"".join(content_json(transcript))


def at_once(transcript: Transcript) -> tuple[bytes, bytes]:
    return orjson.dumps(transcript.text), orjson.dumps(transcript.content)


@examples
@given(answers, st.data())
def test_what_an_upstream_said_is_told_in_parts_as_it_is_at_once(answer: object, data: st.DataObject) -> None:
    entries = attempt(5, answer)  # type: ignore[arg-type]
    transcript = Transcript(entries[: data.draw(st.integers(0, len(entries)))])
    assert joined(transcript) == at_once(transcript)


@examples
@given(st.integers(0, 2**32))
def test_whatever_a_log_has_is_told_in_parts_as_it_is_at_once(seed: int) -> None:
    transcript = Transcript(log_of(random.Random(seed), 80))
    assert joined(transcript) == at_once(transcript)


def test_blocks_without_fields_and_characters_that_are_escaped_are_as_they_are() -> None:
    heads = [
        b'{"type":"block_start","index":0,"block":{}}',
        b'{"type":"block_start","index":1,"block":{"type":"text"}}',
    ]
    entries = [Entry(EntryId(1, seq), EVENT, head) for seq, head in enumerate(heads)]
    entries.append(Entry(EntryId(1, 2), TEXT, '"\\\n\u2028\x00é🧵'.encode()))
    transcript = Transcript(entries)
    assert joined(transcript) == at_once(transcript)
    assert joined(Transcript()) == (b'""', b"[]")
