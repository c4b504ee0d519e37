"""What a webhook tells."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from broker.ids import EntryId
from broker.record import Record
from broker.webhooks import Hook
from worker.webhooks.message import MOST_BYTES, message

SECRETS = [Webhook("whsec_" + base64.b64encode(bytes([byte]) * 24).decode()) for byte in (1, 2)]


def record(end: dict[str, Any]) -> Record:
    return Record(
        "gen_x", "completed", "m\u00fc", None, 1000, 1001, None, 1_795_262_601_421, 1, 1, b"{}", EntryId(7, 0), end, False,
        "me", hook=Hook("https://example.com/?token=s3cret", ("completed",)),
    )  # fmt: skip


def test_it_is_the_record_and_where_its_text_is() -> None:
    told = json.loads(message(record({"stop_reason": "end_turn", "chunks": 3})).body)
    assert (told["type"], told["timestamp"]) == ("generation.completed", "2026-11-21T12:03:21.421Z")
    data = told["data"]
    assert (data["id"], data["state"], data["stop_reason"], data["chunks"]) == ("gen_x", "completed", "end_turn", 3)
    assert data["url"] == "/v1/generations/gen_x"
    assert "s3cret" not in json.dumps(told)


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=40_000), max_size=3))
def test_it_is_never_larger_than_receivers_must_take(usage: dict[str, str]) -> None:
    made = message(record({"usage": usage}))
    assert len(made.body) <= MOST_BYTES
    assert json.loads(made.body)["data"]["id"] == "gen_x"


def test_each_secret_signs_it_and_the_library_of_a_receiver_takes_each() -> None:
    made = message(record({}))
    headers = dict(made.headers(SECRETS, datetime.now(UTC)))
    assert made.id == headers["webhook-id"] == "gen_x_7-0"
    assert len(headers["webhook-signature"].split()) == 2
    for secret in SECRETS:
        assert secret.verify(made.body, headers) == json.loads(made.body)
