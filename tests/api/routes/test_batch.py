"""A batch: each line has its verdict, in their order, and is accepted once."""

import json
from typing import Any

import pytest

from api.intake import lines
from api.routes import batch
from tests.api.in_process import Answer, Api
from tests.api.routes.test_generations import ASKED, GENERATIONS

BATCH = f"{GENERATIONS}/batch"


def send(api: Api, body: bytes, **headers: str) -> Answer:
    return api.ask("POST", BATCH, {"content-type": "application/jsonl", **headers}, body)


def verdicts(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200
    return [json.loads(line) for line in answer.body.splitlines()]


def test_each_line_has_its_verdict_in_their_order_and_a_bad_one_stops_no_other(api: Api) -> None:
    good = [json.dumps({**ASKED, "external_id": str(number)}) for number in range(30)]
    body = "\n".join([*good[:10], '{"model":', "", json.dumps({**ASKED, "max_tokens": 0}), *good[10:], ""]).encode()
    found = verdicts(send(api, body))
    assert [each["line"] for each in found] == [*range(1, 12), *range(13, 34)]
    accepted = [each["generation"]["external_id"] for each in found if each["status"] == 202]
    assert accepted == [str(number) for number in range(30)]
    malformed, invalid = (each["problem"] for each in found if each["status"] != 202)
    assert malformed["code"] == "malformed_json"
    assert invalid["errors"][0]["pointer"] == "/max_tokens"


def test_a_batch_that_is_sent_again_with_its_key_makes_nothing_twice(api: Api) -> None:
    body = "\n".join(json.dumps(ASKED) for _ in range(5)).encode()
    first, again = (verdicts(send(api, body, idempotency_key="k")) for _ in range(2))
    ids = [each["generation"]["id"] for each in first]
    assert len(set(ids)) == 5
    assert [each["generation"]["id"] for each in again] == ids
    other = verdicts(send(api, json.dumps({**ASKED, "max_tokens": 3}).encode(), idempotency_key="k"))
    assert [each["problem"]["code"] for each in other] == ["idempotency_mismatch"]


def test_what_is_no_batch_is_refused_whole(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps(ASKED).encode()
    assert api.ask("POST", BATCH, {"content-type": "application/json"}, line).code == (415, "unsupported_media_type")
    assert send(api, line, accept="text/html").code == (406, "not_acceptable")
    assert send(api, b"{}\n" * 1001).code == (422, "invalid_request")
    monkeypatch.setattr(lines, "MOST_BYTES", 10)
    assert send(api, line).code == (413, "body_too_large")
    monkeypatch.undo()
    monkeypatch.setattr(lines, "MAX_BYTES", 10)
    assert [each["status"] for each in verdicts(send(api, line))] == [413]
    assert verdicts(send(api, b"\n\n")) == []


def test_no_more_batches_than_the_memory_has_room_for_are_read_and_each_makes_room_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = json.dumps(ASKED).encode()
    monkeypatch.setattr(batch, "_BATCHES", 1)
    for _ in range(2):
        assert len(verdicts(send(api, line))) == 1
        assert api.ask("POST", BATCH, {"content-type": "text/plain"}, line).status == 415
    monkeypatch.setattr(batch, "_BATCHES", 0)
    assert send(api, line).code == (503, "too_busy")
