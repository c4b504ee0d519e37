"""Requests that are made of earlier ones."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from api.intake.anew import continued, retried
from broker.bounds import LONGEST
from broker.record import Origin
from broker.request import GenerationRequest, StoredRequest, UnreadableRequest

ASKED: dict[str, Any] = {
    "model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello", "odd": 1}]}],
    "system": "Be brief.", "metadata": {"user_id": "u"}, "idle_timeout": 5,
}  # fmt: skip
STORED = GenerationRequest.model_validate(ASKED).to_bytes()
BOUNDS = {LONGEST: 604_800}


def again(changes: dict[str, Any] | None = None, stored: bytes = STORED) -> StoredRequest:
    return retried(stored, "gen_a", changes or {}, BOUNDS)


def test_a_retry_asks_the_upstream_the_same_and_says_where_it_came_from() -> None:
    made, before = again(), GenerationRequest.from_bytes(STORED)
    assert made.upstream_body() == before.upstream_body()
    assert made.options() == before.options()
    assert made.origin == Origin("retry", "gen_a")
    assert Origin.of(str(made.origin).encode()) == made.origin
    assert StoredRequest.from_bytes(made.to_bytes()) == made


def test_a_field_that_is_given_takes_the_place_of_the_earlier_one_and_null_takes_it_away() -> None:
    body = again({"model": "other", "system": None, "max_tokens": 9}).upstream_body()
    assert (body["model"], body.get("system"), body["max_tokens"]) == ("other", None, 9)
    assert body["messages"] == ASKED["messages"]


@pytest.mark.parametrize("changes", [
    {"max_tokens": 0}, {"temprature": 1}, {"retention": 700_000}, {"continue_from": "x"}, {"continue_of": "gen_b"},
    {"retry_of": "gen_b"}, {"messages": []},
])  # fmt: skip
def test_the_whole_is_held_against_the_rules_of_any_request(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        again(changes)
    assert refused.value.errors()[0]["loc"][0] == next(iter(changes))


def test_what_goes_on_from_a_text_has_it_and_a_retry_of_that_too() -> None:
    made = continued(STORED, "gen_a", "One two", {"max_tokens": 9}, BOUNDS)
    assert (made.continue_from, made.origin) == ("One two", Origin("continue", "gen_a"))
    assert made.upstream_body() == {**GenerationRequest.from_bytes(STORED).upstream_body(), "max_tokens": 9}
    later = retried(made.to_bytes(), "gen_b", {}, BOUNDS)
    assert (later.continue_from, later.continue_of, later.origin) == ("One two", None, Origin("retry", "gen_b"))
    onwards = continued(made.to_bytes(), "gen_b", "One two three", {}, BOUNDS)
    assert (onwards.continue_from, onwards.origin) == ("One two three", Origin("continue", "gen_b"))


def test_two_keys_alike_of_two_generations_are_no_repetition() -> None:
    assert again().fingerprint() == again().fingerprint()
    prints = {again().fingerprint(), retried(STORED, "gen_b", {}, BOUNDS).fingerprint(),
              continued(STORED, "gen_a", "x", {}, BOUNDS).fingerprint(),
              GenerationRequest.from_bytes(STORED).fingerprint()}  # fmt: skip
    assert len(prints) == 4


def test_what_another_version_has_stored_cannot_be_made_anew() -> None:
    with pytest.raises(UnreadableRequest):
        again(stored=b"{")
    with pytest.raises(ValidationError):
        again(stored=orjson.dumps({"of": "another version"}))
