"""What is read of a sealed log, in long stretches: it opens as it was, wherever others have their turns in between."""

import asyncio

import pytest

from broker.errors import PayloadUnreadable
from broker.events import TEXT, Content, Run
from broker.ids import EntryId
from broker.sealing import Seal, new_data_key
from broker.store import unsealing
from broker.store.unsealing import Wrapped
from broker.store.vault import Vault
from tests.harness.clockwork import at_once

ID = "gen_" + "0" * 26


async def no_key(_: str) -> Wrapped | None:
    raise AssertionError("the key is in hand")


def written(seal: Seal, first: int, count: int) -> tuple[list[Content], Run]:
    plain = [Content(TEXT, b" token %d" % seq) for seq in range(first, first + count)]
    return plain, Run(EntryId(7, first), seal.of_attempt(7).sealed(first, plain))


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2500, 3000])
def test_a_stretch_opens_as_it_was_written_however_long(count: int) -> None:
    async def scene() -> None:
        vault, seal = Vault(), Seal(ID, new_data_key())
        vault.keep(ID, seal)
        plain, stored = written(seal, 3, count)
        other = Run(EntryId(6, 0), [(b"e", b"{}")])
        rounds, opening = 0, asyncio.ensure_future(unsealing.runs(vault, ID, [other, stored], no_key))
        while not opening.done():
            await asyncio.sleep(0)
            rounds += 1
        assert await opening == [other, Run(EntryId(7, 3), plain)]
        assert rounds >= -(-count // 1000), "a thousand at a time"

    at_once(scene())


@pytest.mark.parametrize("at", [0, 1700, 2499])
def test_one_that_is_damaged_lets_none_of_its_stretch_be_read(at: int) -> None:
    async def scene() -> None:
        vault, seal = Vault(), Seal(ID, new_data_key())
        vault.keep(ID, seal)
        _, (first, contents) = written(seal, 1, 2500)
        broken = [*contents]
        broken[at] = Content(contents[at][0], b"x" + contents[at][1][1:])
        with pytest.raises(PayloadUnreadable):
            await unsealing.runs(vault, ID, [Run(first, broken)], no_key)

    at_once(scene())
