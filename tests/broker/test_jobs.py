"""Jobs as they are stored: JSON, whatever arq puts into one."""

import json

from broker.jobs import dumps_job, loads_job


def test_a_job_is_stored_as_json_and_read_back() -> None:
    job = {"t": 1, "f": "generate", "a": ["gen_x"], "k": {}}
    assert json.loads(dumps_job(job)) == loads_job(dumps_job(job)) == job


def test_a_result_that_json_cannot_say_is_stored_as_it_looks() -> None:
    assert json.loads(dumps_job({"r": ValueError("no")})) == {"r": "ValueError('no')"}
