"""What a generation has cost, through HTTP and real processes: the end, the record and the list say the same."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.processes import Child, python
from tests.harness.stack import Stack

PRICES = {"sim-1*": {"currency": "USD", "input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75}}


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    path = tmp_path_factory.mktemp("prices") / "prices.json"
    path.write_text(json.dumps(PRICES))
    with Stack(prices=path) as stack:
        yield stack


@pytest.fixture
def client(priced: Stack) -> Client:
    return priced.client()


def amount(usage: dict[str, Any]) -> Decimal:
    """By hand."""
    total: Decimal = (
        Decimal(3) * usage["input_tokens"] + Decimal(15) * usage["output_tokens"]
        + Decimal("0.3") * usage["cache_read_input_tokens"] + Decimal("3.75") * usage["cache_creation_input_tokens"]
    )  # fmt: skip
    return total / 1_000_000


def ended(client: Client, model: str, **fields: Any) -> dict[str, Any]:
    """The end; record and list say the same."""
    generation = client.submit(model, **fields)
    end = client.events(generation.id)[-1].data
    record = client.record(generation.id)
    (listed,) = [each for each in client.http.get("/v1/generations").json()["data"] if each["id"] == generation.id]
    assert [each["cost"] for each in (record, listed)] == [end["cost"]] * 2
    assert [each["usage"] for each in (record, listed)] == [end["usage"]] * 2
    return end


def test_the_end_the_record_and_the_list_tell_the_cost(client: Client) -> None:
    end = ended(client, "sim-1?tps=0&ttft_ms=0&tokens=9", cache="conversation")
    assert end["cost"]["currency"] == "USD"
    assert Decimal(end["cost"]["amount"]) == amount(end["usage"]) > 0
    assert "wasted" not in end["usage"]


@pytest.mark.parametrize(("then", "wasted"), [("continue", False), ("restart", True), ("fail", True)])
def test_attempts_are_added_up_and_what_was_discarded_or_failed_was_wasted(
    client: Client, then: str, wasted: bool
) -> None:
    end = ended(client, "sim-1?tps=0&ttft_ms=0&tokens=40&fail=cut&at=20&times=1", on_interrupt=then)
    assert Decimal(end["cost"]["amount"]) == amount(end["usage"])
    assert ("wasted" in end["usage"]) is wasted
    if wasted:
        part = end["usage"]["wasted"]
        assert Decimal(part["cost"]["amount"]) == amount(part)
        assert (Decimal(part["cost"]["amount"]) < Decimal(end["cost"]["amount"])) is (then == "restart")


def test_a_model_without_a_price_has_no_cost(client: Client) -> None:
    end = ended(client, "another?tps=0&ttft_ms=0&tokens=5")
    assert (end["cost"], end["usage"]["output_tokens"]) == (None, 5)


def test_a_worker_with_a_file_of_nonsense_does_not_start_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"sim-1": {"input": 3}}')
    worker = Child(
        "worker", python("worker"), {"RESPOOL_PRICES": str(path), "ANTHROPIC_API_KEY": "simulated"}, tmp_path
    ).start()  # fmt: skip
    assert worker.wait() == 1
    assert worker.said(r"worker: RESPOOL_PRICES: .*prices\.json: 'sim-1' must have input, output and currency")
