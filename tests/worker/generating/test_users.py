"""What an upstream is told of who asks: never whom the submitter named, where there is a tenant or a secret."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from broker.keyed import NO_SECRET, Keyed
from broker.record import Record
from broker.request import StoredRequest
from broker.transcript import Transcript
from worker.generating.plan import plan
from worker.generating.rounds import Ask
from worker.generating.users import upstream_body
from worker.upstreams import Call
from worker.upstreams.openai import chat_ask, responses_ask

SECRET = Keyed.parsed("s" * 32)
USER = "bob@example.com"


def request(**asked: Any) -> StoredRequest:
    body = {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}], **asked}
    return StoredRequest.from_bytes(orjson.dumps(body))


def told(owner: str, keyed: Keyed, **asked: Any) -> object:
    return upstream_body(request(**asked), owner, keyed).get("metadata")


def test_a_user_is_called_by_an_hmac_of_tenant_and_user() -> None:
    name = SECRET.user("acme", USER)
    assert told("acme", SECRET, metadata={"user_id": USER}) == {"user_id": name}
    assert told("acme", SECRET, labels={"user": USER}) == {"user_id": name}, "of its label, where it has no other"
    assert told("acme", SECRET, metadata={"user_id": USER}, labels={"user": "eve"}) == {"user_id": name}
    assert told("globex", SECRET, metadata={"user_id": USER}) == {"user_id": SECRET.user("globex", USER)}
    assert told("", SECRET, metadata={"user_id": USER}) == {"user_id": SECRET.user("", USER)}
    assert told("acme", SECRET) is None


def test_without_a_secret_a_tenants_users_are_not_told_of() -> None:
    assert told("acme", NO_SECRET, metadata={"user_id": USER}) is None
    assert told("acme", NO_SECRET, labels={"user": USER}) is None
    assert told("", NO_SECRET, metadata={"user_id": USER}) == {"user_id": USER}, "where nobody is asked who they are"


@given(user=st.text(min_size=1), owner=st.sampled_from(("", "acme")))
def test_whoever_it_is_no_upstream_gets_the_name_as_it_came(user: str, owner: str) -> None:
    user = f"canary {user}".encode(errors="replace").decode()
    body = upstream_body(request(metadata={"user_id": user}), owner, SECRET)
    for asked in (body, chat_ask.ask(body, newest=True), responses_ask.ask(body)):
        assert b"canary" not in orjson.dumps(asked)
    assert chat_ask.ask(body, newest=True)["user"] == SECRET.user(owner, user)
    assert responses_ask.ask(body)["safety_identifier"] == SECRET.user(owner, user)


def test_every_attempt_is_planned_so() -> None:
    stored = request(metadata={"user_id": USER}).to_bytes()
    record = Record(
        "gen_x", "queued", "sim-1", stored, 1, None, None, None, 0, 0, b"{}", None, None, False, "acme"
    )  # fmt: skip
    first = plan(record, Transcript(), lambda body, _: Call(body), keyed=SECRET).first
    assert isinstance(first, Ask)
    assert first.call.body["metadata"] == {"user_id": SECRET.user("acme", USER)}
