"""What we do otherwise than redis-py's connection."""

import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import DataError

from broker.store.connections import Plain

words = st.text(st.characters(codec="utf-8")) | st.binary() | st.integers() | st.floats(allow_nan=False)


@given(st.sampled_from(("SET", "CONFIG GET", b"XADD")), st.lists(words, max_size=30))
def test_a_command_is_packed_as_redis_py_packs_it(
    name: str | bytes, arguments: list[str | bytes | int | float]
) -> None:
    theirs = redis.asyncio.Connection().pack_command(name, *arguments)
    assert b"".join(Plain().pack_command(name, *arguments)) == b"".join(theirs)


@pytest.mark.parametrize("wrong", [None, [1], {}, True])
def test_what_redis_cannot_be_told_is_refused(wrong: object) -> None:
    with pytest.raises(DataError):
        Plain().pack_command("SET", "key", wrong)
