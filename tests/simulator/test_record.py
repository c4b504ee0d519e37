"""What the simulator remembers, and what it forgets."""

import io

import orjson

from worker.simulator.record import Ledger, Record


def test_a_ledger_forgets_the_oldest_past_its_bounds() -> None:
    few, small = Ledger(most=2), Ledger(most_bytes=10)
    for number in range(4):
        few.add(Record(id=str(number), connection=1, headers={}))
        small.add(Record(id=str(number), connection=1, headers={}, body=b'"12345"'))
    assert [record["id"] for record in orjson.loads(few.find(None, None))] == ["2", "3"]
    assert [record["id"] for record in orjson.loads(small.find(None, None))] == ["3"]


def test_the_first_end_of_a_request_is_the_one_that_counts() -> None:
    file = io.BytesIO()
    ledger, record = Ledger(file), Record(id="a", connection=1, headers={}, body=b'{"x": 1}')
    ledger.add(record)
    ledger.close(record, "fault")
    ledger.close(record, "client")
    assert record.closed_by == "fault"
    assert ledger.open == 0
    written = [orjson.loads(line) for line in file.getvalue().splitlines()]
    assert [(line["id"], line["closed_by"], line["body"]) for line in written] == [("a", "fault", {"x": 1})]
