"""Guardrails through HTTP and real processes: what is blocked is withdrawn from everybody, for good."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import guardrails
from tests.harness.client import Client, Frame
from tests.harness.processes import Child, python
from tests.harness.stack import Stack, until
from tests.system.faults.watching import Watched, watch, whole_text

HERE = "tests.harness.guardrails"
DENIED = "durable ledger|nothing is lost"


def model(seed: int, tps: int = 400, tokens: int = 300) -> str:
    return f"sim-1?ttft_ms=0&tps={tps}&tokens={tokens}&seed={seed}"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(apis=2, pickup_grace=1, guardrails=f"{HERE}:check,{HERE}:lenient") as stack:
        yield stack


def types(frames: list[Frame]) -> list[str]:
    return [frame.type for frame in frames]


def of(frames: list[Frame], type_: str) -> list[dict[str, Any]]:
    return [frame.data for frame in frames if frame.type == type_]


def submit_text(watched: Watched) -> str:
    return "".join(frame.data["text"] for frame in watched.watchers[0].frames if frame.type == "text")


def nobody_is_given_it(stack: Stack, watched: Watched) -> None:
    """Whoever asks for a blocked generation, from wherever and in whatever form, gets what stands in its place."""
    cursors = [str(frame.id) for frame in watched.watchers[0].frames if frame.id and frame.type == "text"]
    for url in stack.urls:
        client = Client(url)
        whole = client.events(watched.id)
        assert types(whole) == ["withdraw", "error"]
        for cursor in (cursors[0], cursors[len(cursors) // 2], cursors[-1]):
            assert client.events(watched.id, cursor) == whole, "no gap: it is known what became of it"
        assert client.events(watched.id, str(whole[0].id)) == whole[1:]
        snapshot = client.events(watched.id, **{"from": "snapshot"})
        assert (snapshot[0].type, snapshot[0].data["text"], snapshot[0].data["content"]) == ("snapshot", "", [])
        record = client.record(watched.id)
        assert (record["text"], record["content"], record["withdrawn"], record["chunks"]) == ("", [], True, 0)
        assert (record["error"]["code"], record["error"]["partial"]) == ("blocked", False)
        for last in (None, cursors[-1]):
            headers = {"accept": "text/event-stream"} | ({"last-event-id": last} if last else {})
            said = client.http.get(f"/v1/generations/{watched.id}/events?view=text", headers=headers).text
            events = [line for line in said.split("\n") if line.startswith(("event:", "data:"))]
            assert [line for line in events if line.startswith("event:")] == ["event: discard", "event: end"]
            assert events[1] == 'data: {"type":"discard","keep":0}'
        client.http.close()


def test_what_is_blocked_at_its_end_is_withdrawn_from_everybody(stack: Stack) -> None:
    watched = watch(stack, model(guardrails.BLOCK_AT_END, tokens=2500, tps=2000), viewers=3)
    kept = watched.join(apis=[0])  # of a page cache that is full
    record = watched.verdict()
    assert kept.texts > 2000
    assert (record["state"], record["error"]["code"], record["error"]["retryable"]) == ("failed", "blocked", False)
    for watcher in watched.watchers:
        assert types(watcher.frames)[-2:] == ["withdraw", "error"]
        (withdraw,) = of(watcher.frames, "withdraw")
        assert withdraw == {
            "type": "withdraw", "guardrail": "house rules", "reason": "It is not nice.", "category": "manners",
        }  # fmt: skip
    nobody_is_given_it(stack, watched)


def entries_of(client: Client, id_: str) -> int:
    """How many entries the log has behind its first."""
    return int((client.record(id_)["last_event_id"] or "0-0").partition("-")[2])


def test_a_page_that_is_kept_of_what_nobody_watches_is_not_given_again(stack: Stack) -> None:
    client = stack.client()
    generation = client.submit(model(guardrails.BLOCK_AT_END, tps=150, tokens=2400), max_tokens=10_000)
    until(lambda: entries_of(client, generation.id) > 1010, "more than a page is in the log", 20)
    with client.stream(generation.id) as events:  # a whole page is read, and kept
        for _ in range(1010):
            next(events)
    # Five seconds later this process hears no more of it, and it ends behind these.
    until(lambda: client.record(generation.id)["state"] == "failed", "it is blocked", 30)
    assert types(client.events(generation.id)) == ["withdraw", "error"]
    assert client.record(generation.id)["text"] == ""


def test_a_paragraph_that_is_blocked_closes_the_upstream(stack: Stack) -> None:
    watched = watch(stack, model(guardrails.BLOCK_AT_PARAGRAPH, tps=200, tokens=3000))
    record = watched.verdict()
    assert record["error"]["code"] == "blocked"
    assert len(submit_text(watched)) < 5000
    (call,) = watched.calls
    assert call["closed_by"] == "client"
    nobody_is_given_it(stack, watched)


def test_a_flag_is_an_event_and_a_check_that_fails_open_is_one_too(stack: Stack) -> None:
    watched = watch(stack, model(guardrails.FLAG), labels={"team": "tone"})
    assert watched.verdict()["state"] == "completed"
    flags = of(watched.watchers[0].frames, "guardrail")
    assert [(flag["name"], flag["verdict"], flag["category"]) for flag in flags] == [
        ("house rules", "flag", "tone"), ("lenient", "flag", "check_failed"),
    ]  # fmt: skip
    assert types(stack.client().events(watched.id))[-1] == "stream_end"


@pytest.mark.parametrize("seed", [guardrails.RAISE, guardrails.HANG])
def test_a_check_that_fails_blocks_and_what_it_was_told_is_in_no_log(stack: Stack, seed: int) -> None:
    watched = watch(stack, model(seed, tokens=40))
    record = watched.verdict()
    assert record["error"]["code"] == "blocked"
    (withdraw,) = of(watched.watchers[0].frames, "withdraw")
    assert withdraw["category"] == "check_failed"
    assert whole_text(watched.model)[5:25] not in stack.workers[0].log
    assert stack.workers[0].said(f"{watched.id}: the guardrail house rules")


def test_the_end_is_told_when_the_check_has_passed_and_not_before(stack: Stack) -> None:
    watched = watch(stack, model(guardrails.SLOW, tokens=40))
    assert watched.verdict()["state"] == "completed"
    times = {frame.type: at for at, frame in watched.watchers[0].seen}
    assert times["stream_end"] - times["usage"] > guardrails.SLOW_SECONDS * 0.9


def test_a_cancel_while_a_check_runs_ends_it_cancelled_and_checked(stack: Stack) -> None:
    watched = watch(stack, model(guardrails.SLOW, tokens=40))
    until(lambda: "usage" in types(watched.watchers[0].frames), "its text is complete")
    assert watched.cancel() == 202
    record = watched.verdict()
    assert (record["state"], record["text"] != "") == ("cancelled", True)
    times = {frame.type: at for at, frame in watched.watchers[0].seen}
    assert times["stream_end"] - times["usage"] > guardrails.SLOW_SECONDS * 0.9


def test_what_is_cancelled_must_pass_its_checks_to_stay(stack: Stack) -> None:
    watched = watch(stack, model(guardrails.BLOCK_AT_END, tps=30, tokens=2000))
    watched.runs(20)
    assert watched.cancel() == 202
    assert watched.verdict()["error"]["code"] == "blocked"
    nobody_is_given_it(stack, watched)


def test_a_worker_that_dies_while_a_check_runs_shows_nothing_unchecked(stack: Stack) -> None:
    watched = watch(stack, model(guardrails.HANG, tokens=40), viewers=2)
    until(lambda: "usage" in types(watched.watchers[0].frames), "its text is complete")
    victim = next(worker for worker in stack.workers if worker.running)
    stack.add_worker(wait=False)
    victim.kill()
    record = watched.verdict(60)
    assert record["error"]["code"] == "blocked"
    assert "recovering" in types(watched.watchers[0].frames)
    nobody_is_given_it(stack, watched)


def test_what_ends_without_a_worker_is_withdrawn_unchecked(stack: Stack) -> None:
    watched = watch(stack, model(guardrails.PASS, tps=30, tokens=3000), viewers=1, on_interrupt="fail")
    watched.runs(10)
    victim = next(worker for worker in stack.workers if worker.running)
    stack.add_worker(wait=False)
    victim.kill()
    record = watched.verdict()
    assert (record["error"]["code"], record["text"], record["withdrawn"]) == ("interrupted", "", True)
    (withdraw,) = of(watched.watchers[0].frames, "withdraw")
    assert (withdraw["guardrail"], withdraw["category"]) == (None, "unchecked")


def test_a_deny_list_blocks_what_it_names(tmp_path: Path) -> None:
    denied = tmp_path / "deny.txt"
    denied.write_text("# words of the simulator\n(?i)the \\w+ \\w+\n")
    with Stack(deny_list=denied) as stack:
        client = stack.client()
        generation = client.submit(model(1, tokens=200))
        events = client.events(generation.id)
        assert types(events)[-2:] == ["withdraw", "error"]
        (withdraw,) = of(events, "withdraw")
        assert withdraw["guardrail"] == "deny_list"
        assert withdraw["reason"] == "It matches line 2 of the deny list."


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"RESPOOL_GUARDRAILS": "no_such_package.checks:check"}, "no_such_package.checks:check"),
        ({"RESPOOL_GUARDRAILS": f"{HERE}:check,{HERE}:blocking"}, f"{HERE}:blocking"),
        ({"RESPOOL_DENY_LIST": "{folder}/deny.txt"}, "line 2"),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_a_worker_with_a_bad_guardrail_refuses_to_start_and_names_it(
    tmp_path: Path, settings: dict[str, str], named: str, alone: bool
) -> None:
    (tmp_path / "deny.txt").write_text("fine\n(\n")
    environment = {name: value.format(folder=tmp_path) for name, value in settings.items()}
    command = python("worker", *(("--name", "w") if alone else ("--processes", "1")))
    worker = Child("worker", command, {"ANTHROPIC_API_KEY": "x", **environment}, tmp_path).start()
    assert worker.wait(30) == 1
    assert named in worker.log
    assert "Traceback" not in worker.log
