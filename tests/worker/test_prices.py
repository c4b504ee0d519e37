"""What tokens cost: exact to the last digit, over attempts and calls; a file that says nonsense is refused by its name."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.prices import BadPrices, Bill, Price, Prices, written

ROW: dict[str, Any] = {
    "currency": "USD",
    "input": 3,
    "output": 15,
    "cache_read": 0.3,
    "cache_write": 3.75,
    "cache_write_1h": 6,
}


def prices(**rows: Any) -> Prices:
    return Prices.parse(json.dumps(rows or {"m*": ROW}))


def test_the_first_pattern_that_fits_counts() -> None:
    found = prices(**{"claude-?": ROW, "claude-*": {**ROW, "input": 1}})
    assert (found.of("claude-5"), found.of("gpt")) == (found.by_pattern[0][1], None)
    other = found.of("claude-55")
    assert other is not None
    assert other.input == 1_000_000


def test_each_kind_of_token_has_its_price() -> None:
    price = prices().of("m")
    assert price is not None
    usage = {
        "input_tokens": 1_000_000, "output_tokens": 1_000_000, "cache_read_input_tokens": 1_000_000,
        "cache_creation_input_tokens": 2_000_000, "cache_creation": {"ephemeral_1h_input_tokens": 1_000_000},
    }  # fmt: skip
    assert written(price.of(usage)) == "28.05"
    assert price.of({"input_tokens": None, "cache_creation": None}) == 0


def test_what_is_not_given_costs_as_input_does() -> None:
    price = prices(m={"currency": "EUR", "input": 2, "output": 4}).of("m")
    assert price == Price(2_000_000, 4_000_000, 2_000_000, 2_000_000, 2_000_000)


@given(st.decimals(0, 1000, places=6), st.integers(0, 10**9))
def test_no_amount_is_rounded(price: Decimal, tokens: int) -> None:
    row = f'{{"m": {{"currency": "USD", "input": {price}, "output": 0}}}}'
    found = Prices.parse(row).of("m")
    assert found is not None
    assert Decimal(written(found.of({"input_tokens": tokens}))) == price * tokens / 1_000_000


def shown(bill: Bill, **usage: int) -> Any:
    said = bill.shows(usage)
    return json.loads(said)["amount"] if said else None


def test_a_bill_adds_up_calls_and_takes_a_call_s_last_word() -> None:
    bill = Bill(prices(m={**ROW, "input": 1_000_000}, n={**ROW, "input": 10_000}), b"")
    bill.calls("m")
    assert shown(bill, input_tokens=1) == "1"
    assert shown(bill, input_tokens=3) == "3"
    bill.calls("n")
    assert shown(bill, input_tokens=1) == "3.01"
    later = Bill(prices(m={**ROW, "input": 1_000_000}), b'{"amount":"3.01","currency":"USD"}')
    later.calls("m")
    assert shown(later, input_tokens=1) == "4.01"


@pytest.mark.parametrize("before", [None, b'{"amount":"1","currency":"EUR"}'])
def test_what_was_spent_before_and_is_unknown_makes_all_unknown(before: bytes | None) -> None:
    bill = Bill(prices(), before)
    bill.calls("m")
    assert shown(bill, input_tokens=1) is None


def test_a_call_without_a_price_makes_all_unknown() -> None:
    bill = Bill(prices(), b"")
    bill.calls("other")
    assert shown(bill, input_tokens=1) is None
    bill.calls("m")
    assert shown(bill, input_tokens=1) is None
    assert Bill(None, b"").shows({"input_tokens": 1}) == b""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"), ("[]", "object"), ("{}", "object"), ('{"m": 3}', "must have"),
        ('{"m": {"input": 1, "output": 1}}', "must have"),
        ('{"m": {"currency": "USD", "input": 1, "output": 1, "inptu": 1}}', "must have"),
        ('{"m": {"currency": "usd", "input": 1, "output": 1}}', "capital"),
        ('{"m": {"currency": "USD", "input": -1, "output": 1}}', "number"),
        ('{"m": {"currency": "USD", "input": "1", "output": 1}}', "number"),
        ('{"m": {"currency": "USD", "input": true, "output": 1}}', "number"),
        ('{"m": {"currency": "USD", "input": NaN, "output": 1}}', "number"),
        ('{"m": {"currency": "USD", "input": 0.0000001, "output": 1}}', "decimals"),
        ('{"m": {"currency": "USD", "input": 1, "input": 2, "output": 1}}', "twice"),
        ('{"m": {"currency": "USD", "input": 1, "output": 1}, "n": {"currency": "EUR", "input": 1, "output": 1}}', "differ"),
    ],
)  # fmt: skip
def test_a_file_that_says_nonsense_is_refused_by_its_name(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(BadPrices, match=rf"RESPOOL_PRICES: .*prices\.json.*{why}"):
        Prices.read(path)


def test_a_file_that_is_not_there_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(BadPrices, match=r"RESPOOL_PRICES: .*nothing\.json"):
        Prices.read(tmp_path / "nothing.json")
