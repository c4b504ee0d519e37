"""Coordination knows by itself whose a generation is: it is on its tenant's lists alone, from the submit to the expiry."""

from typing import Final

import pytest

from broker import keys
from broker.ids import new_generation_id
from broker.record import Ending
from broker.replies import Accepted, Finished
from broker.request import GenerationRequest
from broker.store.accepting import Submissions
from broker.store.indexes import InBatches, Together, file_ended
from broker.store.queue import Job
from broker.store.recovery import put_back
from broker.tags import Tags
from tests.broker.store.scripted import Generation, Server

DONE: Final = Ending("completed", stop_reason="end_turn")
TAGS: Final = Tags({"user": "bob"})
OWNERS: Final = ("", "acme", "a-b_9")


def listed(server: Server, id_: str) -> set[str]:
    """Every list of coordination that has it, by name: whoever's it is."""
    names = [raw.decode() for raw in server.command("KEYS", "respool:*")]
    lists = [name for name in names if server.command("TYPE", name) == b"zset"]
    return {name for name in lists if server.command("ZSCORE", name, id_) is not None}


def under(owner: str, *states: str, tagged: bool = True) -> set[str]:
    """The lists of this owner that have what is in these states."""
    tags = {keys.tag(TAGS.digests[0], owner)} if tagged else set()
    return {keys.index(state, owner) for state in states} | tags


def submit(server: Server, owner: str, *, at_once: bool = True) -> Generation:
    """In one step or in several, as a key makes it."""
    request = GenerationRequest.model_validate(
        {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}], "labels": dict(TAGS.labels)}
    )
    submissions = Submissions(server.logs, server.coordination, 60_000, 3600, None, lambda _: None)
    key = None if at_once else new_generation_id()
    return Generation(server, server.do(submissions.submit(request, key, owner)))


def take(server: Server) -> dict[str, float]:
    return server.do(server.coordination.take(10, lock_ms=60_000, again_ms=60_000)).jobs


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("ends", [Together, InBatches])
def test_a_generation_is_on_its_tenants_lists_from_its_submit_to_its_expiry_and_on_no_others(
    server: Server, owner: str, at_once: bool, ends: type[Together | InBatches]
) -> None:
    generation, job = submit(server, owner, at_once=at_once), ""
    id_ = generation.id
    assert listed(server, id_) == {keys.DUE, *under(owner, "all", "queued")}
    jobs = take(server)
    (job,) = jobs
    assert job == Job(id_, 1, owner).name
    assert listed(server, id_) == {keys.DUE, keys.RUNNING, *under(owner, "all", "running")}
    server.do(server.coordination.put_back(jobs))
    assert listed(server, id_) == {keys.DUE, *under(owner, "all", "queued")}
    assert take(server) == jobs
    attempt = generation.granted()
    ending = ends(server.logs, server.coordination)
    assert server.do(ending.finish(id_, attempt, 1, DONE, job)) == Finished("ended")
    server.do(ending.close())
    looks = keys.EXPIRING if ends is Together else keys.DUE
    assert listed(server, id_) == {looks, *under(owner, "all", "completed")}
    assert server.command("HGET", keys.TENANTS, id_) == (owner.encode() or None)
    for key in generation.keys:
        server.command("DEL", key)
    server.do(server.coordination.unlist([id_]))
    assert listed(server, id_) == set()
    assert server.command("EXISTS", keys.TENANTS, keys.tags(id_)) == 0
    assert not server.command("KEYS", f"*{id_}*")


@pytest.mark.parametrize("owner", OWNERS)
def test_what_a_sweeper_finds_lost_or_ended_stays_its_tenants(server: Server, owner: str) -> None:
    generation = submit(server, owner)
    id_ = generation.id
    take(server)
    looks = server.do(server.logs.looks([id_]))
    assert server.do(server.coordination.waiting(looks)) == set(), "it is in somebody's hands"  # type: ignore[arg-type]
    server.do(server.coordination.enqueue_lost(looks))  # type: ignore[arg-type]
    assert listed(server, id_) == {keys.DUE, *under(owner, "all", "queued")}
    assert server.do(server.coordination.waiting(looks)) == {id_}  # type: ignore[arg-type]
    assert server.do(server.coordination.ranks([(id_, owner)])) == [0]
    server.command("ZADD", keys.DUE, 0, id_)
    assert server.do(server.coordination.overdue(10, 1000)) == (1, []), "its job waits in the queue"
    assert generation.cancel() == "cancelled"
    assert server.do(file_ended(server.logs, server.coordination, [id_])) == {}
    assert listed(server, id_) == {keys.DUE, *under(owner, "all", "cancelled")}
    assert not server.command("EXISTS", "arq:job:" + Job(id_, 1, owner).name)


@pytest.mark.parametrize("owner", OWNERS)
def test_a_job_of_a_later_attempt_is_found_in_its_tenants_place(server: Server, owner: str) -> None:
    generation = submit(server, owner)
    take(server)
    generation.release(generation.granted())
    server.do(server.coordination.enqueue(generation.id, 2, owner=owner))
    server.command("ZADD", keys.DUE, 0, generation.id)
    assert server.do(server.coordination.overdue(10, 1000)) == (1, [])


@pytest.mark.parametrize("owner", OWNERS)
def test_what_coordination_has_lost_is_put_back_on_its_tenants_lists(server: Server, owner: str) -> None:
    generation = submit(server, owner)
    before = listed(server, generation.id)
    server.do(server.coordination.unlist([generation.id]))
    assert server.do(put_back(server.logs, server.coordination, [generation.id])) == [generation.id]
    assert listed(server, generation.id) == before
    server.do(server.coordination.unlist([generation.id]))
    assert listed(server, generation.id) == set()


def test_whoever_knows_whose_a_lost_one_is_takes_it_off_that_ones_lists(server: Server) -> None:
    id_ = new_generation_id()
    server.command("ZADD", keys.index("all", "acme"), 1, id_)
    server.command("PEXPIRE", keys.index("all", "acme"), 60_000)
    server.do(server.coordination.unlist([id_]))
    assert listed(server, id_) == {keys.index("all", "acme")}
    server.do(server.coordination.unlist([id_], "acme"))
    assert listed(server, id_) == set()


def test_a_list_has_its_tenants_alone_whatever_the_cursor(server: Server) -> None:
    mine, yours, nobodys = (submit(server, owner).id for owner in ("acme", "globex", ""))
    lists = server.coordination.listed
    for owner, id_ in (("acme", mine), ("globex", yours), ("", nobodys)):
        (place,) = server.do(lists("all", None, 10, owner))
        assert place[1] == id_
        assert server.do(server.coordination.tagged(TAGS, "queued", None, 10, owner)).rows == [place]
    newest = server.do(lists("all", None, 10))[0]
    assert [id_ for _, id_ in server.do(lists("all", newest, 10, "acme"))] == [mine], "it came before the cursor"
    assert server.do(server.coordination.tagged(TAGS, None, newest, 10, "acme")).rows[0][1] == mine


def test_all_that_runs_is_known_whosever_it_is(server: Server) -> None:
    made = [submit(server, owner).id for owner in OWNERS]
    assert server.do(server.coordination.running(10)) == []
    take(server)
    assert sorted(server.do(server.coordination.running(10))) == sorted(made)
    assert len(server.do(server.coordination.running(2))) == 2


def test_a_key_of_one_tenant_is_no_others(server: Server) -> None:
    one, other = (
        server.do(server.coordination.submit(new_generation_id(), f"{owner}\0key", "f", 1000, owner=owner))
        for owner in ("acme", "globex")
    )
    assert isinstance(one, Accepted)
    assert one.id != other.id
