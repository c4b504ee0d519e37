"""A resume by a number of the dialect's own: whichever event a reader had last, it gets exactly the ones behind it."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.dialects.responses.fold import Responses
from api.dialects.responses.head import Head
from api.dialects.sse import EVENT_END
from broker.events import START, TEXT, Entry, event
from broker.ids import EntryId
from tests.api.dialects.test_dialects import ID, Theatre
from tests.api.dialects.test_responses import ENDS, RESPONSES, log_of
from tests.harness.clockwork import at_once


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 5))
def test_whichever_event_was_had_last_the_rest_follows_without_a_hole(seed: int, blocks: int) -> None:
    log = log_of(random.Random(seed), blocks, ENDS[0])
    events = b"".join(RESPONSES.fold(RESPONSES.begin, log)[1]).split(EVENT_END)[:-1]
    ids = [each.id for each in log]

    async def scene() -> None:
        here = Theatre(log)
        for had in range(2, len(events) + 3):
            placed = await here.pages.numbered(ID, RESPONSES, had)
            assert placed is not None
            at = ids.index(placed.cursor) + 1 if placed.cursor in ids else 0
            rest = placed.rest + b"".join(RESPONSES.fold(placed.state, log[at:])[1])
            assert rest.split(EVENT_END)[:-1] == events[had - 2 :]
        assert await here.pages.numbered(ID, RESPONSES, len(events) + 3) is None

    at_once(scene())


def long_log(count: int) -> list[Entry]:
    """One text of so many pieces, each an event."""
    start = event("stream_start", keep_blocks=0)._replace(kind=START)
    contents = [start, event("block_start", index=0, block={"type": "text", "text": ""})]
    head = [Entry(EntryId(5, seq), *each) for seq, each in enumerate(contents)]
    return [*head, *(Entry(EntryId(5, seq), TEXT, b"x" * 20) for seq in range(2, count))]


@pytest.mark.parametrize("had", [4000, 4999, 5000, 5001, 5400])
def test_it_costs_a_page_once_somebody_has_read_the_log(had: int) -> None:
    async def scene() -> None:
        here = Theatre(long_log(5500))
        await here.read(here.viewer(RESPONSES, EntryId(0, 0), live=False))
        await here.pages.numbered(ID, RESPONSES, 5400)
        here.log.read = 0
        placed = await here.pages.numbered(ID, RESPONSES, had)
        assert placed is not None
        assert (placed.cursor, placed.rest) == (EntryId(5, had - 4), b"")
        assert here.log.read <= 2 * 1001

    at_once(scene())


def test_many_ask_at_once_and_the_log_is_read_once() -> None:
    async def scene() -> None:
        here = Theatre(long_log(5500))
        places = await asyncio.gather(*(here.pages.numbered(ID, RESPONSES, had) for had in range(5000, 5020)))
        assert [each.cursor.seq for each in places if each] == list(range(4996, 5016))
        assert here.log.read <= 6000 + 20 * 1001

    at_once(scene())


def test_states_that_hold_texts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.viewing.borders._MOST_BYTES", 100_000)

    async def scene() -> None:
        here = Theatre(long_log(2500))
        for number in range(9):
            head = Head.of("gen_" + str(number) * 26, "m", 0, {})
            await here.pages.numbered(head.generation, Responses(head), 2400)
        assert len(here.pages._borders._known) < 5

    at_once(scene())
