"""`/v1/responses` within one process: who may, what is told at once, and what an answer may not say."""

from typing import Any

import pytest

from broker.events import TEXT, Content, event
from tests.api.access.test_gate import Named
from tests.api.in_process import Answer, Api
from tests.broker.store.scripted import DONE, Generation, Server

RESPONSES = "/v1/responses"
ASKED: dict[str, Any] = {"model": "sim-1", "input": "canary-of-a-prompt", "background": True}


@pytest.fixture
def guarded(api: Api) -> Api:
    api.police(Named())
    return api


def submitted(api: Api, **headers: str) -> str:
    id_: str = api.post(RESPONSES, ASKED, **headers).json["id"]
    return id_


def generation(id_: str) -> str:
    return "gen_" + id_.removeprefix("resp_")


def run(server: Server, id_: str, *, whole: bool) -> None:
    """A worker has begun it, and, if it is whole, ended it."""
    running = Generation(server, generation(id_))
    granted: Any = running.claim()
    text = event("block_start", index=0, block={"type": "text", "text": ""})
    running.append(granted.attempt, 1, text, Content(TEXT, b"Hello"))
    if whole:
        running.finish(granted.attempt, 3, DONE)


def told(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.json["error"]["code"]


def test_a_response_in_the_background_is_queued_until_a_worker_has_it(api: Api, server: Server) -> None:
    answer = api.post(RESPONSES, ASKED)
    assert (answer.status, answer.json["status"], answer.json["output"]) == (200, "queued", [])
    id_ = answer.json["id"]
    run(server, id_, whole=False)
    running = api.get(f"{RESPONSES}/{id_}").json
    assert running["status"] == "in_progress"
    assert "canary-of-a-prompt" not in repr(running)


def test_a_stream_tells_its_response_before_a_worker_has_it(api: Api) -> None:
    answer = api.post(RESPONSES, {**ASKED, "stream": True}, 1)
    assert b'"type":"response.created"' in answer.body
    assert b'"type":"response.queued"' in answer.body
    assert b"canary-of-a-prompt" not in answer.body


def test_what_is_another_tenants_is_not_there(guarded: Api, server: Server) -> None:
    mine = submitted(guarded, x_name="acme")
    run(server, mine, whole=True)
    assert guarded.get(f"{RESPONSES}/{mine}", x_name="acme").json["status"] == "completed"
    for answer in (
        guarded.get(f"{RESPONSES}/{mine}", x_name="globex"),
        guarded.get(f"{RESPONSES}/{mine}?stream=true", x_name="globex"),
        guarded.get(f"{RESPONSES}/{mine}?stream=true&starting_after=1", x_name="globex"),
        guarded.post(f"{RESPONSES}/{mine}/cancel", x_name="globex"),
        guarded.ask("DELETE", f"{RESPONSES}/{mine}", {"x-name": "globex"}),
    ):
        assert told(answer) == (404, "not_found")
    unseen = guarded.post(RESPONSES, {**ASKED, "previous_response_id": mine}, x_name="globex")
    unknown = guarded.post(RESPONSES, {**ASKED, "previous_response_id": "resp_" + "0" * 26}, x_name="globex")
    assert unseen.body == unknown.body
    assert unseen.json["error"]["param"] == "previous_response_id"
    assert guarded.post(RESPONSES, {**ASKED, "previous_response_id": mine}, x_name="acme").status == 200


@pytest.mark.parametrize(("scopes", "status"), [("submit", 403), ("view", 403), ("submit view", 200)])
def test_who_may_not_view_asks_for_no_response(guarded: Api, scopes: str, status: int) -> None:
    assert guarded.post(RESPONSES, ASKED, x_name="acme", x_scopes=scopes).status == status


def test_one_that_has_no_end_yet_is_gone_on_from_by_nobody(api: Api) -> None:
    running = submitted(api)
    answer = api.post(RESPONSES, {**ASKED, "previous_response_id": running})
    assert (answer.status, answer.json["error"]["param"]) == (422, "previous_response_id")
