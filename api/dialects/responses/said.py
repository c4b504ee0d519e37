"""What was said so far of a response, as a value: its blocks, the items that they are, how many events. Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from api.dialects.responses.items import (
    Event,
    Item,
    ItemStatus,
    call_of,
    closing,
    delta_head,
    failed,
    item_of,
    opening,
    shown,
    text_of,
)
from api.dialects.responses.rope import EMPTY, Rope
from broker.vocabulary import Json

BEFORE: Final = 2
"""Events that are said before the log's: that it was created, and queued."""


class Said(NamedTuple):
    """`number`: of the next event. `items` are the blocks, in their order. The text of the `open` one is `text`, whatever the
    item says; `delta` is how a piece of it begins. `shown`: how many items are in the output. `server`: names of the tools
    that the server runs. `broken`: what was said does not hold any more, and nothing else is said."""

    number: int = BEFORE
    items: tuple[Item, ...] = ()
    open: int = -1
    text: Rope = EMPTY
    delta: bytes = b""
    shown: int = 0
    server: frozenset[str] = frozenset()
    begun: bool = False
    broken: bool = False

    @property
    def weight(self) -> int:
        """Bytes of text that it holds."""
        return self.text.size + sum(item.text.size for item in self.items)

    def with_item(self, index: int, item: Item) -> "Said":
        return self._replace(items=(*self.items[:index], item, *self.items[index + 1 :]))

    def settled(self) -> "Said":
        """With no block open."""
        if not 0 <= self.open < len(self.items):
            return self._replace(open=-1, text=EMPTY, delta=b"")
        kept = self.with_item(self.open, self.items[self.open]._replace(text=self.text))
        return kept._replace(open=-1, text=EMPTY, delta=b"")

    def opened(self, index: int) -> "Said":
        """With this block open, where none is."""
        item = self.items[index]
        return self._replace(open=index, text=item.text, delta=delta_head(item))


Step = tuple[Said, list[Event]]


def block_started(said: Said, generation: str, index: int, head: Json) -> Step:
    """A block begins, or goes on. What is complete is said to be, as nothing goes on with it any more."""
    said = said.settled()
    if index < len(said.items):
        if said.items[index].done:
            return said._replace(broken=True), []
        said = said.with_item(index, said.items[index]._replace(stopped=False))
        said, events = _stopped_closed(said)
        return said.opened(index), events
    said, events = _stopped_closed(said)
    if (call := call_of(head)) is not None:
        said, more = _resulted(said, call, head)
        events += more
    item = item_of(head, generation, said.shown, of_the_server=head.get("name") in said.server)
    said = said._replace(items=(*said.items, item), shown=said.shown + bool(item.kind))
    events += opening(item)
    return said.opened(len(said.items) - 1), events


def block_stopped(said: Said, index: int) -> Step:
    """It may go on yet, if the worker dies now: so nothing is said."""
    if not 0 <= index < len(said.items):
        return said, []
    said = said.settled()
    return said.with_item(index, said.items[index]._replace(stopped=True)), []


def kept(said: Said, blocks: int) -> Said:
    """Blocks behind so many are no more. What was shown of them cannot be taken back."""
    said = said.settled()
    dropped = said.items[blocks:]
    broken = said.broken or any(item.kind for item in dropped)
    return said._replace(items=said.items[:blocks], broken=broken)


def ended(said: Said, *, complete: bool) -> tuple[list[Json], list[Event]]:
    """The whole output, and that all is as complete as it will ever be that was not said to be."""
    output, events = list[Json](), list[Event]()
    for item in said.settled().items:
        status = final_status(item, complete=complete or item.done)
        if not item.done:
            events += closing(item, status)
        if item.kind:
            output.append(shown(item, status, text_of(item)))
    return output, events


def final_status(item: Item, *, complete: bool) -> ItemStatus:
    """Of an item of a response that has ended: `complete` says whether nothing of it is missing."""
    if item.kind == "mcp_call":
        return "incomplete" if item.result is None else "failed" if failed(item) else "completed"
    return "completed" if complete else "incomplete"


def _stopped_closed(said: Said) -> Step:
    events = list[Event]()
    for index, item in enumerate(said.items):
        if item.stopped and not item.done and item.kind != "mcp_call":
            events += closing(item, "completed")
            said = said.with_item(index, item._replace(done=True))
    return said, events


def _resulted(said: Said, call: str, result: Mapping[str, object]) -> Step:
    for index, item in enumerate(said.items):
        if item.kind == "mcp_call" and item.head.get("id") == call and not item.done:
            whole = item._replace(result=dict(result), done=True)
            return said.with_item(index, whole), list(closing(whole, "failed" if failed(whole) else "completed"))
    return said, []
