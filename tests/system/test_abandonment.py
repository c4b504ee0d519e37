"""What nobody watches any more, and was submitted so, is cancelled; upstream's own record is the witness. All of it happens
side by side, as the grace is what takes long."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

import httpx2
import pytest

from tests.harness.client import Client, Generation, check_log, text_of
from tests.harness.stack import Stack, until
from tests.system.test_cancel import closed_by

MODEL = "sim-1?tps=50&ttft_ms=0&tokens=100000"
GRACE = 1.0
LATEST = GRACE + 4 + 2 + 2 + 3
"""Seconds: the grace, how long a viewer counts that is not noted any more, between two notes, between two questions, a slow
machine."""
SURELY = GRACE + 4 + 2 + 3
"""After so many seconds without a viewer it would be over."""

Cancelled = dict[str, Any]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The third API is killed."""
    with Stack(apis=3) as stack:
        yield stack


def submit(client: Client, **fields: Any) -> Generation:
    return client.submit(MODEL, **{"on_abandon": "cancel", "abandon_after": GRACE, **fields})


def watch(client: Client, generation: Generation, seconds: float) -> None:
    """Watches for so long, and hangs up in the middle."""
    end = time.monotonic() + seconds
    with client.stream(generation.id) as events:
        for _ in events:
            if time.monotonic() > end:
                return


def ended(client: Client, generation: Generation, seconds: float = LATEST) -> Cancelled:
    """Its record, when it has ended."""
    return until(  # type: ignore[no-any-return]
        lambda: (record := client.record(generation.id))["state"] not in ("queued", "running") and record,
        "the generation that nobody watches ends",
        seconds,
    )


def runs(client: Client, generation: Generation) -> bool:
    return bool(client.record(generation.id)["state"] == "running")


def closed_tab(stack: Stack) -> None:
    """What was produced stays, the upstream's socket is closed."""
    client = stack.client()
    generation = submit(client)
    watch(client, generation, 0.3)
    record = ended(client, generation)
    assert (record["state"], record["reason"], record["stop_reason"]) == ("cancelled", "abandoned", None)
    assert closed_by(stack, generation) == ["client"]
    log = client.events(generation.id)
    check_log(log)
    assert log[-1].data["reason"] == "abandoned"
    assert record["text"] == text_of(log) != ""


def comes_back(stack: Stack) -> None:
    """A reconnect within the grace, to another API, changes nothing; who watches later is as good."""
    client, other = stack.client(), stack.client(1)
    generation = submit(client)
    watch(client, generation, 0.3)
    time.sleep(GRACE * 0.8)
    watch(other, generation, SURELY)
    assert runs(client, generation)
    assert len(stack.asked(generation.user_id)) == 1
    assert ended(client, generation)["reason"] == "abandoned"


def two_apis(stack: Stack) -> None:
    """A viewer on another API counts."""
    client, other = stack.client(), stack.client(1)
    generation = submit(client)
    stays = threading.Thread(target=watch, args=(other, generation, SURELY + 0.3))
    stays.start()
    watch(client, generation, 0.3)
    stays.join()
    assert runs(client, generation)
    assert ended(client, generation)["reason"] == "abandoned"


def killed_api(stack: Stack) -> None:
    """Viewers of a killed API count no more."""
    client, doomed = stack.client(), stack.client(2)
    generation = submit(client)
    with doomed.stream(generation.id) as events:
        next(frame for frame in events if frame.type == "text")
        stack.apis[2].signal(SIGKILL)
        with pytest.raises(httpx2.TransportError):
            list(events)
    assert ended(client, generation)["reason"] == "abandoned"


def never_watched(stack: Stack) -> None:
    """Counts where that was asked for, and nowhere else."""
    client = stack.client()
    asked, not_asked = submit(client, abandon_unwatched=True), submit(client)
    assert ended(client, asked)["reason"] == "abandoned"
    assert runs(client, not_asked)
    assert client.cancel(not_asked.id).status_code == 202
    assert ended(client, not_asked)["reason"] == "requested"


def finishes(stack: Stack) -> None:
    """What is not submitted so goes on, whoever leaves."""
    client = stack.client()
    generation = client.submit(MODEL)
    watch(client, generation, 0.3)
    time.sleep(SURELY)
    assert runs(client, generation)
    client.cancel(generation.id)


def chat(stack: Stack) -> None:
    """A tab that closes: the chat form cancels by itself."""
    client = stack.client()
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "abandon_after": GRACE}
    with client.http.stream("POST", "/v1/chat/stream", json=body) as response:
        next(response.iter_bytes())
        id_ = response.headers["generation-id"]
    record = ended(client, Generation(id_, "", {}))
    assert (record["state"], record["reason"]) == ("cancelled", "abandoned")


def _all(stack: Stack, scenes: list[Callable[[Stack], None]]) -> None:
    with ThreadPoolExecutor(len(scenes)) as pool:
        for done in [pool.submit(scene, stack) for scene in scenes]:
            done.result()


@pytest.mark.long
def test_what_nobody_watches_is_cancelled_and_nothing_else(stack: Stack) -> None:
    _all(stack, [closed_tab, comes_back, two_apis, killed_api, never_watched, finishes, chat])


def test_who_watches_while_redis_is_away_for_longer_than_the_grace_keeps_it(stack: Stack) -> None:
    client = stack.client()
    generation = submit(client)
    with client.stream(generation.id) as events:
        next(events)
        stack.server.signal(SIGSTOP)
        time.sleep(SURELY)
        stack.server.signal(SIGCONT)
        for _, frame in zip(range(200), events, strict=False):  # four seconds of them
            assert frame.type != "stream_end"
        assert runs(client, generation)
    assert ended(client, generation)["reason"] == "abandoned"
