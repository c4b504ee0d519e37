"""What a name stands for, in one cell."""

import pytest

from broker import keys
from broker.ids import new_generation_id
from broker.store import names
from broker.store.names import Name, Named
from tests.broker.store.scripted import Server

CHAT = Name("chat", "c-1", "acme")
HOUR_MS = 3_600_000


def give(server: Server, name: Name, named: Named) -> bool:
    return server.do(names.give(name, named, HOUR_MS).run(server.redis))


def look_up(server: Server, name: Name) -> Named | None:
    return server.do(names.look_up(server.redis, name))


def test_a_name_stands_for_what_was_made_last_in_whatever_order_it_is_given(server: Server) -> None:
    first, second = Named(1000, new_generation_id()), Named(1001, new_generation_id())
    assert look_up(server, CHAT) is None
    assert give(server, CHAT, first)
    assert look_up(server, CHAT) == first
    assert give(server, CHAT, second)
    assert not give(server, CHAT, first), "a submit that is repeated takes nothing back"
    assert look_up(server, CHAT) == second
    assert give(server, CHAT, second), "the same again is no error"


@pytest.mark.parametrize("other", [CHAT._replace(owner=""), CHAT._replace(owner="evil"), CHAT._replace(kind="thread"),
                                   CHAT._replace(text="c-2")])  # fmt: skip
def test_a_name_is_its_tenants_and_of_its_kind(server: Server, other: Name) -> None:
    mine = Named(5, new_generation_id())
    give(server, CHAT, mine)
    assert look_up(server, other) is None
    give(server, other, Named(6, new_generation_id()))
    assert look_up(server, CHAT) == mine


def test_a_name_outlives_the_retention_of_its_generation_by_all_that_may_go_before_that(server: Server) -> None:
    give(server, CHAT, Named(5, new_generation_id()))
    left = server.command("PTTL", CHAT.key)
    assert HOUR_MS + 2 * keys.WAITING_MS - 30_000 < left <= HOUR_MS + 2 * keys.WAITING_MS


def test_nobody_who_sees_the_names_of_keys_sees_what_a_client_called_it() -> None:
    name = Name("chat", "Jane Doe about her divorce \udc80", "acme")
    assert name.key.startswith("respool:acme:name:chat:")
    assert "Jane" not in name.key
