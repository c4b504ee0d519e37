"""Which blocks of a request the Messages API is asked to cache (`cache`). Pure.

A mark (`cache_control`) on a block caches everything up to it, in the order in which the API reads: tools, system, messages. A
request has four marks at most. The submitter's own stay as they are, and count; ours take what places are left: the last block
of what never changes first, then, for a conversation, the ends of its last turns, so that the next request finds what this one
has written.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from broker.request import Cache
from worker.upstreams import Json

MOST_MARKS: Final = 4
_NEVER_MARKED: Final = frozenset(("thinking", "redacted_thinking"))
_SECTIONS: Final = ("tools", "system", "messages")


class _Place(NamedTuple):
    """Where a block is, in the order in which the API reads: which section, which item of it, which block of that."""

    section: int
    item: int
    block: int


def marked(body: Json, cache: Cache) -> Json:
    """The request with our marks. Nothing of `body` is changed in place."""
    blocks = dict(_blocks(body))
    own = [place for place, block in blocks.items() for _ in range(_marks(block))]
    left = MOST_MARKS - len(own) - (body.get("cache_control") is not None)
    for place in _wanted(body, blocks, cache):
        if left <= 0:
            break
        if blocks[place].get("cache_control") is None:
            left -= 1
            body = _with_mark(body, place, {**blocks[place], "cache_control": _mark(body, blocks, place)})
    return body


def _blocks(body: Json) -> Iterator[tuple[_Place, Json]]:
    """All blocks, each with its place; a string counts as one."""
    for item, tool in enumerate(_list(body.get("tools"))):
        yield _Place(0, item, 0), tool
    for item, block in enumerate(_content(body.get("system"))):
        yield _Place(1, item, 0), block
    for item, message in enumerate(_list(body.get("messages"))):
        for number, block in enumerate(_content(message["content"])):
            yield _Place(2, item, number), block


def _list(value: object) -> Sequence[Json]:
    return value if isinstance(value, list) else ()


def _content(value: object) -> Sequence[Json]:
    return [{"type": "text", "text": value}] if isinstance(value, str) else _list(value)


def _marks(block: Json) -> int:
    """How many marks the block has, those of blocks in it (a tool's result) included."""
    inner = _list(block.get("content"))
    return (block.get("cache_control") is not None) + sum(_marks(each) for each in inner if isinstance(each, dict))


def _wanted(body: Json, blocks: dict[_Place, Json], cache: Cache) -> Iterator[_Place]:
    """Where a mark should be, what matters most first."""
    can = [place for place, block in blocks.items() if _may_be_marked(block)]
    if static := [place for place in can if place.section < 2]:
        yield static[-1]
    if cache == "system":
        return
    messages = _list(body.get("messages"))
    turns = [place for place in can if place.section == 2]
    if not turns:
        return
    yield turns[-1]
    if before := [each for each in turns if each.item < turns[-1].item and messages[each.item]["role"] == "user"]:
        yield before[-1]


def _may_be_marked(block: Json) -> bool:
    """The API refuses a mark on thinking, and on a text that is empty."""
    return block.get("type") not in _NEVER_MARKED and not (block.get("type") == "text" and not block.get("text"))


def _mark(body: Json, blocks: dict[_Place, Json], place: _Place) -> Json:
    """What is kept for an hour must stand before what is kept for minutes: the API refuses the other order."""
    behind = [block for other, block in blocks.items() if other > place]
    hour = any(_for_an_hour(block) for block in (*behind, body))
    return {"type": "ephemeral", "ttl": "1h"} if hour else {"type": "ephemeral"}


def _for_an_hour(block: Json) -> bool:
    mark = block.get("cache_control")
    inner = _list(block.get("content"))
    return (isinstance(mark, dict) and mark.get("ttl") == "1h") or any(
        _for_an_hour(each) for each in inner if isinstance(each, dict)
    )


def _with_mark(body: Json, place: _Place, block: Json) -> Json:
    """The request with this block in that place."""
    section = _SECTIONS[place.section]
    items = list(_content(body[section]))
    if place.section < 2:
        items[place.item] = block
    else:
        message = items[place.item]
        content = list(_content(message["content"]))
        content[place.block] = block
        items[place.item] = {**message, "content": content}
    return {**body, section: items}
