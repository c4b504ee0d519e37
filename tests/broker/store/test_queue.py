"""Jobs as they are stored: JSON, whatever arq puts into one."""

import json

from broker.store.queue import Job, dumps_job, loads_job


def test_a_job_is_stored_as_json_and_read_back() -> None:
    job = {"t": 1, "f": "generate", "a": ["gen_x"], "k": {}}
    assert json.loads(dumps_job(job)) == loads_job(dumps_job(job)) == job


def test_a_result_that_json_cannot_say_is_stored_as_it_looks() -> None:
    assert json.loads(dumps_job({"r": ValueError("no")})) == {"r": "ValueError('no')"}


def test_a_job_s_name_is_its_generation_and_its_attempt_and_whose_it_is() -> None:
    for job, name in ((Job("gen_x", 12), "gen_x:12"), (Job("gen_x", 1, "acme"), "gen_x:1:acme")):
        assert job.name == name
        assert Job.of(name) == job
