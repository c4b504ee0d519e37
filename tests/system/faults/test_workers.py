"""Workers that die, freeze and go, while people watch."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.harness.processes import Child
from tests.harness.stack import LEASE, Stack, until
from tests.system.faults.watching import SLACK, TOLD, Watched, crew, spent, watch, with_spare

LONG = "sim-1?ttft_ms=20&tps=30&tokens=2000"
SLOW = "sim-1?ttft_ms=25000&tokens=5"
"""Its first token comes behind all deaths of a test."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Two APIs; how many workers there are is each test's own affair."""
    with Stack(apis=2, pickup_grace=1) as stack:
        yield stack


def running(stack: Stack) -> Child:
    """The one worker that runs."""
    (worker,) = (worker for worker in stack.workers if worker.running)
    return worker


def begin(*watched: Watched) -> None:
    for each in watched:
        each.runs()


def replace(stack: Stack) -> float:
    """Kills the one worker that runs, as another one starts; when that was."""
    victim = running(stack)
    stack.add_worker(wait=False)
    moment = time.monotonic()
    victim.kill()
    until(lambda: running(stack).said("worker ready"), "the successor is there", 30)
    return moment


@pytest.mark.long
def test_viewers_of_a_killed_worker_are_told_in_time_and_lose_nothing(stack: Stack) -> None:
    victim, spare = with_spare(stack)
    model = "sim-1?ttft_ms=20&tps=40&tokens=120"
    continued = watch(stack, model, viewers=4)
    prefilled = watch(stack, "claude-sonnet-4-5?ttft_ms=20&tps=40&tokens=120", viewers=1)
    restarted = watch(stack, model, on_interrupt="restart")
    failed = watch(stack, model, on_interrupt="fail")
    begin(continued, prefilled, restarted, failed)
    spare.signal(signal.SIGCONT)
    moment = time.monotonic()
    victim.kill()
    for watched in (continued, prefilled, restarted, failed):
        watched.told_since(moment)
    late = continued.join()
    continued.join(snapshot=True)
    restarted.join(snapshot=True)

    assert continued.verdict()["state"] == "completed"
    assert [start["reason"] for start in late.starts()] == ["start", "continue"]
    for watcher in continued.watchers[:4]:
        types = [frame.type for frame in watcher.frames if frame.type in ("stream_start", "recovering")]
        assert types == ["stream_start", "recovering", "stream_start"]
    assert prefilled.verdict()["state"] == "completed"
    assert prefilled.record()["attempt"] == 2
    assert restarted.verdict()["state"] == "completed"
    assert [start["reason"] for start in restarted.watchers[0].starts()] == ["start", "restart"]
    record = failed.verdict()
    assert (record["state"], record["error"]["code"], record["error"]["partial"]) == ("failed", "interrupted", True)
    assert record["text"]
    assert [len(watched.calls) for watched in (continued, prefilled, restarted, failed)] == [2, 2, 2, 1]


def test_a_worker_that_comes_later_goes_on_and_the_third_death_without_progress_ends_it(stack: Stack) -> None:
    crew(stack, 1)
    doomed, steady, lucky = (watch(stack, model) for model in (SLOW, LONG, "sim-1?ttft_ms=20&tps=40&tokens=80"))
    begin(steady, lucky)
    for attempt in (1, 2, 3):
        until(lambda at=attempt: doomed.record()["attempt"] == at, f"attempt {attempt} runs", 20)  # type: ignore[misc]
        assert (spent(doomed), spent(steady)) == (attempt, 1)
        steady.runs(steady.texts + 3)
        moment = replace(stack)
        doomed.told_since(moment)
        steady.told_since(moment)
        assert lucky.verdict()["state"] == "completed"
        assert (lucky.record()["attempt"], spent(lucky)) == (2, 1)
    record = doomed.verdict()
    assert (record["state"], record["error"]["code"], record["attempt"]) == ("failed", "attempts_exhausted", 3)
    assert len(doomed.calls) == 3
    assert all(call["closed_by"] == "client" for call in doomed.calls)
    until(lambda: steady.record()["attempt"] == 4, "an attempt that got further each time goes on", 20)
    steady.runs(steady.texts + 3)
    steady.cancel()
    assert steady.verdict()["state"] == "cancelled"


def test_viewers_hear_of_a_death_before_anybody_has_time_for_the_next_attempt(stack: Stack) -> None:
    crew(stack, 0)
    stack.add_worker(max_jobs=1)
    occupying = watch(stack, LONG, viewers=1)
    occupying.runs()
    victim = stack.add_worker()
    watched = watch(stack, LONG)
    watched.runs()
    victim.kill()

    def told() -> bool:
        return all("recovering" in [frame.type for frame in watcher.frames] for watcher in watched.watchers)

    until(told, "every viewer hears of it", TOLD + SLACK)
    late = watched.join()
    assert watched.cancel() == 200  # nobody has it
    assert watched.verdict()["state"] == "cancelled"
    assert [frame.type for frame in late.frames[-2:]] == ["recovering", "stream_end"]
    assert [len(watcher.starts()) for watcher in watched.watchers] == [1, 1, 1]
    occupying.cancel()
    assert occupying.verdict()["state"] == "cancelled"
    crew(stack, 0)  # the next test has another use for a worker than one with a single slot


def test_a_paused_worker_cannot_write_after_its_successor_has_claimed(stack: Stack) -> None:
    paused, spare = with_spare(stack)
    watched, unharmed = watch(stack, "sim-1?ttft_ms=20&tps=30&tokens=150", viewers=3), watch(stack, LONG)
    cancelled = watch(stack, LONG)
    begin(watched, unharmed, cancelled)
    paused.signal(signal.SIGSTOP)
    time.sleep(LEASE / 4)
    paused.signal(signal.SIGCONT)  # well within its lease: nothing has happened
    watched.runs(watched.texts + 5)

    spare.signal(signal.SIGCONT)
    moment = time.monotonic()
    paused.signal(signal.SIGSTOP)
    assert cancelled.cancel() in (200, 202)  # its worker cannot hear of it
    watched.told_since(moment)
    unharmed.told_since(moment)
    assert cancelled.verdict()["state"] == "cancelled"
    watched.runs(watched.texts + 5)
    paused.signal(signal.SIGCONT)

    for each in (unharmed, cancelled):  # of the short one the upstream has sent everything into the kernel's buffers
        until(lambda each=each: each.calls[0]["closed_by"] == "client", "the paused worker closes its upstream socket")  # type: ignore[misc]
    unharmed.cancel()
    assert watched.verdict()["state"] == "completed"
    assert unharmed.verdict()["state"] == "cancelled"
    assert [len(each.calls) for each in (watched, unharmed, cancelled)] == [2, 2, 1]
    assert all(len(watcher.starts()) == 2 for watcher in watched.watchers)
    paused.signal(signal.SIGTERM)
    assert paused.wait(3) == 0  # it has given up all three


def test_sigterm_hands_over_at_once_and_costs_no_attempt(stack: Stack) -> None:
    first, spare = with_spare(stack, lease=30)
    watched = watch(stack, "sim-1?ttft_ms=20&tps=25&tokens=180")
    begin(watched)
    spare.signal(signal.SIGCONT)
    moment = time.monotonic()
    first.signal(signal.SIGTERM)
    assert watched.told_since(moment) <= TOLD + SLACK  # a lease would be 30 s
    assert first.wait(5) == 0
    assert [start["reason"] for start in watched.watchers[0].starts()] == ["start", "continue"]
    assert watched.calls[0]["closed_by"] == "client"
    assert spent(watched) == 1
    watched.runs(watched.texts + 3)
    watched.told_since(replace(stack))
    record = watched.verdict()
    assert (record["state"], record["attempt"], spent(watched)) == ("completed", 3, 1)


def test_a_draining_worker_ends_what_is_short_and_takes_nothing_new(stack: Stack) -> None:
    crew(stack, 0)
    worker = stack.add_worker(drain=5)
    short, long = watch(stack, "sim-1?ttft_ms=20&tps=40&tokens=60"), watch(stack, LONG, viewers=1)
    begin(short, long)
    worker.signal(signal.SIGTERM)
    until(lambda: worker.said("draining"), "the worker drains")
    late = watch(stack, "sim-1?ttft_ms=20&tokens=5", viewers=1)
    assert short.verdict()["state"] == "completed"
    assert short.record()["attempt"] == 1
    assert worker.wait(10) == 0
    assert late.record()["state"] == "queued"
    assert long.cancel() == 200  # handed over to nobody
    stack.add_worker()
    assert late.verdict()["state"] == "completed"
    assert long.verdict()["state"] == "cancelled"


def test_a_cancel_with_no_worker_or_a_dead_one_ends_it_without_another_call(stack: Stack) -> None:
    crew(stack, 1)
    orphan, forgotten = watch(stack, LONG), watch(stack, LONG)
    begin(orphan, forgotten)
    running(stack).kill()
    assert orphan.cancel() in (200, 202)  # as long as its lease is alive, 202
    queued = watch(stack, LONG)
    assert queued.cancel() == 200
    assert queued.verdict()["state"] == "cancelled"
    assert queued.calls == []
    until(lambda: forgotten.cancel() == 200, "the lease of the dead worker runs out")
    assert forgotten.verdict()["state"] == "cancelled"
    stack.add_worker()
    assert orphan.verdict()["state"] == "cancelled"
    assert [len(orphan.calls), len(forgotten.calls)] == [1, 1]
    assert orphan.record()["text"]
