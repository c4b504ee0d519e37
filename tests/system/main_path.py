"""What every stack must do, whatever its Redis consists of: submit, follow, resume, list, cancel, take a key twice."""

import uuid

from tests.harness.client import check_log, text_of
from tests.harness.stack import Stack, until
from tests.system.faults.watching import PROMPT, whole_text

MODEL = "sim-1?tps=400&tokens=60&ttft_ms=10"
SLOW = "sim-1?tps=20&tokens=2000&ttft_ms=20"


def main_path(stack: Stack, many: int = 6) -> list[str]:
    """Asserts all that of `many` generations, at every API in turn; their ids."""
    clients = [stack.client(at) for at in range(len(stack.urls))]
    key = f"{uuid.uuid4()}"
    ids = []
    for number in range(many):
        here, there = clients[number % len(clients)], clients[(number + 1) % len(clients)]
        headers = {"idempotency-key": f"{key}-{number}"} if number % 2 else {}
        id_ = here.submit(MODEL, PROMPT, headers=headers, metadata=None).id
        assert not headers or there.submit(MODEL, PROMPT, headers=headers, metadata=None).id == id_
        ids.append(id_)
    for number, id_ in enumerate(ids):
        here, there = clients[number % len(clients)], clients[(number + 1) % len(clients)]
        events = here.events(id_)
        check_log(events)
        assert text_of(events) == whole_text(MODEL) == there.record(id_)["text"]
        logged = [frame for frame in events if frame.id]
        half = len(logged) // 2
        assert [frame for frame in there.events(id_, logged[half].id) if frame.id] == logged[half + 1 :]
    assert listed(stack, ids) == ids[::-1]
    for client in clients:
        cancelled = client.submit(SLOW)
        with client.stream(cancelled.id) as stream:
            next(frame for frame in stream if frame.type == "text")
            assert client.cancel(cancelled.id).status_code in (200, 202)
            assert list(stream)[-1].data["status"] == "cancelled"
    return ids


def listed(stack: Stack, ids: list[str]) -> list[str]:
    """Those of these that the list has, in its order, page by page."""
    http, found = stack.client().http, list[str]()
    cursor: str | None = None
    while True:
        query = {"limit": "4", **({} if cursor is None else {"cursor": cursor})}
        answer = http.get("/v1/generations", params=query)
        assert answer.status_code == 200, answer.text
        found += [row["id"] for row in answer.json()["data"] if row["id"] in ids]
        cursor = answer.json()["next_cursor"]
        if cursor is None or len(found) == len(ids):
            return found


def completes(stack: Stack, id_: str) -> None:
    """It has all its text in the end."""
    client = stack.client()
    until(lambda: client.record(id_)["state"] == "completed", "it completes", 30)
    assert client.record(id_)["text"] == whole_text(MODEL)
