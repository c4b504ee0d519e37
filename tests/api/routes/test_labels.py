"""Labels and external ids through the routes: given, shown, filtered by, refused."""

from typing import Any

import pytest

from broker import keys
from broker.record import Ending
from broker.tags import Tags
from tests.api.in_process import Api
from tests.api.routes.test_generations import ASKED, GENERATIONS
from tests.broker.store.scripted import Generation, Server

ADA: dict[str, Any] = {"labels": {"user": "ada", "team": "red"}, "external_id": "order-7"}


def ids(api: Api, query: str) -> list[str]:
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = api.get(f"{GENERATIONS}?{query}{cursor and f'&cursor={cursor}'}").shown
        found += [record["id"] for record in page["data"]]
        cursor = page["next_cursor"]
    return found


def test_what_was_given_comes_back_in_records_and_lists_and_nothing_where_nothing_was(api: Api) -> None:
    shown, plain = api.post(GENERATIONS, {**ASKED, **ADA}).shown, api.post(GENERATIONS, ASKED).shown
    assert {name: shown[name] for name in ADA} == ADA
    assert not ADA.keys() & plain.keys()
    read = api.get(f"{GENERATIONS}/{shown['id']}").shown
    assert {name: read[name] for name in ADA} == ADA
    (record,) = api.get(f"{GENERATIONS}?label.user=ada").shown["data"]
    assert record == shown


def test_filters_combine_with_each_other_and_with_a_state(api: Api, server: Server) -> None:
    both = [api.post(GENERATIONS, {**ASKED, **ADA}).shown["id"] for _ in range(3)]
    other = api.post(GENERATIONS, {**ASKED, "labels": {"user": "ada"}}, idempotency_key="k").shown["id"]
    api.post(GENERATIONS, ASKED)
    running = Generation(server, both[1])
    running.finish(running.granted(), 1, Ending("completed", stop_reason="end_turn"))
    server.do(api.service.file_ended(both[1]))
    assert ids(api, "label.user=ada") == [other, *both[::-1]]
    assert ids(api, "label.user=ada&label.team=red&limit=1") == both[::-1]
    assert ids(api, "label.user=ada&external_id=order-7&state=queued&limit=1") == [both[2], both[0]]
    assert ids(api, "label.user=ada&state=completed") == [both[1]]
    assert ids(api, "external_id=order-7&label.user=bob") == []
    assert ids(api, "external_id=order") == []


@pytest.mark.parametrize(
    ("given", "pointer", "code"),
    [
        ({"labels": {"user": "x" * 257}}, "/labels/user", "out_of_range"),
        ({"labels": {"user": ""}}, "/labels/user", "out_of_range"),
        ({"labels": {"user": 7}}, "/labels/user", "wrong_type"),
        ({"labels": {"n" * 65: "x"}}, "/labels", "not_allowed"),
        ({"labels": {"a b": "x"}}, "/labels", "not_allowed"),
        ({"labels": {"é": "x"}}, "/labels", "not_allowed"),
        ({"labels": {"a\n": "x"}}, "/labels", "not_allowed"),
        ({"labels": {f"n{number}": "x" for number in range(17)}}, "/labels", "out_of_range"),
        ({"labels": ["user"]}, "/labels", "wrong_type"),
        ({"external_id": "x" * 257}, "/external_id", "out_of_range"),
        ({"external_id": ""}, "/external_id", "out_of_range"),
    ],
)
def test_what_is_no_label_is_refused_with_its_pointer(api: Api, given: dict[str, Any], pointer: str, code: str) -> None:
    answer = api.post(GENERATIONS, {**ASKED, **given})
    assert answer.code == (422, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in answer.json["errors"]] == [(pointer, code)]


def test_the_longest_of_everything_is_accepted(api: Api) -> None:
    labels = {f"{number:064}": "é" * 256 for number in range(16)}
    shown = api.post(GENERATIONS, {**ASKED, "labels": labels, "external_id": "日" * 256}).shown
    assert shown["labels"] == labels
    assert ids(api, f"label.{1:064}={'é' * 256}".replace("é", "%C3%A9")) == [shown["id"]]


def test_a_list_that_is_wrong_of_a_label_is_not_believed(api: Api, server: Server) -> None:
    id_ = api.post(GENERATIONS, {**ASKED, **ADA}).shown["id"]
    server.command("ZADD", keys.tag(Tags({"user": "bob"}).digests[0]), 1, id_)
    server.command("PEXPIRE", keys.tag(Tags({"user": "bob"}).digests[0]), 100_000)
    assert ids(api, "label.user=bob") == []
    assert ids(api, "label.user=ada") == [id_]


def test_a_filter_that_cannot_be_is_refused_with_its_name(api: Api) -> None:
    answer = api.get(f"{GENERATIONS}?label.user=")
    assert answer.code == (422, "invalid_request")
    assert answer.json["errors"][0]["parameter"] == "label.user"


def test_other_labels_under_one_key_are_another_request(api: Api) -> None:
    assert api.post(GENERATIONS, {**ASKED, **ADA}, idempotency_key="k").status == 202
    again = api.post(GENERATIONS, {**ASKED, "labels": {"user": "bob"}}, idempotency_key="k")
    assert again.code == (422, "idempotency_mismatch")
