"""Two cells, each a server and a worker of its own, behind the same APIs."""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
import redis

from broker import keys
from broker.ids import cell_of
from broker.local.embedded import EmbeddedServer
from tests.harness.processes import ROOT, python
from tests.harness.stack import Stack, until
from tests.system.faults.watching import PROMPT, Watched, goes_on, watch, whole
from tests.system.main_path import MODEL, completes, listed, main_path

STEADY = "sim-1?ttft_ms=20&tps=40&tokens=240"
LEASE = 30
"""Seconds: longer than Redis is away here, so that nobody else takes over meanwhile."""
OTHER = 7
BODY = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}


def cells(one: EmbeddedServer, other: EmbeddedServer, weight: float = 1) -> str:
    return json.dumps(
        [{"number": 0, "redis_url": one.url}, {"number": OTHER, "redis_url": other.url, "weight": weight}]
    )


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedServer:
    return EmbeddedServer(tmp_path_factory.mktemp("one"))  # the stack starts it


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("other")) as server:
        yield server


@pytest.fixture(scope="module")
def stack(one: EmbeddedServer, other: EmbeddedServer) -> Iterator[Stack]:
    with Stack(apis=2, workers=0, server=one, cells=cells(one, other), lease=LEASE, pickup_grace=1) as stack:
        for number in (0, OTHER):
            stack.add_worker(wait=False, cell=number)
        until(lambda: all(worker.said("worker ready") for worker in stack.workers), "the workers are ready", 60)
        yield stack


def test_the_main_path_is_the_same_over_both(stack: Stack) -> None:
    ids = main_path(stack, 10)
    assert {cell_of(id_) for id_ in ids} == {0, OTHER}


def test_a_stream_and_the_chat_form_follow_what_they_have_submitted(stack: Stack) -> None:
    for url in stack.urls:
        for path in ("/v1/generations", "/v1/chat/stream"):
            found = [
                httpx2.post(f"{url}{path}", json=BODY, headers={"accept": "text/event-stream"}, timeout=20)
                for _ in range(4)
            ]
            assert {cell_of(answer.headers["generation-id"]) for answer in found} == {0, OTHER}
            assert all(b'"stream_end"' in answer.content for answer in found)


def test_of_runs_of_a_thread_that_are_asked_for_at_one_moment_one_is_accepted(stack: Stack) -> None:
    thread, homes = uuid.uuid4(), set[int]()
    body = {
        "assistant_id": "sim-1?tps=10&tokens=2000&ttft_ms=0",
        "input": {"messages": [{"role": "user", "content": "Hi"}]},
    }

    def asked(url: str) -> httpx2.Response:
        return httpx2.post(f"{url}/threads/{thread}/runs", json=body, timeout=20)

    with ThreadPoolExecutor(20) as pool:
        for number in range(30):
            answers = list(pool.map(asked, stack.urls * 10))
            (made,) = [answer.json()["run_id"] for answer in answers if answer.status_code == 200]
            others = [answer.json() for answer in answers if answer.status_code != 200]
            assert [(each["code"], each.get("generation")) for each in others] == [("thread_busy", made)] * 19
            held = httpx2.get(f"{stack.url}/threads/{thread}").json()["values"]["messages"]
            assert [each["content"] for each in held if each["type"] == "human"] == ["Hi"] * (number + 1)
            path = f"/threads/{thread}/runs/{made}/cancel"
            assert httpx2.post(stack.url + path, params={"wait": True}, timeout=20).is_success
            homes.add(cell_of(made))
            if number >= 3 and homes == {0, OTHER}:
                return
    pytest.fail("all were made in one cell")


def test_a_generation_of_no_cell_is_not_found(stack: Stack) -> None:
    for id_ in ("gen_C08" + "0" * 23, "gen_C00" + "0" * 23):
        for path in (f"/v1/generations/{id_}", f"/v1/generations/{id_}/events"):
            answer = httpx2.get(stack.url + path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert stack.apis[0].log.count("a generation of cell 8") == 1


# -- a cell drains


def test_the_same_key_makes_the_same_generation_before_and_after_a_drain_and_after_that_too(
    stack: Stack, one: EmbeddedServer, other: EmbeddedServer
) -> None:
    headers = [{"idempotency-key": f"{uuid.uuid4()}"} for _ in range(12)]
    client = stack.client()
    before = [client.submit(MODEL, PROMPT, headers=each, metadata=None).id for each in headers]
    assert {cell_of(id_) for id_ in before} == {0, OTHER}
    stack.add_api(cells=cells(one, other, weight=0))
    draining = stack.client(len(stack.urls) - 1)
    assert [draining.submit(MODEL, PROMPT, headers=each, metadata=None).id for each in headers] == before
    fresh = [{"idempotency-key": f"{uuid.uuid4()}"} for _ in range(8)]
    made = [draining.submit(MODEL, PROMPT, headers=each, metadata=None).id for each in fresh]
    assert {cell_of(id_) for id_ in [*made, *(draining.submit(MODEL).id for _ in range(6))]} == {0}
    running = draining.submit(MODEL).id, next(id_ for id_ in before if cell_of(id_) == OTHER)
    for id_ in running:
        assert draining.events(id_)[-1].type == "stream_end", "readers go on"
    assert remembered(one) == remembered(other) == 2
    stack.add_api()  # with the weights of before; one that runs already hears of the new ones within 5 s
    before_again = stack.client(len(stack.urls) - 1)
    assert [before_again.submit(MODEL, PROMPT, headers=each, metadata=None).id for each in fresh] == made
    state = httpx2.get(f"{draining.url}/readyz", timeout=10).json()
    assert [cell["weight"] for cell in state["cells"]] == [1.0, 0.0]


def remembered(server: EmbeddedServer) -> int:
    with redis.Redis.from_url(server.url) as coordination:
        return int(coordination.zcard(keys.WEIGHTS))


# -- a cell dies


def test_a_cell_s_death_costs_its_own_generations_a_pause_and_others_nothing(
    stack: Stack, other: EmbeddedServer
) -> None:
    running = [watch(stack, STEADY) for _ in range(6)]
    for each in running:
        each.runs()
    theirs = [each for each in running if cell_of(each.id) == OTHER]
    ours = [each for each in running if cell_of(each.id) == 0]
    assert theirs
    assert ours
    other.kill()
    try:
        moment = time.monotonic()
        until(lambda: all(goes_on(each, moment + 1) for each in ours), "the other cell's viewers go on", 10)
        assert not any(watcher.ended for each in theirs for watcher in each.watchers)
        one_is_away(stack, stack.url, ours[0], theirs[0])
    finally:
        other.start()
    for each in running:
        whole(each, 60)
    until(lambda: ready_cells(stack.url) == ["ready", "ready"], "both cells are ready", 30)
    until(lambda: len({cell_of(stack.client().submit(MODEL).id) for _ in range(4)}) == 2, "both take submits", 20)
    for each in running:
        assert listed(stack, [each.id]) == [each.id]


def one_is_away(stack: Stack, url: str, ours: Watched, theirs: Watched) -> None:
    """What an API says and does while a cell is away."""
    assert stack.is_ready(url)
    until(lambda: ready_cells(url) == ["ready", "redis_unavailable"], "it says which is away", 10)
    made = [httpx2.post(f"{url}/v1/generations", json=BODY, timeout=20) for _ in range(6)]
    assert [answer.status_code for answer in made] == [202] * 6
    assert {cell_of(answer.json()["id"]) for answer in made} == {0}
    keyed = [
        httpx2.post(f"{url}/v1/generations", json=BODY, headers={"idempotency-key": f"{number}"}, timeout=20)
        for number in range(6)
    ]
    assert {answer.status_code for answer in keyed} == {202, 503}
    assert all(cell_of(answer.json()["id"]) == 0 for answer in keyed if answer.status_code == 202)
    whole_list, part = (httpx2.get(f"{url}/v1/generations{query}", timeout=20) for query in ("", "?partial=true"))
    assert (whole_list.status_code, whole_list.json()["missing_cells"]) == (503, [OTHER])
    assert part.json()["missing_cells"] == [OTHER]
    assert {cell_of(row["id"]) for row in part.json()["data"]} == {0}
    for each, status in ((ours, 200), (theirs, 503)):
        assert httpx2.get(f"{url}/v1/generations/{each.id}", timeout=20).status_code == status
    for answer in made:
        completes(stack, answer.json()["id"])
    late = stack.add_api()  # one that starts meanwhile
    assert httpx2.get(f"{late}/v1/generations/{ours.id}", timeout=20).status_code == 200


def ready_cells(url: str) -> list[str]:
    answer = httpx2.get(f"{url}/readyz", timeout=10)
    return [cell["status"] for cell in answer.json()["cells"]] if answer.status_code == 200 else []


# -- what is refused at the start


def refused(module: str, *arguments: str, **settings: str) -> str:
    environment = {f"RESPOOL_{name.upper()}": value for name, value in settings.items()}
    ended = subprocess.run(
        python(module, *arguments), cwd=ROOT, env={**_environment(), **environment}, capture_output=True, timeout=60
    )
    assert ended.returncode == 1
    return ended.stderr.decode()


def _environment() -> dict[str, str]:
    return {**os.environ, "ANTHROPIC_API_KEY": "simulated"}


def test_a_worker_that_is_told_no_cell_or_one_that_there_is_not_is_refused(
    stack: Stack, one: EmbeddedServer, other: EmbeddedServer
) -> None:
    listed_cells = cells(one, other)
    assert "a worker serves one cell: set RESPOOL_CELL to one of 0, 7" in refused("worker", cells=listed_cells)
    assert "RESPOOL_CELL is 1, and the cells that there are have the numbers 0, 7" in refused(
        "worker", cells=listed_cells, cell="1"
    )


def test_a_server_that_is_listed_under_another_number_is_refused(
    stack: Stack, one: EmbeddedServer, other: EmbeddedServer, tmp_path: Path
) -> None:
    wrong = json.dumps([{"number": 0, "redis_url": other.url}])
    said = "Redis is of cell 7, and RESPOOL_CELLS has it as cell 0"
    assert f"cell 0: {said}" in refused("api", "--alone", cells=wrong, port="0")
    assert said in refused("worker", "--name", "w", cells=wrong)
    assert "RESPOOL_CELLS: it is not JSON" in refused("api", cells="redis://a,redis://b")
