"""How the replies of coordination's scripts read; no server. What they are told is tested with one (test_coordination.py)."""

from broker import keys
from broker.replies import Accepted, Allowance, Announced, Full, Limited, Look, Mismatch, Overdue, Taken
from broker.store import coordination_steps


def test_a_submit_is_accepted_or_known_or_of_another_body() -> None:
    call = coordination_steps.submit("g", None, "f", 3000)
    assert call.args == ["g", "f", keys.IDEMPOTENCY_MS, 3000, keys.INDEX_MS, 0, 0, "", "", keys.COMING_MS, ""]
    assert call.read([b"accepted", b"g"]) == Accepted("g", known=False)
    assert call.read([b"known", b"h"]) == Accepted("h", known=True)
    assert call.read([b"mismatch", b"h"]) == Mismatch()
    assert call.read([b"accepted", b"g", 3, 4]) == Accepted("g", known=False, allowance=Allowance(3, 4))
    assert call.read([b"limited", b"rate_limited", 5]) == Limited("rate_limited", 5)
    assert call.read([b"full", b"g"]) == Full()


def test_jobs_are_taken_with_their_places() -> None:
    call = coordination_steps.take(5, lock_ms=10, again_ms=20)
    assert call.read([3, b"g:1", b"7.5", b"h:2", b"8"]) == Taken(3, {"g:1": 7.5, "h:2": 8.0})
    assert call.read([0]) == Taken(0, {})


def test_of_what_is_overdue_some_wait_in_the_queue() -> None:
    assert coordination_steps.overdue(5, 10).read([3, b"g"]) == Overdue(3, ["g"])


def test_each_look_has_its_own_time() -> None:
    again = coordination_steps.look_again({"g": 1, "h": 2})
    assert (again.keys, again.args) == ([keys.DUE], [keys.INDEX_MS, "g", 1, "h", 2])


def test_an_end_that_has_stood_is_looked_at_when_it_has_expired_and_a_fresh_one_soon() -> None:
    stood, fresh = Look("failed", 1, 5, 0, 900, 10_000), Look("cancelled", 30, 6, 0, 900, 9_999, owner="acme")
    call = coordination_steps.file({"g": stood, "h": fresh})
    assert call.keys[:2] == [keys.DUE, keys.EXPIRING]
    assert call.args[4:12] == ["g", "", "failed", 5000, 2, 1900, 1, 2]
    assert call.args[12:] == ["h", "acme", "cancelled", 6000, 1, 10_000, 12, 31]


def test_who_announces_itself_hears_where_the_others_are() -> None:
    call = coordination_steps.announce("me", "worker", "api")
    assert call.keys == [keys.announced("worker"), keys.announced("api"), keys.announced("api")]
    assert call.read([[b"a"], [b"a", b"b"]]) == Announced(frozenset("a"), frozenset("ab"))
