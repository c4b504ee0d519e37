"""Reading a log up to its end, without a server: the log is a list, and may change between two pages."""

import asyncio
import random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import StorageUnavailable
from broker.events import Entry, Run
from broker.ids import EntryId
from broker.store import reading
from broker.store.logs import Logs, runs_of
from broker.store.reading import read_up
from broker.transcript import Transcript
from broker.turns import Turns
from tests.api.dialects.test_dialects import examples, log_of
from tests.harness.clockwork import at_once

ID = "gen_x"
PAGE = 7


class Log:
    """A log in a list. `asked` is from where it was read; `before` may change it at each read."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.asked: list[EntryId] = []
        self.changes: dict[int, list[Entry] | None] = {}

    async def runs(self, _: str, first: EntryId, count: int) -> list[Run]:
        change = self.changes.get(len(self.asked), self.entries)
        self.asked.append(first)
        await asyncio.sleep(0)
        if change is None:
            raise StorageUnavailable
        self.entries = change
        found = [each for each in self.entries if each.id >= first][:count]
        return runs_of([(str(id_).encode(), (kind, value)) for id_, kind, value in found])


def read(log: Log, transcript: Transcript) -> bool:
    return at_once(read_up(cast(Logs, log), ID, transcript, Turns()))


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_ENTRIES", PAGE)


def same(one: Transcript, other: Transcript) -> bool:
    return (one.content, one.last, one.cursor, one.end, one.kept()) == (
        other.content, other.last, other.cursor, other.end, other.kept(),
    )  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 3])
@pytest.mark.parametrize("cut", [0, 1, PAGE, PAGE + 1])
def test_a_log_is_read_to_its_end_from_wherever_the_transcript_is(count: int, cut: int) -> None:
    log = Log(log_of(random.Random(count), count, ended=False))
    transcript = Transcript(log.entries[:cut])
    assert read(log, transcript)
    assert same(transcript, Transcript(log.entries))
    behind = max(0, count - cut)
    assert len(log.asked) == behind // PAGE + 1


@examples
@given(st.integers(0, 2**32), st.data())
def test_a_transcript_that_is_brought_up_again_and_again_is_that_of_the_whole(seed: int, data: st.DataObject) -> None:
    whole = log_of(random.Random(seed), 60)
    log, transcript = Log([]), Transcript()
    for length in [*sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5))), len(whole)]:
        log.entries = whole[:length]
        assert read(log, transcript)
        assert same(transcript, Transcript(whole[:length]))
    assert transcript.end == whole[-1]


def test_a_transcript_of_what_the_log_has_lost_is_of_no_use() -> None:
    entries = log_of(random.Random(3), 20, ended=False)
    transcript = Transcript(entries)
    assert not read(Log(entries[:10]), transcript)
    assert not read(Log([]), transcript)


def test_a_log_that_loses_its_tail_between_two_pages_is_noticed() -> None:
    entries = log_of(random.Random(3), 3 * PAGE, ended=False)
    log = Log(entries)
    log.changes[1] = [*entries[: PAGE - 2], Entry(EntryId(999, 0), *entries[0][1:])]
    assert not read(log, Transcript())


def test_a_redis_that_goes_away_leaves_the_transcript_at_an_entry() -> None:
    entries = log_of(random.Random(3), 3 * PAGE, ended=False)
    log, transcript = Log(entries), Transcript()
    log.changes[2] = None
    with pytest.raises(StorageUnavailable):
        read(log, transcript)
    assert same(transcript, Transcript(entries[: 2 * PAGE]))
    assert read(log, transcript)
    assert same(transcript, Transcript(entries))
