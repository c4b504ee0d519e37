"""The lists of tags against the records, which are the truth: whatever was submitted, has ended, has expired or was lost."""

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker import keys
from broker.record import State
from broker.replies import Look, Place
from broker.request import GenerationRequest
from broker.store import coordination_steps
from broker.store.recovery import put_back
from broker.tags import Tags
from tests.broker.store.scripted import Server
from tests.broker.store.test_accepting import ASKED, submissions
from tests.system.test_coordination_lost import coordination_loses

SHAPES = st.builds(
    Tags,
    st.dictionaries(st.sampled_from(["user", "team"]), st.sampled_from(["a", "b"])),
    st.none() | st.sampled_from(["x", "y"]),
)
DONE = st.sampled_from([None, "ended", "gone", "gone before it was listed under its end"])


@dataclass(frozen=True)
class Submit:
    tags: Tags
    key: bool
    one_server: bool
    then: str | None


SUBMITS = st.lists(st.builds(Submit, SHAPES, st.booleans(), st.booleans(), DONE), max_size=12)


def submit(server: Server, tags: Tags, key: str | None = None, *, one_server: bool = True) -> str:
    request = GenerationRequest.model_validate({**ASKED, **tags.given()})
    return server.do(submissions(server.logs, server.coordination, one_server=one_server).submit(request, key))


def pages(server: Server, tags: Tags, state: State | None, most: int) -> list[str]:
    """All that the lists have, page by page."""
    found: list[str] = []
    before: Place | None = None
    while True:
        rows, before = server.do(server.coordination.tagged(tags, state, before, most))
        found += [id_ for _, id_ in rows]
        if before is None:
            return found


def end(server: Server, id_: str) -> None:
    server.do(server.logs.cancel(id_))
    looks = server.do(server.logs.looks([id_]))
    server.do(server.coordination.retire({id_: look for id_, look in looks.items() if isinstance(look, Look)}))


def lists_of_tags(server: Server) -> list[bytes]:
    found: list[bytes] = server.command("KEYS", "respool:tag*")
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SUBMITS, SHAPES.filter(bool), st.sampled_from([None, "queued", "cancelled"]), st.integers(1, 3))
def test_the_lists_have_what_a_look_at_all_records_finds(
    server: Server, submits: list[Submit], asked: Tags, state: State | None, most: int
) -> None:
    server.command("FLUSHALL")
    for number, each in enumerate(submits):
        id_ = submit(server, each.tags, f"key-{number}" if each.key else None, one_server=each.one_server)
        if each.then is not None:
            end(server, id_)
        if each.then not in (None, "ended"):
            server.command("DEL", keys.record(id_))
            server.do(server.coordination.unlist([id_]))

    rows = server.do(server.coordination.listed("all", None, 99))
    records = [record for record in server.do(server.logs.records([id_ for _, id_ in rows])) if record is not None]
    wanted = [each.id for each in records if asked.are_in(each.tags) and state in (None, each.state)]
    assert pages(server, asked, state, most) == wanted
    if not any(each.tags for each in records):
        assert lists_of_tags(server) == []


def test_what_coordination_has_lost_is_put_back_under_its_tags(server: Server) -> None:
    tags = Tags({"user": "ada"}, "order-7")
    ids = [submit(server, tags, one_server=False), submit(server, tags, "key", one_server=False)]
    plain = submit(server, Tags(), one_server=False)
    coordination_loses(server, "respool:tag")
    assert lists_of_tags(server) == []
    server.do(put_back(server.logs, server.coordination, [*ids, plain]))
    assert pages(server, tags, "queued", 9) == ids[::-1]
    assert server.command("EXISTS", keys.tags(plain)) == 0


def test_a_submit_repeated_after_the_sweeper_gave_it_up_is_listed_under_its_tags_again(server: Server) -> None:
    tags = Tags({"user": "ada"})
    id_ = submit(server, tags, "key")
    server.command("DEL", keys.record(id_), keys.tombstone(id_))
    server.do(server.coordination.unlist([id_]))
    assert pages(server, tags, None, 9) == []
    assert submit(server, tags, "key") == id_
    assert pages(server, tags, None, 9) == [id_]


def test_a_generation_without_tags_has_no_key_more(server: Server) -> None:
    submit(server, Tags())
    submit(server, Tags(), "key")
    assert lists_of_tags(server) == []


def test_no_name_of_a_key_tells_a_label(server: Server) -> None:
    submit(server, Tags({"user": "ada-lovelace"}, "order-4711"))
    assert len(lists_of_tags(server)) == 3
    assert not [key for key in server.command("KEYS", "*") if b"lovelace" in key or b"4711" in key]


@pytest.mark.parametrize("size", [1, 7, 8, 9, 30])
def test_a_walk_goes_on_where_it_stopped(server: Server, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """The rare one is the oldest of a long list: more steps than are made at a time."""
    monkeypatch.setattr(coordination_steps, "_MOST_STEPS", 2)
    both, one = Tags({"user": "ada", "team": "b"}), Tags({"user": "ada"})
    wanted = [submit(server, both) for _ in range(2)][::-1]
    others = [submit(server, one) for _ in range(size)]
    more = [submit(server, Tags({"team": "b"})) for _ in range(size)]
    assert pages(server, both, None, 1) == wanted
    assert pages(server, one, None, 3) == others[::-1] + wanted
    assert pages(server, Tags({"team": "b"}), "queued", 3) == more[::-1] + wanted
