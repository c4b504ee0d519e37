"""Whom the quick way in lets in, and what it leaves to the routes."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.access.gate import Open, Principal
from api.access.linked import Linked, Revoked
from api.access.links import Link, Links, new_link_id
from api.access.origin import Origins
from api.audit.journal import NO_JOURNAL, Journal
from api.delivery.fast_path import FastPath
from api.dialects.native import NATIVE
from api.dialects.redacted import redacted
from api.viewing.framing import chunk
from api.viewing.hub import Hub
from api.viewing.rendition import View
from broker.ids import BEGINNING, EntryId
from tests.api.audit.kept import Kept
from tests.api.viewing.test_feed import CHUNKED

ID = "gen_" + "0" * 26
TARGET = f"/v1/generations/{ID}/events".encode()
HOST, ACCEPT, CURSOR = (b"host", b"Here.Example"), (b"accept", b"text/event-stream"), (b"last-event-id", b"5-2")


class KnownHub:
    """Knows one generation; `attached` is who was let in."""

    def __init__(self) -> None:
        self.attached: list[tuple[str, EntryId, View, bool]] = []
        self.known: list[tuple[str, EntryId, View]] = []
        self.knowing = True

    def knows(self, id_: str, cursor: EntryId, view: View, who: Principal) -> bool:
        self.who = who
        self.known.append((id_, cursor, view))
        return self.knowing

    def attach(self, id_: str, cursor: EntryId, view: View, *, who: Principal, ended: bool) -> object:
        assert who is self.who
        self.attached.append((id_, cursor, view, ended))
        return self

    def detach(self, _: object) -> None: ...


def fast_path_of(hub: KnownHub, journal: Journal = NO_JOURNAL) -> FastPath:
    answers: Any = SimpleNamespace(answers_for=lambda host: host == b"here.example")
    return FastPath(cast(Hub, hub), cast(Origins, answers), Open(), journal)


@pytest.mark.parametrize(
    ("headers", "cursor"),
    [
        ([], BEGINNING),
        ([HOST], BEGINNING),
        ([HOST, ACCEPT], BEGINNING),
        ([HOST, (b"accept", b"*/*")], BEGINNING),
        ([HOST, (b"user-agent", b"text/html"), CURSOR], EntryId(5, 2)),
        ([(b"x-other", b"0-0"), CURSOR, ACCEPT, HOST], EntryId(5, 2)),
    ],
)
def test_who_asks_plainly_for_what_is_known_here_is_let_in(headers: list[tuple[bytes, bytes]], cursor: EntryId) -> None:
    hub = KnownHub()
    assert fast_path_of(hub).admit(TARGET, headers, chunk) is cast(Any, hub)
    assert hub.known == [(ID, cursor, CHUNKED)]
    assert hub.attached == [(ID, cursor, CHUNKED, False)]


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (TARGET + b"?after=5-2", [HOST]),
        (TARGET.removesuffix(b"/events"), [HOST]),
        (TARGET.upper(), [HOST]),
        (b"/", [HOST]),
        (TARGET, [(b"host", b"there.example")]),
        (TARGET, [HOST, (b"accept", b"application/json")]),
        (TARGET, [HOST, (b"accept", b"text/event-stream, */*")]),
        (TARGET, [HOST, (b"last-event-id", b"0-0")]),
        (TARGET, [HOST, (b"last-event-id", b"the last one")]),
        (TARGET, [HOST, CURSOR, CURSOR]),
        (TARGET, [CURSOR, (b"last-event-id", b"5-3"), HOST]),
        (TARGET, [(b"host", b"there.example"), ACCEPT]),
    ],
)
def test_all_else_is_left_to_the_routes(target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    hub = KnownHub()
    assert fast_path_of(hub).admit(target, headers, chunk) is None
    assert hub.attached == []


def test_what_is_not_known_here_is_left_to_the_routes() -> None:
    hub = KnownHub()
    hub.knowing = False
    assert fast_path_of(hub).admit(TARGET, [HOST], chunk) is None
    assert hub.attached == []


def test_who_is_let_in_is_noted_and_where_nothing_can_be_noted_nobody_is() -> None:
    hub, kept = KnownHub(), Kept()
    assert fast_path_of(hub, kept).admit(TARGET, [HOST], chunk) is not None
    assert kept.taken() == [("view", "", ID, "ok")]
    kept.refusing = True
    assert fast_path_of(hub, kept).admit(TARGET, [HOST], chunk) is None
    assert len(hub.attached) == 1
    hub.knowing = kept.refusing = False
    assert fast_path_of(hub, kept).admit(TARGET, [HOST], chunk) is None
    assert kept.taken() == []


def test_who_was_let_in_is_detached_by_the_hub() -> None:
    hub = KnownHub()
    assert fast_path_of(hub).left == hub.detach


def linked_path(hub: Any, now: float = 0) -> tuple[FastPath, str]:
    """One that knows links, and the token of one for text alone."""
    links = Links({"a": b"s" * 32})
    token = links.token(Link(new_link_id(0), "", ID, True, 1_000_000))
    answers: Any = SimpleNamespace(answers_for=lambda host: host == b"here.example")
    return FastPath(hub, cast(Origins, answers), Linked(Open(), links, Revoked(), lambda: now)), token


class TextHub(KnownHub):
    def knows(self, id_: str, cursor: EntryId, view: View, who: Principal) -> bool:
        assert who.only == ID
        self.known.append((id_, cursor, view))
        return True

    def attach(self, *_: object, **__: object) -> object:
        return self


def test_a_link_has_the_quick_way_with_its_token_alone_and_is_shown_what_it_may_see() -> None:
    hub = TextHub()
    path, token = linked_path(hub)
    text = View(redacted(NATIVE), chunk)
    for target, headers in (
        (TARGET + b"?token=" + token.encode(), [HOST, CURSOR]),
        (TARGET, [HOST, CURSOR, (b"authorization", b"Bearer " + token.encode())]),
        (TARGET, [HOST, CURSOR, (b"cookie", b"__Host-respool-" + ID.encode() + b"=" + token.encode())]),
    ):
        assert path.admit(target, headers, chunk) is cast(Any, hub)
    assert hub.known == [(ID, EntryId(5, 2), text)] * 3


def test_no_link_that_is_wrong_or_has_ended_has_the_quick_way() -> None:
    hub = TextHub()
    path, token = linked_path(hub)
    told = TARGET + b"?token=" + token.encode()
    for target in (
        TARGET + b"?token=",
        told + b"x",
        told + b"&view=text",
        told + b"&token=a",
        TARGET + b"?view=text&token=a",
    ):
        assert path.admit(target, [HOST], chunk) is None
    assert path.admit(told, [HOST, (b"x-api-key", b"a")], chunk) is None
    assert linked_path(hub, now=1000)[0].admit(told, [HOST], chunk) is None
    assert hub.known == []
